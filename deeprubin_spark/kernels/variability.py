"""Statistics of the measured points of a band: how variable they are, and in what way.

The definitions are those of the `light-curve` package (Malanchev et al. 2021, arXiv:2012.01419), on flux instead of magnitude. In the
formulas F_i is flux, e_i error, t_i time, n the points in the band, m their mean, s^2 = sum (F_i - m)^2 / (n - 1), M the mean weighted by
1 / e_i^2, z_i = (F_i - M) / e_i, and Q_p the p % quantile by Hazen's rule. The formulas themselves stand in the feature catalogue.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import log_ndtr

from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves

BAND_STATISTICS: tuple[str, ...] = (
    "mean_flux",
    "amplitude",
    "standard_deviation",
    "median_absolute_deviation",
    "interpercentile_range",
    "percentile_ratio",
    "median_buffer",
    "skew",
    "kurtosis",
    "anderson_darling",
    "cusum",
    "beyond_1sd",
    "von_neumann_eta",
    "eta_e",
    "stetson_k",
    "maximum_slope",
    "linear_trend",
    "linear_trend_snr",
    "reduced_chi2",
    "excess_variance",
)
FLAT = 1e-14  # variance below this share of the mean square flux is rounding: the band is constant

_N_BAND = len(BAND_STATISTICS)
_INSERTION = 48  # values up to which insertion beats quicksort
_SQRT_HALF = math.sqrt(0.5)
_FASTMATH = {"reassoc", "contract"}
_APART = 64  # doubles: twice four registers of 512 bits
# ln Phi(-s) + s^2 / 2 is a smooth function of t = 8 / (8 + s), for which u in [-1, 1] stands; e^r on [-1, 0] is taken to its 64th power;
# ln(1 - e) / e for e in [0, 1/2] is one of v = 4 e - 1. Each as the polynomial through Chebyshev nodes.
_FURTHEST, _T_SCALE = 13.0, 8.0  # in deviations
_T_SLOPE = 2.0 * (_T_SCALE + _FURTHEST) / _FURTHEST
_T_START = 1.0 - _T_SLOPE


def _polynomial(function: Callable[[FloatArray], FloatArray], degree: int, low: float = -1.0, high: float = 1.0) -> tuple[float, ...]:
    """Coefficients, lowest first, of the polynomial through the Chebyshev nodes of [low, high]."""
    found = np.polynomial.chebyshev.Chebyshev.interpolate(function, degree, domain=[low, high])
    return tuple(found.convert(kind=np.polynomial.Polynomial).coef.tolist())


def _tail(u: FloatArray) -> FloatArray:
    s = _T_SCALE * _T_SLOPE / (u - _T_START) - _T_SCALE
    return np.asarray(log_ndtr(-s) + 0.5 * s**2)


_P0, _P1, _P2, _P3, _P4, _P5, _P6, _P7, _P8, _P9, _P10, _P11, _P12, _P13, _P14, _P15, _P16, _P17, _P18, _P19, _P20 = _polynomial(_tail, 20)
_E0, _E1, _E2, _E3, _E4, _E5, _E6, _E7, _E8, _E9, _E10 = _polynomial(np.exp, 10, -1.0, 0.0)
_Q0, _Q1, _Q2, _Q3, _Q4, _Q5, _Q6, _Q7, _Q8, _Q9, _Q10, _Q11, _Q12, _Q13, _Q14, _Q15 = _polynomial(
    lambda v: np.log1p(-0.25 * (v + 1.0)) / (0.25 * (v + 1.0)), 15
)

Rows = NDArray[np.int64]
Bands = NDArray[np.int8]


def fill_band_statistics(curves: LightCurves, bands: Bands, out: FloatArray, column: int) -> None:
    """`band_statistics` into out (B, F) from `column` on; what cannot be computed is left as it is."""
    _band_objects(curves.offsets, curves.mjd, curves.band, curves.flux, curves.flux_err, bands, out, column)


def band_statistics(curves: LightCurves, bands: Bands) -> FloatArray:
    """Statistics of the points of each band, in the order of `BAND_STATISTICS`, band after band.

    bands : (W,) int8, indices into `BANDS`. Returns (B, 20 W); NaN where there are too few points (1 for the mean, 2; trend and skew 3;
    kurtosis and Anderson-Darling 4), or the band's flux is constant and the statistic is about its shape.
    """
    out = np.full((curves.n_objects, len(bands) * _N_BAND), np.nan)
    fill_band_statistics(curves, bands, out, 0)
    return out


def plain_band_statistics(mjd: FloatArray, flux: FloatArray, flux_err: FloatArray) -> FloatArray:
    """The plain twin of `band_statistics` for the points of one band of one object, (n,) each, n > 3, flux not constant."""
    from scipy.stats import kurtosis, linregress, skew

    n, mean, sd, median = len(flux), flux.mean(), flux.std(ddof=1), np.median(flux)
    z = (flux - np.average(flux, weights=flux_err**-2.0)) / flux_err
    q05, q10, q40, q60, q90, q95 = np.quantile(flux, [0.05, 0.1, 0.4, 0.6, 0.9, 0.95], method="hazen")
    steps, gaps = np.diff(flux), np.diff(mjd)
    slopes = steps[gaps > 0.0] / gaps[gaps > 0.0]
    x, odd = (np.sort(flux) - mean) / sd, 2.0 * np.arange(n) + 1.0
    anderson = (1.0 + 4.0 / n - 25.0 / n**2) * (-n - np.mean(odd * log_ndtr(x) + odd[::-1] * log_ndtr(-x)))
    line, walk, amplitude = linregress(mjd - mjd[0], flux), np.cumsum(flux - mean), 0.5 * np.ptp(flux)
    values = (
        mean,
        amplitude,
        sd,
        np.median(np.abs(flux - median)),
        q90 - q10,
        (q60 - q40) / (q95 - q05),
        np.mean(np.abs(flux - median) < 0.1 * amplitude),
        skew(flux, bias=False),
        kurtosis(flux, bias=False),
        anderson,
        np.ptp(walk) / (n * sd),
        np.mean(np.abs(flux - mean) > sd),
        np.sum(steps**2) / ((n - 1) * sd**2),
        np.ptp(mjd) ** 2 / (n - 1) ** 3 * np.sum(slopes**2) / sd**2,
        np.abs(z).sum() / np.sqrt(n * np.sum(z**2)),
        np.max(np.abs(slopes)),
        line.slope,
        line.slope / line.stderr,
        np.sum(z**2) / (n - 1),
        (sd**2 - np.mean(flux_err**2)) / mean**2,
    )
    return np.array(values)


@njit(cache=True, nogil=True)
def _sort(values: FloatArray) -> None:
    """Sort values (n,) in place."""
    if len(values) > _INSERTION:
        values.sort()
        return
    for i in range(1, len(values)):
        value, j = values[i], i - 1
        while j >= 0 and values[j] > value:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = value


@njit(cache=True, nogil=True)
def _quantile(ordered: FloatArray, q: float) -> float:
    """Quantile of sorted values (n,) by Hazen's rule (R's type 5), as in `light-curve`."""
    position = len(ordered) * q - 0.5
    if position <= 0.0:
        return float(ordered[0])
    if position >= len(ordered) - 1.0:
        return float(ordered[-1])
    below = int(position)
    return float(ordered[below] + (position - below) * (ordered[below + 1] - ordered[below]))


@njit(cache=True, nogil=True)
def _median(ordered: FloatArray) -> float:
    """Median of sorted values (n,)."""
    return float(0.5 * (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]))


@njit(cache=True, nogil=True)
def _median_distance(ordered: FloatArray, median: float) -> float:
    """Median of |x - median| of sorted values (n,): the distances come in order if one walks outwards from the median."""
    n = len(ordered)
    above = 0
    while above < n and ordered[above] < median:
        above += 1
    below, middle = above - 1, 0.0
    for rank in range(n // 2 + 1):
        if below < 0 or (above < n and ordered[above] - median <= median - ordered[below]):
            distance = ordered[above] - median
            above += 1
        else:
            distance = median - ordered[below]
            below -= 1
        if rank == (n - 1) // 2:
            middle += 0.5 * distance
        if rank == n // 2:
            middle += 0.5 * distance
    return float(middle)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH, inline="always")
def _log_tails(s: float) -> tuple[float, float]:
    """Logarithms of Phi(-s) and Phi(s), the normal distribution function, 0 <= s <= `_FURTHEST`, within 1e-12: products and sums alone."""
    u = _T_SLOPE * (_T_SCALE / (_T_SCALE + s)) + _T_START
    p = (((_P20 * u + _P19) * u + _P18) * u + _P17) * u + _P16
    p = (((p * u + _P15) * u + _P14) * u + _P13) * u + _P12
    p = (((p * u + _P11) * u + _P10) * u + _P9) * u + _P8
    p = (((p * u + _P7) * u + _P6) * u + _P5) * u + _P4
    p = (((p * u + _P3) * u + _P2) * u + _P1) * u + _P0
    outer = p - 0.5 * s * s
    r = max(outer, -60.0) * 0.015625
    e = (((_E10 * r + _E9) * r + _E8) * r + _E7) * r + _E6
    e = (((e * r + _E5) * r + _E4) * r + _E3) * r + _E2
    e = (e * r + _E1) * r + _E0
    e = e * e
    e = e * e
    e = e * e
    e = e * e
    e = e * e
    e = e * e
    v = 4.0 * e - 1.0
    q = (((_Q15 * v + _Q14) * v + _Q13) * v + _Q12) * v + _Q11
    q = (((q * v + _Q10) * v + _Q9) * v + _Q8) * v + _Q7
    q = (((q * v + _Q6) * v + _Q5) * v + _Q4) * v + _Q3
    q = ((q * v + _Q2) * v + _Q1) * v + _Q0
    return outer, e * q


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _anderson_darling(ordered: FloatArray, mean: float, sd: float) -> float:
    """Anderson & Darling's A^2 of sorted values (n,) against a Gaussian of their own mean and deviation, for small n."""
    n, total, scale = len(ordered), 0.0, 1.0 / sd
    for i in range(n):
        x = (ordered[i] - mean) * scale
        outer, inner = _log_tails(min(abs(x), _FURTHEST))
        below, above = (outer, inner) if x < 0.0 else (inner, outer)
        total += (2 * i + 1) * below + (2 * (n - i) - 1) * above
    edge, _ = _log_tails(_FURTHEST)
    low, high = 0, n - 1
    while (mean - ordered[low]) * scale > _FURTHEST:  # one point of 170 or more can lie as far out
        total += (2 * low + 1) * (math.log(0.5 * math.erfc((mean - ordered[low]) * scale * _SQRT_HALF)) - edge)
        low += 1
    while (ordered[high] - mean) * scale > _FURTHEST:
        total += (2 * (n - high) - 1) * (math.log(0.5 * math.erfc((ordered[high] - mean) * scale * _SQRT_HALF)) - edge)
        high -= 1
    return (1.0 + 4.0 / n - 25.0 / (n * n)) * (-n - total / n)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _weighted(flux: FloatArray, flux_err: FloatArray, row: FloatArray, is_flat: bool) -> float:
    """Statistics of the flux in its errors, into row (20,); returns the mean squared error."""
    n, unit = len(flux), flux_err[0]
    weights, weighted, square_error = 0.0, 0.0, 0.0
    for i in range(n):
        ratio = unit / flux_err[i]
        weights += ratio * ratio
        weighted += ratio * ratio * flux[i]
        square_error += flux_err[i] * flux_err[i]
    centre, chi2, chi = weighted / weights, 0.0, 0.0
    for i in range(n):
        z = (flux[i] - centre) / flux_err[i]
        chi2 += z * z
        chi += abs(z)
    row[18] = chi2 / (n - 1)
    if not is_flat:
        row[14] = chi / math.sqrt(n * chi2)
    return square_error / n


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _trend(mjd: FloatArray, flux: FloatArray, mean: float, second: float, row: FloatArray, is_flat: bool) -> None:
    """Slope of a straight line, and its significance, into row (20,)."""
    n, start = len(flux), mjd[0]
    mean_time, spread, shared = 0.0, 0.0, 0.0
    for i in range(n):
        mean_time += mjd[i] - start
    mean_time /= n
    for i in range(n):
        since = mjd[i] - start - mean_time
        spread += since * since
        shared += since * (flux[i] - mean)
    if n > 2 and spread > 0.0:
        row[16] = shared / spread
        rest = second - shared * shared / spread
        if rest > FLAT * second and not is_flat:
            row[17] = shared / math.sqrt(rest * spread / (n - 2))


@njit(cache=True, nogil=True, error_model="numpy")
def _in_time(mjd: FloatArray, flux: FloatArray, mean: float, second: float, row: FloatArray, is_flat: bool) -> None:
    """Statistics that need the order in time, into row (20,); `second` is the sum of squared deviations from the mean."""
    n = len(flux)
    walk = lowest = highest = flux[0] - mean
    steps, slopes, steepest = 0.0, 0.0, -1.0
    for i in range(1, n):
        walk += flux[i] - mean
        lowest, highest = walk if walk < lowest else lowest, walk if walk > highest else highest
        step, gap = flux[i] - flux[i - 1], mjd[i] - mjd[i - 1]
        steps += step * step
        slope = step / gap if gap > 0.0 else 0.0
        square = slope * slope
        slopes += square
        steepest = square if square > steepest and gap > 0.0 else steepest
    if steepest >= 0.0:
        row[15] = math.sqrt(steepest)
    if not is_flat:
        row[10] = (highest - lowest) / (n * math.sqrt(second / (n - 1)))
        row[12] = steps / second
        if steepest >= 0.0:
            row[13] = (mjd[n - 1] - mjd[0]) ** 2 / (float(n - 1) ** 2 * second) * slopes


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _distribution(flux: FloatArray, ordered: FloatArray, mean: float, second: float, row: FloatArray) -> None:
    """Statistics of the distribution of a flux that is not constant, into row (20,)."""
    n = len(flux)
    sd = math.sqrt(second / (n - 1))
    third, fourth, n_beyond, n_near, scale = 0.0, 0.0, 0, 0, 1.0 / sd
    median, near = _median(ordered), 0.1 * 0.5 * (ordered[n - 1] - ordered[0])
    for i in range(n):
        deviation = (ordered[i] - mean) * scale
        cube = deviation * deviation * deviation
        third += cube
        fourth += cube * deviation
        n_beyond += abs(ordered[i] - mean) > sd
        n_near += abs(ordered[i] - median) < near
    row[6], row[11] = n_near / n, n_beyond / n
    spread = _quantile(ordered, 0.95) - _quantile(ordered, 0.05)
    if spread > 0.0:
        row[5] = (_quantile(ordered, 0.6) - _quantile(ordered, 0.4)) / spread
    if n > 2:
        row[7] = n / ((n - 1.0) * (n - 2.0)) * third
    if n > 3:
        row[8] = n * (n + 1.0) / ((n - 1.0) * (n - 2.0) * (n - 3.0)) * fourth - 3.0 * (n - 1.0) ** 2 / ((n - 2.0) * (n - 3.0))
        row[9] = _anderson_darling(ordered, mean, sd)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
def _statistics(mjd: FloatArray, flux: FloatArray, flux_err: FloatArray, ordered: FloatArray, row: FloatArray) -> None:
    """`band_statistics` of one band's points (n,), n > 0, into row (20,); `ordered` (n,) is scratch."""
    n, mean, second, square = len(flux), 0.0, 0.0, 0.0
    for i in range(n):
        ordered[i] = flux[i]
        mean += flux[i]
        square += flux[i] * flux[i]
    mean /= n
    row[0] = mean
    if n < 2:
        return
    for i in range(n):
        second += (flux[i] - mean) ** 2
    variance = second / (n - 1)
    _sort(ordered)
    row[1] = 0.5 * (ordered[n - 1] - ordered[0])
    row[2] = math.sqrt(variance)
    row[3] = _median_distance(ordered, _median(ordered))
    row[4] = _quantile(ordered, 0.9) - _quantile(ordered, 0.1)
    is_flat = not variance > FLAT * square / n
    square_error = _weighted(flux, flux_err, row, is_flat)
    if mean != 0.0:
        row[19] = (variance - square_error) / mean**2
    _in_time(mjd, flux, mean, second, row, is_flat)
    _trend(mjd, flux, mean, second, row, is_flat)
    if not is_flat:
        _distribution(flux, ordered, mean, second, row)


@njit(cache=True, nogil=True)
def _most_points(offsets: Rows) -> int:
    """Points of the largest object."""
    most = 0
    for k in range(len(offsets) - 1):
        most = max(most, offsets[k + 1] - offsets[k])
    return most


@njit(cache=True, nogil=True)
def _band_objects(
    offsets: Rows, mjd: FloatArray, band: Bands, flux: FloatArray, flux_err: FloatArray, bands: Bands, out: FloatArray, column: int
) -> None:
    """`_statistics` of every object and band with points; out (B, F)."""
    room = _most_points(offsets) + 1  # one more, as every point is written before it is known to belong to the band
    # In one piece of memory, `_APART` beyond each other: where a loop writes nearer behind what it reads than one step of the processor is long, it adds up in
    # another order, and an object's last digit would follow from where the memory happened to be.
    work = np.empty((4, room + _APART))
    t, f, e, ordered = work[0], work[1], work[2], work[3]
    for k in range(len(out)):
        for w in range(len(bands)):
            n = 0
            for i in range(offsets[k], offsets[k + 1]):
                t[n], f[n], e[n] = mjd[i], flux[i], flux_err[i]
                n += band[i] == bands[w]
            if n > 0:
                first = column + w * _N_BAND
                _statistics(t[:n], f[:n], e[:n], ordered[:n], out[k, first : first + _N_BAND])
