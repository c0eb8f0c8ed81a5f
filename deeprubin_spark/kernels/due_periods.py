"""The period block: each object's period as of the night on which its search is due, found anew or copied from an earlier row.

The search of night N is due on the last night D <= N on which the number of known points reached a milestone (`period_gate.py`). Only points known
on D are seen, so that the period of N is a function of the points known by N, however often and in which order nights are run.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves, chosen_points
from deeprubin_spark.kernels.period_gate import NEVER, due_nights, is_variable
from deeprubin_spark.kernels.period_search import PERIOD_FEATURES, find_periods

N_KNOWN = 0  # the block's first column, `period_n_known`: points known on the due night
N_COLUMNS = 1 + len(PERIOD_FEATURES)


def fill_period_features(
    curves: LightCurves, known_night: NDArray[np.integer], cached: FloatArray | None, out: FloatArray, column: int
) -> None:
    """`period_n_known`, then `PERIOD_FEATURES`, into out (B, F) from `column` on; NaN for an object of fewer than 20 points.

    known_night : (N,) days since any epoch, none later than the night asked for      cached : (B, 1 + K), the same columns of an earlier row
    An object whose flux on the due night is no more than a constant with noise has no period.
    """
    due, n_known = due_nights(curves.offsets, known_night, int(np.max(known_night, initial=0)))
    block = np.full((curves.n_objects, N_COLUMNS), np.nan)
    is_cached = np.zeros(curves.n_objects, np.bool_) if cached is None else (due != NEVER) & (cached[:, N_KNOWN] == n_known)
    if cached is not None:
        block[is_cached] = cached[is_cached]
    open_ = (due != NEVER) & ~is_cached
    if open_.any():
        counts = np.diff(curves.offsets)
        then = chosen_points(curves, np.repeat(open_, counts) & (known_night <= np.repeat(due, counts)))
        found = find_periods(then, open_ & is_variable(then))
        block[open_, 0], block[open_, 1:] = n_known[open_], found[open_]
    out[:, column : column + N_COLUMNS] = block
