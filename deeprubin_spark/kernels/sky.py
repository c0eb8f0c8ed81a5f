"""Positions to pixels of the sky."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HEALPIX_ORDER = 14


def healpix(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.int64]:
    """HEALPix pixel at order 14, nested (Gorski et al. 2005).  ra, dec : (N,) [deg, J2000]. Returns (N,) int64."""
    from astropy_healpix.healpy import ang2pix  # astropy takes most of a second to import: only where pixels are asked for

    return np.asarray(ang2pix(2**HEALPIX_ORDER, ra, dec, nest=True, lonlat=True), np.int64)


def with_neighbours(pixels: NDArray[np.int64], order: int) -> NDArray[np.int64]:
    """Ranges of nested pixels that hold `pixels` (N,) of HEALPix `order` and all pixels that touch them: (R, 2) int64, first and last, ascending."""
    from astropy_healpix import HEALPix

    if len(pixels) == 0:
        return np.empty((0, 2), np.int64)
    around = HEALPix(nside=2**order, order="nested").neighbours(pixels)
    wanted = np.unique(np.concatenate([pixels, around.ravel()]))
    wanted = wanted[wanted >= 0]  # a corner pixel has a neighbour less, given as -1
    begins = np.concatenate(([0], np.flatnonzero(np.diff(wanted) > 1) + 1))
    ends = np.concatenate((begins[1:], [len(wanted)])) - 1
    return np.stack([wanted[begins], wanted[ends]], axis=1)
