"""How many points there are, and how significant they are."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves

POINT_STATISTICS: tuple[str, ...] = (
    "duration",
    "positive_fraction",
    "significant_fraction",
    "faded_fraction",
    "insignificant_fraction",
    "max_snr",
    "median_abs_snr",
)
SIGNIFICANT_SNR = 5.0
INSIGNIFICANT_SNR = 3.0

_N_POINT = len(POINT_STATISTICS)

Rows = NDArray[np.int64]
Bands = NDArray[np.int8]


def fill_band_counts(curves: LightCurves, bands: Bands, out: FloatArray, column: int) -> None:
    """Points of each object in each band, into out (B, F) from `column` on."""
    _count_objects(curves.offsets, curves.band, bands, out, column)


def fill_point_statistics(curves: LightCurves, out: FloatArray, column: int) -> None:
    """`point_statistics` into out (B, F) from `column` on; an object without points is left as it is."""
    _point_objects(curves.offsets, curves.mjd, curves.flux, curves.flux_err, out, column)


def point_statistics(curves: LightCurves) -> FloatArray:
    """Statistics of all points in any band, in the order of `POINT_STATISTICS`. Returns (B, 7), NaN for an object without points."""
    out = np.full((curves.n_objects, _N_POINT), np.nan)
    fill_point_statistics(curves, out, 0)
    return out


@njit(cache=True, nogil=True)
def _most_points(offsets: Rows) -> int:
    """Points of the largest object."""
    most = 0
    for k in range(len(offsets) - 1):
        most = max(most, offsets[k + 1] - offsets[k])
    return most


@njit(cache=True, nogil=True)
def _count_objects(offsets: Rows, band: Bands, bands: Bands, out: FloatArray, column: int) -> None:
    """Points of every object in each of `bands`; out (B, F)."""
    for k in range(len(out)):
        for w in range(len(bands)):
            n = 0
            for i in range(offsets[k], offsets[k + 1]):
                n += band[i] == bands[w]
            out[k, column + w] = n


@njit(cache=True, nogil=True, error_model="numpy")
def _point_objects(offsets: Rows, mjd: FloatArray, flux: FloatArray, flux_err: FloatArray, out: FloatArray, column: int) -> None:
    """`point_statistics` of every object with points; out (B, F)."""
    size = np.empty(_most_points(offsets))
    for k in range(len(out)):
        first, n = offsets[k], offsets[k + 1] - offsets[k]
        if n == 0:
            continue
        n_positive, n_significant, n_faded, n_insignificant, highest = 0, 0, 0, 0, -math.inf
        for i in range(n):
            snr = flux[first + i] / flux_err[first + i]
            size[i] = abs(snr)
            n_positive += snr > 0.0
            n_significant += abs(snr) > SIGNIFICANT_SNR
            n_faded += snr < -SIGNIFICANT_SNR
            n_insignificant += abs(snr) < INSIGNIFICANT_SNR
            highest = max(highest, snr)
        out[k, column] = mjd[first + n - 1] - mjd[first]
        out[k, column + 1] = n_positive / n
        out[k, column + 2] = n_significant / n
        out[k, column + 3] = n_faded / n
        out[k, column + 4] = n_insignificant / n
        out[k, column + 5] = highest
        out[k, column + 6] = np.median(size[:n])
