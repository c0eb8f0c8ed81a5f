"""The plain twin of the Gaussian process: one light curve, numpy only, straight from the formulas. The oracle of the compiled form."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WAVELENGTH_SCALE = 6000.0  # [Angstrom]

FloatArray = NDArray[np.float64]


def matern32(distance: FloatArray) -> FloatArray:
    """(1 + x) e^-x with x = sqrt(3) |distance|, distance in units of its scale."""
    x = np.sqrt(3.0) * np.abs(distance)
    correlation: FloatArray = (1.0 + x) * np.exp(-x)
    return correlation


def covariance(
    time: FloatArray, wavelength: FloatArray, other_time: FloatArray, other_wavelength: FloatArray, amplitude: float, timescale: float
) -> FloatArray:
    """A^2 M(dt / l) M(dlambda / 6000).  (n,) [d], (n,) [Angstrom] and (m,), (m,) to (n, m) [flux^2]."""
    in_time = matern32((time[:, None] - other_time) / timescale)
    in_wavelength = matern32((wavelength[:, None] - other_wavelength) / WAVELENGTH_SCALE)
    return amplitude**2 * in_time * in_wavelength


def log_likelihood(
    time: FloatArray, wavelength: FloatArray, flux: FloatArray, flux_err: FloatArray, amplitude: float, timescale: float
) -> float:
    """Log likelihood ln p(F | A, l); all (n,). LinAlgError where the covariance is not positive."""
    total = covariance(time, wavelength, time, wavelength, amplitude, timescale) + np.diag(flux_err**2)
    lower = np.linalg.cholesky(total)
    white = np.linalg.solve(lower, flux)
    return float(-0.5 * white @ white - np.log(np.diag(lower)).sum() - 0.5 * len(flux) * np.log(2.0 * np.pi))


def posterior(
    time: FloatArray,
    wavelength: FloatArray,
    flux: FloatArray,
    flux_err: FloatArray,
    amplitude: float,
    timescale: float,
    query_time: FloatArray,
    query_wavelength: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of the noise-free flux at (q,) times and wavelengths: two (q,) arrays."""
    total = covariance(time, wavelength, time, wavelength, amplitude, timescale) + np.diag(flux_err**2)
    cross = covariance(query_time, query_wavelength, time, wavelength, amplitude, timescale)
    mean = cross @ np.linalg.solve(total, flux)
    variance = amplitude**2 - np.einsum("qn,nq->q", cross, np.linalg.solve(total, cross.T))
    return mean, np.sqrt(variance)


def log_prior(timescale: float) -> float:
    """Log-normal prior on l (median 22 d, sigma_ln 1), as a density of ln l, without its constant."""
    return float(-0.5 * np.log(timescale / 22.0) ** 2)
