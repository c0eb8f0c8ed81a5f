"""The damped random walk against dense covariances, george, scipy's optimum and simulated walks."""

from __future__ import annotations

import george
import numpy as np
import pytest
from scipy.optimize import minimize

from deeprubin_spark.kernels.damped_random_walk import (
    SIGMA_MAX,
    SIGMA_MIN,
    TAU_MAX,
    TAU_MIN,
    plain_log_likelihood,
    walk_statistics,
)
from deeprubin_spark.kernels.light_curves import LightCurves, light_curves

R = 2
BANDS = np.array([R], np.int8)
LOG_BOX = [(np.log(SIGMA_MIN), np.log(SIGMA_MAX)), (np.log(TAU_MIN), np.log(TAU_MAX))]


def walks(n_objects: int, n_points: int, tau: float, sigma: float, noise: float, seed: int) -> LightCurves:
    rng = np.random.default_rng(seed)
    mjd = 58000.0 + np.sort(rng.uniform(0.0, 2000.0, (n_objects, n_points)), axis=1)
    value = sigma * rng.normal(size=(n_objects, n_points))
    for i in range(1, n_points):
        decay = np.exp(-(mjd[:, i] - mjd[:, i - 1]) / tau)
        value[:, i] = decay * value[:, i - 1] + np.sqrt(1.0 - decay**2) * value[:, i]
    flux = 300.0 + value + noise * rng.normal(size=value.shape)
    size = n_objects * n_points
    offsets = np.arange(0, size + 1, n_points)
    return light_curves(offsets, mjd.ravel(), np.full(size, R), flux.ravel(), np.full(size, noise))


def of_one(mjd, flux, flux_err) -> np.ndarray:
    n = len(mjd)
    return walk_statistics(light_curves(np.array([0, n]), np.array(mjd), np.full(n, R), np.array(flux), np.array(flux_err)), BANDS)[0]


def test_the_plain_likelihood_is_georges():
    rng = np.random.default_rng(1)
    mjd, flux, flux_err = np.sort(rng.uniform(0, 100, 40)), rng.normal(size=40) + 5.0, rng.uniform(0.1, 0.5, 40)
    process = george.GP(1.7**2 * george.kernels.ExpKernel(13.0**2), mean=flux.mean(), white_noise=-100.0)
    process.compute(mjd, flux_err)
    assert plain_log_likelihood(mjd, flux, flux_err, 1.7, 13.0) == pytest.approx(process.log_likelihood(flux), abs=1e-6)


def test_the_fit_is_as_good_as_scipys_from_several_starts(plasticc):
    gaps, fixed_gaps = [], []
    found = walk_statistics(plasticc, BANDS)
    for k in range(plasticc.n_objects):
        rows = np.flatnonzero(plasticc.band[plasticc.offsets[k] : plasticc.offsets[k + 1]] == R) + plasticc.offsets[k]
        points = plasticc.mjd[rows], plasticc.flux[rows], plasticc.flux_err[rows]
        unit = points[1].std(ddof=1)

        def cost(place, points=points, unit=unit):
            return -plain_log_likelihood(*points, unit * np.exp(place[0]), np.exp(place[1]))

        def cost_of_tau(place, cost=cost):
            return cost((0.0, place[0]))

        ours = np.log([found[k, 0] / unit, found[k, 1]])
        ours_fixed = np.log(-1.0 / np.log(found[k, 2]))
        starts = [ours, (0.0, 1.0), (0.0, 4.0), (1.0, 6.5), (-1.5, 3.0)]
        gaps.append(cost(ours) - min(minimize(cost, start, bounds=LOG_BOX).fun for start in starts))
        best = min(minimize(cost_of_tau, [start], bounds=LOG_BOX[1:]).fun for start in (ours_fixed, 0.0, 3.0, 6.0))
        fixed_gaps.append(cost_of_tau([ours_fixed]) - best)
    assert np.median(gaps) < 0.05 and max(gaps) < 0.5  # in ln L, of which 0.5 is the error of one parameter
    assert np.median(fixed_gaps) < 0.005 and max(fixed_gaps) < 0.1


@pytest.mark.parametrize(("tau", "sigma"), [(10.0, 50.0), (60.0, 200.0)])
def test_simulated_walks_are_recovered(tau, sigma):
    found = walk_statistics(walks(60, 150, tau, sigma, noise=5.0, seed=2), BANDS)
    assert np.median(found[:, 0]) == pytest.approx(sigma, rel=0.15)
    assert np.median(found[:, 1]) == pytest.approx(tau, rel=0.25)
    assert np.median(found[:, 2]) == pytest.approx(np.exp(-1.0 / tau), abs=0.02)


def test_white_noise_has_no_memory():
    rng = np.random.default_rng(3)
    found = of_one(np.arange(200.0), 100.0 + 10.0 * rng.normal(size=200), np.full(200, 0.1))
    assert found[0] == pytest.approx(10.0, rel=0.15) and found[1] < 1.0 and found[2] < 0.4


def test_what_the_errors_explain_is_no_walk():
    rng = np.random.default_rng(4)
    found = of_one(np.arange(200.0), 100.0 + 10.0 * rng.normal(size=200), np.full(200, 10.0))
    assert found[0] < 4.0


def test_long_series_of_precise_points_do_not_overflow():
    rng = np.random.default_rng(5)
    mjd = np.sort(rng.uniform(0.0, 3000.0, 3000))
    flux = np.cumsum(rng.normal(size=3000))
    for flux_err in (1e-10, 1e12):
        assert np.isfinite(of_one(mjd, flux, np.full(3000, flux_err))).all()


@pytest.mark.parametrize("unit", [1e-25, 1e25])
def test_flux_scale_moves_sigma_and_nothing_else(unit):
    curves = walks(5, 40, 20.0, 100.0, 5.0, seed=6)
    scaled = LightCurves(curves.offsets, curves.mjd, curves.band, unit * curves.flux, unit * curves.flux_err)
    expected = walk_statistics(curves, BANDS) * np.array([unit, 1.0, 1.0])
    np.testing.assert_allclose(walk_statistics(scaled, BANDS), expected, rtol=1e-6)


def test_too_few_points_one_time_or_a_constant_flux_have_no_walk():
    rng = np.random.default_rng(7)
    assert np.isnan(of_one(np.arange(4.0), rng.normal(size=4), np.ones(4))).all()
    assert np.isfinite(of_one(np.arange(5.0), rng.normal(size=5), np.ones(5))).all()
    assert np.isnan(of_one(np.zeros(9), rng.normal(size=9), np.ones(9))).all()
    assert np.isnan(of_one(np.arange(9.0), np.full(9, 0.1), np.ones(9))).all()
    assert np.isfinite(of_one(np.repeat(np.arange(5.0), 2), rng.normal(size=10), np.ones(10))).all()
