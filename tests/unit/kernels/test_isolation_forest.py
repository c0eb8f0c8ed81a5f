"""The isolation forest against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from deeprubin_spark.kernels.isolation_forest import Forest, contributions, expected_path_length, score_samples


def flattened(fitted: IsolationForest) -> Forest:
    trees, columns = [tree.tree_ for tree in fitted.estimators_], fitted.estimators_features_
    roots = np.concatenate([[0], np.cumsum([tree.node_count for tree in trees])[:-1]])

    def children(name: str) -> np.ndarray:
        return np.concatenate([np.where(getattr(t, name) < 0, -1, getattr(t, name) + root) for t, root in zip(trees, roots, strict=True)])

    return Forest(
        roots=roots.astype(np.int32),
        feature=np.concatenate([np.where(t.feature < 0, -1, c[t.feature]) for t, c in zip(trees, columns, strict=True)]).astype(np.int32),
        threshold=np.concatenate([t.threshold for t in trees]),
        left=children("children_left").astype(np.int32),
        right=children("children_right").astype(np.int32),
        n_samples=np.concatenate([t.n_node_samples for t in trees]).astype(np.int32),
        max_samples=int(fitted.max_samples_),
        n_features=fitted.n_features_in_,
    )


@pytest.fixture(scope="module")
def sample() -> np.ndarray:
    return np.random.default_rng(11).normal(size=(600, 12)) * np.arange(1.0, 13.0)


@pytest.mark.parametrize(
    "options",
    [{}, {"max_samples": 100}, {"max_features": 0.5}, {"bootstrap": True}, {"n_estimators": 3, "max_samples": 2}],
    ids=["default", "small trees", "half the features", "bootstrap", "stumps"],
)
def test_scores_are_those_of_scikit_learn(sample, options):
    fitted = IsolationForest(**{"n_estimators": 40, "random_state": 0, **options}).fit(sample)
    asked = np.concatenate([sample[:100], 3.0 * sample[100:200], np.zeros((1, 12))])
    np.testing.assert_allclose(score_samples(flattened(fitted), asked), fitted.score_samples(asked), rtol=0, atol=1e-9)


def test_contributions_add_up_to_the_score(sample):
    fitted = IsolationForest(n_estimators=50, random_state=1).fit(sample)
    forest = flattened(fitted)
    np.testing.assert_array_equal(forest.n_samples[forest.roots], forest.max_samples)
    parts = contributions(forest, 2.0 * sample)
    np.testing.assert_allclose(-(2.0 ** (parts.sum(axis=1) - 1.0)), fitted.score_samples(2.0 * sample), atol=1e-9)


@pytest.mark.parametrize("odd", [0, 5, 11])
def test_the_odd_feature_of_an_odd_object_contributes_most(sample, odd):
    forest = flattened(IsolationForest(n_estimators=100, random_state=2).fit(sample))
    stranger = np.zeros((1, 12))
    stranger[0, odd] = 8.0 * (odd + 1)
    assert contributions(forest, stranger)[0].argmax() == odd
    assert score_samples(forest, stranger)[0] < score_samples(forest, np.zeros((1, 12)))[0]


def test_a_feature_that_no_tree_cuts_contributes_nothing(sample):
    constant = sample.copy()
    constant[:, 4] = 1.0
    forest = flattened(IsolationForest(n_estimators=30, random_state=3).fit(constant))
    assert np.all(contributions(forest, sample)[:, 4] == 0.0)


def test_a_row_scores_the_same_alone_and_among_others(sample):
    forest = flattened(IsolationForest(n_estimators=30, random_state=4).fit(sample))
    alone = np.concatenate([score_samples(forest, sample[k : k + 1]) for k in range(20)])
    np.testing.assert_array_equal(alone, score_samples(forest, sample[:20]))
    assert score_samples(forest, sample[:0]).shape == (0,)


def test_expected_path_length_of_few_objects():
    # c(3) = 2 (ln 2 + 0.57721566) - 4 / 3
    np.testing.assert_allclose(expected_path_length(np.array([0, 1, 2, 3])), [0.0, 0.0, 1.0, 1.20739236], rtol=1e-8)


def test_a_missing_value_is_refused_with_its_column(sample):
    forest = flattened(IsolationForest(n_estimators=5, random_state=5).fit(sample))
    asked = sample[:3].copy()
    asked[1, 7] = np.nan
    with pytest.raises(ValueError, match="column 7; impute"):
        score_samples(forest, asked)


def test_values_of_another_width_are_refused(sample):
    forest = flattened(IsolationForest(n_estimators=5, random_state=5).fit(sample))
    with pytest.raises(ValueError, match=r"\(B, 12\) values expected, found \(3, 11\)"):
        contributions(forest, sample[:3, :11])


def test_arrays_that_are_no_trees_are_refused():
    one = np.array([0], np.int32)
    with pytest.raises(ValueError, match="children after their parent"):
        Forest(one, one, np.zeros(1), one, one, np.array([2], np.int32), 2, 1)
    left, right = np.array([1, -1, -1], np.int32), np.array([2, -1, -1], np.int32)
    with pytest.raises(ValueError, match="features 0 to 0 expected, found up to 1"):
        Forest(one, np.array([1, -1, -1], np.int32), np.zeros(3), left, right, np.array([2, 1, 1], np.int32), 2, 1)
