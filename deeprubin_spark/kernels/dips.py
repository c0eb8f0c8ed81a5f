"""Dips that come together: a star that was faint on some nights in a row, or on few stretches of nights, and on no others.

Of n nights k are low. Were the nights exchanged at random, the low ones would fall into r stretches with

    P(R = j) = C(k - 1, j - 1) C(n - k + 1, j) / C(n, k)        (Wald & Wolfowitz 1940, Annals of Mathematical Statistics 11, 147)

p = P(R <= r) is the exact chance of so few stretches. An eclipsing binary's low nights fall everywhere; a passing screen's fall together. So do those of R CrB
stars, young stars in their discs and cataclysmic variables in their low states: natural explanations that this test cannot exclude.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.kernels.light_curves import LightCurves
from deeprubin_spark.kernels.nightly_levels import Nights

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LOW = -3.0  # deviation below which a night is low
LEAST_NIGHTS = 3  # low nights of a dip
MOST_DUTY = 0.5  # share of low nights above which the faint state is the usual one


@dataclass(frozen=True)
class Dips:
    """Of B objects, arrays (B,); NaN where there are fewer than three low nights.

    p : chance [1]      n_low : low nights      depth : of the deepest point [scatters]
    fraction : 1 - F / F_ref of it, of the light of source and reference [1], NaN where the reference is unknown
    asymmetry : (A_before - A_after) / (A_before + A_after), areas of low nights under the median before and after the deepest point      duty : n_low / n
    """

    p: FloatArray
    n_low: IntArray
    depth: FloatArray
    fraction: FloatArray
    asymmetry: FloatArray
    duty: FloatArray


def chance_of_stretches(n: IntArray, k: IntArray, r: IntArray) -> FloatArray:
    """P(R <= r) of k low nights among n, arrays (B,) with 1 <= r <= k <= n."""
    from scipy.special import betaln

    def log_choose(m: FloatArray, j: FloatArray) -> FloatArray:
        made: FloatArray = -np.log1p(m) - betaln(m - j + 1.0, j + 1.0)
        return made

    j = np.arange(1, int(r.max(initial=1)) + 1)[None, :].astype(np.float64)
    total, low = n[:, None].astype(np.float64), k[:, None].astype(np.float64)
    possible = (j <= r[:, None]) & (j <= low) & (j <= total - low + 1.0)
    j = np.where(possible, j, 1.0)
    terms = log_choose(low - 1.0, j - 1.0) + log_choose(total - low + 1.0, j) - log_choose(total, low)
    return np.asarray(np.minimum(np.where(possible, np.exp(terms), 0.0).sum(axis=1), 1.0), np.float64)


def dips(curves: LightCurves, nights: Nights, reference: FloatArray) -> Dips:
    """The dips of B light curves; reference : (N,) [nJy] flux of the reference image in each point's band, NaN where it is unknown."""
    is_low = nights.lowest < LOW
    n, n_low = np.diff(nights.offsets), _sums(is_low, nights.offsets)
    stretches = _stretches(is_low, nights.offsets)
    has_dip = (n_low >= LEAST_NIGHTS) & (n_low <= MOST_DUTY * n)
    unknown = [np.full(len(n), np.nan) for _ in range(5)]
    made = Dips(unknown[0], n_low, *unknown[1:])
    chosen = np.flatnonzero(has_dip)
    if len(chosen) == 0:
        return made
    made.p[chosen] = chance_of_stretches(n[chosen], n_low[chosen], stretches[chosen])
    made.duty[chosen] = n_low[chosen] / n[chosen]
    deepest = _deepest(curves, nights, chosen)
    made.depth[chosen] = -nights.deviation[deepest]
    made.fraction[chosen] = -curves.flux[deepest] / reference[deepest]
    made.asymmetry[chosen] = _asymmetries(nights, chosen, nights.night_of[deepest])
    return made


def _sums(flags: NDArray[np.bool_], offsets: IntArray) -> IntArray:
    counted = np.concatenate(([0], np.cumsum(flags))).astype(np.int64)
    return np.asarray(counted[offsets[1:]] - counted[offsets[:-1]], np.int64)


def _stretches(is_low: NDArray[np.bool_], offsets: IntArray) -> IntArray:
    """How many runs of low nights each object has."""
    begins = is_low.copy()
    begins[1:] &= ~is_low[:-1]
    firsts = offsets[:-1][offsets[:-1] < offsets[1:]]
    begins[firsts] = is_low[firsts]
    return _sums(begins, offsets)


def _deepest(curves: LightCurves, nights: Nights, chosen: IntArray) -> IntArray:
    """The point with the lowest deviation of each chosen object."""
    return np.array([curves.offsets[b] + nights.deviation[curves.offsets[b] : curves.offsets[b + 1]].argmin() for b in chosen], np.int64)


def _asymmetries(nights: Nights, chosen: IntArray, deepest: IntArray) -> FloatArray:
    """Of each chosen object, areas between median and low nights (trapezia) before and after the night `deepest`."""
    found = np.full(len(chosen), np.nan)
    for i, (b, middle) in enumerate(zip(chosen.tolist(), deepest.tolist(), strict=True)):
        lowest = nights.lowest[nights.offsets[b] : nights.offsets[b + 1]]
        below = np.where(lowest < LOW, -lowest, 0.0)
        time, at = nights.mjd[nights.offsets[b] : nights.offsets[b + 1]], middle - nights.offsets[b]
        area = 0.5 * (below[1:] + below[:-1]) * np.diff(time)
        before, after = area[:at].sum(), area[at:].sum()
        found[i] = (before - after) / (before + after) if before + after > 0.0 else np.nan
    return found
