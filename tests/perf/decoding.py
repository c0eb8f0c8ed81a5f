"""Alerts from bytes to columns and to a Delta table, beside tarfile, fastavro and Spark's own Avro reader."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.avro.functions import from_avro

from tests.perf import ingest_costs
from tests.perf.clock import cheapest, process_tree_seconds
from tests.perf.ingest_costs import LIGHT_CURVE
from tests.perf.rows import Measured, Row
from tests.perf.workplace import N_POOL, Workplace


def read_archive(place: Workplace) -> Measured:
    """Every member of a tar.gz, all bytes of it."""
    ours, theirs = ingest_costs.tar(place.archive, N_POOL)
    return Measured(ours, N_POOL, theirs)


def decode_kernel(place: Workplace) -> Measured:
    """The compiled loop alone."""
    ours, theirs = ingest_costs.kernel(place.pool, LIGHT_CURVE)
    return Measured(ours, N_POOL, theirs)


def decode_containers(place: Workplace) -> Measured:
    """Tasks that open the containers themselves."""

    def theirs() -> None:
        _consume(_wanted(place.session.spark.read.format("avro").load([str(path) for path in place.containers])))

    peer = cheapest(theirs, place.n_alerts, process_tree_seconds)
    return Measured(place.session.in_spark(place.containers, place.n_alerts), place.n_alerts, peer)


def decode_payloads(place: Workplace) -> Measured:
    """Tasks that open the Parquet files of bodies themselves, beside `from_avro` on the column Spark reads."""

    def theirs() -> None:
        bodies = place.session.spark.read.parquet(*map(str, place.payloads))
        alert = from_avro("payload", place.pool.text).alias("alert")
        _consume(_wanted(bodies.select(alert).select("alert.*")))

    peer = cheapest(theirs, place.n_alerts, process_tree_seconds)
    return Measured(place.session.in_spark(place.payloads, place.n_alerts), place.n_alerts, peer)


def ingest_containers(place: Workplace) -> Measured:
    """The whole step of the night, with its checks and its ledger."""
    ours = place.session.ingested(place.containers, place.n_alerts)
    return Measured(ours, place.n_alerts, place.session.by_spark_avro(place.containers, place.n_alerts))


def ingest_payloads(place: Workplace) -> Measured:
    """The same from bare bodies."""
    return Measured(place.session.ingested(place.payloads, place.n_alerts), place.n_alerts)


def ingest_archive(place: Workplace) -> Measured:
    """The same from a tar.gz with cutouts, which are read over."""
    return Measured(place.session.ingested([place.archive], N_POOL), N_POOL)


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
