from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from deeprubin_spark.models.losses import RECONSTRUCTION_WEIGHT, class_weights, gaussian_loss, summed_loss
from deeprubin_spark.models.tcn import LightCurveTcn, TcnShape


def test_the_gaussian_loss_is_the_formula_on_the_hidden_points():
    rebuilt, mean, measured = torch.zeros(1, 2, 4), torch.full((1, 2, 4), 3.0), torch.full((1, 2, 4), 4.0)
    log_sd = torch.full((1, 2, 4), math.log(3.0))
    hidden = torch.tensor([[0.0, 1.0, 1.0, 0.0]])
    assert gaussian_loss(rebuilt, log_sd, mean, measured, hidden).item() == pytest.approx(0.5 * (9.0 / 25.0 + math.log(25.0)))


def test_what_the_measurement_does_not_know_costs_little():
    rebuilt, mean, log_sd = torch.zeros(1, 2, 4), torch.ones(1, 2, 4), torch.full((1, 2, 4), -3.0)
    hidden = torch.ones(1, 4)
    gradients = []
    for sd in (0.1, 1.0, 10.0):
        guess = rebuilt.clone().requires_grad_()
        gaussian_loss(guess, log_sd, mean, torch.full((1, 2, 4), sd), hidden).sum().backward()
        gradients.append(float(guess.grad.abs().max()))
    assert gradients[0] > 10 * gradients[1] > 100 * gradients[2]


def test_a_row_that_hides_nothing_is_only_classified_and_a_row_of_weight_zero_counts_nothing():
    logits, target = torch.tensor([[2.0, 0.0], [0.0, 5.0]]), torch.tensor([0, 0])
    grid = torch.randn(2, 2, 4, generator=torch.Generator().manual_seed(1))
    loss = summed_loss(logits, grid, grid, target, torch.tensor([1.0, 0.0]), grid + 1, grid.abs(), torch.zeros(2, 4))
    assert loss.item() == pytest.approx(math.log(1.0 + math.exp(-2.0)))
    assert RECONSTRUCTION_WEIGHT > 0


def test_class_weights_average_to_one_and_lift_the_rare():
    counts = torch.tensor([100, 4, 0])
    weights = class_weights(counts)
    assert weights[1] / weights[0] == pytest.approx(5.0)
    assert float((weights * counts).sum() / counts.sum()) == pytest.approx(1.0)
    assert weights[2] == 0.0


def test_the_network_is_small_and_treats_each_row_for_itself():
    network = LightCurveTcn(TcnShape(n_features=40, n_classes=14)).eval()
    assert sum(p.numel() for p in network.parameters()) <= 150_000
    rng = np.random.default_rng(3)
    grid, values = (
        torch.from_numpy(rng.normal(size=(6, 6, 64)).astype(np.float32)),
        torch.from_numpy(rng.normal(size=(6, 40)).astype(np.float32)),
    )
    with torch.inference_mode():
        together, mean, log_sd = network(grid, values)
        alone, _, _ = network(grid[2:3], values[2:3])
    assert together.shape == (6, 14) and mean.shape == log_sd.shape == (6, 2, 64)
    torch.testing.assert_close(together[2:3], alone, rtol=1e-4, atol=1e-5)
