from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, log_loss, roc_auc_score

from deeprubin_spark.schemas.taxonomy import CLASSES
from deeprubin_spark.training.metrics import (
    accuracy,
    aucs,
    bootstrap_interval,
    bootstrap_intervals,
    by_class,
    confusion,
    figure_of_merit,
    kaggle_log_loss,
    metrics,
    paired_difference,
)
from tests.conftest import DATA

FOUR = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def judged():
    rng = np.random.default_rng(1)
    target = rng.choice(3, size=900, p=[0.6, 0.3, 0.1])  # nobody is of class d
    raised = np.exp(rng.normal(size=(900, 4)) + 2.0 * np.eye(4)[target])
    return raised / raised.sum(axis=1, keepdims=True), target


@pytest.fixture(scope="module")
def published():
    """Another team's predictions of the carried PLAsTiCC objects, and the truth."""
    rows = pd.read_parquet(DATA / "plasticc" / "published_predictions.parquet")
    truth = pd.read_parquet(DATA / "plasticc" / "metadata.parquet").set_index("object_id").loc[rows["object_id"].astype("int64"), "target"]
    probabilities = rows[[f"class_{leaf.plasticc}" for leaf in CLASSES]].to_numpy(np.float64)
    return probabilities, truth.map({leaf.plasticc: i for i, leaf in enumerate(CLASSES)}).to_numpy(np.int64)


def test_metrics_are_those_of_scikit_learn(judged):
    p, target = judged
    found, best = metrics(p, target, FOUR), p.argmax(axis=1)
    assert found["log_loss"] == pytest.approx(log_loss(target, p, labels=range(4)))
    assert found["macro_f1"] == pytest.approx(f1_score(target, best, labels=[0, 1, 2], average="macro"))
    with pytest.warns(UserWarning, match="classes not in y_true"):
        assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(target, best))
    np.testing.assert_array_equal(confusion(p, target), confusion_matrix(target, best, labels=range(4)))
    assert "recall_d" not in found and 0.0 < found["recall_c"] < 1.0


def test_published_predictions_have_their_published_scores(published):
    found = metrics(*published, tuple(leaf.name for leaf in CLASSES))
    assert found["n_objects"] == 5872
    assert found["kaggle_log_loss"] == pytest.approx(0.4961, abs=5e-5)
    assert found["macro_f1"] == pytest.approx(0.788, abs=5e-4)
    assert found["accuracy"] == pytest.approx(0.792, abs=5e-4)


def test_the_challenge_counts_disruptions_and_kilonovae_twice(published):
    p, target = published
    names = [leaf.name for leaf in CLASSES]
    each = [float(np.mean([-np.log(p[i, j] / p[i].sum()) for i in np.flatnonzero(target == j)])) for j in range(14)]
    twice = each + [each[names.index("TDE")], each[names.index("Kilonova")]]
    assert kaggle_log_loss(p, target, names) == pytest.approx(np.mean(twice))


def test_a_class_counts_the_same_however_many_objects_it_has(published):
    p, target = published
    names = [leaf.name for leaf in CLASSES]
    rows = np.concatenate([np.arange(len(target)), np.repeat(np.flatnonzero(target == 0), 3)])
    assert kaggle_log_loss(p[rows], target[rows], names) == pytest.approx(kaggle_log_loss(p, target, names))
    assert accuracy(p[rows], target[rows]) != accuracy(p, target)


def test_the_area_under_the_curve_is_the_share_of_pairs_in_the_right_order(judged):
    p, target = judged
    found = by_class(p, target, FOUR)["c"]["auc"]
    inside, outside = p[target == 2, 2], p[target != 2, 2]
    assert found == pytest.approx(np.mean(inside[:, None] > outside))


def test_the_figure_of_merit_punishes_contamination_threefold():
    is_class = np.array([True] * 10 + [False] * 10)
    perfect = is_class.astype(float)
    assert figure_of_merit(perfect, is_class) == 1.0
    half_lost = np.where(np.arange(20) < 5, 1.0, 0.0)
    assert figure_of_merit(half_lost, is_class) == pytest.approx(0.5)
    all_taken = np.ones(20)
    assert figure_of_merit(all_taken, is_class) == pytest.approx(10 / (10 + 3 * 10))
    assert figure_of_merit(np.zeros(20), is_class) == 0.0


def test_a_bootstrap_interval_of_an_accuracy_is_the_binomial_one():
    target = np.zeros(400, np.int64)
    p = np.where((np.arange(400) < 300)[:, None], [0.9, 0.1], [0.1, 0.9])
    low, high = bootstrap_interval(accuracy, p, target, seed=1)
    error = np.sqrt(0.75 * 0.25 / 400)
    assert low == pytest.approx(0.75 - 1.96 * error, abs=0.01) and high == pytest.approx(0.75 + 1.96 * error, abs=0.01)
    assert (low, high) == bootstrap_interval(accuracy, p, target, seed=1)


def test_paired_losses_tell_a_small_gain_that_all_objects_share():
    rng = np.random.default_rng(4)
    first = rng.exponential(size=500)
    mean, low, high = paired_difference(first, first + 0.01, seed=1)
    assert mean == pytest.approx(-0.01) and high < 0.0
    mean, low, high = paired_difference(first, rng.permutation(first), seed=1)
    assert low < 0.0 < high


def test_areas_by_ranks_are_scikit_learns_and_unknown_for_a_class_that_is_not_there(judged):
    probabilities, target = judged
    probabilities = np.round(probabilities, 2)  # with ties
    found = aucs(probabilities, target)
    np.testing.assert_allclose(found[:3], [roc_auc_score(target == i, probabilities[:, i]) for i in range(3)], rtol=1e-12)
    assert np.isnan(found[3]) and np.isnan(aucs(probabilities[:5], np.zeros(5, int))).all()


def test_several_intervals_at_once_are_those_of_each_alone(judged):
    both = bootstrap_intervals(lambda p, t: {"a": accuracy(p, t), "b": float(p[:, 0].mean())}, *judged, seed=3, n_samples=50)
    assert both["a"] == bootstrap_interval(accuracy, *judged, seed=3, n_samples=50)
    assert both["b"] == bootstrap_interval(lambda p, t: float(p[:, 0].mean()), *judged, seed=3, n_samples=50)
