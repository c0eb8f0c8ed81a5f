"""Features and posterior grids of whole light curves."""

from __future__ import annotations

import numpy as np
import pytest

from deeprubin_spark.bands import BANDS, band_index
from deeprubin_spark.kernels import gaussian_process as gp
from deeprubin_spark.kernels import gaussian_process_twin as twin
from deeprubin_spark.kernels.feature_catalogue import FeatureSet
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
from deeprubin_spark.kernels.light_curves import LightCurves, light_curves
from deeprubin_spark.kernels.observations import Context, History, Observations
from deeprubin_spark.kernels.upper_limits import UpperLimits

G, R, INFRARED = (band_index(name) for name in "gri")
PERIOD_NAMES = tuple(f.name for f in FEATURES if f.group == "period")


def extracted(curves: LightCurves) -> Extracted:
    return extract(Observations.of_curves(curves))


def of_arrays(offsets, mjd, band, flux, flux_err) -> Extracted:
    return extracted(light_curves(np.asarray(offsets), mjd, band, flux, flux_err))


def curve_of(mjd, band, flux, flux_err) -> LightCurves:
    band, flux_err = np.broadcast_to(band, np.shape(mjd)), np.broadcast_to(flux_err, np.shape(mjd))
    return light_curves(np.array([0, len(mjd)]), np.array(mjd, float), band, np.array(flux, float), flux_err)


def of_one(mjd, band, flux, flux_err) -> Extracted:
    return extracted(curve_of(mjd, band, flux, flux_err))


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


def test_the_peak_is_about_the_highest_point_of_the_plain_twins_posterior(plasticc, sample):
    fits = gp.fit(plasticc)
    for k in range(plasticc.n_objects):
        rows = slice(plasticc.offsets[k], plasticc.offsets[k + 1])
        time, process = plasticc.mjd[rows], twin.Process(fits.amplitude[k], fits.timescale[k], jitter=fits.jitter[k])
        if fits.timescale[k] < (time[-1] - time[0]) / N_GRID:
            continue  # structure below a grid step: the features are those of the cubics between the grid times
        dense = np.linspace(time[0], time[-1], 501)
        curve = (time, np.array([b.wavelength for b in BANDS])[plasticc.band[rows]], plasticc.flux[rows], plasticc.flux_err[rows])
        for name, wavelength in (("g", BANDS[G].wavelength), ("r", BANDS[R].wavelength)):
            mean, _, _ = twin.posterior(*curve, process, dense, np.full(501, wavelength))
            found = sample.values[k, FEATURE_NAMES.index(f"peak_flux_{name}")]
            assert found == pytest.approx(mean.max(), abs=0.06 * np.ptp(mean))


def test_an_object_gives_the_same_numbers_alone_and_in_a_batch(plasticc, sample):
    for k in range(plasticc.n_objects):
        rows = slice(plasticc.offsets[k], plasticc.offsets[k + 1])
        alone = of_one(plasticc.mjd[rows], plasticc.band[rows], plasticc.flux[rows], plasticc.flux_err[rows])
        np.testing.assert_array_equal(alone.values[0], sample.values[k])
        np.testing.assert_array_equal(alone.grid_mean[0], sample.grid_mean[k])
        np.testing.assert_array_equal(alone.grid_sd[0], sample.grid_sd[k])


def test_a_factor_on_flux_changes_only_the_features_that_say_so(plasticc, sample):
    factor = 2.0**-7  # exact in binary, so that nothing else can move
    fainter = of_arrays(plasticc.offsets, plasticc.mjd, plasticc.band, factor * plasticc.flux, factor * plasticc.flux_err)
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
    nobody = of_arrays(np.array([0]), np.empty(0), np.empty(0), np.empty(0), np.empty(0))
    assert nobody.values.shape == (0, len(FEATURES)) and nobody.grid_mean.shape == (0, 2, N_GRID)


def test_a_bad_object_does_not_touch_its_neighbours():
    time, flux = np.arange(0.0, 60.0, 3.0), supernova(np.arange(0.0, 60.0, 3.0), np.full(20, R))
    errors = np.full(60, 5.0)
    errors[25] = 0.0
    found = of_arrays(np.array([0, 20, 40, 60]), np.tile(58000.0 + time, 3), np.resize([G, R], 60), np.tile(flux, 3), errors)
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
        of_arrays(np.array(offsets, np.int64), np.arange(3.0), np.zeros(3, np.int8), np.ones(3), np.ones(3))


def test_limits_context_and_history_reach_their_columns(plasticc):
    n, k = plasticc.n_objects, 5
    first = plasticc.mjd[plasticc.offsets[k]]
    limits = UpperLimits(np.r_[np.zeros(k + 1), np.full(n - k, 1)], np.array([first - 3.0]), np.array([R]), np.array([77.0]))
    place = np.zeros(n), np.full(n, 66.5607089), np.full(n, 0.9), np.full(n, 0.4)
    cached = np.full((n, len(PERIOD_NAMES)), np.nan)
    cached[k] = 9.0
    cached[k, 0] = plasticc.offsets[k + 1] - plasticc.offsets[k]
    known = np.zeros(len(plasticc.mjd), np.int32)
    found = extract(Observations(plasticc, limits, Context(*place), History(known, cached)))
    plain = extracted(plasticc)
    changed = {
        FEATURE_NAMES[i]
        for i in np.flatnonzero([not np.array_equal(*pair, equal_nan=True) for pair in zip(found.values.T, plain.values.T, strict=True)])
    }
    context = {"abs_galactic_latitude", "abs_ecliptic_latitude", "star_score", "star_distance"}
    told = {"n_limits_before_r", "deepest_limit_before_r", "last_limit_before_r", "limit_gap_r", "deepest_limit_r", "rise_over_limit_r"}
    assert changed <= context | told | set(PERIOD_NAMES) and context | told <= changed
    assert found.values[k, FEATURE_NAMES.index("limit_gap_r")] == pytest.approx(3.0)
    assert found.values[k, FEATURE_NAMES.index("period")] == 9.0
    assert found.values[0, FEATURE_NAMES.index("abs_ecliptic_latitude")] == pytest.approx(57.3, abs=0.1)


def test_observations_of_different_objects_are_refused(plasticc):
    one = curve_of([58000.0], G, [1.0], 1.0)
    with pytest.raises(ValueError, match="observations: 1 objects expected"):
        Observations(one, UpperLimits.none(2), Context.unknown(1))
    with pytest.raises(ValueError, match="observations: 1 nights expected"):
        Observations(one, UpperLimits.none(1), Context.unknown(1), History(np.zeros(2, np.int32), np.zeros((1, len(PERIOD_NAMES)))))


def test_another_set_of_bands_is_another_tuple(plasticc_six_bands):
    lsst = FeatureSet("six", tuple(b.name for b in BANDS))
    found = extract(Observations.of_curves(plasticc_six_bands), lsst)
    n = plasticc_six_bands.n_objects
    assert found.values.shape == (n, len(lsst.features)) and found.grid_mean.shape == (n, 6, N_GRID)
    assert np.isfinite(found.grid_mean).all() and np.isfinite(found.values[:, lsst.names.index("mean_flux_y")]).all()
    plain = extracted(plasticc_six_bands)
    np.testing.assert_array_equal(found.grid_mean[:, 1:3], plain.grid_mean)
    own = [name for name in FEATURE_NAMES if name.endswith(("_g", "_r")) and not name.startswith(("bazin", "spm", "flare", "dip"))]
    columns = [lsst.names.index(name) for name in own], [FEATURE_NAMES.index(name) for name in own]
    np.testing.assert_array_equal(found.values[:, columns[0]], plain.values[:, columns[1]])


@pytest.mark.parametrize("factor", [1e-30, 1e-3, 3.0, 1e30])
def test_any_unit_of_flux_gives_the_same_scale_free_features(plasticc, sample, factor):
    """But for what a search ends on or a threshold decides, which rounding may move for a few objects."""
    other = of_arrays(plasticc.offsets, plasticc.mjd, plasticc.band, factor * plasticc.flux, factor * plasticc.flux_err)
    np.testing.assert_array_equal(other.status, sample.status)
    for i, f in enumerate(FEATURES):
        expected = sample.values[:, i] * (1.0 if f.scale_free else factor)
        assert (np.isfinite(expected) == np.isfinite(other.values[:, i])).mean() > 0.9, f.name
        same = np.isclose(other.values[:, i], expected, rtol=1e-4, atol=1e-6 * (1.0 if f.scale_free else factor), equal_nan=True)
        assert same.mean() > 0.85, f.name


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6])
def test_one_point_two_and_three_are_described_as_far_as_they_go(n):
    found = of_one(58000.0 + np.arange(n), np.resize([G, R], n), 100.0 + 10.0 * np.arange(n), 5.0)
    assert status(found) == ("ok" if n >= 3 else "too_few_points")
    assert feature(found, "duration") == n - 1.0 and feature(found, "n_g") + feature(found, "n_r") == n
    assert feature(found, "mean_flux_g") == 100.0 + 10.0 * np.arange(0, n, 2).mean()
    assert np.isfinite(feature(found, "last_flux_g")) == (n >= 3) and not np.isinf(found.values).any()


def test_a_pulsators_period_is_among_its_features():
    rng = np.random.default_rng(8)
    mjd = 58000.0 + np.sort(rng.uniform(0.0, 60.0, 80))
    flux = 1000.0 * np.sin(2.0 * np.pi * mjd / 0.61) + 20.0 * rng.normal(size=80)
    found = of_one(mjd, np.resize([G, R], 80), flux, 20.0)
    assert feature(found, "period") == pytest.approx(0.61, rel=1e-3) and feature(found, "period_n_known") == 80.0
    assert feature(found, "period_amplitude_r") == pytest.approx(1000.0, rel=0.05)


def test_a_supernovas_shape_is_preferred_to_a_constant():
    time = np.arange(0.0, 100.0, 1.5)
    band = np.resize([G, R], len(time))
    rng = np.random.default_rng(9)
    rise, fall = 1.0 / (1.0 + np.exp(-(time - 30.0) / 3.0)), np.exp(-(time - 30.0) / 25.0)
    found = of_one(58000.0 + time, band, 1500.0 * rise * fall + 10.0 * rng.normal(size=len(time)), 10.0)
    assert feature(found, "delta_bic_bazin") < feature(found, "delta_bic_constant") - 1000.0
    assert feature(found, "bazin_fall_time_r") == pytest.approx(25.0, rel=0.2)
