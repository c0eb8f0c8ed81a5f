from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from deeprubin_spark.models.points import Tokens, most_informative, tokens, wavelength_code
from deeprubin_spark.models.transformer import LightCurveTransformer, TimeModulation, TransformerShape, WeightedAttention, information_bias
from tests.unit.models.synthetic_curves import curves, point_set


@pytest.fixture
def network() -> LightCurveTransformer:
    torch.manual_seed(1)
    return LightCurveTransformer(TransformerShape(5, 3, width=16, heads=2, hidden=8, harmonics=4)).eval()


def arranged(made: Tokens, order: torch.Tensor) -> Tokens:
    fields = {name: getattr(made, name) for name in made.__dataclass_fields__}
    return Tokens(**{name: value if name == "scale" else value[:, order] for name, value in fields.items()})


def test_attention_is_the_formula():
    torch.manual_seed(2)
    attention = WeightedAttention(6, heads=2).double()
    h, weight = torch.randn(2, 5, 6, dtype=torch.float64), torch.rand(2, 5, dtype=torch.float64)
    given = torch.tensor([[True] * 5, [True, True, False, True, False]])
    made = attention(h, information_bias(weight.log(), given)).detach().numpy()
    query, key, value = np.split(h.numpy() @ attention.inlet.weight.detach().numpy().T + attention.inlet.bias.detach().numpy(), 3, axis=2)
    for row in range(2):
        for i in range(5):
            read = []
            for head in range(2):
                own = slice(3 * head, 3 * head + 3)
                share = np.array(
                    [
                        weight[row, j].item() * math.exp(query[row, i, own] @ key[row, j, own] / math.sqrt(3.0)) * bool(given[row, j])
                        for j in range(5)
                    ]
                )
                read.append(share / share.sum() @ value[row, :, own])
            expected = np.concatenate(read) @ attention.outlet.weight.detach().numpy().T + attention.outlet.bias.detach().numpy()
            np.testing.assert_allclose(made[row, i], expected, rtol=1e-6)


def test_a_point_of_half_the_weight_twice_is_the_point_once():
    torch.manual_seed(3)
    attention = WeightedAttention(8, heads=2)
    h = torch.randn(1, 3, 8)
    once = attention(h, torch.zeros(1, 1, 1, 3))
    twice = attention(torch.cat([h, h[:, 2:]], dim=1), torch.tensor([1.0, 1.0, 0.5, 0.5]).log()[None, None, None])
    torch.testing.assert_close(twice[:, :3], once)


def test_modulation_is_a_fourier_series_of_time_times_a_polynomial_of_wavelength():
    torch.manual_seed(4)
    modulation, period = TimeModulation(2, harmonics=3, period=200.0).double(), 200.0
    time, wavelength = 37.0, torch.from_numpy(wavelength_code(np.array([4827.0])))
    weight, bias = modulation.series.weight.detach().numpy(), modulation.series.bias.detach().numpy()
    x = torch.tensor([[[1.5, -2.0]]], dtype=torch.float64)
    made = modulation(x, torch.tensor([[time]], dtype=torch.float64), wavelength[None])[0, 0].detach().numpy()
    series = bias.copy()
    for m in range(1, 4):
        angle = 2.0 * math.pi * m * time / period
        series += weight[:, m - 1] * math.sin(angle) + weight[:, 3 + m - 1] * math.cos(angle)
    series *= 1.0 + modulation.colour.weight.detach().numpy() @ wavelength[0].numpy()
    np.testing.assert_allclose(made, x[0, 0].numpy() * (1.0 + series[:2]) + series[2:], rtol=1e-6)
    again = modulation(x, torch.tensor([[time + period]], dtype=torch.float64), wavelength[None])[0, 0].detach().numpy()
    np.testing.assert_allclose(again, made, rtol=1e-5)


def test_the_order_of_tokens_does_not_matter_because_each_tells_its_time(network):
    made, features = point_set(6, 5, "ugrizy")[0], torch.randn(6, 5)
    order = torch.randperm(made.values.shape[1], generator=torch.Generator().manual_seed(6))
    with torch.inference_mode():
        logits, mean, log_sd = network(made, features)
        turned, turned_mean, turned_log_sd = network(arranged(made, order), features)
        moved = network(Tokens(**{**made.__dict__, "time": made.time.flip(1)}), features)[0]
    torch.testing.assert_close(turned, logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(turned_mean, mean[:, order], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(turned_log_sd, log_sd[:, order], rtol=1e-4, atol=1e-5)
    assert (moved - logits).abs().max() > 1e-3


def test_points_without_information_hardly_count(network):
    points, _ = curves(1, 7)
    points = most_informative(points)
    given = tokens(points)
    noisy = tokens(points)
    noise = torch.randn(given.values.shape[1], generator=torch.Generator().manual_seed(8))
    weight = torch.where(torch.arange(len(noise)) % 2 == 0, 1.0, 1e-4)[None]
    shifts = []
    for at in (0, 1):  # even places carry information, odd ones none
        values = given.values.clone()
        values[0, at::2, 0] += noise[at::2]
        with torch.inference_mode():
            before = network(Tokens(**{**noisy.__dict__, "weight": weight}), torch.zeros(1, 5))[0]
            after = network(Tokens(**{**noisy.__dict__, "weight": weight, "values": values}), torch.zeros(1, 5))[0]
        shifts.append((after - before).abs().max().item())
    assert shifts[1] < 0.02 * shifts[0]


def test_points_attend_to_the_class_token_so_no_attention_is_ever_empty(network):
    points = most_informative(curves(2, 9)[0])
    made = tokens(points, np.ones(len(points.mjd), bool))
    logits, mean, _ = network(made, torch.zeros(2, 5))
    assert logits.isfinite().all() and not made.given.any()
    mean.sum().backward()
    assert network.class_token.grad.abs().max() > 1e-6
