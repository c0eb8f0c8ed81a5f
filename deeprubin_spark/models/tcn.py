"""A temporal convolutional network over the Gaussian process grid, joined late by a branch that reads the feature values.

Bai, Kolter & Koltun 2018 (arXiv:1803.01271), with centred instead of causal convolutions: the whole grid is in the past. Two neighbouring grid
steps are one step of the network. It is written as matrix products over (time, object, channel), which on a CPU take a small part of the time of
`Conv1d`. Layer norm, not batch norm, and no dropout: a row's output depends on that row alone, in training and in use.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from deeprubin_spark.models.inputs import CHANNELS

STRIDE = 2  # grid steps that are one step of the network


@dataclass(frozen=True)
class TcnShape:
    """Sizes of the network. The receptive field is 1 + 2 (2^blocks - 1) of its 32 steps: 31 with 4 blocks."""

    n_features: int
    n_classes: int
    width: int = 16
    blocks: int = 4
    hidden: int = 64

    def as_dict(self) -> dict[str, int]:
        """For the manifest."""
        return asdict(self)


class _ResidualBlock(nn.Module):
    """h + W2 relu(conv(norm(h))), a convolution of three steps `dilation` apart; h is (T, B, C)."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.norm = nn.LayerNorm(width)
        self.convolution = nn.Linear(3 * width, width)
        self.mix = nn.Linear(width, width)

    def forward(self, h: Tensor) -> Tensor:
        d, n_steps = self.dilation, len(h)
        padded = nn.functional.pad(self.norm(h), (0, 0, 0, 0, d, d))
        taps = torch.cat([padded[i * d : i * d + n_steps] for i in range(3)], dim=2)
        mixed: Tensor = self.mix(nn.functional.relu(self.convolution(taps)))
        return h + mixed


class LightCurveTcn(nn.Module):
    """Grid channels and feature values to class logits, and to a reconstruction of the grid's means.

    forward(channels (B, 6, T), features (B, F)) -> logits (B, C), mean (B, 2, T), log_sd (B, 2, T), the last two in units of the object's scale;
    T even. ValueError where it is not.
    """

    def __init__(self, shape: TcnShape) -> None:
        super().__init__()
        self.shape = shape
        self.inlet = nn.Linear(STRIDE * len(CHANNELS), shape.width)
        self.blocks = nn.ModuleList(_ResidualBlock(shape.width, 2**i) for i in range(shape.blocks))
        self.norm = nn.LayerNorm(shape.width)
        self.features = nn.Sequential(
            nn.Linear(shape.n_features, shape.hidden), nn.GELU(), nn.Linear(shape.hidden, shape.hidden), nn.GELU()
        )
        self.classes = nn.Sequential(
            nn.Linear(2 * shape.width + shape.hidden, shape.hidden), nn.GELU(), nn.Linear(shape.hidden, shape.n_classes)
        )
        self.reconstruction = nn.Linear(shape.width, STRIDE * 4)

    def forward(self, channels: Tensor, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        n_objects, n_channels, n_steps = channels.shape
        if n_steps % STRIDE:
            raise ValueError(f"grid: an even number of steps expected, found {n_steps}")
        # (B, 6, T) to (T / 2, B, 12)
        h = channels.reshape(n_objects, n_channels, n_steps // STRIDE, STRIDE).permute(2, 0, 1, 3).flatten(2)
        h = self.inlet(h)
        for block in self.blocks:
            h = block(h)
        h = nn.functional.gelu(self.norm(h))
        pooled = torch.cat([h.mean(dim=0), h.amax(dim=0), self.features(features)], dim=1)
        rebuilt = self.reconstruction(h).reshape(n_steps // STRIDE, n_objects, 4, STRIDE).permute(1, 2, 0, 3).flatten(2)
        return self.classes(pooled), rebuilt[:, :2], rebuilt[:, 2:].clamp(-6.0, 3.0)
