"""P(e > 1) is a probability: right as often as it says, the same as by plain Monte Carlo, and near nothing known where the arc is short."""

from __future__ import annotations

import numpy as np
import pytest

from deeprubin_spark.kernels.orbit_fit import fit, residuals, states_of
from deeprubin_spark.kernels.ranging import ranging
from deeprubin_spark.kernels.two_body import GM_SUN, KM_S, Elements, eccentricity, speed_at_infinity
from deeprubin_spark.kernels.two_body import states_of as states_of_elements
from tests.unit.kernels.orbit_arcs import EPOCH, arcs_of, hyperbolic_states, moved, random_states, times_of


def seen(make, n, nights, sigma=0.15, seed=1, per_night=2):
    rng = np.random.default_rng(seed)
    states = make(rng, n)
    arcs = arcs_of(states, times_of(nights, per_night), sigma, rng)
    middle = float(np.mean(nights))
    return states, arcs, fit(arcs, np.full(n, EPOCH + middle), moved(states, middle))


def test_bound_bodies_are_not_called_unbound_and_unbound_ones_are():
    for make, least, most in ((random_states, 0.0, 0.0), (hyperbolic_states, 0.93, 1.0)):
        _, arcs, found = seen(make, 100, [0.0, 5.0, 10.0])
        share = np.mean(ranging(arcs, found).p_clearly_unbound > 0.95)
        assert least <= share <= most


def test_the_true_eccentricity_is_between_the_quantiles_as_often_as_they_say():
    states, arcs, found = seen(random_states, 150, [0.0, 3.0, 6.0])
    made = ranging(arcs, found)
    e = eccentricity(states)
    assert np.mean((e > made.eccentricity[:, 0]) & (e < made.eccentricity[:, 2])) == pytest.approx(0.68, abs=0.1)


def test_speed_at_infinity_is_known_within_its_error():
    states, arcs, found = seen(hyperbolic_states, 60, [0.0, 5.0, 10.0, 14.0])
    made = ranging(arcs, found)
    off = (made.v_inf - speed_at_infinity(states)) / made.v_inf_sd
    assert np.nanmedian(np.abs(off)) == pytest.approx(0.67, abs=0.25)


def test_it_is_the_probability_of_a_plain_monte_carlo():
    _, arcs, found = seen(nearly_parabolic_states, 40, [0.0, 5.0, 12.0], sigma=0.15)
    made = ranging(arcs, found)
    error = np.sqrt(found.covariance[:, 4, 4]) / found.theta[:, 4]
    doubtful = np.flatnonzero((made.p_unbound > 0.05) & (made.p_unbound < 0.95) & (error < 0.03))[:4]
    assert len(doubtful) == 4
    for k in doubtful:
        assert made.p_unbound[k] == pytest.approx(plain_probability(arcs.take(np.array([k])), found, int(k)), abs=0.08)


def nearly_parabolic_states(rng, n):
    angles = (rng.uniform(5.0, 60.0, n), rng.uniform(0.0, 360.0, n), rng.uniform(0.0, 360.0, n))
    return states_of_elements(Elements(rng.uniform(1.2, 2.5, n), rng.uniform(0.98, 1.02, n), *angles, rng.uniform(-60.0, 60.0, n)))


def plain_probability(arcs, found, k, n=60_000):
    """Importance sampling of all six numbers from a wide normal distribution about the fit."""
    rng = np.random.default_rng(11)
    scale = np.sqrt(np.diag(found.covariance[k]))
    correlation = found.covariance[k] / np.outer(scale, scale)
    values, axes = np.linalg.eigh(correlation)
    unit = rng.normal(size=(n, 6))
    width = np.array([1.2, 1.2, 1.2, 1.2, 1.8, 1.8])
    theta = found.theta[k] + (unit * width * np.sqrt(np.maximum(values, 1e-14))) @ axes.T * scale
    theta, unit = theta[theta[:, 4] > 0.01], unit[theta[:, 4] > 0.01]
    frame = found.frame.take(np.full(len(theta), k))
    chi2 = np.sum(residuals(theta, frame, arcs.take(np.zeros(len(theta), int))).reshape(len(theta), -1) ** 2, axis=1)
    states = states_of(theta, frame)
    r, speed = np.linalg.norm(states[:, :3], axis=1), np.linalg.norm(states[:, 3:], axis=1)
    escape = np.sqrt(2.0 * GM_SUN / r)
    dispersion = 40.0 / KM_S
    far = np.sqrt(np.maximum(speed**2 - escape**2, 0.0))
    unbound = np.exp(-0.5 * (far / dispersion) ** 2) / velocity_volume(escape, dispersion)
    prior = np.where(speed < escape, 3.0 / (4.0 * np.pi * escape**3), unbound)
    log_weight = (
        -0.5 * chi2 - 7.0 * np.log(theta[:, 4]) - 2.35 * np.log(r / theta[:, 4]) + np.log(prior + 1e-300) + 0.5 * np.sum(unit**2, axis=1)
    )
    weight = np.exp(log_weight - log_weight.max())
    assert weight.sum() ** 2 / np.sum(weight**2) > 300
    return weight[speed > escape].sum() / weight.sum()


def velocity_volume(escape, dispersion):
    """Integral of exp(-v_inf^2 / (2 d^2)) over all velocities above that of escape, by the rectangle rule."""
    far = np.linspace(0.0, 10.0 * dispersion, 2001)[1:]
    at = np.geomspace(escape.min(), escape.max(), 50)
    volume = [4.0 * np.pi * np.sum(np.sqrt(far**2 + w**2) * far * np.exp(-0.5 * (far / dispersion) ** 2)) * (far[1] - far[0]) for w in at]
    return np.interp(escape, at, volume)


def test_one_night_tells_next_to_nothing():
    for make in (random_states, hyperbolic_states):
        _, arcs, found = seen(make, 40, [0.0], per_night=4)
        p = ranging(arcs, found).p_unbound
        assert np.mean(p > 0.99) < 0.1
        assert np.mean(p < 0.01) < 0.1


def test_bodies_are_ranged_each_for_itself():
    _, arcs, found = seen(hyperbolic_states, 5, [0.0, 2.0, 4.0])
    together = ranging(arcs, found)
    one = np.array([3])
    alone = type(found)(*(part.take(one) if name == "frame" else part[one] for name, part in zip(found._fields, found, strict=True)))
    assert ranging(arcs.take(one), alone).p_unbound[0] == pytest.approx(together.p_unbound[3], abs=1e-9)
