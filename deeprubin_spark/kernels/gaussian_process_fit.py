"""Compiled loops that find a Gaussian process's amplitude and timescale; formulas, units and sources stand in `gaussian_process.py`.

The likelihood is a Kalman filter over the points in order of time, O(n), equal to the dense one of the plain twin. Compiled functions
call only functions of their own file: numba's cache notices a change of that file, not of another one. Every object is computed by
itself, so its result does not depend on the batch it came in. In the `*_objects` loops offsets (B + 1,), mjd, band, flux and flux_err
(N,) are those of `LightCurves`, and bands (6, 6) is the correlation between the bands.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

TIMESCALE_PRIOR_MEDIAN = 22.0  # [d]
TIMESCALE_PRIOR_SIGMA = 1.0  # of ln l
TIMESCALE_MIN, TIMESCALE_MAX = 0.1, 1000.0  # [d]
FLOOR_MAX = 500.0  # [d] highest floor: leaves the fit a factor 2 of freedom
EPOCH_GAP = 0.5  # [d] points closer than this belong to one epoch (same night) and say nothing about the cadence
AMPLITUDE_RANGE = 1000.0  # A lies within this factor of the flux scale, either way
OK, TOO_FEW_POINTS, BAD_INPUT, FIT_FAILED = range(4)

_N_TIMESCALES, _N_AMPLITUDES = 8, 9  # start grid
_N_STARTS = 2  # local maxima of it that are climbed from
_N_CLIMBS, _TOLERANCE, _RESOLUTION = 80, 1e-4, 1e-2  # moves of a simplex; its spread in log posterior and in ln l, ln A when done
_SQRT3 = math.sqrt(3.0)
_LOG_2PI = math.log(2.0 * math.pi)
_FASTMATH = {"reassoc", "contract"}  # sums in any order; NaN and infinity keep their meaning

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Bands = NDArray[np.int8]
Curve = tuple[Floats, Rows, Floats, Floats, Floats]  # time [d], row in the loading, flux and noise variance (n,), loading (M, M)


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
def timescale_floor(mjd: Floats) -> float:
    """Twice the median gap between epochs, within [TIMESCALE_MIN, FLOOR_MAX] [d]; mjd (n,) ascending."""
    gaps = np.full(len(mjd), math.inf)
    n_gaps = 0
    for i in range(1, len(mjd)):
        if mjd[i] - mjd[i - 1] > EPOCH_GAP:
            gaps[n_gaps] = mjd[i] - mjd[i - 1]
            n_gaps += 1
    if n_gaps == 0:
        return TIMESCALE_MIN
    gaps.sort()
    twice_median = gaps[(n_gaps - 1) // 2] + gaps[n_gaps // 2]
    return float(min(max(twice_median, TIMESCALE_MIN), FLOOR_MAX))


@njit(cache=True, nogil=True)
def _loading(band: Bands, bands: Floats) -> tuple[Floats, Rows]:
    """Square root of the correlation between the bands present: (M, M) lower triangle, and the row in it of every point (n,)."""
    row_of_band = np.full(len(bands), -1, np.int64)
    present = np.empty(len(bands), np.int64)
    n_present = 0
    for b in band:
        if row_of_band[b] < 0:
            row_of_band[b] = n_present
            present[n_present] = b
            n_present += 1
    loading, rows = np.zeros((n_present, n_present)), np.empty(len(band), np.int64)
    for i in range(n_present):  # Cholesky's algorithm
        for j in range(i + 1):
            rest = bands[present[i], present[j]]
            for p in range(j):
                rest -= loading[i, p] * loading[j, p]
            loading[i, j] = math.sqrt(rest) if i == j else rest / loading[j, j]
    for i in range(len(band)):
        rows[i] = row_of_band[band[i]]
    return loading, rows


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _step(x: float, state: Floats, spread: Floats) -> None:
    """Move the state over a time x = sqrt(3) dt / l: state <- F state, spread <- F spread F^T, F = e^-x [[1 + x, x], [-x, 1 - x]]."""
    decay = math.exp(-x)
    a, b, d = (1.0 + x) * decay, x * decay, (1.0 - x) * decay
    n_modes = state.shape[1]
    for m in range(n_modes):
        value, slope = state[0, m], state[1, m]
        state[0, m], state[1, m] = a * value + b * slope, d * slope - b * value
        for k in range(m + 1):
            p, q, r, s = spread[0, m, k], spread[1, m, k], spread[1, k, m], spread[2, m, k]
            spread[0, m, k] = spread[0, k, m] = a * a * p + a * b * (q + r) + b * b * s
            spread[1, m, k] = a * d * q - b * b * r + b * (d * s - a * p)
            spread[1, k, m] = a * d * r - b * b * q + b * (d * s - a * p)
            spread[2, m, k] = spread[2, k, m] = b * b * p - b * d * (q + r) + d * d * s


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _log_likelihood(curve: Curve, log_timescale: float, log_amplitude: float) -> float:
    """Log likelihood ln p(F | A, l) in O(n) by a Kalman filter; -inf where a predicted variance is not positive.

    f_b = sum_m loading[b, m] u_m, each u_m an independent Matern-3/2 process with state (u, l u' / sqrt(3)), whose stationary
    covariance is A^2 I (Hartikainen & Sarkka 2010). `spread` is P - A^2 I, which needs no process noise: blocks (value, value),
    (value, slope), (slope, slope), each (M, M).
    """
    time, rows, flux, noise, loading = curve
    n_modes = len(loading)
    rate, variance = _SQRT3 * math.exp(-log_timescale), math.exp(2.0 * log_amplitude)
    state, spread, pull = np.zeros((2, n_modes)), np.zeros((3, n_modes, n_modes)), np.zeros((2, n_modes))
    total = 0.0
    for i in range(len(time)):
        if i > 0 and time[i] > time[i - 1]:
            _step(rate * (time[i] - time[i - 1]), state, spread)
        weight = loading[rows[i]]
        predicted, residual = noise[i], flux[i]
        for m in range(n_modes):
            pull[0, m], pull[1, m] = variance * weight[m], 0.0
            for k in range(n_modes):
                pull[0, m] += spread[0, m, k] * weight[k]
                pull[1, m] += spread[1, k, m] * weight[k]
            predicted += weight[m] * pull[0, m]
            residual -= weight[m] * state[0, m]
        if not predicted > 0.0:
            return -math.inf
        precision = 1.0 / predicted
        gain = residual * precision
        total += residual * gain + math.log(predicted)
        for m in range(n_modes):
            state[0, m] += gain * pull[0, m]
            state[1, m] += gain * pull[1, m]
            for k in range(n_modes):
                spread[0, m, k] -= pull[0, m] * (pull[0, k] * precision)
                spread[1, m, k] -= pull[0, m] * (pull[1, k] * precision)
                spread[2, m, k] -= pull[1, m] * (pull[1, k] * precision)
    total = -0.5 * (total + len(time) * _LOG_2PI)
    return total if math.isfinite(total) else -math.inf


@njit(cache=True, nogil=True)
def _log_prior(log_timescale: float) -> float:
    """Log-normal prior on l as a density of ln l, without its constant."""
    z = (log_timescale - math.log(TIMESCALE_PRIOR_MEDIAN)) / TIMESCALE_PRIOR_SIGMA
    return -0.5 * z * z


@njit(cache=True, nogil=True)
def _log_posterior(curve: Curve, point: Floats) -> float:
    """What the fit maximises, at point = (ln l, ln A)."""
    return _log_likelihood(curve, point[0], point[1]) + _log_prior(point[0])


@njit(cache=True, nogil=True)
def _search(curve: Curve, low: Floats, high: Floats, found: Floats) -> None:
    """Most probable (ln l, ln A) in [low, high]: a grid over all of it, then a simplex from each of its highest local maxima.

    found : (4,) ln l, ln A, log likelihood, log posterior; NaN where no node could be evaluated. Never worse than the grid's best.
    """
    u_step, v_step = (high[0] - low[0]) / (_N_TIMESCALES - 1), (high[1] - low[1]) / (_N_AMPLITUDES - 1)
    value = np.full((_N_TIMESCALES, _N_AMPLITUDES), -math.inf)
    point = np.empty(2)
    for a in range(_N_TIMESCALES):
        for b in range(_N_AMPLITUDES):
            point[0], point[1] = low[0] + a * u_step, low[1] + b * v_step
            value[a, b] = _log_posterior(curve, point)
    best, is_climbed = -math.inf, np.zeros(value.shape, np.bool_)
    for _ in range(_N_STARTS):
        start_a, start_b = -1, -1
        for a in range(_N_TIMESCALES):
            for b in range(_N_AMPLITUDES):
                if not is_climbed[a, b] and _is_local_maximum(value, a, b) and (start_a < 0 or value[a, b] > value[start_a, start_b]):
                    start_a, start_b = a, b
        if start_a < 0:
            return
        is_climbed[start_a, start_b] = True
        point[0], point[1] = low[0] + start_a * u_step, low[1] + start_b * v_step
        top = _climb(curve, low, high, point, 0.5 * u_step, 0.5 * v_step)
        if top > best:
            best = top
            found[0], found[1], found[2], found[3] = point[0], point[1], top - _log_prior(point[0]), top


@njit(cache=True, nogil=True)
def _is_local_maximum(value: Floats, a: int, b: int) -> bool:
    """Whether no neighbour of node (a, b) is higher, and the node could be evaluated."""
    for i in range(max(a - 1, 0), min(a + 2, value.shape[0])):
        for j in range(max(b - 1, 0), min(b + 2, value.shape[1])):
            if value[i, j] > value[a, b]:
                return False
    return bool(value[a, b] > -math.inf)


@njit(cache=True, nogil=True)
def _climb(curve: Curve, low: Floats, high: Floats, point: Floats, u_step: float, v_step: float) -> float:
    """Simplex search (Nelder & Mead 1965) for the maximum within [low, high]: it follows the ridge A^2 ~ l^3 of this covariance.

    Moves point (2,) to the best one found and returns its log posterior, never below the start's.
    """
    corner, value, trial, other = np.empty((3, 2)), np.empty(3), np.empty(2), np.empty(2)
    for i in range(3):
        corner[i, 0] = point[0] if i != 1 else point[0] + (u_step if point[0] + u_step <= high[0] else -u_step)
        corner[i, 1] = point[1] if i != 2 else point[1] + (v_step if point[1] + v_step <= high[1] else -v_step)
        value[i] = _log_posterior(curve, corner[i])
    for _ in range(_N_CLIMBS):
        _sort_corners(corner, value)
        width = max(abs(corner[2, 0] - corner[0, 0]), abs(corner[2, 1] - corner[0, 1]), abs(corner[1, 0] - corner[0, 0]))
        if value[0] - value[2] < _TOLERANCE and width < _RESOLUTION:
            break
        _mirror(corner, 1.0, low, high, trial)
        top = _log_posterior(curve, trial)
        if value[1] < top <= value[0]:
            corner[2, 0], corner[2, 1], value[2] = trial[0], trial[1], top
            continue
        stretch = 2.0 if top > value[0] else 0.5 if top > value[2] else -0.5
        _mirror(corner, stretch, low, high, other)
        second = _log_posterior(curve, other)
        if second > top:
            trial[0], trial[1], top = other[0], other[1], second
        if top > value[2]:
            corner[2, 0], corner[2, 1], value[2] = trial[0], trial[1], top
            continue
        for i in range(1, 3):
            corner[i, 0], corner[i, 1] = 0.5 * (corner[i, 0] + corner[0, 0]), 0.5 * (corner[i, 1] + corner[0, 1])
            value[i] = _log_posterior(curve, corner[i])
    _sort_corners(corner, value)
    point[0], point[1] = corner[0, 0], corner[0, 1]
    return float(value[0])


@njit(cache=True, nogil=True)
def _mirror(corner: Floats, stretch: float, low: Floats, high: Floats, out: Floats) -> None:
    """The worst corner (the last) mirrored at the middle of the others, so many times as far, kept within the bounds; out (2,)."""
    for i in range(2):
        middle = 0.5 * (corner[0, i] + corner[1, i])
        out[i] = min(max(middle + stretch * (middle - corner[2, i]), low[i]), high[i])


@njit(cache=True, nogil=True)
def _sort_corners(corner: Floats, value: Floats) -> None:
    """Highest corner first."""
    for i in range(1, 3):
        for j in range(i, 0, -1):
            if value[j] > value[j - 1]:
                value[j], value[j - 1] = value[j - 1], value[j]
                for axis in range(2):
                    corner[j, axis], corner[j - 1, axis] = corner[j - 1, axis], corner[j, axis]


@njit(cache=True, nogil=True)
def fit_objects(
    offsets: Rows,
    mjd: Floats,
    band: Bands,
    flux: Floats,
    flux_err: Floats,
    scale: Floats,
    bands: Floats,
    status: Bands,
    found: Floats,
) -> None:
    """`_search` for every object whose status is OK, in units of its flux scale; found (B, 4)."""
    for k in range(len(status)):
        if status[k] != OK:
            continue
        first, end = offsets[k], offsets[k + 1]
        time = mjd[first:end] - mjd[first]
        loading, rows = _loading(band[first:end], bands)
        low = np.array([math.log(timescale_floor(time)), -math.log(AMPLITUDE_RANGE)])
        high = np.array([math.log(TIMESCALE_MAX), math.log(AMPLITUDE_RANGE)])
        _search((time, rows, flux[first:end] / scale[k], (flux_err[first:end] / scale[k]) ** 2, loading), low, high, found[k])
        if math.isnan(found[k, 3]):
            status[k] = FIT_FAILED


@njit(cache=True, nogil=True)
def likelihood_objects(
    offsets: Rows,
    mjd: Floats,
    band: Bands,
    flux: Floats,
    flux_err: Floats,
    bands: Floats,
    amplitude: Floats,
    timescale: Floats,
    out: Floats,
) -> None:
    """Log likelihood of every object for parameters given, in units of A so that any flux scale can be evaluated."""
    for k in range(len(out)):
        first, end = offsets[k], offsets[k + 1]
        loading, rows = _loading(band[first:end], bands)
        curve = (mjd[first:end], rows, flux[first:end] / amplitude[k], (flux_err[first:end] / amplitude[k]) ** 2, loading)
        value = _log_likelihood(curve, math.log(timescale[k]), 0.0)
        if value > -math.inf:
            out[k] = value - (end - first) * math.log(amplitude[k])
