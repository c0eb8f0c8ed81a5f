"""What keeps a network's hidden values alike in two domains: one with labels, the source, and one without, the target.

source (N, D), target (M, D): hidden values of a batch of either, `HybridNetwork.last_hidden`; no label is read. Each penalty is a scalar.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the kernels, in units of the mean squared distance
RAMP = 10.0
JUDGE_HIDDEN = 64


def coral(source: Tensor, target: Tensor) -> Tensor:
    """||C_s - C_t||_F^2 / (4 D^2),  C the covariance of the hidden values (Sun & Saenko 2016, arXiv:1607.01719)."""
    difference = covariance(source) - covariance(target)
    return (difference**2).sum() / (4.0 * source.shape[1] ** 2)


def covariance(hidden: Tensor) -> Tensor:
    """(D, D) from (N, D), over N - 1; zeros of one row."""
    centred = hidden - hidden.mean(dim=0)
    return centred.T @ centred / max(1, len(hidden) - 1)


def mmd(source: Tensor, target: Tensor) -> Tensor:
    """Squared maximum mean discrepancy, the biased estimate (Gretton et al. 2012, Journal of Machine Learning Research 13, 723, eq. 5):

    MMD^2 = mean k(s, s') + mean k(t, t') - 2 mean k(s, t),   k(x, y) = mean_w exp(-|x - y|^2 / (w d^2)),   w in WIDTHS

    d^2 : mean squared distance between two of all N + M rows, through which no gradient flows
    """
    both = torch.cat([source, target])
    squared = (both[:, None] - both[None, :]).square().sum(dim=2)
    typical = squared.detach().mean().clamp(min=1e-12)
    kernel = torch.stack([torch.exp(-squared / (width * typical)) for width in WIDTHS]).mean(dim=0)
    n = len(source)
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2.0 * kernel[:n, n:].mean()


class _Reversed(torch.autograd.Function):
    """The identity; its gradient is multiplied by -strength."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, strength: float) -> Tensor:  # noqa: D102
        ctx.strength = strength
        return hidden.view_as(hidden)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: D102
        return -ctx.strength * gradients[0], None


def reversed_gradient(hidden: Tensor, strength: float) -> Tensor:
    """`hidden` as it is, with a gradient of the other sign, times `strength` (Ganin et al. 2016, arXiv:1505.07818)."""
    made: Tensor = _Reversed.apply(hidden, strength)
    return made


def ramp(progress: float) -> float:
    """2 / (1 + e^(-10 p)) - 1: from 0 at the start, p = 0, to nearly 1 at the end, p = 1 (Ganin et al. 2016)."""
    return 2.0 / (1.0 + math.exp(-RAMP * progress)) - 1.0


class DomainJudge(nn.Module):
    """Tells the domains apart, and so teaches the network to make them alike (Ganin et al. 2016, arXiv:1505.07818)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.logit = nn.Sequential(nn.Linear(width, JUDGE_HIDDEN), nn.GELU(), nn.Linear(JUDGE_HIDDEN, 1))

    def forward(self, source: Tensor, target: Tensor, strength: float) -> Tensor:
        """Mean of both domains' cross-entropy, with the gradient to the hidden values reversed."""
        both = reversed_gradient(torch.cat([source, target]), strength)
        is_source = torch.cat([torch.ones(len(source)), torch.zeros(len(target))])
        weight = torch.cat([torch.full((len(source),), 0.5 / len(source)), torch.full((len(target),), 0.5 / len(target))])
        losses = functional.binary_cross_entropy_with_logits(self.logit(both)[:, 0], is_source, reduction="none")
        return (weight * losses).sum()
