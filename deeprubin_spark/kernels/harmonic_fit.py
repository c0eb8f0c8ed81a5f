"""Compiled loops of the harmonic fits; formulas, units and sources stand in `harmonics.py`.

Compiled functions call only functions of their own file: numba's cache notices a change of that file, not of another one. A curve is the
points of one object, (n,) each: time [d], flux, weight; bounds (groups + 1,) are its bands' limits in it, counts (groups,) their points.
A fit's terms are cos x, sin x, cos 2x, sin 2x, ... of the phase x, less their weighted means.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

MAX_HARMONICS = 4
SIDEREAL_DAYS = 1.0027379093  # per day
MULTIPLES = (0.5, 2.0)  # of a peak's frequency; a third and three times it never won on 368 RR Lyrae
OFFSETS = (1.0, SIDEREAL_DAYS, 2.0, 1.0 / 365.25)  # [1/d] to either side of a peak
RIDGE = 0.1  # of h^2 / n: harmonic h of a band is expected to have about 1 / h of the curve's scatter; without it, gaps in phase are filled wildly
CLEAR_EVIDENCE = 10.0  # of BIC, very strong (Kass & Raftery 1995), by which a frequency must beat a slow trend, and its double or triple
TREND_CYCLES = 1.5  # per time span: what turns less often is a slow trend, which nightly sampling confuses with periods near a day

_N_OFFSET_PEAKS = 2  # highest peaks whose aliases by `OFFSETS` are tried: those of the others are mostly peaks themselves
_N_MULTIPLE_PEAKS = 4
_N_FINALISTS = 8
_ROUGH_HARMONICS, _ROUGH_STEP, _N_ROUGH = 2, 0.15, 3  # first sweep: harmonics, step in 1 / span, frequencies
_FINE_STEPS = (0.05, 0.01)  # sweeps of the finalists
_N_FINE = 7
_PIVOT = 1e-6  # of a normal matrix, whose diagonal is 1/2 for even phases: below it a term says nothing that the terms before do not
_LEAST = 1e-9  # of chi-squared, or of the residual: a fit better than this is exact
_FASTMATH = {"reassoc", "contract"}  # sums in any order; NaN and infinity keep their meaning
_TWO_PI = 2.0 * math.pi

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Curve = tuple[Floats, Floats, Floats]
Room = tuple[Floats, Floats, Floats]  # moments (4, 2 H + 1), matrix (2 H, 2 H) and right side (2 H,) of a band's fit


@njit(cache=True, nogil=True)
def _most_harmonics(n: int) -> int:
    """Harmonics that n points of a band can carry."""
    return min((n - 1) // 4, MAX_HARMONICS)


@njit(cache=True, nogil=True)
def _object(c: int, groups: Rows, bounds: Rows, counts: Rows, time: Floats, flux: Floats, weight: Floats) -> tuple[Curve, Rows, Rows]:
    """Curve of object c, copied (read-only arrays would be a second compiled form), its bands' limits and points."""
    limits = bounds[groups[c] : groups[c + 1] + 1]
    first, end = limits[0], limits[-1]
    curve = (time[first:end].copy(), flux[first:end].copy(), weight[first:end].copy())
    return curve, limits - first, counts[groups[c] : groups[c + 1]].copy()


@njit(cache=True, nogil=True)
def _room() -> Room:
    """Room for the fit of one band."""
    size = 2 * MAX_HARMONICS
    return np.empty((4, size + 1)), np.empty((size, size)), np.empty(size)


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
def _normal_matrix(moments: Floats, n_harmonics: int, ridge: float, matrix: Floats, right: Floats) -> None:
    """Normal equations of the terms: lower triangle of matrix, to whose diagonal ridge h^2 is added, and right (2 H,)."""
    c, s = moments[0], moments[1]
    for j in range(1, n_harmonics + 1):
        for k in range(1, j + 1):
            row, column = 2 * j - 2, 2 * k - 2
            matrix[row, column] = 0.5 * (c[j - k] + c[j + k]) - c[j] * c[k]
            matrix[row, column + 1] = 0.5 * (s[j + k] - s[j - k]) - c[j] * s[k]
            matrix[row + 1, column] = 0.5 * (s[j + k] + s[j - k]) - s[j] * c[k]
            matrix[row + 1, column + 1] = 0.5 * (c[j - k] - c[j + k]) - s[j] * s[k]
        matrix[2 * j - 2, 2 * j - 2] += ridge * j * j
        matrix[2 * j - 1, 2 * j - 1] += ridge * j * j
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


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _turn(cos: Floats, sin: Floats, cos_on: Floats, sin_on: Floats) -> None:
    """Phases (n,) moved on by an angle each."""
    for i in range(len(cos)):
        cos[i], sin[i] = cos[i] * cos_on[i] - sin[i] * sin_on[i], sin[i] * cos_on[i] + cos[i] * sin_on[i]


@njit(cache=True, nogil=True)
def _sweep(curve: Curve, bounds: Rows, counts: Rows, start: float, step: float, ridge: float, gains: Floats) -> None:
    """Gain at start + j step of fits with 1 .. H harmonics into gains (J, H)."""
    time, flux, weight = curve
    gains[:] = 0.0
    moments, matrix, right = _room()
    angle, turned = np.empty((4, len(time))), np.empty((2, len(time)))
    for i in range(len(time)):
        now, on = _TWO_PI * start * time[i], _TWO_PI * step * time[i]
        angle[0, i], angle[1, i], angle[2, i], angle[3, i] = math.cos(now), math.sin(now), math.cos(on), math.sin(on)
    for g in range(len(counts)):
        own = slice(bounds[g], bounds[g + 1])
        cos, sin, cos_on, sin_on = angle[0][own], angle[1][own], angle[2][own], angle[3][own]
        most = min(gains.shape[1], _most_harmonics(counts[g]))
        for j in range(len(gains)):
            _moments(cos, sin, flux[own], weight[own], most, turned, moments)
            _normal_matrix(moments, most, ridge / counts[g], matrix, right)
            _eliminate(2 * most, matrix, right)
            total = 0.0
            for h in range(gains.shape[1]):
                if h < most:
                    total += right[2 * h] ** 2 + right[2 * h + 1] ** 2
                gains[j, h] += total
            _turn(cos, sin, cos_on, sin_on)


@njit(cache=True, nogil=True)
def _penalties(counts: Rows) -> Floats:
    """The terms p ln N of fits with 1 .. MAX_HARMONICS harmonics, above that of a constant."""
    penalty = np.zeros(MAX_HARMONICS)
    n_points = counts.sum()
    for h in range(MAX_HARMONICS):
        for n in counts:
            penalty[h] += 2 * min(h + 1, _most_harmonics(n)) * math.log(n_points)
    return penalty


@njit(cache=True, nogil=True, error_model="numpy")
def _best_of_sweep(gains: Floats, n_points: int, penalty: Floats) -> tuple[int, float]:
    """Row j and value of the lowest BIC in gains (J, H), above a constant's."""
    best, row = math.inf, 0
    for j in range(gains.shape[0]):
        for h in range(gains.shape[1]):
            bic = n_points * math.log(max(1.0 - gains[j, h], _LEAST)) + penalty[h]
            if bic < best:
                best, row = bic, j
    return row, best


@njit(cache=True, nogil=True)
def _candidates(peaks: Floats, low: float, high: float, apart: float) -> Floats:
    """The peaks (P,) [1/d], highest first, their multiples and aliases, and two slow trends, within [low, high], none closer than `apart`."""
    every = np.full(2 + len(peaks) * (1 + len(MULTIPLES) + 2 * len(OFFSETS)), math.nan)
    every[: len(peaks)] = peaks
    n = len(peaks)
    every[n], every[n + 1] = max(low, apart), max(low, apart) + apart
    n += 2
    for peak in peaks[:_N_MULTIPLE_PEAKS]:
        for multiple in MULTIPLES:
            every[n] = peak * multiple
            n += 1
    for peak in peaks[:_N_OFFSET_PEAKS]:
        for offset in OFFSETS:
            every[n], every[n + 1] = peak + offset, abs(peak - offset)
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
def _fit_band(curve: Curve, first: int, end: int, frequency: float, n_harmonics: int, room: Room) -> Floats:
    """The factored fit of one band into room, and its terms (2 H, n)."""
    time, flux, weight = curve[0][first:end], curve[1][first:end], curve[2][first:end]
    moments, matrix, right = room
    terms, turned = np.empty((2 * n_harmonics, end - first)), np.empty((2, end - first))
    for i in range(end - first):
        c, s = math.cos(_TWO_PI * frequency * time[i]), math.sin(_TWO_PI * frequency * time[i])
        terms[0, i], terms[1, i] = c, s
        for h in range(1, n_harmonics):
            terms[2 * h, i] = terms[2 * h - 2, i] * c - terms[2 * h - 1, i] * s
            terms[2 * h + 1, i] = terms[2 * h - 1, i] * c + terms[2 * h - 2, i] * s
    _moments(terms[0], terms[1], flux, weight, n_harmonics, turned, moments)
    _normal_matrix(moments, n_harmonics, RIDGE / np.count_nonzero(weight), matrix, right)
    _eliminate(2 * n_harmonics, matrix, right)
    for h in range(n_harmonics):
        terms[2 * h] -= moments[0, h + 1]
        terms[2 * h + 1] -= moments[1, h + 1]
    return terms


@njit(cache=True, nogil=True, error_model="numpy")
def _coefficients(room: Room, n_harmonics: int) -> Floats:
    """Coefficients of the first `n_harmonics` harmonics of a factored fit: a_1, b_1, a_2, ... (2 H,)."""
    _, matrix, right = room
    found = right[: 2 * n_harmonics].copy()
    for j in range(2 * n_harmonics - 1, -1, -1):
        for k in range(j + 1, 2 * n_harmonics):
            found[j] -= matrix[k, j] * found[k]
        found[j] /= matrix[j, j]
    return found


@njit(cache=True, nogil=True)
def _absolute_residuals(curve: Curve, bounds: Rows, counts: Rows, frequency: float) -> Floats:
    """Sum of |residual| / error of the least-squares fits with 0 .. MAX_HARMONICS harmonics, over all bands."""
    total, room = np.zeros(MAX_HARMONICS + 1), _room()
    for g in range(len(counts)):
        first, end = bounds[g], bounds[g + 1]
        most = _most_harmonics(counts[g])
        terms = _fit_band(curve, first, end, frequency, most, room)
        root = np.sqrt(curve[2][first:end])
        own = np.sum(root * np.abs(curve[1][first:end]))
        total[0] += own
        for h in range(1, MAX_HARMONICS + 1):
            if h <= most:
                rest = curve[1][first:end].copy()
                found = _coefficients(room, h)
                for j in range(2 * h):
                    rest -= found[j] * terms[j]
                own = np.sum(root * np.abs(rest))
            total[h] += own
    return total


@njit(cache=True, nogil=True)
def _robust_criterion(curve: Curve, bounds: Rows, counts: Rows, frequency: float, penalty: Floats) -> tuple[int, float]:
    """Number of harmonics, and how much lower their BIC is than a constant's, with Laplace's noise."""
    rest, n = _absolute_residuals(curve, bounds, counts, frequency), counts.sum()
    harmonics, best = 0, -math.inf
    for h in range(1, MAX_HARMONICS + 1):
        better = 2.0 * n * math.log(rest[0] / max(rest[h], _LEAST * rest[0])) - penalty[h - 1]
        if better > best:
            harmonics, best = h, better
    return harmonics, best


@njit(cache=True, nogil=True)
def _lowest_nearby(
    curve: Curve, bounds: Rows, counts: Rows, frequency: float, step: float, low: float, gains: Floats, penalty: Floats
) -> tuple[float, float]:
    """Frequency of the lowest BIC among J steps around the given one, and its value; gains (J, H) is room, H the most harmonics."""
    start = max(frequency - (len(gains) // 2) * step, low)
    _sweep(curve, bounds, counts, start, step, RIDGE, gains)
    row, bic = _best_of_sweep(gains, counts.sum(), penalty)
    return start + row * step, bic


@njit(cache=True, nogil=True)
def _finalists(curve: Curve, bounds: Rows, counts: Rows, candidates: Floats, span: float, low: float, penalty: Floats) -> Floats:
    """The candidates of the lowest BIC with few harmonics, each moved to the lowest with up to `MAX_HARMONICS`, none below `low`."""
    frequency, bic = np.empty(len(candidates)), np.empty(len(candidates))
    rough, fine = np.empty((_N_ROUGH, _ROUGH_HARMONICS)), np.empty((_N_FINE, MAX_HARMONICS))
    for j in range(len(candidates)):
        frequency[j], bic[j] = _lowest_nearby(curve, bounds, counts, candidates[j], _ROUGH_STEP / span, low, rough, penalty)
    found = frequency[np.argsort(bic)[:_N_FINALISTS]]
    for j in range(len(found)):
        for step in _FINE_STEPS:
            found[j], _ = _lowest_nearby(curve, bounds, counts, found[j], step / span, low, fine, penalty)
    return found


@njit(cache=True, nogil=True)
def _winner(frequency: Floats, evidence: Floats, apart: float) -> int:
    """The finalist of the greatest evidence, or a slow trend, or its double or triple, if that is not clearly worse."""
    order = np.argsort(-evidence)
    best = order[0]
    for j in order:
        if frequency[j] < TREND_CYCLES * 2.0 * apart and evidence[j] > evidence[best] - CLEAR_EVIDENCE:
            return int(j)
    for j in order:
        ratio = round(frequency[j] / frequency[best])
        near = abs(frequency[j] - ratio * frequency[best]) < ratio * apart
        if 2 <= ratio <= 3 and near and evidence[j] > evidence[best] - CLEAR_EVIDENCE:
            best = j
    return int(best)


@njit(cache=True, nogil=True)
def choose_of_objects(
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
    evidence: Floats,
    n_harmonics: Rows,
) -> None:
    """`harmonics.choose` into frequency, evidence (C, 2) and n_harmonics (C,), which hold NaN and 0 where there is nothing to choose."""
    for c in range(len(span)):
        curve, limits, n = _object(c, groups, bounds, counts, time, flux, weight)
        if len(n) == 0 or not span[c] > 0.0:
            continue
        apart, penalty = 0.5 / span[c], _penalties(n)
        candidates = _candidates(peaks[c], low[c], high[c], apart)
        if len(candidates) == 0:
            continue
        found = _finalists(curve, limits, n, candidates, span[c], low[c], penalty)
        harmonics, gained = np.empty(len(found), np.int64), np.empty(len(found))
        for j in range(len(found)):
            harmonics[j], gained[j] = _robust_criterion(curve, limits, n, found[j], penalty)
        best = _winner(found, gained, apart)
        frequency[c, 0], evidence[c, 0], n_harmonics[c] = found[best], gained[best], harmonics[best]
        for j in np.argsort(-gained):
            if abs(found[j] - found[best]) > apart:
                frequency[c, 1], evidence[c, 1] = found[j], gained[j]
                break


@njit(cache=True, nogil=True)
def describe_objects(
    groups: Rows,
    bounds: Rows,
    counts: Rows,
    time: Floats,
    flux: Floats,
    weight: Floats,
    frequency: Floats,
    peak: Floats,
    n_harmonics: Rows,
    least_harmonics: int,
    gain: Floats,
    power: Floats,
    coefficients: Floats,
) -> None:
    """`harmonics.describe` into gain (C,), power (C, 4) and coefficients (G, 2 MAX_HARMONICS), for objects that have a frequency."""
    single, gains = np.empty((1, 1)), np.empty((1, MAX_HARMONICS))
    room = _room()
    for c in range(len(frequency)):
        if n_harmonics[c] == 0:
            continue
        curve, limits, n = _object(c, groups, bounds, counts, time, flux, weight)
        for column, at in enumerate((frequency[c], 2.0 * frequency[c], 0.5 * frequency[c], peak[c])):
            _sweep(curve, limits, n, at, 0.0, 0.0, single)
            power[c, column] = single[0, 0]
        _sweep(curve, limits, n, frequency[c], 0.0, RIDGE, gains)
        gain[c] = gains[0, n_harmonics[c] - 1]
        for g in range(len(n)):
            most = min(_most_harmonics(n[g]), max(n_harmonics[c], least_harmonics))
            _fit_band(curve, limits[g], limits[g + 1], frequency[c], most, room)
            coefficients[groups[c] + g, : 2 * most] = _coefficients(room, most)
