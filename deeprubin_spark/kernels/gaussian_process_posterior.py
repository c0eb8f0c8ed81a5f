"""Compiled loops for the posterior of fitted Gaussian processes; formulas and units stand in `gaussian_process.py`.

Dense Cholesky algebra (Rasmussen & Williams 2006, algorithm 2.1): one factorisation for an object, then any number of queries. Compiled
functions call only functions of their own file (see `gaussian_process_fit.py`), and every object is computed by itself.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

VARIANCE_FLOOR = 1e-14  # of A^2: below it cancellation leaves no digit
_SQRT3 = math.sqrt(3.0)
_FASTMATH = {"reassoc", "contract"}  # sums in any order; NaN and infinity keep their meaning

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Bands = NDArray[np.int8]


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _fill_correlation(time: Floats, band: Bands, timescale: float, bands: Floats, out: Floats) -> None:
    """Lower triangle of cov / A^2 between the points, into out (n, n)."""
    rate = _SQRT3 / timescale
    for i in range(len(time)):
        for j in range(i + 1):
            x = rate * abs(time[i] - time[j])
            out[i, j] = (1.0 + x) * math.exp(-x) * bands[band[i], band[j]]


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _factor(correlation: Floats, variance: float, noise: Floats, lower: Floats) -> float:
    """Cholesky factor of K = variance * correlation + diag(noise) into `lower`; returns ln |K| / 2, NaN where K is not positive."""
    log_det = 0.0
    for i in range(len(noise)):
        row = lower[i]
        for j in range(i):
            other = lower[j]
            s = variance * correlation[i, j]
            for p in range(j):
                s -= row[p] * other[p]
            row[j] = s / other[j]
        s = variance * correlation[i, i] + noise[i]
        for p in range(i):
            s -= row[p] * row[p]
        if not s > 0.0:
            return math.nan
        row[i] = math.sqrt(s)
        log_det += math.log(row[i])
    return log_det


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _solve_lower(lower: Floats, out: Floats) -> None:
    """Solve in place: out <- L^-1 out."""
    for i in range(len(out)):
        s = out[i]
        row = lower[i]
        for p in range(i):
            s -= row[p] * out[p]
        out[i] = s / row[i]


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _solve_upper(lower: Floats, out: Floats) -> None:
    """Solve in place: out <- L^-T out."""
    for i in range(len(out) - 1, -1, -1):
        out[i] /= lower[i, i]
        for p in range(i):
            out[p] -= lower[i, p] * out[i]


@njit(cache=True, nogil=True)
def _condition(
    time: Floats, band: Bands, flux: Floats, noise: Floats, bands: Floats, variance: float, timescale: float
) -> tuple[Floats, Floats]:
    """Cholesky factor of K and K^-1 F of one object."""
    n = len(time)
    work, lower, weights = np.empty((n, n)), np.empty((n, n)), flux.copy()
    _fill_correlation(time, band, timescale, bands, work)
    _factor(work, variance, noise, lower)
    _solve_lower(lower, weights)
    _solve_upper(lower, weights)
    return lower, weights


@njit(cache=True, nogil=True)
def weight_objects(
    offsets: Rows, mjd: Floats, band: Bands, flux: Floats, flux_err: Floats, bands: Floats, parameters: Floats, weights: Floats
) -> None:
    """K^-1 F of every point (N,); parameters (B, 3): A [nJy], l [d] and flux scale [nJy], objects with NaN there are left out."""
    for k in range(len(parameters)):
        amplitude, timescale, scale = parameters[k]
        if math.isnan(amplitude):
            continue
        first, end = offsets[k], offsets[k + 1]
        time, noise = mjd[first:end] - mjd[first], (flux_err[first:end] / scale) ** 2
        _, own = _condition(time, band[first:end], flux[first:end] / scale, noise, bands, (amplitude / scale) ** 2, timescale)
        for i in range(end - first):
            weights[first + i] = own[i] / scale


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _add_earlier(time: Floats, weights: Floats, query: Floats, n_earlier: Rows, rate: float, mean: Floats) -> None:
    """Add to mean (Q, W) the sum over the first n_earlier[q] points of w_i (1 + x) e^-x, x = rate (t_q - t_i), in O(n + Q).

    time (n,), query (Q,) and n_earlier (Q,) ascending, weights (n, W). The sums of w e^-x and of w x e^-x are carried from time to time.
    """
    n_bands = weights.shape[1]
    plain, linear = np.zeros(n_bands), np.zeros(n_bands)
    i, at = 0, time[0]
    for q in range(len(query)):
        while i < n_earlier[q]:
            x = rate * (time[i] - at)
            decay = math.exp(-x)
            for w in range(n_bands):
                linear[w] = decay * (linear[w] + x * plain[w])
                plain[w] = decay * plain[w] + weights[i, w]
            at = time[i]
            i += 1
        x = rate * (query[q] - at)
        decay = math.exp(-x)
        for w in range(n_bands):
            mean[q, w] += decay * (plain[w] + linear[w] + x * plain[w])


@njit(cache=True, nogil=True)
def mean_objects(
    offsets: Rows,
    mjd: Floats,
    band: Bands,
    weights: Floats,
    query_bands: Floats,
    parameters: Floats,
    query_offsets: Rows,
    query_mjd: Floats,
    mean: Floats,
) -> None:
    """Posterior mean A^2 k^T K^-1 F of every object: the points before a query, then, with time reversed, those after it."""
    for k in range(len(parameters)):
        amplitude, timescale = parameters[k, 0], parameters[k, 1]
        start, stop = query_offsets[k], query_offsets[k + 1]
        if math.isnan(amplitude) or start == stop:
            continue
        first, end = offsets[k], offsets[k + 1]
        time, rate = mjd[first:end] - mjd[first], _SQRT3 / timescale
        pull = np.empty((end - first, len(query_bands)))
        for i in range(end - first):
            for w in range(len(query_bands)):
                pull[i, w] = amplitude * amplitude * weights[first + i] * query_bands[w, band[first + i]]
        order = np.argsort(query_mjd[start:stop])
        query = query_mjd[start:stop][order] - mjd[first]
        total = np.zeros((stop - start, len(query_bands)))
        n_earlier = np.searchsorted(time, query, side="right")
        _add_earlier(time, pull, query, n_earlier, rate, total)
        later = np.zeros((stop - start, len(query_bands)))
        _add_earlier((-time[::-1]).copy(), pull[::-1].copy(), (-query[::-1]).copy(), (len(time) - n_earlier)[::-1].copy(), rate, later)
        for q in range(stop - start):
            mean[start + order[q]] = total[q] + later[stop - start - 1 - q]


@njit(cache=True, nogil=True)
def posterior_objects(
    offsets: Rows,
    mjd: Floats,
    band: Bands,
    flux: Floats,
    flux_err: Floats,
    bands: Floats,
    query_bands: Floats,
    parameters: Floats,
    query_offsets: Rows,
    query_mjd: Floats,
    mean: Floats,
    sd: Floats,
) -> None:
    """Posterior mean and standard deviation; arguments as `mean_objects`."""
    for k in range(len(parameters)):
        amplitude, timescale, scale = parameters[k]
        if math.isnan(amplitude):
            continue
        first, end = offsets[k], offsets[k + 1]
        variance = (amplitude / scale) ** 2
        rows = band[first:end]
        time = mjd[first:end] - mjd[first]
        noise = (flux_err[first:end] / scale) ** 2
        lower, weights = _condition(time, rows, flux[first:end] / scale, noise, bands, variance, timescale)
        overlap, column = np.empty(len(time)), np.empty(len(time))
        for q in range(query_offsets[k], query_offsets[k + 1]):
            for i in range(len(time)):
                x = _SQRT3 / timescale * abs(query_mjd[q] - mjd[first] - time[i])
                overlap[i] = variance * (1.0 + x) * math.exp(-x)
            for w in range(len(query_bands)):
                total = 0.0
                for i in range(len(time)):
                    column[i] = overlap[i] * query_bands[w, rows[i]]
                    total += column[i] * weights[i]
                _solve_lower(lower, column)
                explained = 0.0
                for i in range(len(time)):
                    explained += column[i] * column[i]
                mean[q, w] = scale * total
                sd[q, w] = scale * math.sqrt(max(variance - explained, VARIANCE_FLOOR * variance))
