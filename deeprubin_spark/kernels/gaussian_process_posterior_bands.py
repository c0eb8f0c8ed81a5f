"""Compiled loops for the posterior of fitted Gaussian processes of any number of bands: the general form of `gaussian_process_posterior.py`.

Compiled functions call only functions of their own file (see `gaussian_process_evidence.py`), and every object is computed by itself.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

VARIANCE_FLOOR = 1e-14  # of A^2, as in `gaussian_process_posterior.py`
_SQRT3 = math.sqrt(3.0)
_FASTMATH = {"reassoc", "contract"}  # sums in any order; NaN and infinity keep their meaning

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Curve = tuple[Floats, Rows, Floats, Floats]  # time [d], row of its band, flux, noise variance with jitter: (n,)
Process = tuple[float, float, Floats]  # A^2, sqrt(3) / l [1 / d], correlation between the bands present (M, M)
Asked = tuple[Floats, Floats, Floats]  # query times (Q,) [d], mixing (W, M), variance alone (W,) in A^2
Answer = tuple[Floats, Floats, Floats]  # mean, variance, slope: (Q, W)
Dual = tuple[Floats, Floats]  # K^-1 F and the diagonal of K^-1: (n,)


@njit(cache=True, nogil=True, fastmath=_FASTMATH, error_model="numpy")
def _filter_bands(curve: Curve, query: Floats, process: Process, tape: Floats) -> None:
    """Forward pass over points and queries in order of time, points first; the M bands' states stand as (f, z), (f, z), ...

    Columns of the tape (n + Q, 3 + 2 M + 4 M^2): 0 x, 1 e^-x, 2 row of the point's band or -1; of a point 3 precision, 4 residual, then
    the gain (2 M,) from 5; of a query the state (2 M,) from 3, then D (2 M, 2 M).
    """
    time, rows, flux, noise = curve
    variance, rate, correlation = process
    n_states = 2 * len(correlation)
    state, spread, pull = np.zeros(n_states), np.zeros((n_states, n_states)), np.empty(n_states)
    i, q, at = 0, 0, 0.0
    for step in range(len(tape)):
        is_point = q == len(query) or (i < len(time) and time[i] <= query[q])
        now = time[i] if is_point else query[q]
        x = rate * (now - at) if step > 0 else 0.0
        at, row = now, tape[step]
        row[0], row[1], row[2] = x, math.exp(-x), rows[i] if is_point else -1
        _move_bands(state, spread, x, row[1])
        if not is_point:
            row[3 : 3 + n_states] = state
            row[3 + n_states :] = spread.ravel()
            q += 1
            continue
        own = 2 * rows[i]
        for a in range(n_states):
            pull[a] = spread[own, a] + variance * correlation[rows[i], a // 2]
        precision, residual = 1.0 / (max(pull[own], 0.0) + noise[i]), flux[i] - state[own]
        row[3], row[4] = precision, residual
        for a in range(n_states):
            gain = precision * pull[a]
            row[5 + a] = gain
            state[a] += gain * residual
            for b in range(n_states):
                spread[a, b] -= gain * pull[b]
        i += 1


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _move_bands(state: Floats, spread: Floats, x: float, decay: float) -> None:
    """State <- F state, spread <- F spread F^T for all bands."""
    n_states = len(state)
    square = decay * decay
    for a in range(0, n_states, 2):
        state[a], state[a + 1] = decay * (state[a] + x * state[a + 1]), decay * state[a + 1]
        upper, lower = spread[a], spread[a + 1]
        for b in range(n_states):
            upper[b] = square * (upper[b] + x * lower[b])
            lower[b] *= square
        for b in range(0, n_states, 2):
            upper[b] += x * upper[b + 1]
            lower[b] += x * lower[b + 1]


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _smooth_bands(tape: Floats, process: Process, asked: Asked, answer: Answer, dual: Dual) -> None:
    """Backward pass over the tape: adjoint state (2 M,) and information (2 M, 2 M), both zero after the last point."""
    n_states = 2 * len(process[2])
    weights, precisions = dual
    i, q = len(weights) - 1, len(asked[0]) - 1
    adjoint, information, felt = np.zeros(n_states), np.zeros((n_states, n_states)), np.empty(n_states)
    for step in range(len(tape) - 1, -1, -1):
        row = tape[step]
        if row[2] < 0.0:
            _answer_bands(row[3:], q, process, asked, adjoint, information, answer)
            q -= 1
        else:
            own, gain = 2 * int(row[2]), row[5 : 5 + n_states]
            weight, total = row[3] * row[4], row[3]
            for a in range(n_states):
                weight += gain[a] * adjoint[a]
                felt[a] = 0.0
                for b in range(n_states):
                    felt[a] += information[a, b] * gain[b]
                total += gain[a] * felt[a]
            weights[i], precisions[i] = weight, total
            adjoint[own] -= weight
            for a in range(n_states):
                information[own, a] -= felt[a]
                information[a, own] -= felt[a]
            information[own, own] += total
            i -= 1
        _move_back(adjoint, information, row[0], row[1])


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _move_back(adjoint: Floats, information: Floats, x: float, decay: float) -> None:
    """Adjoint <- F^T adjoint, information <- F^T information F for all bands."""
    n_states = len(adjoint)
    square = decay * decay
    for a in range(0, n_states, 2):
        adjoint[a], adjoint[a + 1] = decay * adjoint[a], decay * (adjoint[a + 1] + x * adjoint[a])
        upper, lower = information[a], information[a + 1]
        for b in range(n_states):
            lower[b] = square * (lower[b] + x * upper[b])
            upper[b] *= square
        for b in range(0, n_states, 2):
            upper[b + 1] += x * upper[b]
            lower[b + 1] += x * lower[b]


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _answer_bands(row: Floats, q: int, process: Process, asked: Asked, adjoint: Floats, information: Floats, answer: Answer) -> None:
    """Posterior at one query, from f - P l and P - P m P; row is the tape's from the state on."""
    (variance, rate, correlation), (_, mixing, alone), (mean, spread, slope) = process, asked, answer
    n_states = len(adjoint)
    state, covariance = row[:n_states].copy(), row[n_states:].copy().reshape(n_states, n_states)
    for a in range(n_states):
        for b in range(n_states):
            covariance[a, b] += variance * correlation[a // 2, b // 2] * (1.0 + (a & b & 1))
    for a in range(n_states):
        for b in range(n_states):
            state[a] -= covariance[a, b] * adjoint[b]
    pull = np.empty(n_states)
    for w in range(len(alone)):
        mean[q, w], slope[q, w], spread[q, w] = 0.0, 0.0, variance * alone[w]
        pull[:] = 0.0
        for m in range(len(correlation)):
            share = mixing[w, m]
            mean[q, w] += share * state[2 * m]
            slope[q, w] += rate * share * (state[2 * m + 1] - state[2 * m])
            for a in range(n_states):
                pull[a] += share * covariance[2 * m, a]
        for m in range(len(correlation)):
            spread[q, w] += mixing[w, m] * pull[2 * m]
        for a in range(n_states):
            felt = 0.0
            for b in range(n_states):
                felt += information[a, b] * pull[b]
            spread[q, w] -= pull[a] * felt


@njit(cache=True, nogil=True)
def solve_bands(
    points: tuple[Rows, Floats, Rows, Floats, Floats],
    bands: tuple[Rows, Floats, Floats, Floats],
    parameters: Floats,
    queries: tuple[Rows, Floats],
    answer: tuple[Floats, Floats, Floats],
    dual: Dual,
) -> None:
    """Posterior of the objects that have more than two bands: mean, deviation, slope (Q, W) [nJy], and the duals of their points (N,).

    points : offsets, mjd, row of the point's band, flux, noise variance with jitter; in units of the flux scale, as are the duals
    bands : how many (B,), correlation (B, 6, 6), mixing (B, W, 6), variance alone (B, W), see `gaussian_process_mixing.py`
    parameters : (B, 4) A, jitter and l [d] in the same units, flux scale [nJy]; objects with NaN there are left out
    queries : offsets (B + 1,), mjd (Q,) ascending within an object
    """
    offsets, mjd, rows, flux, noise = points
    n_bands, correlation, mixing, alone = bands
    query_offsets, query_mjd = queries
    mean, sd, slope = answer
    for k in range(len(parameters)):
        amplitude, jitter, timescale, scale = parameters[k]
        if math.isnan(amplitude) or n_bands[k] <= 2:
            continue
        own, at, m = slice(offsets[k], offsets[k + 1]), slice(query_offsets[k], query_offsets[k + 1]), n_bands[k]
        curve = mjd[own], rows[own], flux[own], noise[own]
        process = amplitude * amplitude, _SQRT3 / timescale, correlation[k, :m, :m].copy()
        asked = query_mjd[at], mixing[k, :, :m].copy(), alone[k]
        tape = np.empty((len(curve[0]) + len(asked[0]), 3 + 2 * m + 4 * m * m))
        _filter_bands(curve, asked[0], process, tape)
        _smooth_bands(tape, process, asked, (mean[at], sd[at], slope[at]), (dual[0][own], dual[1][own]))
        for q in range(at.start, at.stop):
            for w in range(mean.shape[1]):
                left = max(sd[q, w], VARIANCE_FLOOR * process[0])
                sd[q, w] = scale * math.sqrt(left * (1.0 + (mean[q, w] / amplitude) ** 2) + jitter * jitter)
                mean[q, w] *= scale
                slope[q, w] *= scale
