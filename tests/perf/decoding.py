"""Alerts from bytes to columns and to a Delta table, beside tarfile, fastavro and Spark's own Avro reader.

What runs in Spark is measured as what one more alert costs, ours and the peer's alike, after the JVM has warmed up (`clock.slope`); what a job costs
besides, however small its night, stands beside it. A peer writes the same fields with the same writer, and nothing more: it has no ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.avro.functions import from_avro

from tests.perf import ingest_costs
from tests.perf.clock import Slope, slope
from tests.perf.ingest_costs import LIGHT_CURVE
from tests.perf.rows import Measured, Row
from tests.perf.workplace import N_POOL, Workplace


def read_archive(place: Workplace) -> Measured:
    """Every member of a tar.gz, all bytes of it."""
    ours, theirs = ingest_costs.tar(place.archives[0], N_POOL)
    return Measured(ours, N_POOL, theirs)


def decode_kernel(place: Workplace) -> Measured:
    """The compiled loop alone."""
    ours, theirs = ingest_costs.kernel(place.pool, LIGHT_CURVE)
    return Measured(ours, N_POOL, theirs)


def decode_containers(place: Workplace) -> Measured:
    """Tasks that open the containers themselves."""

    def theirs(some: Sequence[Path]) -> None:
        _consume(_wanted(place.session.spark.read.format("avro").load([str(path) for path in some])))

    return _measured(place.session.in_spark(place.containers, N_POOL), place.containers, slope(theirs, place.containers, N_POOL))


def decode_payloads(place: Workplace) -> Measured:
    """Tasks that open the Parquet files of bodies themselves, beside `from_avro` on the column Spark reads."""

    def theirs(some: Sequence[Path]) -> None:
        bodies = place.session.spark.read.parquet(*map(str, some))
        alert = from_avro("payload", place.pool.text).alias("alert")
        _consume(_wanted(bodies.select(alert).select("alert.*")))

    return _measured(place.session.in_spark(place.payloads, N_POOL), place.payloads, slope(theirs, place.payloads, N_POOL))


def ingest_containers(place: Workplace) -> Measured:
    """The whole step of the night, with its checks and its ledger."""
    ours = place.session.ingested(place.containers, N_POOL)
    return _measured(ours, place.containers, place.session.by_spark_avro(place.containers, N_POOL))


def ingest_payloads(place: Workplace) -> Measured:
    """The same from bare bodies."""
    return _measured(place.session.ingested(place.payloads, N_POOL), place.payloads)


def ingest_archive(place: Workplace) -> Measured:
    """The same from tar.gz files with cutouts, which are read over."""
    return _measured(place.session.ingested(place.archives, N_POOL), place.archives)


def _measured(ours: Slope, paths: Sequence[Path], peer: Slope | None = None) -> Measured:
    """What one more alert costs; what a job costs beside that is told among the figures of accuracy."""
    fixed = {"core-s a job": ours.fixed_core_s} | ({"peer core-s a job": peer.fixed_core_s} if peer else {})
    return Measured(ours.each, N_POOL * len(paths), peer.each if peer else None, fixed)


def _wanted(alerts: DataFrame) -> DataFrame:
    """The fields of `LIGHT_CURVE` that the packets have: schemas before 3.3 have no drb."""
    known = set(alerts.columns)
    known |= {f"candidate.{name}" for name in alerts.select("candidate.*").columns}
    known |= {f"prv_candidates.{name}" for name in alerts.select(F.explode("prv_candidates").alias("p")).select("p.*").columns}
    return alerts.selectExpr(*(f"{name} AS {name.replace('.', '_')}" for name in LIGHT_CURVE if name in known))


def _consume(frame: DataFrame) -> None:
    frame.write.format("noop").mode("overwrite").save()


ROWS = (
    Row("read_archive", "read a tar.gz with cutouts", "alert", read_archive, "tarfile", 150.0, 1.6),
    Row("decode_kernel", "decode 26 fields, kernel", "alert", decode_kernel, "fastavro", None, 50.0),
    Row("decode_containers", "decode 26 fields in Spark, containers", "alert", decode_containers, "spark-avro", 25.0),
    Row("decode_payloads", "decode 26 fields in Spark, bare payloads", "alert", decode_payloads, "from_avro", 50.0),
    Row("ingest_containers", "all candidate and history fields to Delta, containers", "alert", ingest_containers, "spark-avro", 180.0, 2.0),
    Row("ingest_payloads", "all candidate and history fields to Delta, bare payloads", "alert", ingest_payloads),
    Row("ingest_archive", "all candidate and history fields to Delta, tar.gz with cutouts", "alert", ingest_archive),
)
