"""One Spark session for all tests that need one, small Arrow batches so that batch edges show, and warehouses in temporary directories."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from deeprubin_spark import runs
from deeprubin_spark import settings as settings_module
from deeprubin_spark import spark as spark_module
from deeprubin_spark.schemas import TABLES
from deeprubin_spark.tables import Warehouse

DATA = Path(__file__).parent / "data"
ZTF_ARCHIVE = DATA / "ztf" / "archive"


# A test's session lives too short to repay the second-stage JIT compiler, which would take most of two cores.
# For JVMs that do little: no second compiler, which would cost more than it gives, and room for what the first one compiles.
QUICK_START = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m -XX:+UseSerialGC"
SMALL_SESSION = [
    "spark.master=local[2]",
    "spark.driver_memory=1g",
    "spark.shuffle_partitions=2",
    f"spark.java_options={QUICK_START}",
]


# The tests' own session runs thousands of queries of a few rows over wide tables: generating code for each would take half the time.
# Some jobs that tests start in processes of their own do generate code, as a user's do, and must write the same rows.
INTERPRETED = 'spark.conf={"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN", "spark.sql.adaptive.enabled": "false"}'


@pytest.fixture(scope="session")
def spark():
    os.environ.setdefault("DEEPRUBIN_JARS", str(Path.home() / ".cache" / "deeprubin" / "jars" / "4.1.1"))
    resolved = settings_module.load(overrides=[*SMALL_SESSION, INTERPRETED, "spark.arrow_batch_rows=7"], environ={})
    with spark_module.session(resolved.spark, "tests") as session:
        yield session


@pytest.fixture(scope="session")
def empty_warehouse(spark, tmp_path_factory):
    """A directory with every table, empty: made once, because a table with its checks is several commits."""
    resolved = settings_at(tmp_path_factory.mktemp("empty"))
    warehouse = Warehouse(spark, resolved.warehouse)
    for table in TABLES:
        warehouse.create(table)
    return Path(resolved.warehouse.path)


@pytest.fixture
def settings(tmp_path, empty_warehouse):
    """Settings of a warehouse of its own, with empty tables, which takes the carried archive."""
    shutil.copytree(empty_warehouse, tmp_path / "warehouse")
    return settings_at(tmp_path)


@pytest.fixture
def warehouse(spark, settings):
    return Warehouse(spark, settings.warehouse)


@pytest.fixture
def new_run(spark, settings, warehouse):
    """A function that makes a Run of a job for some nights."""

    def make(job: str, *nights, survey: str = "ztf") -> runs.Run:
        return runs.Run(job, survey, tuple(nights), settings, spark, warehouse)

    return make


def settings_at(directory: Path, *overrides: str):
    """Settings with all places inside `directory`."""
    return settings_module.load(overrides=[*places(directory), *overrides], environ={})


def places(directory: Path) -> list[str]:
    """--set values that put the warehouse and the reports into `directory` and take the carried archive."""
    return [f"warehouse.path={directory / 'warehouse'}", f"report.path={directory / 'reports'}", f"ingest.archive=[{ZTF_ARCHIVE}]"]
