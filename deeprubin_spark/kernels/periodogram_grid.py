"""Compiled loops of the periodogram; formulas, units and sources stand in `periodogram.py`.

Compiled functions call only functions of their own file: numba's cache notices a change of that file, not of another one. A group is the
points of one band, or of one segment of time: it has a mean, amplitude and phase of its own. Points and their bounds are as in `BandGroups`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deeprubin_spark.kernels.band_groups import MIN_BAND_POINTS, WIDTH

LOW_FREQUENCY_CYCLES = 4.0  # per segment: below it a segment does not tell a period from a trend, so that all points are taken in phase
SEGMENT_OVERSAMPLING = 3.0  # of the grid on which segments are summed; its peaks are then resolved on the fine grid
MAX_SEGMENT_PEAKS = 24  # of the summed segments that are resolved

_K = 64  # frequencies to either side of a block's centre, the centre counted
BLOCK = 2 * _K - 1
_SINGULAR = np.float32(1e-12)  # squared determinant below which sine and cosine are one, and there is no power
_FASTMATH = {"reassoc", "contract"}  # sums in any order; NaN and infinity keep their meaning
_TWO_PI = 2.0 * math.pi

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Rows = NDArray[np.int64]
Peaks = tuple[Floats, Floats]  # frequency and power, highest first; NaN and -1 where the list is not full
Curve = tuple[Floats, Floats, Floats]  # time since the object's first point [d], flux and weight, as in `BandGroups`


@njit(cache=True, nogil=True, error_model="numpy")
def _standardise(flux: Floats, weight: Floats) -> float:
    """Weights (n,) to the sum 1 and flux (n,) to the mean 0 and the mean square that is its chi-squared, which is returned."""
    total, mean, square = weight.sum(), 0.0, 0.0
    for i in range(len(flux)):
        mean += weight[i] / total * flux[i]
    for i in range(len(flux)):
        square += weight[i] / total * (flux[i] - mean) ** 2
    for i in range(len(flux)):
        flux[i] = (flux[i] - mean) * math.sqrt(total)
        weight[i] /= total
    return float(square * total)


@njit(cache=True, nogil=True, error_model="numpy")
def _pool_segments(points: Curve, bounds: Rows, span: float, n_segments: int) -> tuple[Curve, Rows]:
    """The bands' points regrouped by segment of time, in the same form; segments with too few points or a constant flux are left out.

    A band's flux is brought to unit scatter and its weights to the band's share: all bands are one curve, each seen with its own noise.
    """
    time, flux, weight = points
    room = len(time) + n_segments * WIDTH
    to, value, load, limits = np.zeros(room), np.zeros(room), np.zeros(room), np.zeros(n_segments + 1, np.int64)
    n_groups, total = 0, 0.0
    for s in range(n_segments):
        start = limits[n_groups]
        n = start
        for g in range(len(bounds) - 1):
            own = slice(bounds[g], bounds[g + 1])
            share = np.sum(weight[own] * flux[own] ** 2)
            for i in range(bounds[g], bounds[g + 1]):
                if weight[i] > 0.0 and min(int(time[i] / span * n_segments), n_segments - 1) == s:
                    to[n], value[n], load[n] = time[i], flux[i] / math.sqrt(share), weight[i] * share
                    n += 1
        chi2 = _standardise(value[start:n], load[start:n]) if n - start >= MIN_BAND_POINTS else 0.0
        if chi2 > 0.0:
            total += chi2
            n_groups += 1
            start = n
            limits[n_groups] = (n + WIDTH - 1) // WIDTH * WIDTH
        end = max(n, limits[n_groups])
        to[start:end], value[start:end], load[start:end] = 0.0, 0.0, 0.0
    end = limits[n_groups]
    return (to[:end], value[:end] / math.sqrt(total if total > 0.0 else 1.0), load[:end]), limits[: n_groups + 1]


@njit(cache=True, nogil=True)
def _table(time: Floats, step: float) -> Singles:
    """cos, sin of k a and of 2 k a at a = 2 pi step t, k < K, of each point: (n * 4 K,)."""
    table = np.empty(len(time) * 4 * _K, np.float32)
    for i in range(len(time)):
        cos_step, sin_step = math.cos(_TWO_PI * step * time[i]), math.sin(_TWO_PI * step * time[i])
        row = table[i * 4 * _K : (i + 1) * 4 * _K]
        c, s = 1.0, 0.0
        for k in range(_K):
            row[k] = c
            row[_K + k] = s
            row[2 * _K + k] = c * c - s * s
            row[3 * _K + k] = 2.0 * c * s
            c, s = c * cos_step - s * sin_step, s * cos_step + c * sin_step
    return table


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _turn(cos: Floats, sin: Floats, cos_on: Floats, sin_on: Floats, weights: Floats, flux: Floats, factors: Singles) -> None:
    """The block's six factors of each point into factors (6, n), and its angle moved on to the next block."""
    for i in range(len(weights)):
        c, s, w, wy = cos[i], sin[i], weights[i], weights[i] * flux[i]
        factors[0, i] = w * c
        factors[1, i] = w * s
        factors[2, i] = wy * c
        factors[3, i] = wy * s
        factors[4, i] = w * (c * c - s * s)
        factors[5, i] = w * 2.0 * c * s
        cos[i], sin[i] = c * cos_on[i] - s * sin_on[i], s * cos_on[i] + c * sin_on[i]


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _add_first(n: int, table: Singles, factors: Singles, sums: Singles) -> None:
    """Sums over n points of factors 0 to 3 times cos k a (rows 0 to 3 of sums) and times sin k a (rows 4 to 7), four points at a time."""
    for i in range(0, n, WIDTH):
        four = table[i * 4 * _K : (i + WIDTH) * 4 * _K]
        a0, a1, a2, a3 = factors[0, i], factors[0, i + 1], factors[0, i + 2], factors[0, i + 3]
        b0, b1, b2, b3 = factors[1, i], factors[1, i + 1], factors[1, i + 2], factors[1, i + 3]
        c0, c1, c2, c3 = factors[2, i], factors[2, i + 1], factors[2, i + 2], factors[2, i + 3]
        d0, d1, d2, d3 = factors[3, i], factors[3, i + 1], factors[3, i + 2], factors[3, i + 3]
        for k in range(_K):
            x0, x1, x2, x3 = four[k], four[4 * _K + k], four[8 * _K + k], four[12 * _K + k]
            sums[k] += a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3
            sums[_K + k] += b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3
            sums[2 * _K + k] += c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3
            sums[3 * _K + k] += d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3
            z0, z1, z2, z3 = four[_K + k], four[5 * _K + k], four[9 * _K + k], four[13 * _K + k]
            sums[4 * _K + k] += a0 * z0 + a1 * z1 + a2 * z2 + a3 * z3
            sums[5 * _K + k] += b0 * z0 + b1 * z1 + b2 * z2 + b3 * z3
            sums[6 * _K + k] += c0 * z0 + c1 * z1 + c2 * z2 + c3 * z3
            sums[7 * _K + k] += d0 * z0 + d1 * z1 + d2 * z2 + d3 * z3


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _add_second(n: int, table: Singles, factors: Singles, sums: Singles) -> None:
    """Sums over n points of factors 4 and 5 times cos 2 k a (rows 8 and 9 of sums) and times sin 2 k a (rows 10 and 11)."""
    for i in range(0, n, WIDTH):
        four = table[i * 4 * _K : (i + WIDTH) * 4 * _K]
        e0, e1, e2, e3 = factors[4, i], factors[4, i + 1], factors[4, i + 2], factors[4, i + 3]
        h0, h1, h2, h3 = factors[5, i], factors[5, i + 1], factors[5, i + 2], factors[5, i + 3]
        for k in range(_K):
            x0, x1, x2, x3 = four[2 * _K + k], four[6 * _K + k], four[10 * _K + k], four[14 * _K + k]
            z0, z1, z2, z3 = four[3 * _K + k], four[7 * _K + k], four[11 * _K + k], four[15 * _K + k]
            sums[8 * _K + k] += e0 * x0 + e1 * x1 + e2 * x2 + e3 * x3
            sums[9 * _K + k] += h0 * x0 + h1 * x1 + h2 * x2 + h3 * x3
            sums[10 * _K + k] += e0 * z0 + e1 * z1 + e2 * z2 + e3 * z3
            sums[11 * _K + k] += h0 * z0 + h1 * z1 + h2 * z2 + h3 * z3


@njit(cache=True, nogil=True, fastmath=_FASTMATH, error_model="numpy")  # a check for zero would stop the vectors
def _add_power(sums: Singles, sign: np.float32, power: Singles) -> None:
    """p_b at centre + sign k step, k < K, added to power (K,): rows of `sums` as in `_add_first` and `_add_second`."""
    half, one, two = np.float32(0.5), np.float32(1.0), np.float32(2.0)
    for k in range(_K):
        cos, sin = sums[k] - sign * sums[5 * _K + k], sums[_K + k] + sign * sums[4 * _K + k]
        y_cos, y_sin = sums[2 * _K + k] - sign * sums[7 * _K + k], sums[3 * _K + k] + sign * sums[6 * _K + k]
        cos_2, sin_2 = sums[8 * _K + k] - sign * sums[11 * _K + k], sums[9 * _K + k] + sign * sums[10 * _K + k]
        cc, ss = half * (one + cos_2) - cos * cos, half * (one - cos_2) - sin * sin
        cs = half * sin_2 - cos * sin
        determinant = cc * ss - cs * cs
        gain = y_cos * y_cos * ss + y_sin * y_sin * cc - two * y_cos * y_sin * cs
        power[k] += gain * determinant / (determinant * determinant + _SINGULAR)


@njit(cache=True, nogil=True)
def _add_group(
    time: Floats,
    flux: Floats,
    weights: Floats,
    table: Singles,
    start: float,
    step: float,
    angle: Floats,
    factors: Singles,
    sums: Singles,
    power: Singles,
) -> None:
    """p_b of one group of points (n,), whose table is `_fill_table`'s, added to power (a multiple of BLOCK,)."""
    below = np.empty(_K, np.float32)
    for i in range(len(time)):
        centre, on = _TWO_PI * (start + (_K - 1) * step) * time[i], _TWO_PI * BLOCK * step * time[i]
        angle[0, i], angle[1, i], angle[2, i], angle[3, i] = math.cos(centre), math.sin(centre), math.cos(on), math.sin(on)
    for middle in range(_K - 1, len(power), BLOCK):
        _turn(angle[0], angle[1], angle[2], angle[3], weights, flux, factors)
        sums[:] = np.float32(0.0)
        _add_first(len(time), table, factors, sums)
        _add_second(len(time), table, factors, sums)
        _add_power(sums, np.float32(1.0), power[middle : middle + _K])
        below[:] = np.float32(0.0)
        _add_power(sums, np.float32(-1.0), below)
        lower = power[middle - _K + 1 : middle]
        for k in range(_K - 1):
            lower[k] += below[_K - 1 - k]


@njit(cache=True, nogil=True)
def _spectrum(points: Curve, bounds: Rows, table: Singles, start: float, step: float, power: Singles) -> None:
    """Power of the groups at start + j step into power (a multiple of BLOCK,); the table must be that of these points and this step."""
    time, flux, weight = points
    angle, factors, sums = np.empty((4, len(time))), np.empty((6, len(time)), np.float32), np.empty(12 * _K, np.float32)
    power[:] = np.float32(0.0)
    for g in range(len(bounds) - 1):
        first, end = bounds[g], bounds[g + 1]
        rows = table[first * 4 * _K : end * 4 * _K]
        _add_group(time[first:end], flux[first:end], weight[first:end], rows, start, step, angle, factors, sums, power)


@njit(cache=True, nogil=True)
def _object(c: int, groups: Rows, bounds: Rows, time: Floats, flux: Floats, weight: Floats) -> tuple[Curve, Rows]:
    """Points of object c, copied (read-only arrays would be a second compiled form), and its groups' limits in them."""
    limits = bounds[groups[c] : groups[c + 1] + 1]
    first, end = limits[0], limits[-1]
    return (time[first:end].copy(), flux[first:end].copy(), weight[first:end].copy()), limits - first


@njit(cache=True, nogil=True)
def power_of_objects(
    groups: Rows, bounds: Rows, time: Floats, flux: Floats, weight: Floats, start: float, step: float, power: Singles
) -> None:
    """`periodogram.power` into power (C, a multiple of BLOCK)."""
    for c in range(len(power)):
        own, limits = _object(c, groups, bounds, time, flux, weight)
        _spectrum(own, limits, _table(own[0], step), start, step, power[c])


@njit(cache=True, nogil=True)
def _insert(frequency: float, height: float, apart: float, peaks: Peaks) -> None:
    """A peak into the list; of two that are closer than `apart` the higher stays."""
    frequencies, heights = peaks
    place = len(heights) - 1
    for j in range(len(heights)):
        if abs(frequencies[j] - frequency) < apart:
            place = j
            break
    if heights[place] >= height:
        return
    while place > 0 and heights[place - 1] < height:
        heights[place], frequencies[place] = heights[place - 1], frequencies[place - 1]
        place -= 1
    heights[place], frequencies[place] = height, frequency


@njit(cache=True, nogil=True, error_model="numpy")
def _insert_maxima(power: Singles, count: int, start: float, step: float, peaks: Peaks) -> None:
    """Local maxima of power (count,) into the list, each as the top of the parabola through it and its neighbours."""
    lowest = len(peaks[1]) - 1
    for j in range(count):
        middle = float(power[j])
        left, right = float(power[max(j - 1, 0)]), float(power[min(j + 1, count - 1)])
        if middle <= 0.0 or middle < max(left, right):
            continue
        bend, shift = left - 2.0 * middle + right, 0.0
        if bend < 0.0 and 0 < j < count - 1:
            shift = 0.5 * (left - right) / bend
        height = middle - 0.25 * (left - right) * shift
        if height > peaks[1][lowest]:
            _insert(start + (j + shift) * step, height, step, peaks)


@njit(cache=True, nogil=True)
def _search_in_phase(points: Curve, bounds: Rows, start: float, end: float, step: float, peaks: Peaks) -> None:
    """Peaks between two frequencies, all points in phase."""
    count = int((end - start) / step) + 1
    power = np.empty(-(-count // BLOCK) * BLOCK, np.float32)
    _spectrum(points, bounds, _table(points[0], step), start, step, power)
    _insert_maxima(power, count, start, step, peaks)


@njit(cache=True, nogil=True)
def _search_segments(
    points: Curve, bounds: Rows, start: float, end: float, step: float, span: float, n_segments: int, peaks: Peaks
) -> None:
    """Peaks of the summed segments between two frequencies, each then resolved with all points in phase."""
    wide = n_segments / (SEGMENT_OVERSAMPLING * span)
    rough = (np.full(MAX_SEGMENT_PEAKS, math.nan), np.full(MAX_SEGMENT_PEAKS, -1.0))
    pooled, limits = _pool_segments(points, bounds, span, n_segments)
    _search_in_phase(pooled, limits, start, end, wide, rough)
    power = np.empty(-(-int(2.0 * wide / step) // BLOCK) * BLOCK, np.float32)
    around = len(power) * step
    table = _table(points[0], step)
    for j in range(MAX_SEGMENT_PEAKS):
        if rough[1][j] > 0.0:
            low = max(min(rough[0][j] - 0.5 * around, end - around), start)
            _spectrum(points, bounds, table, low, step, power)
            _insert_maxima(power, len(power), low, step, peaks)


@njit(cache=True, nogil=True)
def peaks_of_objects(
    groups: Rows,
    bounds: Rows,
    time: Floats,
    flux: Floats,
    weight: Floats,
    span: Floats,
    start: Floats,
    end: Floats,
    step: Floats,
    n_segments: Rows,
    frequency: Floats,
    power: Floats,
) -> None:
    """`periodogram.highest_peaks` into frequency, power (C, n_peaks), which hold NaN and -1 where there are fewer peaks."""
    for c in range(len(span)):
        points, limits = _object(c, groups, bounds, time, flux, weight)
        peaks = (frequency[c], power[c])
        if n_segments[c] == 1:
            _search_in_phase(points, limits, start[c], end[c], step[c], peaks)
        elif n_segments[c] > 1:
            divide = min(max(LOW_FREQUENCY_CYCLES * n_segments[c] / span[c], start[c]), end[c])
            _search_in_phase(points, limits, start[c], divide, step[c], peaks)
            _search_segments(points, limits, divide, end[c], step[c], span[c], n_segments[c], peaks)
