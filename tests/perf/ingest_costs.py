"""What reading alerts costs, in core-microseconds an alert, CPU time of the whole process tree: `python -m tests.perf.ingest_costs [alerts] [copies]`.

Each function measures one thing and returns its cost; `main` prints them all. What runs in Spark is measured on two sizes of a night, ours and the
peer alike, and its cost is what one more alert adds (`clock.slope`): the pool is written `copies` times, each with other alert ids.
"""

from __future__ import annotations

import datetime as dt
import io
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import fastavro
import numpy as np
import pyarrow as pa

from deeprubin_spark import settings as settings_module
from deeprubin_spark import spark as spark_module
from deeprubin_spark.ingestion import archive, night
from deeprubin_spark.ingestion.columns import WANTED
from deeprubin_spark.ingestion.decode import Decoded, Decoder
from deeprubin_spark.ingestion.inflate import ArchiveBytes
from deeprubin_spark.ingestion.packets import Batches
from deeprubin_spark.ingestion.reading import read
from deeprubin_spark.ingestion.tar import members
from deeprubin_spark.kernels.avro_decode import Blocks, Columns, Room, decode
from deeprubin_spark.kernels.avro_program import compile_schema
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import ALERTS_ZTF, QUARANTINE
from deeprubin_spark.schemas.alerts import HISTORY
from deeprubin_spark.tables import Warehouse
from tests.perf.alert_pool import NIGHT, Pool
from tests.perf.clock import Slope, cheapest, slope

LIGHT_CURVE = (
    "objectId", "candid", "candidate.jd", "candidate.fid", "candidate.magpsf", "candidate.sigmapsf", "candidate.diffmaglim",
    "candidate.isdiffpos", "candidate.ra", "candidate.dec", "candidate.rb", "candidate.drb", "candidate.magnr", "candidate.sigmagnr",
    "candidate.distnr", "candidate.sgscore1", "candidate.distpsnr1", "prv_candidates.jd", "prv_candidates.fid", "prv_candidates.magpsf",
    "prv_candidates.sigmapsf", "prv_candidates.diffmaglim", "prv_candidates.isdiffpos", "prv_candidates.candid", "prv_candidates.magnr",
    "prv_candidates.sigmagnr",
)  # fmt: skip
_FEW_RUNS = 2  # of a night that is written, which takes a while
_NIGHT = dt.datetime.strptime(NIGHT, "%Y%m%d").date()


def kernel(pool: Pool, wanted: tuple[str, ...] | None) -> tuple[float, float]:
    """The compiled loop alone, and fastavro, on bodies without stamps."""
    bodies = pool.bodies(pool.bare)
    data = np.frombuffer(b"".join(bodies), np.uint8)
    ends = np.cumsum([len(body) for body in bodies])
    blocks = Blocks(data, np.concatenate([[0], ends[:-1]]), ends, np.ones(len(ends), np.int64))
    program = compile_schema(pool.schema, wanted)
    room = Room(program, np.full(program.n_tables, 40 * len(bodies)), np.where(program.stored < 0, 1 << 22, 0))
    ours = cheapest(lambda: decode(Columns(room), blocks, 0, {}), len(bodies))
    some = bodies[:200]
    theirs = cheapest(lambda: [fastavro.schemaless_reader(io.BytesIO(body), pool.schema, None) for body in some], len(some), runs=3)
    return ours, theirs


def tar(path: Path, n_alerts: int) -> tuple[float, float]:
    """Walking a tar.gz, every byte inflated, and what tarfile takes over gzip."""

    def ours() -> None:
        with path.open("rb") as file:
            assert sum(1 for _ in members(ArchiveBytes(file))) == n_alerts

    def theirs() -> None:
        with tarfile.open(path, "r:gz") as found:
            assert sum(len(found.extractfile(member).read()) > 0 for member in found) == n_alerts

    return cheapest(ours, n_alerts, runs=4), cheapest(theirs, n_alerts, runs=3)


def decoded(path: Path, n_alerts: int, wanted: tuple[str, ...] = WANTED) -> float:
    """A source to decoded columns, in this process."""

    def work() -> None:
        decoder = Decoder(wanted)
        (source,) = archive.sources([str(path)], [_NIGHT])
        n = sum(found.n_rows for found in read(source, decoder) if isinstance(found, Decoded))
        assert n + sum(found.n_rows for found in decoder.flush()) == n_alerts

    return cheapest(work, n_alerts, runs=4)


class Session:
    """Spark as the jobs have it, two cores."""

    def __init__(self, *overrides: str) -> None:
        self.place = Path(tempfile.mkdtemp())
        values = [
            "spark.master=local[2]",
            "spark.driver_memory=2g",
            "spark.shuffle_partitions=4",
            f"warehouse.path={self.place / 'warehouse'}",
        ]
        self.settings = settings_module.load(overrides=[*values, *overrides], environ={})
        self._context = spark_module.session(self.settings.spark, "costs")
        self.spark = self._context.__enter__()

    def close(self) -> None:
        self._context.__exit__(None, None, None)
        shutil.rmtree(self.place)

    def in_spark(self, paths: list[Path], n_alerts: int, wanted: tuple[str, ...] = LIGHT_CURVE) -> Slope:
        """Decoding in tasks that read the sources themselves; what comes out is counted. `n_alerts` are in each path."""

        def work(some: Sequence[Path]) -> None:
            tasks = archive.in_tasks(archive.sources([str(path) for path in some], [_NIGHT]), 8)
            frame = self.spark.range(0, len(tasks), 1, len(tasks)).mapInArrow(_counted(tasks, wanted), "n long")
            assert sum(row["n"] for row in frame.collect()) == n_alerts * len(some)

        return slope(work, paths, n_alerts)

    def ingested(self, paths: list[Path], n_alerts: int) -> Slope:
        """The whole step: read, decode, check, write alerts_ztf with its ledger. `n_alerts` are in each path."""
        warehouse = Warehouse(self.spark, self.settings.warehouse)
        for table in (ALERTS_ZTF, QUARANTINE):
            warehouse.create(table)

        def work(some: Sequence[Path]) -> None:
            run = Run("ingest_archive", "ztf", (_NIGHT,), self.settings, self.spark, warehouse)
            night.ingest(run, archive.sources([str(path) for path in some], [_NIGHT]))
            assert run.counts["kept"] == n_alerts * len(some), run.counts

        return slope(work, paths, n_alerts, _FEW_RUNS)

    def by_spark_avro(self, paths: list[Path], n_alerts: int) -> Slope:
        """Spark's own reader: the same fields of containers, appended to a Delta table; no check, no ledger, no quarantine."""
        target = str(self.place / "by_spark_avro")
        (entry,) = (f.dataType.elementType for f in self.spark.read.format("avro").load(str(paths[0])).schema if f.name == "prv_candidates")
        history = ", ".join(f"'{c.name}', p.{c.name}" for c in HISTORY if c.name in entry.names)

        def work(some: Sequence[Path]) -> None:
            frame = self.spark.read.format("avro").load([str(path) for path in some])
            entries = f"transform(prv_candidates, p -> named_struct({history})) AS prv_candidates"
            frame = frame.selectExpr("objectId", "schemavsn", "publisher", "candidate.*", entries)
            frame.write.format("delta").mode("append").save(target)

        return slope(work, paths, n_alerts, _FEW_RUNS)


def _counted(tasks: Sequence[Sequence[archive.Source]], wanted: tuple[str, ...]) -> Callable[[Batches], Batches]:
    """A `mapInArrow` function: from positions in `tasks` to how many alerts each of their sources has, all of them decoded."""

    def generate(batches: Batches) -> Batches:
        for batch in batches:
            for position in batch.column(0).to_pylist():
                for source in tasks[position]:
                    decoder = Decoder(wanted)
                    n = sum(found.n_rows for found in read(source, decoder) if isinstance(found, Decoded))
                    yield pa.record_batch({"n": [n + sum(found.n_rows for found in decoder.flush())]})

    return generate


def main(n: int = 1500, copies: int = 80) -> None:
    pool = Pool(n)
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        for name, wanted in (("26 fields", LIGHT_CURVE), ("alerts_ztf", WANTED), ("everything", None)):
            ours, theirs = kernel(pool, wanted)
            print(f"kernel, {name}: {ours:.1f}, fastavro {theirs:.0f}, {theirs / ours:.0f} x", flush=True)
        archived = [pool.write_tar(place / f"ztf_public_{NIGHT}_{i}.tar.gz", i) for i in range(5)]
        ours, theirs = tar(archived[0], n)
        print(
            f"tar.gz read: {ours:.0f}, tarfile {theirs:.0f}, {theirs / ours:.2f} x; and decoded {decoded(archived[0], n):.0f}", flush=True
        )
        containers, payloads = [], []
        for i in range(copies):
            bodies = pool.bodies(pool.bare, i)
            containers.append(pool.write_container(place / f"a{i}.avro", bodies))
            payloads.append(pool.write_payloads(place / f"ztf_payloads_{NIGHT}_{i}.parquet", bodies))
        print(f"decoded in process: container {decoded(containers[0], n):.1f}, payloads {decoded(payloads[0], n):.1f}", flush=True)
        for name, cost in in_spark(n, containers, payloads, archived):
            print(f"{name}: {cost.each:.1f} an alert, {cost.fixed_core_s:.1f} core-s a job", flush=True)


def in_spark(n: int, containers: list[Path], payloads: list[Path], archived: list[Path]) -> Iterator[tuple[str, Slope]]:
    """Everything that needs a session."""
    session = Session()
    try:
        yield "spark, 26 fields, containers", session.in_spark(containers, n)
        yield "spark, 26 fields, payloads", session.in_spark(payloads, n)
        yield "ingest, containers", session.ingested(containers, n)
        yield "ingest, payloads", session.ingested(payloads, n)
        yield "ingest, tar.gz", session.ingested(archived, n)
        yield "spark-avro, containers", session.by_spark_avro(containers, n)
    finally:
        session.close()


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
