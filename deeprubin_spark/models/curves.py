"""How each kind of network reads light curves: what training gives it, and what a published model gives it.

    curves.training(rows, keys) -> Training        curves.drawn(rows) -> the curve along a noise pattern, and against it

A network is trained on light curves redrawn within their errors, with a part hidden that it rebuilds. All that is drawn follows from a row's key
(kernels/counter_random.py), so a training that was interrupted goes on as if it had not been.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deeprubin_spark.kernels.counter_random import Keys, keys, normals, uniforms
from deeprubin_spark.models.inputs import N_PATTERNS, FeatureRows, Float32Array, channels, noise_patterns, redrawn
from deeprubin_spark.models.points import MAX_POINTS, Points, Tokens, hidden_points, of_matrix, redrawn_points, tokens

HIDDEN_STEPS = (6, 20)  # of the grid's 64: how much of a curve is hidden, in half of its epochs
HIDDEN_SHARES = {"random_share": 0.15, "latest_share": 0.1}  # [1] of points

Curve = TypeVar("Curve")


class Training(NamedTuple, Generic[Curve]):
    """Of B rows: the curve as it is given, and what is to be rebuilt: mean, measured sd and hidden {0, 1}, of one shape (B, ...)."""

    curve: Curve
    mean: Tensor
    sd: Tensor
    hidden: Tensor


class Curves(Protocol[Curve]):
    """Reads rows for a kind of network."""

    @property
    def pattern(self) -> Float32Array:
        """The errors that `drawn` moves curves by, those of every object alike."""

    def training(self, rows: FeatureRows, row_keys: Keys) -> Training[Curve]:
        """Redrawn and partly hidden; row_keys (B,)."""

    def drawn(self, rows: FeatureRows) -> tuple[Curve, Curve]:
        """Moved by one standard deviation along `pattern`, and against it."""


@dataclass(frozen=True)
class GridCurves:
    """For networks over the Gaussian process's grid: `inputs.channels` (B, 2 W + 2, T).  patterns (K, W, T)"""

    patterns: Float32Array

    @classmethod
    def of(cls, n_bands: int, n_steps: int, seed: int) -> GridCurves:
        """With the noise patterns of a seed."""
        return cls(noise_patterns(n_steps, seed, n_bands))

    @property
    def pattern(self) -> Float32Array:
        """(1, W, T)"""
        return self.patterns[:1]

    def training(self, rows: FeatureRows, row_keys: Keys) -> Training[Tensor]:
        """See `Curves`."""
        made, n_bands = channels(rows), rows.grid_mean.shape[1]
        draws = keys(row_keys[:, None], np.arange(6))
        kappa = uniforms(draws[:, 0]).astype(np.float32)
        sign = np.where(draws[:, 1] % 2 == 0, 1.0, -1.0).astype(np.float32)[:, None, None]
        hidden = _hidden_steps(draws[:, 3:], made.shape[2])
        given = redrawn(made, sign * self.patterns[draws[:, 2] % N_PATTERNS], kappa)
        given[:, : 2 * n_bands] *= 1.0 - hidden[:, None]
        given[:, -1] = hidden
        every_band = np.repeat(hidden[:, None], n_bands, axis=1)
        return Training(
            *(torch.from_numpy(np.ascontiguousarray(a)) for a in (given, made[:, :n_bands], made[:, n_bands : 2 * n_bands], every_band))
        )

    def drawn(self, rows: FeatureRows) -> tuple[Tensor, Tensor]:
        """See `Curves`."""
        made = channels(rows)
        along, against = (torch.from_numpy(redrawn(made, either, 1.0)) for either in (self.patterns[0], -self.patterns[0]))
        return along, against


@dataclass(frozen=True)
class PointCurves:
    """For networks over the points themselves: `points.tokens`.  pattern (256,), by a point's place in its object"""

    pattern: Float32Array

    @classmethod
    def of(cls, seed: int) -> PointCurves:
        """With the noise pattern of a seed."""
        return cls(np.random.default_rng(seed).standard_normal(MAX_POINTS).astype(np.float32))

    def training(self, rows: FeatureRows, row_keys: Keys) -> Training[Tokens]:
        """See `Curves`."""
        points = _points(rows)
        draws = keys(row_keys[points.owner], points.position)
        kappa = uniforms(keys(row_keys, MAX_POINTS))
        hidden = hidden_points(points, uniforms(keys(draws, 1)), **HIDDEN_SHARES)
        truth, given = tokens(points, hidden), tokens(redrawn_points(points, normals(draws)[0], kappa), hidden)
        ratio = (truth.scale / given.scale)[:, None]  # what is to be rebuilt is what was measured, in units of what the network sees
        return Training(given, truth.flux * ratio, truth.sd * ratio, given.hidden)

    def drawn(self, rows: FeatureRows) -> tuple[Tokens, Tokens]:
        """See `Curves`. Always of 256 points: sums of another length would give another last digit."""
        points = _points(rows)
        kappa, error = np.ones(len(points)), self.pattern[points.position].astype(np.float64)
        along, against = (tokens(redrawn_points(points, either, kappa), n_points=MAX_POINTS) for either in (error, -error))
        return along, against


def _points(rows: FeatureRows) -> Points:
    if rows.points is None:
        raise ValueError("feature rows: a network over points needs points, found rows without")
    return of_matrix(rows.points)


def _hidden_steps(draws: NDArray[np.uint64], n_steps: int) -> Float32Array:
    """(B, T) 1 where hidden: one stretch of 6 to 19 steps in every second row, none in the others.  draws (B, 3)"""
    length = HIDDEN_STEPS[0] + draws[:, 0] % (HIDDEN_STEPS[1] - HIDDEN_STEPS[0])
    start = draws[:, 1] % (n_steps - length + 1)
    steps = np.arange(n_steps, dtype=np.uint64)
    inside = (steps >= start[:, None]) & (steps < (start + length)[:, None])
    return (inside & (draws[:, 2] % 2 == 0)[:, None]).astype(np.float32)
