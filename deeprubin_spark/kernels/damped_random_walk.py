"""A damped random walk for each band: its deviation and timescale, and the autoregression of a process of the sample's own deviation.

    cov(F(t), F(t')) = sigma^2 e^(-|t - t'| / tau),    noise diag(e_i^2),    about the mean flux       (Kelly, Bechtold & Siemiginowska 2009)

The likelihood is a Kalman filter in O(n), as in celerite (Foreman-Mackey et al. 2017) with one real term. The most probable (sigma, tau),
both with flat priors in their logarithms, are sought on a grid that is made finer around its best node `N_ZOOMS` times; a parabola through
the last one's best node and its neighbours gives the result. With sigma held at the sample's deviation s the same search gives
phi = e^(-1 d / tau), the coefficient of an irregular autoregressive process (Eyheramendy, Elorrieta & Palma 2018, eq. 2, with errors).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves

WALK_STATISTICS: tuple[str, ...] = ("drw_sigma", "drw_tau", "iar_phi")
MIN_POINTS = 5
TAU_MIN, TAU_MAX = 0.5, 2000.0  # [d]
SIGMA_MIN, SIGMA_MAX = 0.1, 6.0  # in units of the sample's deviation
N_ZOOMS = 2

_N = len(WALK_STATISTICS)
_FLAT = 1e-14  # variance below this share of the mean square flux is rounding: the band is constant
_LOG_RANGE = 250.0  # of the product of variances, in decades: a logarithm is taken before it could leave double precision
_TAU_LOW, _TAU_HIGH = math.log(TAU_MIN), math.log(TAU_MAX)
_SIGMA_LOW, _SIGMA_HIGH = math.log(SIGMA_MIN), math.log(SIGMA_MAX)
# A grid over the whole range, whose third row is the sample's deviation, and two finer ones: nodes, and steps in ln tau and ln sigma.
_N_TAU, _N_SIGMA = (8, 4, 4), 4
_TAU_STEP, _SIGMA_STEP = ((_TAU_HIGH - _TAU_LOW) / 7.0, 0.6, 0.2), (0.9, 0.5, 0.17)
_ROW_OF_SAMPLE = 2
_LINE_STEP = 2.0 * _TAU_STEP[0] / 7.0  # in ln tau, of the 8 nodes about the best one of the third row
_ROW = 8  # lanes of a row of sigma, for up to 8 of tau
_LANES = _ROW * _N_SIGMA
# e^r on [-1, 0]: the polynomial through 11 Chebyshev nodes, within 1e-13; e^-x is its 64th power at -x / 64
_C = tuple(np.polynomial.chebyshev.Chebyshev.interpolate(np.exp, 10, domain=[-1, 0]).convert(kind=np.polynomial.Polynomial).coef.tolist())
_C0, _C1, _C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10 = _C
_FASTMATH = {"reassoc", "contract"}
_ROOT_HALF = 0x3FE6A09E667F3BCD  # bits of sqrt(1/2)
_LOG_2 = math.log(2.0)
# 2 artanh(u) / u as a polynomial of u^2, up to u = (sqrt 2 - 1) / (sqrt 2 + 1)
_U2 = (math.sqrt(2.0) - 1.0) ** 4
_A = np.polynomial.chebyshev.Chebyshev.interpolate(lambda z: 2.0 * np.arctanh(np.sqrt(z)) / np.sqrt(z), 7, domain=[0.0, _U2])
_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7 = _A.convert(kind=np.polynomial.Polynomial).coef.tolist()

Rows = NDArray[np.int64]
Bands = NDArray[np.int8]


def fill_walk_statistics(curves: LightCurves, bands: Bands, out: FloatArray, column: int) -> None:
    """`walk_statistics` into out (B, F) from `column` on; what cannot be computed is left as it is."""
    _walk_objects(curves.offsets, curves.mjd, curves.band, curves.flux, curves.flux_err, bands, out, column)


def walk_statistics(curves: LightCurves, bands: Bands) -> FloatArray:
    """Deviation [nJy], timescale [d] and phi [1] of the points of each band, in the order of `WALK_STATISTICS`, band after band.

    bands : (W,) int8, indices into `BANDS`. Returns (B, 3 W); NaN where there are less than 5 points, all at one time, or a constant flux.
    """
    out = np.full((curves.n_objects, len(bands) * _N), np.nan)
    fill_walk_statistics(curves, bands, out, 0)
    return out


def plain_log_likelihood(mjd: FloatArray, flux: FloatArray, flux_err: FloatArray, sigma: float, tau: float) -> float:
    """Log likelihood of one band's points (n,) by the dense covariance, about their mean; what the search climbs, but for a constant."""
    residual = flux - flux.mean()
    covariance = sigma**2 * np.exp(-np.abs(mjd[:, None] - mjd) / tau) + np.diag(flux_err**2)
    _, log_determinant = np.linalg.slogdet(covariance)
    return float(-0.5 * (residual @ np.linalg.solve(covariance, residual) + log_determinant + len(flux) * np.log(2.0 * np.pi)))


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _decay(x: float) -> float:
    """e^-x for x >= 0 by products and sums alone, so that it runs in vector units; e^-60 from there on."""
    r = -min(x, 60.0) * 0.015625
    p = _C10 * r + _C9
    p = p * r + _C8
    p = p * r + _C7
    p = p * r + _C6
    p = p * r + _C5
    p = p * r + _C4
    p = p * r + _C3
    p = p * r + _C2
    p = p * r + _C1
    p = p * r + _C0
    p = p * p
    p = p * p
    p = p * p
    p = p * p
    p = p * p
    return float(p * p)


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _correct(lanes: FloatArray, k: int, mean: float, before: float, weight: float, value: float, error: float) -> None:
    """One point into lane k, whose state is predicted as mean +- sqrt(before); weight is 1 / (before + error)."""
    gain, residual = before * weight, value - mean
    lanes[k] += residual * residual * weight
    lanes[k + _LANES] = mean + gain * residual
    lanes[k + 2 * _LANES] = gain * error


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _update(lanes: FloatArray, k: int, decay: float, first: float, second: float, value: float, error: float) -> None:
    """One point into lanes k and k + _ROW, of variances `first` and `second`: one division for both."""
    m = k + _ROW
    one = first + decay * decay * (lanes[k + 2 * _LANES] - first)
    two = second + decay * decay * (lanes[m + 2 * _LANES] - second)
    inverse = 1.0 / ((one + error) * (two + error))
    lanes[k + 3 * _LANES] *= one + error
    lanes[m + 3 * _LANES] *= two + error
    _correct(lanes, k, decay * lanes[k + _LANES], one, inverse * (two + error), value, error)
    _correct(lanes, m, decay * lanes[m + _LANES], two, inverse * (one + error), value, error)


@njit(cache=True, nogil=True)
def _start(lanes: FloatArray, row: int, n_tau: int, variance: float) -> None:
    """Lanes of a row before the first point."""
    for k in range(row * _ROW, row * _ROW + n_tau):
        lanes[k], lanes[k + _LANES], lanes[k + 2 * _LANES], lanes[k + 3 * _LANES] = 0.0, 0.0, variance, 1.0


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _take_logarithm(lanes: FloatArray, n: int) -> None:
    """Move the products of the predicted variances so far, of the first n lanes, into the log likelihoods (times -2).

    ln(2^p m) = p ln 2 + 2 artanh((m - 1) / (m + 1)), m within a factor sqrt 2 of 1: shifts and sums, which run in vector units.
    """
    bits, powers = lanes.view(np.int64), slice(4 * _LANES, 4 * _LANES + n)
    power = lanes[powers]
    for k in range(n):
        exponent = (bits[k + 3 * _LANES] - _ROOT_HALF) >> 52
        bits[k + 3 * _LANES] -= exponent << 52
        power[k] = exponent
    for k in range(n):
        u = (lanes[k + 3 * _LANES] - 1.0) / (lanes[k + 3 * _LANES] + 1.0)
        z = u * u
        p = ((_L7 * z + _L6) * z + _L5) * z + _L4
        p = (((p * z + _L3) * z + _L2) * z + _L1) * z + _L0
        lanes[k] += power[k] * _LOG_2 + u * p
        lanes[k + 3 * _LANES] = 1.0


@njit(cache=True, nogil=True)
def _points_per_logarithm(noise: FloatArray) -> int:
    """Points whose predicted variances may be multiplied without leaving double precision."""
    largest = max(noise.max() + SIGMA_MAX**2, 1.0 / noise.min())
    return max(int(_LOG_RANGE / math.log10(largest)), 1)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _sweep(gaps: FloatArray, y: FloatArray, noise: FloatArray, rates: FloatArray, variances: FloatArray, lanes: FloatArray) -> None:
    """-2 log likelihood, but for its constant, of every pair of a variance (4,) and a rate 1 / tau (T,), into lanes[8 s + t].

    gaps [d], y and noise variance (n,)      lanes (5 * _LANES,) in blocks: result, state, its variance, product of variances, room. One flat
    array, so that the compiler sees that the blocks do not overlap, and takes a vector of rates at a time.
    """
    per_log, n_tau = _points_per_logarithm(noise), len(rates)
    left = per_log
    first, second, third, fourth = variances[0], variances[1], variances[2], variances[3]
    for s in range(_N_SIGMA):
        _start(lanes, s, n_tau, variances[s])
    for i in range(len(y)):
        gap, value, error = gaps[i], y[i], noise[i]
        for t in range(n_tau):
            decay = _decay(gap * rates[t])
            _update(lanes, t, decay, first, second, value, error)
            _update(lanes, t + 2 * _ROW, decay, third, fourth, value, error)
        left -= 1
        if left == 0 or i == len(y) - 1:
            _take_logarithm(lanes, _LANES)
            left = per_log


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _sweep_line(gaps: FloatArray, y: FloatArray, noise: FloatArray, rates: FloatArray, lanes: FloatArray) -> None:
    """`_sweep` of one variance, 1, that of the sample."""
    per_log, n_tau = _points_per_logarithm(noise), len(rates)
    left = per_log
    _start(lanes, 0, n_tau, 1.0)
    for i in range(len(y)):
        gap, value, error = gaps[i], y[i], noise[i]
        for t in range(n_tau):
            decay = _decay(gap * rates[t])
            before = 1.0 + decay * decay * (lanes[t + 2 * _LANES] - 1.0)
            lanes[t + 3 * _LANES] *= before + error
            _correct(lanes, t, decay * lanes[t + _LANES], before, 1.0 / (before + error), value, error)
        left -= 1
        if left == 0 or i == len(y) - 1:
            _take_logarithm(lanes, _ROW)
            left = per_log


@njit(cache=True, nogil=True)
def _lowest_in_row(lanes: FloatArray, row: int, n_tau: int) -> int:
    """Lane of a row with the lowest -2 log likelihood."""
    best = row * _ROW
    for k in range(best + 1, best + n_tau):
        if lanes[k] < lanes[best]:
            best = k
    return best


@njit(cache=True, nogil=True)
def _vertex(lanes: FloatArray, best: int, stride: int, is_inside: bool) -> float:
    """Place of the bottom of the parabola through a lane and its neighbours, in steps from that lane, within half a step."""
    if not is_inside:
        return 0.0
    left, right = lanes[best - stride], lanes[best + stride]
    bend = left - 2.0 * lanes[best] + right
    return min(max(0.5 * (left - right) / bend, -0.5), 0.5) if bend > 0.0 else 0.0


@njit(cache=True, nogil=True)
def _start_within(centre: float, n: int, step: float, low: float, high: float) -> float:
    """First of n nodes about `centre`, moved so that they lie in [low, high]."""
    return min(max(centre - 0.5 * step * (n - 1), low), high - step * (n - 1))


@njit(cache=True, nogil=True)
def _set_rates(rates: FloatArray, log_tau: float, step: float) -> None:
    """Rates 1 / tau (T,) of nodes from `log_tau` on."""
    rate, factor = math.exp(-log_tau), math.exp(-step)
    for t in range(len(rates)):
        rates[t] = rate
        rate *= factor


@njit(cache=True, nogil=True)
def _search(
    gaps: FloatArray, y: FloatArray, noise: FloatArray, rates: FloatArray, variances: FloatArray, lanes: FloatArray
) -> tuple[float, float, float]:
    """Most probable ln sigma (in units of y) and ln tau, and the node of ln tau that is best with the sample's deviation."""
    log_tau, log_sigma, best_of_sample = _TAU_LOW, -_ROW_OF_SAMPLE * _SIGMA_STEP[0], 0.0
    for zoom in range(N_ZOOMS + 1):
        n_tau, tau_step, sigma_step = _N_TAU[zoom], _TAU_STEP[zoom], _SIGMA_STEP[zoom]
        if zoom > 0:
            log_tau = _start_within(log_tau, n_tau, tau_step, _TAU_LOW, _TAU_HIGH)
            log_sigma = _start_within(log_sigma, _N_SIGMA, sigma_step, _SIGMA_LOW, _SIGMA_HIGH)
        _set_rates(rates[:n_tau], log_tau, tau_step)
        variance, factor = math.exp(2.0 * log_sigma), math.exp(2.0 * sigma_step)
        for s in range(_N_SIGMA):
            variances[s] = variance
            variance *= factor
        _sweep(gaps, y, noise, rates[:n_tau], variances, lanes)
        if zoom == 0:
            best_of_sample = log_tau + tau_step * (_lowest_in_row(lanes, _ROW_OF_SAMPLE, n_tau) - _ROW_OF_SAMPLE * _ROW)
        best = _lowest_in_row(lanes, 0, n_tau)
        for s in range(1, _N_SIGMA):
            rival = _lowest_in_row(lanes, s, n_tau)
            best = rival if lanes[rival] < lanes[best] else best
        s, t = best // _ROW, best % _ROW
        log_sigma += sigma_step * (s + _vertex(lanes, best, _ROW, 0 < s < _N_SIGMA - 1))
        log_tau += tau_step * (t + _vertex(lanes, best, 1, 0 < t < n_tau - 1))
    return log_sigma, log_tau, best_of_sample


@njit(cache=True, nogil=True)
def _search_line(gaps: FloatArray, y: FloatArray, noise: FloatArray, near: float, rates: FloatArray, lanes: FloatArray) -> float:
    """Most probable ln tau near this value, with the sample's deviation."""
    low = _start_within(near, _ROW, _LINE_STEP, _TAU_LOW, _TAU_HIGH)
    _set_rates(rates, low, _LINE_STEP)
    _sweep_line(gaps, y, noise, rates, lanes)
    best = _lowest_in_row(lanes, 0, _ROW)
    return low + _LINE_STEP * (best + _vertex(lanes, best, 1, 0 < best < _ROW - 1))


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _standardise(y: FloatArray, noise: FloatArray) -> float:
    """Flux y and error (n,) in place to deviations from the mean and noise variances in units of the sample's; returns its deviation [nJy].

    0, and nothing changed, where the flux is constant.
    """
    n, total, square, variance = len(y), 0.0, 0.0, 0.0
    for i in range(n):
        total += y[i]
        square += y[i] * y[i]
    mean = total / n
    for i in range(n):
        variance += (y[i] - mean) * (y[i] - mean)
    if not variance / (n - 1) > _FLAT * square / n:
        return 0.0
    deviation = math.sqrt(variance / (n - 1))
    scale = 1.0 / deviation
    for i in range(n):
        y[i] = (y[i] - mean) * scale
        noise[i] = (noise[i] * scale) * (noise[i] * scale)
    return deviation


@njit(cache=True, nogil=True)
def _walk_objects(
    offsets: Rows, mjd: FloatArray, band: Bands, flux: FloatArray, flux_err: FloatArray, bands: Bands, out: FloatArray, column: int
) -> None:
    """`walk_statistics` of every object and band; out (B, F)."""
    room = 1  # every point is written before it is known to belong to the band
    for k in range(len(out)):
        room = max(room, offsets[k + 1] - offsets[k] + 1)
    t, gaps, y, noise = np.empty(room), np.empty(room), np.empty(room), np.empty(room)
    rates, variances, lanes = np.empty(_ROW), np.empty(_N_SIGMA), np.ones(5 * _LANES)
    for k in range(len(out)):
        for w in range(len(bands)):
            n = 0
            for i in range(offsets[k], offsets[k + 1]):
                t[n], y[n], noise[n] = mjd[i], flux[i], flux_err[i]
                n += band[i] == bands[w]
            if n < MIN_POINTS or t[n - 1] == t[0]:
                continue
            gaps[0] = 0.0
            for i in range(1, n):
                gaps[i] = t[i] - t[i - 1]
            deviation = _standardise(y[:n], noise[:n])
            if deviation > 0.0:
                log_sigma, log_tau, near = _search(gaps[:n], y[:n], noise[:n], rates, variances, lanes)
                at = column + w * _N
                out[k, at], out[k, at + 1] = deviation * math.exp(log_sigma), math.exp(log_tau)
                out[k, at + 2] = math.exp(-math.exp(-_search_line(gaps[:n], y[:n], noise[:n], near, rates, lanes)))
