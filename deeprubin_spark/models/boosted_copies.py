"""Boosted trees of a training set with copies of its objects: tens of thousands of rows that repeat some hundred objects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from deeprubin_spark.models.baseline import Baseline, FloatArray, Values


def boosted_trees(values: Values, target: NDArray[np.integer], weight: Values, new_values: Values, n_classes: int, seed: int) -> FloatArray:
    """As `baseline.boosted_trees`, with larger trees, for which there are rows enough."""
    trees = HistGradientBoostingClassifier(
        max_iter=300, learning_rate=0.1, max_leaf_nodes=31, min_samples_leaf=15, l2_regularization=3.0, max_features=0.15, random_state=seed
    )
    trees.set_params(early_stopping=False)
    trees.fit(values, target, sample_weight=weight)
    probabilities = np.zeros((len(new_values), n_classes))
    probabilities[:, trees.classes_] = trees.predict_proba(new_values)
    return probabilities


OF_COPIES: dict[str, Baseline] = {"boosted_trees": boosted_trees}
