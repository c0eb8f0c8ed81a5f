"""Parametric models of the light curves they could matter to, beside SciPy's curve_fit of the same models, one start each."""

from __future__ import annotations

import numpy as np

from deeprubin_spark.bands import BANDS, band_index
from deeprubin_spark.kernels import parametric_twin as twin
from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves
from deeprubin_spark.kernels.parametric import MODELS, fit_models, fit_parametric, worth_fitting
from deeprubin_spark.kernels.parametric_gate import BAND_PARAMETERS, SPARE_POINTS
from tests.perf.clock import cheapest
from tests.perf.light_curves import points_of, repeated, standard_mix
from tests.perf.rows import Measured, Row
from tests.perf.workplace import Workplace

N_OBJECTS, TIMES = 60, 20
_BANDS = ("g", "r")
# Where curve_fit starts from, after the time of the extreme point: the twin's non-linear parameters, usual values of such events.
_USUAL = {
    "bazin": (5.0, 30.0),
    "spm": (20.0, 5.0, 30.0),
    "blackbody": (5.0, 30.0, 5000.0, 2.0, 20.0),
    "microlensing": (20.0, 0.3),
    "flare": (0.3,),
    "dip": (5.0, 0.3),
}


def night(place: Workplace) -> Measured:
    """The mean over all objects, those that pass no gate included; curve_fit fits only those that do."""
    curves = standard_mix(N_OBJECTS)
    batch = repeated(curves, TIMES)
    ours = cheapest(lambda: fit_parametric(batch, _BANDS), batch.n_objects)
    chosen = worth_fitting(curves, _BANDS)
    reached: dict[tuple[int, str], float] = {}

    def theirs() -> None:
        for k, m in zip(*np.nonzero(chosen), strict=True):
            reached[int(k), MODELS[m]] = _chi2_of_curve_fit(curves, int(k), MODELS[m])

    peer = cheapest(theirs, N_OBJECTS)
    fits = fit_models(curves, chosen, _BANDS)
    as_good = [fits[model].chi2[k] <= 1.01 * chi2 for (k, model), chi2 in reached.items()]
    accuracy = {
        "chi2 within 1 % of curve_fit's or lower, share": float(np.mean(as_good)),
        "objects that pass a gate, share": float(np.mean(chosen.any(axis=1))),
    }
    return Measured(ours, batch.n_objects, peer, accuracy)


def _chi2_of_curve_fit(curves: LightCurves, k: int, model: str) -> float:
    """Chi-squared of a model's fit to an object: of all bands at once, or band by band, sparse bands as a constant. Infinite where SciPy gives up."""
    rows = points_of(curves, k)
    time, band, flux, error = curves.mjd[rows] - curves.mjd[rows][0], curves.band[rows], curves.flux[rows], curves.flux_err[rows]
    used = [band == band_index(name) for name in _BANDS]
    if model not in BAND_PARAMETERS:
        return _one_fit(model, time, flux, error, band)
    total = 0.0
    for own in used:
        if own.sum() >= BAND_PARAMETERS[model] + SPARE_POINTS:
            total += _one_fit(model, time[own], flux[own], error[own], band[own])
        elif own.any():
            total += float(np.sum(((flux[own] - np.average(flux[own], weights=error[own] ** -2)) / error[own]) ** 2))
    return total


def _one_fit(model: str, time: FloatArray, flux: FloatArray, error: FloatArray, band: FloatArray) -> float:
    wavelength = np.array([b.wavelength for b in BANDS])[band]
    extreme = (flux / error).argmin() if model == "dip" else (flux / error).argmax()
    limits = twin.shape_limits(model, float(time.max()))
    start = np.clip([time[extreme], *np.log(_USUAL[model])], limits[0], limits[1])
    largest = np.array([10.0 * np.ptp(flux[wavelength == w]) for w in np.unique(wavelength)])
    try:
        return twin.fit(model, time, flux, error, wavelength, start, np.maximum(largest, 1e-3))[2]
    except RuntimeError:
        return np.inf


ROWS = (
    Row(
        "parametric",
        "parametric models, all, where they could matter: a night's mean",
        "object",
        night,
        "curve_fit",
        60.0,
        20.0,
        least={"chi2 within 1 % of curve_fit's or lower, share": 0.85},
    ),
)
