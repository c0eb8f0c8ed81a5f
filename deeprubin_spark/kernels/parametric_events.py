"""Compiled fits of one event: a shape times an amplitude in each band, on a constant. The formulas stand in `parametric.py`.

    F_b(t) = B_b + A_b phi(t; p),     0 <= A_b <= A_max,b

A_b and B_b are solved for exactly, band by band, so that a problem has only the parameters p of its shape: a time and two logarithms.
Per segment, with w = 1 / sigma^2 and everything counted from its weighted mean,

    A = <y phi> / <phi phi>,   chi2 = <y y> - 2 A <y phi> + A^2 <phi phi>,   D_j = A (phi_j - phi <phi phi_j> / <phi phi>)

with phi_j = d phi / d p_j; D is Kaufman's (1975) Jacobian. An amplitude on a bound is a constant: then the term with <phi phi_j> falls away.
Compiled functions call only functions of their own file: numba's cache notices only a change of that file.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deeprubin_spark.kernels.light_curves import FloatArray

IntArray = NDArray[np.int64]
Points = tuple[FloatArray, FloatArray, FloatArray]  # time, flux, weight (N,) of `Segments`
Problems = tuple[IntArray, IntArray, FloatArray, FloatArray, FloatArray]  # start, count, mean, constant chi2, A_max; (T, S) each
Arrays = tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]  # parameters, chi2, gradient, normal, linear of a `Trial`

BAZIN, MICROLENSING, FLARE, DIP = range(4)
N_PARAMETERS = 3
_FASTMATH = {"reassoc", "contract", "nsz", "arcp"}  # sums in any order; NaN and infinity keep their meaning
_LARGEST_EXPONENT = 80.0
_FLAT = 1e-10  # a shape whose variance over the points is below this share of its mean square cannot be told from a constant
_DECAY_1, _DECAY_2 = 0.6890 / 0.9920, 0.3030 / 0.9920  # so that decay and rise meet at the peak
N_SUMS = 19


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _exp(x: float) -> float:
    """e^x within |x| < 80, beyond it that of the limit; no branch, no call, so that loops of it become vector instructions.

    Taylor's polynomial at x / 256, squared eight times: relative error below 1e-11 where |x| < 30, below 3e-8 elsewhere.
    """
    y = min(max(x, -_LARGEST_EXPONENT), _LARGEST_EXPONENT) / 256.0
    e = 1.0 + y * (1.0 + y * (1 / 2 + y * (1 / 6 + y * (1 / 24 + y * (1 / 120 + y * (1 / 720 + y * (1 / 5040 + y / 40320)))))))
    e *= e
    e *= e
    e *= e
    e *= e
    e *= e
    e *= e
    e *= e
    return e * e


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _bazin(time: FloatArray, weight: FloatArray, p: FloatArray, rows: FloatArray) -> None:
    """1 / (e^(-x / rise) + e^(x / fall)), x = t - t0, p = (t0, ln rise, ln fall): Bazin's shape, where 1 / rise is the
    difference of his 1 / tau_rise and 1 / tau_fall.
    """
    rise, fall = math.exp(-p[1]), math.exp(-p[2])
    for i in range(len(time)):
        x = time[i] - p[0]
        u, v = _exp(-x * rise), _exp(x * fall)
        shape = 1.0 / (u + v)
        pull = shape * shape * weight[i]
        rows[0, i] = shape * weight[i]
        rows[1, i] = pull * (v * fall - u * rise)
        rows[2, i] = -pull * u * x * rise
        rows[3, i] = pull * v * x * fall


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _microlensing(time: FloatArray, weight: FloatArray, p: FloatArray, rows: FloatArray) -> None:
    """(M(u) - 1) / (M(u0) - 1), u^2 = u0^2 + x^2 / tE^2, p = (t0, ln tE, ln u0); dM / d(u^2) = -4 (u^4 + 4 u^2)^(-3/2)."""
    rate, closest = math.exp(-p[1]), math.exp(2.0 * p[2])
    root = math.sqrt(closest * (closest + 4.0))
    peak = (closest + 2.0) / root - 1.0
    peak_change = -8.0 * closest / (root * root * root * peak)
    for i in range(len(time)):
        x = (time[i] - p[0]) * rate
        square = closest + x * x
        stretch = 1.0 / math.sqrt(square * (square + 4.0))
        shape = weight[i] * ((square + 2.0) * stretch - 1.0) / peak
        slope = -4.0 * weight[i] * stretch * stretch * stretch / peak
        rows[0, i] = shape
        rows[1, i] = -2.0 * slope * x * rate
        rows[2, i] = -2.0 * slope * x * x
        rows[3, i] = 2.0 * slope * closest - shape * peak_change


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _flare(time: FloatArray, weight: FloatArray, p: FloatArray, rows: FloatArray) -> None:
    """Davenport's rise (a polynomial) and decay (two exponentials), p = (t0, ln width at half the peak, nothing)."""
    rate = math.exp(-p[1])
    for i in range(len(time)):
        x = (time[i] - p[0]) * rate
        before, after = min(max(x, -1.0), 0.0), max(x, 0.0)
        rise = 1.0 + before * (1.941 + before * (-0.175 + before * (-2.246 - 1.125 * before)))
        rise_slope = 1.941 + before * (-0.350 + before * (-6.738 - 4.500 * before))
        fast, slow = _DECAY_1 * _exp(-1.600 * after), _DECAY_2 * _exp(-0.2783 * after)
        shape = rise if x < 0.0 else fast + slow
        slope = rise_slope if x < 0.0 else -1.600 * fast - 0.2783 * slow
        shape = shape if x > -1.0 else 0.0
        slope = slope if x > -1.0 else 0.0
        rows[0, i] = shape * weight[i]
        rows[1, i] = -slope * rate * weight[i]
        rows[2, i] = -slope * x * weight[i]
        rows[3, i] = 0.0


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _dip(time: FloatArray, weight: FloatArray, p: FloatArray, rows: FloatArray) -> None:
    """-clip(1/2 + (W/2 - |x|) / q, 0, 1): p = (t0, ln W, ln q / W), W the width at half the depth, q <= W the ingress."""
    width, ingress = math.exp(p[1]), math.exp(p[1] + p[2])
    for i in range(len(time)):
        x = time[i] - p[0]
        depth = 0.5 + (0.5 * width - abs(x)) / ingress
        on_slope = weight[i] / ingress if 0.0 < depth < 1.0 else 0.0
        rows[0, i] = -weight[i] * min(max(depth, 0.0), 1.0)
        rows[1, i] = -on_slope if x > 0.0 else on_slope
        rows[2, i] = -on_slope * abs(x)
        rows[3, i] = on_slope * (0.5 * width - abs(x))


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _sums(rows: FloatArray, flux: FloatArray, weight: FloatArray, mean: float, sums: FloatArray) -> None:
    """Sums over a segment's points of w, of phi and its derivatives, of their products with y and with each other: (19,)."""
    w0 = w1 = w2 = w3 = w4 = 0.0
    y0 = y1 = y2 = y3 = 0.0
    s00 = s01 = s02 = s03 = s11 = s12 = s13 = s22 = s23 = s33 = 0.0
    for i in range(len(flux)):
        one, a, b, c, d = weight[i], rows[0, i], rows[1, i], rows[2, i], rows[3, i]
        y = (flux[i] - mean) * one
        w0, w1, w2, w3, w4 = w0 + one * one, w1 + one * a, w2 + one * b, w3 + one * c, w4 + one * d
        y0, y1, y2, y3 = y0 + y * a, y1 + y * b, y2 + y * c, y3 + y * d
        s00, s01, s02, s03 = s00 + a * a, s01 + a * b, s02 + a * c, s03 + a * d
        s11, s12, s13 = s11 + b * b, s12 + b * c, s13 + b * d
        s22, s23, s33 = s22 + c * c, s23 + c * d, s33 + d * d
    sums[0], sums[1], sums[2], sums[3], sums[4] = w0, w1, w2, w3, w4
    sums[5], sums[6], sums[7], sums[8] = y0, y1, y2, y3
    sums[9], sums[10], sums[11], sums[12] = s00, s01, s02, s03
    sums[13], sums[14], sums[15], sums[16], sums[17], sums[18] = s11, s12, s13, s22, s23, s33


@njit(cache=True, nogil=True, error_model="numpy")
def _segment(sums: FloatArray, chi2: float, largest: float, gradient: FloatArray, normal: FloatArray) -> tuple[float, float, float]:
    """Amplitude, mean shape and chi2 of a segment from its sums; what it adds to gradient (3,) and normal (3, 3)."""
    mean_shape = sums[1] / sums[0]
    square = sums[9] - sums[1] * mean_shape
    if not square > _FLAT * sums[9]:
        return 0.0, mean_shape, chi2
    free = sums[5] / square
    amplitude = min(max(free, 0.0), largest)
    if amplitude == 0.0:
        return 0.0, mean_shape, chi2
    is_free = amplitude == free
    row = 13
    for j in range(3):
        cross_j = sums[10 + j] - sums[2 + j] * mean_shape
        gradient[j] += amplitude * (sums[6 + j] - amplitude * cross_j)
        for k in range(j, 3):
            product = sums[row] - sums[2 + j] * sums[2 + k] / sums[0]
            if is_free:
                product -= cross_j * (sums[10 + k] - sums[2 + k] * mean_shape) / square
            normal[k, j] += amplitude * amplitude * product
            row += 1
    return amplitude, mean_shape, chi2 - amplitude * (2.0 * sums[5] - amplitude * square)


@njit(cache=True, nogil=True, error_model="numpy")
def evaluate_events(shape: int, points: Points, problems: Problems, todo: IntArray, trial: Arrays) -> None:
    """Chi2, gradient and normal matrix (lower triangle) of each problem at its parameters, and linear (T, 2 S): amplitudes, constants."""
    time, flux, weight = points
    start, count, mean, constant_chi2, largest = problems
    parameters, chi2, gradient, normal, linear = trial
    n_segments = start.shape[1]
    rows, sums = np.empty((4, count.max())), np.empty(N_SUMS)
    for t in todo:
        gradient[t, :], normal[t, :, :], chi2[t] = 0.0, 0.0, 0.0
        for s in range(n_segments):
            a, b = start[t, s], start[t, s] + count[t, s]
            if a == b:
                continue
            if shape == BAZIN:
                _bazin(time[a:b], weight[a:b], parameters[t], rows)
            elif shape == MICROLENSING:
                _microlensing(time[a:b], weight[a:b], parameters[t], rows)
            elif shape == FLARE:
                _flare(time[a:b], weight[a:b], parameters[t], rows)
            else:
                _dip(time[a:b], weight[a:b], parameters[t], rows)
            _sums(rows, flux[a:b], weight[a:b], mean[t, s], sums)
            amplitude, mean_shape, left = _segment(sums, constant_chi2[t, s], largest[t, s], gradient[t], normal[t])
            chi2[t] += left
            linear[t, s], linear[t, n_segments + s] = amplitude, mean[t, s] - amplitude * mean_shape
        chi2[t] = max(chi2[t], 0.0)
