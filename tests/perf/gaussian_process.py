"""Fit and posterior of the Gaussian process, beside george with the same kernel, noise and prior, fitted by SciPy's L-BFGS from one start."""

from __future__ import annotations

import george
import numpy as np
from george import kernels
from numpy.typing import NDArray
from scipy.optimize import minimize

from deeprubin_spark.bands import BANDS, band_index
from deeprubin_spark.kernels import gaussian_process
from deeprubin_spark.kernels.gaussian_process import Fits, Posterior
from deeprubin_spark.kernels.gaussian_process_bounds import TIMESCALE_MAX, timescale_floor
from deeprubin_spark.kernels.gaussian_process_evidence import TIMESCALE_PRIOR_MEDIAN, TIMESCALE_PRIOR_SIGMA, WAVELENGTH_SCALE
from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves
from tests.perf.clock import cheapest
from tests.perf.light_curves import points_of, repeated, standard_mix
from tests.perf.rows import Measured, Row
from tests.perf.workplace import Workplace

N_OBJECTS, TIMES = 100, 20
SIX_BANDS = tuple(band.name for band in BANDS)
_N_GRID, _MARGIN = 64, 10.0
_LN_JITTER_SQUARED = -18.0, 1.0  # in units of the flux scale
_LN_AMPLITUDE = -7.0, 7.0


def fit_and_predict(place: Workplace) -> Measured:
    """Amplitude, timescale and jitter; then mean, deviation and slope in g and r at 64 times."""
    curves = standard_mix(N_OBJECTS)
    batch, grid = repeated(curves, TIMES), _grid(repeated(curves, TIMES))
    ours = cheapest(lambda: _posterior(batch, gaussian_process.fit(batch), grid, ("g", "r")), batch.n_objects)
    fits = gaussian_process.fit(curves)
    found: list[tuple[FloatArray, float]] = []

    def theirs() -> None:
        found[:] = [_fitted_by_george(curves, k, fits.scale[k]) for k in range(N_OBJECTS)]

    peer = cheapest(theirs, N_OBJECTS)
    return Measured(ours, batch.n_objects, peer, _accuracy(curves, fits, np.array([value for _, value in found])))


def fit_with_bands(place: Workplace) -> Measured:
    """The correlation between the bands fitted too."""
    batch = repeated(standard_mix(N_OBJECTS), TIMES)
    grid = _grid(batch)
    return Measured(
        cheapest(lambda: _posterior(batch, gaussian_process.fit_with_bands(batch), grid, ("g", "r")), batch.n_objects), batch.n_objects
    )


def six_bands(place: Workplace) -> Measured:
    """The same numbers of points in u to y, the posterior at 6 x 64 times and wavelengths."""
    batch = repeated(standard_mix(N_OBJECTS, SIX_BANDS), TIMES)
    grid = _grid(batch)
    return Measured(cheapest(lambda: _posterior(batch, gaussian_process.fit(batch), grid, SIX_BANDS), batch.n_objects), batch.n_objects)


def _grid(curves: LightCurves) -> tuple[NDArray[np.int64], FloatArray]:
    """64 times for each object, from 10 days before its first to 10 days after its last point: offsets and times."""
    first, last = curves.mjd[curves.offsets[:-1]] - _MARGIN, curves.mjd[curves.offsets[1:] - 1] + _MARGIN
    return np.arange(curves.n_objects + 1) * _N_GRID, np.linspace(first, last, _N_GRID, axis=1).ravel()


def _posterior(curves: LightCurves, fits: Fits, grid: tuple[NDArray[np.int64], FloatArray], bands: tuple[str, ...]) -> Posterior:
    return gaussian_process.posterior(curves, fits, *grid, np.array([_wavelength(name) for name in bands]))


def _wavelength(name: str) -> float:
    return BANDS[band_index(name)].wavelength


def _george(curves: LightCurves, k: int, scale: float) -> tuple[george.GP, FloatArray]:
    """The process of object k with amplitude and timescale to be set, and its fluxes in units of the scale."""
    rows = points_of(curves, k)
    wavelengths = np.array([band.wavelength for band in BANDS])[curves.band[rows]]
    in_time = kernels.Matern32Kernel(400.0, ndim=2, axes=0)
    in_wavelength = kernels.Matern32Kernel(WAVELENGTH_SCALE**2, ndim=2, axes=1)
    kernel = 1.0 * in_time * in_wavelength
    kernel.freeze_parameter("k2:metric:log_M_0_0")
    process = george.GP(kernel, white_noise=-8.0, fit_white_noise=True)
    process.compute(np.column_stack([curves.mjd[rows], wavelengths]), curves.flux_err[rows] / scale)
    return process, curves.flux[rows] / scale


def _vector(amplitude: float, timescale: float, jitter: float) -> list[float]:
    """george's parameters: ln j^2, ln(A^2 / 2) since its constants are shared by the two dimensions, ln l^2."""
    return [2.0 * np.log(max(jitter, 1e-9)), 2.0 * np.log(amplitude) - np.log(2.0), 2.0 * np.log(timescale)]


def _fitted_by_george(curves: LightCurves, k: int, scale: float) -> tuple[FloatArray, float]:
    """Its best parameters, and their log posterior in units of the scale, after predictions on the grid were made too."""
    process, flux = _george(curves, k, scale)
    rows = points_of(curves, k)

    def negative(vector: FloatArray) -> tuple[float, FloatArray]:
        process.set_parameter_vector(vector)
        z = (0.5 * vector[2] - np.log(TIMESCALE_PRIOR_MEDIAN)) / TIMESCALE_PRIOR_SIGMA
        slope = -process.grad_log_likelihood(flux, quiet=True)
        slope[2] += 0.5 * z / TIMESCALE_PRIOR_SIGMA
        return -process.log_likelihood(flux, quiet=True) + 0.5 * z * z, slope

    low, high = 2.0 * np.log(timescale_floor(curves.mjd[rows])), 2.0 * np.log(TIMESCALE_MAX)
    start = _vector(float(np.sqrt(np.mean(flux**2))), 20.0, 0.1)
    start[2] = float(np.clip(start[2], low, high))
    bounds = [_LN_JITTER_SQUARED, (2.0 * _LN_AMPLITUDE[0], 2.0 * _LN_AMPLITUDE[1]), (low, high)]
    best = minimize(negative, start, jac=True, bounds=bounds, method="L-BFGS-B")
    process.set_parameter_vector(best.x)
    _predicted(process, flux, curves.mjd[rows])
    return best.x, -float(best.fun)


def _predicted(process: george.GP, flux: FloatArray, mjd: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and variance (64, 2) on the object's grid in g and r."""
    grid = np.linspace(mjd[0] - _MARGIN, mjd[-1] + _MARGIN, _N_GRID)
    answers = [process.predict(flux, np.column_stack([grid, np.full(_N_GRID, _wavelength(b))]), return_var=True) for b in ("g", "r")]
    return np.column_stack([mean for mean, _ in answers]), np.column_stack([variance for _, variance in answers])


def _accuracy(curves: LightCurves, fits: Fits, reached: FloatArray) -> dict[str, float]:
    """Our posterior against george's at our parameters, and how often george found better ones."""
    found = _posterior(curves, fits, _grid(curves), ("g", "r"))
    mean_error, sd_error = [], []
    for k in range(curves.n_objects):
        process, flux = _george(curves, k, fits.scale[k])
        amplitude, jitter = fits.amplitude[k] / fits.scale[k], fits.jitter[k] / fits.scale[k]
        process.set_parameter_vector(_vector(amplitude, fits.timescale[k], jitter))
        mean, variance = _predicted(process, flux, curves.mjd[points_of(curves, k)])
        own = slice(k * _N_GRID, (k + 1) * _N_GRID)
        mean_error.append(np.abs(found.mean[own] / fits.scale[k] - mean).max() / np.abs(flux).max())
        sd = np.sqrt(variance * (1.0 + (mean / amplitude) ** 2) + jitter**2)  # as `gaussian_process.posterior` says
        sd_error.append(np.abs(found.sd[own] / fits.scale[k] / sd - 1.0).max())
    behind = reached - (fits.log_posterior + np.diff(curves.offsets) * np.log(fits.scale))
    return {
        "mean off by, of the peak": float(np.max(mean_error)),
        "sd off by": float(np.max(sd_error)),
        "log posterior lower by 0.1, share": float(np.mean(behind > 0.1)),
        "higher by 0.1, share": float(np.mean(behind < -0.1)),
    }


ROWS = (
    Row(
        "gp",
        "Gaussian process, fit and posterior in 2 bands x 64 times",
        "object",
        fit_and_predict,
        "george",
        40.0,
        150.0,
        most={"mean off by, of the peak": 1e-7, "log posterior lower by 0.1, share": 0.05},
    ),
    Row("gp_bands_fitted", "the same with the correlation of the bands fitted", "object", fit_with_bands),
    Row("gp_six_bands", "the same in 6 bands x 64 times", "object", six_bands),
)
