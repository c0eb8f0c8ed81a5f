"""Stars from which Earth is seen to pass before the Sun, and when: the Earth transit zone (Heller & Pudritz 2016, Astrobiology 16, 259)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deeprubin_spark.kernels.sky import OBLIQUITY, ecliptic_latitude

FloatArray = NDArray[np.float64]

SUN_RADIUS = 695_700.0  # [km] (IAU 2015 resolution B3)
ASTRONOMICAL_UNIT = 149_597_870.7  # [km] (IAU 2012 resolution B2)
HALF_WIDTH = float(np.degrees(np.arcsin(SUN_RADIUS / ASTRONOMICAL_UNIT)))  # [deg] 0.2664: Earth's centre passes before the Sun's disc
YEAR = 365.25  # [d]
_J2000_MJD = 51_544.5
_MOTION = 360.0 / YEAR  # [deg/d] mean motion of the Sun
_PRECESSION = 1.3969713 / 36_525.0  # [deg/d] general precession in longitude (IAU 1976)


def ecliptic_longitude(ra: ArrayLike, dec: ArrayLike) -> FloatArray:
    """Ecliptic longitude, tan lambda = (sin ra cos eps + tan dec sin eps) / cos ra.  ra, dec : [deg, J2000]. Returns [deg, J2000] in [0, 360)."""
    along, height, tilt = (np.radians(np.asarray(x, np.float64)) for x in (ra, dec, OBLIQUITY))
    sine = np.sin(along) * np.cos(height) * np.cos(tilt) + np.sin(height) * np.sin(tilt)
    longitude: FloatArray = np.degrees(np.arctan2(sine, np.cos(along) * np.cos(height))) % 360.0
    return longitude


def sun_longitude(mjd: ArrayLike) -> FloatArray:
    """Geocentric ecliptic longitude of the Sun [deg, J2000 equinox] at mjd [d], good to 0.02 deg from 1950 to 2050.

    lambda = L + 1.915 sin g + 0.020 sin 2g  (of date),   L = 280.460 + 0.9856474 n,   g = 357.528 + 0.9856003 n        (Astronomical Almanac, page C5)
    """
    n = np.asarray(mjd, np.float64) - _J2000_MJD
    anomaly = np.radians(357.528 + 0.985_600_3 * n)
    of_date = 280.460 + 0.985_647_4 * n + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2.0 * anomaly)
    longitude: FloatArray = (of_date - _PRECESSION * n) % 360.0
    return longitude


def days_from_opposition(mjd: ArrayLike, ra: ArrayLike, dec: ArrayLike) -> FloatArray:
    """Days by which mjd [d] is after the nearest time at which the Earth lies between the Sun and a star at ra, dec [deg, J2000].

    (lambda_sun + 180 - lambda_star) / mean motion, in [-182.6, 182.6] d; the true motion differs by up to 3.4 %.
    """
    ahead = sun_longitude(mjd) + 180.0 - ecliptic_longitude(ra, dec)
    days: FloatArray = ((ahead + 180.0) % 360.0 - 180.0) / _MOTION
    return days


def transit_half_duration(ra: ArrayLike, dec: ArrayLike) -> FloatArray:
    """Half of the time [d] for which a star at ra, dec [deg, J2000] sees Earth's centre before the Sun; 0 outside the zone.

    sqrt(w^2 - beta^2) / mean motion, w the zone's half width, beta the star's ecliptic latitude
    """
    beta = ecliptic_latitude(np.asarray(ra, np.float64), np.asarray(dec, np.float64))
    half: FloatArray = np.sqrt(np.maximum(HALF_WIDTH**2 - beta**2, 0.0)) / _MOTION
    return half


def chance_of_opposition(days: ArrayLike) -> FloatArray:
    """Probability [1] that a day of the year drawn at random lies as near to opposition as `days` [d]: 2 |days| / 365.25."""
    return np.asarray(np.minimum(2.0 * np.abs(np.asarray(days, np.float64)) / YEAR, 1.0), np.float64)
