"""What a trained temporal convolutional network reads out of light curves, at less than half of the cost of `LightCurveTcn.encoded`.

The same formulas with the same weights, but for what training needs:

- the curve is not rebuilt;
- the channels come first, (C, T B), so that a norm over channels adds up long rows, and a step of time is an offset of B columns in one buffer with zeros
  at its ends: nothing is copied for a dilation;
- a layer norm takes the mean over channels away from what it reads. That is a linear map, so the layers that make it, the inlet and each `mix`, have it
  in their weights, and h always has the mean 0;
- buffers are filled again and again: a block of 128 objects stays in a core's cache.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from deeprubin_spark.models.tcn import STRIDE, LightCurveTcn, ResidualBlock


class _Linear(NamedTuple):
    """weight (O, I), bias (O, 1)"""

    weight: Tensor
    bias: Tensor


class _Norm(NamedTuple):
    """gain, shift (C, 1)"""

    gain: Tensor
    shift: Tensor


class _Block(NamedTuple):
    """taps: weight (C, C) of each of the three steps"""

    dilation: int
    norm: _Norm
    taps: tuple[Tensor, ...]
    bias: Tensor
    mix: _Linear


class TcnSummary:
    """Summaries of curves by a network as it is now: (B, 2 W + 2, T) to (B, 2 C), the first of what `encoded` gives, to some 1e-6 of it."""

    def __init__(self, network: LightCurveTcn) -> None:
        self._network = network
        with torch.no_grad():
            self._inlet = _without_mean(network.inlet)
            self._blocks = [_block(cast(ResidualBlock, block)) for block in network.blocks]
            self._norm = _norm(network.norm)
        self._eps = network.norm.eps

    def __call__(self, curve: Tensor) -> Tensor:
        """ValueError as `encoded`."""
        self._network.check(curve)
        n_objects, n_rows, n_steps = curve.shape
        n = n_steps // STRIDE * n_objects
        h = torch.addmm(
            self._inlet.bias, self._inlet.weight, curve.reshape(n_objects, n_rows, -1, STRIDE).permute(1, 3, 2, 0).reshape(-1, n)
        )
        edge = n_objects * max(block.dilation for block in self._blocks)
        padded = h.new_zeros(len(h), n + 2 * edge)
        inner, mid = padded[:, edge : edge + n], torch.empty_like(h)
        for block in self._blocks:
            self._normed(h, block.norm, inner)
            mid.copy_(block.bias)
            for place, tap in zip((-1, 0, 1), block.taps, strict=True):
                start = edge + place * block.dilation * n_objects
                mid.addmm_(tap, padded[:, start : start + n])
            h.addmm_(block.mix.weight, mid.relu_()).add_(block.mix.bias)
        read = nn.functional.gelu(self._normed(h, self._norm, mid)).view(len(h), -1, n_objects)
        return torch.cat([read.mean(dim=1), read.amax(dim=1)]).t()

    def _normed(self, h: Tensor, norm: _Norm, out: Tensor) -> Tensor:
        """Layer norm over the channels of h (C, N), whose mean over them is 0."""
        scale = torch.linalg.vecdot(h, h, dim=0).div_(len(h)).add_(self._eps).rsqrt_()
        return torch.mul(h, scale, out=out).mul_(norm.gain).add_(norm.shift)


def _without_mean(linear: nn.Linear) -> _Linear:
    """The layer, with the mean over its outputs taken away from each of them."""
    weight, bias = linear.weight.double(), linear.bias.double()
    return _Linear((weight - weight.mean(dim=0)).float(), (bias - bias.mean())[:, None].float())


def _norm(layer: nn.LayerNorm) -> _Norm:
    return _Norm(layer.weight[:, None].clone(), layer.bias[:, None].clone())


def _block(block: ResidualBlock) -> _Block:
    taps = block.convolution.weight.split(block.convolution.out_features, dim=1)
    bias = block.convolution.bias[:, None].clone()
    return _Block(block.dilation, _norm(block.norm), tuple(tap.contiguous() for tap in taps), bias, _without_mean(block.mix))
