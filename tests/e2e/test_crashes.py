"""A night survives kill -9 of its driver in any step, and another driver beside it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time

from deeprubin_spark.jobs import nightly

from deeprubin_spark.tables import Warehouse
from tests.conftest import INTERPRETED, settings_at
from tests.e2e import nights

JUNE, FEBRUARY = "2019-06-19:2019-06-23", "2020-02-02:2020-02-02"
LONGEST = 25.0  # [s] a first guess of what a step of these small nights takes, a third of it until the session is up


def test_a_night_killed_in_every_step_and_run_again_is_the_same_night(spark, small_archive, undisturbed, tmp_path):
    arguments = ["--nights", nights.SMALL_NIGHTS, *nights.flags(tmp_path, f"ingest.archive=[{small_archive}]")]
    seed = int(os.environ.get("DEEPRUBIN_TEST_SEED", time.time()))
    print(f"DEEPRUBIN_TEST_SEED={seed}")  # pytest shows it when the test fails
    rng, longest = random.Random(seed), LONGEST
    for step in nightly.steps("ztf", from_archive=True):
        longest = kill_at_a_random_moment(step.__name__.rpartition(".")[2], [*arguments, "--set", INTERPRETED], rng, longest)
        assert step.main(arguments) == 0
    assert nights.content(Warehouse(spark, settings_at(tmp_path).warehouse), nights.EVERY) == undisturbed


def kill_at_a_random_moment(step: str, arguments: list[str], rng: random.Random, longest: float) -> float:
    """Start the step and kill driver, JVM and workers at once before it ends. Returns how long [s] a step that was not killed took at last."""
    while True:
        process, started = nights.start(step, *arguments, stderr=subprocess.DEVNULL), time.monotonic()
        try:
            process.wait(rng.uniform(0.3, 1.0) * longest)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return longest
        assert process.returncode == 0
        longest = time.monotonic() - started  # faster than thought: once more, with a moment before that


def test_two_drivers_on_two_nights_at_once_are_the_same_as_one_after_the_other(spark, small_archive, undisturbed, tmp_path):
    flags = nights.flags(tmp_path, f"ingest.archive=[{small_archive}]", INTERPRETED)
    drivers = [nights.start("nightly", "--nights", dates, *flags) for dates in (JUNE, FEBRUARY)]
    for driver in drivers:
        _, errors = driver.communicate(timeout=600)
        assert driver.returncode == 0, errors
    # What is said of several nights together is said of other nights here.
    by_night = [table for table in nights.EVERY if "first_night" not in table.names]
    found = nights.content(Warehouse(spark, settings_at(tmp_path).warehouse), by_night)
    assert found == {table.name: undisturbed[table.name] for table in by_night}
