"""What all networks share: a branch that reads the feature values, joined late to what was read of the light curve, and one way to be called."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

Curve = TypeVar("Curve")

LOWEST_LOG_SD, HIGHEST_LOG_SD = -6.0, 3.0  # of the model's own error, in units of the object's scale


class Thinning(nn.Module):
    """Dropout that can also stand still: `kept`, where it is set, multiplies the channels: (D,) those of every row and every time alike, (B, D) a
    row's own.

    One fixed set of channels is one draw of the network (Gal & Ghahramani 2016, arXiv:1512.05287), in which a row does not depend on its neighbours.
    """

    def __init__(self, width: int, share: float) -> None:
        super().__init__()
        self.width, self.share = width, share
        self.kept: Tensor | None = None

    def forward(self, h: Tensor) -> Tensor:
        """(..., D) to (..., D)."""
        return nn.functional.dropout(h, self.share, self.training) if self.kept is None else h * self.kept.to(h.device)

    def draw(self, generator: torch.Generator) -> None:
        """Fix which channels are kept, each with probability 1 - share, and scaled so that the mean stays."""
        self.kept = (torch.rand(self.width, generator=generator) >= self.share) / (1.0 - self.share)


def feature_branch(n_features: int, hidden: int) -> nn.Sequential:
    """(B, F) to (B, H); without features nothing is learned and (B, 0) passes through."""
    if n_features == 0:
        return nn.Sequential()
    return nn.Sequential(nn.Linear(n_features, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU())


def class_head(n_summary: int, n_features: int, hidden: int, n_classes: int) -> nn.Sequential:
    """Summary of the curve and features' branch, side by side, to logits. Its last layer alone is what Bayesian heads replace."""
    return nn.Sequential(nn.Linear(n_summary + (hidden if n_features else 0), hidden), nn.GELU(), nn.Linear(hidden, n_classes))


class HybridNetwork(nn.Module, ABC, Generic[Curve]):
    """A light curve and feature values to class logits, and to a reconstruction of the light curve.

    forward(curve, features (B, F)) -> logits (B, C), mean, log_sd: the last two of the curve's own shape, in units of the object's scale.
    A network adds how it reads a curve, `encoded`, and the three modules named here.
    """

    shape: Any  # its sizes, see networks.py
    features: nn.Sequential
    classes: nn.Sequential
    thinning: Thinning

    @abstractmethod
    def encoded(self, curve: Curve) -> tuple[Tensor, Tensor, Tensor]:
        """Summary of the curve (B, S), mean, log_sd."""

    def joined(self, curve: Curve, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Summary of the curve and the features' branch side by side (B, S + H), mean, log_sd."""
        summary, mean, log_sd = self.encoded(curve)
        return torch.cat([summary, self.features(features)], dim=1), mean, log_sd

    def last_hidden(self, joined: Tensor) -> Tensor:
        """What the last layer reads, (B, H): where domains are compared, and where a last-layer posterior begins."""
        hidden: Tensor = self.thinning(self.classes[:-1](joined))
        return hidden

    def forward(self, curve: Curve, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        joined, mean, log_sd = self.joined(curve, features)
        return self.classes[-1](self.last_hidden(joined)), mean, log_sd


def mean_and_log_sd(rebuilt: Tensor) -> tuple[Tensor, Tensor]:
    """(..., 2) to the mean and the bounded logarithm of the model's own standard deviation, each (...)."""
    return rebuilt[..., 0], rebuilt[..., 1].clamp(LOWEST_LOG_SD, HIGHEST_LOG_SD)
