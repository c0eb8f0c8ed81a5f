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
def _spm(time: FloatArray, flux: FloatArray, weight: FloatArray, p: FloatArray, rows: FloatArray, other: FloatArray) -> None:
    """Both shapes, the flux, and the shapes' derivatives by p = (t0, gamma, ln rise, ln fall), times the weight.

    rows (7, n): phi_1, phi_2, y, phi_1j      other (4, n): phi_2j
    phi_1 = q ((1 - s) + e s), phi_2 = q (1 - x / gamma) (1 - s); x = t - t0, z = x - gamma,
    q = 1 / (1 + e^(-x / rise)), s = 1 / (1 + e^(-z / 3 d)), e = e^(-z / fall)
    """
    plateau, rise_rate, fall_rate = p[1], math.exp(-p[2]), math.exp(-p[3])
    per_plateau = 1.0 / plateau
    for i in range(len(time)):
        x = time[i] - p[0]
        z = max(x - plateau, -_LARGEST_EXPONENT * SWITCH_TIME)  # e s is nothing before, but its factors would no longer be exact
        share = 1.0 / (1.0 + _exp(-x * rise_rate))
        late = 1.0 / (1.0 + _exp(-z / SWITCH_TIME))
        decay = _exp(-z * fall_rate)
        on = share * weight[i]
        on_rate, late_rate = on * (1.0 - share) * rise_rate, late * (1.0 - late) / SWITCH_TIME
        shape, slope = 1.0 - late + decay * late, late_rate * (decay - 1.0) - decay * late * fall_rate
        early, level = 1.0 - late, 1.0 - x * per_plateau
        rows[0, i] = on * shape
        rows[1, i] = on * level * early
        rows[2, i] = flux[i] * weight[i]
        rows[3, i] = -(on_rate * shape + on * slope)
        rows[4, i] = -on * slope
        rows[5, i] = -on_rate * x * shape
        rows[6, i] = on * decay * late * z * fall_rate
        other[0, i] = -(on_rate * level * early - on * (early * per_plateau + level * late_rate))
        other[1, i] = on * (x * early * per_plateau * per_plateau + level * late_rate)
        other[2, i] = -on_rate * x * level * early
        other[3, i] = 0.0


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
def _products(rows: FloatArray, first: int, end: int, n: int, gram: FloatArray) -> None:
    """Add to gram[j, k], k <= j, the sum over the first n columns of rows j and k, for the rows j from `first` to `end`."""
    for j in range(first, end):
        for k in range(j + 1):
            total = 0.0
            for i in range(n):
                total += rows[j, i] * rows[k, i]
            gram[j, k] += total


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _mix(rows: FloatArray, other: FloatArray, c1: float, c2: float, n: int) -> None:
    """Rows 3 to 6 become D_j = c_1 phi_1j + c_2 phi_2j; they hold phi_1j, and `other` phi_2j."""
    for j in range(SPM_PARAMETERS):
        for i in range(n):
            rows[3 + j, i] = c1 * rows[3 + j, i] + c2 * other[j, i]


@njit(cache=True, nogil=True, error_model="numpy")
def _project_spm(gram: FloatArray, c1: float, c2: float, is_capped: bool, gradient: FloatArray, normal: FloatArray) -> None:
    """Gradient (4,) and lower normal matrix (4, 4) from the products of phi_1, phi_2, y and D; directions of coefficients on a bound stay in."""
    a11, a12, a22 = gram[0, 0], gram[1, 0], gram[1, 1]
    first = 1.0 / a11 if c1 > 0.0 and not is_capped else 0.0
    rest = a22 - a12 * a12 * first
    second = 1.0 / rest if c2 > 0.0 and not is_capped and rest > _FLAT * a22 else 0.0
    for j in range(SPM_PARAMETERS):
        along_j = gram[3 + j, 1] - a12 * first * gram[3 + j, 0]
        gradient[j] = gram[3 + j, 2] - c1 * gram[3 + j, 0] - c2 * gram[3 + j, 1]
        for k in range(j + 1):
            along_k = gram[3 + k, 1] - a12 * first * gram[3 + k, 0]
            normal[j, k] = gram[3 + j, 3 + k] - gram[3 + j, 0] * gram[3 + k, 0] * first - along_j * along_k * second


@njit(cache=True, nogil=True, error_model="numpy")
def evaluate_spm(points: Points, problems: Problems, todo: IntArray, trial: Arrays) -> None:
    """Chi2, gradient and normal matrix of each problem, one segment (T,) each; linear (T, 2) is c."""
    time, flux, weight = points
    start, count, largest = problems
    parameters, chi2, gradient, normal, linear = trial
    rows, other = np.empty((3 + SPM_PARAMETERS, count.max())), np.empty((SPM_PARAMETERS, count.max()))
    gram = np.empty((3 + SPM_PARAMETERS, 3 + SPM_PARAMETERS))
    for t in todo:
        a, b = start[t], start[t] + count[t]
        gram[:] = 0.0
        _spm(time[a:b], flux[a:b], weight[a:b], parameters[t], rows, other)
        _products(rows, 0, 3, b - a, gram)
        c1, c2 = _mixture(gram[0, 0], gram[1, 0], gram[1, 1], gram[2, 0], gram[2, 1], largest[t])
        explained = c1 * (2.0 * gram[2, 0] - c1 * gram[0, 0]) + c2 * (2.0 * gram[2, 1] - c2 * gram[1, 1]) - 2.0 * c1 * c2 * gram[1, 0]
        to_beat, chi2[t] = chi2[t], max(gram[2, 2] - explained, 0.0)
        if chi2[t] < to_beat:
            linear[t, 0], linear[t, 1] = c1, c2
            _mix(rows, other, c1, c2, b - a)
            _products(rows, 3, 3 + SPM_PARAMETERS, b - a, gram)
            _project_spm(gram, c1, c2, c1 + c2 >= largest[t], gradient[t], normal[t])


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _blackbody(time: FloatArray, flux: FloatArray, weight: FloatArray, wavelength: float, p: FloatArray, rows: FloatArray) -> None:
    """The shape, the flux, and the shape's derivatives by p = (t0, ln rise, ln fall, ln T_min, ln T_max / T_min, ln cooling), times the weight.

    rows (8, n): phi, y, phi_j      phi = b r, b = 1 / (e^(-x / rise) + e^(x / fall)), x = t - t0,
    r = pi B_nu(T) nu_0 / (sigma T^4) = 15 / pi^4 (lambda_0 / lambda)^3 y_0^4 / (e^y - 1), y = h c / (lambda k T), y_0 that of lambda_0,
    T = T_min (1 + (T_max / T_min - 1) g), g = 1 / (1 + e^(x / cooling)), d ln r / d ln T = y e^y / (e^y - 1) - 4
    """
    rise_rate, fall_rate, cooling_rate = math.exp(-p[1]), math.exp(-p[2]), math.exp(-p[5])
    coldest, excess = math.exp(p[3]), math.exp(p[4]) - 1.0
    ratio = REFERENCE_WAVELENGTH / wavelength
    factor = 15.0 / math.pi**4 * ratio * ratio * ratio
    energy_scale, unit_scale = RADIATION_CONSTANT / (wavelength * coldest), RADIATION_CONSTANT / (REFERENCE_WAVELENGTH * coldest)
    for i in range(len(time)):
        x = time[i] - p[0]
        u, v = _exp(-x * rise_rate), _exp(x * fall_rate)
        light = 1.0 / (u + v)
        hot = 1.0 / (1.0 + _exp(x * cooling_rate))
        cold = 1.0 / (1.0 + excess * hot)  # T_min / T
        energy, unit = energy_scale * cold, unit_scale * cold
        boltzmann = _exp(energy)
        photons = 1.0 / (boltzmann - 1.0)
        shape = weight[i] * factor * light * (unit * unit) * (unit * unit) * photons
        by_temperature = shape * (energy * boltzmann * photons - 4.0)
        by_hot = by_temperature * excess * cold * hot * (1.0 - hot)
        by_light = shape * light
        rows[0, i] = shape
        rows[1, i] = flux[i] * weight[i]
        rows[2, i] = by_light * (v * fall_rate - u * rise_rate) + by_hot * cooling_rate
        rows[3, i] = -by_light * u * x * rise_rate
        rows[4, i] = by_light * v * x * fall_rate
        rows[5, i] = by_temperature
        rows[6, i] = by_temperature * (excess + 1.0) * hot * cold
        rows[7, i] = by_hot * x * cooling_rate


@njit(cache=True, nogil=True, error_model="numpy")
def evaluate_blackbody(points: Points, problems: Problems, wavelength: FloatArray, todo: IntArray, trial: Arrays) -> None:
    """Chi2, gradient and normal matrix of each problem, its segments (T, S) in bands of `wavelength` (S,) [Angstrom]; linear (T, 1) is c."""
    time, flux, weight = points
    start, count, largest = problems
    parameters, chi2, gradient, normal, linear = trial
    n_rows = 2 + BLACKBODY_PARAMETERS
    rows, gram = np.empty((n_rows, count.max())), np.empty((n_rows, n_rows))
    for t in todo:
        gram[:] = 0.0
        for s in range(start.shape[1]):
            a, b = start[t, s], start[t, s] + count[t, s]
            _blackbody(time[a:b], flux[a:b], weight[a:b], wavelength[s], parameters[t], rows)
            _products(rows, 0, n_rows, b - a, gram)
        free = gram[1, 0] / gram[0, 0] if gram[0, 0] > 0.0 else 0.0
        c = min(max(free, 0.0), largest[t])
        taken_out = 1.0 / gram[0, 0] if c == free and c > 0.0 else 0.0
        for j in range(BLACKBODY_PARAMETERS):
            gradient[t, j] = c * (gram[2 + j, 1] - c * gram[2 + j, 0])
            for k in range(j + 1):
                normal[t, j, k] = c * c * (gram[2 + j, 2 + k] - gram[2 + j, 0] * gram[2 + k, 0] * taken_out)
        linear[t, 0], chi2[t] = c, max(gram[1, 1] - c * (2.0 * gram[1, 0] - c * gram[0, 0]), 0.0)
