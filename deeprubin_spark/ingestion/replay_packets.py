"""Packets of the replayed night: real ones with the ids, times, positions and fluxes of the sky's own objects.

A packet holds what the survey would have sent: the object's visits of the 30 days before, with the ids and values they have in the warehouse and in
every other packet, and limits where nothing was seen.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from deeprubin_spark.ingestion import replay_light_curves as light_curves
from deeprubin_spark.ingestion import replay_sky
from deeprubin_spark.ingestion.replay_light_curves import Objects, Visits
from deeprubin_spark.ingestion.replay_sky import FloatArray, IntArray, Sky
from deeprubin_spark.ingestion.replay_templates import INTEGERS, REALS, Templates
from deeprubin_spark.kernels import counter_random as random
from deeprubin_spark.kernels.packet_splice import spliced
from deeprubin_spark.kernels.photometry import ZERO_POINT

FIELD_NUMBER = 200  # number of the sky's first field: two bytes in a packet, as ZTF's are
EXPOSURE_SECONDS = 30.0
FORCED_ZERO_POINT = 26.0  # [mag] of the images of forced photometry
_HEAD, _ENTRY, _TAIL = range(200, 203)  # streams: which template


class Alerts(NamedTuple):
    """Alerts of A packets: row and column of their visit in `visits` (A,), and which visits their histories hold, in order of time.

    entry_alert, entry_row, entry_column : (E,) the alert and the visit of each entry
    """

    of: Objects
    visits: Visits
    row: IntArray
    column: IntArray
    entry_alert: IntArray
    entry_column: IntArray

    @property
    def candid(self) -> IntArray:
        """(A,) id of each alert."""
        return self.visits.candid[self.row, self.column]


class Packets(NamedTuple):
    """A packets: schemaless Avro bodies one after the other, where each begins, and their ids."""

    content: NDArray[np.uint8]
    offsets: IntArray
    candid: IntArray


def alerts_of(sky: Sky, night: dt.date, touched: replay_sky.Touched) -> Alerts:
    """The night's alerts of the objects touched, in order of time, with their histories."""
    of = light_curves.objects(sky, touched.objects)
    day = replay_sky.mjd_of(night)
    nights_back = replay_sky.HISTORY_DAYS // replay_sky.CADENCE
    days = np.broadcast_to(day - replay_sky.CADENCE * np.arange(nights_back, -1, -1), (len(of.number), nights_back + 1))
    visits = light_curves.visits(sky, of, np.ascontiguousarray(days))
    n_before = replay_sky.VISITS * nights_back
    row = np.repeat(np.arange(len(of.number)), touched.n_alerts)
    column = n_before + np.arange(len(row)) - np.repeat(np.cumsum(touched.n_alerts) - touched.n_alerts, touched.n_alerts)
    order = np.lexsort((visits.candid[row, column], visits.jd[row, column]))
    row, column = row[order], column[order]
    history = light_curves.in_history(visits.jd[row], visits.jd[row, column][:, None]) & (visits.day[row] >= sky.history_begin)
    entry_alert, entry_column = np.nonzero(history)
    return Alerts(of, visits, row, column, entry_alert, entry_column)


def bare(alerts: Alerts, templates: Templates) -> Packets:
    """Packets without stamps, as brokers keep them."""
    return _packets(alerts, templates, np.full(len(alerts.row), templates.bare_tail))


def stamped(alerts: Alerts, templates: Templates) -> Packets:
    """Packets with real stamps, each with those of some template."""
    return _packets(alerts, templates, _picked(templates.stamped_tails, random.keys(alerts.candid, _TAIL)))


def payloads(packets: Packets) -> pa.Array:
    """The packets as a column of binary values, without a copy."""
    offsets = pa.py_buffer(packets.offsets.astype(np.int32))
    return pa.Array.from_buffers(pa.binary(), len(packets.candid), [None, offsets, pa.py_buffer(packets.content)])


def _packets(alerts: Alerts, templates: Templates, tails: IntArray) -> Packets:
    """The parts of each packet in their order: head, entries, and from schema 4 on the begin of the forced photometry and its entries, tail."""
    n = len(alerts.row)
    row = np.concatenate((alerts.row, alerts.row[alerts.entry_alert]))
    column = np.concatenate((alerts.column, alerts.entry_column))
    n_entries = np.bincount(alerts.entry_alert, minlength=n)
    heads = _picked(templates.heads, random.keys(alerts.of.key[alerts.row], _HEAD))
    entries, forced = _entry_pieces(alerts, templates)
    repeats = 1 if templates.middle < 0 else 2
    starts = np.concatenate(([0], np.cumsum(2 + repeats * n_entries + repeats - 1)))
    part_piece, part_row = np.empty(starts[-1], np.int64), np.empty(starts[-1], np.int64)
    part_piece[starts[:-1]], part_row[starts[:-1]] = heads, np.arange(n)
    part_piece[starts[1:] - 1], part_row[starts[1:] - 1] = tails, np.arange(n)
    within = np.arange(len(alerts.entry_alert)) - np.repeat(np.cumsum(n_entries) - n_entries, n_entries)
    at = starts[alerts.entry_alert] + 1 + within
    part_piece[at], part_row[at] = entries, n + np.arange(len(at))
    if repeats == 2:
        middle = starts[:-1] + 1 + n_entries
        part_piece[middle], part_row[middle] = templates.middle, np.arange(n)
        later = middle[alerts.entry_alert] + 1 + within
        part_piece[later], part_row[later] = forced, n + np.arange(len(at))
    values = _values(alerts, row, column, n_entries)
    names = np.ascontiguousarray(alerts.of.name[alerts.row])
    content, offsets = spliced(templates.pieces, part_piece, part_row, starts, *values, names)
    return Packets(content, offsets, alerts.candid)


def _entry_pieces(alerts: Alerts, templates: Templates) -> tuple[IntArray, IntArray]:
    """Template of each entry of the history and of the forced photometry: a visit keeps its own in every packet that repeats it."""
    row, column = alerts.row[alerts.entry_alert], alerts.entry_column
    key = random.keys(alerts.visits.candid[row, column], _ENTRY)
    seen = alerts.visits.is_detection[row, column]
    entries = np.where(seen, _picked(templates.detections, key), _picked(templates.limits, key))
    return entries, _picked(templates.forced, key) if len(templates.forced) else entries


def _picked(pieces: IntArray, key: random.Keys) -> IntArray:
    return pieces[(key % np.uint64(len(pieces))).astype(np.int64)]


def _values(alerts: Alerts, row: IntArray, column: IntArray, n_entries: IntArray) -> tuple[FloatArray, IntArray]:
    """Tables (len(REALS), R) and (len(INTEGERS), R): a row for each alert, then one for each entry, of the visits at [row, column]."""
    seen = alerts.visits.at(row, column)
    reals = _table(_reals(alerts.of, seen, row), REALS, len(row), np.float64)
    return reals, _table(_integers(alerts, seen, row, n_entries), INTEGERS, len(row), np.int64)


def _reals(of: Objects, seen: Visits, row: IntArray) -> dict[str, ArrayLike]:
    """Of visits (R,) of the objects in rows `row`. What depends on the aperture keeps a fixed relation to the PSF magnitude."""
    second = seen.fid - 1
    size = np.abs(seen.flux)
    return {
        "jd": seen.jd,
        "diffmaglim": seen.diffmaglim,
        "ra": seen.ra,
        "dec": seen.dec,
        "magpsf": seen.magpsf,
        "sigmapsf": seen.sigmapsf,
        "magap": seen.magpsf + 0.3 * seen.sigmapsf,
        "sigmagap": 1.5 * seen.sigmapsf,
        "magapbig": seen.magpsf - 0.5 * seen.sigmapsf,
        "sigmagapbig": 2.0 * seen.sigmapsf,
        "magdiff": 0.3 * seen.sigmapsf,
        "magfromlim": seen.diffmaglim - seen.magpsf,
        "scorr": size / seen.flux_err,
        "distnr": of.distnr[row, second],
        "magnr": of.magnr[row, second],
        "sigmagnr": of.sigmagnr[row, second],
        "ranr": of.ra[row],
        "decnr": of.dec[row],
        "fwhm": seen.fwhm,
        "elong": seen.elong,
        "rb": seen.rb,
        "drb": seen.drb,
        "exptime": EXPOSURE_SECONDS,
        "sgscore1": of.sgscore[row],
        "distpsnr1": of.distpsnr[row],
        "jdstarthist": of.jd_first[row],
        "jdendhist": seen.jd,
        "jdstartref": of.jd_reference[row] - 660.0,
        "jdendref": of.jd_reference[row],
        "magzpsci": FORCED_ZERO_POINT,
        "forcediffimflux": seen.flux * 10.0 ** ((FORCED_ZERO_POINT - ZERO_POINT) / 2.5),
        "forcediffimfluxunc": seen.flux_err * 10.0 ** ((FORCED_ZERO_POINT - ZERO_POINT) / 2.5),
    }


def _integers(alerts: Alerts, seen: Visits, row: IntArray, n_entries: IntArray) -> dict[str, ArrayLike]:
    """Of visits (R,), first those of the alerts, of which n_entries (A,) counts the entries."""
    of, n = alerts.of, len(n_entries)
    no_entries = np.zeros(len(row) - n, np.int64)
    entries_here = np.concatenate((n_entries, no_entries))
    is_detection = seen.is_detection[n:]
    detections = np.concatenate((np.bincount(alerts.entry_alert, is_detection, minlength=n).astype(np.int64), no_entries))
    return {
        "fid": seen.fid,
        "pid": seen.candid // 10**10 * 10**4 + of.rcid[row] * 100 + 15,
        "programid": 1,
        "candid": seen.candid,
        "isdiffpos": np.where(seen.flux > 0.0, ord("t"), ord("f")),
        "nid": replay_sky.night_numbers(seen.day),
        "rcid": of.rcid[row],
        "field": FIELD_NUMBER + of.field[row],
        "nbad": seen.nbad,
        "ndethist": 1 + detections,
        "ncovhist": 1 + entries_here,
        "n_history": entries_here,
        "n_forced": entries_here,
    }


def _table(columns: Mapping[str, ArrayLike], names: Sequence[str], n_rows: int, kind: type) -> NDArray[Any]:
    table: NDArray[Any] = np.empty((len(names), n_rows), kind)
    for i, name in enumerate(names):
        table[i] = columns[name]
    return table
