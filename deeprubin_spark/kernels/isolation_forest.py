"""Anomaly score of an isolation forest (Liu, Ting & Zhou 2008), and how much each feature had to do with it.

    score = -2^(-h / c(psi)),    h = mean over trees of depth(leaf) + c(n_leaf),    c(n) = 2 (ln(n - 1) + gamma) - 2 (n - 1) / n

as scikit-learn's `IsolationForest.score_samples`: -1 strange, about -0.5 usual. An object that is parted from the others by few cuts, a
short h, is strange. The contributions share out that shortness: at a node with n training objects an object may expect c(n) more cuts;
the cut on feature f, one step to a child with n' objects, brings this to 1 + c(n'), so it shortened the path by c(n) - c(n') - 1. Summed
over a path this is c(n_root) - h of that tree, exactly, so with x_f the mean over the trees, over c(psi),

    sum over f of x_f = (mean c(n_root) - h) / c(psi),    and with n_root = psi    score = -2^(sum of x_f - 1):

positive x_f makes the object stranger. (Carletti, Terzi & Susto 2023, arXiv:2007.11117, share out path lengths in the same spirit.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deeprubin_spark.kernels.light_curves import read_only

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]

LEAF = -1
_ROWS_AT_ONCE = 64  # go through all trees while they are in a core's cache
EULER_GAMMA = 0.5772156649015329


@dataclass(frozen=True)
class Forest:
    """T trees of K nodes in all, tree after tree; a tree's first node is its root.

    roots : (T,) int32, index of each root      n_samples : (K,) int32, training objects that reached the node
    feature : (K,) int32, column of the values, -1 at a leaf      threshold : (K,) float64, float32(value) <= threshold goes left
    left, right : (K,) int32, index of the children in these arrays, -1 at a leaf      max_samples : psi, training objects of a tree
    n_features : columns of the values. ValueError where the arrays do not describe such trees.
    """

    roots: IntArray
    feature: IntArray
    threshold: FloatArray
    left: IntArray
    right: IntArray
    n_samples: IntArray
    max_samples: int
    n_features: int

    def __post_init__(self) -> None:
        for name in ("roots", "feature", "threshold", "left", "right", "n_samples"):
            object.__setattr__(self, name, read_only(getattr(self, name)))  # one compiled form, whatever the arrays were read from
        n_nodes = len(self.feature)
        lengths = {name: len(getattr(self, name)) for name in ("feature", "threshold", "left", "right", "n_samples")}
        if len(set(lengths.values())) > 1 or n_nodes == 0 or len(self.roots) == 0 or self.max_samples < 2:
            raise ValueError(f"isolation forest: nodes of one number, trees and max_samples > 1 expected, found {lengths}")
        inner, index = self.feature != LEAF, np.arange(n_nodes)
        children = np.stack([self.left, self.right])[:, inner]
        if np.any((children <= index[inner]) | (children >= n_nodes)) or np.any((self.roots < 0) | (self.roots >= n_nodes)):
            raise ValueError(f"isolation forest: children after their parent and roots within {n_nodes} nodes expected")
        if np.any(self.feature < LEAF) or np.any(self.feature >= self.n_features):
            raise ValueError(f"isolation forest: features 0 to {self.n_features - 1} expected, found up to {self.feature.max()}")


def score_samples(forest: Forest, values: FloatArray) -> FloatArray:
    """Anomaly score of each row.

    values : (B, F) float64, compared as float32 like scikit-learn does. Returns (B,) float64 in [-1, 0).
    ValueError for another number of columns or a value that is not finite: the caller imputes.
    """
    steps = expected_path_length(forest.n_samples)
    depths = np.zeros(len(values))
    nodes = forest.roots, forest.feature, forest.threshold, forest.left, forest.right
    _path_lengths(*nodes, steps, _rows(forest, values), depths)
    return -(2.0 ** (-depths / (len(forest.roots) * _normal_length(forest))))


def contributions(forest: Forest, values: FloatArray) -> FloatArray:
    """How much each feature shortened the paths, over c(psi): (B, F) float64; positive makes stranger. Errors as `score_samples`."""
    steps = expected_path_length(forest.n_samples)
    shortened = np.zeros((len(values), forest.n_features))
    nodes = forest.roots, forest.feature, forest.threshold, forest.left, forest.right
    _path_shares(*nodes, steps, _rows(forest, values), shortened)
    return shortened / (len(forest.roots) * _normal_length(forest))


def expected_path_length(n_samples: NDArray[np.integer]) -> FloatArray:
    """c(n), the mean path length of an unsuccessful search in a binary tree of n objects; c(1) = 0, c(2) = 1. (K,) to (K,) float64."""
    n = np.asarray(n_samples, np.float64)
    above = np.maximum(n, 3.0)
    long = 2.0 * (np.log(above - 1.0) + EULER_GAMMA) - 2.0 * (above - 1.0) / above
    return np.where(n > 2.0, long, np.where(n == 2.0, 1.0, 0.0))


def _normal_length(forest: Forest) -> float:
    """c(psi)."""
    return float(expected_path_length(np.array([forest.max_samples]))[0])


def _rows(forest: Forest, values: FloatArray) -> NDArray[np.float32]:
    """The values as scikit-learn's trees see them."""
    if values.ndim != 2 or values.shape[1] != forest.n_features:
        raise ValueError(f"isolation forest: (B, {forest.n_features}) values expected, found {values.shape}")
    rows = np.ascontiguousarray(values, np.float32)
    if not np.isfinite(rows).all():
        column = int(np.flatnonzero(~np.isfinite(rows).all(axis=0))[0])
        raise ValueError(f"isolation forest: finite values expected, found others first in column {column}; impute before scoring")
    return rows


@njit(cache=True, nogil=True)
def _path_lengths(
    roots: IntArray,
    feature: IntArray,
    threshold: FloatArray,
    left: IntArray,
    right: IntArray,
    steps: FloatArray,
    rows: NDArray[np.float32],
    out: FloatArray,
) -> None:
    """Sum over the trees of depth + c(n_leaf) for every row; steps (K,) is c(n) of the nodes."""
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        for root in roots:
            for k in range(first, min(first + _ROWS_AT_ONCE, len(rows))):
                node, depth = root, 0.0
                while feature[node] != LEAF:
                    node = left[node] if rows[k, feature[node]] <= threshold[node] else right[node]
                    depth += 1.0
                out[k] += depth + steps[node]


@njit(cache=True, nogil=True)
def _path_shares(
    roots: IntArray,
    feature: IntArray,
    threshold: FloatArray,
    left: IntArray,
    right: IntArray,
    steps: FloatArray,
    rows: NDArray[np.float32],
    out: FloatArray,
) -> None:
    """Sum over the trees of c(n) - c(n') - 1 at every cut, to the cut's feature; out (B, F)."""
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        for root in roots:
            for k in range(first, min(first + _ROWS_AT_ONCE, len(rows))):
                node = root
                while feature[node] != LEAF:
                    cut = feature[node]
                    child = left[node] if rows[k, cut] <= threshold[node] else right[node]
                    out[k, cut] += steps[node] - steps[child] - 1.0
                    node = child
