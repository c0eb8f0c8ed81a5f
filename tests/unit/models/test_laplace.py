from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax
from torch import nn

from deeprubin_spark.models.laplace import LastLayerLaplace
from deeprubin_spark.models.tcn import LightCurveTcn, TcnShape
from deeprubin_spark.models.uncertainty import of_draws
from tests.unit.models.synthetic_curves import grid_set, without_features

PRECISION = 0.5


def log_posterior(slope, intercept, x, y):
    """Of two-class logistic regression with the difference of the logits' weights; each of the two has prior N(0, 1 / tau)."""
    logit = slope[..., None] * x + intercept[..., None]
    likelihood = np.where(y == 1, -np.logaddexp(0.0, -logit), -np.logaddexp(0.0, logit)).sum(axis=-1)
    return likelihood - 0.25 * PRECISION * (slope**2 + intercept**2)


@pytest.fixture(scope="module")
def logistic():
    """Data, the posterior by brute force on a grid of (slope, intercept), and Laplace's at the same prior."""
    rng = np.random.default_rng(1)
    x = rng.normal(0.5, 1.5, size=150)
    y = (rng.random(150) < 1.0 / (1.0 + np.exp(-(1.2 * x - 0.4)))).astype(int)
    slope, intercept = np.meshgrid(np.linspace(0.0, 3.0, 301), np.linspace(-2.0, 1.5, 301), indexing="ij")
    density = log_posterior(slope, intercept, x, y)
    density = np.exp(density - density.max())
    best = minimize(
        lambda w: -log_posterior(np.array(w[0]), np.array(w[1]), x, y), [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-9}
    )
    last = nn.Linear(1, 2)
    with torch.no_grad():
        last.weight.copy_(torch.tensor([[-best.x[0] / 2], [best.x[0] / 2]]))
        last.bias.copy_(torch.tensor([-best.x[1] / 2, best.x[1] / 2]))
    return slope, intercept, density / density.sum(), LastLayerLaplace.fit(last, x[:, None], y, PRECISION)


def test_the_posterior_is_the_brute_force_one(logistic):
    slope, intercept, density, laplace = logistic
    weights = laplace.weights[1] - laplace.weights[0]
    difference = laplace.factor.reshape(2, 2, -1)[1] - laplace.factor.reshape(2, 2, -1)[0]
    covariance = difference @ difference.T
    for grid, mean, variance in ((slope, weights[0], covariance[0, 0]), (intercept, weights[1], covariance[1, 1])):
        expected = (density * grid).sum()
        sd = np.sqrt((density * (grid - expected) ** 2).sum())
        assert abs(mean - expected) < 0.25 * sd
        assert np.sqrt(variance) == pytest.approx(sd, rel=0.08)
    both = (density * (slope - weights[0]) * (intercept - weights[1])).sum()
    assert covariance[0, 1] == pytest.approx(both, rel=0.35)


def test_predictions_are_those_of_the_brute_force_posterior(logistic):
    slope, intercept, density, laplace = logistic
    x = np.array([-6.0, -1.0, 0.3, 1.0, 4.0])
    expected = np.array([(density / (1.0 + np.exp(-(slope * value + intercept)))).sum() for value in x])
    np.testing.assert_allclose(laplace.draws(x[:, None], n_draws=4000, seed=2).mean(axis=0)[:, 1], expected, atol=0.012)
    np.testing.assert_allclose(laplace.probit(x[:, None])[:, 1], expected, atol=0.012)
    np.testing.assert_allclose(laplace.probit(x[:, None]).sum(axis=1), 1.0)


@pytest.fixture(scope="module")
def three_classes():
    """A last layer fitted by maximum a posteriori to three clusters."""
    rng = np.random.default_rng(3)
    target = rng.integers(3, size=300)
    hidden = rng.normal(size=(300, 2)) + np.array([[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7]])[target]
    x = np.column_stack([hidden, np.ones(300)])

    def loss(w):
        return -log_softmax(x @ w.reshape(3, 3).T, axis=1)[np.arange(300), target].sum() + 0.5 * PRECISION * (w**2).sum()

    weights = minimize(loss, np.zeros(9), tol=1e-10).x
    last = nn.Linear(2, 3).double()
    with torch.no_grad():
        last.weight.copy_(torch.from_numpy(weights.reshape(3, 3)[:, :2]))
        last.bias.copy_(torch.from_numpy(weights.reshape(3, 3)[:, 2]))
    return hidden, target, last, loss, weights


def test_the_precision_is_the_hessian_of_the_loss_for_many_classes(three_classes):
    hidden, target, last, loss, weights = three_classes
    laplace, step = LastLayerLaplace.fit(last, hidden, target, PRECISION), 1e-3
    unit = step * np.eye(9)
    hessian = np.array(
        [
            [
                (loss(weights + a + b) - loss(weights + a - b) - loss(weights - a + b) + loss(weights - a - b)) / (4.0 * step**2)
                for b in unit
            ]
            for a in unit
        ]
    )
    np.testing.assert_allclose(laplace.factor @ laplace.factor.T, np.linalg.inv(hessian), rtol=1e-3, atol=1e-5)
    expected = -loss(weights) + 0.5 * 9 * np.log(PRECISION) - 0.5 * np.linalg.slogdet(hessian)[1]
    assert laplace.log_evidence == pytest.approx(expected, rel=1e-5)


def test_far_from_all_it_saw_it_knows_less_and_its_two_ways_to_predict_agree(three_classes):
    hidden, target, last, _, _ = three_classes
    laplace = LastLayerLaplace.fit(last, hidden, target, PRECISION)
    angle = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    far = laplace.draws(8.0 * ring, n_draws=3000, seed=4)
    np.testing.assert_allclose(laplace.probit(8.0 * ring), far.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(laplace.probit(hidden), laplace.draws(hidden, n_draws=3000, seed=4).mean(axis=0), atol=0.03)
    with torch.inference_mode():
        plain = last(torch.from_numpy(8.0 * ring)).softmax(dim=1).numpy()
    assert (far.mean(axis=0).max(axis=1) < plain.max(axis=1) + 0.01).all()
    near = laplace.draws(1.0 * ring, n_draws=300, seed=4)
    assert of_draws(far).epistemic.max() > 2.0 * of_draws(near).epistemic.max()


def test_the_chosen_precision_has_the_highest_evidence_and_draws_repeat(three_classes):
    hidden, target, last, _, _ = three_classes
    chosen = LastLayerLaplace.fit(last, hidden, target)
    others = [LastLayerLaplace.fit(last, hidden, target, tau).log_evidence for tau in (1e-4, 1e-2, 0.3, 3.0, 1e2, 1e4)]
    assert chosen.log_evidence > max(others)
    together, alone = chosen.draws(hidden[:9], seed=5), chosen.draws(hidden[4:5], seed=5)
    np.testing.assert_allclose(alone[:, 0], together[:, 4], rtol=1e-12)


def test_the_scale_is_of_the_covariance(three_classes):
    hidden, target, last, _, _ = three_classes
    posterior = LastLayerLaplace.fit(last, hidden, target)
    whole, narrow = (posterior.drawn(4, 1, scale) - posterior.weights for scale in (1.0, 0.04))
    np.testing.assert_allclose(narrow, 0.2 * whole, rtol=1e-12)


def test_around_a_network_s_last_layer_a_posterior_without_spread_is_the_network():
    torch.manual_seed(6)
    network, (curve, kind) = LightCurveTcn(TcnShape(0, 3, hidden=16)).eval(), grid_set(60, 7)
    with torch.inference_mode():
        hidden = network.last_hidden(network.joined(curve, without_features(60))[0]).numpy()
        plain = network(curve, without_features(60))[0].softmax(dim=1).numpy()
    sharp = LastLayerLaplace.fit(network.classes[-1], hidden, kind.numpy(), 1e12)
    np.testing.assert_allclose(sharp.draws(hidden, n_draws=2).mean(axis=0), plain, atol=1e-5)
    np.testing.assert_allclose(sharp.probit(hidden), plain, atol=1e-5)
    wide = LastLayerLaplace.fit(network.classes[-1], hidden, kind.numpy(), 1e-2)
    assert of_draws(wide.draws(hidden)).epistemic.mean() > 100.0 * of_draws(sharp.draws(hidden)).epistemic.mean()
