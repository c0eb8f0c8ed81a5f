"""Boosted trees as flat arrays against scikit-learn's own answer."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from deeprubin_spark.models.trees import ClassTrees


@pytest.fixture(scope="module", params=[2, 5], ids=["two classes", "five classes"])
def fitted(request):
    """Trees of classes 1, 3, 5, ... of twelve, some values missing, and rows they have not seen."""
    rng = np.random.default_rng(1)
    target = 1 + 2 * rng.integers(0, request.param, 900)
    values = (rng.normal(size=(900, 7)) + 0.3 * target[:, None] * rng.uniform(size=7)).astype(np.float32)
    values[rng.uniform(size=values.shape) < 0.2] = np.nan
    with threadpool_limits(1):
        made = HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=7, random_state=1).fit(values[:600], target[:600])
        return made, values[600:], made.predict_proba(values[600:])


def test_flat_trees_give_the_probabilities_of_scikit_learns(fitted):
    made, values, expected = fitted
    trees = ClassTrees.of_fitted(made, 12)
    found = np.exp(trees.log_probabilities(values))
    np.testing.assert_allclose(found[:, made.classes_], np.maximum(expected, 1e-6), rtol=1e-12)
    others = np.setdiff1d(np.arange(12), made.classes_)
    np.testing.assert_allclose(found[:, others], 1e-6)


def test_what_is_written_and_read_again_gives_the_same(fitted):
    made, values, _ = fitted
    trees = ClassTrees.of_fitted(made, 12)
    again = ClassTrees.of({name: array.copy() for name, array in trees.arrays().items()})
    np.testing.assert_array_equal(again.log_probabilities(values), trees.log_probabilities(values))


def test_a_row_does_not_depend_on_its_neighbours_and_none_is_no_row(fitted):
    made, values, _ = fitted
    trees = ClassTrees.of_fitted(made, 12)
    np.testing.assert_array_equal(trees.log_probabilities(values[5:6]), trees.log_probabilities(values)[5:6])
    assert trees.log_probabilities(values[:0]).shape == (0, 12)


def test_a_weight_taken_back_divides_the_odds(fitted):
    made, values, _ = fitted
    trees = ClassTrees.of_fitted(made, 12)
    taken = np.zeros(12)
    taken[1] = np.log(3.0)
    before, after = (each.log_probabilities(values) for each in (trees, trees.less(taken)))
    kept = (before[:, [1, 3]] > -10.0).all(axis=1) & (after[:, [1, 3]] > -10.0).all(axis=1)
    np.testing.assert_allclose((after[:, 1] - after[:, 3])[kept], (before[:, 1] - before[:, 3])[kept] - np.log(3.0), atol=1e-9)


@pytest.mark.parametrize(
    ("name", "value"),
    [("children", 0), ("feature", 99), ("class_of", 40), ("roots", 99_999)],
    ids=["cycle", "no such feature", "no such class", "no root"],
)
def test_arrays_that_are_no_trees_are_refused(fitted, name, value):
    arrays = {key: array.copy() for key, array in ClassTrees.of_fitted(fitted[0], 12).arrays().items()}
    inner = np.flatnonzero(np.isfinite(arrays["threshold"]))[1]
    arrays[name].flat[2 * inner if name == "children" else 2] = value
    with pytest.raises(ValueError, match="boosted trees"):
        ClassTrees.of(arrays)
    with pytest.raises(ValueError, match=r"\(B, 7\) values expected"):
        ClassTrees.of_fitted(fitted[0], 12).log_probabilities(np.zeros((2, 3)))
