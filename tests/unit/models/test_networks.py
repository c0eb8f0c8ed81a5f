"""What holds for each of the networks, whatever it reads of a light curve."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from deeprubin_spark.kernels.feature_catalogue import ZTF_GR
from deeprubin_spark.models.bayesian import make_head_bayesian, noise_draws
from deeprubin_spark.models.gru import GruShape, LightCurveGru
from deeprubin_spark.models.inputs import model_features
from deeprubin_spark.models.losses import multitask_loss, reconstruction_loss
from deeprubin_spark.models.points import Points, Tokens, hidden_points, most_informative, redrawn_points, tokens
from deeprubin_spark.models.tcn import LightCurveTcn, TcnShape
from deeprubin_spark.models.transformer import LightCurveTransformer, TransformerShape
from deeprubin_spark.models.uncertainty import of_draws
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from tests.unit.models.synthetic_curves import N_CLASSES, curves, grid_set, point_set, train, without_features

MODEL_FEATURES = model_features(ZTF_GR)

SIZES = (len(MODEL_FEATURES), len(CLASS_NAMES))
POINT_NETWORKS = {
    "transformer": lambda n_features, n_classes, **sizes: LightCurveTransformer(TransformerShape(n_features, n_classes, **sizes)),
    "gru": lambda n_features, n_classes, **sizes: LightCurveGru(GruShape(n_features, n_classes, **sizes)),
}
NETWORKS = {
    **POINT_NETWORKS,
    "tcn": lambda n_features, n_classes, **sizes: LightCurveTcn(TcnShape(n_features, n_classes, **sizes)),
    "six-band tcn": lambda n_features, n_classes, **sizes: LightCurveTcn(TcnShape(n_features, n_classes, n_bands=6, **sizes)),
}


def some_curves(name: str, n: int = 6):
    if name in POINT_NETWORKS:
        return point_set(n, 1, "ugrizy")[0]
    return grid_set(n, 1, 6 if name == "six-band tcn" else 2)[0]


def made_like(mean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    truth, hidden = torch.randn(mean.shape, generator=generator), torch.rand(mean.shape, generator=generator) < 0.3
    return truth, torch.full_like(truth, 0.2), hidden.float()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_has_at_most_150_000_parameters_and_the_same_interface(name):
    torch.manual_seed(3)
    network, curve = NETWORKS[name](*SIZES), some_curves(name)
    logits, mean, log_sd = network.eval()(curve, torch.randn(6, SIZES[0]))
    assert logits.shape == (6, SIZES[1]) and mean.shape == log_sd.shape
    assert mean.shape == (curve.time.shape if isinstance(curve, Tokens) else (6, (curve.shape[1] - 2) // 2, curve.shape[2]))
    bayesian = make_head_bayesian(network)
    assert sum(p.numel() for p in bayesian.parameters()) <= 150_000


@pytest.mark.parametrize("name", NETWORKS)
def test_every_weight_learns_from_the_two_losses(name):
    torch.manual_seed(4)
    network, curve = NETWORKS[name](7, N_CLASSES), some_curves(name)
    logits, mean, log_sd = network(curve, torch.randn(6, 7))
    truth, sd, hidden = made_like(mean)
    target = torch.arange(6) % N_CLASSES
    multitask_loss(logits, target, torch.ones(6), reconstruction_loss(mean, log_sd, truth, sd, hidden)).backward()
    still = [k for k, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all() or not p.grad.abs().sum() > 0.0]
    assert still == []


@pytest.mark.parametrize("name", NETWORKS)
def test_an_object_s_answer_does_not_depend_on_its_neighbours(name):
    torch.manual_seed(5)
    network, curve, features = NETWORKS[name](7, N_CLASSES).eval(), some_curves(name), torch.randn(6, 7)
    rows = slice(2, 4)
    part = curve.take(rows) if isinstance(curve, Tokens) else curve[rows]
    with torch.inference_mode():
        together, alone = network(curve, features), network(part, features[rows])
    for whole, own in zip(together, alone, strict=True):
        torch.testing.assert_close(own, whole[rows], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", POINT_NETWORKS)
def test_padding_does_not_matter(name):
    torch.manual_seed(6)
    network, made, features = POINT_NETWORKS[name](7, N_CLASSES).eval(), point_set(4, 7)[0], torch.randn(4, 7)
    width = made.values.shape[1]
    longer = {}
    for field in dataclasses.fields(made):
        value = getattr(made, field.name)
        longer[field.name] = value if value.dim() == 1 else torch.cat([value, torch.zeros_like(value[:, :11])], dim=1)
    with torch.inference_mode():
        short, long = network(made, features), network(Tokens(**longer), features)
    torch.testing.assert_close(long[0], short[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(long[1][:, :width][made.given], short[1][made.given], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", POINT_NETWORKS)
def test_an_object_without_points_is_classified_by_its_features(name):
    torch.manual_seed(8)
    network = POINT_NETWORKS[name](7, N_CLASSES).eval()
    empty = tokens(Points(np.array([0, 0, 0]), *(np.zeros(0) for _ in range(4)), np.zeros(0, bool)))
    with torch.inference_mode():
        logits = network(empty, torch.stack([torch.zeros(7), torch.ones(7)]))[0]
    assert logits.isfinite().all() and (logits[0] - logits[1]).abs().max() > 1e-3


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_learns_the_kinds_of_curves_it_never_saw(name):
    torch.manual_seed(9)
    sizes = {"blocks": 3} if "tcn" in name else {"width": 32, "hidden": 32}
    network = NETWORKS[name](0, N_CLASSES, **sizes)
    if name in POINT_NETWORKS:
        bands = "ugrizy" if name == "gru" else "gr"
        (seen, kind), (new, new_kind) = point_set(1000, 10, bands), point_set(200, 11, bands)
    else:
        n_bands = network.shape.n_bands
        (seen, kind), (new, new_kind) = grid_set(1000, 10, n_bands), grid_set(200, 11, n_bands)

    def loss_of(rows):
        part = seen.take(rows) if isinstance(seen, Tokens) else seen[rows]
        return torch.nn.functional.cross_entropy(network(part, without_features(len(rows)))[0], kind[rows])

    train(network, loss_of, 1000, steps=80)
    with torch.inference_mode():
        loss = torch.nn.functional.cross_entropy(network(new, without_features(200))[0], new_kind).item()
    assert loss < 0.5 * math.log(N_CLASSES)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_reads_the_feature_values_too(name):
    torch.manual_seed(12)
    network, curve = NETWORKS[name](4, 2), some_curves(name, 64)
    features = torch.randn(64, 4)
    target = (features[:, 1] > 0.0).long()

    def loss_of(rows):
        part = curve.take(rows) if isinstance(curve, Tokens) else curve[rows]
        return torch.nn.functional.cross_entropy(network(part, features[rows])[0], target[rows])

    train(network, loss_of, 64, steps=25, batch=32)
    assert loss_of(torch.arange(64)).item() < 0.5 * math.log(2.0)


@pytest.mark.parametrize("name", POINT_NETWORKS)
def test_confidence_falls_as_errors_are_inflated(name):
    torch.manual_seed(13)
    network = POINT_NETWORKS[name](0, N_CLASSES, width=32, hidden=32)
    seen, kind = curves(1000, 14, noise=(0.03, 1.0))
    seen, target, rng = most_informative(seen), torch.from_numpy(kind), np.random.default_rng(15)
    versions = []
    for _ in range(4):
        redrawn = redrawn_points(seen, rng.standard_normal(len(seen.mjd)), rng.uniform(0.0, 1.0, 1000))
        versions.append(tokens(redrawn, hidden_points(seen, rng.random(len(seen.mjd)), random_share=0.15, latest_share=0.1)))

    def loss_of(rows):
        made = versions[int(rows[0]) % len(versions)].take(rows)
        logits, mean, log_sd = network(made, without_features(len(rows)))
        rebuilt = reconstruction_loss(mean, log_sd, made.flux, made.sd, made.hidden, "student")
        return multitask_loss(logits, target[rows], torch.ones(len(rows)), rebuilt) / len(rows)

    train(network, loss_of, 1000, steps=100)
    new, _ = curves(300, 16, noise=(0.03, 0.1))
    new = most_informative(new)
    confidence = []
    for factor in (1.0, 2.0, 4.0, 8.0):
        draws = noise_draws(network, dataclasses.replace(new, flux_err=factor * new.flux_err), without_features(300))
        confidence.append(of_draws(draws).probabilities.max(axis=1).mean())
    assert confidence[0] > confidence[1] > confidence[2] > confidence[3]
    assert confidence[0] - confidence[3] > 0.1


def test_grids_of_another_number_of_bands_are_refused():
    with pytest.raises(ValueError, match="14 channels expected, found 64 of 6"):
        LightCurveTcn(TcnShape(0, 3, n_bands=6))(torch.zeros(2, 6, 64), torch.zeros(2, 0))
