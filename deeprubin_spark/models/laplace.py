"""A normal distribution around the weights of a trained network's last layer, in closed form and without training it again.

Laplace approximation with the generalised Gauss-Newton matrix (Daxberger et al. 2021, arXiv:2106.14806). For a softmax of linear logits that matrix is
the Hessian itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from deeprubin_spark.models.uncertainty import softmax

PRECISIONS = np.logspace(-4.0, 4.0, 65)  # of the prior, tried one after the other
_ROWS_AT_ONCE = 4096

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class LastLayerLaplace:
    """w ~ N(w*, S S^T),  w* the trained weights and biases,  (S S^T)^-1 = sum_n (diag(p_n) - p_n p_n^T) (x) x_n x_n^T + tau I.

    weights, w* : (C, H + 1), the bias last      factor, S : (C (H + 1), C (H + 1))      precision, tau : of the prior      log_evidence [nat]
    x : what the layer reads, see `HybridNetwork.last_hidden`, and a 1      p_n = softmax(w* x_n)
    """

    weights: FloatArray
    factor: FloatArray
    precision: float
    log_evidence: float

    @classmethod
    def fit(
        cls, last: nn.Linear, hidden: NDArray[np.floating], target: NDArray[np.integer], precision: float | None = None
    ) -> LastLayerLaplace:
        """From the training rows' hidden (N, H) and class (N,). precision: None for the one of highest evidence,

        ln Z(tau) = sum_n ln p_n[target_n] - tau / 2 |w*|^2 + D / 2 ln tau - 1/2 ln |H + tau I|      (MacKay 1992, Neural Computation 4, 448)
        """
        weights = np.column_stack([last.weight.detach().cpu().numpy(), last.bias.detach().cpu().numpy()]).astype(np.float64)
        x = _with_one(hidden)
        values, vectors = np.linalg.eigh(_curvature(softmax(x @ weights.T), x))
        values = np.maximum(values, 0.0)
        fitted = np.log(np.maximum(softmax(x @ weights.T)[np.arange(len(x)), target], 1e-300)).sum()
        tried = PRECISIONS if precision is None else np.array([precision])
        log_determinants = np.log(values + tried[:, None]).sum(axis=1)
        evidence = fitted - 0.5 * tried * (weights**2).sum() + 0.5 * len(values) * np.log(tried) - 0.5 * log_determinants
        best = int(np.argmax(evidence))
        return cls(weights, vectors / np.sqrt(values + tried[best]), float(tried[best]), float(evidence[best]))

    def draws(self, hidden: NDArray[np.floating], *, n_draws: int = 30, seed: int = 0) -> FloatArray:
        """Probabilities (K, B, C) by drawn weights, the same for all rows.  hidden : (B, H)"""
        return softmax(_with_one(hidden) @ self.drawn(n_draws, seed).transpose(0, 2, 1))

    def drawn(self, n_draws: int, seed: int, scale: float = 1.0) -> FloatArray:
        """Weights and bias (K, C, H + 1), their covariance times `scale`: below 1 where training objects, learnt by heart, say too little of it."""
        normal = np.sqrt(scale) * np.random.default_rng(seed).standard_normal((n_draws, len(self.factor)))
        return self.weights + (normal @ self.factor.T).reshape(n_draws, *self.weights.shape)

    def probit(self, hidden: NDArray[np.floating]) -> FloatArray:
        """Probabilities (B, C) without drawing, from mean and variance of each difference of logits (Lu, Ie & Sha 2020, arXiv:2006.07584).

        p_c ~ 1 / sum_k exp(-(m_c - m_k) / sqrt(1 + pi / 8 v_ck)),   v_ck = variance of f_c - f_k;  for two classes MacKay's formula
        """
        x = _with_one(hidden)
        moved = np.einsum("bh,chd->bcd", x, self.factor.reshape(*self.weights.shape, -1), optimize=True)
        covariance, mean = moved @ moved.transpose(0, 2, 1), x @ self.weights.T
        own = np.diagonal(covariance, axis1=1, axis2=2)
        variance = own[:, :, None] + own[:, None, :] - 2.0 * covariance
        softened = (mean[:, None, :] - mean[:, :, None]) / np.sqrt(1.0 + np.pi / 8.0 * np.maximum(variance, 0.0))
        return softmax(-np.logaddexp.reduce(softened, axis=2))


def _curvature(probabilities: FloatArray, x: FloatArray) -> FloatArray:
    """sum_n (diag(p_n) - p_n p_n^T) (x) x_n x_n^T: (C H, C H), class by class."""
    n_classes, width = probabilities.shape[1], x.shape[1]
    summed = np.zeros((n_classes * width, n_classes * width))
    for start in range(0, len(x), _ROWS_AT_ONCE):
        p, rows = probabilities[start : start + _ROWS_AT_ONCE], x[start : start + _ROWS_AT_ONCE]
        both = (p[:, :, None] * rows[:, None, :]).reshape(len(rows), -1)
        summed -= both.T @ both
        for c in range(n_classes):
            own = slice(c * width, (c + 1) * width)
            summed[own, own] += (rows * p[:, c : c + 1]).T @ rows
    return summed


def _with_one(hidden: NDArray[np.floating]) -> FloatArray:
    return np.column_stack([hidden, np.ones(len(hidden))]).astype(np.float64)
