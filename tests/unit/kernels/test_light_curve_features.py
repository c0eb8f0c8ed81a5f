"""Features and posterior grids of whole light curves."""

from __future__ import annotations

import numpy as np
import pytest

from deeprubin_spark.bands import BANDS, band_index
from deeprubin_spark.kernels import gaussian_process as gp
from deeprubin_spark.kernels import gaussian_process_twin as twin
from deeprubin_spark.kernels.light_curve_features import (
    FEATURE_NAMES,
    FEATURES,
    GRID_MARGIN,
    MAX_POINTS,
    N_GRID,
    STATUS_NAMES,
    Extracted,
    extract,
)
from deeprubin_spark.kernels.light_curves import LightCurves

G, R, INFRARED = (band_index(name) for name in "gri")


def extracted(curves: LightCurves) -> Extracted:
    return extract(curves.offsets, curves.mjd, curves.band, curves.flux, curves.flux_err)


def of_one(mjd, band, flux, flux_err) -> Extracted:
    band = np.broadcast_to(band, np.shape(mjd))
    flux_err = np.broadcast_to(flux_err, np.shape(mjd))
    return extract(np.array([0, len(mjd)]), np.array(mjd, float), band, np.array(flux, float), flux_err)


def feature(found: Extracted, name: str) -> float:
    return float(found.values[0, FEATURE_NAMES.index(name)])


def status(found: Extracted) -> str:
    return STATUS_NAMES[found.status[0]]


def supernova(time: np.ndarray, band: np.ndarray) -> np.ndarray:
    """A smooth transient that peaks on day 30 at 1,000 nJy in r and 800 in g."""
    return np.where(band == G, 800.0, 1000.0) * np.exp(-0.5 * ((time - 30.0) / np.where(time < 30.0, 8.0, 16.0)) ** 2)


@pytest.fixture(scope="module")
def well_observed() -> Extracted:
    time = np.repeat(np.arange(0.0, 101.0, 2.0), 2)
    band = np.tile([G, R], 51)
    return of_one(58000.0 + time, band, supernova(time, band), 5.0)


@pytest.fixture(scope="module")
def sample(plasticc) -> Extracted:
    return extracted(plasticc)


def test_every_feature_has_a_name_of_its_own_a_unit_and_a_sentence():
    assert len(set(FEATURE_NAMES)) == len(FEATURES) >= 40
    assert all(f.unit and f.doc and f.group in ("gp", "gp_peak", "gp_shape", "gp_colour", "counts", "variability") for f in FEATURES)
    assert {f.name for f in FEATURES if not f.scale_free} == {f.name for f in FEATURES if "nJy" in f.unit}


def test_a_known_transient_is_described_as_it_is(well_observed):
    assert status(well_observed) == "ok" and well_observed.n_points_used[0] == 102
    assert well_observed.t_ref_mjd[0] == pytest.approx(58030.0, abs=1.0)
    assert feature(well_observed, "peak_flux_r") == pytest.approx(1000.0, rel=0.02)
    assert feature(well_observed, "peak_ratio_gr") == pytest.approx(0.8 / 1.8, abs=0.01)
    assert feature(well_observed, "peak_lag_gr") == pytest.approx(0.0, abs=1.0)
    assert feature(well_observed, "peak_age") == pytest.approx(70.0, abs=1.0)
    # a Gaussian of width s crosses half its height at 1.1774 s and a fifth at 1.7941 s
    assert feature(well_observed, "rise_50_r") == pytest.approx(1.1774 * 8, abs=1.0)
    assert feature(well_observed, "rise_20_g") == pytest.approx(1.7941 * 8, abs=1.0)
    assert feature(well_observed, "fall_50_g") == pytest.approx(1.1774 * 16, abs=1.0)
    assert feature(well_observed, "fall_20_r") == pytest.approx(1.7941 * 16, abs=1.0)
    assert feature(well_observed, "width_r") == pytest.approx(np.sqrt(np.pi / 2) * 24, rel=0.03)
    assert feature(well_observed, "n_peaks_r") == 1.0 and abs(feature(well_observed, "trough_r")) < 0.05
    assert feature(well_observed, "colour_gr_p0") == pytest.approx(-200.0 / 1800.0, abs=0.02)
    assert (feature(well_observed, "n_g"), feature(well_observed, "n_r"), feature(well_observed, "duration")) == (51.0, 51.0, 100.0)
    assert feature(well_observed, "max_snr") == pytest.approx(200.0)


def test_the_grid_spans_the_points_and_ten_days_more_in_equal_steps(well_observed):
    time = well_observed.grid_time[0] + well_observed.t_ref_mjd[0]
    assert time[0] == pytest.approx(58000.0 - GRID_MARGIN) and time[-1] == pytest.approx(58100.0 + GRID_MARGIN)
    np.testing.assert_allclose(np.diff(time), 120.0 / (N_GRID - 1), atol=1e-8)
    inside = (time > 58005.0) & (time < 58095.0)
    truth = supernova(time - 58000.0, np.full(N_GRID, R))
    np.testing.assert_allclose(well_observed.grid_mean[0, 1, inside], truth[inside], atol=30.0)
    assert well_observed.grid_sd[0, 1, 0] > 3.0 * well_observed.grid_sd[0, 1, N_GRID // 2]


def test_all_real_like_curves_get_a_grid_without_gaps(sample):
    assert [STATUS_NAMES[s] for s in sample.status] == ["ok"] * 28
    for array in (sample.grid_time, sample.grid_mean, sample.grid_sd, sample.t_ref_mjd):
        assert np.isfinite(array).all()
    assert (sample.grid_sd > 0).all() and (np.diff(sample.grid_time, axis=1) > 0).all()


def test_the_peak_is_the_highest_point_of_the_plain_twins_posterior(plasticc, sample):
    fits = gp.fit(plasticc)
    wavelengths = np.array([BANDS[G].wavelength, BANDS[R].wavelength])
    for k in range(plasticc.n_objects):
        rows = slice(plasticc.offsets[k], plasticc.offsets[k + 1])
        time = plasticc.mjd[rows]
        dense = np.linspace(time[0], time[-1], 4001)
        curve = (time, np.array([b.wavelength for b in BANDS])[plasticc.band[rows]], plasticc.flux[rows], plasticc.flux_err[rows])
        for b, name in enumerate("gr"):
            mean, _ = twin.posterior(*curve, fits.amplitude[k], fits.timescale[k], dense, np.full(4001, wavelengths[b]))
            found = sample.values[k, FEATURE_NAMES.index(f"peak_flux_{name}")]
            assert found >= mean.max() - 1e-3 * np.ptp(mean)
            assert found <= mean.max() + 2e-3 * np.ptp(mean)


def test_the_evidence_is_that_of_flux_in_units_of_its_error(plasticc, sample):
    fits = gp.fit(plasticc)
    for k in (0, 9, 27):
        rows = slice(plasticc.offsets[k], plasticc.offsets[k + 1])
        log_density = fits.log_evidence[k] + np.log(plasticc.flux_err[rows]).sum()
        assert sample.values[k, FEATURE_NAMES.index("gp_nll_per_obs")] == pytest.approx(-log_density / (rows.stop - rows.start))


def test_chi2_is_that_of_the_points_about_the_plain_twins_posterior(plasticc_six_bands):
    fits, found = gp.fit(plasticc_six_bands), extracted(plasticc_six_bands)
    for k in range(plasticc_six_bands.n_objects):
        rows = slice(plasticc_six_bands.offsets[k], plasticc_six_bands.offsets[k + 1])
        time, flux, flux_err = plasticc_six_bands.mjd[rows], plasticc_six_bands.flux[rows], plasticc_six_bands.flux_err[rows]
        wavelength = np.array([b.wavelength for b in BANDS])[plasticc_six_bands.band[rows]]
        mean, _ = twin.posterior(time, wavelength, flux, flux_err, fits.amplitude[k], fits.timescale[k], time, wavelength)
        expected = np.mean(((flux - mean) / flux_err) ** 2)
        assert found.values[k, FEATURE_NAMES.index("gp_chi2_per_obs")] == pytest.approx(expected, rel=1e-5, abs=1e-8)


def test_an_object_gives_the_same_numbers_alone_and_in_a_batch(plasticc, sample):
    for k in range(plasticc.n_objects):
        rows = slice(plasticc.offsets[k], plasticc.offsets[k + 1])
        alone = of_one(plasticc.mjd[rows], plasticc.band[rows], plasticc.flux[rows], plasticc.flux_err[rows])
        np.testing.assert_array_equal(alone.values[0], sample.values[k])
        np.testing.assert_array_equal(alone.grid_mean[0], sample.grid_mean[k])
        np.testing.assert_array_equal(alone.grid_sd[0], sample.grid_sd[k])


def test_a_factor_on_flux_changes_only_the_features_that_say_so(plasticc, sample):
    factor = 2.0**-7  # exact in binary, so that nothing else can move
    fainter = extract(plasticc.offsets, plasticc.mjd, plasticc.band, factor * plasticc.flux, factor * plasticc.flux_err)
    for i, f in enumerate(FEATURES):
        expected = sample.values[:, i] * (1.0 if f.scale_free else factor)
        np.testing.assert_allclose(fainter.values[:, i], expected, rtol=1e-9, atol=1e-12, err_msg=f.name)
    np.testing.assert_allclose(fainter.grid_mean, factor * sample.grid_mean, rtol=1e-9)
    np.testing.assert_allclose(fainter.grid_time, sample.grid_time, atol=1e-9)


def test_other_bands_help_the_process_but_have_no_features_of_their_own():
    time = np.arange(0.0, 100.0, 4.0)
    shape = supernova(time, np.full(len(time), R))
    found = of_one(58000.0 + time, INFRARED, shape, 5.0)
    assert status(found) == "ok" and feature(found, "n_g") == feature(found, "n_r") == 0.0
    assert np.isnan(feature(found, "skew_r")) and found.t_ref_mjd[0] == pytest.approx(58030.0, abs=1.0)
    assert feature(found, "peak_flux_r") > feature(found, "peak_flux_g") > 500.0


def test_one_band_predicts_the_other_less_surely():
    time = np.arange(0.0, 100.0, 4.0)
    found = of_one(58000.0 + time, R, supernova(time, np.full(len(time), R)), 5.0)
    assert status(found) == "ok" and feature(found, "peak_snr_g") < feature(found, "peak_snr_r")
    assert np.isnan(feature(found, "amplitude_g")) and np.isfinite(feature(found, "amplitude_r"))


def test_a_source_that_only_faded_has_a_grid_but_no_peak_shape():
    time = np.arange(0.0, 60.0, 3.0)
    found = of_one(58000.0 + time, np.resize([G, R], 20), np.full(20, -500.0), 10.0)
    assert status(found) == "ok" and np.isfinite(found.grid_mean).all() and (found.grid_mean[0, :, 20:40] < 0).all()
    assert all(np.isnan(feature(found, name)) for name in ("rise_50_g", "width_r", "n_peaks_g", "peak_ratio_gr"))
    assert feature(found, "positive_fraction") == 0.0 and feature(found, "significant_fraction") == 1.0


def test_points_of_one_instant_and_repeated_points_are_fitted():
    found = of_one([58000.0] * 6, [G, R, INFRARED, G, R, G], [100.0, 120.0, 90.0, 104.0, 118.0, 97.0], 5.0)
    assert status(found) == "ok" and np.isfinite(found.grid_mean).all()
    assert found.t_ref_mjd[0] == 58000.0 and feature(found, "duration") == 0.0 and np.isnan(feature(found, "maximum_slope_g"))


@pytest.mark.parametrize("flux_err", [1e-3, 1e9])
def test_errors_of_any_size_leave_numbers(flux_err):
    time = np.arange(0.0, 60.0, 3.0)
    found = of_one(58000.0 + time, np.resize([G, R], 20), supernova(time, np.full(20, R)), flux_err)
    assert status(found) == "ok" and np.isfinite(found.grid_mean).all() and np.isfinite(found.grid_sd).all()


def test_a_constant_flux_is_a_flat_posterior():
    time = np.arange(0.0, 60.0, 3.0)
    found = of_one(58000.0 + time, np.resize([G, R], 20), np.full(20, 300.0), 10.0)
    assert status(found) == "ok" and feature(found, "n_peaks_r") == 1.0
    np.testing.assert_allclose(found.grid_mean[0, :, 10:-10], 300.0, atol=15.0)


def test_few_points_are_counted_but_not_fitted():
    found = of_one([58000.0, 58003.0], [G, G], [100.0, 200.0], 5.0)
    assert status(found) == "too_few_points" and found.n_points_used[0] == 0
    assert feature(found, "n_g") == 2.0 and feature(found, "amplitude_g") == 50.0 and np.isnan(feature(found, "gp_timescale"))
    assert np.isnan(found.grid_mean).all() and np.isnan(found.t_ref_mjd).all()


def test_an_object_without_points_and_a_batch_without_objects_are_no_error():
    empty = of_one([], [], [], [])
    assert status(empty) == "too_few_points" and feature(empty, "n_g") == 0.0 and np.isnan(feature(empty, "duration"))
    nobody = extract(np.array([0]), np.empty(0), np.empty(0), np.empty(0), np.empty(0))
    assert nobody.values.shape == (0, len(FEATURES)) and nobody.grid_mean.shape == (0, 2, N_GRID)


def test_a_bad_object_does_not_touch_its_neighbours():
    time, flux = np.arange(0.0, 60.0, 3.0), supernova(np.arange(0.0, 60.0, 3.0), np.full(20, R))
    errors = np.full(60, 5.0)
    errors[25] = 0.0
    found = extract(np.array([0, 20, 40, 60]), np.tile(58000.0 + time, 3), np.resize([G, R], 60), np.tile(flux, 3), errors)
    assert [STATUS_NAMES[s] for s in found.status] == ["ok", "bad_input", "ok"]
    assert np.isnan(found.values[1]).all()
    np.testing.assert_array_equal(found.values[0], found.values[2])


def test_of_a_long_history_the_latest_points_are_fitted_and_all_are_counted():
    rng = np.random.default_rng(9)
    mjd = 58000.0 + np.sort(rng.uniform(0.0, 1500.0, 400))
    found = of_one(mjd, np.resize([G, R], 400), rng.normal(size=400), 1.0)
    assert found.n_points_used[0] == MAX_POINTS and feature(found, "n_g") + feature(found, "n_r") == 400.0
    assert found.grid_time[0, 0] + found.t_ref_mjd[0] == pytest.approx(mjd[-MAX_POINTS] - GRID_MARGIN)
    recent = of_one(mjd[-MAX_POINTS:], np.resize([G, R], MAX_POINTS), rng.normal(size=MAX_POINTS), 1.0)
    assert recent.grid_time[0, -1] - recent.grid_time[0, 0] == pytest.approx(found.grid_time[0, -1] - found.grid_time[0, 0])


def test_an_old_bad_point_spoils_a_long_history_too():
    flux = np.zeros(300)
    flux[3] = np.nan
    assert status(of_one(58000.0 + np.arange(300.0), G, flux, 1.0)) == "bad_input"


@pytest.mark.parametrize("offsets", [[0, 2], [1, 3], [0, 2, 1, 3], []])
def test_offsets_that_do_not_fit_the_points_are_refused(offsets):
    with pytest.raises(ValueError, match="light curves: offsets"):
        extract(np.array(offsets, np.int64), np.arange(3.0), np.zeros(3, np.int8), np.ones(3), np.ones(3))
