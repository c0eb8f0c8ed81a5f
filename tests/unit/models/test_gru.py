from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from deeprubin_spark.models.gru import DecayGru, GruShape, LightCurveGru
from deeprubin_spark.models.points import Tokens
from tests.unit.models.synthetic_curves import point_set


def test_states_are_those_of_a_plain_loop():
    torch.manual_seed(1)
    layer = DecayGru(3, 4).double()
    x, gap = torch.randn(6, 2, 3, dtype=torch.float64), 20.0 * torch.rand(6, 2, dtype=torch.float64)
    made = layer(x, gap).detach().numpy()
    wx, wh, bx, bh = (p.detach().numpy() for p in (layer.input.weight, layer.state.weight, layer.input.bias, layer.state.bias))
    rate = np.exp(layer.log_rate.detach().numpy())
    for row in range(2):
        h = np.zeros(4)
        for i in range(6):
            h = h * np.exp(-rate * gap[i, row].item())
            (rx, ux, nx), (rh, uh, nh) = np.split(wx @ x[i, row].numpy() + bx, 3), np.split(wh @ h + bh, 3)
            r, u = 1.0 / (1.0 + np.exp(-(rx + rh))), 1.0 / (1.0 + np.exp(-(ux + uh)))
            h = (1.0 - u) * np.tanh(nx + r * nh) + u * h
            np.testing.assert_allclose(made[i, row], h, rtol=1e-6)


def test_without_gaps_it_is_torch_s_gru():
    torch.manual_seed(2)
    layer, library = DecayGru(5, 7), torch.nn.GRU(5, 7)
    with torch.no_grad():
        library.weight_ih_l0.copy_(layer.input.weight)
        library.weight_hh_l0.copy_(layer.state.weight)
        library.bias_ih_l0.copy_(layer.input.bias)
        library.bias_hh_l0.copy_(layer.state.bias)
    x = torch.randn(9, 3, 5)
    torch.testing.assert_close(layer(x, torch.zeros(9, 3)), library(x)[0])


def test_after_long_enough_nothing_is_remembered():
    torch.manual_seed(3)
    layer, x = DecayGru(3, 4), torch.randn(5, 1, 3)
    gap = torch.tensor([[0.0], [1.0], [1e6], [1.0], [1.0]])
    torch.testing.assert_close(layer(x, gap)[2:], layer(x[2:], torch.tensor([[0.0], [1.0], [1.0]])))
    timescale = torch.exp(-layer.log_rate)
    assert timescale.min().item() == pytest.approx(1.0) and timescale.max().item() == pytest.approx(1000.0, rel=1e-4)


def test_what_is_rebuilt_at_a_point_depends_on_no_later_one():
    torch.manual_seed(4)
    network, made = LightCurveGru(GruShape(0, 3, width=8, hidden=8)).eval(), point_set(3, 5)[0]
    values = made.values.clone()
    values[:, 8:] += 1.0
    with torch.inference_mode():
        before = network(made, torch.zeros(3, 0))
        after = network(Tokens(**{**made.__dict__, "values": values}), torch.zeros(3, 0))
    torch.testing.assert_close(after[1][:, :8], before[1][:, :8])
    assert (after[1][:, 8:] - before[1][:, 8:]).abs().max() > 1e-3
    assert (after[0] - before[0]).abs().max() > 1e-4


def test_states_are_pooled_by_the_information_of_their_points():
    torch.manual_seed(6)
    network, made = LightCurveGru(GruShape(0, 3, width=8, hidden=8)).eval(), point_set(2, 7)[0]
    with torch.no_grad():
        network.attention.weight.zero_()
    pooled = network.encoded(made)[0][:, 8:].detach().numpy()
    h = made.inputs().transpose(0, 1)
    for layer in network.layers:
        h = layer(h, made.gap().T)
    states = network.norm(h).detach().numpy()
    for row in range(2):
        weight = np.maximum(made.weight[row].numpy(), 1e-4) * made.given[row].numpy()
        np.testing.assert_allclose(pooled[row], weight @ states[:, row] / weight.sum(), rtol=1e-4, atol=1e-6)
    assert math.isfinite(pooled.sum())
