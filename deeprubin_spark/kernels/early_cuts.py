"""When an object was known for how long: the times at which its light curve is cut to see how early it is recognised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

DAYS: tuple[int, ...] = (1, 3, 7, 15, 30, 64)  # [d] since the first detection
EPOCHS: tuple[int, ...] = (3, 15)
NIGHT = (
    0.5  # [d] detections that follow the first of an epoch within this time belong to its night, at whatever longitude the telescope stands
)
CUT_NAMES: tuple[str, ...] = (*(f"d{days}" for days in DAYS), *(f"n{epochs}" for epochs in EPOCHS))
OF_CUT = "@"  # between an object's id and the name of a cut

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def cut_times(mjd: FloatArray, is_detection: NDArray[np.bool_], offsets: IntArray) -> dict[str, FloatArray]:
    """The last moment that each cut knows of, by the cut's name; -inf where an object has no detection, or not so many epochs.

    d<D> : t_1 + D               t_1 the time of the first detection
    n<N> : t_N + 0.5 d           t_N the time of the first detection of epoch N: t_1, then each first detection later than t_(N-1) + 0.5 d

    An epoch is thus a night with a detection; measurements without one (forced photometry, upper limits) make no epoch.
    mjd [d], is_detection : (N,), in any order within an object      offsets : (B + 1,) as in `LightCurves`. Returns (B,) arrays.
    """
    epochs = _epochs(mjd, is_detection, offsets, max(EPOCHS))
    found = {f"d{days}": epochs[:, 0] + days for days in DAYS} | {f"n{n}": epochs[:, n - 1] + NIGHT for n in EPOCHS}
    return {name: np.where(np.isnan(found[name]), -np.inf, found[name]) for name in CUT_NAMES}


def known_points(mjd: FloatArray, offsets: IntArray, last: FloatArray) -> NDArray[np.bool_]:
    """(N,) whether a point of an object is not later than its `last` moment (B,)."""
    return np.asarray(mjd <= np.repeat(last, np.diff(offsets)), np.bool_)


def _epochs(mjd: FloatArray, is_detection: NDArray[np.bool_], offsets: IntArray, n_epochs: int) -> FloatArray:
    """(B, n_epochs) times of the first detection of each epoch, NaN where there are fewer."""
    found = np.full((len(offsets) - 1, n_epochs), np.nan)
    for row, times in enumerate(_detections(mjd, is_detection, offsets)):
        at = 0
        for epoch in range(n_epochs):
            if at >= len(times):
                break
            found[row, epoch] = times[at]
            at = int(np.searchsorted(times, times[at] + NIGHT, side="right"))
    return found


def _detections(mjd: FloatArray, is_detection: NDArray[np.bool_], offsets: IntArray) -> Sequence[FloatArray]:
    """Times of each object's detections, ascending."""
    return [np.sort(mjd[begin:end][is_detection[begin:end]]) for begin, end in zip(offsets[:-1], offsets[1:], strict=True)]
