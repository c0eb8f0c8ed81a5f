"""Harmonic fits of one period to all bands: which of a few candidate frequencies is the star's own, and the shape of its curve.

In band b, with weights that sum to 1 (`BandGroups`),

    y = m + sum_h a_h cos(2 pi h f t) + b_h sin(2 pi h f t),  h = 1 .. H_b,        gain = sum_b (chi2 of a constant - chi2 of the fit)

by weighted linear least squares; gain is a share of the chi-squared of a constant. H_b <= H, and a band of n points takes at most (n - 1) / 4.
A frequency and its H are chosen by the lowest Bayesian information criterion with noise of unknown size (Schwarz 1978),

    BIC = N ln(1 - gain) + p ln N,     p = sum_b (1 + 2 H_b),    N points in all bands.

A sinusoid's periodogram confuses a star's frequency with its multiples, and with f +- 1 per day and per year where it was seen at about the same
hour or season. Each of the highest peaks is therefore tried together with these, and one whose curve needs fewer harmonics to fit wins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deeprubin_spark.kernels.band_groups import BandGroups
from deeprubin_spark.kernels.light_curves import FloatArray

MAX_HARMONICS = 4
SIDEREAL_DAYS = 1.0027379093  # per day
MULTIPLES = (0.5, 1.0 / 3.0, 2.0, 3.0)  # of each peak's frequency
OFFSETS = (1.0, SIDEREAL_DAYS, 2.0, 1.0 / 365.25)  # [1/d] to either side of the highest peaks

_N_OFFSET_PEAKS = 2  # peaks whose aliases by `OFFSETS` are tried: those of the others are mostly peaks themselves
_N_MULTIPLE_PEAKS = 6
_N_FINALISTS = 5
_ROUGH_HARMONICS, _ROUGH_STEP, _N_ROUGH = 2, 0.12, 7  # first sweep: harmonics, step in 1 / span, frequencies
_FINE_STEPS = (0.04, 0.008)  # sweeps of the finalists
_N_FINE = 9
_PIVOT = 1e-6  # of a normal matrix, whose diagonal is 1/2 for even phases: below it a term says nothing that the terms before do not
_LEAST_REST = 1e-9  # of chi-squared: a fit better than this is exact
_FASTMATH = {"reassoc", "contract"}
_TWO_PI = 2.0 * math.pi

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Curve = tuple[Floats, Floats, Floats]  # time [d], flux and weight of an object's points, as in `BandGroups`


@njit(cache=True, nogil=True)
def _most_harmonics(n: int) -> int:
    """Harmonics that n points of a band can carry."""
    return min((n - 1) // 4, MAX_HARMONICS)


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _moments(cos: Floats, sin: Floats, flux: Floats, weight: Floats, n_harmonics: int, turned: Floats, out: Floats) -> None:
    """Weighted sums of cos h x, sin h x for h <= 2 H (rows 0, 1 of out) and of flux times them for h <= H (rows 2, 3), at out[:, h].

    cos, sin (n,) are those of each point's phase x; turned (2, n) is room for those of h x.
    """
    out[0, 0], out[1, 0] = 1.0, 0.0
    cos_h, sin_h = turned[0], turned[1]
    for i in range(len(cos)):
        cos_h[i], sin_h[i] = weight[i], 0.0
    for h in range(1, 2 * n_harmonics + 1):
        c_sum, s_sum, yc_sum, ys_sum = 0.0, 0.0, 0.0, 0.0
        for i in range(len(cos)):
            c, s = cos_h[i] * cos[i] - sin_h[i] * sin[i], sin_h[i] * cos[i] + cos_h[i] * sin[i]
            cos_h[i], sin_h[i] = c, s
            c_sum += c
            s_sum += s
            yc_sum += c * flux[i]
            ys_sum += s * flux[i]
        out[0, h], out[1, h], out[2, h], out[3, h] = c_sum, s_sum, yc_sum, ys_sum


@njit(cache=True, nogil=True)
def _normal_matrix(moments: Floats, n_harmonics: int, matrix: Floats, right: Floats) -> None:
    """Normal equations of cos x, sin x, cos 2x, ... less their means: lower triangle of matrix, right (2 H,)."""
    c, s = moments[0], moments[1]
    for j in range(1, n_harmonics + 1):
        for k in range(1, j + 1):
            row, column = 2 * j - 2, 2 * k - 2
            matrix[row, column] = 0.5 * (c[j - k] + c[j + k]) - c[j] * c[k]
            matrix[row, column + 1] = 0.5 * (s[j + k] - s[j - k]) - c[j] * s[k]
            matrix[row + 1, column] = 0.5 * (s[j + k] + s[j - k]) - s[j] * c[k]
            matrix[row + 1, column + 1] = 0.5 * (c[j - k] - c[j + k]) - s[j] * s[k]
        right[2 * j - 2], right[2 * j - 1] = moments[2, j], moments[3, j]


@njit(cache=True, nogil=True, error_model="numpy")
def _eliminate(size: int, matrix: Floats, right: Floats) -> None:
    """Cholesky factor in the lower triangle, and right solved by it, in place; a term that depends on those before it is set to 0.

    The gain of the first m terms is then the sum of the squares of right[:m].
    """
    for j in range(size):
        pivot = matrix[j, j]
        for m in range(j):
            pivot -= matrix[j, m] ** 2
        root = math.sqrt(pivot) if pivot > _PIVOT else math.inf
        matrix[j, j] = root
        total = right[j]
        for m in range(j):
            total -= matrix[j, m] * right[m]
        right[j] = total / root
        for k in range(j + 1, size):
            total = matrix[k, j]
            for m in range(j):
                total -= matrix[k, m] * matrix[j, m]
            matrix[k, j] = total / root


@njit(cache=True, nogil=True)
def _sweep(points: Curve, bounds: Rows, counts: Rows, start: float, step: float, n_harmonics: int, gains: Floats) -> None:
    """Gain at start + j step of fits with 1 .. H harmonics into gains (J, H)."""
    time, flux, weight = points
    gains[:] = 0.0
    moments, matrix, right = np.empty((4, 2 * MAX_HARMONICS + 1)), np.empty((2 * MAX_HARMONICS, 2 * MAX_HARMONICS)), np.empty(2 * MAX_HARMONICS)
    angle, turned = np.empty((4, len(time))), np.empty((2, len(time)))
    for i in range(len(time)):
        now, on = _TWO_PI * start * time[i], _TWO_PI * step * time[i]
        angle[0, i], angle[1, i], angle[2, i], angle[3, i] = math.cos(now), math.sin(now), math.cos(on), math.sin(on)
    for g in range(len(counts)):
        own = slice(bounds[g], bounds[g + 1])
        cos, sin, cos_on, sin_on = angle[0][own], angle[1][own], angle[2][own], angle[3][own]
        most = min(n_harmonics, _most_harmonics(counts[g]))
        for j in range(len(gains)):
            _moments(cos, sin, flux[own], weight[own], most, turned, moments)
            _normal_matrix(moments, most, matrix, right)
            _eliminate(2 * most, matrix, right)
            total = 0.0
            for h in range(n_harmonics):
                if h < most:
                    total += right[2 * h] ** 2 + right[2 * h + 1] ** 2
                gains[j, h] += total
            _turn(cos, sin, cos_on, sin_on)


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _turn(cos: Floats, sin: Floats, cos_on: Floats, sin_on: Floats) -> None:
    """Phases (n,) moved on by an angle each."""
    for i in range(len(cos)):
        cos[i], sin[i] = cos[i] * cos_on[i] - sin[i] * sin_on[i], sin[i] * cos_on[i] + cos[i] * sin_on[i]


@njit(cache=True, nogil=True)
def _penalties(counts: Rows) -> Floats:
    """p ln N of fits with 1 .. MAX_HARMONICS harmonics."""
    penalty = np.zeros(MAX_HARMONICS)
    n_points = counts.sum()
    for h in range(MAX_HARMONICS):
        for n in counts:
            penalty[h] += (1 + 2 * min(h + 1, _most_harmonics(n))) * math.log(n_points)
    return penalty


@njit(cache=True, nogil=True, error_model="numpy")
def _best_of_sweep(gains: Floats, n_points: int, penalty: Floats) -> tuple[int, int, float]:
    """Row j, harmonics h and value of the lowest BIC in gains (J, H)."""
    best, row, harmonics = math.inf, 0, 1
    for j in range(gains.shape[0]):
        for h in range(gains.shape[1]):
            bic = n_points * math.log(max(1.0 - gains[j, h], _LEAST_REST)) + penalty[h]
            if bic < best:
                best, row, harmonics = bic, j, h + 1
    return row, harmonics, best


@njit(cache=True, nogil=True)
def _candidates(peaks: Floats, low: float, high: float, apart: float) -> Floats:
    """The peaks (P,) [1/d], highest first, their multiples and their aliases within [low, high], none closer than `apart`."""
    every, n = np.empty(len(peaks) * (1 + len(MULTIPLES) + 2 * len(OFFSETS))), 0
    for place in range(len(peaks)):
        every[n] = peaks[place]
        n += 1
    for place in range(min(len(peaks), _N_MULTIPLE_PEAKS)):
        for multiple in MULTIPLES:
            every[n] = peaks[place] * multiple
            n += 1
    for place in range(min(len(peaks), _N_OFFSET_PEAKS)):
        for offset in OFFSETS:
            every[n], every[n + 1] = peaks[place] + offset, abs(peaks[place] - offset)
            n += 2
    kept = 0
    for j in range(n):
        new = low <= every[j] <= high  # also drops NaN
        for m in range(kept):
            new = new and abs(every[m] - every[j]) >= apart
        if new:
            every[kept] = every[j]
            kept += 1
    return every[:kept]


@njit(cache=True, nogil=True)
def _rough_ranks(points: Curve, bounds: Rows, counts: Rows, candidates: Floats, span: float, penalty: Floats) -> tuple[Floats, Floats]:
    """BIC of each candidate with few harmonics, and the frequency nearby where it is lowest."""
    frequency, bic = np.empty(len(candidates)), np.empty(len(candidates))
    gains, step = np.empty((_N_ROUGH, _ROUGH_HARMONICS)), _ROUGH_STEP / span
    for j in range(len(candidates)):
        start = candidates[j] - (_N_ROUGH // 2) * step
        _sweep(points, bounds, counts, start, step, _ROUGH_HARMONICS, gains)
        row, _, bic[j] = _best_of_sweep(gains, counts.sum(), penalty)
        frequency[j] = start + row * step
    return frequency, bic


@njit(cache=True, nogil=True)
def _refine(points: Curve, bounds: Rows, counts: Rows, frequency: float, span: float, penalty: Floats) -> tuple[float, int, float]:
    """Frequency near the given one, number of harmonics and value of the lowest BIC."""
    gains = np.empty((_N_FINE, MAX_HARMONICS))
    harmonics, bic = 1, math.inf
    for fraction in _FINE_STEPS:
        step = fraction / span
        start = frequency - (_N_FINE // 2) * step
        _sweep(points, bounds, counts, start, step, MAX_HARMONICS, gains)
        row, harmonics, bic = _best_of_sweep(gains, counts.sum(), penalty)
        frequency = start + row * step
    return frequency, harmonics, bic


@njit(cache=True, nogil=True)
def _rank_objects(
    groups: Rows,
    bounds: Rows,
    counts: Rows,
    time: Floats,
    flux: Floats,
    weight: Floats,
    span: Floats,
    low: Floats,
    high: Floats,
    peaks: Floats,
    frequency: Floats,
    bic: Floats,
    n_harmonics: Rows,
) -> None:
    """`choose` into frequency, bic (C, 2) and n_harmonics (C,), which hold NaN, inf and 0 where there is nothing to choose."""
    for c in range(len(span)):
        limits, n = bounds[groups[c] : groups[c + 1] + 1], counts[groups[c] : groups[c + 1]]
        candidates = _candidates(peaks[c], low[c], high[c], 0.5 / span[c] if span[c] > 0.0 else math.inf)
        if len(n) == 0 or len(candidates) == 0:
            continue
        points = (time[limits[0] : limits[-1]], flux[limits[0] : limits[-1]], weight[limits[0] : limits[-1]])
        limits = limits - limits[0]
        penalty = _penalties(n)
        rough, rough_bic = _rough_ranks(points, limits, n, candidates, span[c], penalty)
        for finalist in np.argsort(rough_bic)[:_N_FINALISTS]:
            f, harmonics, value = _refine(points, limits, n, rough[finalist], span[c], penalty)
            if value < bic[c, 0]:
                if abs(f - frequency[c, 0]) > 0.5 / span[c]:
                    frequency[c, 1], bic[c, 1] = frequency[c, 0], bic[c, 0]
                frequency[c, 0], bic[c, 0], n_harmonics[c] = f, value, harmonics
            elif value < bic[c, 1] and abs(f - frequency[c, 0]) > 0.5 / span[c]:
                frequency[c, 1], bic[c, 1] = f, value
