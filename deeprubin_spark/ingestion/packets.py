"""Archives to rows: the one Python pass from packets of bytes to alerts, each with what became of it.

Every packet gives one row with an `outcome`: kept, quarantined, excluded (programme not asked for) or other_night (in a source without a
date). Beside them each source gives a row 'source' with the number of its packets, and one 'archive' where the archive itself is damaged.
Kept alerts themselves travel as 'batch' rows, many alerts in each as one Arrow batch, because Spark keeps and copies bytes for a tenth of what
it costs to take a row of a hundred columns apart: `unpack` makes them rows again where they are written.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import types as t

from deeprubin_spark import arrow
from deeprubin_spark.bands import ZTF_FILTER_IDS
from deeprubin_spark.ingestion.archive import Source
from deeprubin_spark.ingestion.columns import WANTED, WANTED_STAMPS, Misfits, alert_columns, cutout_columns, has_candidate
from deeprubin_spark.ingestion.decode import PACKET_SHIFT, Bad, Decoded, Decoder
from deeprubin_spark.ingestion.reading import read
from deeprubin_spark.ingestion.tar import Damage
from deeprubin_spark.kernels.nights import ztf_night
from deeprubin_spark.schemas import ALERTS_ZTF, CUTOUTS, QUARANTINE
from deeprubin_spark.schemas.contract import Column

_PAYLOAD = 1 << 20  # [byte] of a quarantined packet that is stored
_REQUIRED = ("candid", "objectId", "jd", "fid", "ra", "dec", "programid")
_OUTCOMES = pa.array(["kept", "excluded", "other_night"])
_KEPT, _EXCLUDED, _OTHER_NIGHT = range(3)

# `sequence` orders the alerts of a source; in a row 'source' it is how many packets there are.
_ORDER = (
    Column("ordinal", "int", doc="Position of the source in the list of sources"),
    Column("sequence", "long", doc="Order of the packet in its source"),
)
ROW: tuple[Column, ...] = (
    Column("outcome", "string", doc="What became of the packet"),
    *_ORDER,
    Column("night", "date", doc="Night of the packet, or else of its source"),
    Column("candid", "long", doc="Alert id, of kept alerts"),
    *(Column(c.name, c.type, doc=c.doc) for c in QUARANTINE.columns if c.name not in ("survey", "night")),
    Column("alerts", "binary", doc="Kept alerts as one Arrow batch"),
)
ROW_ARROW = pa.schema([c.arrow_field() for c in ROW])
ROW_SPARK = t.StructType([c.spark_field() for c in ROW])
STAMPS = tuple(CUTOUTS.column(name) for name in ("science", "template", "difference"))
ALERT: tuple[Column, ...] = (*_ORDER, *ALERTS_ZTF.columns, *STAMPS)
_ALERT_ARROW = pa.schema([c.arrow_field() for c in ALERT])

Batches = Iterable[pa.RecordBatch]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Wanted:
    """What is kept: packets of these nights and programmes, stamps if `cutouts` is 'keep'. Bad ones without a night get `first_night`."""

    nights: frozenset[dt.date]
    first_night: dt.date
    programids: frozenset[int]
    cutouts: str


def read_packets(tasks: Sequence[Sequence[Source]], wanted: Wanted) -> Callable[[Batches], Batches]:
    """A `mapInArrow` function: from rows that hold a position in `tasks` to rows of `ROW`, in batches of bounded size."""

    def generate(batches: Batches) -> Batches:
        for batch in batches:
            for position in batch.column(0).to_pylist():
                for source in tasks[position]:
                    yield from _Rows(source, wanted).batches()

    return generate


def unpack(names: Sequence[str]) -> Callable[[Batches], Batches]:
    """A `mapInArrow` function: from rows that hold `ROW`'s `alerts` to the alerts' columns called `names`."""

    def generate(batches: Batches) -> Batches:
        for batch in batches:
            for packed in batch.column(0):
                yield pa.ipc.read_record_batch(packed.as_buffer(), _ALERT_ARROW).select(list(names))

    return generate


def alert_type(names: Sequence[str]) -> t.StructType:
    """The Spark type of what `unpack` gives."""
    columns = {c.name: c for c in ALERT}
    return t.StructType([columns[name].spark_field() for name in names])


class _Rows:
    """The rows of one source."""

    def __init__(self, source: Source, wanted: Wanted) -> None:
        self._source, self._wanted = source, wanted
        self._n_packets = 0

    def batches(self) -> Iterator[pa.RecordBatch]:
        decoder = Decoder(WANTED + WANTED_STAMPS if self._wanted.cutouts == "keep" else WANTED)
        for found in read(self._source, decoder):
            if isinstance(found, Damage):
                yield _light([self._about("archive", 0, found.byte_offset, self._source.n_bytes, found.reason, found.detail)])
            elif isinstance(found, Bad):
                yield _light([self._bad(found)])
            else:
                yield from self._decoded(found)
        for rest in decoder.flush():
            yield from self._decoded(rest)
        yield _light([self._about("source", self._n_packets, 0, self._source.n_bytes)])

    def _about(
        self, outcome: str, sequence: int, byte_offset: int, n_bytes: int, reason: str | None = None, detail: str | None = None
    ) -> dict[str, Any]:
        night = self._source.night or self._wanted.first_night
        about = {"outcome": outcome, "ordinal": self._source.ordinal, "sequence": sequence, "night": night, "source": self._source.name}
        return about | {"member": "", "byte_offset": byte_offset, "n_bytes": n_bytes, "reason": reason, "detail": detail}

    def _bad(self, bad: Bad) -> dict[str, Any]:
        """The quarantine row of a packet, or of a part of a container that holds others that are good."""
        self._n_packets += 1
        packets, i = bad.packets, bad.index
        sequence = packets.first + i << PACKET_SHIFT
        row = self._about("quarantined", sequence, int(packets.byte_offsets[i]), int(packets.n_bytes[i]), bad.reason, bad.detail)
        name = packets.names[i].as_py()
        return row | {"member": f"{name}, byte {bad.byte}" if bad.byte else name, "payload": packets.payload(i, _PAYLOAD)}

    def _decoded(self, decoded: Decoded) -> Iterator[pa.RecordBatch]:
        self._n_packets += decoded.n_rows
        misfits = Misfits(decoded.n_rows)
        columns = alert_columns(decoded, misfits)
        judged = _Judgement(columns, has_candidate(decoded), self._source.night, self._wanted, misfits)
        pieces, indices, records = decoded.origins()
        firsts = np.array([packets.first for packets in decoded.packets])
        sequences = (firsts[pieces] + indices << PACKET_SHIFT) + records
        columns |= {"ordinal": _repeated(self._source.ordinal, decoded.n_rows, pa.int32()), "sequence": pa.array(sequences)}
        columns |= {"night": pa.array(judged.nights), "source": _repeated(self._source.name, decoded.n_rows, pa.string())}
        yield _narrow(columns, judged)
        for row, (reason, detail) in judged.problems.items():
            self._n_packets -= 1
            bad = Bad(decoded.packets[pieces[row]], int(indices[row]), 0, reason, detail)
            yield _light([self._bad(bad) | {"sequence": int(sequences[row])}])
        kept = judged.outcomes == _KEPT
        if kept.any():
            columns |= {"member": _taken([p.names for p in decoded.packets], pieces, indices)}
            columns |= {"byte_offset": _taken([pa.array(p.byte_offsets) for p in decoded.packets], pieces, indices)}
            if self._wanted.cutouts == "keep":
                columns |= cutout_columns(decoded)
            yield _packed(columns, kept)


class _Judgement:
    """What becomes of N alerts: `outcomes` (N,) positions in `_OUTCOMES` or -1, `nights` (N,) datetime64[D], and for -1 why."""

    def __init__(
        self, columns: dict[str, pa.Array], has_record: Flags, archive_night: dt.date | None, wanted: Wanted, misfits: Misfits
    ) -> None:
        jd, ra, dec = (arrow.floats(columns[name]) for name in ("jd", "ra", "dec"))
        absent = {name: ~_is_there(columns[name]) for name in _REQUIRED}
        is_missing = np.logical_or.reduce(list(absent.values()))
        has_filter = np.isin(arrow.floats(columns["fid"]), list(ZTF_FILTER_IDS))
        is_sane = (jd > 2.4e6) & (jd < 2.6e6) & (ra >= -0.01) & (ra <= 360.01) & (np.abs(dec) <= 90.0)
        nights = ztf_night(np.where(is_sane, jd, np.nan)).astype("datetime64[D]")
        usable = ~is_missing & has_filter & is_sane
        promised = None if archive_night is None else np.datetime64(archive_night)
        excluded = usable & ~np.isin(arrow.floats(columns["programid"]), list(wanted.programids))
        wrong = usable & ~excluded & (nights != promised) if promised is not None else np.zeros(len(jd), np.bool_)
        asked = np.isin(nights, np.array(sorted(wanted.nights), "datetime64[D]"))
        self.nights = np.where(excluded, promised, nights) if promised is not None else nights
        self.outcomes = np.where(excluded, _EXCLUDED, np.where(asked, _KEPT, _OTHER_NIGHT))
        self.problems: dict[int, tuple[str, str]] = {}
        for row in np.flatnonzero(~usable | wrong).tolist():
            values = {"fid": columns["fid"][row].as_py(), "jd": jd[row], "ra": ra[row], "dec": dec[row]}
            self.problems[row] = (
                ("wrong_night", f"the archive's name says {archive_night}, jd {jd[row]:.5f} is of {nights[row]}")
                if wrong[row]
                else _problem(bool(has_record[row]), [name for name in _REQUIRED if absent[name][row]], bool(has_filter[row]), values)
            )
        for row, said in misfits.rows.items():
            if self.outcomes[row] == _KEPT and row not in self.problems:
                self.problems[row] = "decode_failed", f"a field is not what its column holds: {said}"
        self.outcomes[list(self.problems)] = -1


def _problem(has_record: bool, missing: list[str], has_filter: bool, values: dict[str, Any]) -> tuple[str, str]:
    """Reason and detail of an alert that does not have what every alert must have."""
    if not has_record:
        return "missing_field", "candidate: expected a record, found none"
    if missing:
        return "missing_field", f"expected a value, found none: {', '.join(missing)}"
    if not has_filter:
        return "bad_value", f"fid: expected one of {', '.join(str(known) for known in ZTF_FILTER_IDS)}, found {values['fid']}"
    return "bad_value", f"expected jd of this century and a position, found jd {values['jd']}, ra {values['ra']}, dec {values['dec']}"


def _is_there(column: pa.Array) -> Flags:
    return np.asarray(pc.is_valid(column).to_numpy(zero_copy_only=False), np.bool_)


def _repeated(value: object, n_rows: int, kind: pa.DataType) -> pa.Array:
    return pa.repeat(pa.scalar(value, kind), n_rows)


def _taken(arrays: Sequence[pa.Array], pieces: NDArray[np.int64], indices: NDArray[np.int64]) -> pa.Array:
    """Value indices[i] of arrays[pieces[i]] for each i."""
    begins = np.cumsum([0, *(len(array) for array in arrays)])
    return pa.concat_arrays(arrays).take(pa.array(begins[pieces] + indices))


def _narrow(columns: dict[str, pa.Array], judged: _Judgement) -> pa.RecordBatch:
    """A row for each alert that is not quarantined, without the alert."""
    chosen = np.flatnonzero(judged.outcomes >= 0)
    found = {name: columns[name].take(pa.array(chosen)) for name in ("ordinal", "sequence", "night", "candid")}
    found["outcome"] = _OUTCOMES.take(pa.array(judged.outcomes[chosen]))
    return arrow.rows_of(found, ROW_ARROW, len(chosen))


def _packed(columns: dict[str, pa.Array], kept: Flags) -> pa.RecordBatch:
    """One row that holds all kept alerts."""
    batch = arrow.rows_of(columns, _ALERT_ARROW, len(kept))
    if not kept.all():
        batch = batch.filter(pa.array(kept))
    packed = batch.serialize()
    alerts = pa.Array.from_buffers(pa.binary(), 1, [None, pa.py_buffer(np.array([0, packed.size], np.int32)), packed])
    return arrow.rows_of({"outcome": pa.array(["batch"]), "alerts": alerts}, ROW_ARROW, 1)


def _light(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, ROW_ARROW)
