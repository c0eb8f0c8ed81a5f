from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, logsumexp

from deeprubin_spark.models import published
from deeprubin_spark.models.hybrid import HybridNetwork
from deeprubin_spark.models.inputs import FeatureRows, channels, redrawn
from deeprubin_spark.models.published import PublishedModel
from deeprubin_spark.models.tcn import LightCurveTcn, TcnShape
from deeprubin_spark.models.tcn_summary import TcnSummary
from deeprubin_spark.models.uncertainty import of_draws, softmax
from deeprubin_spark.schemas.features import rule_of
from tests.carried_features import as_read, in_six_bands, in_two_bands

CARRIED = {"ztf": in_two_bands, "lsst": in_six_bands}


def moved(network: HybridNetwork) -> HybridNetwork:
    """With weights, norms and biases that training could have led to: none is 0 or 1."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return network.eval()


@pytest.fixture(scope="module", params=CARRIED)
def shipped(request) -> tuple[PublishedModel, FeatureRows]:
    contract = rule_of(request.param).contract
    model = published.load(published.find("", contract), contract)
    return model, as_read(CARRIED[request.param]()[1], model.feature_set)


@pytest.mark.parametrize(
    "shape",
    [
        TcnShape(3, 2),
        TcnShape(3, 2, n_bands=6),
        TcnShape(3, 2, width=5, blocks=2, n_bands=3),
        TcnShape(3, 2, width=24, blocks=6),
    ],
)
@pytest.mark.parametrize("n_steps", [2, 64, 70])
def test_summaries_are_those_of_the_network_whatever_its_shape(shape, n_steps):
    torch.manual_seed(1)
    network = moved(LightCurveTcn(shape))
    curve = torch.randn(7, 2 * shape.n_bands + 2, n_steps)
    with torch.inference_mode():
        expected = network.encoded(curve)[0]
        torch.testing.assert_close(TcnSummary(network)(curve), expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("curve", [torch.zeros(2, 6, 63), torch.zeros(2, 14, 64)])
def test_a_curve_of_other_bands_or_an_odd_number_of_steps_is_refused(curve):
    network = LightCurveTcn(TcnShape(3, 2))
    for reads in (network.encoded, TcnSummary(network)):
        with pytest.raises(ValueError, match="an even number of steps of 6 channels expected"):
            reads(curve)


def test_shipped_models_give_the_probabilities_of_their_networks_as_training_runs_them(shipped):
    """16 passes of `HybridNetwork.forward`, one by curve and drawn last layer, each beside the trees, as a published model is defined."""
    model, rows = shipped
    parts, network = model.parts, copy.deepcopy(model.parts.network)
    features = torch.from_numpy(parts.scaler.scaled(rows.values))
    draws, apart, trees = [], [], parts.trees.log_probabilities(rows.values)
    for weights in torch.from_numpy(parts.last_layers):
        network.classes[-1].load_state_dict({"weight": weights[:, :-1], "bias": weights[:, -1]})
        curves = [torch.from_numpy(redrawn(channels(rows), sign * parts.pattern[0], 1.0)) for sign in (1.0, -1.0)]
        logits = [network(curve, features)[0].detach().double().numpy() for curve in curves]
        both = [0.5 * (log_softmax(one, axis=1) + trees) for one in logits]
        draws.append(np.mean([softmax(one / parts.calibration.temperature) for one in both], axis=0))
        apart.append(np.mean([-logsumexp(one, axis=1) for one in both], axis=0))
    expected, found = of_draws(np.array(draws)), model.predict(rows)
    assert len(rows) >= 18
    np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=0.0, atol=2e-6)
    np.testing.assert_allclose(found.aleatoric, expected.aleatoric, rtol=0.0, atol=1e-5)
    np.testing.assert_allclose(found.epistemic, expected.epistemic + np.mean(apart, axis=0), rtol=0.0, atol=1e-5)
