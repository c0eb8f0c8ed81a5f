"""Whether the times of a star's events follow a series: equal steps, primes or Fibonacci's numbers, more closely than the nights it was looked at allow.

The gaps d_i between k events are held against the gaps s_i of a series, forwards and backwards, both scaled to one:

    T = min over series of sum_i (d_i / sum d - s_i / sum s)^2

The null draws the k events from the nights on which the star was seen, so that neither seasons nor cadence make a series. Primes as a beacon: Sullivan 1991.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LEAST_EVENTS, MOST_EVENTS = 5, 24
N_SHUFFLES = 999
_PRIMES = np.array([2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83], np.float64)
_FIBONACCI = np.array(
    [1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584, 4181, 6765, 10946, 17711, 28657], np.float64
)
SERIES = np.stack([np.ones(MOST_EVENTS - 1), _PRIMES, _FIBONACCI])
SERIES_NAMES = ("equal", "primes", "fibonacci")


@njit(cache=True, nogil=True)
def _distance(times: FloatArray, chosen: IntArray, k: int, series: FloatArray) -> tuple[float, int]:
    """T of the nights chosen[:k], ascending, and which series it is."""
    span = times[chosen[k - 1]] - times[chosen[0]]
    best, which = np.inf, -1
    for s in range(series.shape[0]):
        whole = 0.0
        for i in range(k - 1):
            whole += series[s, i]
        forward, backward = 0.0, 0.0
        for i in range(k - 1):
            gap = (times[chosen[i + 1]] - times[chosen[i]]) / span
            forward += (gap - series[s, i] / whole) ** 2
            backward += (gap - series[s, k - 2 - i] / whole) ** 2
        if min(forward, backward) < best:
            best, which = min(forward, backward), s
    return best, which


@njit(cache=True, nogil=True)
def _chances(
    times: FloatArray, offsets: IntArray, is_event: NDArray[np.bool_], seed: int, series: FloatArray
) -> tuple[FloatArray, IntArray]:
    n_objects = len(offsets) - 1
    p, which = np.full(n_objects, np.nan), np.full(n_objects, -1, np.int64)
    for b in range(n_objects):
        n = offsets[b + 1] - offsets[b]
        nights = times[offsets[b] : offsets[b + 1]]
        order = np.flatnonzero(is_event[offsets[b] : offsets[b + 1]])
        k = len(order)
        if k < LEAST_EVENTS or k > MOST_EVENTS or 2 * k > n:
            continue
        found, which[b] = _distance(nights, order, k, series)
        np.random.seed(seed)  # of each object, so that it does not depend on those before it
        pool, as_near = np.arange(n), 0
        for _ in range(N_SHUFFLES):
            for i in range(k):  # Fisher and Yates: the first k of a random order
                j = i + np.random.randint(0, n - i)
                pool[i], pool[j] = pool[j], pool[i]
            drawn, _ = _distance(nights, np.sort(pool[:k]), k, series)
            as_near += drawn <= found
        p[b] = (1.0 + as_near) / (1.0 + N_SHUFFLES)
    return p, which


def chances(times: FloatArray, offsets: IntArray, is_event: NDArray[np.bool_]) -> tuple[FloatArray, IntArray]:
    """P = (1 + shuffles at least as near a series) / 1000 of B objects, and which series (its place in SERIES_NAMES).

    times : (M,) [d] of nights, ascending within an object      is_event : (M,)      offsets : (B + 1,)
    (B,) each; NaN and -1 where an object has fewer than 5 events, more than 24, or events on more than half of its nights.
    """
    return _chances(
        np.ascontiguousarray(times, np.float64), np.ascontiguousarray(offsets, np.int64), np.ascontiguousarray(is_event), 1, SERIES
    )
