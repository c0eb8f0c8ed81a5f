"""How rarely usual objects reach a value: from their quantiles, and beyond the last of them from an exponential tail.

    p(x) = share of usual objects at or above x                    x <= q_95
    p(x) = 0.05 exp(-(x - q_95) / s),   s = mean of x - q_95 of those above it

An exponential is the tail of every usual distribution but those with heavy tails (Pickands 1975, Annals of Statistics 3, 119, with shape 0): beyond the most
unusual of N usual objects, p below 1 / N is an extrapolation that orders objects, not a measurement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

TAIL = 0.05
N_QUANTILES = 96
_LEAST = 1e-30  # of p


@dataclass(frozen=True)
class TailChance:
    """levels : (N_QUANTILES,) quantiles of the usual from 0 to 1 - TAIL, ascending      scale : s, in the unit of the values"""

    levels: FloatArray
    scale: float

    @classmethod
    def fit(cls, usual: NDArray[np.floating]) -> TailChance:
        """Of values (N,) of usual objects. ValueError where there are none, or one is not finite."""
        if len(usual) == 0 or not np.isfinite(usual).all():
            raise ValueError(f"tail: finite values of usual objects expected, found {np.isfinite(usual).sum()} of {len(usual)}")
        levels = np.quantile(np.asarray(usual, np.float64), np.linspace(0.0, 1.0 - TAIL, N_QUANTILES))
        above = usual[usual > levels[-1]]
        scale = float((above - levels[-1]).mean()) if len(above) else 0.0
        return cls(levels, max(scale, 1e-9 * max(abs(float(levels[-1])), 1.0)))

    def __call__(self, values: NDArray[np.floating]) -> FloatArray:
        """Of each value p (B,), in (0, 1]; falls as values rise. NaN, what is not known, has 1: nothing unusual is known of it."""
        x = np.asarray(values, np.float64)
        known = np.nan_to_num(x, nan=-np.inf)
        shares = np.linspace(1.0, TAIL, N_QUANTILES)
        within = np.interp(known, self.levels, shares)
        beyond = TAIL * np.exp(-np.maximum(known - self.levels[-1], 0.0) / self.scale)
        return np.where(np.isnan(x), 1.0, np.maximum(np.where(known > self.levels[-1], beyond, within), _LEAST))
