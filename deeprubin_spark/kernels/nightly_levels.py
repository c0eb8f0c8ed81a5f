"""A light curve night by night, in units of its own scatter: what the tests for dips and event times look at.

In each band a point's deviation is counted from the band's median m_b in units of the larger of its error and the band's scatter:

    x_i = (F_i - m_b) / max(sigma_i, 1.4826 MAD_b)

A night's level is its lowest and highest deviation. Nights, not points, are what a scrambled light curve exchanges: points of one night are one look.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deeprubin_spark.bands import BANDS
from deeprubin_spark.kernels.light_curves import LightCurves

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_NIGHT_BEGINS = 0.0  # [d] of MJD: Palomar's and Chile's nights do not hold 12 h UT together with 24 h UT of another night's points
_MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True)
class Nights:
    """M nights of B objects; object b has the nights offsets[b] to offsets[b + 1], in order of time.

    mjd : (M,) [d] mean time      lowest, highest : (M,) [1] deviations      night_of : (N,) night of each point      deviation : (N,) [1] of each point
    """

    offsets: IntArray
    mjd: FloatArray
    lowest: FloatArray
    highest: FloatArray
    night_of: IntArray
    deviation: FloatArray


def nights_of(curves: LightCurves) -> Nights:
    """The nights of B light curves whose points are in order of time."""
    owner = np.repeat(np.arange(curves.n_objects), np.diff(curves.offsets))
    deviation = deviations(curves)
    day = np.floor(curves.mjd - _NIGHT_BEGINS)
    begins = np.ones(len(day), bool)
    begins[1:] = (np.diff(day) != 0.0) | (np.diff(owner) != 0)
    first = np.flatnonzero(begins)
    night_of = np.cumsum(begins) - 1
    counts = np.bincount(owner[first], minlength=curves.n_objects)
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    if len(first) == 0:
        nothing = np.empty(0)
        return Nights(offsets, nothing, nothing, nothing, night_of, deviation)
    sizes = np.diff(np.append(first, len(day)))
    mjd = np.add.reduceat(curves.mjd, first) / sizes
    return Nights(offsets, mjd, np.minimum.reduceat(deviation, first), np.maximum.reduceat(deviation, first), night_of, deviation)


def deviations(curves: LightCurves) -> FloatArray:
    """x_i (N,) [1] of all points."""
    found = np.empty(len(curves.mjd))
    _deviations(curves.offsets, curves.band, curves.flux, curves.flux_err, len(BANDS), found)
    return found


@njit(cache=True, nogil=True)
def _deviations(offsets: IntArray, band: NDArray[np.int8], flux: FloatArray, flux_err: FloatArray, n_bands: int, found: FloatArray) -> None:
    """`deviations` of every object."""
    for b in range(len(offsets) - 1):
        first, last = offsets[b], offsets[b + 1]
        for w in range(n_bands):
            chosen = np.flatnonzero(band[first:last] == w) + first
            if len(chosen) == 0:
                continue
            values = flux[chosen]
            median = np.median(values)
            scatter = _MAD_TO_SIGMA * np.median(np.abs(values - median))
            for i in chosen:
                found[i] = (flux[i] - median) / max(flux_err[i], scatter)
