"""A night survives kill -9 of its driver in any step, and another driver beside it."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from deeprubin_spark.tables import Warehouse
from tests.conftest import ZTF_ARCHIVE, settings_at
from tests.e2e import nights

STEPS = ("ingest_archive", "build_lightcurves", "extract_features", "score_night", "report_night")
CARRIED = ("20190619", "20190623", "20200202")
RANGE = ("--nights", "2019-06-19:2020-02-02")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return nights.archive_of(tmp_path_factory.mktemp("archive"), ZTF_ARCHIVE, *CARRIED)


@pytest.fixture(scope="module")
def undisturbed(spark, archive, tmp_path_factory):
    """Content of the nights after one run that nothing disturbed."""
    directory = tmp_path_factory.mktemp("undisturbed")
    done = nights.run("nightly", *RANGE, *nights.flags(directory, f"ingest.archive=[{archive}]"))
    assert done.returncode == 0, done.stderr
    return nights.content(Warehouse(spark, settings_at(directory).warehouse))


def test_a_night_killed_in_every_step_and_run_again_is_the_same_night(spark, archive, undisturbed, tmp_path):
    flags = nights.flags(tmp_path, f"ingest.archive=[{archive}]")
    rng = random.Random(int(os.environ.get("DEEPRUBIN_TEST_SEED", time.time())))
    for step in STEPS:
        killed_in = kill_in(step, rng.uniform(0.0, 1.5), flags)
        assert killed_in, f"the run ended before {step} could be killed"
    done = nights.run("nightly", *RANGE, *flags)
    assert done.returncode == 0, done.stderr
    assert nights.content(Warehouse(spark, settings_at(tmp_path).warehouse)) == undisturbed


def kill_in(step: str, delay: float, flags: list[str]) -> bool:
    """Start the night, wait until `step` has begun, then `delay` [s] later kill driver, JVM and workers at once. False if it ended first."""
    process = nights.start("nightly", *RANGE, *flags)
    before = STEPS[STEPS.index(step) - 1] if step != STEPS[0] else None
    assert process.stderr is not None
    for line in process.stderr if before else ():
        if line.strip().startswith(before):
            break
    time.sleep(delay if before else 2.0 * delay + 6.0)  # the first step begins when the session is up
    ended = process.poll() is not None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return not ended


def test_two_drivers_on_two_nights_at_once_are_the_same_as_one_after_the_other(spark, archive, tmp_path):
    both, one = tmp_path / "both", tmp_path / "one"
    dates = ("2019-06-19", "2020-02-02")
    drivers = [nights.start("nightly", "--night", date, *nights.flags(both, f"ingest.archive=[{archive}]")) for date in dates]
    for driver in drivers:
        _, errors = driver.communicate(timeout=500)
        assert driver.returncode == 0, errors
    for date in dates:
        done = nights.run("nightly", "--night", date, *nights.flags(one, f"ingest.archive=[{archive}]"))
        assert done.returncode == 0, done.stderr
    content = [nights.content(Warehouse(spark, settings_at(directory).warehouse)) for directory in (both, one)]
    assert content[0] == content[1]
