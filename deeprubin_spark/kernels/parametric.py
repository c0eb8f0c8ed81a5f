"""Parametric models of light curves, fitted to each object by least squares: what shape it has, and which explanation its points prefer.

F difference flux [nJy], t [d], x = t - t0, b a band; A, B, S, D, c linear, the rest not.

bazin         F_b = A_b e^(-x / tau_fall) / (1 + e^(-x / tau_rise)) + B_b,  each band by itself                       Bazin 2009, eq. 1
spm           F_b = A [(1 - beta x / gamma) (1 - s) + (1 - beta) e^(-(x - gamma) / tau_fall) s] / (1 + e^(-x / tau_rise)),
              s = 1 / (1 + e^(-(x - gamma) / 3 d)),  0 <= beta <= 1,  each band by itself           Villar 2019; Sanchez-Saez 2021, app. A
blackbody     F_b = A n(t) pi B_nu(T(t), lambda_b) nu_0 / (sigma T^4),  n = k / (e^(-x / tau_1) + e^(x / tau_2)) with n = 1 at its peak,
              T = T_min + (T_max - T_min) / (1 + e^(x / tau_cool)),  nu_0 = c / 6000 Angstrom,  all bands together       Russeil 2024
microlensing  F_b = S_b (M(u) - 1) + B_b,  M = (u^2 + 2) / (u sqrt(u^2 + 4)),  u^2 = u0^2 + x^2 / t_E^2                Paczynski 1986
flare         F_b = A_b f(x / width) + B_b,  f Davenport's rise from -1 to 0 and decay after 0                    Davenport 2014, eq. 1, 4
dip           F_b = B_b - D_b clip(1/2 + (W / 2 - |x|) / q, 0, 1),  W width at half depth, q <= W ingress          a trapezoid, one event

Fits are bounded (`parametric_starts.py`), amplitudes not negative and at most ten times the range of the band's points
(bolometric: a thousand times their peak). In `bazin` tau_rise < tau_fall, as it must be for a flux that vanishes long before the event. The
rise and fall of the blackbody are those of its n. Davenport's decay is raised by 0.8 % so that it meets the rise at the peak.

    BIC = chi2 + sum ln(2 pi sigma_i^2) + k ln n

over all n points in the bands asked for, sigma in nJy: -2 ln of the density of the fluxes [nJy^-n] at the best fit, plus the price of k
parameters (Schwarz 1978). It can be set against a Gaussian process of log evidence L fitted to the same points, BIC_GP = -2 L + k_GP ln n.
A band that is too sparse for `bazin` or `spm`, or does not vary, is described by its mean, one parameter, so that every BIC is about the
same points.
The plain twin is `parametric_twin.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.bands import band_index
from deeprubin_spark.kernels import parametric_models
from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves
from deeprubin_spark.kernels.parametric_catalogue import PARAMETRIC_BANDS, PARAMETRIC_FEATURES, ParametricFeature, parametric_features
from deeprubin_spark.kernels.parametric_gate import MODELS, has_enough_points, shows_event
from deeprubin_spark.kernels.parametric_models import Found
from deeprubin_spark.kernels.parametric_points import PEAK_TIME, TROUGH_TIME, Segments, segments

__all__ = [
    "MODELS",
    "PARAMETRIC_BANDS",
    "PARAMETRIC_FEATURES",
    "STATUS_NAMES",
    "ModelFits",
    "ParametricFeature",
    "fit_models",
    "fit_parametric",
    "parametric_features",
    "worth_fitting",
]

STATUS_NAMES: tuple[str, ...] = ("ok", "not_chosen", "too_few_points", "bad_input", "fit_failed")
OK, NOT_CHOSEN, TOO_FEW_POINTS, BAD_INPUT, FIT_FAILED = range(5)
_FLUXES = ("amplitude", "baseline", "source_flux", "depth")

Mask = NDArray[np.bool_]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class ModelFits:
    """One model's fits of B objects in S bands; NaN where status is not `OK`.

    values : name of a parameter to (B,), or to (B, S) where it is a band's own; fluxes in nJy, times in d, t0 in MJD, temperatures in K
    chi2, bic : (B,)      n_points, n_parameters : (B,) int64, 0 where there is no fit      status : (B,) int8, index into `STATUS_NAMES`
    """

    values: dict[str, FloatArray]
    chi2: FloatArray
    bic: FloatArray
    n_points: IntArray
    n_parameters: IntArray
    status: NDArray[np.int8]

    @property
    def reduced_chi2(self) -> FloatArray:
        """(B,) chi2 / (n_points - n_parameters)."""
        reduced: FloatArray = self.chi2 / np.maximum(self.n_points - self.n_parameters, 1)
        return reduced


def worth_fitting(curves: LightCurves, bands: tuple[str, ...] = PARAMETRIC_BANDS) -> Mask:
    """Which models an object's points could be an example of: (B, M) bool in the order of `MODELS`; see `parametric_gate.py`."""
    return _worth_fitting(segments(curves, _indices(bands)))


def fit_parametric(curves: LightCurves, bands: tuple[str, ...] = PARAMETRIC_BANDS) -> FloatArray:
    """Features (B, K) in the order of `parametric_features(bands)`, which for the default bands is `PARAMETRIC_FEATURES`.

    Points of one object must stand in order of time. A model that is not worth fitting, or whose object has too few or bad points, is NaN.
    Times of events are relative to the most significant bright point of the bands (the dip's: faint point), so no date enters.
    """
    points = segments(curves, _indices(bands))
    reference = points.first_mjd + _time_of_extremes(points)
    columns = {"bic_constant": _constant_bic(points)}
    for model, fits in _fit(points, _worth_fitting(points), bands).items():
        columns[f"bic_{model}"], columns[f"{model}_reduced_chi2"] = fits.bic, fits.reduced_chi2
        for name, value in fits.values.items():
            each_band = value.T - (reference[int(model == "dip")] if name == "t0" else 0.0)
            if value.ndim == 1:
                columns[f"{model}_{name}"] = each_band
            else:
                columns.update({f"{model}_{name}_{band}": each_band[s] for s, band in enumerate(bands)})
    return np.column_stack([columns[feature.name] for feature in parametric_features(bands)])


def fit_models(curves: LightCurves, chosen: Mask, bands: tuple[str, ...] = PARAMETRIC_BANDS) -> dict[str, ModelFits]:
    """Every parameter of the models chosen for each object: (B, M) bool in the order of `MODELS`, such as `worth_fitting` returns."""
    return _fit(segments(curves, _indices(bands)), chosen, bands)


def _indices(bands: tuple[str, ...]) -> IntArray:
    if len(set(bands)) != len(bands) or not bands:
        raise ValueError(f"bands: at least one, each once, expected; found {bands}")
    return np.array([band_index(name) for name in bands])


def _worth_fitting(points: Segments) -> Mask:
    worth: Mask = has_enough_points(points) & shows_event(points)
    return worth


def _fit(points: Segments, chosen: Mask, bands: tuple[str, ...]) -> dict[str, ModelFits]:
    """Fits of all models. `spm` and `blackbody` start from Bazin fits, which their objects get too where `bazin` was not chosen."""
    enough = has_enough_points(points)
    wanted = dict(zip(MODELS, (chosen & enough).T, strict=True))
    with np.errstate(all="ignore"):
        shapes = parametric_models.fit_bazin_shapes(points, wanted["bazin"] | wanted["spm"], wanted["blackbody"])
        found = {
            "bazin": parametric_models.bazin(points, wanted["bazin"], shapes),
            "spm": parametric_models.spm(points, wanted["spm"], shapes),
            "blackbody": parametric_models.blackbody(points, wanted["blackbody"], shapes, bands),
            "microlensing": parametric_models.microlensing(points, wanted["microlensing"]),
            "flare": parametric_models.flare(points, wanted["flare"]),
            "dip": parametric_models.dip(points, wanted["dip"]),
        }
        return {model: _finished(points, found[model], chosen[:, m], enough[:, m]) for m, model in enumerate(MODELS)}


def _finished(points: Segments, found: Found, chosen: Mask, enough: Mask) -> ModelFits:
    """The fits with BIC and status, in nJy and MJD."""
    status = np.where(np.isfinite(found.chi2), OK, FIT_FAILED)
    for code, holds in ((NOT_CHOSEN, ~chosen), (TOO_FEW_POINTS, ~enough), (BAD_INPUT, ~points.usable)):
        status = np.where(holds, code, status)
    is_ok = status == OK
    values = {}
    for name, value in found.values.items():
        scaled = value.T * points.scale if name in _FLUXES else value.T + points.first_mjd if name == "t0" else value.T
        values[name] = np.where(is_ok, scaled, np.nan).T
    n, k, chi2 = (np.where(is_ok, x, 0) for x in (points.count.sum(axis=1), found.n_parameters, found.chi2))
    bic = chi2 + points.log_norm + k * np.log(np.maximum(n, 1))
    return ModelFits(values, np.where(is_ok, chi2, np.nan), np.where(is_ok, bic, np.nan), n, k, status.astype(np.int8))


def _constant_bic(points: Segments) -> FloatArray:
    """BIC of a constant in each band: (B,), NaN for an object without points in the bands."""
    n, k = points.count.sum(axis=1), (points.count > 0).sum(axis=1)
    return np.where(n > 0, points.constant_chi2.sum(axis=1) + points.log_norm + k * np.log(np.maximum(n, 1)), np.nan)


def _time_of_extremes(points: Segments) -> FloatArray:
    """Times [d] of each object's most significant bright and faint point: (2, B)."""
    rows = np.arange(len(points.count))
    peak = points.facts[rows, parametric_models.brightest_band(points), PEAK_TIME]
    trough = points.facts[rows, parametric_models.deepest_band(points), TROUGH_TIME]
    return np.stack([peak, trough])
