from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from deeprubin_spark.models.forest import N_TREES, AnomalyForest


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    return np.random.default_rng(5).normal(size=(300, 6))


def test_the_flat_forest_scores_like_scikit_learn(values):
    theirs = IsolationForest(n_estimators=N_TREES, max_samples=256, random_state=3).fit(values)
    new = np.random.default_rng(6).normal(size=(50, 6)) * 2.0
    score, _ = AnomalyForest.fit(values, seed=3).score(new)
    np.testing.assert_allclose(score, -theirs.score_samples(new), atol=1e-6)


def test_an_odd_object_scores_higher_and_the_odd_feature_has_the_largest_share(values):
    forest = AnomalyForest.fit(values, seed=3)
    odd = np.zeros((1, 6))
    odd[0, 4] = 12.0
    score, shares = forest.score(np.concatenate([np.zeros((1, 6)), odd]))
    assert score[1] > score[0]
    assert shares[1].argmax() == 4
    assert shares[1].sum() == pytest.approx(1.0)


def test_missing_values_are_the_usual_ones(values):
    forest = AnomalyForest.fit(values, seed=3)
    missing, usual = forest.score(np.full((1, 6), np.nan)), forest.score(np.median(values, axis=0, keepdims=True))
    np.testing.assert_array_equal(missing[0], usual[0])


def test_a_feature_that_nobody_has_and_one_that_is_infinite_do_no_harm(values):
    gappy = values.copy()
    gappy[:, 0] = np.nan
    forest = AnomalyForest.fit(gappy, seed=3)
    assert np.isfinite(forest.score(np.array([[np.inf, 0.0, 0.0, 0.0, 0.0, np.nan]]))[0]).all()


def test_a_forest_survives_its_arrays(values):
    forest = AnomalyForest.fit(values, seed=3)
    again = AnomalyForest.of(forest.arrays())
    for mine, theirs in zip(forest.score(values[:9]), again.score(values[:9]), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_one_feature_alone_makes_a_forest():
    values = np.random.default_rng(5).normal(size=(300, 1))
    score, shares = AnomalyForest.fit(values, seed=3).score(np.array([[0.0], [9.0]]))
    assert score[1] > score[0] and shares[1, 0] == 1.0
