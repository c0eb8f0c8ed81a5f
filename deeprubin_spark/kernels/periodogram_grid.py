"""Compiled loops of the periodogram; formulas, units and sources stand in `periodogram.py`.

Compiled functions call only functions of their own file: numba's cache notices a change of that file, not of another one. A group is the
points of one band, or of one segment of time: it has a mean, amplitude and phase of its own. points (3, n) are their time since the object's
first point [d], flux and weight; bounds (groups + 1,) the groups' limits in it.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deeprubin_spark.bands import BANDS

MIN_GROUP_POINTS = 5  # below it, a mean, an amplitude and a phase describe almost anything
LOW_FREQUENCY_CYCLES = 4.0  # per segment: below it a segment does not tell a period from a trend, so that all points are taken in phase
SEGMENT_OVERSAMPLING = 3.0  # of the grid on which segments are summed; its peaks are then resolved on the fine grid
MAX_SEGMENT_PEAKS = 24  # of the summed segments that are resolved

_N_BANDS = len(BANDS)
_K = 64  # frequencies to either side of a block's centre, the centre counted
BLOCK = 2 * _K - 1
_WIDTH = 4  # points that are added in one go; groups are filled up to a multiple of it with points of no weight
_SINGULAR = np.float32(1e-12)  # squared determinant below which sine and cosine are one, and there is no power
_FASTMATH = {"reassoc", "contract"}  # sums in any order; NaN and infinity keep their meaning
_TWO_PI = 2.0 * math.pi

Floats = NDArray[np.float64]
Bands = NDArray[np.int8]
Singles = NDArray[np.float32]
Rows = NDArray[np.int64]
Peaks = tuple[Floats, Floats]  # frequency and power, highest first; NaN and -1 where the list is not full
Scratch = tuple[Floats, Rows, Floats, Rows, Singles, Floats, Singles, Singles]  # two sets of points and bounds, table, angle, factors, sums


@njit(cache=True, nogil=True, error_model="numpy")
def _band_groups(first: int, end: int, mjd: Floats, band: Bands, flux: Floats, flux_err: Floats, points: Floats, bounds: Rows) -> int:
    """The points of one object band by band into points (3, n): time since the first [d], flux and weight; returns the number of bands.

    bounds (bands + 1,) are the groups' limits, each a multiple of `_WIDTH`. A band's weights sum to 1 and its fluxes have mean 0 and a weighted
    mean square equal to its share of chi-squared. Bands with too few points or a constant flux are left out.
    """
    n_groups, total = 0, 0.0
    shares = np.zeros(_N_BANDS)
    smallest = flux_err[first:end].min()
    for b in range(_N_BANDS):
        start = bounds[n_groups]
        n = start
        for i in range(first, end):
            if band[i] == b:
                points[0, n] = mjd[i] - mjd[first]
                points[1, n] = flux[i] / smallest
                points[2, n] = (smallest / flux_err[i]) ** 2
                n += 1
        if n - start < MIN_GROUP_POINTS:
            continue
        weight = points[2, start:n].sum()
        square = _centre(points[1, start:n], points[2, start:n], weight)
        if square > 0.0:
            shares[n_groups] = square * weight
            total += square * weight
            points[1, start:n] /= math.sqrt(square)
            n_groups += 1
            bounds[n_groups] = _fill_up(points, n)
    for g in range(n_groups):
        points[1, bounds[g] : bounds[g + 1]] *= math.sqrt(shares[g] / total)
    return n_groups


@njit(cache=True, nogil=True, error_model="numpy")
def _centre(flux: Floats, weights: Floats, total: float) -> float:
    """Weights (n,) divided by their sum `total`, flux (n,) by its mean; returns its mean square, 0 if that is only rounding."""
    mean, raw, square = 0.0, 0.0, 0.0
    for i in range(len(flux)):
        weights[i] /= total
        mean += weights[i] * flux[i]
        raw += weights[i] * flux[i] ** 2
    for i in range(len(flux)):
        flux[i] -= mean
        square += weights[i] * flux[i] ** 2
    return square if square > 1e-14 * raw else 0.0


@njit(cache=True, nogil=True)
def _fill_up(points: Floats, n: int) -> int:
    """Points of no weight from n to the next multiple of `_WIDTH`, which is returned."""
    while n % _WIDTH:
        points[:, n] = 0.0
        n += 1
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def _segment_groups(points: Floats, bounds: Rows, n_bands: int, span: float, n_segments: int, pooled: Floats, limits: Rows) -> int:
    """The bands' points (3, n) regrouped by segment into pooled (3, n), as `_band_groups` does by band; returns the number of groups.

    A band's flux comes with unit scatter and its weights with the band's share: every band is one and the same curve, seen with its own noise.
    """
    n_groups, total = 0, 0.0
    for s in range(n_segments):
        start = limits[n_groups]
        n = start
        for g in range(n_bands):
            share = 0.0
            for i in range(bounds[g], bounds[g + 1]):
                share += points[2, i] * points[1, i] ** 2
            for i in range(bounds[g], bounds[g + 1]):
                if points[2, i] > 0.0 and min(int(points[0, i] / span * n_segments), n_segments - 1) == s:
                    pooled[0, n] = points[0, i]
                    pooled[1, n] = points[1, i] / math.sqrt(share)
                    pooled[2, n] = points[2, i] * share
                    n += 1
        if n - start < MIN_GROUP_POINTS:
            continue
        weight = pooled[2, start:n].sum()
        square = _centre(pooled[1, start:n], pooled[2, start:n], weight)
        if square > 0.0:
            pooled[1, start:n] *= math.sqrt(weight)
            total += square * weight
            n_groups += 1
            limits[n_groups] = _fill_up(pooled, n)
    for g in range(n_groups):
        pooled[1, limits[g] : limits[g + 1]] /= math.sqrt(total)
    return n_groups


@njit(cache=True, nogil=True)
def _fill_table(time: Floats, step: float, table: Singles) -> None:
    """cos, sin of k a and of 2 k a at a = 2 pi step t, k < K, of each point: table (n * 4 K,)."""
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
    for i in range(0, n, _WIDTH):
        four = table[i * 4 * _K : (i + _WIDTH) * 4 * _K]
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
    for i in range(0, n, _WIDTH):
        four = table[i * 4 * _K : (i + _WIDTH) * 4 * _K]
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
def _scratch(longest: int, n_groups: int) -> Scratch:
    """Room for `longest` points in `n_groups` groups."""
    room = longest + n_groups * _WIDTH
    points, pooled = np.zeros((3, room)), np.zeros((3, room))
    bounds, limits = np.zeros(n_groups + 1, np.int64), np.zeros(n_groups + 1, np.int64)
    table, factors = np.zeros(room * 4 * _K, np.float32), np.zeros((6, room), np.float32)
    return points, bounds, pooled, limits, table, np.zeros((4, room)), factors, np.zeros(12 * _K, np.float32)


@njit(cache=True, nogil=True)
def _spectrum(points: Floats, bounds: Rows, n_groups: int, start: float, step: float, power: Singles, scratch: Scratch) -> None:
    """Power of the groups at start + j step into power (a multiple of BLOCK,); the table must be that of these points and step."""
    _, _, _, _, table, angle, factors, sums = scratch
    power[:] = np.float32(0.0)
    for g in range(n_groups):
        first, end = bounds[g], bounds[g + 1]
        time, flux, weights = points[0][first:end], points[1][first:end], points[2][first:end]
        _add_group(time, flux, weights, table[first * 4 * _K : end * 4 * _K], start, step, angle, factors, sums, power)


@njit(cache=True, nogil=True)
def power_of_objects(
    offsets: Rows, mjd: Floats, band: Bands, flux: Floats, flux_err: Floats, start: float, step: float, power: Singles
) -> None:
    """`periodogram.periodogram` into power (B, a multiple of BLOCK)."""
    for k in range(len(power)):
        first, end = offsets[k], offsets[k + 1]
        scratch = _scratch(end - first, _N_BANDS)
        points, bounds, table = scratch[0], scratch[1], scratch[4]
        n_bands = _band_groups(first, end, mjd, band, flux, flux_err, points, bounds)
        _fill_table(points[0, : bounds[n_bands]], step, table)
        _spectrum(points, bounds, n_bands, start, step, power[k], scratch)


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
def _search_in_phase(start: float, end: float, step: float, n_bands: int, scratch: Scratch, peaks: Peaks) -> None:
    """Peaks of the bands' points between two frequencies."""
    points, bounds, table = scratch[0], scratch[1], scratch[4]
    count = int((end - start) / step) + 1
    power = np.empty(-(-count // BLOCK) * BLOCK, np.float32)
    _fill_table(points[0, : bounds[n_bands]], step, table)
    _spectrum(points, bounds, n_bands, start, step, power, scratch)
    _insert_maxima(power, count, start, step, peaks)


@njit(cache=True, nogil=True)
def _search_segments(
    start: float, end: float, step: float, span: float, n_segments: int, n_bands: int, scratch: Scratch, peaks: Peaks
) -> None:
    """Peaks of the summed segments between two frequencies, each then resolved with all points in phase."""
    points, bounds, pooled, limits, table = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4]
    wide = n_segments / (SEGMENT_OVERSAMPLING * span)
    count = int((end - start) / wide) + 1
    power = np.empty(-(-count // BLOCK) * BLOCK, np.float32)
    n_groups = _segment_groups(points, bounds, n_bands, span, n_segments, pooled, limits)
    _fill_table(pooled[0, : limits[n_groups]], wide, table)
    _spectrum(pooled, limits, n_groups, start, wide, power, scratch)
    rough = (np.full(MAX_SEGMENT_PEAKS, math.nan), np.full(MAX_SEGMENT_PEAKS, -1.0))
    _insert_maxima(power, count, start, wide, rough)
    power = np.empty(-(-int(2.0 * wide / step) // BLOCK) * BLOCK, np.float32)
    around = len(power) * step
    _fill_table(points[0, : bounds[n_bands]], step, table)
    for j in range(MAX_SEGMENT_PEAKS):
        if rough[1][j] > 0.0:
            low = max(min(rough[0][j] - 0.5 * around, end - around), start)
            _spectrum(points, bounds, n_bands, low, step, power, scratch)
            _insert_maxima(power, len(power), low, step, peaks)


@njit(cache=True, nogil=True)
def peaks_of_objects(
    chosen: Rows,
    offsets: Rows,
    mjd: Floats,
    band: Bands,
    flux: Floats,
    flux_err: Floats,
    start: Floats,
    end: Floats,
    step: Floats,
    n_segments: Rows,
    frequency: Floats,
    power: Floats,
) -> None:
    """`periodogram.highest_peaks` of the objects `chosen` into frequency, power (B, n_peaks); -1 where there are fewer peaks."""
    for k in chosen:
        first, last = offsets[k], offsets[k + 1]
        scratch = _scratch(last - first, max(_N_BANDS, n_segments[k]))
        n_bands = _band_groups(first, last, mjd, band, flux, flux_err, scratch[0], scratch[1])
        peaks = (frequency[k], power[k])
        if n_segments[k] == 1:
            _search_in_phase(start[k], end[k], step[k], n_bands, scratch, peaks)
        else:
            span = mjd[last - 1] - mjd[first]
            divide = min(max(LOW_FREQUENCY_CYCLES * n_segments[k] / span, start[k]), end[k])
            _search_in_phase(start[k], divide, step[k], n_bands, scratch, peaks)
            _search_segments(divide, end[k], step[k], span, n_segments[k], n_bands, scratch, peaks)
