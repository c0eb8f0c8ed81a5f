"""Statistics of the measured points: how often, how significant, how variable in a band.

The definitions are those of the `light-curve` package (Malanchev et al. 2021, arXiv:2012.01419), on flux instead of magnitude.
F_i flux, e_i error, n points in the band, m mean, s^2 = sum (F_i - m)^2 / (n - 1), M mean weighted by 1 / e_i^2, z_i = (F_i - M) / e_i.

amplitude          (max F - min F) / 2                                        excess_variance   (s^2 - mean e_i^2) / m^2
maximum_slope      max |F_i - F_i-1| / (t_i - t_i-1), equal times left out    reduced_chi2      sum z_i^2 / (n - 1)
skew               n / ((n - 1)(n - 2)) sum (F_i - m)^3 / s^3                 stetson_k         sum |z_i| / sqrt(n sum z_i^2)
von_neumann_eta    sum (F_i - F_i-1)^2 / ((n - 1) s^2)                        percentile_ratio  (Q60 - Q40) / (Q95 - Q5)
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves

BAND_STATISTICS: tuple[str, ...] = (
    "amplitude",
    "maximum_slope",
    "skew",
    "stetson_k",
    "von_neumann_eta",
    "excess_variance",
    "reduced_chi2",
    "percentile_ratio",
)
POINT_STATISTICS: tuple[str, ...] = ("duration", "positive_fraction", "significant_fraction", "max_snr", "median_abs_snr")
FLAT = 1e-14  # variance below this share of the mean square flux is rounding: the band is constant

Rows = NDArray[np.int64]
Bands = NDArray[np.int8]


def band_statistics(curves: LightCurves, band: int) -> FloatArray:
    """Statistics of one band's points, in the order of `BAND_STATISTICS`.

    band : index into `BANDS`. Returns (B, 8); NaN where there are too few points (2; skew 3) or the band's flux is constant.
    """
    out = np.full((curves.n_objects, len(BAND_STATISTICS)), np.nan)
    _band_objects(curves.offsets, curves.mjd, curves.band, curves.flux, curves.flux_err, band, out)
    return out


def band_counts(curves: LightCurves, band: int) -> FloatArray:
    """Points of each object in a band: (B,) float64."""
    n_before = np.concatenate([np.zeros(1), np.cumsum(curves.band == band, dtype=np.float64)])
    counts: FloatArray = n_before[curves.offsets[1:]] - n_before[curves.offsets[:-1]]
    return counts


def point_statistics(curves: LightCurves, significant_snr: float) -> FloatArray:
    """Statistics of all points in any band, in the order of `POINT_STATISTICS`. Returns (B, 5), NaN for an object without points."""
    out = np.full((curves.n_objects, len(POINT_STATISTICS)), np.nan)
    _point_objects(curves.offsets, curves.mjd, curves.flux, curves.flux_err, significant_snr, out)
    return out


def plain_band_statistics(mjd: FloatArray, flux: FloatArray, flux_err: FloatArray) -> FloatArray:
    """The plain twin of `band_statistics` for the points of one band of one object, (n,) each, n > 2, flux not constant."""
    n, mean, variance = len(flux), flux.mean(), flux.var(ddof=1)
    z = (flux - np.average(flux, weights=flux_err**-2.0)) / flux_err
    q05, q40, q60, q95 = np.quantile(flux, [0.05, 0.4, 0.6, 0.95], method="hazen")
    moved = np.diff(mjd) > 0.0
    values = (
        0.5 * np.ptp(flux),
        np.max(np.abs(np.diff(flux)[moved] / np.diff(mjd)[moved])),
        n / ((n - 1) * (n - 2)) * np.sum((flux - mean) ** 3) / variance**1.5,
        np.abs(z).sum() / np.sqrt(n * np.sum(z**2)),
        np.sum(np.diff(flux) ** 2) / ((n - 1) * variance),
        (variance - np.mean(flux_err**2)) / mean**2,
        np.sum(z**2) / (n - 1),
        (q60 - q40) / (q95 - q05),
    )
    return np.array(values)


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


@njit(cache=True, nogil=True, error_model="numpy")
def _statistics(mjd: FloatArray, flux: FloatArray, flux_err: FloatArray, out: FloatArray) -> None:
    """`band_statistics` of one band's points (n,), n > 1, into out (8,)."""
    n = len(flux)
    mean, weights = flux.mean(), (flux_err.min() / flux_err) ** 2
    weighted = np.sum(weights * flux) / np.sum(weights)
    second, third, square_error, chi2, chi, steps, slope = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, math.nan
    for i in range(n):
        deviation, z = flux[i] - mean, (flux[i] - weighted) / flux_err[i]
        second += deviation**2
        third += deviation**3
        square_error += flux_err[i] ** 2
        chi2 += z * z
        chi += abs(z)
        if i > 0:
            steps += (flux[i] - flux[i - 1]) ** 2
            if mjd[i] > mjd[i - 1]:
                change = abs((flux[i] - flux[i - 1]) / (mjd[i] - mjd[i - 1]))
                slope = change if math.isnan(slope) else max(slope, change)
    ordered = np.sort(flux)
    variance = second / (n - 1)
    out[0] = 0.5 * (ordered[-1] - ordered[0])
    out[1] = slope
    if mean != 0.0:
        out[5] = (variance - square_error / n) / mean**2
    out[6] = chi2 / (n - 1)
    if not variance > FLAT * np.mean(flux**2):
        return
    if n > 2:
        out[2] = n / ((n - 1.0) * (n - 2.0)) * third / variance**1.5
    out[3] = chi / math.sqrt(n * chi2)
    out[4] = steps / ((n - 1) * variance)
    spread = _quantile(ordered, 0.95) - _quantile(ordered, 0.05)
    if spread > 0.0:
        out[7] = (_quantile(ordered, 0.6) - _quantile(ordered, 0.4)) / spread


@njit(cache=True, nogil=True)
def _band_objects(offsets: Rows, mjd: FloatArray, bands: Bands, flux: FloatArray, flux_err: FloatArray, band: int, out: FloatArray) -> None:
    """`_statistics` of the points in `band` of every object with at least two of them; out (B, 8)."""
    for k in range(len(out)):
        first, end = offsets[k], offsets[k + 1]
        chosen = np.flatnonzero(bands[first:end] == band) + first
        if len(chosen) > 1:
            _statistics(mjd[chosen], flux[chosen], flux_err[chosen], out[k])


@njit(cache=True, nogil=True, error_model="numpy")
def _point_objects(offsets: Rows, mjd: FloatArray, flux: FloatArray, flux_err: FloatArray, significant_snr: float, out: FloatArray) -> None:
    """`point_statistics` of every object with points; out (B, 5)."""
    for k in range(len(out)):
        first, end = offsets[k], offsets[k + 1]
        if end == first:
            continue
        snr = flux[first:end] / flux_err[first:end]
        size = np.abs(snr)
        out[k, 0] = mjd[end - 1] - mjd[first]
        out[k, 1] = np.mean((snr > 0.0).astype(np.float64))
        out[k, 2] = np.mean((size > significant_snr).astype(np.float64))
        out[k, 3] = snr.max()
        size.sort()
        out[k, 4] = 0.5 * (size[(len(size) - 1) // 2] + size[len(size) // 2])
