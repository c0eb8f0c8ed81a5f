"""Archives to rows: the one Python pass from packets of bytes to alerts, each with what became of it.

Every packet gives one row with an `outcome`: kept, quarantined, excluded (programme not asked for) or other_night (in a source without a
date). Beside them each source gives a row 'source' with the number of its packets, and one 'archive' where the archive itself is damaged.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyspark.sql import types as t

from deeprubin_spark.bands import ZTF_FILTER_IDS
from deeprubin_spark.ingestion.archive import Source
from deeprubin_spark.ingestion.columns import alert_columns, cutout_columns, is_missing
from deeprubin_spark.ingestion.decode import Alert, BadPacketError, decode
from deeprubin_spark.ingestion.inflate import ArchiveBytes
from deeprubin_spark.ingestion.tar import LARGEST_PACKET, Damage, Member, members
from deeprubin_spark.kernels.nights import ztf_night
from deeprubin_spark.schemas import ALERTS_ZTF, CUTOUTS, QUARANTINE
from deeprubin_spark.schemas.contract import Column

_ALERTS_A_BATCH = 128
_BYTES_A_BATCH = 16 << 20
_PAYLOAD = 1 << 20  # [byte] of a quarantined packet that is stored
_REQUIRED = ("jd", "fid", "ra", "dec", "programid")

# What a row says besides the columns of its table. `sequence` numbers the packets of a source; in a row 'source' it is how many there are.
_ABOUT = (
    Column("outcome", "string", doc="What became of the packet"),
    Column("ordinal", "int", doc="Position of the source in the list of sources"),
    Column("sequence", "long", doc="Position of the packet in its source"),
)
_QUARANTINED = tuple(QUARANTINE.column(name) for name in ("n_bytes", "reason", "detail", "payload"))
_STAMPS = tuple(CUTOUTS.column(name) for name in ("science", "template", "difference"))
ROW: tuple[Column, ...] = tuple(replace(c, required=False) for c in (*_ABOUT, *ALERTS_ZTF.columns, *_STAMPS, *_QUARANTINED))
ROW_ARROW = pa.schema([c.arrow_field() for c in ROW])
ROW_SPARK = t.StructType([c.spark_field() for c in ROW])

Batches = Iterable[pa.RecordBatch]


@dataclass(frozen=True)
class Wanted:
    """What is kept: packets of these nights and programmes, stamps if `cutouts` is 'keep'. Bad ones without a night get `first_night`."""

    nights: frozenset[dt.date]
    first_night: dt.date
    programids: frozenset[int]
    cutouts: str


class _Place(NamedTuple):
    """Where a packet came from."""

    source: Source
    sequence: int
    member: str
    byte_offset: int
    n_bytes: int
    payload: bytes


def read_packets(tasks: Sequence[Sequence[Source]], wanted: Wanted) -> Callable[[Batches], Batches]:
    """A `mapInArrow` function: from rows that hold a position in `tasks` to rows of `ROW`, in batches of bounded size."""

    def generate(batches: Batches) -> Batches:
        for batch in batches:
            for position in batch.column(0).to_pylist():
                for source in tasks[position]:
                    yield from _source(source, wanted)

    return generate


def _source(source: Source, wanted: Wanted) -> Batches:
    rows = _Rows(wanted)
    sequence = 0
    for packet in _packets(source):
        if isinstance(packet, Damage):
            rows.add_light("archive", _Place(source, sequence, "", packet.byte_offset, source.n_bytes, b""), packet.reason, packet.detail)
            continue
        place = _Place(source, sequence, packet.name, packet.byte_offset, packet.n_bytes, packet.payload)
        sequence += rows.add(place)
        if rows.full:
            yield from rows.flush()
    rows.add_light("source", _Place(source, sequence, "", 0, source.n_bytes, b""))
    yield from rows.flush()


def _packets(source: Source) -> Iterator[Member | Damage]:
    if source.files:
        for name in source.files:
            path = Path(source.path) / name
            with path.open("rb") as file:
                yield Member(name, 0, path.stat().st_size, file.read(LARGEST_PACKET))
        return
    damage: Damage | None = None
    with open(source.path, "rb") as file:
        archive = ArchiveBytes(file)
        for member in members(archive):
            if isinstance(member, Damage):
                damage = member
            else:
                yield member
        found = archive.md5() if source.md5 else ""
    if found != source.md5:
        mismatch = f"MD5SUMS expects {source.md5}, found {found}"
        damage = damage._replace(detail=f"{damage.detail}; {mismatch}") if damage else Damage("wrong_checksum", 0, mismatch)
    if damage:
        yield damage


class _Rows:
    """Rows that wait for their batch. Kept alerts wait decoded, with their bytes, in case one of them does not fit its columns."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._kept: list[tuple[_Place, dt.date, Alert]] = []
        self._light: list[dict[str, Any]] = []
        self._n_bytes = 0

    @property
    def full(self) -> bool:
        return len(self._kept) + len(self._light) >= _ALERTS_A_BATCH or self._n_bytes >= _BYTES_A_BATCH

    def add(self, place: _Place) -> int:
        """Decode a packet and say what becomes of each alert in it. Returns how many packets it counts for."""
        try:
            if len(place.payload) < place.n_bytes:
                raise BadPacketError("decode_failed", f"expected at most {LARGEST_PACKET} bytes, found {place.n_bytes}")
            alerts = decode(place.payload)
            if not alerts:
                raise BadPacketError("missing_field", "the packet holds no alert")
        except BadPacketError as error:
            self.add_light("quarantined", place, error.reason, error.detail)
            return 1
        for i, alert in enumerate(alerts):
            self._add_alert(place._replace(sequence=place.sequence + i), alert)
        return len(alerts)

    def _add_alert(self, place: _Place, alert: Alert) -> None:
        try:
            outcome, night = _judged(alert, place.source.night, self._wanted)
        except BadPacketError as error:
            self.add_light("quarantined", place, error.reason, error.detail)
            return
        if outcome != "kept":
            self.add_light(outcome, place, night=night)
            return
        self._kept.append((place, night, alert))
        self._n_bytes += place.n_bytes

    def add_light(
        self, outcome: str, place: _Place, reason: str | None = None, detail: str | None = None, *, night: dt.date | None = None
    ) -> None:
        """A row without an alert. Only a quarantined packet keeps its bytes."""
        payload = place.payload[:_PAYLOAD] if outcome == "quarantined" else None
        self._light.append(
            {
                "outcome": outcome,
                "ordinal": place.source.ordinal,
                "sequence": place.sequence,
                "night": night or place.source.night or self._wanted.first_night,
                "source": place.source.name,
                "member": place.member,
                "byte_offset": place.byte_offset,
                "n_bytes": place.n_bytes,
                "reason": reason,
                "detail": detail,
                "payload": payload,
            }
        )
        self._n_bytes += len(payload or b"")

    def flush(self) -> Batches:
        """The waiting rows, as at most three batches."""
        if self._kept:
            yield from self._kept_batches()
        if self._light:
            yield pa.RecordBatch.from_pylist(self._light, ROW_ARROW)
        self._kept, self._light, self._n_bytes = [], [], 0

    def _kept_batches(self) -> Batches:
        try:
            yield _kept_batch(self._kept, self._wanted)
            return
        except (pa.ArrowException, ValueError, TypeError, KeyError, AttributeError, OverflowError):
            fitting = [row for row in self._kept if self._fits(row)]  # one of them does not fit: which?
        if fitting:
            yield _kept_batch(fitting, self._wanted)

    def _fits(self, row: tuple[_Place, dt.date, Alert]) -> bool:
        try:
            _kept_batch([row], self._wanted)
        except (pa.ArrowException, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            self.add_light("quarantined", row[0], "decode_failed", f"a field is not what its column holds: {type(error).__name__}: {error}")
            return False
        return True


def _kept_batch(rows: Sequence[tuple[_Place, dt.date, Alert]], wanted: Wanted) -> pa.RecordBatch:
    places, nights, alerts = zip(*rows, strict=True)
    columns = alert_columns(alerts)
    if wanted.cutouts == "keep":
        columns |= cutout_columns(alerts)
    columns |= {
        "outcome": pa.array(["kept"] * len(rows)),
        "ordinal": pa.array([p.source.ordinal for p in places], pa.int32()),
        "sequence": pa.array([p.sequence for p in places], pa.int64()),
        "night": pa.array(nights, pa.date32()),
        "source": pa.array([p.source.name for p in places]),
        "member": pa.array([p.member for p in places]),
        "byte_offset": pa.array([p.byte_offset for p in places], pa.int64()),
    }
    arrays = [columns[field.name] if field.name in columns else pa.nulls(len(rows), field.type) for field in ROW_ARROW]
    return pa.RecordBatch.from_arrays(arrays, schema=ROW_ARROW)


def _judged(alert: Alert, archive_night: dt.date | None, wanted: Wanted) -> tuple[str, dt.date]:
    """Outcome and night of a decoded alert. BadPacketError where it fails a hard check."""
    night = _night(_checked(alert))
    if alert["candidate"]["programid"] not in wanted.programids:
        return "excluded", archive_night or night
    if archive_night is not None and night != archive_night:
        raise BadPacketError("wrong_night", f"the archive's name says {archive_night}, jd {alert['candidate']['jd']:.5f} is of {night}")
    return ("kept" if night in wanted.nights else "other_night"), night


def _checked(alert: Alert) -> float:
    """The jd of an alert that has what every alert must have."""
    candidate = alert.get("candidate") if isinstance(alert, dict) else None
    if not isinstance(candidate, dict):
        raise BadPacketError("missing_field", f"candidate: expected a record, found {type(candidate).__name__}")
    values: dict[str, Any] = {name: alert.get(name) for name in ("candid", "objectId")} | {name: candidate.get(name) for name in _REQUIRED}
    missing = [name for name, value in values.items() if is_missing(value)]
    if missing:
        raise BadPacketError("missing_field", f"expected a value, found none: {', '.join(missing)}")
    try:
        jd, ra, dec, fid = float(values["jd"]), float(values["ra"]), float(values["dec"]), values["fid"]
    except (TypeError, ValueError) as error:
        raise BadPacketError("bad_value", f"jd, ra, dec: expected numbers: {error}") from error
    if fid not in ZTF_FILTER_IDS:
        raise BadPacketError("bad_value", f"fid: expected one of {', '.join(str(known) for known in ZTF_FILTER_IDS)}, found {fid}")
    if not (2.4e6 < jd < 2.6e6 and -0.01 <= ra <= 360.01 and abs(dec) <= 90.0):
        raise BadPacketError("bad_value", f"expected jd of this century and a position, found jd {jd}, ra {ra}, dec {dec}")
    return jd


def _night(jd: float) -> dt.date:
    """UT date of `jd`, which has been checked."""
    night: dt.date = ztf_night(np.array([jd]))[0].item()
    return night
