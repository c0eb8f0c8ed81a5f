"""Positions to pixels of the sky, and to the two planes that tell where a source lives: the Galaxy's and the ecliptic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HEALPIX_ORDER = 14
GALACTIC_POLE = 192.85948, 27.12825  # [deg] ra, dec (J2000) of the north Galactic pole (ESA 1997, Hipparcos Catalogue vol. 1, eq. 1.5.11)
OBLIQUITY = 23.4392911  # [deg] of the ecliptic, J2000 (IAU 1976; Lieske et al. 1977): 0.04 arcsec from later ones


def healpix(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.int64]:
    """HEALPix pixel at order 14, nested (Gorski et al. 2005).  ra, dec : (N,) [deg, J2000]. Returns (N,) int64."""
    from astropy_healpix.healpy import ang2pix  # astropy takes most of a second to import: only where pixels are asked for

    return np.asarray(ang2pix(2**HEALPIX_ORDER, ra, dec, nest=True, lonlat=True), np.int64)


def with_neighbours(pixels: NDArray[np.int64], order: int) -> NDArray[np.int64]:
    """Ranges of nested pixels that hold `pixels` (N,) of HEALPix `order` and all pixels that touch them: (R, 2) int64, first and last, ascending."""
    from astropy_healpix import HEALPix

    if len(pixels) == 0:
        return np.empty((0, 2), np.int64)
    with np.errstate(invalid="ignore"):  # the library makes -1 of a neighbour that is not there, by way of NaN
        around = HEALPix(nside=2**order, order="nested").neighbours(pixels)
    wanted = np.unique(np.concatenate([pixels, around.ravel()]))
    wanted = wanted[wanted >= 0]  # a corner pixel has a neighbour less, given as -1
    begins = np.concatenate(([0], np.flatnonzero(np.diff(wanted) > 1) + 1))
    ends = np.concatenate((begins[1:], [len(wanted)])) - 1
    return np.stack([wanted[begins], wanted[ends]], axis=1)


def fewer(ranges: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most `most` ranges that cover all of `ranges` (R, 2), first and last, ascending; those with the narrowest gaps between them become one."""
    if len(ranges) <= most:
        return ranges
    gaps = ranges[1:, 0] - ranges[:-1, 1]
    cuts = np.sort(np.argsort(gaps, kind="stable")[len(gaps) - (most - 1) :])
    return np.stack([ranges[np.concatenate(([0], cuts + 1)), 0], ranges[np.concatenate((cuts, [len(ranges) - 1])), 1]], axis=1)


def galactic_latitude(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.float64]:
    """Galactic latitude, sin b = sin dec sin dec_P + cos dec cos dec_P cos(ra - ra_P), P the north Galactic pole.

    ra, dec : (N,) [deg, J2000]. Returns (N,) [deg] in [-90, 90]; NaN in, NaN out.
    """
    return _latitude(ra, dec, *GALACTIC_POLE)


def ecliptic_latitude(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ecliptic latitude, sin beta = sin dec cos eps - cos dec sin eps sin ra, eps the obliquity: the pole is at ra 270, dec 90 - eps [deg].

    ra, dec : (N,) [deg, J2000]. Returns (N,) [deg] in [-90, 90]; NaN in, NaN out.
    """
    return _latitude(ra, dec, 270.0, 90.0 - OBLIQUITY)


def _latitude(ra: NDArray[np.float64], dec: NDArray[np.float64], pole_ra: float, pole_dec: float) -> NDArray[np.float64]:
    """Angle [deg] from the great circle whose pole this is."""
    height, pole_height = np.radians(np.asarray(dec, np.float64)), np.radians(pole_dec)
    along = np.cos(np.radians(np.asarray(ra, np.float64) - pole_ra))
    sine = np.sin(height) * np.sin(pole_height) + np.cos(height) * np.cos(pole_height) * along
    latitude: NDArray[np.float64] = np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0)))
    return latitude
