"""Compiled fits of supernova models: the SPM of one band, and one cooling blackbody for all bands. The formulas stand in `parametric.py`.

    SPM        F(t) = c_1 phi_1(t; p) + c_2 phi_2(t; p),     c >= 0, c_1 + c_2 <= A_max         blackbody     F_b(t) = c phi_b(t; p),    c >= 0

The coefficients c are solved for exactly; N and g are those of D_j = sum of c phi_j with the directions of the phi taken out (Kaufman 1975).
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
Problems = tuple[IntArray, IntArray, FloatArray]  # start, count (T,) or (T, S), A_max (T,)
Arrays = tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]  # parameters, chi2, gradient, normal, linear of a `Trial`

SPM_PARAMETERS = 4
BLACKBODY_PARAMETERS = 6
SWITCH_TIME = 3.0  # [d] over which the plateau turns into the decay: the factor 1/3 of Sanchez-Saez 2021
RADIATION_CONSTANT = 1.438777e8  # h c / k [Angstrom K]
REFERENCE_WAVELENGTH = 6000.0  # [Angstrom] whose frequency turns a bolometric flux into the unit of a flux density
_FASTMATH = {"reassoc", "contract", "nsz", "arcp"}  # sums in any order; NaN and infinity keep their meaning
_LARGEST_EXPONENT = 80.0
_FLAT = 1e-12  # a determinant below this share of its largest value: the two shapes are one


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _exp(x: float) -> float:
    """e^x for |x| < 80, relative error 1e-12, without a branch or a call: loops of it become vector instructions."""
    y = min(max(x, -_LARGEST_EXPONENT), _LARGEST_EXPONENT) / 1024.0
    e = 1.0 + y * (1.0 + y * (1 / 2 + y * (1 / 6 + y * (1 / 24 + y * (1 / 120 + y * (1 / 720 + y * (1 / 5040 + y / 40320)))))))
    e *= e
    e *= e
    e *= e
    e *= e
    e *= e
    e *= e
    e *= e
    e *= e
    e *= e
    return e * e


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _spm(time: FloatArray, weight: FloatArray, p: FloatArray, first: FloatArray, second: FloatArray) -> None:
    """The two shapes, each with its derivatives by p = (t0, ln gamma, ln rise, ln fall): first, second (5, n), times the weight.

    phi_1 = q ((1 - s) + e s), phi_2 = q (1 - x / gamma) (1 - s); x = t - t0, z = x - gamma,
    q = 1 / (1 + e^(-x / rise)), s = 1 / (1 + e^(-z / 3 d)), e = e^(-z / fall)
    """
    plateau, rise, fall = math.exp(p[1]), math.exp(-p[2]), math.exp(-p[3])
    for i in range(len(time)):
        x = time[i] - p[0]
        z = x - plateau
        share = 1.0 / (1.0 + _exp(-x * rise))
        on = share * weight[i]
        late = 1.0 / (1.0 + _exp(-z / SWITCH_TIME))
        decay = _exp(-z * fall)
        on_rate, late_rate = on * (1.0 - share) * rise, late * (1.0 - late) / SWITCH_TIME
        shape, slope = 1.0 - late + decay * late, late_rate * (decay - 1.0) - decay * late * fall
        first[0, i] = on * shape
        first[1, i] = -(on_rate * shape + on * slope)
        first[2, i] = -on * slope * plateau
        first[3, i] = -on_rate * x * shape
        first[4, i] = on * decay * late * z * fall
        early, level = 1.0 - late, 1.0 - x / plateau
        second[0, i] = on * level * early
        second[1, i] = -(on_rate * level * early - on * (early / plateau + level * late_rate))
        second[2, i] = on * (x / plateau * early + level * late_rate * plateau)
        second[3, i] = -on_rate * x * level * early
        second[4, i] = 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _mixture(a11: float, a12: float, a22: float, b1: float, b2: float, largest: float) -> tuple[float, float]:
    """Least squares c of two shapes with c_1, c_2 >= 0 and c_1 + c_2 <= largest: normal matrix a, right side b."""
    c1 = max(b1 / a11, 0.0) if a11 > 0.0 else 0.0
    c2 = max(b2 / a22, 0.0) if a22 > 0.0 else 0.0
    determinant = a11 * a22 - a12 * a12
    if b1 * a22 > b2 * a12 and b2 * a11 > b1 * a12 and determinant > _FLAT * a11 * a22:
        c1, c2 = (b1 * a22 - b2 * a12) / determinant, (b2 * a11 - b1 * a12) / determinant
    elif c1 * b1 >= c2 * b2:
        c2 = 0.0
    else:
        c1 = 0.0
    if c1 + c2 > largest:  # then on that line: c_1 = largest - c_2
        bend = a11 - 2.0 * a12 + a22
        c2 = (b2 - b1 + largest * (a11 - a12)) / bend if bend > 0.0 else 0.0
        c2 = min(max(c2, 0.0), largest)
        c1 = largest - c2
    return c1, c2


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _dot(a: FloatArray, b: FloatArray, n: int) -> float:
    """Sum of the products of the first n."""
    total = 0.0
    for i in range(n):
        total += a[i] * b[i]
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _add(a: FloatArray, factor: float, b: FloatArray, n: int) -> None:
    """a <- a + factor b, of the first n."""
    for i in range(n):
        a[i] += factor * b[i]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _normal_equations(rows: FloatArray, residual: FloatArray, n: int, direction: int, gradient: FloatArray, normal: FloatArray) -> None:
    """Gradient (P,) and lower normal matrix (P, P) of the rows 1 to P of `rows`, less what lies along row `direction` if that is not -1."""
    n_parameters = len(gradient)
    square = _dot(rows[direction], rows[direction], n) if direction >= 0 else 0.0
    if square > 0.0:
        for j in range(1, n_parameters + 1):
            _add(rows[j], -_dot(rows[j], rows[direction], n) / square, rows[direction], n)
    for j in range(n_parameters):
        gradient[j] = _dot(rows[1 + j], residual, n)
        for k in range(j + 1):
            normal[j, k] = _dot(rows[1 + j], rows[1 + k], n)


@njit(cache=True, nogil=True, error_model="numpy")
def evaluate_spm(points: Points, problems: Problems, todo: IntArray, trial: Arrays) -> None:
    """Chi2, gradient and normal matrix of each problem, one segment (T,) each; linear (T, 2) is c."""
    time, flux, weight = points
    start, count, largest = problems
    parameters, chi2, gradient, normal, linear = trial
    width = count.max()
    first, second, residual = np.empty((5, width)), np.empty((5, width)), np.empty(width)
    for t in todo:
        a, n = start[t], count[t]
        _spm(time[a : a + n], weight[a : a + n], parameters[t], first, second)
        for i in range(n):
            residual[i] = flux[a + i] * weight[a + i]
        a11, a12, a22 = _dot(first[0], first[0], n), _dot(first[0], second[0], n), _dot(second[0], second[0], n)
        c1, c2 = _mixture(a11, a12, a22, _dot(residual, first[0], n), _dot(residual, second[0], n), largest[t])
        linear[t, 0], linear[t, 1] = c1, c2
        _add(residual, -c1, first[0], n)
        _add(residual, -c2, second[0], n)
        for j in range(1, 5):
            for i in range(n):
                first[j, i] = c1 * first[j, i] + c2 * second[j, i]
        is_free = c1 + c2 < largest[t]
        if is_free and c1 > 0.0 and c2 > 0.0 and a11 > 0.0:
            _add(second[0], -a12 / a11, first[0], n)
            square = _dot(second[0], second[0], n)
            if square > _FLAT * a22:
                for j in range(1, 5):
                    _add(first[j], -_dot(first[j], second[0], n) / square, second[0], n)
        elif c2 > 0.0:
            first[0, :n] = second[0, :n]
        _normal_equations(first, residual, n, 0 if is_free else -1, gradient[t], normal[t])
        chi2[t] = _dot(residual, residual, n)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _blackbody(time: FloatArray, weight: FloatArray, wavelength: float, p: FloatArray, offset: int, rows: FloatArray) -> None:
    """The shape and its derivatives by p = (t0, ln rise, ln fall, ln T_min, ln T_max / T_min, ln cooling time) times the weight, from column `offset` of rows (7, n) on.

    phi = b(t) r(T), b = 1 / (e^(-x / rise) + e^(x / fall)), x = t - t0, T = T_min + (T_max - T_min) g, g = 1 / (1 + e^(x / cooling));
    r = pi B_nu(T) nu_0 / (sigma T^4) = (15 / pi^4) y_0^-1 ... see `parametric.py`, d ln r / d ln T = y e^y / (e^y - 1) - 4, y = h nu / (k T)
    """
    rise, fall, cooling = math.exp(-p[1]), math.exp(-p[2]), math.exp(-p[5])
    coldest, excess = math.exp(p[3]), math.exp(p[4]) - 1.0
    ratio = REFERENCE_WAVELENGTH / wavelength
    factor = 15.0 / math.pi**4 * ratio * ratio * ratio
    for i in range(len(time)):
        x = time[i] - p[0]
        u, v = _exp(-x * rise), _exp(x * fall)
        hot = 1.0 / (1.0 + _exp(x * cooling))
        warmth = 1.0 + excess * hot
        inverse = 1.0 / (coldest * warmth)
        y = RADIATION_CONSTANT / wavelength * inverse
        unit = RADIATION_CONSTANT / REFERENCE_WAVELENGTH * inverse
        photon = _exp(y)
        light = weight[i] / (u + v)
        flux = light * factor * (unit * unit) * (unit * unit) / (photon - 1.0)
        by_temperature = flux * (y * photon / (photon - 1.0) - 4.0)
        by_hot = by_temperature * excess / warmth * hot * (1.0 - hot)
        column = offset + i
        brightening = flux / (u + v)
        rows[0, column] = flux
        rows[1, column] = brightening * (v * fall - u * rise) + by_hot * cooling
        rows[2, column] = -brightening * u * x * rise
        rows[3, column] = brightening * v * x * fall
        rows[4, column] = by_temperature
        rows[5, column] = by_temperature * (excess + 1.0) * hot / warmth
        rows[6, column] = by_hot * x * cooling


@njit(cache=True, nogil=True, error_model="numpy")
def evaluate_blackbody(points: Points, problems: Problems, wavelength: FloatArray, todo: IntArray, trial: Arrays) -> None:
    """Chi2, gradient and normal matrix of each problem, its segments (T, S) in bands of `wavelength` (S,) [Angstrom]; linear (T, 1) is c."""
    time, flux, weight = points
    start, count, largest = problems
    parameters, chi2, gradient, normal, linear = trial
    width = count.sum(axis=1).max()
    rows, residual = np.empty((1 + BLACKBODY_PARAMETERS, width)), np.empty(width)
    for t in todo:
        n = 0
        for s in range(start.shape[1]):
            a, b = start[t, s], start[t, s] + count[t, s]
            _blackbody(time[a:b], weight[a:b], wavelength[s], parameters[t], n, rows)
            for i in range(b - a):
                residual[n + i] = flux[a + i] * weight[a + i]
            n += b - a
        square = _dot(rows[0], rows[0], n)
        free = _dot(residual, rows[0], n) / square if square > 0.0 else 0.0
        c = min(max(free, 0.0), largest[t])
        linear[t, 0] = c
        _add(residual, -c, rows[0], n)
        for j in range(1, 1 + BLACKBODY_PARAMETERS):
            for i in range(n):
                rows[j, i] *= c
        _normal_equations(rows, residual, n, 0 if c == free else -1, gradient[t], normal[t])
        chi2[t] = _dot(residual, residual, n)
