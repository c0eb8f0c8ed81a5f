"""Harmonic fits against their plain twin and astropy, and the choice among aliases."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.timeseries import LombScargle

from deeprubin_spark.kernels import harmonic_fit
from deeprubin_spark.kernels.band_groups import BandGroups, band_groups
from deeprubin_spark.kernels.harmonics import MAX_HARMONICS, Choice, choose, describe, plain_fit
from deeprubin_spark.kernels.light_curves import LightCurves, light_curves


def groups(curves: LightCurves) -> BandGroups:
    return band_groups(curves, np.arange(curves.n_objects), 0.0)


def given(frequency: list[float], n_harmonics: int) -> Choice:
    n = len(frequency)
    return Choice(np.column_stack([frequency, np.full(n, np.nan)]), np.full((n, 2), np.nan), np.full(n, n_harmonics, np.int64))


def nightly(rng: np.random.Generator, n_points: int, span: float) -> np.ndarray:
    """Times of a survey that sees a star within three hours of one hour of the night."""
    return 58000.0 + np.sort(rng.integers(0, int(span), n_points) + rng.normal(0.3, 0.06, n_points))


def curve_of(mjd, band, flux, flux_err) -> LightCurves:
    return light_curves(np.array([0, len(mjd)]), mjd, band, flux, np.broadcast_to(flux_err, np.shape(mjd)))


@pytest.mark.parametrize("n_harmonics", [1, 2, 3, 4])
def test_the_fit_is_the_plain_twins_on_real_like_curves_in_six_bands(plasticc_six_bands, n_harmonics):
    bands = groups(plasticc_six_bands)
    frequency = list(np.random.default_rng(1).uniform(0.05, 5.0, bands.n_objects))
    found = describe(bands, given(frequency, n_harmonics), np.array(frequency))
    for c in range(bands.n_objects):
        total = 0.0
        for g in range(bands.groups[c], bands.groups[c + 1]):
            own = slice(bands.bounds[g], bands.bounds[g] + bands.counts[g])
            curve = (bands.time[own], bands.flux[own], bands.weight[own])
            most = (bands.counts[g] - 1) // 4
            shown = min(most, max(n_harmonics, 3), MAX_HARMONICS)
            np.testing.assert_allclose(found.coefficients[g, : 2 * shown], plain_fit(*curve, frequency[c], shown)[0], atol=1e-8)
            assert np.all(found.coefficients[g, 2 * shown :] == 0.0)
            total += plain_fit(*curve, frequency[c], min(most, n_harmonics))[1]
        assert found.gain[c] == pytest.approx(total, abs=1e-9)


def test_one_harmonic_is_the_floating_mean_periodogram_of_astropy():
    rng = np.random.default_rng(2)
    mjd, flux, flux_err = np.sort(rng.uniform(0.0, 200.0, 60)), rng.normal(size=60), rng.uniform(0.5, 2.0, 60)
    frequency = [0.731, 1.5, 0.004]
    curves = light_curves(np.arange(4) * 60, np.tile(mjd, 3), np.ones(180), np.tile(flux, 3), np.tile(flux_err, 3))
    found = describe(groups(curves), given(frequency, 1), np.array([2.2, 0.9, 0.05]))
    theirs = LombScargle(mjd, flux, flux_err)
    for c, f in enumerate(frequency):
        at = [f, 2.0 * f, 0.5 * f, [2.2, 0.9, 0.05][c]]
        np.testing.assert_allclose(found.power[c], theirs.power(at, method="cython"), atol=1e-9)


def test_more_harmonics_are_astropys_series_where_the_ridge_is_small():
    rng = np.random.default_rng(3)
    mjd = np.sort(rng.uniform(0.0, 100.0, 2000))
    flux = np.sin(2.0 * np.pi * 1.3 * mjd) + 0.4 * np.cos(4.0 * np.pi * 1.3 * mjd) + rng.normal(0.0, 0.2, 2000)
    found = describe(groups(curve_of(mjd, np.ones(2000), flux, 0.2)), given([1.3], 3), np.array([1.3]))
    theirs = LombScargle(mjd, flux, 0.2, nterms=3).power([1.3], method="chi2")
    assert found.gain[0] == pytest.approx(theirs[0], abs=2e-4)


@pytest.mark.parametrize("period", [0.51, 0.237, 0.993, 3.7, 41.0])
def test_a_sawtooth_star_seen_at_one_hour_of_the_night_keeps_its_own_frequency_among_its_aliases(period):
    rng = np.random.default_rng(int(100 * period))
    mjd = nightly(rng, 120, 900.0)
    phase = (mjd / period) % 1.0
    flux = 500.0 * np.where(phase < 0.2, phase / 0.2, (1.0 - phase) / 0.8) + rng.normal(0.0, 10.0, 120)
    f = 1.0 / period
    peaks = np.array([[abs(f - 1.0), f + 1.0, f - 1.0 / 365.25, f, f + 1.0027379, 2.0 * f]])
    bands = groups(curve_of(mjd, rng.integers(1, 3, 120), flux, 10.0))
    chosen = choose(bands, peaks, np.array([1.0 / 900.0]), np.array([20.0]))
    assert 1.0 / chosen.frequency[0, 0] == pytest.approx(period, rel=1e-3)
    assert chosen.n_harmonics[0] >= 2 and chosen.evidence[0, 0] > chosen.evidence[0, 1]
    assert abs(chosen.frequency[0, 1] - chosen.frequency[0, 0]) > 0.5 / bands.span[0]


def eclipsing_binary(seed: int, depth: float) -> tuple[BandGroups, float]:
    """Minima of depth 1,000 and `depth` nJy, 1.84 d apart twice; noise of 30 nJy."""
    rng = np.random.default_rng(seed)
    mjd = nightly(rng, 150, 800.0)
    phase = (mjd / 1.84) % 1.0
    first, second = (np.exp(-0.5 * ((phase - centre + 0.5) % 1.0 - 0.5) ** 2 / 0.05**2) for centre in (0.0, 0.5))
    flux = -1000.0 * first - depth * second + rng.normal(0.0, 30.0, 150)
    return groups(curve_of(mjd, rng.integers(1, 3, 150), flux, 30.0)), 1.84


def test_an_eclipsing_binary_whose_sinusoid_has_half_its_period_gets_its_own():
    bands, period = eclipsing_binary(4, 600.0)
    chosen = choose(bands, np.array([[2.0 / period, 4.0 / period]]), np.array([0.01]), np.array([20.0]))
    assert 1.0 / chosen.frequency[0, 0] == pytest.approx(period, rel=1e-3) and chosen.n_harmonics[0] == 4


def test_equal_minima_are_half_a_period():
    bands, period = eclipsing_binary(5, 1000.0)
    chosen = choose(bands, np.array([[2.0 / period, 4.0 / period]]), np.array([0.01]), np.array([20.0]))
    assert 1.0 / chosen.frequency[0, 0] == pytest.approx(period / 2.0, rel=1e-3)


def test_a_slow_rise_is_a_trend_and_no_period_near_a_day():
    rng = np.random.default_rng(6)
    mjd = nightly(rng, 40, 60.0)
    flux = 1000.0 * np.exp(-0.5 * ((mjd - 58020.0) / 15.0) ** 2) + rng.normal(0.0, 10.0, 40)
    bands = groups(curve_of(mjd, rng.integers(1, 3, 40), flux, 10.0))
    span = bands.span[0]
    chosen = choose(bands, np.array([[1.0 - 1.0 / span, 1.0 + 1.0 / span, 2.0]]), np.array([0.5 / span]), np.array([20.0]))
    assert chosen.frequency[0, 0] * span < harmonic_fit.TREND_CYCLES
    assert chosen.frequency[0, 0] >= 0.5 / span


def test_a_star_that_sometimes_jumps_is_chosen_by_its_other_points():
    rng = np.random.default_rng(7)
    mjd = nightly(rng, 100, 700.0)
    flux = 300.0 * np.sin(2.0 * np.pi * mjd / 0.61) + 120.0 * np.sin(4.0 * np.pi * mjd / 0.61) + rng.normal(0.0, 15.0, 100)
    flux[::17] += 2000.0
    bands = band_groups(curve_of(mjd, np.ones(100), flux, 15.0), np.arange(1), 0.2)
    f = 1.0 / 0.61
    chosen = choose(bands, np.array([[f + 1.0, f, f - 1.0]]), np.array([0.01]), np.array([20.0]))
    assert 1.0 / chosen.frequency[0, 0] == pytest.approx(0.61, rel=1e-3)


def test_an_object_without_bands_or_peaks_has_no_choice():
    curves = light_curves(np.array([0, 2, 12]), np.arange(12.0), np.ones(12), np.sin(np.arange(12.0)), np.ones(12))
    chosen = choose(groups(curves), np.full((2, 3), np.nan), np.array([30.0, 30.0]), np.array([20.0, 20.0]))
    assert np.isnan(chosen.frequency).all() and np.all(chosen.n_harmonics == 0)
    found = describe(groups(curves), chosen, np.full(2, np.nan))
    assert np.isnan(found.gain).all() and np.isnan(found.power).all() and not found.coefficients.any()
