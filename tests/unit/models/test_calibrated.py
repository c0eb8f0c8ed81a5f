from __future__ import annotations

import numpy as np
import pytest

from deeprubin_spark.models.calibrated import COVERAGE, Calibration
from deeprubin_spark.models.uncertainty import softmax

N, C = 6000, 5


@pytest.fixture(scope="module")
def overconfident():
    """Draws of logits (3, N, C) that are twice too large, and classes drawn from the probabilities of the right ones."""
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(N, C)) * 1.5
    target = (softmax(logits).cumsum(axis=1) < rng.uniform(size=(N, 1))).sum(axis=1)
    return 2.0 * logits + rng.normal(size=(3, N, C)) * 0.01, target


@pytest.fixture(scope="module")
def fitted(overconfident):
    logits, target = overconfident
    return Calibration.fit(logits, target, np.arange(N) < N // 3, np.bincount(target, minlength=C) / N)


def test_the_temperature_undoes_overconfidence(fitted):
    assert fitted.temperature == pytest.approx(2.0, rel=0.1)


def test_sets_hold_the_truth_as_often_as_promised_on_objects_nobody_saw(fitted):
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(N, C)) * 1.5
    probabilities = softmax(logits)
    target = (probabilities.cumsum(axis=1) < rng.uniform(size=(N, 1))).sum(axis=1)
    sets = fitted.sets(probabilities)
    assert sets[np.arange(N), target].mean() == pytest.approx(COVERAGE, abs=0.02)
    assert sets[np.arange(N), probabilities.argmax(axis=1)].all() and sets.sum(axis=1).max() <= C
    np.testing.assert_array_equal(fitted.sets(probabilities[7:8]), sets[7:8])


def test_bins_are_equally_full_and_a_sure_object_is_in_the_last(fitted, overconfident):
    logits, target = overconfident
    probabilities = softmax(logits[:, N // 3 :] / fitted.temperature).mean(axis=0)
    bins = fitted.bins(probabilities)
    counts = np.bincount(bins, minlength=len(fitted.bin_accuracy))
    assert counts.max() - counts.min() <= 2 and len(counts) == len(fitted.bin_edges) + 1
    right = probabilities.argmax(axis=1) == target[N // 3 :]
    assert fitted.bin_accuracy[3] == pytest.approx(right[bins == 3].mean(), abs=0.01)
    assert fitted.bins(np.eye(C)[:1])[0] == len(fitted.bin_accuracy) - 1 and fitted.bins(np.full((1, C), 1.0 / C))[0] == 0
    assert fitted.bins(np.zeros((0, C))).shape == (0,)


def test_what_the_manifest_holds_is_the_same_calibration(fitted):
    again = Calibration.of(fitted.as_dict())
    assert again.as_dict() == fitted.as_dict()
    with pytest.raises(KeyError):
        Calibration.of({"temperature": 1.0})
