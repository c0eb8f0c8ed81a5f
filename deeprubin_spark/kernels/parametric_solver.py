"""Bounded least squares for many small problems at once: Levenberg-Marquardt on what variable projection leaves.

    chi2(p) = min over linear coefficients of sum of squared residuals,     (N + lambda diag N) step = g,     p <- clip(p + step)

(Marquardt 1963; Golub & Pereyra 1973.) A model module evaluates chi2, g = -1/2 d chi2 / dp and N, the Gauss-Newton matrix of the
residuals with the linear coefficients' directions taken out (Kaufman 1975). A parameter on a bound that the step would push over is held.
Every problem has its own state, so that what it becomes does not depend on the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deeprubin_spark.kernels.light_curves import FloatArray

IntArray = NDArray[np.int64]
Arrays = tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]  # of a `Trial`, in its order

LONG_SEARCH = 60  # steps
_FIRST_DAMPING, _LEAST_DAMPING = 0.1, 1e-8
_EASIER, _HARDER, _MUCH_HARDER = 0.3, 2.0, 10.0
_GOOD, _POOR = 0.75, 0.25  # of the gain that the quadratic form promised
_TOLERANCE, _RELATIVE_TOLERANCE = 1e-3, 1e-5  # of chi2: a step that gains less ends the search
_SMALLEST_STEP = 1e-5  # [d], or of a logarithm: a refused step this short ends the search
_NOTHING = 1e-12  # of the largest: a diagonal element this small belongs to a parameter without effect, which is held


@dataclass(frozen=True)
class Trial:
    """T problems, each at one point of its parameters.

    parameters : (T, P)      chi2 : (T,)      gradient : (T, P) of -chi2 / 2      normal : (T, P, P)
    linear : (T, L) coefficients of the model that belong to it
    """

    parameters: FloatArray
    chi2: FloatArray
    gradient: FloatArray
    normal: FloatArray
    linear: FloatArray

    @staticmethod
    def at(parameters: FloatArray, n_linear: int) -> Trial:
        """Nothing evaluated yet: chi2 is infinite."""
        shape = parameters.shape
        return Trial(parameters, np.full(shape[0], np.inf), np.zeros(shape), np.zeros((*shape, shape[1])), np.zeros((shape[0], n_linear)))

    def arrays(self) -> Arrays:
        """As compiled code takes them."""
        return self.parameters, self.chi2, self.gradient, self.normal, self.linear


# Fills all but the parameters, for the problems named. On entry chi2 is the value to beat: where it is not, only chi2 need be filled.
Evaluate = Callable[[IntArray, Trial], None]


def minimise(evaluate: Evaluate, starts: FloatArray, low: FloatArray, high: FloatArray, n_linear: int, n_short: int) -> Trial:
    """The least chi2 found between the bounds: `n_short` steps in each of C regions, from the best of its G starting points, then a long search.

    starts : (T, C, G, P)      low, high : (T, P); equal where a parameter is fixed
    """
    best, trial, climber = (Trial.at(starts[:, 0, 0].copy(), n_linear) for _ in range(3))
    if len(starts) == 0:
        return best
    everyone = np.arange(len(starts))
    for region in range(starts.shape[1]):
        climber.chi2[:] = np.inf
        for start in range(starts.shape[2]):
            np.clip(starts[:, region, start], low, high, out=trial.parameters)
            trial.chi2[:] = climber.chi2
            evaluate(everyone, trial)
            _keep_better(everyone, trial.arrays(), climber.arrays())
        if starts.shape[1] > 1:
            _climb(evaluate, low, high, climber, trial, n_short)
        _keep_better(everyone, climber.arrays(), best.arrays())
    _climb(evaluate, low, high, best, trial, LONG_SEARCH)
    return best


def _climb(evaluate: Evaluate, low: FloatArray, high: FloatArray, best: Trial, trial: Trial, n_steps: int) -> None:
    """Take `best` down to a minimum of chi2, or so many steps towards it; `trial` is room for them."""
    todo, damping, expected = np.arange(len(low)), np.full(len(low), _FIRST_DAMPING), np.empty(len(low))
    for _ in range(n_steps):
        _propose(todo, low, high, damping, best.arrays(), trial.arrays(), expected)
        evaluate(todo, trial)
        is_active = np.zeros(len(low), np.bool_)
        _judge(todo, trial.arrays(), best.arrays(), expected, damping, is_active)
        todo = np.flatnonzero(is_active)
        if len(todo) == 0:
            break


@njit(cache=True, nogil=True)
def _take(t: int, trial: Arrays, best: Arrays) -> None:
    """Make problem t's trial its best."""
    best[1][t] = trial[1][t]
    for j in range(best[0].shape[1]):
        best[0][t, j], best[2][t, j] = trial[0][t, j], trial[2][t, j]
        for k in range(best[0].shape[1]):
            best[3][t, j, k] = trial[3][t, j, k]
    for j in range(best[4].shape[1]):
        best[4][t, j] = trial[4][t, j]


@njit(cache=True, nogil=True)
def _keep_better(todo: IntArray, trial: Arrays, best: Arrays) -> None:
    """Make a trial that is better than the best its problem's best."""
    for t in todo:
        if trial[1][t] < best[1][t]:
            _take(t, trial, best)


@njit(cache=True, nogil=True)
def _judge(todo: IntArray, trial: Arrays, best: Arrays, expected: FloatArray, damping: FloatArray, is_active: NDArray[np.bool_]) -> None:
    """Take the steps that help, change the damping, and mark the problems that are not done."""
    for t in todo:
        gain = best[1][t] - trial[1][t]
        if gain > 0.0:
            _take(t, trial, best)
            if gain > _GOOD * expected[t]:
                damping[t] = max(_EASIER * damping[t], _LEAST_DAMPING)
            elif gain < _POOR * expected[t]:
                damping[t] *= _HARDER
            is_active[t] = gain > _TOLERANCE + _RELATIVE_TOLERANCE * best[1][t]
        else:
            is_moving = False
            for j in range(best[0].shape[1]):
                is_moving = is_moving or abs(trial[0][t, j] - best[0][t, j]) > _SMALLEST_STEP
            damping[t] *= _MUCH_HARDER
            is_active[t] = is_moving


@njit(cache=True, nogil=True, error_model="numpy")
def _propose(
    todo: IntArray, low: FloatArray, high: FloatArray, damping: FloatArray, best: Arrays, trial: Arrays, expected: FloatArray
) -> None:
    """Parameters of a trial one damped step from the best ones, within the bounds, and what chi2 should fall by: expected (T,)."""
    parameters, chi2, gradient, normal, _ = best
    proposed, to_beat, _, _, _ = trial
    n = parameters.shape[1]
    matrix, step, is_held = np.empty((n, n)), np.empty(n), np.empty(n, np.bool_)
    for t in todo:
        largest = 0.0
        for j in range(n):
            largest = max(largest, normal[t, j, j])
        for j in range(n):
            downwards = parameters[t, j] <= low[t, j] and gradient[t, j] <= 0.0
            upwards = parameters[t, j] >= high[t, j] and gradient[t, j] >= 0.0
            is_held[j] = downwards or upwards or not normal[t, j, j] > _NOTHING * largest
        for j in range(n):
            step[j] = 0.0 if is_held[j] else gradient[t, j]
            for k in range(j):
                matrix[j, k] = 0.0 if is_held[j] or is_held[k] else normal[t, j, k]
            matrix[j, j] = 1.0 if is_held[j] else normal[t, j, j] * (1.0 + damping[t])
        _solve(matrix, step)
        expected[t], to_beat[t] = 0.0, chi2[t]
        for j in range(n):
            expected[t] += step[j] * (gradient[t, j] + damping[t] * normal[t, j, j] * step[j])
            proposed[t, j] = min(max(parameters[t, j] + step[j], low[t, j]), high[t, j])


@njit(cache=True, nogil=True, error_model="numpy")
def _solve(matrix: FloatArray, vector: FloatArray) -> None:
    """Solve a symmetric positive system (lower triangle) in place by elimination; no step where it is not positive."""
    n = len(vector)
    for b in range(n):
        if not matrix[b, b] > 0.0:
            vector[:] = 0.0
            return
        matrix[b, b] = 1.0 / matrix[b, b]
        for a in range(b + 1, n):
            share = matrix[a, b] * matrix[b, b]
            vector[a] -= share * vector[b]
            for c in range(b + 1, a + 1):
                matrix[a, c] -= share * matrix[c, b]
    for b in range(n - 1, -1, -1):
        for a in range(b + 1, n):
            vector[b] -= matrix[a, b] * vector[a]
        vector[b] *= matrix[b, b]
