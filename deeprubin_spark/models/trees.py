"""Gradient-boosted trees beside a network in a published model: fitted by scikit-learn, kept as flat arrays.

Trees and a network err on different objects, so their geometric mean is better than either (docs/benchmarks.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.kernels.boosted_trees import BoostedTrees, raw_scores

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

_FLOOR = 1e-6  # [1] least probability of a class
_KINDS = {
    **dict.fromkeys(("roots", "class_of", "feature", "children"), np.uint32),
    **{"start": np.float64, "value": np.float64, "threshold": np.float32, "missing_right": np.uint8},
}

FloatArray = NDArray[np.float64]
Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class ClassTrees:
    """Trees of some of C classes.   classes : (K,) places of the classes that trained      trees : theirs      n_classes : C"""

    trees: BoostedTrees
    classes: NDArray[np.int32]
    n_classes: int

    @classmethod
    def of_fitted(cls, fitted: HistGradientBoostingClassifier, n_classes: int) -> ClassTrees:
        """From scikit-learn's, whose classes are places among the C."""
        every: list[list[Any]] = fitted._predictors  # where it keeps them; what they give is compared with its own answer in the tests
        is_binary = len(every[0]) == 1  # one tree speaks for the second class, the first stays at 0
        trees = [(tree.nodes, int(is_binary) + c) for of_classes in every for c, tree in enumerate(of_classes)]
        sizes = [len(nodes) for nodes, _ in trees]
        roots = np.concatenate(([0], np.cumsum(sizes)[:-1]))
        shift, nodes = np.repeat(roots, sizes), np.concatenate([nodes for nodes, _ in trees])
        is_leaf, own = nodes["is_leaf"] != 0, np.arange(len(nodes))
        children = np.stack([np.where(is_leaf, own, nodes[side] + shift) for side in ("left", "right")], axis=1)
        start = np.zeros(len(fitted.classes_))
        start[int(is_binary) :] = fitted._baseline_prediction.ravel()
        made = BoostedTrees(
            roots=roots.astype(np.uint32),
            class_of=np.array([c for _, c in trees], np.uint32),
            start=start,
            feature=np.where(is_leaf, 0, nodes["feature_idx"]).astype(np.uint32),
            threshold=np.where(is_leaf, np.float32(np.inf), _below(nodes["num_threshold"])),
            missing_right=(~is_leaf & (nodes["missing_go_to_left"] == 0)).astype(np.uint8),
            children=children.astype(np.uint32),
            value=np.where(is_leaf, nodes["value"], 0.0),
            n_features=int(fitted.n_features_in_),
        )
        return cls(made, np.asarray(fitted.classes_, np.int32), n_classes)

    def log_probabilities(self, values: NDArray[np.floating]) -> FloatArray:
        """(B, C), at least ln 1e-6.  values : (B, F) float32, NaN where missing"""
        raw = raw_scores(self.trees, values)
        known = raw - np.logaddexp.reduce(raw, axis=1, keepdims=True)
        found = np.full((len(values), self.n_classes), np.log(_FLOOR))
        found[:, self.classes] = np.maximum(known, np.log(_FLOOR))
        return found

    def less(self, taken: NDArray[np.floating]) -> ClassTrees:
        """The same trees whose sums start lower by `taken` (C,)."""
        return replace(self, trees=replace(self.trees, start=self.trees.start - taken[self.classes]))

    def arrays(self) -> Arrays:
        """For a safetensors file."""
        made: Arrays = {name: getattr(self.trees, name) for name in _KINDS}
        return made | {"classes": self.classes, "sizes": np.array([self.trees.n_features, self.n_classes], np.int32)}

    @classmethod
    def of(cls, arrays: Arrays) -> ClassTrees:
        """From what `arrays` gave. KeyError or ValueError where they are not such."""
        n_features, n_classes = (int(size) for size in arrays["sizes"])
        trees = BoostedTrees(**{name: np.asarray(arrays[name], kind) for name, kind in _KINDS.items()}, n_features=n_features)
        classes = np.asarray(arrays["classes"], np.int32)
        if len(classes) != len(trees.start) or np.any((classes < 0) | (classes >= n_classes)):
            raise ValueError(f"class trees: places of {len(trees.start)} classes below {n_classes} expected, found {classes.tolist()}")
        return cls(trees, classes, n_classes)


def _below(threshold: FloatArray) -> NDArray[np.float32]:
    """The largest float32 not above each: a float32 is above the one where it is above the other."""
    nearest = threshold.astype(np.float32)
    return np.where(nearest > threshold, np.nextafter(nearest, np.float32(-np.inf)), nearest)
