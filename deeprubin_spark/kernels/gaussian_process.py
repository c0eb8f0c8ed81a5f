"""A Gaussian process in time and wavelength for every light curve: fit of its two parameters, posterior mean and standard deviation.

    cov(F(t, w), F(t', w')) = A^2 (1 + x) e^-x (1 + y) e^-y,    x = sqrt(3) |t - t'| / l,    y = sqrt(3) |w - w'| / 6000 Angstrom

Zero mean, noise diag(flux_err^2). A [nJy] is the amplitude, l [d] the timescale. Separable, unlike the isotropic kernel of avocado
(Boone 2019, arXiv:1907.04690), whose 6000 Angstrom it keeps. Algebra: Rasmussen & Williams 2006, algorithm 2.1.

Amplitude and timescale are the most probable ones under a log-normal prior on l (median 22 d, sigma_ln 1), a flat one on ln A within
a factor 1000 of the object's own flux scale, and a floor on l at twice the median gap between epochs: without it a sparse curve is fitted
as white noise. Everything is computed in units of the object's flux scale, so a factor on flux and error moves A and nothing else.
The plain twin is `gaussian_process_twin.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.bands import BANDS
from deeprubin_spark.kernels.gaussian_process_fit import BAD_INPUT, OK, TOO_FEW_POINTS, fit_objects, likelihood_objects, scale_objects
from deeprubin_spark.kernels.gaussian_process_posterior import mean_objects, posterior_objects, weight_objects
from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves, has_usable_points

WAVELENGTH_SCALE = 6000.0  # [Angstrom] Boone 2019
MIN_POINTS = 3
STATUS_NAMES: tuple[str, ...] = ("ok", "too_few_points", "bad_input", "fit_failed")
_SQRT3 = math.sqrt(3.0)
_LoopArguments = tuple[NDArray[np.int64], FloatArray, NDArray[np.int8], FloatArray, FloatArray, FloatArray]


@dataclass(frozen=True)
class Fits:
    """Most probable parameters of B objects; NaN unless status is `OK`.

    amplitude : (B,) [nJy]      timescale : (B,) [d]      log_evidence : (B,) natural log of the density of the fluxes, per nJy^n
    log_posterior : (B,) the same plus the log prior on ln l      scale : (B,) [nJy], unit of the fit      status : (B,) int8
    """

    amplitude: FloatArray
    timescale: FloatArray
    log_evidence: FloatArray
    log_posterior: FloatArray
    scale: FloatArray
    status: NDArray[np.int8]


def band_correlation(wavelengths: FloatArray) -> FloatArray:
    """(1 + y) e^-y between wavelengths (W,) [Angstrom] and the bands of `BANDS`. Returns (W, 6) float64."""
    bands = _band_wavelengths()
    y = _SQRT3 * np.abs(np.asarray(wavelengths, np.float64)[:, None] - bands) / WAVELENGTH_SCALE
    return (1.0 + y) * np.exp(-y)


def flux_scale(curves: LightCurves) -> FloatArray:
    """Unit of the fit, s^2 = sum w (F^2 + sigma^2) / sum w with w = 1 / sigma^2: never zero, and grows with flux and error alike.

    Returns (B,) [nJy]; not finite for an object without points, or whose values are not, or too unlike for double precision.
    """
    scale = np.full(curves.n_objects, np.nan)
    scale_objects(curves.offsets, curves.flux, curves.flux_err, scale)
    return scale


def fit(curves: LightCurves) -> Fits:
    """Most probable amplitude and timescale of every object. Points of one object must stand in order of time.

    Status: `too_few_points` (< 3), `bad_input` (not finite, error not positive, unknown band, times not in order), `fit_failed`
    (no covariance on the search grid can be factored).
    """
    n_objects = curves.n_objects
    scale = flux_scale(curves)
    status = np.full(n_objects, OK, np.int8)
    status[~np.isfinite(scale) | ~has_usable_points(curves)] = BAD_INPUT
    few = np.diff(curves.offsets) < MIN_POINTS
    status[few & has_usable_points(curves)] = TOO_FEW_POINTS
    found = np.full((n_objects, 4), np.nan)
    correlation = band_correlation(_band_wavelengths())
    fit_objects(curves.offsets, curves.mjd, curves.band, curves.flux, curves.flux_err, scale, correlation, status, found)
    scale = np.where(status == OK, scale, np.nan)
    unit = np.diff(curves.offsets) * np.log(scale)
    return Fits(scale * np.exp(found[:, 1]), np.exp(found[:, 0]), found[:, 2] - unit, found[:, 3] - unit, scale, status)


def log_likelihood(curves: LightCurves, amplitude: FloatArray, timescale: FloatArray) -> FloatArray:
    """Log likelihood, ln p(F | A, l) = -1/2 F^T K^-1 F - 1/2 ln |K| - n/2 ln 2 pi.

    amplitude : (B,) [nJy]      timescale : (B,) [d], both positive; points in order of time.
    Returns (B,), fluxes in nJy; NaN where K is not positive.
    """
    out = np.full(curves.n_objects, np.nan)
    correlation = band_correlation(_band_wavelengths())
    parameters = np.asarray(amplitude, np.float64), np.asarray(timescale, np.float64)
    likelihood_objects(curves.offsets, curves.mjd, curves.band, curves.flux, curves.flux_err, correlation, *parameters, out)
    return out


def data_weights(curves: LightCurves, fits: Fits) -> FloatArray:
    """Weights K^-1 F of the points in the posterior mean: (N,) [1 / nJy]; NaN where the object has no fit.

    They also hold the residuals from it: F_i - m_i = sigma_i^2 (K^-1 F)_i.
    """
    weights = np.full(len(curves.mjd), np.nan)
    weight_objects(*_arguments(curves), _parameters(fits), weights)
    return weights


def posterior_mean(
    curves: LightCurves,
    fits: Fits,
    weights: FloatArray,
    query_offsets: NDArray[np.int64],
    query_mjd: FloatArray,
    wavelengths: FloatArray,
) -> FloatArray:
    """Posterior mean at each query time and every wavelength, m = k^T K^-1 F, in O(n + Q).

    weights : (N,) of `data_weights`      query_offsets : (B + 1,) int64, object b asks at query_mjd[offsets b to b + 1 of it]
    wavelengths : (W,) [Angstrom]. Returns (Q, W) [nJy]; NaN where the object has no fit.
    """
    mean = np.full((len(query_mjd), len(wavelengths)), np.nan)
    query = np.asarray(query_offsets, np.int64), np.asarray(query_mjd, np.float64)
    points = curves.offsets, curves.mjd, curves.band, weights
    mean_objects(*points, band_correlation(wavelengths), _parameters(fits), *query, mean)
    return mean


@dataclass(frozen=True)
class Posterior:
    """Posterior of the noise-free flux: mean and standard deviation [nJy], change of the mean with time [nJy / d]; (Q, W) each."""

    mean: FloatArray
    sd: FloatArray
    slope: FloatArray


def posterior(
    curves: LightCurves, fits: Fits, query_offsets: NDArray[np.int64], query_mjd: FloatArray, wavelengths: FloatArray
) -> Posterior:
    """Posterior mean, its slope, and standard deviation of the noise-free flux; queries as in `posterior_mean`.

    m = k^T K^-1 F,    s^2 = A^2 - k^T K^-1 k,    slope by central differences over 2e-3 d
    """
    mean = np.full((len(query_mjd), len(wavelengths)), np.nan)
    sd = np.full_like(mean, np.nan)
    query = np.asarray(query_offsets, np.int64), np.asarray(query_mjd, np.float64)
    posterior_objects(*_arguments(curves), band_correlation(wavelengths), _parameters(fits), *query, mean, sd)
    weights = data_weights(curves, fits)
    later, earlier = (posterior_mean(curves, fits, weights, query[0], query[1] + step, wavelengths) for step in (1e-3, -1e-3))
    return Posterior(mean, sd, (later - earlier) / 2e-3)


def _arguments(curves: LightCurves) -> _LoopArguments:
    """What the compiled loops over objects take of the points, and the correlation between the bands."""
    return curves.offsets, curves.mjd, curves.band, curves.flux, curves.flux_err, band_correlation(_band_wavelengths())


def _parameters(fits: Fits) -> FloatArray:
    """Amplitude [nJy], timescale [d] and flux scale [nJy]: (B, 3)."""
    return np.column_stack([fits.amplitude, fits.timescale, fits.scale])


def _band_wavelengths() -> FloatArray:
    return np.array([band.wavelength for band in BANDS])
