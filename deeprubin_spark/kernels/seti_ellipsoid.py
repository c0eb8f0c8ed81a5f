"""When a star could have seen a bright event and answered at once: the SETI Ellipsoid.

Light of the event reaches the star, at distance d_es from the event, and a signal sent then reaches us after the event's own light did, by

    delay = (d_es + d - D) / c

d the star's distance, D the event's. Stars of one delay lie on an ellipsoid whose foci are the event and the Earth (Lemarchand 1994,
Astrophysics and Space Science 214, 209; Davenport, Cabrales et al. 2022, arXiv:2206.04092; Cabrales et al. 2024, arXiv:2402.11037).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deeprubin_spark.kernels.separations import separation

FloatArray = NDArray[np.float64]

KILOMETRES_PER_PARSEC = 3.0856775814913673e13  # 648000 / pi au (IAU 2015 resolution B2), au = 149597870.7 km
PARSECS_PER_DAY = 299_792.458 * 86_400.0 / KILOMETRES_PER_PARSEC  # light's speed


@dataclass(frozen=True)
class Crossings:
    """When the ellipsoid crosses stars, arrays of one shape.

    delay : [d] after the event's light reached us      delay_err : [d] 1 sigma, from the errors of both distances
    """

    delay: FloatArray
    delay_err: FloatArray


def crossings(
    distance: ArrayLike, distance_err: ArrayLike, event_distance: ArrayLike, event_distance_err: ArrayLike, h: ArrayLike
) -> Crossings:
    """Delay of stars after an event, theta from it, h = sin^2(theta / 2).

    c delay = d_es + d - D = 4 d D h / (d_es + D - d)  where D >= d: no difference of large numbers
    c sigma = sqrt(((c delay + 2 D h) / d_es sigma_d)^2 + ((2 d h - c delay) / d_es sigma_D)^2)

    The factors are d(d_es + d - D)/dd = 1 + (d - D cos theta) / d_es and d(...)/dD, written without differences.
    distance, distance_err, event_distance, event_distance_err : [pc], above 0, broadcast together. NaN where one is unknown.
    """
    d, far, h = (np.asarray(x, np.float64) for x in (distance, event_distance, h))
    to_event = separation(d, far, h)
    with np.errstate(divide="ignore", invalid="ignore"):
        path = np.where(far >= d, 4.0 * d * far * h / (to_event + far - d), to_event + d - far)
        path = np.where((to_event == 0.0) & np.isfinite(d), 0.0, path)  # the star is where the event was
        by_star = (path + 2.0 * far * h) / to_event * np.asarray(distance_err, np.float64)
        by_event = (2.0 * d * h - path) / to_event * np.asarray(event_distance_err, np.float64)
    return Crossings(path / PARSECS_PER_DAY, np.hypot(by_star, by_event) / PARSECS_PER_DAY)


def deviation(mjd: ArrayLike, crossing_mjd: ArrayLike, crossing_err: ArrayLike, tolerance: float) -> FloatArray:
    """Z = (t - t_x) / sqrt(sigma_t^2 + tolerance^2) [1] of something seen at mjd [d]; tolerance [d]: how late an answer may be."""
    spread = np.hypot(np.asarray(crossing_err, np.float64), tolerance)
    return np.asarray((np.asarray(mjd, np.float64) - np.asarray(crossing_mjd, np.float64)) / spread, np.float64)


def chance_of_coincidence(mjd: ArrayLike, expected_mjd: ArrayLike, first_mjd: ArrayLike, last_mjd: ArrayLike) -> FloatArray:
    """Probability [1] that a time drawn uniformly from the survey's span would lie as near to the expected one as `mjd` does.

    p = |[t_x - D, t_x + D] within [first, last]| / (last - first),   D = |mjd - t_x|

    Times drawn at random give p uniform in (0, 1], wherever t_x is: this is the exact null of scrambled times. All [d], broadcast together.
    ValueError where a span is empty.
    """
    expected, first_mjd, last_mjd = (np.asarray(x, np.float64) for x in (expected_mjd, first_mjd, last_mjd))
    if not (last_mjd > first_mjd).all():
        raise ValueError(f"survey's span: last_mjd after first_mjd expected, found {first_mjd} to {last_mjd}")
    reach = np.abs(np.asarray(mjd, np.float64) - expected)
    within = np.minimum(expected + reach, last_mjd) - np.maximum(expected - reach, first_mjd)
    return np.asarray(np.clip(within / (last_mjd - first_mjd), 0.0, 1.0), np.float64)
