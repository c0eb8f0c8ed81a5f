"""Networks that know what they do not know: an ensemble, thinned copies, weights with a distribution; and light curves redrawn within their errors.

Each way ends in draws of probabilities (K, B, C), which `uncertainty.of_draws` splits alike. A draw is one network, the same for all objects, so an
object's answer does not depend on its neighbours. The last-layer Laplace approximation is in laplace.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deeprubin_spark.models.hybrid import Curve, HybridNetwork, Thinning
from deeprubin_spark.models.points import Points, Tokens, noise_pattern, redrawn_points, tokens
from deeprubin_spark.models.uncertainty import softmax

PRIOR_SD = 1.0
_START_SD = 0.02  # of a weight's posterior before training: small beside the weights themselves

FloatArray = NDArray[np.float64]


def ensemble_draws(members: Sequence[HybridNetwork[Curve]], curve: Curve, features: Tensor) -> FloatArray:
    """Probabilities by each member of a deep ensemble (Lakshminarayanan et al. 2017, arXiv:1612.01474): networks trained from different starts."""
    with torch.inference_mode():
        return np.stack([_probabilities(member.eval()(curve, features)[0]) for member in members])


def dropout_draws(network: HybridNetwork[Curve], curve: Curve, features: Tensor, *, n_draws: int = 30, seed: int = 0) -> FloatArray:
    """Monte Carlo dropout (Gal & Ghahramani 2016, arXiv:1506.02142): the network thinned as in training, a draw by one set of kept channels."""
    generator, network = torch.Generator().manual_seed(seed), network.eval()
    thinnings = [module for module in network.modules() if isinstance(module, Thinning)]
    with torch.inference_mode(), _put_back(thinnings, "kept"):
        return np.stack([_drawn(thinnings, generator, network, (curve, features)) for _ in range(n_draws)])


def noise_draws(network: HybridNetwork[Tokens], points: Points, features: Tensor, *, n_draws: int = 8, seed: int = 0) -> FloatArray:
    """Probabilities of the light curve redrawn within its errors, along a noise pattern and against it, as a published model does.

    Their mean is one network's answer. Put in `uncertainty.of_draws` singly, they would count errors of measurement as ignorance of the network.
    points : by time, at most 256 an object
    """
    kappa, network = np.ones(len(points)), network.eval()
    patterns = [(-1.0) ** k * noise_pattern(points, seed + k // 2) for k in range(n_draws)]
    with torch.inference_mode():
        return np.stack([_probabilities(network(tokens(redrawn_points(points, e, kappa)), features)[0]) for e in patterns])


class BayesianLinear(nn.Module):
    """A linear layer whose weights have independent normal distributions (Blundell et al. 2015, arXiv:1505.05424).

    w ~ N(mu, sigma^2),  sigma = ln(1 + e^rho),  prior N(0, PRIOR_SD^2).  In training the output is drawn instead of the weights, which has the same
    distribution and less noise (Kingma et al. 2015, arXiv:1506.02557):  y ~ N(x mu, x^2 sigma^2).  In use the weights are mu, or those drawn.
    """

    def __init__(self, mean: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(mean.weight.detach().clone()), nn.Parameter(mean.bias.detach().clone())
        start = math.log(math.expm1(_START_SD))
        self.weight_rho = nn.Parameter(torch.full_like(mean.weight, start))
        self.bias_rho = nn.Parameter(torch.full_like(mean.bias, start))
        self.drawn: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(B, I) to (B, O)."""
        if self.drawn is not None:
            return nn.functional.linear(x, *self.drawn)
        y = nn.functional.linear(x, self.weight, self.bias)
        if not self.training:
            return y
        weight_sd, bias_sd = self.sd()
        return y + torch.sqrt(nn.functional.linear(x**2, weight_sd**2, bias_sd**2)) * torch.randn_like(y)

    def sd(self) -> tuple[Tensor, Tensor]:
        """Of weight and bias."""
        return nn.functional.softplus(self.weight_rho), nn.functional.softplus(self.bias_rho)

    def kl(self) -> Tensor:
        """KL(q || prior) = sum over weights of  ln(s_0 / s) + (s^2 + mu^2) / (2 s_0^2) - 1/2,  s_0 = PRIOR_SD.  A scalar [nat]."""
        total = self.weight.new_zeros(())
        for mean, sd in zip((self.weight, self.bias), self.sd(), strict=True):
            total = total + (math.log(PRIOR_SD) - torch.log(sd) + 0.5 * (sd**2 + mean**2) / PRIOR_SD**2 - 0.5).sum()
        return total

    def draw(self, generator: torch.Generator) -> None:
        """Fix the weights at one draw."""
        means, device = (self.weight, self.bias), self.weight.device
        weight, bias = (
            mean + sd * torch.randn(mean.shape, generator=generator).to(device) for mean, sd in zip(means, self.sd(), strict=True)
        )
        self.drawn = (weight, bias)


def make_head_bayesian(network: HybridNetwork[Curve]) -> HybridNetwork[Curve]:
    """The network, its class head's linear layers replaced by Bayesian ones that start at their weights."""
    for place, layer in enumerate(network.classes):
        if isinstance(layer, nn.Linear):
            network.classes[place] = BayesianLinear(layer)
    return network


def kl_to_prior(network: nn.Module) -> Tensor:
    """Of all Bayesian layers [nat]. The loss of N training rows is  sum of their losses + kl, so a batch of B rows adds  B / N kl."""
    return torch.stack([layer.kl() for layer in network.modules() if isinstance(layer, BayesianLinear)]).sum()


def head_draws(network: HybridNetwork[Curve], curve: Curve, features: Tensor, *, n_draws: int = 30, seed: int = 0) -> FloatArray:
    """Probabilities by drawn weights of the Bayesian layers of the class head; the light curve is read once for all draws."""
    generator, network = torch.Generator().manual_seed(seed), network.eval()
    layers = [layer for layer in network.classes if isinstance(layer, BayesianLinear)]
    with torch.inference_mode(), _put_back(layers, "drawn"):
        joined = network.joined(curve, features)[0]
        return np.stack([_drawn(layers, generator, network.classes, (joined,)) for _ in range(n_draws)])


def _drawn(drawing: Sequence[Thinning] | Sequence[BayesianLinear], generator: torch.Generator, of: nn.Module, given: tuple) -> FloatArray:
    """Probabilities (B, C) by one draw of these modules."""
    for module in drawing:
        module.draw(generator)
    logits = of(*given)
    return _probabilities(logits[0] if isinstance(logits, tuple) else logits)


@contextmanager
def _put_back(modules: Sequence[nn.Module], name: str) -> Iterator[None]:
    """Nothing drawn stays in the modules, whatever happens."""
    try:
        yield
    finally:
        for module in modules:
            setattr(module, name, None)


def _probabilities(logits: Tensor) -> FloatArray:
    return softmax(logits.double().cpu().numpy())
