"""What a light curve says before any fit: the flux scale that is its unit, the shortest timescale its cadence can show, its bands.

Offsets (B + 1,), mjd, flux and flux_err (N,) are those of `LightCurves`; every object is computed by itself.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

TIMESCALE_MIN, TIMESCALE_MAX = 0.1, 1000.0  # [d]
FLOOR_MAX = 500.0  # [d] highest floor: leaves the fit a factor 2 of freedom
EPOCH_GAP = 0.5  # [d] points closer than this belong to one epoch (same night) and say nothing about the cadence

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@njit(cache=True, nogil=True, error_model="numpy")
def scale_objects(offsets: Rows, flux: Floats, flux_err: Floats, scale: Floats) -> None:
    """`gaussian_process.flux_scale` of each object; weights relative to its smallest error, so that no unit of flux overflows."""
    for k in range(len(scale)):
        first, end = offsets[k], offsets[k + 1]
        if first == end:
            continue
        smallest = flux_err[first:end].min()
        total, weighted = 0.0, 0.0
        for i in range(first, end):
            weight = (smallest / flux_err[i]) ** 2
            total += weight
            weighted += weight * (flux[i] / smallest) ** 2 + 1.0
        scale[k] = smallest * math.sqrt(weighted / total)


@njit(cache=True, nogil=True)
def _floor(mjd: Floats, gaps: Floats) -> float:
    """`timescale_floor`; gaps has room for n gaps."""
    n_gaps = 0
    for i in range(1, len(mjd)):
        gap = mjd[i] - mjd[i - 1]
        gaps[n_gaps] = gap
        n_gaps += gap > EPOCH_GAP
    if n_gaps == 0:
        return TIMESCALE_MIN
    return float(min(max(2.0 * np.median(gaps[:n_gaps]), TIMESCALE_MIN), FLOOR_MAX))


@njit(cache=True, nogil=True)
def timescale_floor(mjd: Floats) -> float:
    """Twice the median gap between epochs, within [TIMESCALE_MIN, FLOOR_MAX] [d]; mjd (n,) ascending."""
    return _floor(mjd, np.empty(len(mjd)))


@njit(cache=True, nogil=True)
def floor_objects(offsets: Rows, mjd: Floats, floor: Floats) -> None:
    """`timescale_floor` of each object."""
    most = 0
    for k in range(len(floor)):
        most = max(most, offsets[k + 1] - offsets[k])
    gaps = np.empty(most)
    for k in range(len(floor)):
        floor[k] = _floor(mjd[offsets[k] : offsets[k + 1]], gaps)


@njit(cache=True, nogil=True)
def band_objects(offsets: Rows, band: NDArray[np.int8], wavelengths: Floats, rows: Rows, bands: Floats, n_bands: Rows) -> None:
    """Bands of each object in order of first appearance: how many n_bands (B,), their wavelengths bands (B, 6) [Angstrom], and of each
    point its band's place among them, rows (N,). band (N,) index into wavelengths (6,); points of unknown bands are left out.
    """
    for k in range(len(n_bands)):
        row_of_band, n_present = np.full(len(wavelengths), -1, np.int64), 0
        for i in range(offsets[k], offsets[k + 1]):
            b = band[i]
            if b < 0 or b >= len(wavelengths):
                continue
            if row_of_band[b] < 0:
                row_of_band[b] = n_present
                bands[k, n_present] = wavelengths[b]
                n_present += 1
            rows[i] = row_of_band[b]
        n_bands[k] = n_present
