"""Each parametric model's fits of the objects chosen, from starting points to parameters; the formulas stand in `parametric.py`.

Fluxes are in units of the object's scale and times are counted from its first point, as in `Segments`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.bands import BANDS, band_index
from deeprubin_spark.kernels import parametric_starts
from deeprubin_spark.kernels.light_curves import FloatArray
from deeprubin_spark.kernels.parametric_events import BAZIN, DIP, FLARE, MICROLENSING, evaluate_events
from deeprubin_spark.kernels.parametric_gate import fittable_bands, n_parameters
from deeprubin_spark.kernels.parametric_points import PEAK_FLUX, PEAK_SNR, TROUGH_FLUX, TROUGH_SNR, Segments
from deeprubin_spark.kernels.parametric_solver import Trial, minimise
from deeprubin_spark.kernels.parametric_supernovae import evaluate_blackbody, evaluate_spm

AMPLITUDE_RANGE = 10.0  # largest amplitude in units of the range of a band's points
BOLOMETRIC_RANGE = 1000.0  # the same for a bolometric flux, of which a band may see little
EVENT_STEPS, SUPERNOVA_STEPS = 5, 12  # of the search in each region: more for more parameters that can stand in for each other

Mask = NDArray[np.bool_]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Found:
    """What one model found for B objects; NaN where it was not fitted.

    values : name of a parameter to (B,), or to (B, S) where it is a band's own      chi2 : (B,) over the points of all S bands
    n_parameters : (B,) int64, 0 where not fitted
    """

    values: dict[str, FloatArray]
    chi2: FloatArray
    n_parameters: IntArray


@dataclass(frozen=True)
class BandFits:
    """Fits of T segments: object, band : (T,) int64, where each belongs."""

    object: IntArray
    band: IntArray
    best: Trial


def fit_bazin_shapes(points: Segments, wanted: Mask, needed: Mask) -> BandFits:
    """Bazin's function in each band that has enough points for it, of the objects `wanted` (B,), and in the brightest one of those `needed`."""
    chosen = fittable_bands(points, "bazin") & wanted[:, None]
    objects = np.flatnonzero(needed)
    chosen[objects, brightest_band(points)[objects]] = True
    objects, bands = np.nonzero(chosen & (points.count > 0))
    starts, low, high = parametric_starts.bazin(points.facts[objects, bands], points.duration[objects])
    evaluate = _event_problems(points, BAZIN, objects, bands[:, None])
    return BandFits(objects, bands, minimise(evaluate, starts, low, high, n_linear=2, n_short=EVENT_STEPS))


def bazin(points: Segments, wanted: Mask, shapes: BandFits) -> Found:
    """Amplitude, baseline, t0, rise and fall of each band."""
    chosen = wanted[shapes.object] & fittable_bands(points, "bazin")[shapes.object, shapes.band]
    objects, bands, best = shapes.object[chosen], shapes.band[chosen], shapes.best
    t0, rise, fall = best.parameters[chosen].T
    amplitude, baseline = best.linear[chosen].T
    rise_time = 1.0 / (np.exp(-rise) + np.exp(-fall))
    columns = {"amplitude": amplitude, "baseline": baseline, "t0": t0, "rise_time": rise_time, "fall_time": np.exp(fall)}
    return _per_band(points, "bazin", objects, bands, best.chi2[chosen], amplitude, columns)


def spm(points: Segments, wanted: Mask, shapes: BandFits) -> Found:
    """Amplitude, t0, plateau, slope, rise and fall of each band, starting from its Bazin fit."""
    chosen = wanted[shapes.object] & fittable_bands(points, "spm")[shapes.object, shapes.band]
    objects, bands = shapes.object[chosen], shapes.band[chosen]
    starts, low, high = parametric_starts.spm(shapes.best.parameters[chosen], points.facts[objects, bands], points.duration[objects])
    largest = _largest_amplitude(points)[objects, bands] + AMPLITUDE_RANGE * np.abs(points.facts[objects, bands, PEAK_FLUX])
    problems = points.start[objects, bands], points.room[objects, bands], largest

    def evaluate(todo: IntArray, trial: Trial) -> None:
        evaluate_spm((points.time, points.flux, points.weight), problems, todo, trial.arrays())

    best = minimise(evaluate, starts, low, high, n_linear=2, n_short=SUPERNOVA_STEPS)
    t0, plateau, rise, fall = best.parameters.T
    amplitude = best.linear.sum(axis=1)
    columns = {
        "amplitude": amplitude,
        "t0": t0,
        "plateau_time": plateau,
        "plateau_slope": best.linear[:, 1] / amplitude,
        "rise_time": np.exp(rise),
        "fall_time": np.exp(fall),
    }
    return _per_band(points, "spm", objects, bands, best.chi2, amplitude, columns)


def blackbody(points: Segments, wanted: Mask, shapes: BandFits, bands: tuple[str, ...]) -> Found:
    """Amplitude, t0, rise, fall, temperatures and cooling time, starting from the Bazin fit of the brightest band."""
    chosen = wanted[shapes.object] & (shapes.band == brightest_band(points)[shapes.object])
    objects = shapes.object[chosen]
    starts, low, high = parametric_starts.blackbody(shapes.best.parameters[chosen], points.duration[objects])
    wavelength = np.array([BANDS[band_index(name)].wavelength for name in bands])
    highest = np.fmax(np.nanmax(points.facts[objects, :, PEAK_FLUX], axis=1), 0.0)
    problems = points.start[objects], points.room[objects], BOLOMETRIC_RANGE * highest

    def evaluate(todo: IntArray, trial: Trial) -> None:
        evaluate_blackbody((points.time, points.flux, points.weight), problems, wavelength, todo, trial.arrays())

    best = minimise(evaluate, starts, low, high, n_linear=1, n_short=SUPERNOVA_STEPS)
    t0, (rise, fall, coldest, ratio, cooling) = best.parameters[:, 0], np.exp(best.parameters[:, 1:].T)
    lag = np.log(fall / rise) * rise * fall / (rise + fall)
    amplitude = best.linear[:, 0] / (np.exp(-lag / rise) + np.exp(lag / fall))
    columns = {
        "amplitude": amplitude,
        "t0": t0,
        "rise_time": rise,
        "fall_time": fall,
        "temperature_max": coldest * ratio,
        "temperature_min": coldest,
        "cooling_time": cooling,
    }
    return _together(points, "blackbody", objects, best.chi2, columns)


def microlensing(points: Segments, wanted: Mask) -> Found:
    """Closest approach, Einstein time, t0, and each band's source flux and baseline."""
    objects, best, amplitude, baseline = _fit_events(points, wanted, MICROLENSING, brightest_band(points), parametric_starts.microlensing)
    t0, (einstein, closest) = best.parameters[:, 0], np.exp(best.parameters[:, 1:].T)
    gain = (closest**2 + 2.0) / (closest * np.sqrt(closest**2 + 4.0)) - 1.0
    columns = {"u0": closest, "einstein_time": einstein, "t0": t0, "source_flux": amplitude / gain[:, None], "baseline": baseline}
    return _together(points, "microlensing", objects, best.chi2, columns)


def flare(points: Segments, wanted: Mask) -> Found:
    """Width, t0, and each band's amplitude and baseline."""
    objects, best, amplitude, baseline = _fit_events(points, wanted, FLARE, brightest_band(points), parametric_starts.flare)
    columns = {"width": np.exp(best.parameters[:, 1]), "t0": best.parameters[:, 0], "amplitude": amplitude, "baseline": baseline}
    return _together(points, "flare", objects, best.chi2, columns)


def dip(points: Segments, wanted: Mask) -> Found:
    """Width, ingress, t0, and each band's depth and baseline."""
    objects, best, depth, baseline = _fit_events(points, wanted, DIP, deepest_band(points), parametric_starts.dip)
    t0, width = best.parameters[:, 0], np.exp(best.parameters[:, 1])
    columns = {"width": width, "ingress_time": width * np.exp(best.parameters[:, 2]), "t0": t0, "depth": depth, "baseline": baseline}
    return _together(points, "dip", objects, best.chi2, columns)


def brightest_band(points: Segments) -> IntArray:
    """(B,) column of the band whose peak is the most significant; 0 for an object without points."""
    return _first_highest(points.facts[..., PEAK_SNR])


def deepest_band(points: Segments) -> IntArray:
    """(B,) the same for the trough."""
    return _first_highest(-points.facts[..., TROUGH_SNR])


def _first_highest(values: FloatArray) -> IntArray:
    highest: IntArray = np.where(np.isnan(values), -np.inf, values).argmax(axis=1)
    return highest


def _largest_amplitude(points: Segments) -> FloatArray:
    """(B, S), 0 for a segment of no points."""
    spread = points.facts[..., PEAK_FLUX] - points.facts[..., TROUGH_FLUX]
    return np.where(points.count > 0, AMPLITUDE_RANGE * spread, 0.0)


def _event_problems(points: Segments, shape: int, objects: IntArray, bands: IntArray) -> Callable[[IntArray, Trial], None]:
    """Evaluation of problems that fit the segments (objects[t], bands[t]); bands (T, S)."""
    rows = objects[:, None], bands
    place = points.start[rows], points.room[rows]
    problems = (*place, points.mean[rows], points.constant_chi2[rows], _largest_amplitude(points)[rows])

    def evaluate(todo: IntArray, trial: Trial) -> None:
        evaluate_events(shape, (points.time, points.flux, points.weight), problems, todo, trial.arrays())

    return evaluate


def _fit_events(
    points: Segments,
    wanted: Mask,
    shape: int,
    guide: IntArray,
    start: Callable[[FloatArray, FloatArray], parametric_starts.Box],
) -> tuple[IntArray, Trial, FloatArray, FloatArray]:
    """One shape in all bands at once, starting from the facts of the band `guide` (B,): objects (T,), fits, amplitudes and baselines (T, S)."""
    objects = np.flatnonzero(wanted)
    n_bands = points.count.shape[1]
    starts, low, high = start(points.facts[objects, guide[objects]], points.duration[objects])
    evaluate = _event_problems(points, shape, objects, np.tile(np.arange(n_bands), (len(objects), 1)))
    best = minimise(evaluate, starts, low, high, n_linear=2 * n_bands, n_short=EVENT_STEPS)
    linear = np.where(np.tile(points.count[objects] > 0, 2), best.linear, np.nan)
    return objects, best, linear[:, :n_bands], linear[:, n_bands:]


def _per_band(
    points: Segments,
    model: str,
    objects: IntArray,
    bands: IntArray,
    chi2: FloatArray,
    amplitude: FloatArray,
    columns: dict[str, FloatArray],
) -> Found:
    """Fits (T,) of segments as (B, S). The other bands of a fitted object are described by their means, as are those without an amplitude."""
    shape, is_event = points.count.shape, amplitude > 0.0
    objects, bands = objects[is_event], bands[is_event]
    values = {name: np.full(shape, np.nan) for name in columns}
    for name, column in columns.items():
        values[name][objects, bands] = column[is_event]
    each_chi2, each_k = np.where(points.count > 0, points.constant_chi2, 0.0), (points.count > 0).astype(np.int64)
    each_chi2[objects, bands], each_k[objects, bands] = chi2[is_event], n_parameters(model, np.ones(1, np.int64))
    is_fitted = np.zeros(shape[0], np.bool_)
    is_fitted[objects] = True
    return Found(values, np.where(is_fitted, each_chi2.sum(axis=1), np.nan), np.where(is_fitted, each_k.sum(axis=1), 0))


def _together(points: Segments, model: str, objects: IntArray, chi2: FloatArray, columns: dict[str, FloatArray]) -> Found:
    """Fits (T,) or (T, S) of whole objects as (B,) or (B, S)."""
    n_objects = len(points.count)
    values = {name: np.full((n_objects, *column.shape[1:]), np.nan) for name, column in columns.items()}
    for name, column in columns.items():
        values[name][objects] = column
    all_chi2, k = np.full(n_objects, np.nan), np.zeros(n_objects, np.int64)
    all_chi2[objects], k[objects] = chi2, n_parameters(model, (points.count[objects] > 0).sum(axis=1))
    return Found(values, all_chi2, k)
