"""Parametric fits against their plain twin, scipy and the `light-curve` package, and against the models that the curves were made of."""

from __future__ import annotations

import tarfile
from pathlib import Path

import fastavro
import light_curve
import numpy as np
import pytest

from deeprubin_spark.bands import BANDS, ZTF_FILTER_IDS, band_index
from deeprubin_spark.kernels import parametric_starts, parametric_twin
from deeprubin_spark.kernels.light_curves import LightCurves, latest_points
from deeprubin_spark.kernels.parametric import (
    MODELS,
    PARAMETRIC_FEATURES,
    STATUS_NAMES,
    ModelFits,
    fit_models,
    fit_parametric,
    parametric_features,
    worth_fitting,
)
from deeprubin_spark.kernels.parametric_models import AMPLITUDE_RANGE, BOLOMETRIC_RANGE
from deeprubin_spark.kernels.parametric_points import PEAK_FLUX, PEAK_SNR, TROUGH_FLUX, TROUGH_SNR, segments
from deeprubin_spark.kernels.photometry import signed_flux_njy
from tests.unit.kernels.parametric_curves import FIRST_MJD, G, R, alone, event, noise, pulsator, stellar_flare, together

OK = STATUS_NAMES.index("ok")
BANDS_OF_PAIR = np.array([G, R])
WAVELENGTHS = np.array([BANDS[G].wavelength, BANDS[R].wavelength])
NAMES = [feature.name for feature in PARAMETRIC_FEATURES]


def column(values: np.ndarray, name: str) -> np.ndarray:
    return values[:, NAMES.index(name)]


def all_models(curves: LightCurves) -> np.ndarray:
    return np.ones((curves.n_objects, len(MODELS)), np.bool_)


@pytest.fixture(scope="module")
def generated() -> LightCurves:
    """Five objects of each model."""
    rng = np.random.default_rng(20)
    return together([event(model, rng)[0] for model in MODELS for _ in range(5)])


@pytest.fixture(scope="module")
def ztf() -> LightCurves:
    """The objects of one real night with at least five points in g and r: the alert's own measurement and those of its history."""
    objects = []
    archive = Path(__file__).parents[2] / "data" / "ztf" / "archive" / "ztf_public_20181129.tar.gz"
    with tarfile.open(archive) as files:
        for member in files:
            if not member.isfile():
                continue
            alert = next(fastavro.reader(files.extractfile(member)))
            points = [p for p in [*(alert["prv_candidates"] or []), alert["candidate"]] if p["magpsf"] is not None]
            points = sorted((p for p in points if ZTF_FILTER_IDS[p["fid"]] in "gr"), key=lambda p: p["jd"])
            if len(points) >= 5:
                magnitude, error = (np.array([p[name] for p in points], float) for name in ("magpsf", "sigmapsf"))
                flux = signed_flux_njy(magnitude, error, np.array([p["isdiffpos"] in ("t", "1") for p in points]))
                band = np.array([band_index(ZTF_FILTER_IDS[p["fid"]]) for p in points], np.int8)
                objects.append((np.array([p["jd"] for p in points]) - 2400000.5, band, *flux))
    assert len(objects) > 50
    return together(objects)


def model_flux(model: str, fits: ModelFits, k: int, mjd: np.ndarray, band: np.ndarray) -> np.ndarray:
    """The twin's flux for the values that a fit reports of object k; a band without a shape has its constant, or none."""
    slot = np.searchsorted(BANDS_OF_PAIR, band)
    value = {name: v[k] if v.ndim == 1 else v[k, slot] for name, v in fits.values.items()}
    x = mjd - value["t0"]
    with np.errstate(over="ignore", invalid="ignore"):
        if model == "bazin":
            return value["amplitude"] * parametric_twin.bazin(x, value["rise_time"], value["fall_time"]) + value["baseline"]
        if model == "spm":
            shape = (value[name] for name in ("plateau_time", "plateau_slope", "rise_time", "fall_time"))
            return value["amplitude"] * parametric_twin.spm(x, *shape)
        if model == "blackbody":
            shape = (value[name] for name in ("rise_time", "fall_time", "temperature_max", "temperature_min", "cooling_time"))
            return value["amplitude"] * parametric_twin.blackbody(x, WAVELENGTHS[slot], *shape)
        if model == "microlensing":
            return value["source_flux"] * parametric_twin.microlensing(x, value["einstein_time"], value["u0"]) + value["baseline"]
        if model == "flare":
            return value["amplitude"] * parametric_twin.flare(x, value["width"]) + value["baseline"]
        return value["baseline"] - value["depth"] * parametric_twin.dip(x, value["width"], value["ingress_time"])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("sample", ["generated", "plasticc", "ztf"])
def test_chi2_is_that_of_the_plain_formula_at_the_values_reported(sample, model, request):
    curves = request.getfixturevalue(sample)
    fits = fit_models(curves, all_models(curves))[model]
    fitted = np.flatnonzero(fits.status == OK)
    assert len(fitted) > 4
    for k in fitted:
        mjd, band, flux, flux_err = alone(curves, k)
        predicted = model_flux(model, fits, k, mjd, band)
        for b in (G, R):  # bands without a fit of their own are described by their mean
            rows = band == b
            if np.isnan(predicted[rows]).any():
                predicted[rows] = np.average(flux[rows], weights=flux_err[rows] ** -2.0)
        chi2 = np.sum(((flux - predicted) / flux_err) ** 2)
        signal = np.sum((flux / flux_err) ** 2)
        assert fits.chi2[k] == pytest.approx(chi2, rel=1e-5, abs=1e-9 * signal + 1e-6)
        n, k_model = len(mjd), fits.n_parameters[k]
        assert fits.n_points[k] == n
        assert fits.bic[k] == pytest.approx(chi2 + np.sum(np.log(2.0 * np.pi * flux_err**2)) + k_model * np.log(n), rel=1e-5, abs=1e-3)


def problems(curves: LightCurves, model: str):
    """What the twin needs of each problem that `model` poses: points, largest amplitudes and the first starting point."""
    points = segments(curves, BANDS_OF_PAIR)
    fits = fit_models(curves, all_models(curves))
    for k in np.flatnonzero(fits[model].status == OK):
        mjd, band, flux, flux_err = alone(curves, k)
        facts, scale = points.facts[k], points.scale[k]
        brightest = int(np.nanargmin(facts[:, TROUGH_SNR]) if model == "dip" else np.nanargmax(facts[:, PEAK_SNR]))
        rows = band == BANDS_OF_PAIR[brightest] if model in ("bazin", "spm") else np.ones(len(band), np.bool_)
        duration = np.array([mjd[-1] - mjd[0]])
        swing = AMPLITUDE_RANGE * scale * (facts[:, PEAK_FLUX] - facts[:, TROUGH_FLUX])
        largest = swing[[brightest]] if model == "bazin" else swing[np.isin(BANDS_OF_PAIR, band)]
        shape = parametric_starts.bazin(facts[[brightest]], duration)[0][0, 0, 0]
        if model == "spm":
            largest = swing[[brightest]] + AMPLITUDE_RANGE * scale * abs(facts[brightest, PEAK_FLUX])
            shape = parametric_starts.spm(shape[None], facts[[brightest]], duration)[0][0, 0, 0]
        elif model == "blackbody":
            largest = np.array([BOLOMETRIC_RANGE * scale * np.nanmax(facts[:, PEAK_FLUX])])
            shape = parametric_starts.blackbody(shape[None], duration)[0][0, 0, 0]
        elif model != "bazin":
            shape = getattr(parametric_starts, model)(facts[[brightest]], duration)[0][0, 0, 0]
        shape = shape[:2] if model == "flare" else shape
        at_fit = model_flux(model, fits[model], k, mjd, band)[rows]
        ours = np.sum(((flux[rows] - at_fit) / flux_err[rows]) ** 2)
        yield (mjd[rows] - mjd[0], flux[rows], flux_err[rows], WAVELENGTHS[band[rows] - 1], shape, largest + 1e-9 * scale), ours


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("sample", ["generated", "plasticc"])
def test_scipy_seldom_finds_a_better_fit(sample, model, request):
    curves = request.getfixturevalue(sample)
    step = 3 if sample == "generated" else 6
    chosen = together([alone(curves, k) for k in range(0, curves.n_objects, step)])
    ratios = []
    for arguments, ours in problems(chosen, model):
        if np.isnan(ours):  # a band that is its mean
            continue
        try:
            theirs = parametric_twin.fit(model, *arguments)[2]
        except RuntimeError:  # it gave up
            theirs = np.inf
        ratios.append((ours + 0.1) / (theirs + 0.1))
    assert len(ratios) >= 4
    assert np.mean(np.array(ratios) <= 1.01) >= 0.75 and np.median(ratios) <= 1.01


@pytest.mark.parametrize("sample", ["generated", "plasticc"])
def test_bazin_fits_as_well_as_the_light_curve_package(sample, request):
    """Where an event is seen, and within our bounds: it has none, and makes a step of a fall that takes longer than the survey."""
    curves = request.getfixturevalue(sample)
    theirs_fit = light_curve.BazinFit("mcmc-lmsder", mcmc_niter=1024, lmsder_niter=40)
    points = segments(curves, BANDS_OF_PAIR)
    fits = fit_models(curves, worth_fitting(curves))["bazin"]
    better = []
    for k in np.flatnonzero(np.isfinite(fits.values["t0"][:, 0])):
        mjd, band, flux, flux_err = alone(curves, k)
        rows, scale = band == G, points.scale[k]
        theirs = theirs_fit(mjd[rows] - mjd[0], flux[rows] / scale, flux_err[rows] / scale, sorted=True, check=False)
        predicted = model_flux("bazin", fits, k, mjd, band)[rows]
        ours = np.sum(((flux[rows] - predicted) / flux_err[rows]) ** 2)
        if theirs[4] < parametric_starts.BAZIN_TIMES[1]:
            better.append(ours <= 1.01 * theirs[5] * (rows.sum() - 5))
    assert len(better) >= 5 and np.mean(better) >= 0.8


def test_bazin_is_the_function_of_the_light_curve_package():
    time = np.linspace(-30.0, 90.0, 50)
    theirs = light_curve.BazinFit.model(time, np.array([3.0, 0.5, 1.0, 4.0, 20.0]))
    np.testing.assert_allclose(3.0 * parametric_twin.bazin(time - 1.0, 4.0, 20.0) + 0.5, theirs, rtol=1e-12)


def test_spm_is_villars_function_of_the_light_curve_package_far_from_the_end_of_the_plateau():
    time = np.r_[np.linspace(-30.0, 0.0, 20), np.linspace(120.0, 200.0, 20)]
    villar = light_curve.VillarFit.model(time, np.array([2.0, 0.0, -5.0, 3.0, 25.0, 0.4, 75.0]))
    np.testing.assert_allclose(2.0 * parametric_twin.spm(time + 5.0, 75.0, 0.4, 3.0, 25.0), villar, rtol=1e-6, atol=1e-9)


def test_blackbody_radiates_its_bolometric_flux():
    """The flux densities of all frequencies, integrated, are the bolometric flux: n(t) times the frequency of 6000 Angstrom."""
    wavelength = np.geomspace(100.0, 1e7, 40000)
    frequency = parametric_twin.C / wavelength
    lag = np.log(20.0 / 4.0) * 4.0 * 20.0 / 24.0
    for x, light in ((lag, 1.0), (lag + 30.0, None)):
        density = parametric_twin.blackbody(np.full(len(wavelength), x), wavelength, 4.0, 20.0, 12000.0, 5000.0, 10.0)
        total = -np.trapezoid(density, frequency) / (parametric_twin.C / 6000.0)
        shape = (np.exp(-lag / 4.0) + np.exp(lag / 20.0)) / (np.exp(-x / 4.0) + np.exp(x / 20.0))
        assert total == pytest.approx(shape if light is None else light, rel=1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_a_model_is_recovered_from_its_own_light_curves(model):
    rng = np.random.default_rng(MODELS.index(model))
    made = [event(model, rng) for _ in range(12)]
    curves = together([o for o, _ in made])
    fits = fit_models(curves, all_models(curves))[model]
    assert (fits.status == OK).all()
    assert 0.7 < np.median(fits.reduced_chi2) < 1.3 and np.mean(fits.reduced_chi2 < 1.6) > 0.9
    tolerance = {"blackbody": 0.35, "microlensing": 0.3, "spm": 0.2}.get(model, 0.12)  # those whose parameters stand in for each other
    for name in made[0][1]:
        truth = np.array([t[name] for _, t in made])
        found = fits.values[name] if fits.values[name].ndim == 1 else fits.values[name][:, 0]
        error = found - FIRST_MJD - truth if name == "t0" else (found - truth) / truth
        assert np.median(np.abs(error)) < (1.0 if name == "t0" else tolerance), name


def test_the_model_that_made_a_curve_explains_it_best():
    rng = np.random.default_rng(3)
    right = []
    for model in ("bazin", "microlensing", "flare", "dip"):
        curves = together([event(model, rng)[0] for _ in range(6)])
        fits = fit_models(curves, all_models(curves))
        bic = np.column_stack([np.nan_to_num(fits[other].bic, nan=np.inf) for other in MODELS])
        right.append(np.mean(bic.argmin(axis=1) == MODELS.index(model)))
    assert np.mean(right) >= 0.75 and min(right) >= 0.5


def test_bic_of_a_constant_is_that_of_the_means():
    mjd, band, flux, flux_err = noise(np.random.default_rng(8))
    expected = np.sum(np.log(2.0 * np.pi * flux_err**2)) + 2 * np.log(len(mjd))
    for b in (G, R):
        rows = band == b
        expected += np.sum(((flux[rows] - np.average(flux[rows], weights=flux_err[rows] ** -2.0)) / flux_err[rows]) ** 2)
    assert column(fit_parametric(together([(mjd, band, flux, flux_err)])), "bic_constant")[0] == pytest.approx(expected, rel=1e-9)


def test_a_later_date_changes_nothing(generated):
    later = LightCurves(generated.offsets, generated.mjd + 1024.0, generated.band, generated.flux, generated.flux_err)
    np.testing.assert_array_equal(fit_parametric(later), fit_parametric(generated))


@pytest.mark.parametrize("factor", [2.0**40, 2.0**-40])
def test_flux_scale_moves_fluxes_and_bic_and_nothing_else(generated, factor):
    scaled = LightCurves(generated.offsets, generated.mjd, generated.band, generated.flux * factor, generated.flux_err * factor)
    before, after = fit_parametric(generated), fit_parametric(scaled)
    n = np.diff(generated.offsets)
    for i, feature in enumerate(PARAMETRIC_FEATURES):
        if feature.unit == "nJy":
            np.testing.assert_array_equal(after[:, i], before[:, i] * factor, err_msg=feature.name)
        elif feature.name.startswith("bic_"):
            np.testing.assert_allclose(after[:, i], before[:, i] + 2 * n * np.log(factor), rtol=1e-9, err_msg=feature.name)
        else:
            np.testing.assert_array_equal(after[:, i], before[:, i], err_msg=feature.name)


@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_any_unit_of_flux_will_do(generated, factor):
    scaled = LightCurves(generated.offsets, generated.mjd, generated.band, generated.flux * factor, generated.flux_err * factor)
    found, expected = fit_parametric(scaled), fit_parametric(generated)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(column(found, "bazin_reduced_chi2"), column(expected, "bazin_reduced_chi2"), rtol=0.02)


@pytest.mark.parametrize("sample", ["generated", "plasticc", "ztf"])
def test_an_object_does_not_depend_on_its_batch(sample, request):
    curves = request.getfixturevalue(sample)
    whole = fit_parametric(curves)
    for k in range(0, curves.n_objects, 9):
        np.testing.assert_array_equal(fit_parametric(together([alone(curves, k)]))[0], whole[k])


def test_points_in_other_bands_do_not_matter(plasticc, plasticc_six_bands):
    pair = together(
        [
            tuple(values[np.isin(alone(plasticc_six_bands, k)[1], (G, R))] for values in alone(plasticc_six_bands, k))
            for k in range(plasticc_six_bands.n_objects)
        ]
    )
    found, expected = fit_parametric(plasticc_six_bands), fit_parametric(pair)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    # Only the unit of the fit, the scale of all the object's points, differs.
    np.testing.assert_allclose(column(found, "bic_constant"), column(expected, "bic_constant"), rtol=1e-9)


@pytest.mark.parametrize("bands", [("r",), ("g", "r", "i"), ("u", "g", "r", "i", "z", "y")])
def test_any_bands_can_be_fitted(plasticc_six_bands, bands):
    values = fit_parametric(plasticc_six_bands, bands)
    names = [feature.name for feature in parametric_features(bands)]
    assert values.shape == (plasticc_six_bands.n_objects, len(names)) and len(set(names)) == len(names)
    fits = fit_models(plasticc_six_bands, all_models(plasticc_six_bands), bands)
    assert (fits["bazin"].status == OK).any()
    assert (fits["blackbody"].status == OK).any() == (len(bands) > 1)  # one band has no colour
    with pytest.raises(ValueError, match="bands"):
        fit_parametric(plasticc_six_bands, ("g", "g"))


@pytest.mark.parametrize("sample", ["generated", "plasticc", "ztf"])
def test_values_are_within_the_bounds(sample, request):
    curves = request.getfixturevalue(sample)
    for model, fits in fit_models(curves, all_models(curves)).items():
        fitted = fits.status == OK
        for name, value in fits.values.items():
            assert np.isnan(value[~fitted]).all()
            known = value[np.isfinite(value)]
            if name == "plateau_slope":
                assert ((known >= 0.0) & (known <= 1.0)).all()
            elif name not in ("t0", "baseline"):
                assert (known >= 0.0).all(), (model, name)
        assert (fits.chi2[fitted] >= 0.0).all() and np.isfinite(fits.bic[fitted]).all()
        assert (fits.n_points[fitted] >= fits.n_parameters[fitted] + 2).all()
    bazin = fit_models(curves, all_models(curves))["bazin"].values
    assert not (bazin["rise_time"] > bazin["fall_time"]).any()


def test_transients_are_fitted_and_pulsators_and_noise_are_not():
    rng = np.random.default_rng(5)
    gates = dict(zip(MODELS, worth_fitting(together([event("bazin", rng)[0] for _ in range(10)])).T, strict=True))
    assert all(gates[model].mean() > 0.8 for model in ("bazin", "spm", "blackbody", "microlensing")) and not gates["flare"].any()
    assert not worth_fitting(together([pulsator(rng) for _ in range(10)])).any()
    assert not worth_fitting(together([noise(rng) for _ in range(10)])).any()
    assert worth_fitting(together([stellar_flare(rng) for _ in range(10)]))[:, MODELS.index("flare")].all()
    dips = worth_fitting(together([event("dip", rng)[0] for _ in range(10)]))
    assert dips[:, MODELS.index("dip")].mean() > 0.8 and not dips[:, MODELS.index("spm")].any()


def test_a_stellar_flare_has_the_width_of_its_night():
    curves = together([stellar_flare(np.random.default_rng(6))])
    width = column(fit_parametric(curves), "flare_width")[0]
    assert 0.02 < width < 0.08


def test_what_is_not_worth_fitting_is_missing_but_the_constant_is_not():
    values = fit_parametric(together([noise(np.random.default_rng(9))]))
    known = [name for name, value in zip(NAMES, values[0], strict=True) if np.isfinite(value)]
    assert known == ["bic_constant"]


ONE_TIME, ONE_BAND = np.full(20, 58000.0), np.full(20, G, np.int8)
RISING = 58000.0 + np.arange(20.0)
SPIKE = np.where(np.arange(20) == 10, 1e5, 0.0)
ODD = {
    "no points": (RISING[:0], ONE_BAND[:0], SPIKE[:0], SPIKE[:0]),
    "one point": (RISING[:1], ONE_BAND[:1], np.ones(1), np.ones(1)),
    "two points": (RISING[:2], ONE_BAND[:2], np.ones(2), np.ones(2)),
    "three points": (RISING[:3], ONE_BAND[:3], np.array([0.0, 9.0, 0.0]), np.ones(3)),
    "one time": (ONE_TIME, np.arange(20, dtype=np.int8) % 2 + 1, SPIKE, np.ones(20)),
    "zero flux": (RISING, np.arange(20, dtype=np.int8) % 2 + 1, np.zeros(20), np.ones(20)),
    "huge errors": (RISING, np.arange(20, dtype=np.int8) % 2 + 1, SPIKE, np.full(20, 1e12)),
    "one outlier": (RISING, np.arange(20, dtype=np.int8) % 2 + 1, SPIKE, np.ones(20)),
    "all negative": (RISING, np.arange(20, dtype=np.int8) % 2 + 1, -SPIKE - 5.0, np.ones(20)),
    "errors of all sizes": (RISING, np.arange(20, dtype=np.int8) % 2 + 1, SPIKE, np.geomspace(1e-8, 1e8, 20)),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_curves_have_a_status_and_no_exception(name):
    good = event("bazin", np.random.default_rng(1))[0]
    curves = together([good, ODD[name]])
    for fits in fit_models(curves, all_models(curves)).values():
        is_ok = fits.status == OK
        assert np.isfinite(fits.chi2[is_ok]).all() and np.isfinite(fits.bic[is_ok]).all() and np.isnan(fits.bic[~is_ok]).all()
        if len(ODD[name][0]) < 4:
            assert STATUS_NAMES[fits.status[1]] == "too_few_points"
    values = fit_parametric(curves)
    assert not np.isinf(values).any()
    np.testing.assert_array_equal(values[0], fit_parametric(together([good]))[0])


@pytest.mark.parametrize("what", ["nan flux", "zero error", "times not in order", "unknown band"])
def test_bad_points_are_a_status(what):
    mjd, band, flux, flux_err = (values.copy() for values in event("bazin", np.random.default_rng(1))[0])
    if what == "nan flux":
        flux[3] = np.nan
    elif what == "zero error":
        flux_err[3] = 0.0
    elif what == "unknown band":
        band[3] = 17
    else:
        mjd[3] = mjd[40]
    curves = together([(mjd, band, flux, flux_err)])
    assert all(STATUS_NAMES[fits.status[0]] == "bad_input" for fits in fit_models(curves, all_models(curves)).values())
    assert np.isnan(fit_parametric(curves)).all()


def test_an_empty_batch_has_no_rows():
    curves = latest_points(together([noise(np.random.default_rng(9))]), 0)
    empty = LightCurves(np.zeros(1, np.int64), *(values[:0] for values in (curves.mjd, curves.band, curves.flux, curves.flux_err)))
    assert fit_parametric(empty).shape == (0, len(PARAMETRIC_FEATURES))


def test_every_feature_says_what_it_is():
    assert len(set(NAMES)) == len(NAMES)
    assert all(feature.unit and feature.doc and feature.formula and feature.source for feature in PARAMETRIC_FEATURES)
    assert all(f"bic_{model}" in NAMES and f"{model}_reduced_chi2" in NAMES for model in MODELS)
