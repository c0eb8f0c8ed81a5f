"""The night on a real standalone cluster, submitted as a cluster's user does, is the night on one machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deeprubin_spark.schemas import RUNS
from deeprubin_spark.tables import Warehouse
from tests import standalone
from tests.conftest import QUICK_START, settings_at
from tests.e2e import nights

CHECKOUT = Path(__file__).resolve().parents[2]


def submit(master: str, package: Path, job: str, *arguments: str) -> subprocess.CompletedProcess:
    """spark-submit with the package as a zip and the jars from the local cache instead of Maven Central; in a directory without the package."""
    jars = f"{os.environ['DEEPRUBIN_JARS']}/*"
    command = [str(Path(sys.executable).parent / "spark-submit"), "--master", master, "--driver-memory", "1g"]
    command += ["--properties-file", str(CHECKOUT / "conf" / "spark-defaults.conf"), "--py-files", str(package)]
    settings = {"jars.packages": "", "driver.extraClassPath": jars, "executor.extraClassPath": jars, "executor.memory": "1g"}
    settings |= {"driver.extraJavaOptions": QUICK_START, "executor.extraJavaOptions": QUICK_START}
    command += [word for key, value in settings.items() for word in ("--conf", f"spark.{key}={value}")]
    command += [str(CHECKOUT / "jobs" / f"{job}.py"), *arguments]
    environment = nights.environment() | {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=package.parent, check=False)


@pytest.mark.cluster
def test_a_night_submitted_to_two_workers_is_the_same_as_locally(spark, small_archive, undisturbed, tmp_path):
    package = tmp_path / "deeprubin_spark.zip"
    subprocess.run([sys.executable, str(CHECKOUT / "infra" / "zip_package.py"), str(package)], check=True)
    flags = nights.flags(tmp_path, f"ingest.archive=[{small_archive}]")
    with standalone.running(tmp_path / "cluster") as master:
        done = submit(master, package, "nightly", "--nights", nights.SMALL_NIGHTS, *flags)
    assert done.returncode == 0, done.stderr
    executors = list((tmp_path / "cluster").glob("work-*/app-*/*/stderr"))
    assert {path.parts[-4] for path in executors} == {"work-1", "work-2"}, "both workers ran an executor"
    night = Warehouse(spark, settings_at(tmp_path).warehouse).read(RUNS).where("job = 'nightly'").first()
    assert night["core_seconds"] > 10.0, "the driver's JVM is counted, though it is no child of the driver"
    assert nights.content(Warehouse(spark, settings_at(tmp_path).warehouse), nights.EVERY) == undisturbed
