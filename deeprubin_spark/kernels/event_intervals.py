"""Whether the times of a star's events follow a series: equal steps, primes or Fibonacci's numbers, more closely than the nights it was looked at allow.

The gaps d_i between k events are held against the gaps s_i of a series, forwards and backwards, both scaled to one:

    T = min over series of sum_i (d_i / sum d - s_i / sum s)^2

The null draws the k events from the nights on which the star was seen, so that neither seasons nor cadence make a series. Drawing ends with the 10th as
near: p = 10 / draws then, as valid as that of all draws (Besag & Clifford 1991, Biometrika 78, 301). Primes as a beacon: Sullivan 1991.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LEAST_EVENTS, MOST_EVENTS = 5, 24
N_SHUFFLES = 999
ENOUGH = 10  # shuffles as near a series after which an object is no candidate: no more are drawn
_PRIMES = np.array([2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83], np.float64)
_FIBONACCI = np.array(
    [1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584, 4181, 6765, 10946, 17711, 28657], np.float64
)
SERIES = np.stack([np.ones(MOST_EVENTS - 1), _PRIMES, _FIBONACCI])
SERIES_NAMES = ("equal", "primes", "fibonacci")


@njit(cache=True, nogil=True)
def _distance(times: FloatArray, chosen: IntArray, k: int, shares: FloatArray) -> tuple[float, int]:
    """T of the nights chosen[:k], ascending, and which series it is; shares (S, k - 1): gaps of each series over their sum."""
    inverse = 1.0 / (times[chosen[k - 1]] - times[chosen[0]])
    best, which = np.inf, -1
    for s in range(shares.shape[0]):
        forward, backward = 0.0, 0.0
        for i in range(k - 1):
            gap = (times[chosen[i + 1]] - times[chosen[i]]) * inverse
            forward += (gap - shares[s, i]) ** 2
            backward += (gap - shares[s, k - 2 - i]) ** 2
        if min(forward, backward) < best:
            best, which = min(forward, backward), s
    return best, which


@njit(cache=True, nogil=True)
def _drawn(pool: IntArray, k: int, chosen: IntArray) -> None:
    """The first k of a random order of the pool (Fisher and Yates), ascending, into chosen[:k]."""
    for i in range(k):
        j = i + np.random.randint(0, len(pool) - i)
        pool[i], pool[j] = pool[j], pool[i]
        place = i
        while place > 0 and chosen[place - 1] > pool[i]:
            chosen[place] = chosen[place - 1]
            place -= 1
        chosen[place] = pool[i]


@njit(cache=True, nogil=True)
def _chances(
    times: FloatArray, offsets: IntArray, is_event: NDArray[np.bool_], seed: int, series: FloatArray
) -> tuple[FloatArray, IntArray]:
    n_objects = len(offsets) - 1
    p, which = np.full(n_objects, np.nan), np.full(n_objects, -1, np.int64)
    chosen = np.empty(MOST_EVENTS, np.int64)
    for b in range(n_objects):
        n = offsets[b + 1] - offsets[b]
        nights = times[offsets[b] : offsets[b + 1]]
        order = np.flatnonzero(is_event[offsets[b] : offsets[b + 1]])
        k = len(order)
        if k < LEAST_EVENTS or k > MOST_EVENTS or 2 * k > n:
            continue
        shares = series[:, : k - 1].copy()
        for s in range(shares.shape[0]):
            shares[s] /= shares[s].sum()
        found, which[b] = _distance(nights, order, k, shares)
        own = seed  # of the object's own nights: it depends on none before it, and no two have the same orders
        for i in range(k):
            own = (31 * own + order[i] + n) % 2147483647
        np.random.seed(own)
        pool, as_near, draws = np.arange(n), 0, 0
        while draws < N_SHUFFLES and as_near < ENOUGH:
            _drawn(pool, k, chosen)
            drawn, _ = _distance(nights, chosen, k, shares)
            as_near += drawn <= found
            draws += 1
        p[b] = as_near / draws if as_near == ENOUGH else (1.0 + as_near) / (1.0 + N_SHUFFLES)
    return p, which


def chances(times: FloatArray, offsets: IntArray, is_event: NDArray[np.bool_]) -> tuple[FloatArray, IntArray]:
    """P = (1 + shuffles at least as near a series) / 1000, or 10 / those it took to find 10, of B objects, and which series (its place in SERIES_NAMES).

    times : (M,) [d] of nights, ascending within an object      is_event : (M,)      offsets : (B + 1,)
    (B,) each; NaN and -1 where an object has fewer than 5 events, more than 24, or events on more than half of its nights.
    """
    return _chances(
        np.ascontiguousarray(times, np.float64), np.ascontiguousarray(offsets, np.int64), np.ascontiguousarray(is_event), 1, SERIES
    )
