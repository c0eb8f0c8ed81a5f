"""The run log: every run of every job leaves one row in `runs`, whether it ended well or not."""

from __future__ import annotations

import datetime as dt
import json
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from deeprubin_spark import __version__, cpu_time
from deeprubin_spark.errors import DeepRubinError
from deeprubin_spark.schemas import RUNS
from deeprubin_spark.schemas.contract import Table
from deeprubin_spark.settings import Settings
from deeprubin_spark.tables import Warehouse


@dataclass
class Run:
    """One run in progress. `counts` is its ledger; steps fill it. Reads and writes through it are recorded with their Delta versions."""

    job: str
    survey: str
    nights: tuple[dt.date, ...]
    settings: Settings
    session: SparkSession
    warehouse: Warehouse
    parent_run_id: str | None = None
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    counts: dict[str, int] = field(default_factory=dict)
    inputs: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)
    model_version: str | None = None
    seconds: float = 0.0
    core_seconds: float = 0.0

    def step(self, job: str, nights: tuple[dt.date, ...], survey: str) -> Run:
        """A run of another job as a step of this one: it has this one as parent, and a ledger of its own."""
        return replace(
            self,
            job=job,
            nights=nights,
            survey=survey,
            parent_run_id=self.run_id,
            run_id=uuid.uuid4().hex,
            counts={},
            inputs={},
            outputs={},
        )

    def read(self, table: Table, *, survey: str = "", nights: Sequence[dt.date] | None = None) -> DataFrame:
        """`Warehouse.read`, recorded."""
        frame = self.warehouse.read(table, survey=survey, nights=nights)
        self.inputs[table.name] = self.warehouse.version(table)
        return frame

    def replace_slice(self, table: Table, frame: DataFrame, *, nights: Sequence[dt.date] | None, **fixed: str) -> None:
        """`Warehouse.replace_slice`, recorded."""
        self.outputs[table.name] = self.warehouse.replace_slice(table, frame, self.run_id, nights=nights, **fixed)

    def merge_by_key(self, table: Table, frame: DataFrame) -> None:
        """`Warehouse.merge_by_key`, recorded."""
        self.outputs[table.name] = self.warehouse.merge_by_key(table, frame, self.run_id)


@contextmanager
def record(run: Run) -> Iterator[Run]:
    """Time the block and append its row to `runs`; an error is recorded and raised again."""
    clock = cpu_time.of_this_job()
    started_at, begin, cores = _now(), time.perf_counter(), clock.look()
    status, exit_code, message = "done", 0, None
    try:
        with clock.ticking():
            yield run
    except BaseException as error:
        status, message = "failed", f"{type(error).__name__}: {error}"[:4000]
        exit_code = error.exit_code if isinstance(error, DeepRubinError) else 1
        raise
    finally:
        run.seconds = time.perf_counter() - begin
        run.core_seconds = clock.look() - cores
        _append(run, started_at, status, exit_code, message)


def stale_nights(warehouse: Warehouse, survey: str) -> tuple[dt.date, ...]:
    """Nights whose features are older than the light curves of a night before them, in order."""
    done = warehouse.read(RUNS, survey=survey).where("status = 'done'").withColumn("night", F.explode("nights"))
    latest = done.groupBy("job", "night").agg(F.max("started_at").alias("started_at"))
    built = latest.where("job = 'build_lightcurves'").select(F.col("night").alias("earlier"), F.col("started_at").alias("built_at"))
    computed = latest.where("job = 'extract_features'")
    stale = computed.join(built, (F.col("earlier") < F.col("night")) & (F.col("built_at") > F.col("started_at")))
    return tuple(row["night"] for row in stale.select("night").distinct().orderBy("night").collect())  # one row a night: bounded


def _append(run: Run, started_at: dt.datetime, status: str, exit_code: int, message: str | None) -> None:
    row = {
        "run_id": run.run_id,
        "job": run.job,
        "parent_run_id": run.parent_run_id,
        "survey": run.survey,
        "nights": list(run.nights),
        "status": status,
        "exit_code": exit_code,
        "message": message,
        "started_at": started_at,
        "finished_at": _now(),
        "seconds": run.seconds,
        "core_seconds": run.core_seconds,
        "counts": run.counts,
        "inputs": run.inputs,
        "outputs": run.outputs,
        "model_version": run.model_version,
        "code_version": __version__,
        "settings_hash": run.settings.fingerprint(),
        "settings": json.dumps(run.settings.model_dump(mode="json")),
    }
    frame = run.session.createDataFrame([tuple(row[name] for name in RUNS.names)], RUNS.spark_schema())
    run.warehouse.append(RUNS, frame, run.run_id)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.timezone.utc)
