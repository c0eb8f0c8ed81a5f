"""Light curves of known models for the tests of the parametric fits: cadence, errors and noise of a survey, g and r."""

from __future__ import annotations

import numpy as np

from deeprubin_spark.bands import BANDS
from deeprubin_spark.kernels import parametric_twin as twin
from deeprubin_spark.kernels.light_curves import LightCurves, light_curves

G, R = 1, 2
WAVELENGTH = {band: BANDS[band].wavelength for band in (G, R)}
FIRST_MJD = 58849.25
Object = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # mjd, band, flux, flux_err


def cadence(rng: np.random.Generator, n_points: int, duration: float) -> tuple[np.ndarray, np.ndarray]:
    """Times since the first point on a grid of 1/1024 d, which a date can be added to without rounding, and bands in turn."""
    time = np.sort(np.round(rng.uniform(0.0, duration, n_points) * 1024.0) / 1024.0)
    return time - time[0], np.where(rng.random(n_points) < 0.5, G, R).astype(np.int8)


def observed(rng: np.random.Generator, time: np.ndarray, band: np.ndarray, flux: np.ndarray, flux_err: float) -> Object:
    errors = flux_err * rng.uniform(0.7, 1.3, len(time))
    return FIRST_MJD + time, band, flux + errors * rng.normal(size=len(time)), errors


def event(model: str, rng: np.random.Generator, n_points: int = 90, peak_snr: float = 60.0) -> tuple[Object, dict[str, float]]:
    """An object that is one of the models, 120 d long, and the parameters it was made with (t0 since the first point)."""
    time, band = cadence(rng, n_points, 120.0)
    t0, peak = rng.uniform(40.0, 60.0), 10.0 ** rng.uniform(2.5, 4.0)
    amplitude = np.where(band == G, 1.0, 0.7) * peak
    x = time - t0
    if model == "bazin":
        truth = {"rise_time": rng.uniform(2.0, 5.0), "fall_time": rng.uniform(15.0, 30.0)}
        flux = amplitude * twin.bazin(x, *truth.values()) - 0.1 * peak
    elif model == "spm":
        truth = {"plateau_time": rng.uniform(25.0, 35.0), "plateau_slope": rng.uniform(0.2, 0.6), "rise_time": 2.0, "fall_time": 12.0}
        flux = amplitude * twin.spm(x, *truth.values())
    elif model == "blackbody":
        truth = {"rise_time": 3.0, "fall_time": 25.0, "temperature_max": 15000.0, "temperature_min": 5500.0, "cooling_time": 8.0}
        wavelength = np.where(band == G, WAVELENGTH[G], WAVELENGTH[R])
        flux = 2.0 * peak * twin.blackbody(x, wavelength, *truth.values())
    elif model == "microlensing":
        truth = {"u0": rng.uniform(0.1, 0.4), "einstein_time": rng.uniform(10.0, 20.0)}
        gain = twin.microlensing(x, truth["einstein_time"], truth["u0"])
        flux = amplitude * gain / twin.microlensing(np.zeros(1), truth["einstein_time"], truth["u0"]) + 0.05 * peak
    elif model == "flare":
        truth = {"width": rng.uniform(5.0, 8.0)}  # far longer than a star's, so that the cadence resolves it
        flux = amplitude * twin.flare(x, truth["width"])
    else:
        truth = {"width": rng.uniform(15.0, 25.0), "ingress_time": rng.uniform(5.0, 10.0)}
        flux = -amplitude * twin.dip(x, truth["width"], truth["ingress_time"])
    return observed(rng, time, band, flux, peak / peak_snr), {"t0": t0, **truth}


def pulsator(rng: np.random.Generator) -> Object:
    time, band = cadence(rng, 80, 120.0)
    return observed(rng, time, band, 1000.0 * np.sin(2.0 * np.pi * time / 3.7), 30.0)


def noise(rng: np.random.Generator) -> Object:
    time, band = cadence(rng, 60, 120.0)
    return observed(rng, time, band, np.zeros(60), 30.0)


def stellar_flare(rng: np.random.Generator) -> Object:
    """One night of an hour's flare in a year of nothing."""
    time = np.sort(np.r_[np.arange(0.0, 360.0, 6.0), 150.0 + np.arange(1, 6) / 64.0])
    band = np.where(np.arange(len(time)) % 2 == 0, G, R).astype(np.int8)
    return observed(rng, time, band, 3000.0 * twin.flare(time - 150.01, 0.04), 40.0)


def together(objects: list[Object]) -> LightCurves:
    offsets = np.r_[0, np.cumsum([len(o[0]) for o in objects])].astype(np.int64)
    return light_curves(offsets, *(np.concatenate([o[i] for o in objects]) for i in range(4)))


def alone(curves: LightCurves, k: int) -> Object:
    rows = slice(curves.offsets[k], curves.offsets[k + 1])
    return curves.mjd[rows], curves.band[rows], curves.flux[rows], curves.flux_err[rows]
