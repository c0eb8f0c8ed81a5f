from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from deeprubin_spark.models.losses import (
    NOISE,
    RECONSTRUCTION_WEIGHT,
    beta_nll,
    class_weights,
    gaussian_nll,
    multitask_loss,
    reconstruction_loss,
    student_nll,
)
from deeprubin_spark.models.tcn import LightCurveTcn, TcnShape


def test_the_gaussian_loss_is_the_formula_on_the_hidden_points():
    rebuilt, mean, measured = torch.zeros(1, 2, 4), torch.full((1, 2, 4), 3.0), torch.full((1, 2, 4), 4.0)
    log_sd = torch.full((1, 2, 4), math.log(3.0))
    hidden = torch.tensor([0.0, 1.0, 1.0, 0.0]).expand(1, 2, 4)
    expected = 0.5 * (9.0 / 25.0 + math.log(25.0) + math.log(2.0 * math.pi))
    assert reconstruction_loss(rebuilt, log_sd, mean, measured, hidden).item() == pytest.approx(expected)


def test_what_the_measurement_does_not_know_costs_little():
    rebuilt, mean, log_sd = torch.zeros(1, 2, 4), torch.ones(1, 2, 4), torch.full((1, 2, 4), -3.0)
    hidden = torch.ones(1, 2, 4)
    gradients = []
    for sd in (0.1, 1.0, 10.0):
        guess = rebuilt.clone().requires_grad_()
        reconstruction_loss(guess, log_sd, mean, torch.full((1, 2, 4), sd), hidden).sum().backward()
        gradients.append(float(guess.grad.abs().max()))
    assert gradients[0] > 10 * gradients[1] > 100 * gradients[2]


def test_a_row_that_hides_nothing_is_only_classified_and_a_row_of_weight_zero_counts_nothing():
    logits, target = torch.tensor([[2.0, 0.0], [0.0, 5.0]]), torch.tensor([0, 0])
    grid = torch.randn(2, 2, 4, generator=torch.Generator().manual_seed(1))
    rebuilt = reconstruction_loss(grid, grid, grid + 1, grid.abs(), torch.zeros(2, 2, 4))
    loss = multitask_loss(logits, target, torch.tensor([1.0, 0.0]), rebuilt)
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


def residuals(n: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(4)
    return torch.from_numpy(rng.normal(0.0, 5.0, n)), torch.from_numpy(rng.uniform(0.01, 9.0, n))


def test_the_gaussian_and_student_losses_are_scipy_s_log_densities():
    residual, variance = residuals()
    sd = np.sqrt(variance.numpy())
    np.testing.assert_allclose(gaussian_nll(residual, variance).numpy(), -stats.norm.logpdf(residual, scale=sd))
    np.testing.assert_allclose(student_nll(residual, variance).numpy(), -stats.t.logpdf(residual, df=4, scale=sd / np.sqrt(2.0)))
    assert stats.t.std(df=4, scale=1.0 / np.sqrt(2.0)) == pytest.approx(1.0)


def test_an_outlier_pulls_the_student_loss_less_the_further_it_lies():
    pulls = {}
    for name in ("gaussian", "student"):
        residual = torch.tensor([3.0, 30.0, 300.0], requires_grad=True)
        NOISE[name](residual, torch.ones(3)).sum().backward()
        pulls[name] = residual.grad.tolist()
    assert pulls["gaussian"] == pytest.approx([3.0, 30.0, 300.0])
    assert pulls["student"][0] > pulls["student"][1] > pulls["student"][2] > 0.0


def test_beta_weighs_the_gradient_of_the_mean_by_one_over_the_sd_not_the_variance():
    residual, variance = residuals(50)
    residual.requires_grad_()
    variance.requires_grad_()
    beta_nll(residual, variance).sum().backward()
    r, v = residual.detach(), variance.detach()
    torch.testing.assert_close(residual.grad, r / v.sqrt())
    torch.testing.assert_close(variance.grad, v.sqrt() * 0.5 * (1.0 / v - r**2 / v**2))  # none through the weight


def test_reconstruction_adds_variances_and_counts_hidden_points_only():
    rng = np.random.default_rng(5)
    mean, truth, log_sd, sd = (torch.from_numpy(rng.normal(size=(3, 2, 7))) for _ in range(4))
    hidden = torch.from_numpy((rng.random((3, 2, 7)) < 0.4).astype(float))
    hidden[2] = 0.0
    made = reconstruction_loss(mean, log_sd, truth, sd.abs(), hidden).numpy()
    total = np.hypot(sd.numpy(), np.exp(log_sd.numpy()))
    each = -stats.norm.logpdf(truth.numpy(), mean.numpy(), total)
    expected = [each[i][hidden[i].numpy() > 0].mean() for i in (0, 1)]
    np.testing.assert_allclose(made, [*expected, 0.0])


def test_the_best_model_error_is_what_the_measurement_does_not_explain():
    rng = np.random.default_rng(6)
    sd = torch.from_numpy(rng.uniform(0.1, 2.0, (1, 40_000)))
    truth = torch.from_numpy(rng.standard_normal((1, 40_000))) * torch.sqrt(sd**2 + 0.5**2)
    tried = np.linspace(0.3, 0.8, 26)
    losses = [
        reconstruction_loss(torch.zeros_like(sd), torch.full_like(sd, math.log(s)), truth, sd, torch.ones_like(sd)).item() for s in tried
    ]
    assert tried[int(np.argmin(losses))] == pytest.approx(0.5, abs=0.04)
