"""The periodogram kernel against its plain twin, astropy and light-curve."""

from __future__ import annotations

import light_curve
import numpy as np
import pytest
from astropy.timeseries import LombScargle

from deeprubin_spark.kernels.band_groups import MIN_BAND_POINTS, BandGroups, band_groups
from deeprubin_spark.kernels.light_curves import LightCurves, light_curves
from deeprubin_spark.kernels.periodogram import frequency_grids, highest_peaks, log10_false_alarm, periodogram, plain_power


def groups(curves: LightCurves, softening: float = 0.0) -> BandGroups:
    return band_groups(curves, np.arange(curves.n_objects), softening)


def of_one(mjd, band, flux, flux_err) -> LightCurves:
    band, flux_err = np.broadcast_to(band, np.shape(mjd)), np.broadcast_to(flux_err, np.shape(mjd))
    return light_curves(np.array([0, len(mjd)]), mjd, band, flux, flux_err)


def pulsators(n_objects: int, n_points: int, span: float, seed: int) -> tuple[LightCurves, np.ndarray]:
    """Sawtooth-like stars in g and r, and their frequencies [1/d]."""
    rng = np.random.default_rng(seed)
    frequency = rng.uniform(0.5, 5.0, n_objects)
    mjd = 58000.0 + np.sort(rng.uniform(0.0, span, (n_objects, n_points)), axis=1)
    band = rng.integers(1, 3, mjd.shape)
    phase = 2.0 * np.pi * frequency[:, None] * (mjd - 58000.0)
    flux = np.where(band == 1, 1000.0, 700.0) * (np.sin(phase) + 0.4 * np.sin(2.0 * phase + 1.0))
    flux_err = rng.uniform(40.0, 120.0, mjd.shape)
    flux += flux_err * rng.normal(size=mjd.shape)
    offsets = np.arange(n_objects + 1) * n_points
    return light_curves(offsets, mjd.ravel(), band.ravel(), flux.ravel(), flux_err.ravel()), frequency


def astropy_power(curves: LightCurves, k: int, frequency: np.ndarray) -> np.ndarray:
    """Chi-squared reductions of astropy's exact periodogram with a floating mean, summed over bands."""
    rows = slice(curves.offsets[k], curves.offsets[k + 1])
    total, removed = 0.0, np.zeros(len(frequency))
    for b in range(6):
        own = curves.band[rows] == b
        if own.sum() < MIN_BAND_POINTS:
            continue
        t, y, e = curves.mjd[rows][own], curves.flux[rows][own], curves.flux_err[rows][own]
        chi2 = np.sum(((y - np.average(y, weights=e**-2)) / e) ** 2)
        removed += chi2 * LombScargle(t, y, e, fit_mean=True).power(frequency, method="cython", normalization="standard")
        total += chi2
    return removed / total


def test_power_is_that_of_least_squares_fits_on_real_like_curves_in_six_bands(plasticc_six_bands):
    frequency = 0.013 + 0.0371 * np.arange(150)
    found = periodogram(groups(plasticc_six_bands), 0.013, 0.0371, 150)
    for k in range(plasticc_six_bands.n_objects):
        rows = slice(plasticc_six_bands.offsets[k], plasticc_six_bands.offsets[k + 1])
        c = plasticc_six_bands
        np.testing.assert_allclose(found[k], plain_power(c.mjd[rows], c.band[rows], c.flux[rows], c.flux_err[rows], frequency), atol=2e-5)


def test_power_is_astropys_exact_one():
    curves, _ = pulsators(12, 60, 700.0, 3)
    found = periodogram(groups(curves), 0.01, 5e-4, 10_000)
    for k in range(curves.n_objects):
        expected = astropy_power(curves, k, 0.01 + 5e-4 * np.arange(10_000))
        np.testing.assert_allclose(found[k], expected, atol=1e-5)
        assert found[k].argmax() == expected.argmax()


def test_many_points_and_far_frequencies_keep_the_precision():
    curves, _ = pulsators(2, 3000, 3650.0, 4)
    found = periodogram(groups(curves), 19.0, 5e-5, 2000)
    for k in range(2):
        np.testing.assert_allclose(found[k], astropy_power(curves, k, 19.0 + 5e-5 * np.arange(2000)), atol=1e-5)


def test_the_best_frequency_is_light_curves():
    curves, _ = pulsators(20, 60, 400.0, 5)
    green = curves.band == 1
    counts = np.add.reduceat(green, curves.offsets[:-1])
    values = (curves.mjd[green], curves.band[green], curves.flux[green], np.full(green.sum(), 80.0))
    one_band = light_curves(np.r_[0, np.cumsum(counts)], *values)
    frequency = np.linspace(0.0, 10.0, 10_001)[1:]
    theirs = light_curve.Periodogram(peaks=1, freqs=2.0 * np.pi * frequency, fast=False, normalization="psd")
    ours = frequency[periodogram(groups(one_band), 1e-3, 1e-3, 10_000).argmax(axis=1)]
    rows = [slice(one_band.offsets[k], one_band.offsets[k + 1]) for k in range(20)]
    periods = [theirs(one_band.mjd[own], one_band.flux[own], one_band.flux_err[own])[0] for own in rows]
    # theirs has no floating mean, so that a neighbour or, once in a while, another peak is the highest
    assert np.mean(np.abs(ours - 1.0 / np.array(periods)) < 5e-3) >= 0.9


def test_the_highest_peak_is_the_top_of_a_fine_spectrum():
    curves, truth = pulsators(10, 80, 500.0, 6)
    bands = groups(curves)
    frequency, power = highest_peaks(bands, frequency_grids(bands, 0.1, 1000.0, 5.0, 10**7), 5)
    for k in range(10):
        near = frequency[k, 0] + 1e-5 * np.arange(-30, 31)
        fine = astropy_power(curves, k, near)
        assert abs(near[fine.argmax()] - frequency[k, 0]) <= 0.05 / 500.0
        assert power[k, 0] == pytest.approx(fine.max(), abs=0.01)
    assert np.all(np.diff(power, axis=1) <= 0.0) and np.mean(np.abs(frequency[:, 0] - truth) < 1e-3) >= 0.9


def test_segments_lead_to_the_same_peak_as_the_full_grid():
    curves, _ = pulsators(20, 90, 1500.0, 7)
    bands = groups(curves)
    full, short = (frequency_grids(bands, 0.05, 1000.0, 5.0, most) for most in (10**7, 10_000))
    assert np.all(full.n_segments == 1) and np.all(short.n_segments == 9)
    ours, theirs = highest_peaks(bands, full, 3)[0], highest_peaks(bands, short, 3)[0]
    np.testing.assert_allclose(ours[:, 0], theirs[:, 0], atol=0.02 / 1500.0)


def test_a_period_of_many_segments_is_found_by_the_part_of_the_grid_that_is_in_phase():
    rng = np.random.default_rng(8)
    mjd = 58000.0 + np.sort(rng.uniform(0.0, 1500.0, 90))
    bands = groups(of_one(mjd, rng.integers(1, 3, 90), 100.0 * np.sin(2.0 * np.pi * mjd / 470.0) + rng.normal(0.0, 10.0, 90), 10.0))
    grids = frequency_grids(bands, 0.05, 1000.0, 5.0, 10_000)
    assert grids.n_segments[0] > 1
    assert 1.0 / highest_peaks(bands, grids, 1)[0][0, 0] == pytest.approx(470.0, rel=0.02)


def test_the_grid_follows_the_time_span_and_the_limits():
    bands = groups(of_one(58000.0 + np.linspace(0.0, 300.0, 40), 1, np.sin(np.arange(40.0)), 0.1))
    grids = frequency_grids(bands, 0.5, 1000.0, 5.0, 10_000)
    assert grids.step[0] == pytest.approx(1.0 / 1500.0) and grids.n_segments[0] == 1
    assert (grids.start[0], grids.end[0]) == (pytest.approx(1.0 / 600.0), 2.0)
    frequency, _ = highest_peaks(bands, grids, 200)
    inside = frequency[np.isfinite(frequency)]
    assert inside.min() >= grids.start[0] and inside.max() <= grids.end[0]


@pytest.mark.parametrize(
    "limits", [(0.0, 10.0, 5.0, 10), (2.0, 1.0, 5.0, 10), (0.1, 10.0, 0.0, 10), (0.1, 10.0, 5.0, 0), (np.nan, 1.0, 5.0, 9)]
)
def test_limits_that_are_no_range_are_refused(limits):
    bands = groups(of_one(np.arange(9.0), 1, np.arange(9.0), 1.0))
    with pytest.raises(ValueError, match="frequency grid: 0 < min_period"):
        frequency_grids(bands, *limits)


def test_power_has_no_unit_and_no_origin_of_time():
    curves, _ = pulsators(3, 50, 300.0, 9)
    found = periodogram(groups(curves), 0.1, 0.01, 500)
    for factor in (1e-30, 1e30):
        scaled = light_curves(curves.offsets, curves.mjd, curves.band, factor * curves.flux, factor * curves.flux_err)
        np.testing.assert_allclose(periodogram(groups(scaled), 0.1, 0.01, 500), found, atol=1e-6)
    later = light_curves(curves.offsets, curves.mjd + 1234.5, curves.band, curves.flux, curves.flux_err)
    np.testing.assert_allclose(periodogram(groups(later), 0.1, 0.01, 500), found, atol=1e-6)


def test_softened_errors_leave_no_point_the_only_one_that_counts():
    curves, _ = pulsators(1, 60, 300.0, 10)
    errors = curves.flux_err.copy()
    errors[7] = 1e-6
    sharp = light_curves(curves.offsets, curves.mjd, curves.band, curves.flux, errors)
    assert groups(sharp).weight.max() > 0.999 and groups(sharp, 0.2).weight.max() < 0.3
    soft = groups(sharp, 0.2)
    for g in range(2):
        own = slice(soft.bounds[g], soft.bounds[g] + soft.counts[g])
        rows = curves.band == soft.band[g]
        y, e = curves.flux[rows], errors[rows]
        variance = e**2 + (0.2 * 1.4826 * np.median(np.abs(y - np.median(y)))) ** 2
        np.testing.assert_allclose(soft.weight[own], variance**-1 / np.sum(variance**-1), rtol=1e-12)
        np.testing.assert_allclose(soft.flux[own] * soft.scale[g], y - np.average(y, weights=variance**-1), rtol=1e-9, atol=1e-9)
    assert np.sum(soft.weight * soft.flux**2) == pytest.approx(1.0)


def test_points_of_one_instant_few_points_and_a_constant_have_no_power():
    nobody = groups(light_curves(np.array([0, 0, 3]), np.arange(3.0), np.ones(3), np.arange(3.0), np.ones(3)))
    assert np.all(periodogram(nobody, 0.1, 0.1, 70) == 0.0) and nobody.n_objects == 2
    constant = groups(of_one(np.arange(9.0), 1, np.full(9, 300.0), 1.0))
    assert len(constant.counts) == 0 and np.all(periodogram(constant, 0.1, 0.1, 5) == 0.0)
    instant = groups(of_one(np.full(9, 58000.0), 1, np.arange(9.0), 1.0))
    np.testing.assert_allclose(periodogram(instant, 0.1, 0.1, 5), 0.0, atol=1e-6)
    grids = frequency_grids(instant, 0.1, 10.0, 5.0, 100)
    assert grids.n_segments[0] == 0 and np.isnan(highest_peaks(instant, grids, 3)[0]).all()


def test_false_alarm_of_one_band_is_astropys_baluev():
    rng = np.random.default_rng(11)
    t, e = rng.uniform(0.0, 300.0, 60), rng.uniform(0.5, 1.5, 60)
    theirs = LombScargle(t, rng.normal(size=60), e)
    time_sd = np.sqrt(np.average((t - np.average(t, weights=e**-2)) ** 2, weights=e**-2))
    for power in (0.2, 0.35, 0.6, 0.9):
        expected = theirs.false_alarm_probability(power, method="baluev", maximum_frequency=4.0)
        ours = log10_false_alarm(np.array([power]), np.array([60.0]), np.array([1.0]), np.array([time_sd]), np.array([4.0]))
        assert ours[0] == pytest.approx(np.log10(expected), abs=1e-3)


def test_false_alarms_in_noise_are_as_rare_as_they_say():
    rng = np.random.default_rng(12)
    n = 400
    mjd = np.sort(rng.uniform(0.0, 60.0, (n, 40)), axis=1)
    curves = light_curves(np.arange(n + 1) * 40, mjd.ravel(), rng.integers(1, 3, n * 40), rng.normal(size=n * 40), np.ones(n * 40))
    bands = groups(curves)
    grids = frequency_grids(bands, 0.25, 1000.0, 5.0, 10**6)
    _, power = highest_peaks(bands, grids, 1)
    chance = log10_false_alarm(power[:, 0], np.full(n, 40.0), np.full(n, 2.0), mjd.std(axis=1), grids.end - grids.start)
    assert 0.05 < np.mean(chance < -1.0) < 0.13 and np.mean(chance < -2.0) < 0.03
