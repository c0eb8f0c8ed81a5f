from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest

from deeprubin_spark.models.inputs import FeatureScaler
from deeprubin_spark.models.tcn import TcnShape
from deeprubin_spark.training import progress
from deeprubin_spark.training.checkpoints import Checkpoints, State
from deeprubin_spark.training.loop import Plan


@pytest.fixture
def plan() -> Plan:
    scaler = FeatureScaler.fit(np.ones((2, 1)), ("duration",))
    return Plan(TcnShape(1, 2), scaler, np.ones(2, np.float32), 1000, 1, 64, 10, 64, 1e-3, 1)


def test_the_line_tells_epoch_loss_rate_and_time_left(plan):
    told = progress.line((1.5, 1.25), plan, seconds=20.0, epochs=2)
    assert told == "  epoch 2 of 10  loss 1.2500  100 light curves/s  1:20 left"


def test_epochs_are_told_as_they_end_and_those_of_an_earlier_run_count_for_no_time(plan, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(progress, "_EVERY", 0.01)
    checkpoints = Checkpoints(tmp_path)
    state = State(b"", b"", (3.0, 2.0))
    checkpoints.save(state)
    with progress.told(checkpoints, plan):
        checkpoints.save(dataclasses.replace(state, losses=(3.0, 2.0, 1.0)))
        time.sleep(1.0)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("  epoch 3 of 10  loss 1.0000")
