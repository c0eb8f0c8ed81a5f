from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, log_loss

from deeprubin_spark.training import evaluate

CLASSES = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def judged():
    rng = np.random.default_rng(1)
    target = rng.choice(3, size=900, p=[0.6, 0.3, 0.1])  # nobody is of class d
    logits = rng.normal(size=(900, 4)) + 2.0 * np.eye(4)[target]
    raised = np.exp(logits)
    return logits, raised / raised.sum(axis=1, keepdims=True), target


def test_metrics_are_those_of_scikit_learn(judged):
    _, p, target = judged
    found, best = evaluate.metrics(p, target, CLASSES), p.argmax(axis=1)
    assert found["log_loss"] == pytest.approx(log_loss(target, p, labels=range(4)))
    assert found["macro_f1"] == pytest.approx(f1_score(target, best, labels=[0, 1, 2], average="macro"))
    with pytest.warns(UserWarning, match="classes not in y_true"):
        assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(target, best))
    np.testing.assert_array_equal(evaluate.confusion(p, target), confusion_matrix(target, best, labels=range(4)))
    assert "recall_d" not in found and 0.0 < found["recall_c"] < 1.0


def test_honest_confidence_has_a_small_calibration_error_and_boasting_a_large_one():
    rng = np.random.default_rng(2)
    confidence = rng.uniform(0.5, 1.0, size=20_000)
    target = np.where(rng.uniform(size=20_000) < confidence, 0, 1)
    honest = np.column_stack([confidence, 1.0 - confidence])
    boasting = np.column_stack([np.full(20_000, 0.99), np.full(20_000, 0.01)])
    assert evaluate.expected_calibration_error(honest, target) < 0.02
    assert evaluate.expected_calibration_error(boasting, target) > 0.2


def test_the_temperature_undoes_what_was_multiplied_into_the_logits():
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(20_000, 3))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    target = (rng.uniform(size=(20_000, 1)) > p.cumsum(axis=1)).sum(axis=1)
    assert evaluate.temperature(logits, target) == pytest.approx(1.0, rel=0.05)
    assert evaluate.temperature(2.5 * logits, target) == pytest.approx(2.5, rel=0.05)
