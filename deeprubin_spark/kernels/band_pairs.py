"""Two neighbouring bands of one object: how they vary together, and their colour.

Pairs of points are made in order of time: the earliest points of both bands that are left are one if they lie within `PAIR_WINDOW`, else
the earlier of them is in none. Formulas stand in the feature catalogue.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves

PAIR_STATISTICS: tuple[str, ...] = ("stetson_j", "stetson_i", "mean_colour", "peak_colour")
PAIR_WINDOW = 0.5  # [d] points of two bands no further apart than this may be a pair: the same night's

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
    (blue, red), products = (np.flatnonzero(own) for own in (~is_red, is_red)), []
    while len(blue) and len(red):
        gap = mjd[red[0]] - mjd[blue[0]]
        if abs(gap) <= PAIR_WINDOW:
            products.append(deviations[blue[0]] * deviations[red[0]])
        blue, red = (rest[int(drop) :] for rest, drop in ((blue, gap >= -PAIR_WINDOW), (red, gap <= PAIR_WINDOW)))
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
def _mean(flux: FloatArray, flux_err: FloatArray) -> float:
    """Mean flux weighted by 1 / e^2."""
    weights, weighted = 0.0, 0.0
    for i in range(len(flux)):
        ratio = flux_err[0] / flux_err[i]
        weights += ratio * ratio
        weighted += ratio * ratio * flux[i]
    return weighted / weights


@njit(cache=True, nogil=True)
def _magnitudes(flux: FloatArray) -> tuple[float, float]:
    """Mean and brightest magnitude, on an arbitrary zero point, of a band's points of positive flux; NaN without."""
    n, total, product, highest = 0, 0.0, 1.0, 0.0
    for i in range(len(flux)):
        if flux[i] > 0.0:
            n, product, highest = n + 1, product * flux[i], max(highest, flux[i])
            if n % 4 == 0:  # a logarithm for four fluxes: their product stays a double for fluxes of 1e-75 to 1e75
                total, product = total + math.log10(product), 1.0
    if n == 0:
        return math.nan, math.nan
    return -2.5 * (total + math.log10(product)) / n, -2.5 * math.log10(highest)


@njit(cache=True, nogil=True, error_model="numpy")
def _stetson(time: FloatArray, deviation: FloatArray, n_blue: int, n_red: int, blue: int, row: FloatArray) -> None:
    """Stetson's J and I of two bands with two points or more into row[:2].

    time, deviation from the mean in errors : (2, room), the blue band in row `blue` (0 or 1), the red one in the other
    """
    correction = math.sqrt(n_blue / (n_blue - 1.0) * (n_red / (n_red - 1.0)))
    red, n_pairs, roots, products, i, j = 1 - blue, 0, 0.0, 0.0, 0, 0
    while i < n_blue and j < n_red:
        gap = time[red, j] - time[blue, i]
        if abs(gap) <= PAIR_WINDOW:
            product = deviation[blue, i] * deviation[red, j]
            n_pairs, products = n_pairs + 1, products + product
            roots += math.copysign(math.sqrt(abs(product) * correction), product)
            i, j = i + 1, j + 1
        elif gap > 0.0:
            i += 1
        else:
            j += 1
    if n_pairs > 0:
        row[0] = roots / n_pairs
    if n_pairs > 1:
        row[1] = products / math.sqrt(n_pairs * (n_pairs - 1.0))


@njit(cache=True, nogil=True, error_model="numpy")
def _pair_objects(
    offsets: Rows, mjd: FloatArray, band: Bands, flux: FloatArray, flux_err: FloatArray, bands: Bands, out: FloatArray, column: int
) -> None:
    """`pair_statistics` of every object and pair; out (B, F)."""
    room = 1  # every point is written before it is known to belong to the band
    for k in range(len(out)):
        room = max(room, offsets[k + 1] - offsets[k] + 1)
    time, deviation, f, e = np.empty((2, room)), np.empty((2, room)), np.empty(room), np.empty(room)
    for k in range(len(out)):
        last_n, last_mean, last_peak = 0, math.nan, math.nan
        for w in range(len(bands)):
            own, n = w % 2, 0  # a band and the one before it take turns
            for i in range(offsets[k], offsets[k + 1]):
                time[own, n], f[n], e[n] = mjd[i], flux[i], flux_err[i]
                n += band[i] == bands[w]
            centre = _mean(f[:n], e[:n]) if n > 0 else math.nan
            for i in range(n):
                deviation[own, i] = (f[i] - centre) / e[i]
            mean, peak = _magnitudes(f[:n])
            if w > 0:
                row = out[k, column + (w - 1) * _N : column + w * _N]
                row[2], row[3] = last_mean - mean, last_peak - peak
                if last_n > 1 and n > 1:
                    _stetson(time, deviation, last_n, n, 1 - own, row)
            last_n, last_mean, last_peak = n, mean, peak
