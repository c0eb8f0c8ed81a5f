"""Two neighbouring bands of one object: how they vary together, and their colour. F_i flux, e_i error, M_b weighted mean of band b."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves

PAIR_STATISTICS: tuple[str, ...] = ("stetson_j", "stetson_i", "mean_colour", "peak_colour")
PAIR_WINDOW = 0.5  # [d] points of two bands closer than this are a pair: the same night's

_N = len(PAIR_STATISTICS)

Rows = NDArray[np.int64]
Bands = NDArray[np.int8]


def fill_pair_statistics(curves: LightCurves, bands: Bands, out: FloatArray, column: int) -> None:
    """`pair_statistics` into out (B, F) from `column` on; what does not exist is left as it is."""
    _pair_objects(curves.offsets, curves.mjd, curves.band, curves.flux, curves.flux_err, bands, out, column)


def pair_statistics(curves: LightCurves, bands: Bands) -> FloatArray:
    """Statistics of each pair of neighbours in `bands`, in the order of `PAIR_STATISTICS`, pair after pair.

    bands : (W,) int8, indices into `BANDS`. Returns (B, 4 (W - 1)): Stetson's J and I [1], NaN without pairs of points or where a band
    has less than two; colours [mag], NaN unless both bands hold a point of positive flux.
    """
    out = np.full((curves.n_objects, max(len(bands) - 1, 0) * _N), np.nan)
    fill_pair_statistics(curves, bands, out, 0)
    return out


def plain_pair_statistics(mjd: FloatArray, is_red: NDArray[np.bool_], flux: FloatArray, flux_err: FloatArray) -> FloatArray:
    """The plain twin of `pair_statistics` for the points of two bands of one object, (n,) each in order of time, two of each or more."""
    deviations, magnitudes = np.empty(len(mjd)), []
    for own in (~is_red, is_red):
        mean = np.average(flux[own], weights=flux_err[own] ** -2.0)
        deviations[own] = (flux[own] - mean) / flux_err[own]
        magnitudes.append(-2.5 * np.log10(flux[own & (flux > 0.0)]))
    corrections = [np.sqrt(n / (n - 1)) for n in ((~is_red).sum(), is_red.sum())]
    products, i = [], 0
    while i < len(mjd) - 1:
        is_pair = is_red[i] != is_red[i + 1] and mjd[i + 1] - mjd[i] <= PAIR_WINDOW
        if is_pair:
            products.append(deviations[i] * deviations[i + 1])
        i += 2 if is_pair else 1
    values = [np.nan] * 4
    if products:
        stetson = np.array(products) * corrections[0] * corrections[1]
        values[0] = np.mean(np.sign(stetson) * np.sqrt(np.abs(stetson)))
    if len(products) > 1:
        values[1] = np.sum(products) / np.sqrt(len(products) * (len(products) - 1))
    if all(len(m) for m in magnitudes):
        values[2:] = [magnitudes[0].mean() - magnitudes[1].mean(), magnitudes[0].min() - magnitudes[1].min()]
    return np.array(values)


@njit(cache=True, nogil=True, error_model="numpy")
def _mean(band: Bands, flux: FloatArray, flux_err: FloatArray, wanted: int) -> tuple[int, float]:
    """Number of points in a band and their mean weighted by 1 / e^2."""
    n, smallest, weights, weighted = 0, math.inf, 0.0, 0.0
    for i in range(len(flux)):
        if band[i] == wanted:
            smallest = min(smallest, flux_err[i])
    for i in range(len(flux)):
        if band[i] == wanted:
            weight = (smallest / flux_err[i]) ** 2
            n, weights, weighted = n + 1, weights + weight, weighted + weight * flux[i]
    return n, weighted / weights


@njit(cache=True, nogil=True, error_model="numpy")
def _stetson(mjd: FloatArray, band: Bands, flux: FloatArray, flux_err: FloatArray, blue: int, red: int, row: FloatArray) -> None:
    """Stetson's J and I of the pairs of consecutive points in the two bands, each point in one pair at most, into row[:2]."""
    n_blue, blue_mean = _mean(band, flux, flux_err, blue)
    n_red, red_mean = _mean(band, flux, flux_err, red)
    if n_blue < 2 or n_red < 2:
        return
    correction = math.sqrt(n_blue / (n_blue - 1.0) * (n_red / (n_red - 1.0)))
    n_pairs, roots, products, open_band, open_time, open_deviation = 0, 0.0, 0.0, -1, 0.0, 0.0
    for i in range(len(mjd)):
        if band[i] != blue and band[i] != red:
            continue
        deviation = (flux[i] - (blue_mean if band[i] == blue else red_mean)) / flux_err[i]
        if open_band >= 0 and open_band != band[i] and mjd[i] - open_time <= PAIR_WINDOW:
            product = deviation * open_deviation
            n_pairs += 1
            products += product
            roots += math.copysign(math.sqrt(abs(product) * correction), product)
            open_band = -1
        else:
            open_band, open_time, open_deviation = band[i], mjd[i], deviation
    if n_pairs > 0:
        row[0] = roots / n_pairs
    if n_pairs > 1:
        row[1] = products / math.sqrt(n_pairs * (n_pairs - 1.0))


@njit(cache=True, nogil=True, error_model="numpy")
def _magnitudes(band: Bands, flux: FloatArray, wanted: int) -> tuple[float, float]:
    """Mean and brightest magnitude, on an arbitrary zero point, of a band's points of positive flux; NaN without."""
    n, total, highest = 0, 0.0, 0.0
    for i in range(len(flux)):
        if band[i] == wanted and flux[i] > 0.0:
            n, total, highest = n + 1, total + math.log10(flux[i]), max(highest, flux[i])
    if n == 0:
        return math.nan, math.nan
    return -2.5 * total / n, -2.5 * math.log10(highest)


@njit(cache=True, nogil=True)
def _pair_objects(
    offsets: Rows, mjd: FloatArray, band: Bands, flux: FloatArray, flux_err: FloatArray, bands: Bands, out: FloatArray, column: int
) -> None:
    """`pair_statistics` of every object and pair; out (B, F)."""
    for k in range(len(out)):
        first, end = offsets[k], offsets[k + 1]
        for p in range(len(bands) - 1):
            blue, red = bands[p], bands[p + 1]
            row = out[k, column + p * _N : column + (p + 1) * _N]
            _stetson(mjd[first:end], band[first:end], flux[first:end], flux_err[first:end], blue, red, row)
            blue_mean, blue_peak = _magnitudes(band[first:end], flux[first:end], blue)
            red_mean, red_peak = _magnitudes(band[first:end], flux[first:end], red)
            row[2], row[3] = blue_mean - red_mean, blue_peak - red_peak
