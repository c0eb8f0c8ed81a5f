"""Whether a star's brightness keeps to a few levels, as if switched, rather than passing through all between.

Levels: the points x_i, in order of brightness, fall into k groups of means m_j, with nothing but their errors about them:

    BIC_k = sum_i (x_i - m_j(i))^2 / sigma_i^2 + sum_i ln sigma_i^2 - 2 sum_j n_j ln(n_j / n) + (2 k - 1) ln n

the groups of at least five that make the first sum least, found by dynamic programming (Fisher 1958); a few faint nights are no level.

Against what passes through all between, the better of

    a Gaussian of free width s:  sum_i (x_i - m)^2 / (sigma_i^2 + s^2) + sum_i ln(sigma_i^2 + s^2) + 2 ln n
    a box of free ends:          2 n ln(range) - n ln(2 pi) + 2 ln n

(n ln 2 pi left out of all). p = exp(-(BIC_smooth - BIC_k) / 2), at most 1: a Bayes factor of x comes by chance at most once in x times (Markov's
inequality), as far as BIC is one. An eclipsing binary caught in full eclipse has two levels too.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LEAST_POINTS, MOST_POINTS = 20, 96  # of a band; the latest ones
MOST_LEVELS, LEAST_IN_LEVEL = 4, 5


@njit(cache=True, nogil=True)
def _levels_bic(x: FloatArray, variance: FloatArray, least: int) -> tuple[float, int]:
    """The least BIC of 2 to 4 levels of at least so many of sorted x (n,), and how many."""
    n = len(x)
    w, wx, wxx, logs = np.zeros(n + 1), np.zeros(n + 1), np.zeros(n + 1), 0.0
    for i in range(n):
        weight = 1.0 / variance[i]
        w[i + 1], wx[i + 1], wxx[i + 1] = w[i] + weight, wx[i] + weight * x[i], wxx[i] + weight * x[i] * x[i]
        logs += math.log(variance[i])
    cost, before = np.full((MOST_LEVELS, n + 1), np.inf), np.zeros((MOST_LEVELS, n + 1), np.int64)
    one = np.empty(n + 1)  # chi-squared of a level that ends at i, by where it begins
    for i in range(least, n + 1):
        for j in range(i - least + 1):
            mean = wx[i] - wx[j]
            one[j] = wxx[i] - wxx[j] - mean * mean / (w[i] - w[j])
        cost[0, i] = one[0]
        for k in range(1, MOST_LEVELS if i == n else MOST_LEVELS - 1):  # nothing follows the last level: it ends at n
            for j in range(k * least, i - least + 1):
                total = cost[k - 1, j] + one[j]
                if total < cost[k, i]:
                    cost[k, i], before[k, i] = total, j
    best, levels = np.inf, 0
    for k in range(1, min(MOST_LEVELS, n // least)):
        shares, end = 0.0, n
        for level in range(k, -1, -1):
            start = before[level, end]
            shares += (end - start) * math.log((end - start) / n)
            end = start
        bic = cost[k, n] + logs - 2.0 * shares + (2 * k + 1) * math.log(n)
        if bic < best:
            best, levels = bic, k + 1
    return best, levels


@njit(cache=True, nogil=True)
def _smooth_bic(x: FloatArray, variance: FloatArray, enough: float) -> float:
    """The lower BIC of a Gaussian of free width and of a box; x sorted. The width is the best of 40 between a tenth of and twice the spread, and none.

    Ends with the first that is at most `enough`: the lowest is asked for only where it decides. Widths near the spread come first.
    """
    n = len(x)
    spread, ends = math.sqrt(np.var(x)) + 1e-30, 2.0 * math.log(n)
    best = 2.0 * n * math.log(max(x[n - 1] - x[0], 1e-30)) - n * math.log(2.0 * math.pi)
    for i in range(41):
        if best + ends <= enough:
            break
        step = (31 + i) % 41  # 31 is the width of 1.001 spreads
        width = 0.0 if step == 0 else 0.1 * spread * 20.0 ** ((step - 1) / 39.0)
        weights, weighted = 0.0, 0.0
        for j in range(n):
            weights += 1.0 / (variance[j] + width * width)
            weighted += x[j] / (variance[j] + width * width)
        mean, total = weighted / weights, 0.0
        for j in range(n):
            total += (x[j] - mean) ** 2 / (variance[j] + width * width) + math.log(variance[j] + width * width)
        best = min(best, total)
    return best + ends


@njit(cache=True, nogil=True)
def _chances(flux: FloatArray, flux_err: FloatArray, offsets: IntArray) -> tuple[FloatArray, IntArray]:
    n_groups = len(offsets) - 1
    p, levels = np.full(n_groups, np.nan), np.zeros(n_groups, np.int64)
    for g in range(n_groups):
        start, end = max(offsets[g], offsets[g + 1] - MOST_POINTS), offsets[g + 1]
        if end - start < LEAST_POINTS:
            continue
        scale = np.median(flux_err[start:end])
        order = np.argsort(flux[start:end])
        x, variance = flux[start:end][order] / scale, (flux_err[start:end][order] / scale) ** 2
        bic, levels[g] = _levels_bic(x, variance, LEAST_IN_LEVEL)
        p[g] = math.exp(max(min(0.5 * (bic - _smooth_bic(x, variance, bic)), 0.0), -700.0))
    return p, levels


def chances(flux: FloatArray, flux_err: FloatArray, offsets: IntArray) -> tuple[FloatArray, IntArray]:
    """P and number of levels of G groups of fluxes, each of one object in one band, by time; NaN and 0 where there are fewer than 20.

    flux, flux_err : (N,) in one unit, errors above 0      offsets : (G + 1,). Returns (G,) each.
    """
    return _chances(
        np.ascontiguousarray(flux, np.float64), np.ascontiguousarray(flux_err, np.float64), np.ascontiguousarray(offsets, np.int64)
    )
