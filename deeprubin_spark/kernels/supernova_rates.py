"""How often stars explode in a volume that a survey watches: counts weighted by the probability of the class, with limits.

    R = sum_i w_i (1 + z_i) / (eps_i V_max,i T)        (Schmidt 1968, ApJ 151, 393, for the 1 / V_max; (1 + z): clocks out there run slow)

w_i is the calibrated probability that object i is of the kind, eps the chance that it is found, V_max the volume in which it would have been.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deeprubin_spark.kernels.host_features import HUBBLE
from deeprubin_spark.kernels.poisson_limits import weighted_limits

FloatArray = NDArray[np.float64]

LIGHT = 299_792.458  # [km s-1]
WHOLE_SKY = 4.0 * np.pi * (180.0 / np.pi) ** 2  # [deg2]


@dataclass(frozen=True)
class Rate:
    """A rate and its limits at one standard deviation, arrays of one shape in one unit."""

    rate: FloatArray
    low: FloatArray
    high: FloatArray


def absolute_magnitude(flux: ArrayLike, luminosity_distance: ArrayLike) -> FloatArray:
    """M = 31.4 - 2.5 log10(F / nJy) - 5 log10(d_L / 10 pc), flux : [nJy], luminosity_distance : [Mpc]. NaN where the flux is not above 0."""
    flux = np.asarray(flux, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude = 31.4 - 2.5 * np.log10(np.where(flux > 0.0, flux, np.nan))
        return np.asarray(magnitude - 5.0 * np.log10(np.asarray(luminosity_distance, np.float64) * 1e5), np.float64)


def low_redshift(luminosity_distance: ArrayLike) -> FloatArray:
    """Redshift [1] of a luminosity distance [Mpc] where z is small: d_L = (c / H_0) z (1 + z / 2), of an empty universe, turned round.

    Other universes differ in the next order, z^2 (1 - q_0) / 2 (Hogg 1999): below 0.1 % of 1 + z within 100 Mpc.
    """
    x = np.asarray(luminosity_distance, np.float64) * HUBBLE / LIGHT
    return np.asarray(np.sqrt(1.0 + 2.0 * x) - 1.0, np.float64)


def greatest_volume(magnitude: ArrayLike, limiting_magnitude: float, sky_area: ArrayLike, farthest: float) -> FloatArray:
    """V_max [Mpc3]: where a source of absolute `magnitude` is brighter than the limit, in `sky_area` [deg2], and not beyond `farthest` [Mpc].

    (4/3) pi min(10^((m_lim - M + 5) / 5) pc, farthest)^3 area / whole sky: space is flat and still, so farthest must be near (z << 1).
    """
    reach = np.minimum(10.0 ** (0.2 * (limiting_magnitude - np.asarray(magnitude, np.float64) + 5.0)) / 1e6, farthest)
    return np.asarray(4.0 / 3.0 * np.pi * reach**3 * np.asarray(sky_area, np.float64) / WHOLE_SKY, np.float64)


def volumetric_weights(
    probability: ArrayLike, z: ArrayLike, volume: ArrayLike, years: ArrayLike, efficiency: ArrayLike = 1.0
) -> FloatArray:
    """Weights w (1 + z) / (eps V_max T) [Mpc-3 yr-1] of each object; their sum is the rate."""
    watched = np.asarray(efficiency, np.float64) * np.asarray(volume, np.float64) * np.asarray(years, np.float64)
    return np.asarray(np.asarray(probability, np.float64) * (1.0 + np.asarray(z, np.float64)) / watched, np.float64)


def rate_of_sums(weights: ArrayLike, squared: ArrayLike, exposure: ArrayLike) -> Rate:
    """Rate of a sum of weights and of their squares in an exposure (area or volume times time), with the limits of Gehrels 1986.

    All of one shape. NaN where the exposure is 0: nobody looked.
    """
    total, exposure = np.asarray(weights, np.float64), np.asarray(exposure, np.float64)
    low, high = weighted_limits(total, squared)
    with np.errstate(divide="ignore", invalid="ignore"):
        looked = np.where(exposure > 0.0, exposure, np.nan)
        return Rate(total / looked, low / looked, high / looked)
