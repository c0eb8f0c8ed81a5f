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
SHORT_SEARCH = 2  # steps for each parameter and two more: then regions can be told apart
_FIRST_DAMPING, _LEAST_DAMPING = 0.1, 1e-8
_EASIER, _HARDER = 0.3, 3.0
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


Evaluate = Callable[[IntArray, Trial], None]  # fills all but the parameters, for the problems named


def minimise(evaluate: Evaluate, starts: FloatArray, low: FloatArray, high: FloatArray, n_linear: int) -> Trial:
    """The least chi2 found between the bounds: a short search in each of C regions, from the best of its G starting points, then a long one.

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
            evaluate(everyone, trial)
            _keep_better(everyone, trial.arrays(), climber.arrays())
        if starts.shape[1] > 1:
            _climb(evaluate, low, high, climber, trial, SHORT_SEARCH * (low.shape[1] + 1))
        _keep_better(everyone, climber.arrays(), best.arrays())
    _climb(evaluate, low, high, best, trial, LONG_SEARCH)
    return best


def _climb(evaluate: Evaluate, low: FloatArray, high: FloatArray, best: Trial, trial: Trial, n_steps: int) -> None:
    """Take `best` down to a minimum of chi2, or so many steps towards it; `trial` is room for them."""
    todo, damping = np.arange(len(low)), np.full(len(low), _FIRST_DAMPING)
    for _ in range(n_steps):
        _propose(todo, low, high, damping, best.arrays(), trial.parameters)
        evaluate(todo, trial)
        is_active = np.zeros(len(low), np.bool_)
        _judge(todo, trial.arrays(), best.arrays(), damping, is_active)
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
def _judge(todo: IntArray, trial: Arrays, best: Arrays, damping: FloatArray, is_active: NDArray[np.bool_]) -> None:
    """Take the steps that help, change the damping, and mark the problems that are not done."""
    for t in todo:
        gain = best[1][t] - trial[1][t]
        if gain > 0.0:
            _take(t, trial, best)
            damping[t] = max(_EASIER * damping[t], _LEAST_DAMPING)
            is_active[t] = gain > _TOLERANCE + _RELATIVE_TOLERANCE * best[1][t]
        else:
            is_moving = False
            for j in range(best[0].shape[1]):
                is_moving = is_moving or abs(trial[0][t, j] - best[0][t, j]) > _SMALLEST_STEP
            damping[t] *= _HARDER
            is_active[t] = is_moving


@njit(cache=True, nogil=True, error_model="numpy")
def _propose(todo: IntArray, low: FloatArray, high: FloatArray, damping: FloatArray, best: Arrays, proposed: FloatArray) -> None:
    """Points one damped step from the best ones, within the bounds: proposed (T, P)."""
    parameters, _, gradient, normal, _ = best
    n = parameters.shape[1]
    free = np.empty(n, np.int64)
    factor, step = np.empty((n, n)), np.empty(n)
    for t in todo:
        largest = 0.0
        for j in range(n):
            largest = max(largest, normal[t, j, j])
        n_free = 0
        for j in range(n):
            is_out = (parameters[t, j] <= low[t, j] and gradient[t, j] <= 0.0) or (parameters[t, j] >= high[t, j] and gradient[t, j] >= 0.0)
            if normal[t, j, j] > _NOTHING * largest and not is_out:
                free[n_free] = j
                n_free += 1
        for a in range(n_free):
            step[a] = gradient[t, free[a]]
            for b in range(a + 1):
                factor[a, b] = normal[t, free[a], free[b]]
            factor[a, a] *= 1.0 + damping[t]
        _solve(factor, step, n_free)
        for j in range(n):
            proposed[t, j] = parameters[t, j]
        for a in range(n_free):
            j = free[a]
            proposed[t, j] = min(max(parameters[t, j] + step[a], low[t, j]), high[t, j])


@njit(cache=True, nogil=True, error_model="numpy")
def _solve(factor: FloatArray, vector: FloatArray, n: int) -> None:
    """Solve a symmetric positive system of n rows (lower triangle) in place by Cholesky; no step where it is not positive."""
    for a in range(n):
        for b in range(a + 1):
            rest = factor[a, b]
            for c in range(b):
                rest -= factor[a, c] * factor[b, c]
            if a > b:
                factor[a, b] = rest / factor[b, b]
            elif rest > 0.0:
                factor[a, a] = np.sqrt(rest)
            else:
                for c in range(n):
                    vector[c] = 0.0
                return
    for a in range(n):
        for c in range(a):
            vector[a] -= factor[a, c] * vector[c]
        vector[a] /= factor[a, a]
    for a in range(n - 1, -1, -1):
        for c in range(a + 1, n):
            vector[a] -= factor[c, a] * vector[c]
        vector[a] /= factor[a, a]
