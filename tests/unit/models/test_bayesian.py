from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from deeprubin_spark.models import bayesian
from deeprubin_spark.models.bayesian import (
    BayesianLinear,
    dropout_draws,
    ensemble_draws,
    head_draws,
    kl_to_prior,
    make_head_bayesian,
    noise_draws,
)
from deeprubin_spark.models.gru import GruShape, LightCurveGru
from deeprubin_spark.models.hybrid import Thinning
from deeprubin_spark.models.points import Points, most_informative, tokens
from deeprubin_spark.models.tcn import LightCurveTcn, TcnShape
from deeprubin_spark.models.transformer import LightCurveTransformer, TransformerShape
from deeprubin_spark.models.uncertainty import of_draws
from tests.unit.models.synthetic_curves import curves, grid_set, point_set, train, without_features


def a_layer(seed: int = 1) -> BayesianLinear:
    torch.manual_seed(seed)
    layer = BayesianLinear(nn.Linear(6, 4))
    with torch.no_grad():
        layer.weight_rho.uniform_(-3.0, 0.0)
        layer.bias_rho.uniform_(-3.0, 0.0)
    return layer


def small(seed: int = 2, **sizes) -> LightCurveTcn:
    torch.manual_seed(seed)
    return LightCurveTcn(TcnShape(0, 3, blocks=3, hidden=32, **sizes))


def test_the_divergence_from_the_prior_is_torch_s():
    layer = a_layer()
    expected = sum(
        kl_divergence(Normal(mean, sd), Normal(0.0, bayesian.PRIOR_SD)).sum()
        for mean, sd in zip((layer.weight, layer.bias), layer.sd(), strict=True)
    )
    torch.testing.assert_close(layer.kl(), expected)
    network = make_head_bayesian(small())
    torch.testing.assert_close(kl_to_prior(network), network.classes[0].kl() + network.classes[2].kl())


def test_outputs_drawn_in_training_have_the_distribution_of_drawn_weights():
    layer, x, n = a_layer(), torch.randn(1, 6, generator=torch.Generator().manual_seed(3)), 20_000
    layer.train()
    local = layer(x.expand(n, -1)).detach()
    generator, drawn = torch.Generator().manual_seed(4), []
    for _ in range(4000):
        layer.draw(generator)
        drawn.append(layer(x).detach()[0])
    weights = torch.stack(drawn)
    sd = weights.std(dim=0)
    assert ((local.mean(dim=0) - weights.mean(dim=0)) / sd).abs().max() < 0.08
    torch.testing.assert_close(local.std(dim=0), sd, rtol=0.05, atol=0.0)


def test_a_bayesian_head_starts_as_the_network_it_replaces():
    network, (curve, _) = small(), grid_set(8, 5)
    with torch.inference_mode():
        before = network.eval()(curve, without_features(8))[0]
        after = make_head_bayesian(network).eval()(curve, without_features(8))[0]
    torch.testing.assert_close(after, before)


@pytest.mark.parametrize("way", [dropout_draws, head_draws])
def test_draws_are_repeatable_independent_of_neighbours_and_leave_no_trace(way):
    network, (curve, _) = make_head_bayesian(small(dropout=0.3)), grid_set(8, 6)
    with torch.no_grad():
        for layer in (network.classes[0], network.classes[2]):
            layer.weight_rho.fill_(-2.0)
    with torch.inference_mode():
        plain = network.eval()(curve, without_features(8))[0]
    together = way(network, curve, without_features(8), n_draws=5, seed=7)
    alone = way(network, curve[3:4], without_features(1), n_draws=5, seed=7)
    assert together.shape == (5, 8, 3) and together.std(axis=0).max() > 0.01
    np.testing.assert_allclose(alone[:, 0], together[:, 3], atol=1e-5)
    np.testing.assert_allclose(together.sum(axis=2), 1.0)
    with torch.inference_mode():
        assert torch.equal(network(curve, without_features(8))[0], plain)


@pytest.mark.parametrize(
    "make", [lambda: LightCurveTransformer(TransformerShape(0, 3, width=16, hidden=16)), lambda: LightCurveGru(GruShape(0, 3, width=16))]
)
def test_thinning_reaches_into_networks_over_points(make):
    torch.manual_seed(8)
    network, made = make().eval(), point_set(5, 9)[0]
    draws = dropout_draws(network, made, without_features(5), n_draws=6)
    assert (draws.std(axis=0).max(axis=1) > 1e-4).all()


def test_thinned_channels_keep_the_mean():
    thinning, generator = Thinning(50, 0.2), torch.Generator().manual_seed(10)
    kept = []
    for _ in range(400):
        thinning.draw(generator)
        kept.append(thinning(torch.ones(2, 3, 50)))
    stacked = torch.stack(kept)
    assert torch.equal(stacked[:, 0, 0], stacked[:, 1, 2])
    assert stacked.mean().item() == pytest.approx(1.0, abs=0.01)
    assert set(stacked.unique().tolist()) == {0.0, 1.25}


def test_noise_draws_of_an_object_do_not_depend_on_its_neighbours_and_differ_by_its_errors():
    torch.manual_seed(11)
    network = LightCurveGru(GruShape(0, 3, width=8, hidden=8))
    points, _ = curves(5, 12)
    points = most_informative(points)
    first = points.take(np.arange(points.offsets[1]))
    first = Points(first.offsets[:2], first.mjd, first.wavelength, first.flux, first.flux_err, first.is_detection)
    together, alone = noise_draws(network, points, without_features(5)), noise_draws(network, first, without_features(1))
    np.testing.assert_allclose(alone[:, 0], together[:, 0], atol=1e-5)
    with torch.inference_mode():
        plain = network(tokens(points), without_features(5))[0].softmax(dim=1).numpy()
    assert together.std(axis=0).max() > 0.0 and np.abs(together.mean(axis=0) - plain).max() < 0.1


def test_an_ensemble_agrees_on_what_it_learned_and_not_on_what_it_never_saw():
    members, (seen, kind) = [], grid_set(400, 13)
    for seed in range(4):
        network = small(seed)

        def loss_of(rows, network=network):
            return nn.functional.cross_entropy(network(seen[rows], without_features(len(rows)))[0], kind[rows])

        train(network, loss_of, 400, steps=50)
        members.append(network)
    new, new_kind = grid_set(200, 14)
    known = of_draws(ensemble_draws(members, new, without_features(200)))
    assert (known.probabilities.argmax(axis=1) == new_kind.numpy()).mean() > 0.9
    strange = new.clone()
    strange[:, :2] = torch.randn(strange[:, :2].shape, generator=torch.Generator().manual_seed(15))
    assert of_draws(ensemble_draws(members, strange, without_features(200))).epistemic.mean() > 2.0 * known.epistemic.mean()


def test_training_finds_the_exact_posterior_of_a_straight_line():
    """With known unit noise and abscissae whose mean is 0, slope and intercept are independent a posteriori, normal, and known in closed form."""
    rng = np.random.default_rng(16)
    x = np.linspace(-2.0, 2.0, 25)
    y = 0.8 * x - 0.5 + rng.standard_normal(25)
    torch.manual_seed(17)
    layer, copies = BayesianLinear(nn.Linear(1, 1)), 40  # of the data at each step: less noise in the gradient
    inputs = torch.from_numpy(np.tile(x, copies)[:, None]).float()
    target = torch.from_numpy(np.tile(y, copies)[:, None]).float()
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1500)
    for _ in range(1500):
        optimizer.zero_grad()
        (0.5 * ((layer(inputs) - target) ** 2).sum() / copies + layer.kl()).backward()
        optimizer.step()
        schedule.step()
    for mean, sd, column in zip((layer.weight, layer.bias), layer.sd(), (x, np.ones(25)), strict=True):
        precision = (column**2).sum() + 1.0 / bayesian.PRIOR_SD**2
        assert sd.item() == pytest.approx(precision**-0.5, rel=0.05)
        assert mean.item() == pytest.approx((column * y).sum() / precision, abs=0.02)
