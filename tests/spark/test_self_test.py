"""`deeprubin self-test`: what is installed is really used, what is broken is named."""

import subprocess
import sys

import pytest

from deeprubin_spark import self_test
from deeprubin_spark.self_test import Finding
from deeprubin_spark.settings import SparkSettings

TWO_RANKS_ONE_SLOT = """
from deeprubin_spark import spark
from deeprubin_spark.settings import SparkSettings
from deeprubin_spark.training import horovod_compat, probe

with spark.session(SparkSettings(master="local[1]", driver_memory="1g"), "one slot"):
    horovod_compat.run_on_spark(probe.sum_of_ranks, (), processes=2, start_timeout_s=5)
"""


@pytest.mark.training
def test_every_component_of_a_complete_set_up_works() -> None:
    findings = self_test.run(SparkSettings(master="local[2]", driver_memory="1g"))
    assert {finding.component for finding in findings} == {
        "java", "pyspark", "delta-spark", "pyarrow", "numba", "torch", "alerce", "petastorm", "horovod",
    }  # fmt: skip
    assert not [str(finding) for finding in findings if not finding.works]
    assert self_test.exit_code(findings) == 0


@pytest.mark.training
def test_the_process_that_tests_itself_imports_neither_petastorm_nor_horovod() -> None:
    code = """
import sys
from deeprubin_spark import self_test
print(self_test._try("petastorm", self_test._petastorm))
assert not {"petastorm", "horovod", "torch", "deeprubin_spark.training"} & set(sys.modules)
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert answer.returncode == 0, answer.stderr
    assert "works   20 rows in two shards" in answer.stdout


@pytest.mark.training
def test_too_few_task_slots_is_said_within_the_start_timeout() -> None:
    answer = subprocess.run([sys.executable, "-c", TWO_RANKS_ONE_SLOT], capture_output=True, text=True, check=False, timeout=300)
    assert answer.returncode == 1
    assert "RanksMissingError: Horovod: 2 ranks did not start within 5 s" in answer.stderr


def test_a_probe_that_raises_is_a_failure_with_its_reason() -> None:
    def broken() -> str:
        raise OSError("libfoo.so: cannot open shared object file")

    finding = self_test._try("numpy", broken)
    assert finding.works is False
    assert "FAILS" in str(finding) and "libfoo.so" in str(finding)
    assert self_test.exit_code([finding]) == 78


def test_what_is_not_installed_is_absent_and_no_failure() -> None:
    finding = self_test._try("no-such-distribution", lambda: "never run")
    assert finding == Finding("no-such-distribution", "", None, "not installed")
    assert self_test.exit_code([finding]) == 0


def test_a_java_that_is_not_there_is_named_with_the_line_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/no/such/jdk")
    finding = self_test._java()
    assert finding.works is False and "apt-get install -y openjdk-17-jdk-headless" in finding.detail


def test_a_finding_is_one_line_of_the_table() -> None:
    assert str(Finding("java", "17.0.1", True, "on PATH")) == "java         17.0.1       works   on PATH"
    assert str(Finding("horovod", "", None, "not installed")) == "horovod      -            absent  not installed"
