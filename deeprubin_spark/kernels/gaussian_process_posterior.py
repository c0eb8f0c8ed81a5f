"""Compiled loops for the posterior of fitted Gaussian processes; formulas and units stand in `gaussian_process.py`.

A filter over the points and the queries in order of time, then its adjoint backwards (Bryson & Frazier 1963; de Jong 1989): no matrix of n
by n, no inverse. States, covariances and their stationary part as in `gaussian_process_evidence.py`. One or two bands, the night's case,
have code of their own without arrays. At a wavelength w that is no band of the object, f_w = c f + e: c = R^-1 r_w and e a process of its
own with the variance A^2 (1 - r_w c) that no band holds anything about.

Compiled functions call only functions of their own file (see `gaussian_process_evidence.py`), and every object is computed by itself.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

VARIANCE_FLOOR = 1e-14  # of A^2: below it cancellation leaves no digit
NOISE_FLOOR = 1e-12  # as in `gaussian_process_evidence.py`
_SQRT3 = math.sqrt(3.0)
_FASTMATH = {"reassoc", "contract"}  # sums in any order; NaN and infinity keep their meaning

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Bands = NDArray[np.int8]
Block = tuple[float, float, float, float]  # 2 x 2
Curve = tuple[Floats, Rows, Floats, Floats]  # time [d], row of its band, flux, noise variance with jitter: (n,)
Process = tuple[float, float, Floats]  # A^2, sqrt(3) / l [1 / d], correlation between the bands present (M, M)
Asked = tuple[Floats, Floats, Floats]  # query times (Q,) [d], mixing c (W, M), variance of e (W,) in A^2
Answer = tuple[Floats, Floats, Floats]  # mean, variance, slope: (Q, W)
Dual = tuple[Floats, Floats]  # K^-1 F and the diagonal of K^-1: (n,)


@njit(cache=True, nogil=True, fastmath=_FASTMATH, inline="always")
def _forward(block: Block, x: float, square: float) -> Block:
    """F block F^T with F = e^-x [[1, x], [0, 1]], square = e^-2x."""
    p00, p01, p10, p11 = block
    p01 += x * p11
    return square * (p00 + x * (p10 + p01)), square * p01, square * (p10 + x * p11), square * p11


@njit(cache=True, nogil=True, fastmath=_FASTMATH, inline="always")
def _backward(block: Block, x: float, square: float) -> Block:
    """F^T block F."""
    m00, m01, m10, m11 = block
    m01 += x * m00
    return square * m00, square * m01, square * (m10 + x * m00), square * (m11 + x * (m10 + m01))


@njit(cache=True, nogil=True, fastmath=_FASTMATH, error_model="numpy")
def _filter_two_bands(curve: Curve, query: Floats, process: Process, tape: Floats) -> None:
    """Forward pass over points and queries, in order of time, into tape (n + Q, 17).

    Columns: 0 x, 1 e^-x, 2 row of the point's band or -1 for a query; of a point 3 precision, 4 residual, 5 to 8 gain; of a query 3 to 6
    the state (f, z) of both bands, 7 to 16 D: 7, 8, 9 of band 0, 10, 11, 12 of band 1, 13 to 16 between them.
    """
    time, rows, flux, noise = curve
    variance, rate, correlation = process
    shared = variance * correlation[0, len(correlation) - 1] if len(correlation) > 1 else 0.0
    f0 = z0 = f1 = z1 = a00 = a01 = a11 = c00 = c01 = c11 = b00 = b01 = b10 = b11 = 0.0
    n, i, q, at = len(time), 0, 0, 0.0
    for step in range(len(tape)):
        is_point = q == len(query) or (i < n and time[i] <= query[q])
        now = time[i] if is_point else query[q]
        x = rate * (now - at) if step > 0 else 0.0
        at, decay, row = now, math.exp(-x), tape[step]
        square = decay * decay
        f0, z0, f1, z1 = decay * (f0 + x * z0), decay * z0, decay * (f1 + x * z1), decay * z1
        a00, a01, _, a11 = _forward((a00, a01, a01, a11), x, square)
        c00, c01, _, c11 = _forward((c00, c01, c01, c11), x, square)
        b00, b01, b10, b11 = _forward((b00, b01, b10, b11), x, square)
        row[0], row[1], row[2] = x, decay, rows[i] if is_point else -1
        if not is_point:
            row[3], row[4], row[5], row[6] = f0, z0, f1, z1
            row[7], row[8], row[9], row[10], row[11], row[12] = a00, a01, a11, c00, c01, c11
            row[13], row[14], row[15], row[16] = b00, b01, b10, b11
            q += 1
            continue
        if rows[i] == 0:
            h0, h1, h2, h3, latent, expected = a00 + variance, a01 + variance, b00 + shared, b01 + shared, a00 + variance, f0
        else:
            h0, h1, h2, h3, latent, expected = b00 + shared, b10 + shared, c00 + variance, c01 + variance, c00 + variance, f1
        precision, residual = 1.0 / (max(latent, 0.0) + noise[i]), flux[i] - expected
        g0, g1, g2, g3 = precision * h0, precision * h1, precision * h2, precision * h3
        row[3], row[4], row[5], row[6], row[7], row[8] = precision, residual, g0, g1, g2, g3
        f0, z0, f1, z1 = f0 + g0 * residual, z0 + g1 * residual, f1 + g2 * residual, z1 + g3 * residual
        a00, a01, a11, c00, c01, c11 = a00 - g0 * h0, a01 - g0 * h1, a11 - g1 * h1, c00 - g2 * h2, c01 - g2 * h3, c11 - g3 * h3
        b00, b01, b10, b11 = b00 - g0 * h2, b01 - g0 * h3, b10 - g1 * h2, b11 - g1 * h3
        i += 1


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _smooth_two_bands(tape: Floats, process: Process, asked: Asked, answer: Answer, dual: Dual) -> None:
    """Backward pass over the tape: adjoint state l (4,) and information m (4, 4), both zero after the last point."""
    weights, precisions = dual
    i, q = len(weights) - 1, len(asked[0]) - 1
    l0 = l1 = l2 = l3 = m00 = m01 = m02 = m03 = m11 = m12 = m13 = m22 = m23 = m33 = 0.0
    for step in range(len(tape) - 1, -1, -1):
        row = tape[step]
        if row[2] < 0.0:
            _answer_two_bands(row, q, process, asked, (l0, l1, l2, l3), (m00, m01, m02, m03, m11, m12, m13, m22, m23, m33), answer)
            q -= 1
        else:
            g0, g1, g2, g3 = row[5], row[6], row[7], row[8]
            weight = row[3] * row[4] + g0 * l0 + g1 * l1 + g2 * l2 + g3 * l3
            w0, w1 = m00 * g0 + m01 * g1 + m02 * g2 + m03 * g3, m01 * g0 + m11 * g1 + m12 * g2 + m13 * g3
            w2, w3 = m02 * g0 + m12 * g1 + m22 * g2 + m23 * g3, m03 * g0 + m13 * g1 + m23 * g2 + m33 * g3
            total = row[3] + g0 * w0 + g1 * w1 + g2 * w2 + g3 * w3
            weights[i], precisions[i] = weight, total
            if row[2] == 0.0:
                l0 -= weight
                m00, m01, m02, m03 = m00 + total - 2.0 * w0, m01 - w1, m02 - w2, m03 - w3
            else:
                l2 -= weight
                m02, m12, m22, m23 = m02 - w0, m12 - w1, m22 + total - 2.0 * w2, m23 - w3
            i -= 1
        x, decay = row[0], row[1]
        square = decay * decay
        l0, l1, l2, l3 = decay * l0, decay * (l1 + x * l0), decay * l2, decay * (l3 + x * l2)
        m00, m01, _, m11 = _backward((m00, m01, m01, m11), x, square)
        m22, m23, _, m33 = _backward((m22, m23, m23, m33), x, square)
        m02, m03, m12, m13 = _backward((m02, m03, m12, m13), x, square)


@njit(cache=True, nogil=True, fastmath=_FASTMATH, inline="always")
def _answer_two_bands(
    row: Floats,
    q: int,
    process: Process,
    asked: Asked,
    adjoint: tuple[float, float, float, float],
    information: tuple[float, float, float, float, float, float, float, float, float, float],
    answer: Answer,
) -> None:
    """Posterior at one query from its row of the tape: mean f - P l, covariance P - P m P."""
    (variance, rate, correlation), (_, mixing, alone), (mean, spread, slope) = process, asked, answer
    l0, l1, l2, l3 = adjoint
    m00, m01, m02, m03, m11, m12, m13, m22, m23, m33 = information
    n_bands = len(correlation)
    shared = variance * correlation[0, n_bands - 1] if n_bands > 1 else 0.0
    a00, a01, a11, c00, c01, c11 = row[7] + variance, row[8] + variance, row[9] + 2.0 * variance, row[10] + variance, row[11] + variance, row[12] + 2.0 * variance
    b00, b01, b10, b11 = row[13] + shared, row[14] + shared, row[15] + shared, row[16] + 2.0 * shared
    z0 = row[4] - (a01 * l0 + a11 * l1 + b10 * l2 + b11 * l3)
    z1 = row[6] - (b01 * l0 + b11 * l1 + c01 * l2 + c11 * l3)
    f0 = row[3] - (a00 * l0 + a01 * l1 + b00 * l2 + b01 * l3)
    f1 = row[5] - (b00 * l0 + b10 * l1 + c00 * l2 + c01 * l3)
    for w in range(len(alone)):
        u, v = mixing[w, 0], mixing[w, n_bands - 1] if n_bands > 1 else 0.0
        p0, p1, p2, p3 = u * a00 + v * b00, u * a01 + v * b10, u * b00 + v * c00, u * b01 + v * c01
        known = p0 * (m00 * p0 + 2.0 * (m01 * p1 + m02 * p2 + m03 * p3)) + p1 * (m11 * p1 + 2.0 * (m12 * p2 + m13 * p3))
        known += p2 * (m22 * p2 + 2.0 * m23 * p3) + p3 * m33 * p3
        mean[q, w] = u * f0 + v * f1
        slope[q, w] = rate * (u * (z0 - f0) + v * (z1 - f1))
        spread[q, w] = u * p0 + v * p2 + variance * alone[w] - known


@njit(cache=True, nogil=True, fastmath=_FASTMATH, error_model="numpy")
def _filter_bands(curve: Curve, query: Floats, process: Process, tape: Floats) -> None:
    """`_filter_two_bands` for M bands, whose states stand as (f, z), (f, z), ...

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
    """state <- F state, spread <- F spread F^T for all bands."""
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
    """`_smooth_two_bands` for M bands."""
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
    """adjoint <- F^T adjoint, information <- F^T information F for all bands."""
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
    """`_answer_two_bands` for M bands; row is the tape's from the state on."""
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
def _bands_present(band: Bands, rows: Rows) -> Rows:
    """Bands present in order of first appearance (M,), and for each point its place among them, into rows (n,)."""
    present = np.empty(len(band), np.int64)
    n_present = 0
    for i in range(len(band)):
        rows[i] = -1
        for m in range(n_present):
            if present[m] == band[i]:
                rows[i] = m
        if rows[i] < 0:
            present[n_present] = band[i]
            rows[i] = n_present
            n_present += 1
    return present[:n_present]


@njit(cache=True, nogil=True)
def _correlations(wavelengths: Floats, others: Floats, scale: float) -> Floats:
    """(1 + y) e^-y, y = sqrt(3) |w - w'| / scale: (W,) and (V,) to (W, V)."""
    out = np.empty((len(wavelengths), len(others)))
    for a in range(len(wavelengths)):
        for b in range(len(others)):
            y = _SQRT3 * abs(wavelengths[a] - others[b]) / scale
            out[a, b] = (1.0 + y) * math.exp(-y)
    return out


@njit(cache=True, nogil=True)
def _mix(correlation: Floats, towards: Floats, alone: Floats) -> None:
    """towards (W, M) <- R^-1 r_w by Cholesky's algorithm, alone (W,) <- 1 - r_w R^-1 r_w; R (M, M). Exact where w is one of the bands."""
    n_bands = len(correlation)
    lower = np.zeros((n_bands, n_bands))
    for i in range(n_bands):
        for j in range(i + 1):
            rest = correlation[i, j]
            for p in range(j):
                rest -= lower[i, p] * lower[j, p]
            lower[i, j] = math.sqrt(rest) if i == j else rest / lower[j, j]
    for w in range(len(towards)):
        share, same = towards[w], -1
        for m in range(n_bands):
            if share[m] == 1.0:
                same = m
        alone[w] = 1.0
        for i in range(n_bands):
            for p in range(i):
                share[i] -= lower[i, p] * share[p]
            share[i] /= lower[i, i]
            alone[w] -= share[i] * share[i]
        for i in range(n_bands - 1, -1, -1):
            for p in range(i + 1, n_bands):
                share[i] -= lower[p, i] * share[p]
            share[i] /= lower[i, i]
        alone[w] = max(alone[w], 0.0)
        if same >= 0:
            share[:] = 0.0
            share[same], alone[w] = 1.0, 0.0


@njit(cache=True, nogil=True)
def posterior_objects(
    points: tuple[Rows, Floats, Bands, Floats, Floats],
    band_wavelengths: Floats,
    parameters: Floats,
    queries: tuple[Rows, Floats, Floats],
    answer: Answer,
    dual: Dual,
) -> None:
    """Posterior of every object at its queries: mean, sd, slope (Q, W), and the duals of its points (N,).

    points : offsets, mjd, band, flux, flux_err of `LightCurves`      queries : offsets (B + 1,), mjd (Q,), wavelengths (W,)
    parameters : (B, 5) A [nJy], l [d], wavelength scale [Angstrom], jitter [nJy], flux scale [nJy]; objects with NaN there are left out.
    """
    (offsets, mjd, band, flux, flux_err), (query_offsets, query_mjd, wavelengths), (mean, sd, slope) = points, queries, answer
    for k in range(len(parameters)):
        amplitude, timescale, wavelength_scale, jitter, scale = parameters[k]
        if math.isnan(amplitude):
            continue
        own, at = slice(offsets[k], offsets[k + 1]), slice(query_offsets[k], query_offsets[k + 1])
        rows = np.empty(offsets[k + 1] - offsets[k], np.int64)
        present = _bands_present(band[own], rows)
        correlation = _correlations(band_wavelengths[present], band_wavelengths[present], wavelength_scale)
        mixing, alone = _correlations(wavelengths, band_wavelengths[present], wavelength_scale), np.empty(len(wavelengths))
        _mix(correlation, mixing, alone)
        noise = np.maximum((flux_err[own] / scale) ** 2, NOISE_FLOOR) + (jitter / scale) ** 2
        curve, asked = (mjd[own], rows, flux[own] / scale, noise), (query_mjd[at], mixing, alone)
        process = ((amplitude / scale) ** 2, _SQRT3 / timescale, correlation)
        own_answer, own_dual = (mean[at], sd[at], slope[at]), (dual[0][own], dual[1][own])
        n_states = 2 * len(present)
        if n_states <= 4:
            tape = np.empty((len(rows) + len(asked[0]), 17))
            _filter_two_bands(curve, asked[0], process, tape)
            _smooth_two_bands(tape, process, asked, own_answer, own_dual)
        else:
            tape = np.empty((len(rows) + len(asked[0]), 3 + n_states + n_states * n_states))
            _filter_bands(curve, asked[0], process, tape)
            _smooth_bands(tape, process, asked, own_answer, own_dual)
        _widen(own_answer, amplitude, jitter, scale)


@njit(cache=True, nogil=True)
def _widen(answer: Answer, amplitude: float, jitter: float, scale: float) -> None:
    """Units of flux, and the deviation of the flux at a time from the process's variance: see `gaussian_process.posterior`."""
    mean, sd, slope = answer
    for q in range(mean.shape[0]):
        for w in range(mean.shape[1]):
            mean[q, w] *= scale
            slope[q, w] *= scale
            variance = max(sd[q, w] * scale * scale, VARIANCE_FLOOR * amplitude * amplitude)
            sd[q, w] = math.sqrt(variance * (1.0 + (mean[q, w] / amplitude) ** 2) + jitter * jitter)
