"""Structure functions and Mexican hats against naive sums over all pairs, and curves whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from deeprubin_spark.kernels.light_curves import LightCurves, light_curves
from deeprubin_spark.kernels.structure_function import SCALE_STATISTICS, plain_scale_statistics, scale_statistics

G, R = 1, 2
BANDS = np.array([G, R], np.int8)


def of_one(mjd, flux, flux_err) -> dict[str, float]:
    n = len(mjd)
    curves = light_curves(np.array([0, n]), np.array(mjd), np.full(n, R), np.array(flux), np.array(flux_err))
    return dict(zip(SCALE_STATISTICS, scale_statistics(curves, BANDS[1:])[0], strict=True))


def test_real_curves_give_what_the_sums_over_all_pairs_give(plasticc):
    found = scale_statistics(plasticc, BANDS).reshape(plasticc.n_objects, 2, -1)
    for k in range(plasticc.n_objects):
        rows = slice(plasticc.offsets[k], plasticc.offsets[k + 1])
        for w, band in enumerate(BANDS):
            own = plasticc.band[rows] == band
            expected = plain_scale_statistics(plasticc.mjd[rows][own], plasticc.flux[rows][own], plasticc.flux_err[rows][own])
            np.testing.assert_allclose(found[k, w], expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("n", [5, 6, 7, 8, 31, 33, 200])
def test_any_number_of_points_gives_what_the_sums_over_all_pairs_give(n):
    rng = np.random.default_rng(n)
    mjd = np.sort(np.round(58000.0 + rng.uniform(0.0, 300.0, n), 1))  # with equal times
    flux, flux_err = 5.0 * np.sin(mjd / 20.0) + rng.normal(size=n), rng.uniform(0.2, 1.0, n)
    found = of_one(mjd, flux, flux_err)
    np.testing.assert_allclose(list(found.values()), plain_scale_statistics(mjd, flux, flux_err), rtol=1e-6, atol=1e-9)


def test_a_random_walk_rises_with_the_root_of_the_lag_and_noise_does_not_rise():
    rng = np.random.default_rng(1)
    mjd = np.arange(2000.0)
    walk = of_one(mjd, np.cumsum(rng.normal(size=2000)), np.full(2000, 1e-3))
    assert walk["sf_slope"] == pytest.approx(0.5, abs=0.12)
    noise = of_one(mjd, 7.0 * rng.normal(size=2000), np.full(2000, 1e-3))
    assert noise["sf_slope"] == pytest.approx(0.0, abs=0.02) and noise["sf_amplitude"] == pytest.approx(7.0 * np.sqrt(2.0), rel=0.05)


def test_a_straight_line_has_slope_one():
    line = of_one(np.arange(100.0), 3.0 * np.arange(100.0), np.full(100, 1e-3))
    assert line["sf_slope"] == pytest.approx(1.0, abs=0.02) and line["sf_amplitude"] == pytest.approx(
        90.0, rel=0.06
    )  # the bins hold a mean lag, not its root mean square


def test_noise_within_the_errors_has_no_structure_function_and_little_power():
    rng = np.random.default_rng(2)
    found = of_one(np.arange(300.0), rng.normal(size=300), np.full(300, 3.0))
    assert np.isnan(found["sf_slope"]) and np.isnan(found["sf_amplitude"]) and np.isnan(found["mhps_ratio"])


def test_hats_tell_fast_variability_from_slow():
    mjd = np.arange(0.0, 1000.0, 2.0)
    fast, slow = (of_one(mjd, np.sin(2.0 * np.pi * mjd / period), np.full(500, 1e-3)) for period in (40.0, 320.0))
    assert fast["mhps_short"] > 20.0 * abs(fast["mhps_long"])
    assert slow["mhps_long"] > 20.0 * abs(slow["mhps_short"])
    assert slow["mhps_ratio"] == pytest.approx(slow["mhps_long"] / slow["mhps_short"])


def test_the_noise_is_taken_off_the_hats():
    rng = np.random.default_rng(3)
    powers = [of_one(np.arange(200.0), rng.normal(size=200), np.ones(200))["mhps_short"] for _ in range(200)]
    assert abs(np.mean(powers)) < 4.0 * np.std(powers) / np.sqrt(200)


@pytest.mark.parametrize("unit", [1e-25, 1e25])
def test_flux_scale_moves_the_amplitude_and_nothing_else(plasticc, unit):
    scaled = LightCurves(plasticc.offsets, plasticc.mjd, plasticc.band, unit * plasticc.flux, unit * plasticc.flux_err)
    expected = scale_statistics(plasticc, BANDS)
    expected[:, :: len(SCALE_STATISTICS)] *= unit
    np.testing.assert_allclose(scale_statistics(scaled, BANDS), expected, rtol=1e-7, atol=1e-12)


def test_too_few_points_or_a_constant_flux_have_no_scales():
    assert all(np.isnan(v) for v in of_one(np.arange(4.0), [1.0, 3.0, 2.0, 5.0], np.ones(4)).values())
    assert all(np.isnan(v) for v in of_one(np.arange(9.0), np.full(9, 0.1), np.ones(9)).values())


def test_points_of_one_time_have_no_structure_and_no_power_but_that_of_the_noise():
    found = of_one(np.zeros(6), [1.0, 5.0, 2.0, 8.0, 1.0, 4.0], np.full(6, 0.1))
    assert np.isnan(found["sf_slope"]) and found["mhps_short"] == pytest.approx(0.0, abs=1e-12)
