"""Compiled loops for the posterior of fitted Gaussian processes of one or two bands; formulas and units stand in `gaussian_process.py`.

A filter over the points and the queries in order of time, then its adjoint backwards (Bryson & Frazier 1963; de Jong 1989): no matrix of n
by n, no inverse. States, covariances and their stationary part as in `gaussian_process_evidence.py`. What does not hang on the step before
is done for all steps or queries at once, in rows that the compiler turns into vector instructions. `gaussian_process_posterior_bands.py`
takes any number of bands. Compiled functions call only functions of their own file, and every object is computed by itself.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

VARIANCE_FLOOR = 1e-14  # of A^2: below it cancellation leaves no digit
_SQRT3 = math.sqrt(3.0)
_FASTMATH = {"reassoc", "contract", "nsz"}  # sums in any order; NaN and infinity keep their meaning

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Block = tuple[float, float, float, float]  # 2 x 2
Curve = tuple[Floats, Rows, Floats, Floats]  # time [d], row of its band, flux, noise variance with jitter: (n,)
Process = tuple[float, float, float]  # A^2, A^2 R between the bands, sqrt(3) / l [1 / d]
Steps = tuple[Rows, Floats, Floats]  # point or query, x, e^-x: (n + Q,), see `_merge`
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


@njit(cache=True, nogil=True, fastmath=_FASTMATH, inline="always")
def _decay(x: float) -> float:
    """e^-x for x >= 0, at most e^-60: a polynomial of r = -x / 128 to the power 128. Relative error 1e-14 for x < 1, 1e-12 at 60.

    Exactly 1 at x = 0, or points of one time would not be. As in `gaussian_process_evidence.py`, a polynomial runs in vectors.
    """
    r = (x if x < 60.0 else 60.0) * -0.0078125
    p = 2.2597378119826317e-06
    p = p * r + 2.4412696348008467e-05
    p = p * r + 0.00019825096728709468
    p = p * r + 0.0013888513406783431
    p = p * r + 0.008333328579890775
    p = p * r + 0.04166666637033742
    p = p * r + 0.16666666665961286
    p = p * r + 0.49999999999997236
    p = (p * r + 1.0) * r + 1.0
    p = p * p
    p = p * p
    p = p * p
    p = p * p
    p = p * p
    p = p * p
    return p * p


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _merge(time: Floats, query: Floats, rate: float, order: Rows, x: Floats, decay: Floats) -> None:
    """Points and queries in order of time, points first: order is i of a point, -1 - q of a query; x and e^-x of the time before it."""
    i, q, at = 0, 0, time[0]
    for step in range(len(order)):
        if q == len(query) or (i < len(time) and time[i] <= query[q]):
            now, order[step] = time[i], i
            i += 1
        else:
            now, order[step] = query[q], -1 - q
            q += 1
        x[step] = rate * (now - at) if step > 0 else 0.0
        at = now
    for step in range(len(order)):
        decay[step] = _decay(x[step])


@njit(cache=True, nogil=True, fastmath=_FASTMATH, error_model="numpy")
def _filter_two_bands(curve: Curve, process: Process, steps: Steps, tape: Floats, held: Floats) -> None:
    """Forward pass. Leaves precision, residual and gain of each point in tape (n, 6); of each query, in held (28, Q), the state (f, z) of
    both bands in rows 0 to 3 and D in 4 to 13: (ff, fz, zz) of band 0, of band 1, (ff, fz, zf, zz) between them.
    """
    (_, rows, flux, noise), (variance, shared, _), (order, times, decays) = curve, process, steps
    f0 = z0 = f1 = z1 = a00 = a01 = a11 = c00 = c01 = c11 = b00 = b01 = b10 = b11 = 0.0
    for step in range(len(order)):
        i, x, decay = order[step], times[step], decays[step]
        square = decay * decay
        f0, z0, f1, z1 = decay * (f0 + x * z0), decay * z0, decay * (f1 + x * z1), decay * z1
        a00, a01, _, a11 = _forward((a00, a01, a01, a11), x, square)
        c00, c01, _, c11 = _forward((c00, c01, c01, c11), x, square)
        b00, b01, b10, b11 = _forward((b00, b01, b10, b11), x, square)
        if i < 0:
            q = -1 - i
            held[0, q], held[1, q], held[2, q], held[3, q], held[4, q], held[5, q], held[6, q] = f0, z0, f1, z1, a00, a01, a11
            held[7, q], held[8, q], held[9, q], held[10, q], held[11, q], held[12, q], held[13, q] = c00, c01, c11, b00, b01, b10, b11
            continue
        if rows[i] == 0:
            h0, h1, h2, h3, latent, expected = a00 + variance, a01 + variance, b00 + shared, b01 + shared, a00 + variance, f0
        else:
            h0, h1, h2, h3, latent, expected = b00 + shared, b10 + shared, c00 + variance, c01 + variance, c00 + variance, f1
        precision, residual = 1.0 / (max(latent, 0.0) + noise[i]), flux[i] - expected
        g0, g1, g2, g3 = precision * h0, precision * h1, precision * h2, precision * h3
        tape[i, 0], tape[i, 1], tape[i, 2], tape[i, 3], tape[i, 4], tape[i, 5] = precision, residual, g0, g1, g2, g3
        f0, z0, f1, z1 = f0 + g0 * residual, z0 + g1 * residual, f1 + g2 * residual, z1 + g3 * residual
        a00, a01, a11, c00, c01, c11 = a00 - g0 * h0, a01 - g0 * h1, a11 - g1 * h1, c00 - g2 * h2, c01 - g2 * h3, c11 - g3 * h3
        b00, b01, b10, b11 = b00 - g0 * h2, b01 - g0 * h3, b10 - g1 * h2, b11 - g1 * h3


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _smooth_two_bands(rows: Rows, steps: Steps, tape: Floats, held: Floats, dual: Dual) -> None:
    """Backward pass: adjoint state l (4,) and information m (4, 4), both zero after the last point; in rows 14 to 27 of held for queries."""
    (order, times, decays), (weights, precisions) = steps, dual
    l0 = l1 = l2 = l3 = m00 = m01 = m02 = m03 = m11 = m12 = m13 = m22 = m23 = m33 = 0.0
    for step in range(len(order) - 1, -1, -1):
        i, x, decay = order[step], times[step], decays[step]
        if i < 0:
            q = -1 - i
            held[14, q], held[15, q], held[16, q], held[17, q], held[18, q], held[19, q], held[20, q] = l0, l1, l2, l3, m00, m01, m02
            held[21, q], held[22, q], held[23, q], held[24, q], held[25, q], held[26, q], held[27, q] = m03, m11, m12, m13, m22, m23, m33
        else:
            precision, residual, g0, g1, g2, g3 = tape[i, 0], tape[i, 1], tape[i, 2], tape[i, 3], tape[i, 4], tape[i, 5]
            weight = precision * residual + g0 * l0 + g1 * l1 + g2 * l2 + g3 * l3
            w0, w1 = m00 * g0 + m01 * g1 + m02 * g2 + m03 * g3, m01 * g0 + m11 * g1 + m12 * g2 + m13 * g3
            w2, w3 = m02 * g0 + m12 * g1 + m22 * g2 + m23 * g3, m03 * g0 + m13 * g1 + m23 * g2 + m33 * g3
            total = precision + g0 * w0 + g1 * w1 + g2 * w2 + g3 * w3
            weights[i], precisions[i] = weight, total
            if rows[i] == 0:
                l0 -= weight
                m00, m01, m02, m03 = m00 + total - 2.0 * w0, m01 - w1, m02 - w2, m03 - w3
            else:
                l2 -= weight
                m02, m12, m22, m23 = m02 - w0, m12 - w1, m22 + total - 2.0 * w2, m23 - w3
        square = decay * decay
        l0, l1, l2, l3 = decay * l0, decay * (l1 + x * l0), decay * l2, decay * (l3 + x * l2)
        m00, m01, _, m11 = _backward((m00, m01, m01, m11), x, square)
        m22, m23, _, m33 = _backward((m22, m23, m23, m33), x, square)
        m02, m03, m12, m13 = _backward((m02, m03, m12, m13), x, square)


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _answer_two_bands(held: Floats, process: Process, jitter: float, mix: tuple[float, float, float], out: Floats) -> None:
    """Posterior of u f_0 + v f_1 + e at every query, from f - P l and P - P m P: mean, deviation, slope in out (3, Q)."""
    (variance, shared, rate), (u, v, alone) = process, mix
    least, shape, more = VARIANCE_FLOOR * variance, 1.0 / variance, jitter * jitter
    for q in range(held.shape[1]):
        l0, l1, l2, l3 = held[14, q], held[15, q], held[16, q], held[17, q]
        a00, a01, a11 = held[4, q] + variance, held[5, q] + variance, held[6, q] + 2.0 * variance
        c00, c01, c11 = held[7, q] + variance, held[8, q] + variance, held[9, q] + 2.0 * variance
        b00, b01, b10, b11 = held[10, q] + shared, held[11, q] + shared, held[12, q] + shared, held[13, q] + 2.0 * shared
        p0, p1, p2, p3 = u * a00 + v * b00, u * a01 + v * b10, u * b00 + v * c00, u * b01 + v * c01
        s0, s1, s2, s3 = u * a01 + v * b01, u * a11 + v * b11, u * b10 + v * c01, u * b11 + v * c11
        mean = u * held[0, q] + v * held[2, q] - (p0 * l0 + p1 * l1 + p2 * l2 + p3 * l3)
        steep = u * held[1, q] + v * held[3, q] - (s0 * l0 + s1 * l1 + s2 * l2 + s3 * l3)
        known = p0 * (held[18, q] * p0 + 2.0 * (held[19, q] * p1 + held[20, q] * p2 + held[21, q] * p3))
        known += p1 * (held[22, q] * p1 + 2.0 * (held[23, q] * p2 + held[24, q] * p3))
        known += p2 * (held[25, q] * p2 + 2.0 * held[26, q] * p3) + p3 * held[27, q] * p3
        left = u * p0 + v * p2 + variance * alone - known
        left = left if left > least else least
        out[0, q] = mean
        out[1, q] = math.sqrt(left * (1.0 + shape * mean * mean) + more)
        out[2, q] = rate * (steep - mean)


@njit(cache=True, nogil=True)
def _most_steps(offsets: Rows, query_offsets: Rows) -> int:
    """Points and queries of the object that has most."""
    most = 0
    for k in range(len(offsets) - 1):
        most = max(most, offsets[k + 1] - offsets[k] + query_offsets[k + 1] - query_offsets[k])
    return most


@njit(cache=True, nogil=True)
def solve_two_bands(
    points: tuple[Rows, Floats, Rows, Floats, Floats],
    bands: tuple[Rows, Floats, Floats, Floats],
    parameters: Floats,
    queries: tuple[Rows, Floats],
    answer: tuple[Floats, Floats, Floats],
    dual: Dual,
) -> None:
    """Posterior of the objects that have one or two bands: mean, deviation, slope (Q, W) [nJy], and the duals of their points (N,).

    points : offsets, mjd, row of the point's band, flux, noise variance with jitter; in units of the flux scale, as are the duals
    bands : how many (B,), correlation (B, 6, 6), mixing (B, W, 6), variance alone (B, W), see `gaussian_process_mixing.py`
    parameters : (B, 4) A, jitter and l [d] in the same units, flux scale [nJy]; objects with NaN there are left out
    queries : offsets (B + 1,), mjd (Q,) ascending within an object
    """
    offsets, mjd, rows, flux, noise = points
    n_bands, correlation, mixing, alone = bands
    query_offsets, query_mjd = queries
    mean, sd, slope = answer
    most, held, out = _most_steps(offsets, query_offsets), np.empty((28, 0)), np.empty((3, 0))
    room, tapes = (np.empty(most, np.int64), np.empty(most), np.empty(most)), np.empty((most, 6))
    for k in range(len(parameters)):
        amplitude, jitter, timescale, scale = parameters[k]
        if math.isnan(amplitude) or n_bands[k] > 2:
            continue
        own, at = slice(offsets[k], offsets[k + 1]), slice(query_offsets[k], query_offsets[k + 1])
        n, n_queries = offsets[k + 1] - offsets[k], query_offsets[k + 1] - query_offsets[k]
        shared = correlation[k, 0, 1] if n_bands[k] == 2 else 0.0
        process = amplitude * amplitude, amplitude * amplitude * shared, _SQRT3 / timescale
        steps, tape = (room[0][: n + n_queries], room[1][: n + n_queries], room[2][: n + n_queries]), tapes[:n]
        if held.shape[1] != n_queries:  # mostly all ask as often
            held, out = np.empty((28, n_queries)), np.empty((3, n_queries))
        _merge(mjd[own], query_mjd[at], process[2], *steps)
        _filter_two_bands((mjd[own], rows[own], flux[own], noise[own]), process, steps, tape, held)
        _smooth_two_bands(rows[own], steps, tape, held, (dual[0][own], dual[1][own]))
        for w in range(alone.shape[1]):
            other = mixing[k, w, 1] if n_bands[k] == 2 else 0.0
            _answer_two_bands(held, process, jitter, (mixing[k, w, 0], other, alone[k, w]), out)
            for q in range(n_queries):
                mean[at.start + q, w] = scale * out[0, q]
                sd[at.start + q, w] = scale * out[1, q]
                slope[at.start + q, w] = scale * out[2, q]
