"""The isolation forest that ranks the night's oddities: fitted by scikit-learn on real light curves, kept as flat arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.kernels.isolation_forest import Forest, contributions, score_samples

if TYPE_CHECKING:
    from sklearn.ensemble import IsolationForest

N_TREES = 100
_LARGEST = 1e30  # trees compare float32

FloatArray = NDArray[np.float64]
Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class AnomalyForest:
    """A fitted forest and the values (F,) that stand for missing ones: the medians of what it was fitted on."""

    forest: Forest
    fill: FloatArray

    @classmethod
    def fit(cls, values: NDArray[np.floating], seed: int) -> AnomalyForest:
        """From feature values (N, F), NaN where missing; the same values and seed give the same forest. ValueError for fewer than 2 rows."""
        known = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
        never = np.isnan(known).all(axis=0)
        known[:, never] = 0.0
        fill = np.nanmedian(known, axis=0)
        return cls(fitted_forest(_filled(known, fill), N_TREES, seed), fill)

    def score(self, values: NDArray[np.floating]) -> tuple[FloatArray, FloatArray]:
        """How unusual objects are, and which features make them so.

        values : (B, F), NaN where missing. Returns score (B,) in (0, 1], about 0.5 for the usual, and shares (B, F) of the features that make an
        object stranger, which sum to 1, or are all 0 where none does.
        """
        rows = _filled(values, self.fill)
        stranger = np.maximum(contributions(self.forest, rows), 0.0)
        total = stranger.sum(axis=1, keepdims=True)
        return -score_samples(self.forest, rows), stranger / np.where(total > 0.0, total, 1.0)

    def arrays(self) -> Arrays:
        """For a safetensors file."""
        return {"fill": self.fill, **forest_arrays(self.forest)}

    @classmethod
    def of(cls, arrays: Arrays) -> AnomalyForest:
        """From what `arrays` gave. KeyError or ValueError where they are not such."""
        return cls(forest_of(arrays), np.asarray(arrays["fill"], np.float64))


def fitted_forest(values: FloatArray, n_trees: int, seed: int) -> Forest:
    """scikit-learn's isolation forest of values (N, F), N at least 2, all finite; a tree looks at no more than 256 of them."""
    from sklearn.ensemble import IsolationForest  # workers that only score do without

    made = IsolationForest(n_estimators=n_trees, max_samples=min(256, len(values)), random_state=seed, n_jobs=1)
    return _flat(made.fit(values), values.shape[1])


def forest_arrays(forest: Forest) -> Arrays:
    """The arrays of a forest by name."""
    numbers = {name: getattr(forest, name) for name in ("roots", "feature", "threshold", "left", "right", "n_samples")}
    return {**numbers, **{name: np.array([getattr(forest, name)], np.int32) for name in ("max_samples", "n_features")}}


def forest_of(arrays: Mapping[str, NDArray[np.generic]]) -> Forest:
    """From what `forest_arrays` gave. KeyError or ValueError where they are not such."""
    nodes = {name: np.asarray(arrays[name], np.int32) for name in ("roots", "feature", "left", "right", "n_samples")}
    max_samples, n_features = (int(arrays[name][0]) for name in ("max_samples", "n_features"))
    return Forest(**nodes, threshold=np.asarray(arrays["threshold"], np.float64), max_samples=max_samples, n_features=n_features)


def _filled(values: NDArray[np.floating], fill: FloatArray) -> FloatArray:
    known = np.asarray(values, np.float64)
    return np.clip(np.where(np.isnan(known), fill, known), -_LARGEST, _LARGEST)


def _flat(fitted: IsolationForest, n_features: int) -> Forest:
    """scikit-learn's trees one after the other; it numbers children after their parent already."""
    trees = [estimator.tree_ for estimator in fitted.estimators_]
    starts = np.concatenate(([0], np.cumsum([tree.node_count for tree in trees])))
    chosen = fitted.estimators_features_

    def joined(name: str) -> NDArray[np.generic]:
        return np.concatenate([getattr(tree, name) for tree in trees])

    def shifted(name: str) -> NDArray[np.int32]:
        return np.concatenate(
            [np.where(getattr(tree, name) < 0, -1, getattr(tree, name) + start) for tree, start in zip(trees, starts[:-1], strict=True)],
            dtype=np.int32,
            casting="unsafe",
        )

    feature = np.concatenate(
        [np.where(tree.feature < 0, -1, columns[np.maximum(tree.feature, 0)]) for tree, columns in zip(trees, chosen, strict=True)]
    )
    return Forest(
        roots=starts[:-1].astype(np.int32),
        feature=feature.astype(np.int32),
        threshold=joined("threshold").astype(np.float64),
        left=shifted("children_left"),
        right=shifted("children_right"),
        n_samples=joined("n_node_samples").astype(np.int32),
        max_samples=int(fitted.max_samples_),
        n_features=n_features,
    )
