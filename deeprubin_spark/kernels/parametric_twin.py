"""The plain twin of the parametric fits: one light curve, numpy and scipy only, straight from the formulas. The oracle of the compiled form.

    fit(model, time, flux, flux_err, wavelength, shape) -> (shape, linear, chi2)

`shape` are the non-linear parameters in the form of the compiled fits (a time [d] and logarithms), `linear` the coefficients; here all are
fitted alike by scipy's trust-region least squares with numerical derivatives. `wavelength` (n,) [Angstrom] says the band of each point.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import curve_fit

from deeprubin_spark.kernels.light_curves import FloatArray
from deeprubin_spark.kernels.parametric_starts import (
    BAZIN_TIMES,
    BLACKBODY_COLDEST,
    BLACKBODY_COOLING,
    BLACKBODY_RATIO,
    CLOSEST_APPROACH,
    DIP_INGRESS,
    DIP_WIDTH_MIN,
    EINSTEIN_TIME,
    FLARE_WIDTH,
    SPM_FALL,
    SPM_PLATEAU,
    SPM_RISE,
)

H, C, K_B, SIGMA = 6.62607015e-34, 2.99792458e18, 1.380649e-23, 5.670374419e-8  # SI, but c in Angstrom / s


def bazin(x: FloatArray, rise_time: float, fall_time: float) -> FloatArray:
    """Bazin's function of unit amplitude, e^(-x / tau_fall) / (1 + e^(-x / tau_rise)); x = t - t0 (n,), times tau_rise < tau_fall [d]."""
    shape: FloatArray = np.exp(-x / fall_time - np.logaddexp(0.0, -x / rise_time))
    return shape


def spm(x: FloatArray, plateau_time: float, slope: float, rise_time: float, fall_time: float) -> FloatArray:
    """The supernova parametric model of unit amplitude (Sanchez-Saez et al. 2021, appendix A)."""
    late = 1.0 / (1.0 + np.exp(-(x - plateau_time) / 3.0))
    plateau = (1.0 - slope * x / plateau_time) * (1.0 - late)
    decay = (1.0 - slope) * np.exp(-(x - plateau_time) / fall_time - np.logaddexp(0.0, -(x - plateau_time) / 3.0))
    shape: FloatArray = (plateau + decay) / (1.0 + np.exp(-x / rise_time))
    return shape


def blackbody(
    x: FloatArray, wavelength: FloatArray, rise: float, fall: float, t_max: float, t_min: float, cooling_time: float
) -> FloatArray:
    """Blackbody of unit amplitude: pi B_nu nu_0 / (sigma T^4) times a bolometric flux whose peak is 1; wavelength (n,) [Angstrom], temperatures [K]."""
    top = np.log(fall / rise) * rise * fall / (rise + fall)
    bolometric = (np.exp(-top / rise) + np.exp(top / fall)) / (np.exp(-x / rise) + np.exp(x / fall))
    temperature = t_min + (t_max - t_min) / (1.0 + np.exp(x / cooling_time))
    frequency, speed = C / wavelength, C * 1e-10
    planck = 2.0 * H * frequency**3 / speed**2 / np.expm1(H * frequency / (K_B * temperature))
    shape: FloatArray = bolometric * np.pi * planck * (C / 6000.0) / (SIGMA * temperature**4)
    return shape


def microlensing(x: FloatArray, einstein_time: float, u0: float) -> FloatArray:
    """Magnification minus one of a point source by a point lens (Paczynski 1986)."""
    u = np.sqrt(u0**2 + (x / einstein_time) ** 2)
    gain: FloatArray = (u**2 + 2.0) / (u * np.sqrt(u**2 + 4.0)) - 1.0
    return gain


def flare(x: FloatArray, width: float) -> FloatArray:
    """Davenport's flare of unit peak; the decay is raised by 0.8 % to meet the rise."""
    s = x / width
    rise = 1.0 + 1.941 * s - 0.175 * s**2 - 2.246 * s**3 - 1.125 * s**4
    after = np.maximum(s, 0.0)
    decay = (0.6890 * np.exp(-1.600 * after) + 0.3030 * np.exp(-0.2783 * after)) / (0.6890 + 0.3030)
    return np.where(s >= 0.0, decay, np.where(s > -1.0, rise, 0.0))


def dip(x: FloatArray, width: float, ingress_time: float) -> FloatArray:
    """A trapezoid of unit depth: what it takes away."""
    return np.clip(0.5 + (0.5 * width - np.abs(x)) / ingress_time, 0.0, 1.0)


def model_flux(model: str, time: FloatArray, wavelength: FloatArray, shape: FloatArray, linear: FloatArray) -> FloatArray:
    """Flux (n,) of a model. linear : amplitude and baseline, of every band in order of wavelength; spm: amplitude, slope; blackbody: amplitude."""
    x, p = time - shape[0], np.exp(shape[1:])
    if model == "spm":
        spm_flux: FloatArray = linear[0] * spm(x, shape[1], linear[1], p[1], p[2])
        return spm_flux
    if model == "blackbody":
        blackbody_flux: FloatArray = linear[0] * blackbody(x, wavelength, p[0], p[1], p[2] * p[3], p[2], p[4])
        return blackbody_flux
    of_event: dict[str, Callable[[], FloatArray]] = {
        "bazin": lambda: bazin(x, 1.0 / (1.0 / p[0] + 1.0 / p[1]), p[1]),
        "microlensing": lambda: microlensing(x, p[0], p[1]) / microlensing(np.zeros(1), p[0], p[1]),
        "flare": lambda: flare(x, p[0]),
        "dip": lambda: -dip(x, p[0], p[0] * p[1]),
    }
    slot = np.searchsorted(np.unique(wavelength), wavelength)
    amplitude, baseline = np.split(linear, 2)
    flux: FloatArray = amplitude[slot] * of_event[model]() + baseline[slot]
    return flux


def shape_limits(model: str, duration: float) -> FloatArray:
    """Bounds (2, P) of the non-linear parameters, for points that span `duration` [d]."""
    margin = max(duration, 10.0)
    times: dict[str, list[tuple[float, float]]] = {
        "bazin": [BAZIN_TIMES, BAZIN_TIMES],
        "spm": [SPM_PLATEAU, SPM_RISE, SPM_FALL],
        "blackbody": [BAZIN_TIMES, BAZIN_TIMES, BLACKBODY_COLDEST, BLACKBODY_RATIO, BLACKBODY_COOLING],
        "microlensing": [EINSTEIN_TIME, CLOSEST_APPROACH],
        "flare": [FLARE_WIDTH],
        "dip": [(DIP_WIDTH_MIN, max(duration, 2.0 * DIP_WIDTH_MIN)), DIP_INGRESS],
    }
    t0 = (0.0, max(duration, 1e-6)) if model == "dip" else (-margin, duration + margin)
    limits = np.log(times[model])
    if model == "spm":
        limits[0] = SPM_PLATEAU  # the only time that is not a logarithm
    return np.array([t0, *limits]).T


def fit(
    model: str, time: FloatArray, flux: FloatArray, flux_err: FloatArray, wavelength: FloatArray, shape: FloatArray, largest: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """Least squares from the non-linear parameters `shape` on. largest : of each amplitude. RuntimeError where scipy gives up."""
    n_shape, n_bands = len(shape), len(np.unique(wavelength))
    amplitudes = {"spm": ([0.0, 0.0], [largest[0], 1.0]), "blackbody": ([0.0], [largest[0]])}
    of_event = [0.0] * n_bands + [-np.inf] * n_bands, [*largest, *[np.inf] * n_bands]
    low, high = amplitudes.get(model, of_event)
    limits = shape_limits(model, time.max())
    bounds = np.concatenate([limits, [low, high]], axis=1)
    peak = np.abs(flux).max()
    middle = {"spm": [peak, 0.3], "blackbody": [2.0 * peak]}.get(model, [np.ptp(flux)] * n_bands + [np.median(flux)] * n_bands)
    start = np.clip([*shape, *middle], bounds[0], np.minimum(bounds[1], np.finfo(float).max))

    def predicted(_: FloatArray, *theta: float) -> FloatArray:
        return model_flux(model, time, wavelength, np.array(theta[:n_shape]), np.array(theta[n_shape:]))

    with np.errstate(over="ignore", under="ignore"):
        best, _ = curve_fit(predicted, time, flux, start, sigma=flux_err, absolute_sigma=True, bounds=bounds, max_nfev=2000)
        chi2 = float(np.sum(((flux - predicted(time, *best)) / flux_err) ** 2))
    return best[:n_shape], best[n_shape:], chi2
