"""Orbits come back from what a telescope saw of them, with the errors they deserve."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares

from deeprubin_spark.kernels import orbit_fit
from deeprubin_spark.kernels.orbit_fit import fit, states_of, theta_of
from deeprubin_spark.kernels.two_body import eccentricity
from tests.unit.kernels.orbit_arcs import EPOCH, arcs_of, hyperbolic_states, random_states, times_of

NIGHTS = [0.0, 4.0, 9.0, 14.0]


@pytest.mark.parametrize("make", [random_states, hyperbolic_states])
def test_an_orbit_without_noise_comes_back_from_a_vaisala_start(make):
    rng = np.random.default_rng(1)
    states = make(rng, 200)
    arcs = arcs_of(states, times_of([*NIGHTS, 20.0, 27.0]), 0.0, rng)
    found = fit(arcs, np.full(200, EPOCH))
    is_right = (found.rms < 1e-3) & (np.linalg.norm(found.states[:, :3] - states[:, :3], axis=1) < 1e-3)
    away = states[:, :3] - found.frame.origin
    cosine = -np.sum(away * found.frame.origin, axis=1) / np.linalg.norm(away, axis=1) / np.linalg.norm(found.frame.origin, axis=1)
    is_in_the_night_sky = cosine < 0.5  # 60 deg from the Sun
    assert is_in_the_night_sky.sum() > 80
    assert is_right[is_in_the_night_sky].mean() >= 0.99


def test_theta_and_state_are_two_names_of_one_orbit():
    rng = np.random.default_rng(2)
    states = random_states(rng, 50)
    arcs = arcs_of(states, times_of(NIGHTS), 0.1, rng)
    theta, frame = theta_of(states, arcs, np.full(50, EPOCH))
    np.testing.assert_allclose(states_of(theta, frame), states, atol=1e-13)


def test_residuals_of_the_true_orbit_are_the_noise():
    rng = np.random.default_rng(3)
    states = random_states(rng, 300)
    arcs = arcs_of(states, times_of(NIGHTS), 0.2, rng)
    off = orbit_fit.residuals(*theta_of(states, arcs, np.full(300, EPOCH)), arcs)
    assert off.std() == pytest.approx(1.0, abs=0.03)
    assert np.abs(off.mean(axis=0)).max() < 0.05


def test_the_fit_is_scipys_least_squares():
    rng = np.random.default_rng(4)
    states = random_states(rng, 12)
    arcs = arcs_of(states, times_of([*NIGHTS, 25.0]), 0.2, rng)
    found = fit(arcs, np.full(12, EPOCH), states)
    for k in range(12):
        one = arcs.take(np.array([k]))
        theta, frame = theta_of(states[k : k + 1], one, np.array([EPOCH]))
        theirs = least_squares(
            lambda t, one=one, frame=frame: orbit_fit.residuals(t[None], frame, one).ravel(), theta[0], x_scale="jac", xtol=1e-15
        )
        assert found.chi2[k] == pytest.approx(2.0 * theirs.cost, abs=2e-3)


def test_chi_square_and_covariance_are_those_of_the_noise():
    rng = np.random.default_rng(5)
    states = random_states(rng, 500)
    times = times_of([*NIGHTS, 25.0])
    arcs = arcs_of(states, times, 0.2, rng)
    found = fit(arcs, np.full(500, EPOCH), states)
    ok = found.converged
    assert ok.mean() > 0.99
    assert found.chi2[ok].mean() == pytest.approx(2 * len(times) - 6, rel=0.05)
    off = orbit_fit_truth(found, arcs, states)
    normalised = np.einsum("ki,kij,kj->k", off, np.linalg.pinv(found.covariance, rcond=1e-14, hermitian=True), off)
    assert np.median(normalised[ok]) == pytest.approx(5.35, rel=0.15)  # of chi-square on 6 degrees of freedom


def orbit_fit_truth(found, arcs, states):
    """True theta in the fit's own frame, less the fitted one."""
    away = np.einsum("kij,kj->ki", found.frame.axes, states[:, :3] - found.frame.origin)
    rates = np.einsum("kij,kj->ki", found.frame.axes, states[:, 3:]) / away[:, 2:3]
    true = np.column_stack([away[:, 0] / away[:, 2], away[:, 1] / away[:, 2], rates[:, 0], rates[:, 1], 1.0 / away[:, 2], rates[:, 2]])
    return true - found.theta


def test_longer_arcs_know_the_eccentricity_better():
    rng = np.random.default_rng(6)
    states = random_states(rng, 150)
    errors = []
    for nights in ([0.0, 3.0, 6.0], [0.0, 6.0, 12.0], [0.0, 10.0, 20.0, 30.0]):
        found = fit(arcs_of(states, times_of(nights), 0.1, rng), np.full(150, EPOCH), states)
        errors.append(np.median(np.abs(eccentricity(found.states) - eccentricity(states))))
    assert errors[0] > 2.0 * errors[1] > 4.0 * errors[2]


def test_observations_of_two_bodies_are_no_orbit():
    rng = np.random.default_rng(7)
    times = times_of([0.0, 4.0, 9.0])
    mixed = arcs_of(random_states(rng, 40), times, 0.1, rng)
    others = arcs_of(random_states(rng, 40), times, 0.1, rng)
    last_night = np.tile(np.arange(len(times)) >= 4, 40)
    vectors = np.where(last_night[:, None], others.vectors, mixed.vectors)
    found = fit(mixed._replace(vectors=vectors), np.full(40, EPOCH))
    assert np.median(found.rms) > 100.0


def test_bodies_are_fitted_each_for_itself():
    rng = np.random.default_rng(8)
    states = random_states(rng, 6)
    arcs = arcs_of(states, times_of([*NIGHTS, 25.0]), 0.1, rng)
    together = fit(arcs, np.full(6, EPOCH), states)
    alone = fit(arcs.take(np.array([4])), np.array([EPOCH]), states[4:5])
    np.testing.assert_allclose(alone.states[0], together.states[4], rtol=1e-9)
