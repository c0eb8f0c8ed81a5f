"""Whether light is taken away equally in two bands, as by something opaque, or more of the blue, as by dust.

    opaque: delta_g = delta_r,     dust: delta_b = 1 - 10^(-0.4 A_b),   A_g / A_r = 3.237 / 2.273   (R_V = 3.1; Schlafly & Finkbeiner 2011)

delta_b is the share of the star's light in band b that is missing. Each pair of delta with errors s leaves one degree of freedom to either screen:

    chi2_opaque = (delta_g - delta_r)^2 / (s_g^2 + s_r^2),     chi2_dust = min over A_r of the squared distance to the curve, in errors
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.kernels.host_features import EXTINCTION

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

DUST_RATIO = EXTINCTION["g"] / EXTINCTION["r"]
_STEPS = 25


@dataclass(frozen=True)
class Screens:
    """Of B objects, arrays (B,), NaN where no night has both bands.

    p : that dust fits as badly by chance, 1 where what is opaque does not fit either (below 5 %)      log_likelihood_ratio : ln L_opaque - ln L_dust
    n : pairs
    """

    p: FloatArray
    log_likelihood_ratio: FloatArray
    n: IntArray


def opaque_chi2(missing_g: FloatArray, err_g: FloatArray, missing_r: FloatArray, err_r: FloatArray) -> FloatArray:
    """Chi-squared (P,) of pairs under one share in both bands."""
    return np.asarray((missing_g - missing_r) ** 2 / (err_g**2 + err_r**2), np.float64)


def dust_chi2(missing_g: FloatArray, err_g: FloatArray, missing_r: FloatArray, err_r: FloatArray) -> FloatArray:
    """Chi-squared (P,) of pairs under dust, the best A_r by Gauss and Newton's method with halved steps; u = 10^(-0.4 A_r) in (0, 1]."""

    def chi2_at(u: FloatArray) -> FloatArray:
        made: FloatArray = ((1.0 - u**DUST_RATIO - missing_g) / err_g) ** 2 + ((1.0 - u - missing_r) / err_r) ** 2
        return made

    u = np.clip(1.0 - missing_r, 1e-6, 1.0)
    found, step_size = chi2_at(u), np.ones(len(u))
    for _ in range(_STEPS):
        slope_g, slope_r = -DUST_RATIO * u ** (DUST_RATIO - 1.0) / err_g, -1.0 / err_r
        gradient = slope_g * (1.0 - u**DUST_RATIO - missing_g) / err_g + slope_r * (1.0 - u - missing_r) / err_r
        tried = np.clip(u - step_size * gradient / (slope_g**2 + slope_r**2), 1e-6, 1.0)
        chi2 = chi2_at(tried)
        is_better = chi2 <= found
        u, found = np.where(is_better, tried, u), np.where(is_better, chi2, found)
        step_size = np.where(is_better, np.minimum(1.0, 2.0 * step_size), 0.5 * step_size)
    return found


def screens(chi2_opaque: FloatArray, chi2_dust: FloatArray, owner: IntArray, n_objects: int) -> Screens:
    """Both screens over all pairs (P,) of each of B objects; owner : (P,) object of each pair."""
    from scipy.special import gammaincc  # chi-squared's survival function: gammaincc(n / 2, x / 2)

    n = np.bincount(owner, minlength=n_objects)
    opaque, dust = (np.bincount(owner, weights=chi2, minlength=n_objects) for chi2 in (chi2_opaque, chi2_dust))
    half = np.maximum(n, 1) / 2.0
    fits = gammaincc(half, 0.5 * opaque) >= 0.05
    p = np.where(fits, gammaincc(half, 0.5 * dust), 1.0)
    has_any = n > 0
    return Screens(np.where(has_any, p, np.nan), np.where(has_any, 0.5 * (dust - opaque), np.nan), n.astype(np.int64))
