"""A Transformer over the observations themselves: no grid, no interpolation, any bands.

After ATAT (Cabrera-Vives et al. 2024, arXiv:2405.03078): time enters by modulation, x alpha(t) + beta(t), with learned Fourier series alpha and beta.
Two things are ours: the series depend on wavelength instead of on a survey's band, and attention weighs points by their information.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from deeprubin_spark.models.hybrid import HybridNetwork, Thinning, class_head, feature_branch, mean_and_log_sd
from deeprubin_spark.models.points import N_WAVELENGTH, TOKEN, Tokens

_SPREAD = 0.02  # of the class token at the start


@dataclass(frozen=True)
class TransformerShape:
    """Sizes of the network.

    period : [d] of the Fourier series, twice the longest light curve, as times count from the first detection; its finest step is
    period / (2 harmonics)
    """

    n_features: int
    n_classes: int
    width: int = 64
    heads: int = 4
    layers: int = 2
    hidden: int = 64
    harmonics: int = 48
    period: float = 2200.0
    dropout: float = 0.1

    def as_dict(self) -> dict[str, float]:
        """For the manifest."""
        return asdict(self)


class TimeModulation(nn.Module):
    """x' = x alpha + beta, each channel's alpha and beta a Fourier series in time, times a polynomial in wavelength.

    alpha = 1 + a(t) p(lambda),   a(t) = a_0 + sum_m a_m sin(2 pi m t / P) + a'_m cos(2 pi m t / P),   p(lambda) = 1 + sum_k p_k L_k(lambda)
    beta the same, without the 1.

    forward(x (B, L, D), time (B, L) [d], wavelength (B, L, 3)) -> (B, L, D)
    """

    frequency: Tensor

    def __init__(self, width: int, harmonics: int, period: float) -> None:
        super().__init__()
        self.register_buffer("frequency", 2.0 * math.pi / period * torch.arange(1, harmonics + 1), persistent=False)
        self.series = nn.Linear(2 * harmonics, 2 * width)
        self.colour = nn.Linear(N_WAVELENGTH, 2 * width, bias=False)

    def forward(self, x: Tensor, time: Tensor, wavelength: Tensor) -> Tensor:
        """See the class."""
        phase = time[..., None] * self.frequency
        made = self.series(torch.cat([torch.sin(phase), torch.cos(phase)], dim=-1)) * (1.0 + self.colour(wavelength))
        alpha, beta = made.chunk(2, dim=-1)
        return x + x * alpha + beta


def information_bias(log_weight: Tensor, given: Tensor) -> Tensor:
    """The logarithm ln w_j of each point given, -inf of the others, as attention adds it to all of its logits: (B, L), (B, L) bool to (B, 1, 1, L)."""
    return log_weight.masked_fill(~given, -math.inf)[:, None, None, :]


class WeightedAttention(nn.Module):
    """Attention in which a point counts by its information.

    a_ij = softmax_j(q_i k_j / sqrt(d) + ln w_j),   w_j = min(1, (S/N / 5)^2); points not given are not attended to

    It is where learning starts, not a rule: tokens tell their S/N, so keys can learn to mind non-detections, which say when there was nothing.
    forward(h (B, L, D), bias of `information_bias`) -> (B, L, D)
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.inlet, self.outlet = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, h: Tensor, bias: Tensor) -> Tensor:
        """See the class."""
        query, key, value = self.inlet(h).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        # no gradient flows into the bias: with one, torch would take a path three times slower
        read = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        mixed: Tensor = self.outlet(read.transpose(1, 2).flatten(2))
        return mixed


class _Block(nn.Module):
    """h + attention(norm(h)), then h + W2 gelu(W1 norm(h)), twice as wide inside."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm, self.attention = nn.LayerNorm(width), WeightedAttention(width, heads)
        self.norm, self.expand, self.contract = nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.attention_thinning, self.thinning = Thinning(width, dropout), Thinning(2 * width, dropout)

    def forward(self, h: Tensor, bias: Tensor) -> Tensor:
        h = h + self.attention_thinning(self.attention(self.attention_norm(h), bias))
        mixed: Tensor = self.contract(self.thinning(nn.functional.gelu(self.expand(self.norm(h)))))
        return h + mixed


class LightCurveTransformer(HybridNetwork[Tokens]):
    """Tokens and feature values to class logits, and to a reconstruction of each point.

    forward(tokens of (B, L) points, features (B, F)) -> logits (B, C), mean (B, L), log_sd (B, L). An object is read through a class token that
    attends to its points; one without points is classified by its features.
    """

    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.shape = shape
        self.inlet = nn.Linear(len(TOKEN) + N_WAVELENGTH, shape.width)
        self.modulation = TimeModulation(shape.width, shape.harmonics, shape.period)
        self.class_token = nn.Parameter(_SPREAD * torch.randn(shape.width))
        self.blocks = nn.ModuleList(_Block(shape.width, shape.heads, shape.dropout) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        self.features = feature_branch(shape.n_features, shape.hidden)
        self.classes = class_head(shape.width, shape.n_features, shape.hidden, shape.n_classes)
        self.thinning = Thinning(shape.hidden, shape.dropout)
        self.reconstruction = nn.Linear(shape.width, 2)

    def encoded(self, curve: Tokens) -> tuple[Tensor, Tensor, Tensor]:
        """See `HybridNetwork`."""
        points = self.modulation(self.inlet(curve.inputs()), curve.time, curve.wavelength)
        h = torch.cat([self.class_token.expand(len(curve), 1, -1), points], dim=1)
        # the class token has weight 1
        bias = information_bias(nn.functional.pad(curve.log_weight(), (1, 0)), nn.functional.pad(curve.given, (1, 0), value=True))
        for block in self.blocks:
            h = block(h, bias)
        h = self.norm(h)
        return h[:, 0], *mean_and_log_sd(self.reconstruction(h[:, 1:]))
