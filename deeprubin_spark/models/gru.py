"""A recurrent network over the observations, whose memory fades with the days between them.

GRU-D (Che et al. 2018, arXiv:1606.01865, eq. 10) for the decay of the state; the points it remembers are pooled by attention weighted by their
information. It reads forwards only: what it says at a point, it could have said that night.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from deeprubin_spark.models.hybrid import HybridNetwork, Thinning, class_head, feature_branch, mean_and_log_sd
from deeprubin_spark.models.points import N_WAVELENGTH, TOKEN, Tokens

_TIMESCALES = (1.0, 1000.0)  # [d] of the fading at the start: kilonovae to active nuclei
_NOWHERE = -1e4  # logit of a point not given; finite, so that an object without points has a mean


@dataclass(frozen=True)
class GruShape:
    """Sizes of the network."""

    n_features: int
    n_classes: int
    width: int = 64
    layers: int = 2
    hidden: int = 64
    dropout: float = 0.1

    def as_dict(self) -> dict[str, float]:
        """For the manifest."""
        return asdict(self)


class DecayGru(nn.Module):
    """A gated recurrent unit whose state decays between points, each channel at its own learned rate gamma > 0 [1/d].

    h~ = exp(-gamma dt_i) h_{i-1}
    r = sigmoid(W_r x_i + U_r h~),   u = sigmoid(W_u x_i + U_u h~),   n = tanh(W_n x_i + r (U_n h~)),   h_i = (1 - u) n + u h~      (biases left out)

    forward(x (L, B, D), gap (L, B) [d], gap_i = t_i - t_{i-1}) -> (L, B, H)
    """

    def __init__(self, n_inputs: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.input, self.state = nn.Linear(n_inputs, 3 * width), nn.Linear(width, 3 * width)
        shortest, longest = (math.log(days) for days in _TIMESCALES)
        self.log_rate = nn.Parameter(-torch.linspace(shortest, longest, width))

    def forward(self, x: Tensor, gap: Tensor) -> Tensor:
        """See the class."""
        inputs = self.input(x)
        kept = torch.exp(-gap[..., None] * torch.exp(self.log_rate))
        h, states, gates = x.new_zeros(x.shape[1], self.width), [], 2 * self.width
        for from_input, fade in zip(inputs, kept, strict=True):
            h = fade * h
            from_state = self.state(h)
            reset, update = torch.sigmoid(from_input[:, :gates] + from_state[:, :gates]).chunk(2, dim=1)
            fresh = torch.tanh(torch.addcmul(from_input[:, gates:], reset, from_state[:, gates:]))
            h = torch.lerp(fresh, h, update)
            states.append(h)
        return torch.stack(states)


class LightCurveGru(HybridNetwork[Tokens]):
    """Tokens and feature values to class logits, and to a reconstruction of each point from those before it.

    forward(tokens of (B, L) points, features (B, F)) -> logits (B, C), mean (B, L), log_sd (B, L)

    Summary: the state after the last point, and the mean of all states weighted by softmax_i(v h_i + ln w_i), w_i the information of a point.
    """

    def __init__(self, shape: GruShape) -> None:
        super().__init__()
        self.shape = shape
        n_inputs = len(TOKEN) + N_WAVELENGTH
        self.layers = nn.ModuleList(DecayGru(shape.width if i else n_inputs, shape.width) for i in range(shape.layers))
        self.between = Thinning(shape.width, shape.dropout)
        self.norm = nn.LayerNorm(shape.width)
        self.attention = nn.Linear(shape.width, 1)
        self.features = feature_branch(shape.n_features, shape.hidden)
        self.classes = class_head(2 * shape.width, shape.n_features, shape.hidden, shape.n_classes)
        self.thinning = Thinning(shape.hidden, shape.dropout)
        self.reconstruction = nn.Linear(shape.width, 2)

    def encoded(self, curve: Tokens) -> tuple[Tensor, Tensor, Tensor]:
        """See `HybridNetwork`."""
        h, gap = curve.inputs().transpose(0, 1), curve.gap().T
        for i, layer in enumerate(self.layers):
            h = layer(self.between(h) if i else h, gap)
        h = self.norm(h.transpose(0, 1))
        attention = torch.softmax((self.attention(h)[..., 0] + curve.log_weight()).masked_fill(~curve.given, _NOWHERE), dim=1)
        n_points = curve.filled().sum(dim=1)
        last = h[torch.arange(len(h), device=h.device), (n_points - 1).clamp(min=0)]
        summary = torch.cat([last, torch.einsum("bl,bld->bd", attention, h)], dim=1)
        return summary, *mean_and_log_sd(self.reconstruction(h))
