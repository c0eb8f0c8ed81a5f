"""Positions to pixels of the sky."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HEALPIX_ORDER = 14


def healpix(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.int64]:
    """HEALPix pixel at order 14, nested (Gorski et al. 2005).  ra, dec : (N,) [deg, J2000]. Returns (N,) int64."""
    from astropy_healpix.healpy import ang2pix  # astropy takes most of a second to import: only where pixels are asked for

    return np.asarray(ang2pix(2**HEALPIX_ORDER, ra, dec, nest=True, lonlat=True), np.int64)
