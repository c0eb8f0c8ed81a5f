"""What gradient-boosted trees say of a row: the sum of one leaf of each tree, by class (Friedman 2001, Annals of Statistics 29, 1189).

All rows of a block take a step of a tree together, and a row that has reached its leaf goes round in it: so there is no branch that a processor could
guess wrongly, which would cost five times as much as the steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deeprubin_spark.kernels.light_curves import read_only

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.uint32]

_BLOCK = 512  # rows whose values stay in the second cache


@dataclass(frozen=True)
class BoostedTrees:
    """T trees of K nodes in all, tree after tree; a tree's first node is its root.

    roots, class_of : (T,) uint32, index of each root, and the class that the tree speaks of      start : (C,) float64, the sum before any tree
    feature : (K,) uint32, column of the values      threshold : (K,) float32, a value above it goes right      missing_right : (K,) uint8, whether NaN does
    children : (K, 2) uint32, left and right, after their parent; a leaf is its own child      value : (K,) float64, what a leaf adds
    n_features : columns of the values. ValueError where the arrays do not describe such trees.
    """

    roots: IndexArray
    class_of: IndexArray
    start: FloatArray
    feature: IndexArray
    threshold: NDArray[np.float32]
    missing_right: NDArray[np.uint8]
    children: IndexArray
    value: FloatArray
    n_features: int

    def __post_init__(self) -> None:
        names = ("feature", "threshold", "missing_right", "children", "value")
        for name in ("roots", "class_of", "start", *names):
            object.__setattr__(self, name, read_only(getattr(self, name)))  # one compiled form, whatever the arrays were read from
        lengths = {name: len(getattr(self, name)) for name in names}
        n_nodes, index = lengths["feature"], np.arange(lengths["feature"])[:, None]
        if len(set(lengths.values())) > 1 or self.children.shape != (n_nodes, 2) or len(self.roots) != len(self.class_of):
            raise ValueError(f"boosted trees: nodes of one number, two children each, and a class for each tree expected, found {lengths}")
        is_leaf = (self.children == index).all(axis=1)
        if np.any((self.children <= index) & ~is_leaf[:, None]) or np.any(self.children >= n_nodes) or np.any(self.roots >= n_nodes):
            raise ValueError(f"boosted trees: children after their parent and roots within {n_nodes} nodes expected")
        if np.any(self.class_of >= len(self.start)):
            raise ValueError(f"boosted trees: classes 0 to {len(self.start) - 1} expected, found up to {self.class_of.max()}")
        if np.any(self.feature >= self.n_features):
            raise ValueError(f"boosted trees: features 0 to {self.n_features - 1} expected, found up to {self.feature.max()}")

    @cached_property
    def steps(self) -> IndexArray:
        """From each root to its farthest leaf (T,)."""
        depth = np.zeros(len(self.feature), np.uint32)
        for node in range(len(depth)):
            for child in self.children[node]:
                depth[child] = max(depth[child], depth[node] + (child != node))
        return read_only(np.maximum.reduceat(depth, self.roots).astype(np.uint32)) if len(self.roots) else np.zeros(0, np.uint32)


def raw_scores(trees: BoostedTrees, values: NDArray[np.floating]) -> FloatArray:
    """Sums (B, C), whose softmax are the probabilities.

    values : (B, F), compared as float32, NaN where missing. ValueError for another number of columns.
    """
    if values.ndim != 2 or values.shape[1] != trees.n_features:
        raise ValueError(f"boosted trees: (B, {trees.n_features}) values expected, found {values.shape}")
    out = np.tile(trees.start[:, None], (1, len(values)))
    nodes = trees.feature, trees.threshold, trees.missing_right, trees.children, trees.value
    for first in range(0, len(values), _BLOCK):
        columns = np.ascontiguousarray(values[first : first + _BLOCK].T, np.float32)
        _add_leaves(trees.roots, trees.steps, trees.class_of, *nodes, columns, out[:, first : first + _BLOCK])
    return np.ascontiguousarray(out.T)


@njit(cache=True, nogil=True)
def _add_leaves(
    roots: IndexArray,
    steps: IndexArray,
    class_of: IndexArray,
    feature: IndexArray,
    threshold: NDArray[np.float32],
    missing_right: NDArray[np.uint8],
    children: IndexArray,
    value: FloatArray,
    columns: NDArray[np.float32],
    out: FloatArray,
) -> None:
    """Adds the leaves of rows, given as columns (F, B), to out (C, B)."""
    n_rows = columns.shape[1]
    node = np.empty(n_rows, np.uint64)  # as wide as an address: 32 bits would be widened, and checked, in every step
    for t in range(len(roots)):
        node[:] = roots[t]
        for _ in range(steps[t]):
            for k in range(n_rows):
                here = node[k]
                seen = columns[feature[here], k]
                right = (seen > threshold[here]) | ((seen != seen) & (missing_right[here] != 0))
                node[k] = children[here, np.uint64(right)]
        for k in range(n_rows):
            out[class_of[t], k] += value[node[k]]
