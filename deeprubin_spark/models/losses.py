"""What training minimises: classification, and reconstruction of hidden stretches in which the measurement's own error counts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

RECONSTRUCTION_WEIGHT = 0.1


def summed_loss(
    logits: Tensor, rebuilt: Tensor, log_sd: Tensor, target: Tensor, weight: Tensor, mean: Tensor, measured_sd: Tensor, hidden: Tensor
) -> Tensor:
    """Sum over rows, to be divided by the sum of the weights of all ranks.

    L = sum_i w_i (CE_i + 0.1 N_i),   CE_i = -ln softmax(logits_i)[target_i],   N_i the Gaussian loss below; w_i holds the class weight, 0 for padding.

    logits (B, C), rebuilt, log_sd (B, 2, T), target (B,) int64, weight (B,), mean, measured_sd (B, 2, T), hidden (B, T) in {0, 1}. Returns a scalar.
    """
    classification = functional.cross_entropy(logits, target, reduction="none")
    return torch.sum(weight * (classification + RECONSTRUCTION_WEIGHT * gaussian_loss(rebuilt, log_sd, mean, measured_sd, hidden)))


def gaussian_loss(rebuilt: Tensor, log_sd: Tensor, mean: Tensor, measured_sd: Tensor, hidden: Tensor) -> Tensor:
    """Negative log-likelihood of the hidden part of the grid, a row's mean over its hidden points; 0 for a row that hides nothing.

    N = mean over hidden (t, b) of 1/2 [(m - mu)^2 / v + ln v],   v = sigma_meas^2 + sigma_model^2

    m : posterior mean, sigma_meas : its sd (`grid_sd`), mu = rebuilt, sigma_model = exp(log_sd), all in units of the object's scale. Where the
    Gaussian process itself knows little, an error costs little. Returns (B,).
    """
    variance = measured_sd**2 + torch.exp(2.0 * log_sd)
    each = 0.5 * ((mean - rebuilt) ** 2 / variance + torch.log(variance))
    n_hidden = hidden.sum(dim=1).clamp(min=1.0)
    return (each.mean(dim=1) * hidden).sum(dim=1) / n_hidden


def class_weights(counts: Tensor) -> Tensor:
    """Weight of each class, n_c^-1/2, so that the mean over all rows is 1; 0 for a class without rows.

    The square root stands between the training set's shares, which no real night has, and equal shares, which no night has either.
    counts (C,) rows per class. Returns (C,) float64.
    """
    seen = counts > 0
    raw = torch.where(seen, counts.clamp(min=1).double() ** -0.5, torch.zeros_like(counts, dtype=torch.float64))
    return raw * counts.sum() / (raw * counts).sum()
