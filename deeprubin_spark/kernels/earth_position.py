"""Where on its way around the Sun an observatory stands: heliocentric place of observers, and how high the Sun is for them.

The Earth is ERFA's (Vallee & Bretagnon's VSOP2000 cut short, `epv00`: within 11 km, 0.01 arcsec at 1 au, of DE405 over 1900-2100), turned by IAU 2000B.
UTC stands for UT1: that is 400 m of the observer's place at most.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

AU_M = 149597870700.0
_MJD_ZERO = 2400000.5
_WGS84 = 1


class Site(NamedTuple):
    """Longitude east, geodetic latitude [deg] and height [m]."""

    longitude: float
    latitude: float
    height: float


PALOMAR = Site(-116.8630, 33.3563, 1712.0)  # the 48-inch telescope: ZTF


def observer_positions(mjd: ArrayLike, site: Site = PALOMAR) -> FloatArray:
    """Heliocentric place of the site.

    mjd : (N,) [MJD, UTC]. Returns (N, 3) [au], on the axes of ICRS. Equal times are computed once. ValueError where a time is not finite.
    """
    times, place = _distinct(mjd)
    earth, zenith = _earth(times), _site_vectors(times, site)
    return np.asarray((earth + zenith / AU_M)[place], np.float64)


def sun_altitudes(mjd: ArrayLike, site: Site = PALOMAR) -> FloatArray:
    """Geometric altitude of the Sun's centre above the horizon of the site, refraction left out.  mjd : (N,) [MJD, UTC]. Returns (N,) [deg]."""
    times, place = _distinct(mjd)
    towards, zenith = -_earth(times), _site_vectors(times, site)
    sine = np.sum(towards * zenith, axis=1) / (np.linalg.norm(towards, axis=1) * np.linalg.norm(zenith, axis=1))
    return np.asarray(np.degrees(np.arcsin(sine))[place], np.float64)


def _distinct(mjd: ArrayLike) -> tuple[FloatArray, NDArray[np.int64]]:
    times, place = np.unique(np.atleast_1d(np.asarray(mjd, np.float64)), return_inverse=True)
    if not np.isfinite(times).all():
        raise ValueError("observer positions: finite times expected, found others; leave such rows out before")
    return times, place


def _earth(times: FloatArray) -> FloatArray:
    """Heliocentric centre of the Earth, (N, 3) [au]; TT for TDB, which is 2 ms."""
    import erfa  # a tenth of a second: only where orbits are asked for

    return np.asarray(erfa.epv00(_MJD_ZERO, _terrestrial_time(times))[0]["p"], np.float64)


def _site_vectors(times: FloatArray, site: Site) -> FloatArray:
    """From the Earth's centre to the site, (N, 3) [m], on the axes of ICRS."""
    import erfa

    fixed = erfa.gd2gc(_WGS84, np.radians(site.longitude), np.radians(site.latitude), site.height)
    turned = erfa.c2t00b(_MJD_ZERO, _terrestrial_time(times), _MJD_ZERO, times, 0.0, 0.0)
    return np.asarray(np.einsum("nij,i->nj", turned, fixed), np.float64)


def _terrestrial_time(times: FloatArray) -> FloatArray:
    import erfa

    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", erfa.ErfaWarning
        )  # a year beyond the list of leap seconds: the last one known is right for an orbit
        tai = erfa.utctai(_MJD_ZERO, times)
    return np.asarray(erfa.taitt(*tai)[1], np.float64)
