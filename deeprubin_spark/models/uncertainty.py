"""Draws of class probabilities, whatever they are draws of, to one answer and the two parts of its uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Prediction:
    """Of B objects: probabilities (B, C) that sum to 1; aleatoric and epistemic uncertainty, (B,) [nat]."""

    probabilities: FloatArray
    aleatoric: FloatArray
    epistemic: FloatArray


def of_draws(draws: FloatArray) -> Prediction:
    """Mean of K draws, the entropy they have singly, and the entropy they have only together (Depeweg et al. 2018, arXiv:1710.07283).

    p = mean_k p_k,   aleatoric = mean_k H(p_k),   epistemic = H(p) - aleatoric >= 0,   H(p) = -sum_c p_c ln p_c

    draws : (K, B, C) probabilities, of members of an ensemble, of weights or of noise.
    """
    mean = draws.mean(axis=0)
    mean /= np.maximum(mean.sum(axis=1, keepdims=True), 1e-300)
    aleatoric = entropy(draws).mean(axis=0)
    return Prediction(mean, aleatoric, np.maximum(entropy(mean) - aleatoric, 0.0))


def softmax(logits: FloatArray) -> FloatArray:
    """Over the last axis, of logits of any size."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: FloatArray = raised / raised.sum(axis=-1, keepdims=True)
    return probabilities


def entropy(probabilities: FloatArray) -> FloatArray:
    """-sum p ln p over the last axis [nat]."""
    summed: FloatArray = -np.sum(probabilities * np.log(np.maximum(probabilities, 1e-300)), axis=-1)
    return summed
