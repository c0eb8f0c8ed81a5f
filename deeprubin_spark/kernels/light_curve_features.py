"""Light curves to what models read: feature values, and the Gaussian process posterior on a grid around the peak.

    extract(offsets, mjd, band, flux, flux_err) -> Extracted

The Gaussian process sees all bands of the latest `MAX_POINTS` points; counts and variability see all points. The peak is the highest
point of the g + r posterior mean between the first and the last of the points used, sought on `N_SAMPLES` equal steps, then between them.
The grid has `N_GRID` equal steps from `GRID_MARGIN` days before the first to `GRID_MARGIN` days after the last of those points.
What night a point became known on is the caller's: a later point is simply not passed in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.bands import BANDS, band_index
from deeprubin_spark.kernels import gaussian_process
from deeprubin_spark.kernels.feature_catalogue import (
    COLOUR_NAMES,
    COLOUR_PHASES,
    FEATURE_BANDS,
    FEATURE_NAMES,
    FEATURES,
    PEAK_DIP,
    SIGNIFICANT_SNR,
    Feature,
)
from deeprubin_spark.kernels.gaussian_process import STATUS_NAMES, Fits
from deeprubin_spark.kernels.gaussian_process_fit import BAD_INPUT, FIT_FAILED, OK
from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves, has_usable_points, latest_points, light_curves
from deeprubin_spark.kernels.posterior_shape import SHAPES, peak_shapes
from deeprubin_spark.kernels.variability import BAND_STATISTICS, POINT_STATISTICS, band_counts, band_statistics, point_statistics

__all__ = ["FEATURES", "FEATURE_BANDS", "FEATURE_NAMES", "MAX_POINTS", "N_GRID", "STATUS_NAMES", "Extracted", "Feature", "extract"]

MAX_POINTS = 256
N_GRID = 64
GRID_MARGIN = 10.0  # [d]
N_SAMPLES = 1025  # of the posterior mean between the first and the last point
N_REFINED = 33  # across the two steps around its highest sample

_WAVELENGTHS = np.array([BANDS[band_index(name)].wavelength for name in FEATURE_BANDS])
_N_BANDS = len(FEATURE_BANDS)


@dataclass(frozen=True)
class Extracted:
    """What `extract` makes of B objects.

    values : (B, F) float64 in the order of `FEATURES`, NaN where not computable      status : (B,) int8, index into `STATUS_NAMES`
    t_ref_mjd : (B,) [d] time of the peak      grid_time : (B, 64) [d] relative to it      grid_mean, grid_sd : (B, 2, 64) [nJy] in g and r;
    these are NaN unless the status is ok      n_points_used : (B,) int64, points given to the Gaussian process
    """

    values: FloatArray
    grid_time: FloatArray
    t_ref_mjd: FloatArray
    grid_mean: FloatArray
    grid_sd: FloatArray
    status: NDArray[np.int8]
    n_points_used: NDArray[np.int64]


@dataclass(frozen=True)
class _Posterior:
    """The posterior of the G objects that have a fit, bands in the order of `FEATURE_BANDS`.

    sample_time (G, 1025) [MJD], sample_mean (G, 1025, 2); peak_time (G, 3) [MJD] of g, r and g + r, peak_mean, peak_sd (G, 3, 2) there;
    colour_mean, colour_sd (G, P, 2); grid_time (G, 64) [MJD], grid_mean, grid_sd (G, 64, 2)
    """

    sample_time: FloatArray
    sample_mean: FloatArray
    peak_time: FloatArray
    peak_mean: FloatArray
    peak_sd: FloatArray
    colour_mean: FloatArray
    colour_sd: FloatArray
    grid_time: FloatArray
    grid_mean: FloatArray
    grid_sd: FloatArray


def extract(offsets: NDArray[np.integer], mjd: FloatArray, band: NDArray[np.integer], flux: FloatArray, flux_err: FloatArray) -> Extracted:
    """Features and posterior grid of B light curves.

    offsets : (B + 1,) int64      mjd : (N,) float64 [d], rising within an object      band : (N,) int8, index into `BANDS`
    flux, flux_err : (N,) float64 [nJy], measurements only, no upper limits. ValueError where the arrays do not fit together.
    An object whose values are unusable gets a status (see `gaussian_process.fit`) and NaN; the others do not notice it.
    """
    curves = light_curves(offsets, mjd, band, flux, flux_err)
    used = latest_points(curves, MAX_POINTS)
    fits = gaussian_process.fit(used)
    status = np.where(has_usable_points(curves), fits.status, np.int8(BAD_INPUT))
    columns = {name: np.full(curves.n_objects, np.nan) for name in FEATURE_NAMES}
    _fill_measured(columns, curves, status)
    grid_time = np.full((curves.n_objects, N_GRID), np.nan)
    grid_mean = np.full((curves.n_objects, _N_BANDS, N_GRID), np.nan)
    grid_sd, t_ref = np.full_like(grid_mean, np.nan), np.full(curves.n_objects, np.nan)
    fitted = np.flatnonzero(status == OK)
    if len(fitted):
        weights = gaussian_process.data_weights(used, fits)
        posterior = _posterior(used, fits, weights, fitted)
        sound = np.isfinite(posterior.grid_mean.sum(axis=(1, 2)) + posterior.peak_mean.sum(axis=(1, 2)))
        status[fitted[~sound]] = FIT_FAILED
        made = {
            **_process(used, fits, weights, fitted),
            **_peaks(used, fitted, posterior),
            **_shapes(posterior),
            **_colours(used, fitted, posterior),
        }
        for name, value in made.items():
            columns[name][fitted] = np.where(sound, value, np.nan)
        t_ref[fitted] = np.where(sound, posterior.peak_time[:, 2], np.nan)
        grid_time[fitted] = posterior.grid_time - t_ref[fitted, None]
        grid_mean[fitted] = np.where(sound[:, None, None], posterior.grid_mean.transpose(0, 2, 1), np.nan)
        grid_sd[fitted] = np.where(sound[:, None, None], posterior.grid_sd.transpose(0, 2, 1), np.nan)
    values = np.column_stack([columns[name] for name in FEATURE_NAMES])
    n_used = np.where(status == OK, np.diff(used.offsets), 0)
    return Extracted(np.where(np.isfinite(values), values, np.nan), grid_time, t_ref, grid_mean, grid_sd, status, n_used)


def _fill_measured(columns: dict[str, FloatArray], curves: LightCurves, status: NDArray[np.int8]) -> None:
    """Counts and variability of all points, for every object with usable ones."""
    with np.errstate(all="ignore"):
        made = dict(zip(POINT_STATISTICS, point_statistics(curves, SIGNIFICANT_SNR).T, strict=True))
        for name in FEATURE_BANDS:
            made[f"n_{name}"] = band_counts(curves, band_index(name))
            statistics = band_statistics(curves, band_index(name))
            made.update({f"{statistic}_{name}": statistics[:, i] for i, statistic in enumerate(BAND_STATISTICS)})
    for name, value in made.items():
        columns[name] = np.where(status == BAD_INPUT, np.nan, value)


def _posterior(used: LightCurves, fits: Fits, weights: FloatArray, fitted: NDArray[np.int64]) -> _Posterior:
    """Posterior mean between the points, its peaks, and mean and deviation at the peaks, colour phases and grid."""
    first, last = used.mjd[used.offsets[fitted]], used.mjd[used.offsets[fitted + 1] - 1]
    sample_time = np.linspace(first, last, N_SAMPLES, axis=1)
    sample_mean = _means_at(used, fits, weights, fitted, sample_time)
    step = (last - first) / (N_SAMPLES - 1)
    rough = _tops(_with_sum(sample_mean)).argmax(axis=1)
    centre = np.take_along_axis(sample_time, rough, axis=1)
    fine_time = np.clip(
        centre[:, :, None] + step[:, None, None] * np.linspace(-1.0, 1.0, N_REFINED), first[:, None, None], last[:, None, None]
    )
    fine_mean = _means_at(used, fits, weights, fitted, fine_time.reshape(len(fitted), -1)).reshape(*fine_time.shape, _N_BANDS)
    peak_time = np.column_stack([_highest(fine_time[:, i], _with_sum(fine_mean[:, i])[:, :, i]) for i in range(_N_BANDS + 1)])
    colour_time = peak_time[:, -1:] + np.array(COLOUR_PHASES)
    grid_time = np.linspace(first - GRID_MARGIN, last + GRID_MARGIN, N_GRID, axis=1)
    query = np.concatenate([peak_time, colour_time, grid_time], axis=1)
    mean, sd = gaussian_process.posterior(used, fits, _query_offsets(used, fitted, query), query.ravel(), _WAVELENGTHS)
    parts = [_N_BANDS + 1, _N_BANDS + 1 + len(COLOUR_PHASES)]
    means, sds = (np.split(array.reshape(*query.shape, _N_BANDS), parts, axis=1) for array in (mean, sd))
    return _Posterior(sample_time, sample_mean, peak_time, means[0], sds[0], means[1], sds[1], grid_time, means[2], sds[2])


def _query_offsets(used: LightCurves, fitted: NDArray[np.int64], query: FloatArray) -> NDArray[np.int64]:
    """Offsets (B + 1,) that give row g of query (G, Q) to object fitted[g], and nothing to the others."""
    counts = np.zeros(used.n_objects, np.int64)
    counts[fitted] = query.shape[1]
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


def _means_at(used: LightCurves, fits: Fits, weights: FloatArray, fitted: NDArray[np.int64], time: FloatArray) -> FloatArray:
    """Posterior mean at time (G, Q) [MJD]: (G, Q, 2) [nJy]."""
    mean = gaussian_process.posterior_mean(used, fits, weights, _query_offsets(used, fitted, time), time.ravel(), _WAVELENGTHS)
    return mean.reshape(*time.shape, _N_BANDS)


def _with_sum(mean: FloatArray) -> FloatArray:
    """The bands' means and their sum: (G, Q, 2) to (G, Q, 3)."""
    return np.concatenate([mean, mean.sum(axis=2, keepdims=True)], axis=2)


def _tops(mean: FloatArray) -> FloatArray:
    """Each sample (G, Q, 3), or where it is a maximum the top of the parabola through it and its neighbours, which may lie between."""
    tops = mean.copy()
    left, middle, right = mean[:, :-2], mean[:, 1:-1], mean[:, 2:]
    bend = left - 2.0 * middle + right
    is_maximum = (middle >= left) & (middle >= right) & (bend < 0.0)
    tops[:, 1:-1] -= np.where(is_maximum, (left - right) ** 2 / (8.0 * np.where(is_maximum, bend, 1.0)), 0.0)
    return tops


def _highest(time: FloatArray, mean: FloatArray) -> FloatArray:
    """Time of the highest sample (G, Q), moved to the top of the parabola through it and its neighbours: (G,) [d]."""
    inner = np.clip(mean.argmax(axis=1), 1, mean.shape[1] - 2)
    rows = np.arange(len(mean))
    left, middle, right = (mean[rows, inner + i] for i in (-1, 0, 1))
    step = time[rows, inner + 1] - time[rows, inner]
    bend = left - 2.0 * middle + right
    even = (bend < 0.0) & np.isclose(step, time[rows, inner] - time[rows, inner - 1]) & (middle >= np.maximum(left, right))
    shift = np.where(even, 0.5 * (left - right) / np.where(even, bend, 1.0), 0.0)
    at_sample = time[rows, mean.argmax(axis=1)]
    top: FloatArray = np.where(even, time[rows, inner] + shift * step, at_sample)
    return top


def _process(used: LightCurves, fits: Fits, weights: FloatArray, fitted: NDArray[np.int64]) -> dict[str, FloatArray]:
    """Features of the fit itself: (G,) each."""
    counts = np.diff(used.offsets)
    chi2, log_err, median_err = np.empty(len(fitted)), np.empty(len(fitted)), np.empty(len(fitted))
    for g, k in enumerate(fitted):
        rows = slice(used.offsets[k], used.offsets[k + 1])
        chi2[g] = np.mean((used.flux_err[rows] * weights[rows]) ** 2)  # a residual is its squared error times its weight
        log_err[g] = np.sum(np.log(used.flux_err[rows]))
        median_err[g] = np.median(used.flux_err[rows])
    return {
        "gp_timescale": fits.timescale[fitted],
        "gp_amplitude": fits.amplitude[fitted],
        "gp_amplitude_snr": fits.amplitude[fitted] / median_err,
        "gp_nll_per_obs": -(fits.log_likelihood[fitted] + log_err) / counts[fitted],
        "gp_chi2_per_obs": chi2,
    }


def _own_peak(posterior: _Posterior) -> tuple[FloatArray, FloatArray]:
    """Flux and deviation of each band at its own peak: (G, 2), (G, 2) [nJy]."""
    bands = np.arange(_N_BANDS)
    return posterior.peak_mean[:, bands, bands], posterior.peak_sd[:, bands, bands]


def _peaks(used: LightCurves, fitted: NDArray[np.int64], posterior: _Posterior) -> dict[str, FloatArray]:
    """Height and time of the peaks: (G,) each."""
    flux, sd = _own_peak(posterior)
    clear = (flux > sd).all(axis=1)
    made = {f"peak_flux_{name}": flux[:, i] for i, name in enumerate(FEATURE_BANDS)}
    made.update({f"peak_snr_{name}": flux[:, i] / sd[:, i] for i, name in enumerate(FEATURE_BANDS)})
    made["peak_lag_gr"] = posterior.peak_time[:, 0] - posterior.peak_time[:, 1]
    made["peak_ratio_gr"] = np.where(clear, flux[:, 0] / np.where(clear, flux.sum(axis=1), 1.0), np.nan)
    made["peak_age"] = used.mjd[used.offsets[fitted + 1] - 1] - posterior.peak_time[:, 2]
    return made


def _shapes(posterior: _Posterior) -> dict[str, FloatArray]:
    """Shape of each band's peak, where it exceeds its standard deviation: (G,) each."""
    flux, sd = _own_peak(posterior)
    made = {}
    since = posterior.sample_time - posterior.sample_time[:, :1]
    for i, name in enumerate(FEATURE_BANDS):
        clear_flux = np.where(flux[:, i] > sd[:, i], flux[:, i], np.nan)
        peak_time = posterior.peak_time[:, i] - posterior.sample_time[:, 0]
        shapes = peak_shapes(since, np.ascontiguousarray(posterior.sample_mean[:, :, i]), peak_time, clear_flux, PEAK_DIP)
        made.update({f"{shape}_{name}": shapes[:, s] for s, shape in enumerate(SHAPES)})
    return made


def _colours(used: LightCurves, fitted: NDArray[np.int64], posterior: _Posterior) -> dict[str, FloatArray]:
    """Bounded, scale-free colours at fixed phases, within the grid's time span: (G,) each in [-1, 1]."""
    green, red = posterior.colour_mean[:, :, 0], posterior.colour_mean[:, :, 1]
    noise = np.sqrt(np.sum(posterior.colour_sd**2, axis=2))
    colour = (green - red) / (np.abs(green) + np.abs(red) + noise)
    time = posterior.peak_time[:, -1:] + np.array(COLOUR_PHASES)
    first, last = used.mjd[used.offsets[fitted]] - GRID_MARGIN, used.mjd[used.offsets[fitted + 1] - 1] + GRID_MARGIN
    seen = (time >= first[:, None]) & (time <= last[:, None])
    return {name: np.where(seen[:, i], colour[:, i], np.nan) for i, name in enumerate(COLOUR_NAMES)}
