"""The plain twin of the Gaussian process: one light curve, numpy only, straight from the formulas. The oracle of the compiled form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WAVELENGTH_SCALE = 6000.0  # [Angstrom]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Process:
    """amplitude, jitter [flux]      timescale [d]      wavelength_scale [Angstrom]."""

    amplitude: float
    timescale: float
    wavelength_scale: float = WAVELENGTH_SCALE
    jitter: float = 0.0


def matern32(distance: FloatArray) -> FloatArray:
    """(1 + x) e^-x with x = sqrt(3) |distance|, distance in units of its scale."""
    x = np.sqrt(3.0) * np.abs(distance)
    correlation: FloatArray = (1.0 + x) * np.exp(-x)
    return correlation


def covariance(
    time: FloatArray, wavelength: FloatArray, other_time: FloatArray, other_wavelength: FloatArray, process: Process
) -> FloatArray:
    """A^2 M(dt / l) M(dlambda / s).  (n,) [d], (n,) [Angstrom] and (m,), (m,) to (n, m) [flux^2]."""
    in_time = matern32((time[:, None] - other_time) / process.timescale)
    in_wavelength = matern32((wavelength[:, None] - other_wavelength) / process.wavelength_scale)
    found: FloatArray = process.amplitude**2 * in_time * in_wavelength
    return found


def covariance_slope(
    time: FloatArray, wavelength: FloatArray, other_time: FloatArray, other_wavelength: FloatArray, process: Process
) -> FloatArray:
    """Derivative of `covariance` by `time`: d/dt (1 + x) e^-x = -(3 / l^2) (t - t') e^-x. (n, m) [flux^2 / d]."""
    step = time[:, None] - other_time
    in_time = -3.0 / process.timescale**2 * step * np.exp(-np.sqrt(3.0) * np.abs(step) / process.timescale)
    in_wavelength = matern32((wavelength[:, None] - other_wavelength) / process.wavelength_scale)
    found: FloatArray = process.amplitude**2 * in_time * in_wavelength
    return found


def total_covariance(time: FloatArray, wavelength: FloatArray, flux_err: FloatArray, process: Process) -> FloatArray:
    """K of the measured fluxes: (n, n)."""
    return covariance(time, wavelength, time, wavelength, process) + np.diag(flux_err**2 + process.jitter**2)


def log_evidence(time: FloatArray, wavelength: FloatArray, flux: FloatArray, flux_err: FloatArray, process: Process) -> float:
    """Log evidence ln p(F | parameters); all (n,). LinAlgError where the covariance is not positive."""
    lower = np.linalg.cholesky(total_covariance(time, wavelength, flux_err, process))
    white = np.linalg.solve(lower, flux)
    return float(-0.5 * white @ white - np.log(np.diag(lower)).sum() - 0.5 * len(flux) * np.log(2.0 * np.pi))


def posterior(
    time: FloatArray,
    wavelength: FloatArray,
    flux: FloatArray,
    flux_err: FloatArray,
    process: Process,
    query_time: FloatArray,
    query_wavelength: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean and variance of the process, without widening, and slope of the mean at (q,) times and wavelengths: three (q,) arrays."""
    total = total_covariance(time, wavelength, flux_err, process)
    cross = covariance(query_time, query_wavelength, time, wavelength, process)
    weights = np.linalg.solve(total, flux)
    variance = process.amplitude**2 - np.einsum("qn,nq->q", cross, np.linalg.solve(total, cross.T))
    return cross @ weights, variance, covariance_slope(query_time, query_wavelength, time, wavelength, process) @ weights


def widened(mean: FloatArray, variance: FloatArray, process: Process) -> FloatArray:
    """Standard deviation of the source's flux: sqrt(v (1 + m^2 / A^2) + j^2)."""
    sd: FloatArray = np.sqrt(variance * (1.0 + (mean / process.amplitude) ** 2) + process.jitter**2)
    return sd


def log_prior(process: Process) -> float:
    """Log-normal priors on l (median 22 d, sigma_ln 1) and on s (6000 Angstrom, 0.5), as densities of the logarithms, without constants."""
    z, y = np.log(process.timescale / 22.0), np.log(process.wavelength_scale / WAVELENGTH_SCALE) / 0.5
    return float(-0.5 * (z * z + y * y))
