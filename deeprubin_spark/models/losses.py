"""What training minimises: classification, and reconstruction of hidden stretches in which the measurement's own error counts."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

RECONSTRUCTION_WEIGHT = 0.1
BETA = 0.5
DEGREES_OF_FREEDOM = 4.0


def multitask_loss(logits: Tensor, target: Tensor, weight: Tensor, reconstruction: Tensor) -> Tensor:
    """Sum over rows, to be divided by the sum of the weights of all ranks.

    L = sum_i w_i (CE_i + 0.1 N_i),   CE_i = -ln softmax(logits_i)[target_i],   N_i = `reconstruction_loss`; w_i holds the class weight, 0 for padding

    logits (B, C), target (B,) int64, weight, reconstruction (B,). Returns a scalar.
    """
    classification = functional.cross_entropy(logits, target, reduction="none")
    return torch.sum(weight * (classification + RECONSTRUCTION_WEIGHT * reconstruction))


def gaussian_nll(residual: Tensor, variance: Tensor) -> Tensor:
    """1/2 [r^2 / v + ln v + ln 2 pi] of each element."""
    return 0.5 * (residual**2 / variance + torch.log(variance) + math.log(2.0 * math.pi))


def beta_nll(residual: Tensor, variance: Tensor) -> Tensor:
    """v^beta, through which no gradient flows, times the Gaussian one; beta = 0.5 (Seitzer et al. 2022, arXiv:2203.09168).

    The Gaussian loss alone stops learning where the network once said that it knows little.
    """
    return variance.detach() ** BETA * gaussian_nll(residual, variance)


def student_nll(residual: Tensor, variance: Tensor) -> Tensor:
    """-ln of Student's t with nu = 4 degrees of freedom, scaled to the variance v: cosmic rays and bad subtractions cost a logarithm, not a square.

    N = (nu + 1) / 2 ln(1 + r^2 / (nu s^2)) + 1/2 ln s^2 + 1/2 ln(nu pi) + ln Gamma(nu / 2) - ln Gamma((nu + 1) / 2),   s^2 = v (nu - 2) / nu
    """
    square = variance * (DEGREES_OF_FREEDOM - 2.0) / DEGREES_OF_FREEDOM
    half, constant = 0.5 * (DEGREES_OF_FREEDOM + 1.0), 0.5 * math.log(DEGREES_OF_FREEDOM * math.pi)
    constant += math.lgamma(0.5 * DEGREES_OF_FREEDOM) - math.lgamma(half)
    return half * torch.log1p(residual**2 / (DEGREES_OF_FREEDOM * square)) + 0.5 * torch.log(square) + constant


NOISE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"gaussian": gaussian_nll, "beta": beta_nll, "student": student_nll}


def reconstruction_loss(
    mean: Tensor, log_sd: Tensor, truth: Tensor, measured_sd: Tensor, hidden: Tensor, noise: str = "gaussian"
) -> Tensor:
    """Mean over a row's hidden points of the chosen `NOISE` loss with total variance; 0 for a row that hides nothing.

    r = truth - mean,   v = measured_sd^2 + exp(2 log_sd)

    Where the measurement itself knows little, an error costs little.
    All (B, ...) of one shape, in units of the object's scale; hidden in {0, 1}. measured_sd = 0 is the twin that is blind to errors. Returns (B,).
    """
    each = NOISE[noise](truth - mean, measured_sd**2 + torch.exp(2.0 * log_sd))
    flat = hidden.flatten(1)
    return (each.flatten(1) * flat).sum(dim=1) / flat.sum(dim=1).clamp(min=1.0)


def class_weights(counts: Tensor) -> Tensor:
    """Weight of each class, n_c^-1/2, so that the mean over all rows is 1; 0 for a class without rows.

    The square root stands between the training set's shares, which no real night has, and equal shares, which no night has either.
    counts (C,) rows per class. Returns (C,) float64.
    """
    seen = counts > 0
    raw = torch.where(seen, counts.clamp(min=1).double() ** -0.5, torch.zeros_like(counts, dtype=torch.float64))
    return raw * counts.sum() / (raw * counts).sum()
