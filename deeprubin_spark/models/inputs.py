"""Feature rows to what networks read: scaled feature values, and the Gaussian process on its grid as channels.

Nothing here depends on how bright an object looks: features are scale-free, and the grid is divided by the object's own highest flux. How bright it is,
absolutely, a network reads where the feature set knows the host's redshift.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.kernels.feature_catalogue import FeatureSet, Group

# What networks read. Not `limits` and `context`: the simulations it learns from have no upper limits, and their fields no sky.
MODEL_GROUPS: tuple[Group, ...] = (
    "gp",
    "gp_peak",
    "gp_shape",
    "gp_colour",
    "gp_last",
    "counts",
    "variability",
    "random_walk",
    "scales",
    "pairs",
    "parametric",
    "period",
    "host",
)
# How often a survey looked differs by field, and fields by class, in simulations: a network would learn the cadence instead of the sky.
# Simulated curves hold no point below 5 sigma by construction, real alerts a few: those shares tell simulation from sky and nothing else.
_TELL_THE_SURVEY = {
    "significant_fraction",
    "insignificant_fraction",
    "period_n_known",
    "period_n_points",
    "period_n_bands",
    "period_n_cycles",
    "period_phase_gap",
}
_WITHOUT_HOST = "host_photo_z"  # where it is not known, there is no host

CLIP = 4.0  # of the scaled values
_FARTHEST = math.sinh(CLIP)  # 27 spreads from the centre
RANGE_QUANTILES = (0.005, 0.995)
MAX_OUTSIDE_SHARE = 0.10  # [1] of the known features
N_PATTERNS = 64
_CORRELATED_STEPS = 4.0  # of the grid's 64: about a timescale, over which errors of a smooth curve go together
_BAND_CORRELATION = (
    0.9  # of posterior errors in neighbouring bands: g and r are 1400 Angstrom apart, of the 6000 over which the process correlates
)
_TIME_UNIT = 10.0  # [d]

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]


@cache
def model_features(feature_set: FeatureSet) -> tuple[str, ...]:
    """Names of the features of the set that networks read: no apparent flux, no upper limits, no place on the sky, no cadence."""
    counts = {f"n_{band}" for band in feature_set.bands}
    return tuple(
        f.name
        for f in feature_set.features
        if f.group in MODEL_GROUPS and (f.scale_free or f.group == "host") and f.name not in _TELL_THE_SURVEY | counts
    )


@dataclass(frozen=True)
class FeatureRows:
    """B rows of `features` with status ok, as arrays.

    values : (B, F) in the order of the model's features, NaN where NULL      grid_time : (B, T) [d]
    grid_mean, grid_sd : (B, W, T) [nJy], bands by wavelength      points : (B, 5 x 256) of `points.as_matrix`, or None where no network reads them
    ValueError where the shapes do not fit together.
    """

    values: NDArray[np.floating]
    grid_time: NDArray[np.floating]
    grid_mean: NDArray[np.floating]
    grid_sd: NDArray[np.floating]
    points: Float32Array | None = None

    def __post_init__(self) -> None:
        n_rows, n_steps = self.grid_time.shape
        shapes = {"grid_mean": self.grid_mean.shape, "grid_sd": self.grid_sd.shape}
        n_bands = self.grid_sd.shape[1]
        if self.values.ndim != 2 or len(self.values) != n_rows or any(shape != (n_rows, n_bands, n_steps) for shape in shapes.values()):
            raise ValueError(
                f"feature rows: {n_rows} rows of {n_bands} bands x {n_steps} times expected, found values {self.values.shape}, {shapes}"
            )

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: NDArray[np.integer] | slice) -> FeatureRows:
        """The named rows, in that order."""
        points = None if self.points is None else self.points[rows]
        return FeatureRows(self.values[rows], self.grid_time[rows], self.grid_mean[rows], self.grid_sd[rows], points)

    def padded(self, n_rows: int) -> FeatureRows:
        """With rows of objects that were never seen, up to n_rows."""
        more = n_rows - len(self)

        def longer(array: NDArray[np.floating], fill: float) -> NDArray[np.floating]:
            return np.concatenate([array, np.full((more, *array.shape[1:]), fill, array.dtype)])

        points = None if self.points is None else longer(self.points, np.nan).astype(np.float32)
        time, mean, sd = (longer(array, 0.0) for array in (self.grid_time, self.grid_mean, self.grid_sd))
        return FeatureRows(longer(self.values, np.nan), time, mean, sd, points)


@dataclass(frozen=True)
class FeatureScaler:
    """What the training fold says about each feature: (F,) float64 each.

    centre, spread : median and interquartile range / 1.349      lowest, highest : the quantiles RANGE_QUANTILES
    missing : what stands for a value that is not known, already scaled
    """

    centre: FloatArray
    spread: FloatArray
    lowest: FloatArray
    highest: FloatArray
    missing: FloatArray

    @classmethod
    def fit(cls, values: NDArray[np.floating], names: Sequence[str]) -> FeatureScaler:
        """From the training fold's values (N, F), NaN where missing, of the features `names` (F). A feature never seen, or always the same, gets a
        spread of 1.

        A missing value is put at the centre, as if nothing were special; the redshift of an object without host at the lowest end, as if it were here.
        """
        known = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
        never = np.isnan(known).all(axis=0)
        known[:, never] = 0.0
        levels = [RANGE_QUANTILES[0], 0.25, 0.5, 0.75, RANGE_QUANTILES[1]]
        low, q25, centre, q75, high = np.nanquantile(known, levels, axis=0) if names else np.zeros((5, 0))  # numpy gives none of no feature
        spread = (q75 - q25) / 1.349
        spread = np.where(spread > 0.0, spread, (high - low) / 5.15)
        missing = np.where(np.array(names) == _WITHOUT_HOST, -CLIP, 0.0)
        return cls(centre, np.where(spread > 0.0, spread, 1.0), np.where(never, -np.inf, low), np.where(never, np.inf, high), missing)

    def scaled(self, values: NDArray[np.floating]) -> Float32Array:
        """asinh((x - centre) / spread), clipped to +-CLIP; `missing` where not known.  (B, F) to (B, F) float32."""
        x = np.clip((np.asarray(values, np.float64) - self.centre) / self.spread, -_FARTHEST, _FARTHEST)
        size = np.abs(x)
        raised = np.copysign(
            np.log(size + np.sqrt(size * size + 1.0)), x
        )  # in float32 the same as numpy's arcsinh, at less than half of its cost
        return np.where(np.isnan(raised), self.missing, raised).astype(np.float32)

    def outside_share(self, values: NDArray[np.floating]) -> FloatArray:
        """Share of an object's known features that lie outside the training fold's quantiles RANGE_QUANTILES.  (B, F) to (B,) [1]."""
        known = np.isfinite(values)
        tolerance = 1e-6 * self.spread
        outside = known & ((values < self.lowest - tolerance) | (values > self.highest + tolerance))
        share: FloatArray = outside.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        return share


def n_channels(n_bands: int) -> int:
    """[1] A mean and an sd in each band, time, and `hidden`."""
    return 2 * n_bands + 2


def channels(rows: FeatureRows) -> Float32Array:
    """The grid as (B, 2 W + 2, T) float32: W means, W sds, all over the highest |mean|; asinh(t / 10 d) / 4; and 0 for `hidden`."""
    scale = np.abs(rows.grid_mean).max(axis=(1, 2), keepdims=True)
    scale = np.where(scale > 0.0, scale, 1.0)
    time = np.arcsinh(rows.grid_time / _TIME_UNIT)[:, None] / 4.0
    return np.concatenate([rows.grid_mean / scale, rows.grid_sd / scale, time, np.zeros_like(time)], axis=1).astype(np.float32)


def noise_patterns(n_steps: int, seed: int, n_bands: int = 2) -> Float32Array:
    """N_PATTERNS draws of unit-variance errors, smooth in time and alike in neighbouring bands: (N_PATTERNS, W, T) float32.

    The posterior's covariance between times is not kept in `features`, only its diagonal; a squared exponential over 4 grid steps stands for it.
    """
    steps = np.arange(n_steps)
    correlation = np.exp(-0.5 * ((steps[:, None] - steps) / _CORRELATED_STEPS) ** 2) + 1e-6 * np.eye(n_steps)
    smooth = np.random.default_rng(seed).standard_normal((N_PATTERNS, n_bands, n_steps)) @ np.linalg.cholesky(correlation).T
    for band in range(1, n_bands):
        smooth[:, band] = _BAND_CORRELATION * smooth[:, band - 1] + np.sqrt(1.0 - _BAND_CORRELATION**2) * smooth[:, band]
    return smooth.astype(np.float32)


def redrawn(made: Float32Array, patterns: Float32Array, strength: Float32Array | float) -> Float32Array:
    """Channels whose means moved within their errors:  m' = m + kappa s e,  s' = s sqrt(1 + kappa^2).

    made : (B, 2 W + 2, T)      patterns, e : (B, W, T) or (W, T)      strength, kappa : (B,) or a number. A curve moved by kappa sd is that much
    less certain.
    """
    kappa, n_bands = np.asarray(strength, np.float32).reshape(-1, 1, 1), patterns.shape[-2]
    mean, sd = slice(0, n_bands), slice(n_bands, 2 * n_bands)
    moved = made.copy()
    moved[:, mean] += kappa * made[:, sd] * patterns
    moved[:, sd] *= np.sqrt(1.0 + kappa**2)
    return moved
