"""How a band's flux differs with the time between two points: the structure function, and variance on a short and a long scale.

Structure function, over the pairs i < j of half a decade of lags, 1 to 3,162 d in `LAG_EDGES`, with at least `MIN_PAIRS` of them:

    SF_k^2 = mean of (F_j - F_i)^2 - e_i^2 - e_j^2,    SF = A (lag / 30 d)^gamma          (Schmidt et al. 2010; Kozlowski 2016)

ln A and gamma by linear least squares of ln SF_k on the logarithm of the bin's mean lag, weights the numbers of pairs, over the bins with
SF_k^2 > 0. Sums over the pairs come from running sums of F, F^2 and e^2, in O(n) for each bin.

Mexican hat power (Arevalo et al. 2012): with S_w(t) the mean of the fluxes weighted by a Gaussian of deviation w about t,

    P(T) = mean over i of [S_a(t_i) - S_b(t_i)]^2 - N_i,    a = T / sqrt 2,  b = T sqrt 2,    N_i = sum_j e_j^2 (g_a / G_a - g_b / G_b)^2

g the Gaussian at t_j - t_i and G its sum over j; in units of the sample's variance, for T = 10 d and 80 d: one exponential a pair serves
all. The mean is over at most `MAX_RESPONSES` points, evenly spaced in rank, so that a long history costs O(n) too.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves

SCALE_STATISTICS: tuple[str, ...] = ("sf_amplitude", "sf_slope", "mhps_short", "mhps_long", "mhps_ratio")
LAG_EDGES: tuple[float, ...] = tuple(10.0 ** (0.5 * k) for k in range(8))  # [d]
MIN_PAIRS = 3
REFERENCE_LAG = 30.0  # [d]
SHORT_SCALE, LONG_SCALE = 10.0, 80.0  # [d]
MIN_POINTS = 5
MAX_RESPONSES = 16

_N = len(SCALE_STATISTICS)
_LAGS = np.array(LAG_EDGES)
_LANES = 4  # points of a vector unit
_FLAT = 1e-14  # variance below this share of the mean square flux is rounding: the band is constant
_RATE = 1.0 / (4.0 * LONG_SCALE**2)  # of the widest Gaussian: its exponent is dt^2 / (2 b^2), b^2 = 2 T^2
# e^r on [-1, 0]: the polynomial through 11 Chebyshev nodes, within 1e-13; e^-x is its 64th power at -x / 64
_C = tuple(np.polynomial.chebyshev.Chebyshev.interpolate(np.exp, 10, domain=[-1, 0]).convert(kind=np.polynomial.Polynomial).coef.tolist())
_C0, _C1, _C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10 = _C
_FASTMATH = {"reassoc", "contract"}

Rows = NDArray[np.int64]
Places = NDArray[np.uint64]
Bands = NDArray[np.int8]


def fill_scale_statistics(curves: LightCurves, bands: Bands, out: FloatArray, column: int) -> None:
    """`scale_statistics` into out (B, F) from `column` on; what cannot be computed is left as it is."""
    _scale_objects(curves.offsets, curves.mjd, curves.band, curves.flux, curves.flux_err, bands, out, column)


def scale_statistics(curves: LightCurves, bands: Bands) -> FloatArray:
    """Statistics of the points of each band, in the order of `SCALE_STATISTICS`, band after band.

    bands : (W,) int8, indices into `BANDS`. Returns (B, 5 W), sf_amplitude [nJy] at 30 d, the others [1]; NaN where there are less than 5
    points or a constant flux; the structure function's where less than two bins hold variance above the noise; mhps_ratio, long over
    short, where either is not positive.
    """
    out = np.full((curves.n_objects, len(bands) * _N), np.nan)
    fill_scale_statistics(curves, bands, out, 0)
    return out


def plain_scale_statistics(mjd: FloatArray, flux: FloatArray, flux_err: FloatArray) -> FloatArray:
    """The plain twin of `scale_statistics` for the points of one band of one object, (n,) each, n > 4, flux not constant."""
    i, j = np.triu_indices(len(mjd), 1)
    lag, square = mjd[j] - mjd[i], (flux[j] - flux[i]) ** 2 - flux_err[i] ** 2 - flux_err[j] ** 2
    lags, squares, numbers = [], [], []
    for low, high in zip(LAG_EDGES[:-1], LAG_EDGES[1:], strict=True):
        inside = (lag >= low) & (lag < high)
        if inside.sum() >= MIN_PAIRS and square[inside].sum() > 0.0:
            lags.append(lag[inside].mean())
            squares.append(square[inside].mean())
            numbers.append(inside.sum())
    slope, amplitude = np.nan, np.nan
    if len(lags) > 1:
        x, y = np.log(np.array(lags) / REFERENCE_LAG), 0.5 * np.log(squares)
        slope, start = np.polyfit(x, y, 1, w=np.sqrt(numbers))
        amplitude = np.exp(start)
    powers = [_plain_power(mjd, flux, flux_err, scale) / flux.var(ddof=1) for scale in (SHORT_SCALE, LONG_SCALE)]
    ratio = powers[1] / powers[0] if min(powers) > 0.0 else np.nan
    return np.array([amplitude, slope, *powers, ratio])


def _plain_power(mjd: FloatArray, flux: FloatArray, flux_err: FloatArray, scale: float) -> float:
    def smoothing(width: float) -> FloatArray:
        weights = np.exp(-0.5 * ((mjd[:, None] - mjd) / width) ** 2)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    hat = smoothing(scale / np.sqrt(2.0)) - smoothing(scale * np.sqrt(2.0))
    n_responses = min(len(mjd), MAX_RESPONSES)
    at = np.arange(n_responses) * len(mjd) // n_responses
    return float(np.mean(((hat @ (flux - flux.mean())) ** 2 - hat**2 @ flux_err**2)[at]))


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


@njit(cache=True, nogil=True)
def _ends(t: FloatArray, n: int, lags: FloatArray, ends: Places) -> None:
    """First point at least lags[e] later than each point, n where there is none, into ends[e] (4, n + 1); t (n + 1,) ends with infinity.

    Each of 2 n steps moves either the point or its end on, without a branch on the data; the four lags wait for their loads side by side.
    """
    one = np.uint64(1)  # unsigned, so that no index could mean "from the end"
    i0 = i1 = i2 = i3 = j0 = j1 = j2 = j3 = np.uint64(0)
    lag0, lag1, lag2, lag3 = lags[0], lags[1], lags[2], lags[3]
    first, second, third, fourth = ends[0], ends[1], ends[2], ends[3]
    for _ in range(2 * n):
        first[i0], second[i1], third[i2], fourth[i3] = j0, j1, j2, j3
        early0, early1 = np.uint64(t[j0] - t[i0] < lag0), np.uint64(t[j1] - t[i1] < lag1)
        early2, early3 = np.uint64(t[j2] - t[i2] < lag2), np.uint64(t[j3] - t[i3] < lag3)
        j0, j1, j2, j3 = j0 + early0, j1 + early1, j2 + early2, j3 + early3
        i0, i1, i2, i3 = i0 + one - early0, i1 + one - early1, i2 + one - early2, i3 + one - early3


@njit(cache=True, nogil=True, fastmath=_FASTMATH)
def _bin(t: FloatArray, y: FloatArray, noise: FloatArray, sums: FloatArray, firsts: Places, ends: Places) -> tuple[np.int64, float, float]:
    """Number, total lag and total excess (y_j - y_i)^2 - noise of the pairs of each point i with those from firsts[i] to before ends[i].

    sums (n + 1, 3) : running sums of y, y^2 less noise variance, and time
    """
    number, lags, excess, start = np.int64(0), 0.0, 0.0, t[0]
    for i in range(len(y)):
        first, end = firsts[i], ends[i]
        m = np.int64(end - first)
        number += m
        lags += sums[end, 2] - sums[first, 2] - m * (t[i] - start)
        excess += sums[end, 1] - sums[first, 1] - 2.0 * y[i] * (sums[end, 0] - sums[first, 0]) + m * (y[i] * y[i] - noise[i])
    return number, lags, excess


@njit(cache=True, nogil=True)
def _structure_function(t: FloatArray, y: FloatArray, noise: FloatArray, sums: FloatArray, edges: Places, row: FloatArray) -> None:
    """Amplitude (in units of y) and slope of the structure function into row[0] and row[1], where there are two bins for them.

    t (n + 1,) ends with infinity; sums and edges are room.
    """
    n = len(y)
    total, square, time = 0.0, 0.0, 0.0
    sums[0] = 0.0
    for i in range(n):
        total, square, time = total + y[i], square + y[i] * y[i] - noise[i], time + t[i] - t[0]
        sums[i + 1, 0], sums[i + 1, 1], sums[i + 1, 2] = total, square, time
    for half in range(0, len(LAG_EDGES), 4):
        if t[n - 1] - t[0] < LAG_EDGES[half]:
            edges[half : half + 4, :n] = n
        else:
            _ends(t, n, _LAGS[half : half + 4], edges[half : half + 4])
    weight, wx, wy, wxx, wxy, n_bins = 0.0, 0.0, 0.0, 0.0, 0.0, 0
    for k in range(len(LAG_EDGES) - 1):
        if edges[k, 0] == n:
            break
        number, lags, excess = _bin(t, y, noise, sums, edges[k], edges[k + 1])
        if number >= MIN_PAIRS and excess > 1e-12 * number:  # below: rounding of the running sums
            x, value = math.log(lags / number / REFERENCE_LAG), 0.5 * math.log(excess / number)
            weight, wx, wy = weight + number, wx + number * x, wy + number * value
            wxx, wxy, n_bins = wxx + number * x * x, wxy + number * x * value, n_bins + 1
    if n_bins > 1:
        row[1] = (weight * wxy - wx * wy) / (weight * wxx - wx * wx)
        row[0] = math.exp((wy - row[1] * wx) / weight)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _hat(t: FloatArray, y: FloatArray, noise: FloatArray, i: int) -> tuple[float, float]:
    """Squared response of the short and of the long Mexican hat at point i, less that of the noise."""
    g1, g2, g3, g4, f1, f2, f3, f4 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    n11, n12, n22, n33, n34, n44 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(len(t)):
        gap = t[j] - t[i]
        wide = _decay(gap * gap * _RATE)  # T sqrt 2 of the long scale; half the width is its 4th power, an eighth its 64th
        squared = wide * wide
        narrow = squared * squared
        a = narrow * narrow
        a = a * a
        a = a * a
        a = a * a
        b = a * a
        b = b * b
        e = noise[j]
        ae, be, ne, we = a * e, b * e, narrow * e, wide * e
        g1, g2, g3, g4 = g1 + b, g2 + a, g3 + narrow, g4 + wide
        f1, f2, f3, f4 = f1 + b * y[j], f2 + a * y[j], f3 + narrow * y[j], f4 + wide * y[j]
        n11, n12, n22 = n11 + b * be, n12 + a * be, n22 + a * ae
        n33, n34, n44 = n33 + narrow * ne, n34 + narrow * we, n44 + wide * we
    g1, g2, g3, g4 = 1.0 / g1, 1.0 / g2, 1.0 / g3, 1.0 / g4
    short, long = f1 * g1 - f2 * g2, f3 * g3 - f4 * g4
    short_noise = n11 * (g1 * g1) - 2.0 * n12 * (g1 * g2) + n22 * (g2 * g2)
    long_noise = n33 * (g3 * g3) - 2.0 * n34 * (g3 * g4) + n44 * (g4 * g4)
    return short * short - short_noise, long * long - long_noise


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
def _statistics(t: FloatArray, y: FloatArray, noise: FloatArray, n: int, sums: FloatArray, edges: Places, row: FloatArray) -> None:
    """`scale_statistics` of one band's n > 4 points into row (5,); y flux and noise error on entry, standardised on return.

    t, y and noise have room for some points more, which become far and empty ones: the hats then take whole vectors of points.
    """
    deviation = _standardise(y[:n], noise[:n])
    if deviation == 0.0:
        return
    t[n] = math.inf
    _structure_function(t[: n + 1], y[:n], noise[:n], sums, edges, row)
    row[0] *= deviation
    n_filled = (n + _LANES - 1) // _LANES * _LANES
    t[n:n_filled], y[n:n_filled], noise[n:n_filled] = t[n - 1] + 1e6, 0.0, 0.0
    short, long, n_responses = 0.0, 0.0, min(n, MAX_RESPONSES)
    for r in range(n_responses):
        at_short, at_long = _hat(t[:n_filled], y[:n_filled], noise[:n_filled], r * n // n_responses)
        short += at_short / n_responses
        long += at_long / n_responses
    row[2], row[3] = short, long
    if short > 0.0 and long > 0.0:
        row[4] = long / short


@njit(cache=True, nogil=True)
def _scale_objects(
    offsets: Rows, mjd: FloatArray, band: Bands, flux: FloatArray, flux_err: FloatArray, bands: Bands, out: FloatArray, column: int
) -> None:
    """`scale_statistics` of every object and band; out (B, F)."""
    room = _LANES
    for k in range(len(out)):
        room = max(room, offsets[k + 1] - offsets[k] + _LANES)
    t, y, noise, sums, edges = (
        np.empty(room),
        np.empty(room),
        np.empty(room),
        np.empty((room + 1, 3)),
        np.empty((len(LAG_EDGES), room + 1), np.uint64),
    )
    for k in range(len(out)):
        for w in range(len(bands)):
            n = 0
            for i in range(offsets[k], offsets[k + 1]):
                t[n], y[n], noise[n] = mjd[i], flux[i], flux_err[i]
                n += band[i] == bands[w]
            if n >= MIN_POINTS:
                first = column + w * _N
                _statistics(t, y, noise, n, sums, edges, out[k, first : first + _N])
