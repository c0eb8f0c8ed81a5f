"""The only builder of Spark sessions. Nothing else in the package calls SparkSession.builder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyspark
from pyspark.sql import SparkSession

from deeprubin_spark.errors import ConfigError
from deeprubin_spark.schemas import TABLES
from deeprubin_spark.settings import SparkSettings

# Set on every session, wherever it runs.
_ALWAYS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.databricks.delta.schema.autoMerge.enabled": "false",
    "spark.sql.parquet.compression.codec": "zstd",
    # Most slices are of one partition: a task need not sort its rows before it writes them.
    "spark.sql.maxConcurrentOutputFileWriters": "2",
    # A light curve is some thousand bytes: so few of them at a time stay in the processor's cache.
    "spark.sql.parquet.columnarReaderBatchSize": "512",
    "spark.sql.columnVector.offheap.enabled": "true",
    # An object's rows stay in one task: a join never splits a partition. Partitions are cut small and joined to a fitting size as they are read,
    # so that a task holds the same amount of a large night as of a small one.
    "spark.sql.adaptive.skewJoin.enabled": "false",
    "spark.sql.adaptive.coalescePartitions.initialPartitionNum": "256",
    # A stage over more columns than this is too much code for one Java method: Spark would write it, fail to compile it, and say so at length.
    "spark.sql.codegen.maxFields": "40",
    # Of the history only rows of touched objects are shuffled, however small the one and large the other.
    "spark.sql.optimizer.runtime.bloomFilter.enabled": "true",
    "spark.sql.optimizer.runtime.bloomFilter.creationSideThreshold": "1TB",
    "spark.sql.optimizer.runtime.bloomFilter.applicationSideScanSizeThreshold": "1MB",
}
# How Parquet is written; for each session, because Spark takes no such names at its start. Most values are measurements, no two alike: trying a
# dictionary first would double the cost of writing them. Nobody reads the histograms of levels that newer versions count beside each column.
_PARQUET = {
    "parquet.compression.codec.zstd.level": "1",
    "parquet.enable.dictionary": "false",
    "parquet.size.statistics.enabled": "false",
}
# Set only where we start the driver's JVM ourselves, i.e. not under spark-submit, Databricks or Connect.
_LOCAL = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # Delta's defaults are for clusters: 50 tasks a log replay, 10,000 a listing.
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "4",
    # Parquet buffers a whole row group per open file: 128 MiB does not fit a small heap.
    "spark.hadoop.parquet.block.size": str(32 * 1024 * 1024),
    "spark.sql.inMemoryColumnarStorage.batchSize": "1000",
}
_REPEATING = ("string", "date", "byte", "boolean")
# Spark asks whether a value is there before it reads it, and reads within its batch: Arrow need not check both again for each value.
_UNCHECKED = "-Darrow.enable_unsafe_memory_access=true -Darrow.enable_null_check_for_get=false"
_QUIET = Path(__file__).with_name("log4j2.properties")
# Kernels are single-threaded by contract: the cores belong to Spark's tasks.
_WORKER_ENVIRONMENT = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@contextmanager
def session(settings: SparkSettings, name: str) -> Iterator[SparkSession]:
    """A session for the job called `name`; an active one is used as it is and left running."""
    active = SparkSession.getActiveSession()
    if active is not None:
        yield active
        return
    spark = _builder(settings, name).getOrCreate()
    for key, value in (_PARQUET | {f"parquet.enable.dictionary#{path}": "true" for path in _repeating()}).items():
        spark.conf.set(key, value)
    try:
        yield spark
    finally:
        spark.stop()


def _builder(settings: SparkSettings, name: str) -> SparkSession.Builder:
    builder = SparkSession.builder.appName(f"deeprubin {name}")
    conf = dict(_ALWAYS)
    conf["spark.sql.shuffle.partitions"] = str(settings.shuffle_partitions)
    conf["spark.sql.execution.arrow.maxRecordsPerBatch"] = str(settings.arrow_batch_rows)
    for variable in _WORKER_ENVIRONMENT:
        conf[f"spark.executorEnv.{variable}"] = "1"
    if _starts_its_own_jvm():
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        conf |= _LOCAL | {"spark.driver.memory": settings.driver_memory, "spark.master": settings.master or "local[*]"}
        options = (f"-Dlog4j2.configurationFile={_QUIET.as_uri()}", _UNCHECKED, settings.java_options)
        conf["spark.driver.extraJavaOptions"] = " ".join(options).strip()
        class_path = _class_path(settings)
        if class_path:
            conf["spark.driver.extraClassPath"] = class_path
            conf["spark.executor.extraClassPath"] = class_path
    for key, value in (conf | settings.conf).items():
        builder = builder.config(key, value)
    return builder


def _repeating() -> set[str]:
    """Parquet paths of the columns whose values repeat: names, flags and dates."""
    paths = set()
    for table in TABLES:
        for column in table.columns:
            paths |= {f"{column.name}.list.element.{field.name}" for field in column.fields if field.type in _REPEATING}
            if column.type in _REPEATING:
                paths.add(column.name)
    return paths


def _starts_its_own_jvm() -> bool:
    """False under spark-submit (it made the gateway already) and on Databricks (it made the session already)."""
    return "PYSPARK_GATEWAY_PORT" not in os.environ and "DATABRICKS_RUNTIME_VERSION" not in os.environ


def _class_path(settings: SparkSettings) -> str:
    """The jars named by the setting, the environment, or else those that `make setup` fetched; '' where Spark has them already."""
    named = settings.jars or os.environ.get("DEEPRUBIN_JARS", "")
    directory = Path(named) if named else _fetched_jars()
    if not named and not directory.is_dir():
        return ""
    if not any(directory.glob("delta-spark_*.jar")):
        raise ConfigError(f"spark.jars: expected the Delta jars in {directory}, found none; `make setup` fetches them")
    return f"{directory.resolve()}/*"


def _fetched_jars() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "deeprubin" / "jars" / pyspark.__version__
