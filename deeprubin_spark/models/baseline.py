"""What a network must beat: scikit-learn's trees on the same feature values, folds and weights.

Both take values (N, F), NaN where missing, targets and weights (N,), and give class probabilities of new_values (M, F): (M, C). A class without
training rows gets 0. Their numbers stand beside the networks'; the boosted trees are also one half of a published model (`trees.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

FloatArray = NDArray[np.float64]
Values = NDArray[np.floating]
Baseline = Callable[[Values, NDArray[np.integer], Values, Values, int, int], FloatArray]

_N_TREES = 400


def boosted_trees(values: Values, target: NDArray[np.integer], weight: Values, new_values: Values, n_classes: int, seed: int) -> FloatArray:
    """What `fitted_trees` say."""
    trees = fitted_trees(values, target, weight, seed)
    return of_all_classes(trees.predict_proba(new_values), trees.classes_, n_classes)


def fitted_trees(values: Values, target: NDArray[np.integer], weight: Values, seed: int) -> HistGradientBoostingClassifier:
    """Gradient-boosted trees of few leaves, each of a random sixth of the features, as hundreds of features say the same in another way."""
    trees = HistGradientBoostingClassifier(
        max_iter=150, learning_rate=0.08, max_leaf_nodes=7, min_samples_leaf=15, l2_regularization=3.0, max_features=0.15, random_state=seed
    )
    trees.fit(values, target, sample_weight=weight)
    return trees


def random_forest(values: Values, target: NDArray[np.integer], weight: Values, new_values: Values, n_classes: int, seed: int) -> FloatArray:
    """A forest of deep trees; with weights that are equal for each class it is the balanced forest of Chen, Liaw & Breiman (2004), by weights."""
    forest = RandomForestClassifier(_N_TREES, min_samples_leaf=3, max_features="sqrt", random_state=seed, n_jobs=1)
    forest.fit(values, target, sample_weight=weight)
    return of_all_classes(forest.predict_proba(new_values), forest.classes_, n_classes)


BASELINES: Mapping[str, Baseline] = {"boosted_trees": boosted_trees, "random_forest": random_forest}


def of_all_classes(found: FloatArray, classes: NDArray[np.integer], n_classes: int) -> FloatArray:
    """Probabilities (M, K) of the K classes that trained to those of all classes (M, C), 0 for the others."""
    probabilities = np.zeros((len(found), n_classes))
    probabilities[:, classes] = found
    return probabilities
