"""A temporal convolutional network over the Gaussian process grid, joined late by a branch that reads the feature values.

Bai, Kolter & Koltun 2018 (arXiv:1803.01271), with centred instead of causal convolutions: the whole grid is in the past. Two neighbouring grid
steps are one step of the network. It is written as matrix products over (time, object, channel), which on a CPU take a small part of the time of
`Conv1d`. Layer norm, not batch norm: in use a row's output depends on that row alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from deeprubin_spark.models.hybrid import HIGHEST_LOG_SD, LOWEST_LOG_SD, HybridNetwork, Thinning, class_head, feature_branch
from deeprubin_spark.models.inputs import n_channels

STRIDE = 2  # grid steps that are one step of the network


@dataclass(frozen=True)
class TcnShape:
    """Sizes of the network. The receptive field is 1 + 2 (2^blocks - 1) of its 32 steps: 31 with 4 blocks."""

    n_features: int
    n_classes: int
    width: int = 16
    blocks: int = 4
    hidden: int = 128
    n_bands: int = 2
    dropout: float = 0.5

    def as_dict(self) -> dict[str, float]:
        """For the manifest."""
        return asdict(self)


class ResidualBlock(nn.Module):
    """h + W2 relu(conv(norm(h))), a convolution of three steps `dilation` apart; h is (T, B, C)."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.norm = nn.LayerNorm(width)
        self.convolution = nn.Linear(3 * width, width)
        self.mix = nn.Linear(width, width)

    def forward(self, h: Tensor) -> Tensor:
        """(T, B, C) to (T, B, C)."""
        d, n_steps = self.dilation, len(h)
        padded = nn.functional.pad(self.norm(h), (0, 0, 0, 0, d, d))
        taps = torch.cat([padded[i * d : i * d + n_steps] for i in range(3)], dim=2)
        mixed: Tensor = self.mix(nn.functional.relu(self.convolution(taps)))
        return h + mixed


class LightCurveTcn(HybridNetwork[Tensor]):
    """Grid channels and feature values to class logits, and to a reconstruction of the grid's means in W bands.

    forward(channels (B, 2 W + 2, T), features (B, F)) -> logits (B, C), mean (B, W, T), log_sd (B, W, T), the last two in units of the object's
    scale; T even. ValueError where T is odd or the channels are those of another number of bands.
    """

    def __init__(self, shape: TcnShape) -> None:
        super().__init__()
        self.shape = shape
        self.inlet = nn.Linear(STRIDE * n_channels(shape.n_bands), shape.width)
        self.blocks = nn.ModuleList(ResidualBlock(shape.width, 2**i) for i in range(shape.blocks))
        self.norm = nn.LayerNorm(shape.width)
        self.features = feature_branch(shape.n_features, shape.hidden)
        self.classes = class_head(2 * shape.width, shape.n_features, shape.hidden, shape.n_classes)
        self.thinning = Thinning(shape.hidden, shape.dropout)
        self.reconstruction = nn.Linear(shape.width, STRIDE * 2 * shape.n_bands)

    def encoded(self, curve: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `HybridNetwork`."""
        self.check(curve)
        n_objects, n_rows, n_steps = curve.shape
        n_bands = self.shape.n_bands
        # (B, 2 W + 2, T) to (T / 2, B, 2 (2 W + 2))
        h = curve.reshape(n_objects, n_rows, n_steps // STRIDE, STRIDE).permute(2, 0, 1, 3).flatten(2)
        h = self.inlet(h)
        for block in self.blocks:
            h = block(h)
        h = nn.functional.gelu(self.norm(h))
        summary = torch.cat([h.mean(dim=0), h.amax(dim=0)], dim=1)
        rebuilt = self.reconstruction(h).reshape(n_steps // STRIDE, n_objects, 2 * n_bands, STRIDE).permute(1, 2, 0, 3).flatten(2)
        return summary, rebuilt[:, :n_bands], rebuilt[:, n_bands:].clamp(LOWEST_LOG_SD, HIGHEST_LOG_SD)

    def check(self, curve: Tensor) -> None:
        """ValueError where the curve is not one that `encoded` reads."""
        _, n_rows, n_steps = curve.shape
        expected = n_channels(self.shape.n_bands)
        if n_steps % STRIDE or n_rows != expected:
            raise ValueError(f"grid: an even number of steps of {expected} channels expected, found {n_steps} of {n_rows}")
