"""A temporal convolutional network over the Gaussian process grid, joined late by a branch that reads the feature values.

Bai, Kolter & Koltun 2018 (arXiv:1803.01271), with centred instead of causal convolutions: the whole grid is in the past. Group norm, not batch
norm, and no dropout: a row's output depends on that row alone, in training and in use.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from deeprubin_spark.models.inputs import CHANNELS


@dataclass(frozen=True)
class TcnShape:
    """Sizes of the network. The receptive field is 1 + 2 (2^blocks - 1) grid steps: 63 of 64 with 5 blocks."""

    n_features: int
    n_classes: int
    width: int = 48
    blocks: int = 5
    hidden: int = 64

    def as_dict(self) -> dict[str, int]:
        """For the manifest."""
        return asdict(self)


class _ResidualBlock(nn.Module):
    """h + W2 gelu(conv(norm(h))), a convolution of three steps `dilation` apart."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(4, width)
        self.convolution = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)

    def forward(self, h: Tensor) -> Tensor:
        mixed: Tensor = self.mix(nn.functional.gelu(self.convolution(self.norm(h))))
        return h + mixed


class LightCurveTcn(nn.Module):
    """Grid channels and feature values to class logits, and to a reconstruction of the grid's means.

    forward(channels (B, 6, T), features (B, F)) -> logits (B, C), mean (B, 2, T), log_sd (B, 2, T), the last two in units of the object's scale
    """

    def __init__(self, shape: TcnShape) -> None:
        super().__init__()
        self.shape = shape
        self.inlet = nn.Conv1d(len(CHANNELS), shape.width, 1)
        self.blocks = nn.ModuleList(_ResidualBlock(shape.width, 2**i) for i in range(shape.blocks))
        self.norm = nn.GroupNorm(4, shape.width)
        self.features = nn.Sequential(
            nn.Linear(shape.n_features, shape.hidden), nn.GELU(), nn.Linear(shape.hidden, shape.hidden), nn.GELU()
        )
        self.classes = nn.Sequential(
            nn.Linear(2 * shape.width + shape.hidden, shape.hidden), nn.GELU(), nn.Linear(shape.hidden, shape.n_classes)
        )
        self.reconstruction = nn.Conv1d(shape.width, 4, 1)

    def forward(self, channels: Tensor, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        h = self.inlet(channels)
        for block in self.blocks:
            h = block(h)
        h = nn.functional.gelu(self.norm(h))
        pooled = torch.cat([h.mean(dim=2), h.amax(dim=2), self.features(features)], dim=1)
        rebuilt = self.reconstruction(h)
        return self.classes(pooled), rebuilt[:, :2], rebuilt[:, 2:].clamp(-6.0, 3.0)
