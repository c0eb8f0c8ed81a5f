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
    """Twice the median gap between epochs, within [TIMESCALE_MIN, FLOOR_MAX] [d]."""
    time = np.sort(mjd)
    gaps = np.empty(len(time))
    n_gaps = 0
    for i in range(1, len(time)):
        if time[i] - time[i - 1] > EPOCH_GAP:
            gaps[n_gaps] = time[i] - time[i - 1]
            n_gaps += 1
    if n_gaps == 0:
        return TIMESCALE_MIN
    return min(max(2.0 * np.median(gaps[:n_gaps]), TIMESCALE_MIN), FLOOR_MAX)


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
    correlation = np.empty((n_present, n_present))
    for i in range(n_present):
        for j in range(n_present):
            correlation[i, j] = bands[present[i], present[j]]
    loading, rows = np.empty((n_present, n_present)), np.empty(len(band), np.int64)
    loading[:] = np.linalg.cholesky(correlation)
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
    step = (high - low) / np.array([_N_TIMESCALES - 1.0, _N_AMPLITUDES - 1.0])
    value = np.full((_N_TIMESCALES + 2, _N_AMPLITUDES + 2), -math.inf)  # with a border, so that every node has eight neighbours
    for a in range(_N_TIMESCALES):
        for b in range(_N_AMPLITUDES):
            value[a + 1, b + 1] = _log_posterior(curve, low + np.array([float(a), float(b)]) * step)
    peaks = np.full(value.shape, -math.inf)
    for a in range(1, _N_TIMESCALES + 1):
        for b in range(1, _N_AMPLITUDES + 1):
            if value[a, b] >= value[a - 1 : a + 2, b - 1 : b + 2].max():
                peaks[a, b] = value[a, b]
    best = -math.inf
    for _ in range(_N_STARTS):
        highest = int(np.argmax(peaks))
        a, b = highest // peaks.shape[1], highest % peaks.shape[1]
        if peaks[a, b] == -math.inf:
            return
        peaks[a, b] = -math.inf
        point, top = _climb(curve, low, high, low + np.array([a - 1.0, b - 1.0]) * step, 0.5 * step)
        if top > best:
            best = top
            found[0], found[1], found[2], found[3] = point[0], point[1], top - _log_prior(point[0]), top


@njit(cache=True, nogil=True)
def _climb(curve: Curve, low: Floats, high: Floats, start: Floats, step: Floats) -> tuple[Floats, float]:
    """Simplex search (Nelder & Mead 1965) for the maximum within [low, high]: it follows the ridge A^2 ~ l^3 of this covariance.

    Returns the best point (2,) and its log posterior, never below the start's.
    """
    corner, value = np.empty((3, 2)), np.empty(3)
    for i in range(3):
        corner[i] = start
        if i > 0:
            outward = start[i - 1] + step[i - 1]
            corner[i, i - 1] = outward if outward <= high[i - 1] else start[i - 1] - step[i - 1]
        value[i] = _log_posterior(curve, corner[i])
    for _ in range(_N_CLIMBS):
        order = np.argsort(-value)
        corner, value = corner[order], value[order]
        if value[0] - value[2] < _TOLERANCE and np.abs(corner[1:] - corner[0]).max() < _RESOLUTION:
            break
        middle, worst = 0.5 * (corner[0] + corner[1]), corner[2].copy()
        trial = np.minimum(np.maximum(2.0 * middle - worst, low), high)
        top = _log_posterior(curve, trial)
        if top > value[0]:
            stretch = 2.0
        elif top > value[1]:
            corner[2], value[2] = trial, top
            continue
        else:
            stretch = 0.5 if top > value[2] else -0.5
        if top > value[2]:
            corner[2], value[2] = trial, top
        trial = np.minimum(np.maximum(middle + stretch * (middle - worst), low), high)
        top = _log_posterior(curve, trial)
        if top > value[2]:
            corner[2], value[2] = trial, top
        elif stretch < 1.0:
            for i in range(1, 3):
                corner[i] = 0.5 * (corner[i] + corner[0])
                value[i] = _log_posterior(curve, corner[i])
    best = np.argmax(value)
    return corner[best], value[best]


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
