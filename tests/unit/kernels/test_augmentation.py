"""A copy is what its parent would look like at another redshift, and what a survey would have measured of it."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM

from deeprubin_spark.kernels import augmentation, gaussian_process
from deeprubin_spark.kernels.augmentation import (
    Changes,
    cadences_of,
    changes,
    copies,
    is_detected,
    peak_times,
    redshifting,
    seen,
    with_noise,
)
from deeprubin_spark.kernels.counter_random import keys
from deeprubin_spark.kernels.host_features import HUBBLE, MATTER
from deeprubin_spark.kernels.light_curves import LightCurves, curves_at, light_curves
from deeprubin_spark.kernels.photometric_noise import Noise, errors_at, noise_of

GRIZ = np.array([1, 2, 3, 4])
WAVELENGTHS = {1: 4827.0, 2: 6223.0, 3: 7546.0, 4: 8691.0}


def supernova(n_objects=1, peak=50.0, brightness=20_000.0, seed=1) -> LightCurves:
    """Events in griz, 25 visits each in every band over 100 days."""
    rng = np.random.default_rng(seed)
    mjd = np.sort(np.tile(np.linspace(0.0, 100.0, 25), (n_objects, 4)) + rng.uniform(0.0, 0.2, (n_objects, 100)), axis=1)
    band = np.tile(GRIZ, (n_objects, 25))
    phase = mjd - peak
    shape = np.where(phase < 0.0, np.exp(-0.5 * (phase / 9.0) ** 2), np.exp(-phase / 25.0))
    flux = brightness * shape * (0.6 + 0.15 * band) + rng.normal(0.0, 150.0, mjd.shape)
    return light_curves(100 * np.arange(n_objects + 1), mjd.ravel(), band.ravel(), flux.ravel(), np.full(mjd.size, 150.0))


def one_change(z, new_z) -> Changes:
    stretch, factor = redshifting(np.array([z]), np.array([new_z]))
    return Changes(np.array([0]), np.array([1]), keys(1, 1), np.array([new_z]), stretch, factor)


def test_at_its_own_redshift_and_nights_a_copy_is_the_mean_of_the_process():
    parent = supernova()
    fits = gaussian_process.fit(parent)
    peak = peak_times(parent, fits)
    mean, sd = seen(parent, fits, peak, one_change(0.3, 0.3), parent, peak)
    for band, wavelength in WAVELENGTHS.items():
        found = gaussian_process.posterior(parent, fits, np.array([0, 100]), parent.mjd, np.array([wavelength]))
        chosen = parent.band == band
        np.testing.assert_allclose(mean[chosen], found.mean[chosen, 0], rtol=1e-9, atol=1e-6)
        np.testing.assert_allclose(sd[chosen], found.sd[chosen, 0], rtol=1e-9)
    assert peak[0] == pytest.approx(50.0, abs=3.0)


def test_two_steps_in_redshift_are_one():
    z = np.array([0.1, 0.4, 0.9])
    first, second, both = redshifting(z, 1.5 * z), redshifting(1.5 * z, 2.0 * z), redshifting(z, 2.0 * z)
    for a, b, c in zip(first, second, both, strict=True):
        np.testing.assert_allclose(a * b, c, rtol=1e-12)


def test_the_energy_received_falls_with_the_square_of_the_luminosity_distance():
    """Integral over time and frequency of F is (1 + z) / d_L^2 times the energy: frequencies are s times lower, times s longer."""
    cosmology = FlatLambdaCDM(HUBBLE, MATTER)
    z, new_z = 0.2, 0.6
    stretch, factor = redshifting(np.array([z]), np.array([new_z]))
    t, f = np.linspace(-60.0, 60.0, 2001), np.linspace(1.0, 20.0, 2001)

    def flux(time, frequency):
        return np.exp(-0.5 * (time / 10.0) ** 2)[:, None] * np.exp(-0.5 * ((frequency - 8.0) / 1.5) ** 2)

    def received(values):
        return np.trapezoid(np.trapezoid(values, f, axis=1), t)

    far = factor[0] * flux(t / stretch[0], f * stretch[0])
    fluence = (1.0 + z) / cosmology.luminosity_distance(z).value ** 2, (1.0 + new_z) / cosmology.luminosity_distance(new_z).value ** 2
    assert received(far) / received(flux(t, f)) == pytest.approx(fluence[1] / fluence[0], rel=1e-3)


def test_a_farther_copy_is_slower_and_shows_bluer_light():
    parent = supernova()
    fits = gaussian_process.fit(parent)
    peak = peak_times(parent, fits)
    changed = one_change(0.3, 0.56)
    s = 1.56 / 1.3
    nights = light_curves(np.array([0, 3]), np.array([190.0, 200.0, 230.0]), np.array([2, 2, 2]), np.ones(3), np.ones(3))
    mean, _ = seen(parent, fits, peak, changed, nights, np.array([200.0]))
    times = peak[0] + np.array([-10.0, 0.0, 30.0]) / s
    expected = gaussian_process.posterior(parent, fits, np.array([0, 3]), times, np.array([6223.0 / s])).mean[:, 0]
    np.testing.assert_allclose(mean, changed.factor * expected, rtol=1e-9)


def test_redshifts_are_spread_evenly_in_their_logarithm_between_the_bounds():
    z = np.repeat([0.1, 0.5], 1)
    made = changes(z, keys(7, np.arange(2)), 4000)
    for row, high in ((0, 0.5), (1, 1.25)):
        ln = np.log(made.new_z[made.parent == row])
        low, top = np.log(0.95 * z[row]), np.log(high)
        assert ln.min() >= low and ln.max() <= top
        quantiles = np.quantile((ln - low) / (top - low), [0.1, 0.5, 0.9])
        np.testing.assert_allclose(quantiles, [0.1, 0.5, 0.9], atol=0.03)


def test_without_a_redshift_a_copy_is_brighter_or_fainter_and_no_slower():
    made = changes(np.array([np.nan]), keys(7, 1), 500)
    assert np.isnan(made.new_z).all() and (made.stretch == 1.0).all()
    magnitude = -2.5 * np.log10(made.factor)
    assert magnitude.min() >= augmentation.BRIGHTEST and magnitude.max() <= augmentation.FAINTEST and magnitude.std() > 0.5


def test_noise_has_the_errors_that_it_tells():
    nights = supernova(200)
    mean = np.full(len(nights.mjd), 5000.0)
    made = with_noise(nights, mean, keys(3, np.arange(200)), Noise(np.full(6, 4.0), np.full(6, 0.01)))
    pull = (made.flux - mean) / made.flux_err
    assert abs(pull.mean()) < 4.0 / np.sqrt(len(pull)) and pull.std() == pytest.approx(1.0, abs=0.02)
    lag = [np.corrcoef(pull[:-k], pull[k:])[0, 1] for k in (1, 4, 100)]
    assert np.abs(lag).max() < 4.0 / np.sqrt(len(pull))


def test_errors_follow_the_flux_and_give_themselves_back():
    noise = Noise(np.full(6, 3.0), np.full(6, 0.01))
    flux = np.array([0.0, 10_000.0, -500.0])
    err = np.sqrt(100.0**2 + noise.of_source(np.array([2, 2, 2]), flux))
    np.testing.assert_allclose(errors_at(noise, np.array([2, 2, 2]), flux, err, flux), err, rtol=1e-12)
    np.testing.assert_allclose(errors_at(noise, np.array([2, 2, 2]), flux, err, np.zeros(3)), 100.0, rtol=1e-12)
    assert errors_at(noise, np.array([2]), flux[1:2], np.array([10.0]), np.zeros(1))[0] > 0.0, (
        "an error too small for its flux keeps some sky"
    )


def test_the_source_s_share_of_errors_is_found_in_light_curves():
    rng = np.random.default_rng(4)
    flux, band = 10.0 ** rng.uniform(2.5, 5.0, 8000), rng.choice(GRIZ, 8000)
    sky = 80.0 * np.exp(rng.normal(0.0, 0.3, 8000))
    err = np.sqrt(sky**2 + 5.0 * flux + (0.02 * flux) ** 2)
    found = noise_of(light_curves(np.array([0, 8000]), np.sort(rng.uniform(0, 1, 8000)), band, flux + err * rng.normal(size=8000), err))
    np.testing.assert_allclose(found.photon[GRIZ], 5.0, rtol=0.2)
    np.testing.assert_allclose(found.relative[GRIZ], 0.02, rtol=0.1)
    assert found.photon[0] == found.relative[0] == 0.0, "no u in these light curves"


def test_detected_is_5_sigma_above_zero_in_enough_bands():
    flux = np.array([50.0, 1.0, 50.0, 50.0, 50.0, -50.0])
    curves = light_curves(np.array([0, 2, 4, 6, 6]), np.array([1.0, 2.0] * 3), np.array([1, 2, 1, 2, 1, 2]), flux, np.full(6, 9.9))
    assert is_detected(curves, 2).tolist() == [False, True, False, False] and is_detected(curves, 1).tolist() == [True, True, True, False]


def every(found):
    return [found.parent, found.number, found.curves.mjd, found.curves.band, found.curves.flux, found.curves.flux_err]


def test_a_copy_is_the_same_in_any_order_and_number_of_parents():
    parents, pool = supernova(3), cadences_of(supernova(5, peak=40.0, brightness=4000.0, seed=2))
    z, key = np.array([0.2, 0.3, np.nan]), keys(5, np.arange(3))
    together = copies(parents, z, key, 6, pool, 2)
    for a, b in zip(every(together), every(copies(parents, z, key, 6, pool, 2)), strict=True):
        np.testing.assert_array_equal(a, b)
    row = np.array([1])
    alone = copies(curves_at(parents, row), z[row], key[row], 6, pool, 2)
    same = curves_at(together.curves, np.flatnonzero(together.parent == 1))
    np.testing.assert_array_equal(alone.curves.flux, same.flux)
    other = copies(parents, z, keys(6, np.arange(3)), 6, pool, 2)
    assert len(other.curves.flux) != len(together.curves.flux) or not np.array_equal(other.curves.flux, together.curves.flux)


def test_copies_are_counted_whether_detected_or_not():
    pool = cadences_of(supernova(5, seed=2))
    faint = copies(supernova(2, brightness=300.0), np.array([0.3, 0.3]), keys(5, np.arange(2)), 20, pool, 2)
    assert faint.n_undetected > 0 and faint.n_undetected + len(faint.parent) == 40 and is_detected(faint.curves, 2).all()
    nothing = light_curves(np.array([0, 2]), np.array([1.0, 2.0]), np.array([1, 1]), np.ones(2), np.ones(2))
    found = copies(nothing, np.array([0.3]), keys(5, 1), 20, pool, 2)
    assert found.n_unfitted == 1 and found.curves.n_objects == 0


def test_a_copy_has_no_points_where_its_parent_was_not_seen():
    parent = supernova()
    seen_late = light_curves(np.array([0, 60]), parent.mjd[40:], parent.band[40:], parent.flux[40:], parent.flux_err[40:])
    pool = cadences_of(supernova(5, seed=2))
    made = copies(seen_late, np.array([0.3]), keys(5, 1), 40, pool, 2)
    whole = copies(parent, np.array([0.3]), keys(5, 1), 40, pool, 2)
    assert np.diff(made.curves.offsets).mean() < 0.9 * np.diff(whole.curves.offsets).mean()
