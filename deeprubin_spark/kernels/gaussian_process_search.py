"""Search for the highest places of many smooth functions at once, each within a box, from few batches of values.

A climb evaluates a pattern of candidates around a centre, fits a quadratic model to their values, and puts the next, smaller pattern at the
model's highest place (response surface method, Box & Wilson 1951). All climbs advance in step, so that one call evaluates a pattern of
each; they know nothing of each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

N_ROUNDS = 8  # patterns of one climb
TOLERANCE = 1e-2  # expected gain below which a climb ends
_SHRINK = 0.6  # of the pattern from round to round
_REACH = 4.0  # of the model, in pattern sizes
_CLIFF = -40.0  # value relative to the pattern's best below which the model is not bent
_N_PASSES = 20  # over the coordinates, for the model's highest place
_AXIAL = 2.0  # distance of a pattern's points on the axes, corners are at 1

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Evaluate = Callable[[Rows, Floats], Floats]  # rows of functions (C,), candidates (C, P, D) to values (C, P)


class Design(NamedTuple):
    """A pattern of P points in d dimensions, pattern (P, d), and what turns values at them into a quadratic model, inverse (K, P).

    The K = 1 + d + d (d + 1) / 2 coefficients: constant, gradient, and the upper triangle of the second derivatives row by row.
    """

    pattern: Floats
    inverse: Floats


def quadratic_design(n_free: int, n_points: int) -> Design:
    """Central composite design (Box & Wilson 1951): corners, points on the axes, and the centre as often as needed for n_points."""
    corners = np.stack(np.meshgrid(*[[-1.0, 1.0]] * n_free, indexing="ij"), axis=-1).reshape(-1, n_free)
    axes = _AXIAL * np.concatenate([np.eye(n_free), -np.eye(n_free)])
    centres = np.zeros((n_points - len(corners) - len(axes), n_free))
    pattern = np.concatenate([corners, axes, centres])
    i, j = np.triu_indices(n_free)
    terms = [np.ones((n_points, 1)), pattern, pattern[:, i] * pattern[:, j] * np.where(i == j, 0.5, 1.0)]
    return Design(pattern, np.linalg.pinv(np.concatenate(terms, axis=1)))


def climb(evaluate: Evaluate, rows: Rows, low: Floats, high: Floats, size: Floats, design: Design, place: Floats, best: Floats) -> None:
    """Move place (C, D) of each climb to the highest candidate found within low and high (C, D), and best (C,) to its value.

    rows : (C,) function of each climb, for `evaluate`      size : (C, D) of the first pattern. The first d of D dimensions are free, d from
    the design. `place` and `best` hold where a climb starts and the value there.
    """
    centre, reach = place.copy(), size.copy()
    active = np.flatnonzero(best > -math.inf)
    room = np.empty((len(place), len(design.pattern), place.shape[1]))
    for turn in range(N_ROUNDS):
        candidates = room[: len(active)]
        _lay_patterns(active, centre, reach, design.pattern, candidates)
        values = evaluate(rows[active], candidates)
        done = np.zeros(len(active), np.bool_)
        _advance_climbs(active, candidates, values, design.inverse, turn, low, high, centre, reach, place, best, done)
        active = active[~done]
        if len(active) == 0:
            return


@njit(cache=True, nogil=True)
def _lay_patterns(active: Rows, centre: Floats, reach: Floats, pattern: Floats, candidates: Floats) -> None:
    """Candidates (A, P, D) of the active climbs: the pattern (P, d), in their sizes, around their centres."""
    n_free = pattern.shape[1]
    for a in range(len(active)):
        c = active[a]
        for p in range(len(pattern)):
            for i in range(centre.shape[1]):
                candidates[a, p, i] = centre[c, i] + (reach[c, i] * pattern[p, i] if i < n_free else 0.0)


@njit(cache=True, nogil=True)
def _advance_climbs(
    active: Rows,
    candidates: Floats,
    values: Floats,
    inverse: Floats,
    turn: int,
    low: Floats,
    high: Floats,
    centre: Floats,
    reach: Floats,
    place: Floats,
    best: Floats,
    done: NDArray[np.bool_],
) -> None:
    """One round of the active climbs: keep the best candidate, model the pattern, place and shrink the next, or say that it is done."""
    n_free = int((math.sqrt(8.0 * len(inverse) + 1.0) - 3.0) / 2.0 + 0.5)  # K = (d + 1) (d + 2) / 2
    gradient, hessian, x = np.empty(n_free), np.empty((n_free, n_free)), np.empty(n_free)
    near, far, below = np.empty(n_free), np.empty(n_free), np.empty(candidates.shape[1])
    for a in range(len(active)):
        c, value = active[a], values[a]
        _keep_best(candidates[a], value, low[c], high[c], place[c], best[c : c + 1])
        top = value.max()
        if not top > -math.inf:
            done[a] = True
            continue
        height = top + _fit_quadratic(inverse, value, top, below, gradient, hessian)
        for i in range(n_free):
            near[i] = max((low[c, i] - centre[c, i]) / reach[c, i], -_REACH)
            far[i] = min((high[c, i] - centre[c, i]) / reach[c, i], _REACH)
            x[i] = min(max((place[c, i] - centre[c, i]) / reach[c, i], near[i]), far[i])
        height += _top_of_quadratic(gradient, hessian, near, far, below, x)
        step = 0.0
        for i in range(n_free):
            step = max(step, abs(x[i]))
        done[a] = turn > 0 and height - best[c] < TOLERANCE and step < 1.0
        for i in range(n_free):
            centre[c, i] = min(max(centre[c, i] + reach[c, i] * x[i], low[c, i]), high[c, i])
            reach[c, i] *= _SHRINK


@njit(cache=True, nogil=True)
def _keep_best(candidates: Floats, value: Floats, low: Floats, high: Floats, place: Floats, best: Floats) -> None:
    """Move place (D,) and best (1,) to the highest of the candidates (P, D) that lie within low and high (D,)."""
    for k in range(len(value)):
        if not value[k] > best[0]:
            continue
        is_within = True
        for i in range(len(place)):
            is_within &= low[i] <= candidates[k, i] <= high[i]
        if is_within:
            best[0] = value[k]
            place[:] = candidates[k]


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _fit_quadratic(inverse: Floats, value: Floats, top: float, below: Floats, gradient: Floats, hessian: Floats) -> float:
    """Least squares through a pattern's values: gradient (d,), hessian (d, d); returns its value at the centre less `top`; below (P,) is room."""
    n_free = len(gradient)
    for k in range(len(value)):
        below[k] = value[k] - top if value[k] - top > _CLIFF else _CLIFF
    centre, i, j = 0.0, 0, 0
    for c in range(len(inverse)):
        total = 0.0
        for k in range(len(value)):
            total += inverse[c, k] * below[k]
        if c == 0:
            centre = total
        elif c <= n_free:
            gradient[c - 1] = total
        else:
            hessian[i, j] = hessian[j, i] = total
            j += 1
            if j == n_free:
                i += 1
                j = i
    return centre


@njit(cache=True, nogil=True)
def _top_of_quadratic(gradient: Floats, hessian: Floats, low: Floats, high: Floats, room: Floats, x: Floats) -> float:
    """Highest place of g x + x H x / 2 in a box, coordinate by coordinate from x (d,), which is moved there; returns its height.

    room (d or more,) is for what would be divisions in a chain.
    """
    for i in range(len(x)):
        room[i] = -1.0 / hessian[i, i] if hessian[i, i] < 0.0 else 0.0
    for _ in range(_N_PASSES):
        moved = 0.0
        for i in range(len(x)):
            slope = gradient[i] - hessian[i, i] * x[i]
            for j in range(len(x)):
                slope += hessian[i, j] * x[j]
            if hessian[i, i] < 0.0:
                best = min(max(slope * room[i], low[i]), high[i])
            else:
                left = low[i] * (slope + 0.5 * hessian[i, i] * low[i])
                right = high[i] * (slope + 0.5 * hessian[i, i] * high[i])
                best = high[i] if right > left else low[i]
            moved = max(moved, abs(best - x[i]))
            x[i] = best
        if moved < 3e-3:
            break
    height = 0.0
    for i in range(len(x)):
        height += gradient[i] * x[i]
        for j in range(len(x)):
            height += 0.5 * hessian[i, j] * x[i] * x[j]
    return height
