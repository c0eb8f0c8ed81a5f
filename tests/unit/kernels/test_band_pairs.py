"""Stetson's indices and colours against the plain twin and cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from deeprubin_spark.kernels.band_pairs import PAIR_STATISTICS, pair_statistics, plain_pair_statistics
from deeprubin_spark.kernels.light_curves import LightCurves, light_curves

G, R, INFRARED = 1, 2, 3
GR = np.array([G, R], np.int8)


def of_one(mjd, band, flux, flux_err, bands=GR) -> dict[str, float]:
    n = len(mjd)
    curves = light_curves(np.array([0, n]), np.array(mjd, float), np.array(band), np.array(flux, float), np.broadcast_to(flux_err, n))
    return dict(zip(PAIR_STATISTICS, pair_statistics(curves, bands)[0], strict=False))


def test_real_curves_give_what_the_plain_twin_gives(plasticc):
    found = pair_statistics(plasticc, GR)
    for k in range(plasticc.n_objects):
        rows = slice(plasticc.offsets[k], plasticc.offsets[k + 1])
        points = plasticc.mjd[rows], plasticc.band[rows] == R, plasticc.flux[rows], plasticc.flux_err[rows]
        np.testing.assert_allclose(found[k], plain_pair_statistics(*points), rtol=1e-9, atol=1e-12)


def test_generated_curves_give_what_the_plain_twin_gives():
    rng = np.random.default_rng(1)
    for n in (6, 20, 100):
        mjd = np.sort(rng.uniform(0.0, 0.6 * n, n))
        band = np.where(rng.random(n) < 0.5, G, R)
        band[:4] = [G, G, R, R]
        flux, flux_err = rng.normal(size=n) * 10.0 + 5.0, rng.uniform(0.5, 3.0, n)
        expected = plain_pair_statistics(mjd, band == R, flux, flux_err)
        np.testing.assert_allclose(list(of_one(mjd, band, flux, flux_err).values()), expected, rtol=1e-9)


def test_bands_that_vary_together_have_a_high_index_and_noise_none():
    rng = np.random.default_rng(2)
    mjd, band = np.repeat(np.arange(200.0), 2) + np.tile([0.0, 0.02], 200), np.tile([G, R], 200)
    signal, noise = np.repeat(np.sin(np.arange(200.0)), 2) * 10.0, rng.normal(size=400)
    together, apart = of_one(mjd, band, signal + noise, 1.0), of_one(mjd, band, noise, 1.0)
    assert together["stetson_j"] > 3.0 and together["stetson_i"] > 30.0
    assert abs(apart["stetson_j"]) < 0.2 and abs(apart["stetson_i"]) < 0.3
    opposed = of_one(mjd, band, np.where(band == G, signal, -signal) + noise, 1.0)
    assert opposed["stetson_j"] < -3.0


def test_two_pairs_give_the_index_written_down_by_hand():
    # means 1 and 3 in g, 0 and 4 in r: deviations -1, 1 and -2, 2; both pairs have P = 2 * 2 = 4 with the factor sqrt(2 / 1)^2
    found = of_one([0.0, 0.1, 5.0, 5.1], [G, R, G, R], [1.0, 0.0, 3.0, 4.0], 1.0)
    assert found["stetson_j"] == pytest.approx(2.0) and found["stetson_i"] == pytest.approx(4.0 / np.sqrt(2.0))


def test_points_of_other_nights_are_no_pair():
    assert np.isnan(of_one([0.0, 1.0, 5.0, 6.0], [G, R, G, R], [1.0, 0.0, 3.0, 4.0], 1.0)["stetson_j"])
    assert np.isfinite(of_one([0.0, 0.5, 5.0, 6.0], [G, R, G, R], [1.0, 0.0, 3.0, 4.0], 1.0)["stetson_j"])


def test_a_colour_is_a_difference_of_magnitudes_of_the_bright_points():
    found = of_one([0.0, 1.0, 2.0, 3.0, 4.0], [G, G, G, R, R], [100.0, 10.0, -50.0, 1000.0, 10.0], 1.0)
    assert found["mean_colour"] == pytest.approx(-2.5 * (1.5 - 2.0)) and found["peak_colour"] == pytest.approx(2.5)
    assert np.isnan(of_one([0.0, 1.0], [G, R], [100.0, -1.0], 1.0)["mean_colour"])


def test_flux_scale_changes_nothing(plasticc):
    for unit in (1e-30, 1e30):
        scaled = LightCurves(plasticc.offsets, plasticc.mjd, plasticc.band, unit * plasticc.flux, unit * plasticc.flux_err)
        np.testing.assert_allclose(pair_statistics(scaled, GR), pair_statistics(plasticc, GR), rtol=1e-8, atol=1e-9)


def test_each_pair_of_neighbours_has_its_own_columns():
    rng = np.random.default_rng(3)
    mjd, band = np.repeat(np.arange(30.0), 3), np.tile([G, R, INFRARED], 30)
    flux, flux_err = rng.normal(size=90), np.ones(90)
    both = pair_statistics(light_curves(np.array([0, 90]), mjd, band, flux, flux_err), np.array([G, R, INFRARED], np.int8))[0]
    for column, pair in enumerate((GR, np.array([R, INFRARED], np.int8))):
        np.testing.assert_array_equal(both[4 * column : 4 * column + 4], list(of_one(mjd, band, flux, 1.0, pair).values()))


def test_one_band_or_no_points_have_no_pairs():
    assert all(np.isnan(v) for v in of_one([0.0, 1.0, 2.0], [R, R, R], [1.0, 2.0, 3.0], 1.0).values())
    assert all(np.isnan(v) for v in of_one([], [], [], 1.0).values())
    alone = of_one([0.0, 0.1, 1.0], [G, R, R], [1.0, 2.0, 3.0], 1.0)
    assert np.isnan(alone["stetson_j"]) and np.isfinite(alone["mean_colour"])
