"""The files of a replayed night: bare payloads in Parquet, or the survey's tar archives.

Each file is a task's own: it is written as a stream under another name and then renamed, so the same night again replaces the same files.
"""

from __future__ import annotations

import datetime as dt
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from isal import igzip

from deeprubin_spark.errors import UsageError
from deeprubin_spark.ingestion import replay_packets, replay_sky, replay_templates
from deeprubin_spark.ingestion.replay_templates import Templates
from deeprubin_spark.kernels.packet_splice import varint
from deeprubin_spark.runs import Run

FORMS = ("payloads", "tar")
SCHEMA_KEY = "avro.schema"  # of the file's metadata: text of the writer's schema
_NAMES = {"payloads": "ztf_payloads_{night:%Y%m%d}_{number:03d}.parquet", "tar": "ztf_public_{night:%Y%m%d}_{number:03d}.tar.gz"}
_OBJECTS_A_FILE = {"payloads": 10_000, "tar": 2_000}  # 13,000 and 2,600 alerts, of about 35 and 130 MB
_OBJECTS_A_BATCH = 1_500  # 2,000 alerts: a row group
_STAMPED_A_BATCH = 150  # 10 MB
_FILE_ROW = pa.schema([("file", pa.string()), ("alerts", pa.int64()), ("known", pa.int64()), ("bytes", pa.int64())])


@dataclass(frozen=True)
class Night:
    """A night to write: `alerts` of them, `known_fraction` of its objects known before, from the packets at `templates`, into the folder `out`."""

    sky: replay_sky.Sky
    night: dt.date
    alerts: int
    known_fraction: float
    form: str
    templates: str
    out: str

    @property
    def n_files(self) -> int:
        """How many files the night has."""
        return max(1, -(-replay_sky.n_touched(self.alerts) // _OBJECTS_A_FILE[self.form]))

    def path(self, number: int) -> Path:
        """Where a file of the night is written."""
        return Path(self.out) / _NAMES[self.form].format(night=self.night, number=number)

    def objects(self, number: int) -> tuple[int, int]:
        """First and last (not included) of the touched objects whose alerts are in a file."""
        n = replay_sky.n_touched(self.alerts)
        return number * n // self.n_files, (number + 1) * n // self.n_files


def check(night: Night) -> None:
    """UsageError where the night cannot be replayed, or the folder holds other files of it; NoInputError where there are no templates."""
    replay_sky.check_night(night.sky, night.night, night.alerts, night.known_fraction)
    replay_templates.load(night.templates)
    own = {night.path(number) for number in range(night.n_files)}
    there = set(Path(night.out).glob(_NAMES[night.form].format(night=night.night, number=0).replace("_000", "_*")))
    if there - own:
        raise UsageError(f"{min(there - own)}: another replay of {night.night} is in this folder; remove it, or give another --out")


def write(run: Run, night: Night) -> None:
    """Write the night's files, one task each, and count them in the run's ledger."""
    Path(night.out).mkdir(parents=True, exist_ok=True)
    numbers = run.session.range(0, night.n_files, 1, night.n_files)
    kinds = "file string, alerts long, known long, bytes long"
    rows = numbers.mapInArrow(_written(night), kinds).collect()  # one row a file: bounded
    for name in ("alerts", "known", "bytes"):
        run.counts[name] = run.counts.get(name, 0) + sum(row[name] for row in rows)
    run.counts["files"] = run.counts.get("files", 0) + len(rows)


def write_file(night: Night, number: int) -> dict[str, object]:
    """Write one file of the night; returns its name, alerts, alerts on known objects, and bytes."""
    templates = replay_templates.load(night.templates)
    path = night.path(number)
    write = _write_payloads if night.form == "payloads" else _write_archive
    with _replacing(path) as file:
        alerts, known = write(night, templates, *night.objects(number), file)
    return {"file": path.name, "alerts": alerts, "known": known, "bytes": path.stat().st_size}


def _written(night: Night) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def written(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                yield pa.RecordBatch.from_pylist([write_file(night, number)], _FILE_ROW)

    return written


def _write_payloads(night: Night, templates: Templates, first: int, last: int, file: BinaryIO) -> tuple[int, int]:
    schema = pa.schema([pa.field("payload", pa.binary(), nullable=False)], metadata={SCHEMA_KEY: templates.schema})
    options = {"compression": "zstd", "compression_level": 1, "use_dictionary": False, "write_statistics": False}
    n_alerts = n_known = 0
    with pq.ParquetWriter(file, schema, **options) as writer:
        for alerts in _batches(night, first, last, _OBJECTS_A_BATCH):
            writer.write_batch(pa.record_batch([replay_packets.payloads(replay_packets.bare(alerts, templates))], schema=schema))
            n_alerts, n_known = n_alerts + len(alerts.row), n_known + _n_known(alerts)
    return n_alerts, n_known


def _write_archive(night: Night, templates: Templates, first: int, last: int, file: BinaryIO) -> tuple[int, int]:
    n_alerts = n_known = 0
    with igzip.IGzipFile(filename="", mode="wb", fileobj=file, compresslevel=1, mtime=0) as archive:
        for alerts in _batches(night, first, last, _STAMPED_A_BATCH):
            packets = replay_packets.stamped(alerts, templates)
            archive.write(b"".join(_members(packets, templates)))
            n_alerts, n_known = n_alerts + len(alerts.row), n_known + _n_known(alerts)
        archive.write(bytes(2 * tarfile.BLOCKSIZE))
    return n_alerts, n_known


def _members(packets: replay_packets.Packets, templates: Templates) -> Iterator[bytes | memoryview]:
    """Tar headers and members `{candid}.avro`: containers of one block with one record."""
    content = packets.content.data
    for candid, begin, end in zip(packets.candid.tolist(), packets.offsets[:-1].tolist(), packets.offsets[1:].tolist(), strict=True):
        block = varint(1) + varint(end - begin)
        member = tarfile.TarInfo(f"{candid}.avro")
        member.size = len(templates.header) + len(block) + end - begin + len(templates.sync)
        yield member.tobuf(tarfile.USTAR_FORMAT)
        yield templates.header + block
        yield content[begin:end]
        yield templates.sync + bytes(-member.size % tarfile.BLOCKSIZE)


def _batches(night: Night, first: int, last: int, size: int) -> Iterator[replay_packets.Alerts]:
    for begin in range(first, last, size):
        end = min(begin + size, last)
        touched = replay_sky.touched(night.sky, night.night, night.alerts, night.known_fraction, begin, end)
        yield replay_packets.alerts_of(night.sky, night.night, touched)


def _n_known(alerts: replay_packets.Alerts) -> int:
    return int(np.sum(alerts.of.number[alerts.row] < replay_sky.NEW_OBJECTS))


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the name `path` when the block ends well, and else is gone."""
    handle, name = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
