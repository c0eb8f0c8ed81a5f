"""The help of every job is a golden file: a flag cannot change unseen.

Rebuild after a change that is meant: DEEPRUBIN_REBUILD=1 pytest tests/unit/test_help.py
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "help"
JOBS = sorted(path.stem for path in (Path(__file__).parents[2] / "jobs").glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("job", JOBS)
def test_help_is_what_it_was(job, capsys):
    assert importlib.import_module(f"deeprubin_spark.jobs.{job}").main(["--help"]) == 0
    found, golden = capsys.readouterr().out, GOLDEN / f"{job}.txt"
    if os.environ.get("DEEPRUBIN_REBUILD"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(found)
    assert found == golden.read_text()


@pytest.mark.parametrize("job", JOBS)
def test_help_teaches(job, capsys):
    importlib.import_module(f"deeprubin_spark.jobs.{job}").main(["--help"])
    text = capsys.readouterr().out
    assert "exit codes: 0 done" in text
    assert f"spark-submit jobs/{job}.py" in text, "an example to copy"


@pytest.mark.parametrize("job", JOBS)
def test_a_job_is_short(job):
    source = (Path(__file__).parents[2] / "jobs" / f"{job}.py").read_text()
    assert len(source.splitlines()) <= 75
