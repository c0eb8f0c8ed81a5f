"""When a period is searched for: on nights on which an object's points became clearly more, and only if it varies.

A search costs as much as all else that a night does for an object, and one more point hardly changes it. The period of night N is therefore
defined as the one found from the points known on night D <= N, the last on which their number reached a milestone

    m_k = ceil(20 x 1.25^k) = 20, 25, 32, 40, 49, 62, 77, ...

D is a function of the points known by N alone, so that a night gives the same whether it is run in turn, again or late; what was found for
night D can be copied instead of sought again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves

FIRST_MILESTONE = 20  # points
NEVER = -1
CONSTANT_PROBABILITY = 1e-4  # of as large a chi-squared from a constant flux: above it, an object is not said to vary

Integers = NDArray[np.int64]


def milestones(most: int) -> Integers:
    """Numbers of points ceil(20 x 1.25^k), up to the first above `most`."""
    found = [FIRST_MILESTONE]
    while found[-1] <= most:
        k = len(found)
        found.append(-(-FIRST_MILESTONE * 5**k // 4**k))
    return np.array(found, np.int64)


def due_nights(offsets: NDArray[np.integer], known_night: NDArray[np.integer], night: int) -> tuple[Integers, Integers]:
    """The night D that the period of night `night` belongs to, and the number of points known on D.

    offsets : (B + 1,) into known_night (N,), the days since any epoch on which each point became known, in any order.
    Returns two (B,) int64: D, `NEVER` (-1) where fewer than 20 points are known by `night`, and the count, then 0. The search is due on
    `night` where D equals it.
    """
    offsets, known_night = np.asarray(offsets, np.int64), np.asarray(known_night, np.int64)
    n_objects = len(offsets) - 1
    row = np.repeat(np.arange(n_objects), np.diff(offsets))
    known = np.bincount(row[known_night <= night], minlength=n_objects)
    falls = (np.diff(known_night) < 0) & (np.diff(row) == 0)
    in_order = known_night[np.lexsort((known_night, row))] if falls.any() else known_night  # mostly they come in order
    steps = milestones(int(known.max(initial=0)))
    reached = np.where(known >= FIRST_MILESTONE, steps[np.searchsorted(steps, known, side="right") - 1], 0)
    due = np.full(n_objects, NEVER, np.int64)
    some = np.flatnonzero(reached)
    due[some] = in_order[offsets[some] + reached[some] - 1]
    by_then = (known_night <= due[row]) & (reached[row] > 0)
    return due, np.bincount(row[by_then], minlength=n_objects)


def is_variable(curves: LightCurves) -> NDArray[np.bool_]:
    """Whether an object's flux is no constant in each band: chi-squared above it with a probability below 1e-4.

    X = sum_b sum_i ((F_i - M_b) / e_i)^2,  M_b the weighted mean of band b;  degrees of freedom: points less bands.
    Returns (B,) bool; false where X is no number, or no band has two points. A night's band with one point tells nothing.
    """
    n_objects = curves.n_objects
    row = np.repeat(np.arange(n_objects), np.diff(curves.offsets))
    group = row * 256 + curves.band.astype(np.int64) + 128  # any int8 is a band of its own
    keys, group = np.unique(group, return_inverse=True)
    n_bands = np.bincount(keys // 256, minlength=n_objects)
    with np.errstate(all="ignore"):
        unit = np.full(len(keys), np.inf)
        np.minimum.at(unit, group, curves.flux_err)
        weight, flux = (unit[group] / curves.flux_err) ** 2, curves.flux / unit[group]
        mean = _sums(group, weight * flux, len(keys)) / _sums(group, weight, len(keys))
        chi2 = _sums(row, weight * (flux - mean[group]) ** 2, n_objects)
        degrees = np.diff(curves.offsets) - n_bands
        variable: NDArray[np.bool_] = chdtrc(degrees, chi2) < CONSTANT_PROBABILITY
    return variable & (degrees > 0)


def _sums(group: Integers, values: FloatArray, n_groups: int) -> FloatArray:
    """Sum of the values of each group, in order: (n_groups,)."""
    return np.bincount(group, weights=values, minlength=n_groups).astype(np.float64)
