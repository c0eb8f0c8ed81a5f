"""Parts of a light curve, as somebody knew it who came late and could not see further: what trains a classifier of unfinished light curves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHORTEST_WINDOW, LONGEST_WINDOW = 15.0, 400.0  # [d] an alert brings weeks of history; nights add up to years
MIN_WINDOW_DETECTIONS = 5
_DRAWS_PER_WINDOW = 4  # windows of sparse curves often hold too few detections

Mask = NDArray[np.bool_]


def windows(mjd: NDArray[np.float64], is_detection: Mask, count: int, rng: np.random.Generator) -> list[Mask]:
    """Up to `count` parts of a light curve that hold >= 5 detections: all points of the last L days before and with a detection.

    L is log-uniform between 15 and 400 d, the detection any but the first four. mjd [d] ascending, is_detection : (N,). Returns masks (N,), none of the
    whole curve and none twice.
    """
    ends = mjd[is_detection][MIN_WINDOW_DETECTIONS - 1 :]
    found: dict[bytes, Mask] = {}
    for _ in range(count * _DRAWS_PER_WINDOW if len(ends) else 0):
        end = rng.choice(ends)
        length = np.exp(rng.uniform(np.log(SHORTEST_WINDOW), np.log(LONGEST_WINDOW)))
        chosen = (mjd > end - length) & (mjd <= end)
        if len(found) < count and not chosen.all() and (chosen & is_detection).sum() >= MIN_WINDOW_DETECTIONS:
            found[chosen.tobytes()] = chosen
    return list(found.values())
