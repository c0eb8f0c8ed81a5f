"""What a network must beat: gradient-boosted trees on the same feature values, folds and weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

FloatArray = NDArray[np.float64]


def boosted_trees(
    values: NDArray[np.floating],
    target: NDArray[np.integer],
    weight: NDArray[np.floating],
    new_values: NDArray[np.floating],
    n_classes: int,
    seed: int,
) -> FloatArray:
    """Fit on (N, F) values with targets and weights (N,), NaN where missing; class probabilities of new_values (M, F): (M, C).

    A class without training rows gets 0. The trees are not published: their numbers stand beside the network's in the manifest.
    """
    trees = HistGradientBoostingClassifier(max_iter=120, learning_rate=0.08, max_leaf_nodes=15, l2_regularization=1.0, random_state=seed)
    trees.fit(values, target, sample_weight=weight)
    probabilities = np.zeros((len(new_values), n_classes))
    probabilities[:, trees.classes_] = trees.predict_proba(new_values)
    return probabilities
