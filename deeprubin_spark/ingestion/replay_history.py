"""The warehouse that a replayed night meets: the light curves of the objects known before it.

lightcurve_base has one row an object with one point a measurement: a detection from its own packet, a limit from the packet of the next detection.
Nights that are to stay unfolded lie in lightcurve_segments instead, with every copy that their packets' histories hold.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from deeprubin_spark import arrow
from deeprubin_spark.bands import ZTF_FILTER_IDS
from deeprubin_spark.errors import UsageError
from deeprubin_spark.ingestion import replay_light_curves as light_curves
from deeprubin_spark.ingestion import replay_sky
from deeprubin_spark.ingestion.replay_light_curves import Objects, Visits
from deeprubin_spark.ingestion.replay_sky import IntArray, Sky
from deeprubin_spark.kernels import nights, photometry, sky
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import LIGHTCURVE_BASE, LIGHTCURVE_SEGMENTS
from deeprubin_spark.schemas.contract import Table
from deeprubin_spark.schemas.packed_points import point_columns
from deeprubin_spark.settings import LightCurveSettings

SURVEY = "ztf"
_OBJECTS_A_FILE = 10_000  # of about 40 MB
_POINTS = LIGHTCURVE_BASE.column("points")
_UNIX_EPOCH_MJD = 40587
_LETTERS = pa.array([ZTF_FILTER_IDS.get(i) for i in range(max(ZTF_FILTER_IDS) + 1)], pa.string())

MakeRows = Callable[[IntArray], pa.RecordBatch]


class Chosen(NamedTuple):
    """Points of B objects, those of an object together: visit [row, column], the packet that told it, and the MJD of that packet's night."""

    row: IntArray
    column: IntArray
    packet_id: IntArray
    known_day: IntArray


def unfolded_nights(on: Sky, count: int) -> tuple[dt.date, ...]:
    """The last nights of the history; UsageError where it has fewer."""
    if not 0 <= count <= on.first_day - on.history_begin:
        raise UsageError(f"unfolded nights: expected 0 to {on.first_day - on.history_begin}, the nights of the history, found {count}")
    return tuple(on.first_night - dt.timedelta(days=i) for i in range(count, 0, -1))


def write(run: Run, on: Sky, unfolded: Sequence[dt.date]) -> None:
    """Replace survey 'ztf' of lightcurve_base by the sky's history, but for the unfolded nights, which become lightcurve_segments."""
    _check_warehouse(run)
    settings = run.settings.lightcurves
    folded_before = replay_sky.mjd_of(min([on.first_night, *unfolded]))

    def base_of(numbers: IntArray) -> pa.RecordBatch:
        return base_rows(on, numbers, folded_before, settings)

    run.replace_slice(LIGHTCURVE_BASE, _frame(run, on, LIGHTCURVE_BASE, base_of), nights=None, survey=SURVEY)
    for night in unfolded:

        def segments_of(numbers: IntArray, night: dt.date = night) -> pa.RecordBatch:
            return segment_rows(on, numbers, night, settings)

        run.replace_slice(LIGHTCURVE_SEGMENTS, _frame(run, on, LIGHTCURVE_SEGMENTS, segments_of), nights=(night,), survey=SURVEY)
    run.counts["objects"] = run.warehouse.read(LIGHTCURVE_BASE, survey=SURVEY).count()
    run.counts["segments"] = run.warehouse.read(LIGHTCURVE_SEGMENTS, survey=SURVEY, nights=unfolded).count()


def base_rows(on: Sky, numbers: IntArray, folded_before: int, settings: LightCurveSettings) -> pa.RecordBatch:
    """lightcurve_base rows of objects (B,), of the nights before the MJD `folded_before`, sorted by healpix."""
    of = light_curves.objects(on, numbers)
    visits = light_curves.visits(on, of, replay_sky.history_days(on, of.field))
    n_visits = visits.jd.shape[1]
    at = np.where(visits.is_detection, np.arange(n_visits), n_visits)
    told_by = np.minimum.accumulate(at[:, ::-1], axis=1)[:, ::-1]  # the visit itself, or the next detection
    is_told = told_by < n_visits
    told_by = np.minimum(told_by, n_visits - 1)
    packet_jd, packet_day, packet = (np.take_along_axis(values, told_by, axis=1) for values in (visits.jd, visits.day, visits.candid))
    is_told &= (packet_jd - visits.jd < replay_sky.HISTORY_DAYS) & (packet_day < folded_before)
    row, column = np.nonzero(is_told)
    chosen = Chosen(row, column, packet[row, column].astype(np.int64), packet_day[row, column].astype(np.int64))
    alerted = visits.is_detection & (visits.day < folded_before)
    return _sorted(
        _of_objects(of, visits, alerted) | _last_nights(visits, alerted) | _point_lists(of, visits, chosen, settings), LIGHTCURVE_BASE
    )


def segment_rows(on: Sky, numbers: IntArray, night: dt.date, settings: LightCurveSettings) -> pa.RecordBatch:
    """lightcurve_segments rows that a night's packets would give for those of the objects (B,) which it alerts on, sorted by healpix."""
    day = replay_sky.mjd_of(night)
    numbers = numbers[replay_sky.is_observed(day)[replay_sky.fields(on, numbers)]]
    of = light_curves.objects(on, numbers)
    days = replay_sky.history_days(on, of.field)
    days = np.ascontiguousarray(days[:, np.all((days <= day) & (days >= day - replay_sky.HISTORY_DAYS), axis=0)])
    visits = light_curves.visits(on, of, days)
    alerted = visits.is_detection & (visits.day == day)
    touched = np.flatnonzero(alerted.any(axis=1))
    of, visits, alerted = Objects._make(values[touched] for values in of), visits.at(touched), alerted[touched]
    chosen = _of_packets(visits, alerted, day)
    own = {
        "night": pa.array(np.full(len(touched), day - _UNIX_EPOCH_MJD, np.int32)).cast(pa.date32()),
        "n_alerts": pa.array(alerted.sum(axis=1), pa.int32()),
        "rb_max": pa.array(np.max(np.where(alerted, visits.rb, 0.0), axis=1, initial=0.0), pa.float32()),
        "drb_max": pa.array(np.max(np.where(alerted, visits.drb, 0.0), axis=1, initial=0.0), pa.float32()),
        "star_score": pa.array(of.sgscore),
        "star_distance": pa.array(of.distpsnr),
    }
    return _sorted(_of_objects(of, visits, alerted) | own | _point_lists(of, visits, chosen, settings), LIGHTCURVE_SEGMENTS)


def _of_packets(visits: Visits, alerted: NDArray[np.bool_], day: int) -> Chosen:
    """The points of all packets of a night: each packet's own detection and its history, sorted by time and packet."""
    n_visits = visits.jd.shape[1]
    packets = range(max(0, n_visits - replay_sky.VISITS), n_visits)  # the night's visits are the last
    told = [
        alerted[:, p : p + 1] & (light_curves.in_history(visits.jd, visits.jd[:, p : p + 1]) | (np.arange(n_visits) == p)) for p in packets
    ]
    row, column, packet = np.nonzero(np.stack(told, axis=2)) if told else (np.zeros(0, np.int64),) * 3
    return Chosen(row, column, visits.candid[row, packet + packets.start], np.full(len(row), day))


def _of_objects(of: Objects, visits: Visits, alerted: NDArray[np.bool_]) -> dict[str, Any]:
    """Columns that both tables have; the position is that of the object's latest alert."""
    each = np.arange(len(of.number))
    latest = visits.jd.shape[1] - 1 - np.argmax(alerted[:, ::-1], axis=1) if len(each) else each
    ra, dec = visits.ra[each, latest], visits.dec[each, latest]
    names = pa.array(of.name.view("S12").ravel().astype("U12"), pa.string())
    return {
        "survey": pa.array(np.full(len(each), SURVEY), pa.string()),
        "object_id": names,
        "ra": pa.array(ra),
        "dec": pa.array(dec),
        "healpix": pa.array(sky.healpix(ra, dec)),
    }


def _last_nights(visits: Visits, alerted: NDArray[np.bool_]) -> dict[str, Any]:
    """The latest night with an alert, of each object."""
    days = np.where(alerted, visits.day, 0).max(axis=1, initial=0) - _UNIX_EPOCH_MJD
    return {"last_night": pa.array(days.astype(np.int32)).cast(pa.date32())}


def _point_lists(of: Objects, visits: Visits, chosen: Chosen, settings: LightCurveSettings) -> dict[str, Any]:
    """The columns of points, as build_lightcurves makes it of the packets."""
    seen = visits.at(chosen.row, chosen.column)
    is_limit = ~seen.is_detection
    is_own = seen.is_detection & (seen.candid == chosen.packet_id)
    fields = {
        "exposure_mjd": pa.array(seen.jd - nights.MJD_ZERO_JD),
        "mjd": pa.array(nights.mid_exposure_mjd(seen.jd, np.full(len(seen.jd), np.nan))),
        "band": pc.take(_LETTERS, pa.array(seen.fid)),
        "kind": pc.if_else(pa.array(is_limit), "limit", "detection"),
        "source_id": pa.array(seen.candid, mask=is_limit),
        "packet_id": pa.array(chosen.packet_id),
        "known_night": pa.array((chosen.known_day - _UNIX_EPOCH_MJD).astype(np.int32)).cast(pa.date32()),
        "limit_njy": pa.array(photometry.limit_njy(seen.diffmaglim.astype(np.float64))),
        "ra": pa.array(seen.ra, mask=is_limit),
        "dec": pa.array(seen.dec, mask=is_limit),
        "rb": pa.array(seen.rb, mask=is_limit),
        "drb": pa.array(seen.drb, mask=~is_own),
        "cuts_failed": _cuts_failed(seen, is_limit, settings),
        **_fluxes(of, seen, chosen.row, settings),
    }
    return point_columns(fields, _list_offsets(chosen.row, len(of.number)), _POINTS)


def _fluxes(of: Objects, seen: Visits, row: IntArray, settings: LightCurveSettings) -> dict[str, pa.Array]:
    """Fluxes of the published magnitudes, NULL for limits; seen holds the points, row their objects."""
    magpsf, sigmapsf = (np.where(seen.is_detection, values, np.nan).astype(np.float64) for values in (seen.magpsf, seen.sigmapsf))
    distnr, magnr, sigmagnr = (values[row, seen.fid - 1].astype(np.float64) for values in (of.distnr, of.magnr, of.sigmagnr))
    is_positive = seen.flux > 0.0
    flux, flux_err = photometry.signed_flux_njy(magpsf, sigmapsf, is_positive)
    apparent, apparent_err = photometry.apparent_flux_njy(magpsf, sigmapsf, is_positive, magnr, sigmagnr, settings.apparent_flux_policy)
    valid = photometry.reference_is_valid(distnr, magnr, magpsf, of.jd_reference[row], of.jd_first[row])
    return {
        "flux_njy": arrow.nullable(flux, pa.float64()),
        "flux_err_njy": arrow.nullable(flux_err, pa.float64()),
        "apparent_flux_njy": arrow.nullable(np.where(valid, apparent, np.nan), pa.float64()),
        "apparent_flux_err_njy": arrow.nullable(np.where(valid, apparent_err, np.nan), pa.float64()),
    }


def _cuts_failed(seen: Visits, is_limit: NDArray[np.bool_], settings: LightCurveSettings) -> pa.Array:
    return arrow.names_where(
        {
            "rb": ~is_limit & (seen.rb.astype(np.float64) < settings.min_rb),
            "nbad": ~is_limit & (seen.nbad > settings.max_bad_pixels),
            "fwhm": ~is_limit & (seen.fwhm.astype(np.float64) > settings.max_fwhm),
            "elong": ~is_limit & (seen.elong.astype(np.float64) > settings.max_elongation),
        }
    )


def _list_offsets(row: IntArray, n_rows: int) -> IntArray:
    """(n_rows + 1,) where the lists begin whose elements belong to rows `row`, which ascend."""
    return np.searchsorted(row, np.arange(n_rows + 1)).astype(np.int64)


def _sorted(columns: dict[str, Any], table: Table) -> pa.RecordBatch:
    """The table's rows sorted by healpix; a column that is not given is NULL."""
    rows = arrow.rows_of(columns, table.arrow_schema(), len(columns["object_id"]))
    pixels = columns["healpix"].to_numpy()
    is_sorted = bool(np.all(pixels[1:] >= pixels[:-1]))  # as the objects' numbers are, unless two of them are closer than their errors
    return rows if is_sorted else rows.take(pa.array(np.argsort(pixels, kind="stable")))


def _frame(run: Run, on: Sky, table: Table, rows_of: MakeRows) -> DataFrame:
    """The table's rows of all known objects, a file's objects in one task."""
    n_files = max(1, -(-on.n_known // _OBJECTS_A_FILE))

    def rows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield rows_of(batch.column(0).to_numpy())

    return run.session.range(0, on.n_known, 1, n_files).mapInArrow(rows, table.spark_schema())


def _check_warehouse(run: Run) -> None:
    """UsageError where real light curves would be replaced."""
    source = F.expr("element_at(filter(points, p -> p.source_id IS NOT NULL), 1).source_id")
    for row in run.warehouse.read(LIGHTCURVE_BASE, survey=SURVEY).select("object_id", source.alias("source")).take(1):
        if not replay_sky.is_replayed(row["object_id"], row["source"]):
            raise UsageError(
                f"{run.warehouse.identifier(LIGHTCURVE_BASE)} holds light curves that no replay made, such as that of {row['object_id']}; "
                "give the replay a warehouse of its own: --set warehouse.path=..."
            )
