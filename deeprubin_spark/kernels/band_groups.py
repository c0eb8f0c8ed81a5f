"""Light curves sorted by band, each band on a scale of its own: the form in which periods are sought.

In band b with n points, weights w_i = s_i^-2 / sum s^-2 and y_i = F_i - <F>, the flux kept is

    sqrt(X_b / sum_b X_b / <y^2>) y_i,        X_b = sum (y_i / s_i)^2,        s_i^2 = e_i^2 + (softening 1.4826 median |F - median F|)^2

with e_i the error of the flux: <flux^2> is the band's share of the chi-squared of a constant, and the shares sum to 1. Softening says that
a few sines are no perfect model of a star: without it the few points of the smallest errors decide, and with it no outlier does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deeprubin_spark.bands import BANDS
from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves, read_only

MIN_BAND_POINTS = 5  # below it, a mean, an amplitude and a phase describe almost anything
WIDTH = 4  # a band's room is a multiple of this many points, so that loops need no remainder

_FLAT = 1e-14  # weighted variance below this share of the mean square is rounding: the band is constant

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Bands = NDArray[np.int8]


@dataclass(frozen=True)
class BandGroups:
    """The usable bands of C objects: G groups of points, with room for M points.

    groups : (C + 1,) int64, object c has the groups groups[c] to groups[c + 1]      span : (C,) [d], from the first to the last point
    bounds : (G + 1,) int64, the groups' room      counts : (G,) int64, the points in it; the rest has no weight      band : (G,) int8
    scale : (G,) [nJy] of one unit of flux      time : (M,) [d] since the object's first point      flux, weight : (M,) [1]
    """

    groups: NDArray[np.int64]
    span: FloatArray
    bounds: NDArray[np.int64]
    counts: NDArray[np.int64]
    band: NDArray[np.int8]
    scale: FloatArray
    time: FloatArray
    flux: FloatArray
    weight: FloatArray

    @property
    def n_objects(self) -> int:
        """C, objects without usable bands included."""
        return len(self.span)


def band_groups(curves: LightCurves, chosen: NDArray[np.int64], softening: float) -> BandGroups:
    """The bands of the objects `chosen` (C,) that have at least five points and are not constant.

    Points must be finite, with positive errors. softening : share of a band's robust scatter that is added to its errors, 0 for none.
    """
    lengths = curves.offsets[chosen + 1] - curves.offsets[chosen]
    room = int(lengths.sum()) + WIDTH * len(BANDS) * len(chosen)
    time, flux, weight = np.zeros(room), np.zeros(room), np.zeros(room)
    span, groups = np.zeros(len(chosen)), np.zeros(len(chosen) + 1, np.int64)
    most = len(BANDS) * len(chosen)
    bounds, counts, band, scale = np.zeros(most + 1, np.int64), np.zeros(most, np.int64), np.zeros(most, np.int8), np.zeros(most)
    arrays = (curves.offsets, curves.mjd, curves.band, curves.flux, curves.flux_err)
    _group_objects(chosen, *arrays, float(softening), groups, span, bounds, counts, band, scale, time, flux, weight)
    n, m = groups[-1], bounds[groups[-1]]
    return BandGroups(
        read_only(groups),
        read_only(span),
        read_only(bounds[: n + 1]),
        read_only(counts[:n]),
        read_only(band[:n]),
        read_only(scale[:n]),
        read_only(time[:m]),
        read_only(flux[:m]),
        read_only(weight[:m]),
    )


@njit(cache=True, nogil=True)
def _median(values: Floats) -> float:
    """Median of values (n,), n > 0, which are sorted in place."""
    values.sort()
    n = len(values)
    return float(0.5 * (values[(n - 1) // 2] + values[n // 2]))


@njit(cache=True, nogil=True)
def _robust_scatter(flux: Floats) -> float:
    """1.4826 times the median distance from the median: a Gaussian's standard deviation."""
    return 1.4826 * _median(np.abs(flux - _median(flux.copy())))


@njit(cache=True, nogil=True, error_model="numpy")
def _centre(flux: Floats, weight: Floats) -> float:
    """Weights (n,) divided by their sum, flux (n,) less its mean; returns its mean square, 0 if that is only rounding."""
    total, mean, raw, square = weight.sum(), 0.0, 0.0, 0.0
    for i in range(len(flux)):
        weight[i] /= total
        mean += weight[i] * flux[i]
        raw += weight[i] * flux[i] ** 2
    for i in range(len(flux)):
        flux[i] -= mean
        square += weight[i] * flux[i] ** 2
    return square if square > _FLAT * raw else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _weigh(flux: Floats, flux_err: Floats, unit: float, softening: float, weight: Floats) -> float:
    """Flux and errors (n,) in `unit`s to centred flux and weights that sum to 1; returns the chi-squared of a constant."""
    extra = softening * _robust_scatter(flux) if softening > 0.0 else 0.0
    for i in range(len(flux)):
        weight[i] = 1.0 / ((flux_err[i] / unit) ** 2 + extra**2)
    total = weight.sum()
    return float(_centre(flux, weight) * total)


@njit(cache=True, nogil=True, error_model="numpy")
def _group_objects(
    chosen: Rows,
    offsets: Rows,
    mjd: Floats,
    bands: Bands,
    flux_in: Floats,
    flux_err: Floats,
    softening: float,
    groups: Rows,
    span: Floats,
    bounds: Rows,
    counts: Rows,
    band: Bands,
    scale: Floats,
    time: Floats,
    flux: Floats,
    weight: Floats,
) -> None:
    """`band_groups` into the arrays from `groups` on; rooms beyond the last group's are left untidy."""
    g = 0
    for c in range(len(chosen)):
        first, end = offsets[chosen[c]], offsets[chosen[c] + 1]
        if end > first:
            span[c] = mjd[end - 1] - mjd[first]
            unit, origin = flux_err[first:end].min(), mjd[first]  # so that no unit of flux overflows
        chi2 = 0.0
        for b in range(len(BANDS)):
            rows = np.flatnonzero(bands[first:end] == b) + first
            start, n = bounds[g], len(rows)
            if n < MIN_BAND_POINTS:
                continue
            stop = start + n
            time[start:stop] = mjd[rows] - origin
            flux[start:stop] = flux_in[rows] / unit
            own = _weigh(flux[start:stop], flux_err[rows], unit, softening, weight[start:stop])
            if own > 0.0:
                bounds[g + 1] = start + (n + WIDTH - 1) // WIDTH * WIDTH
                counts[g], band[g], scale[g] = n, b, own
                _clear(stop, bounds[g + 1], time, flux, weight)
                chi2 += own
                g += 1
        _share(groups[c], g, chi2, unit if end > first else 1.0, bounds, scale, flux, weight)
        groups[c + 1] = g


@njit(cache=True, nogil=True)
def _clear(start: int, stop: int, time: Floats, flux: Floats, weight: Floats) -> None:
    """Points of no weight from start to stop."""
    for i in range(start, stop):
        time[i], flux[i], weight[i] = 0.0, 0.0, 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _share(first: int, end: int, chi2: float, unit: float, bounds: Rows, scale: Floats, flux: Floats, weight: Floats) -> None:
    """Flux of an object's groups to mean squares that are their shares of chi2, given as `scale`, which becomes their scale [nJy]."""
    for g in range(first, end):
        square = 0.0
        for i in range(bounds[g], bounds[g + 1]):
            square += weight[i] * flux[i] ** 2
        factor = math.sqrt(scale[g] / chi2 / square)
        for i in range(bounds[g], bounds[g + 1]):
            flux[i] *= factor
        scale[g] = unit / factor
