from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax as scipy_softmax
from scipy.stats import entropy as scipy_entropy

from deeprubin_spark.models import published
from deeprubin_spark.models.uncertainty import Prediction, entropy, of_draws, softmax


def test_entropy_and_softmax_are_scipy_s():
    logits = np.random.default_rng(0).normal(0.0, 300.0, size=(4, 5, 6))
    np.testing.assert_allclose(softmax(logits), scipy_softmax(logits, axis=-1), atol=1e-15)
    probabilities = np.random.default_rng(1).dirichlet(np.ones(6), size=(4, 5))
    np.testing.assert_allclose(entropy(probabilities), scipy_entropy(probabilities, axis=-1))
    assert entropy(np.array([1.0, 0.0])) == 0.0


def test_draws_that_agree_leave_only_what_they_say_and_draws_that_contradict_leave_only_what_they_differ_in():
    torn, agreed = np.array([[[0.5, 0.5]], [[0.5, 0.5]]]), np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    assert of_draws(torn).aleatoric == pytest.approx([np.log(2.0)]) and of_draws(torn).epistemic == pytest.approx([0.0])
    assert of_draws(agreed).aleatoric == pytest.approx([0.0]) and of_draws(agreed).epistemic == pytest.approx([np.log(2.0)])


def test_the_epistemic_part_is_the_mean_divergence_of_the_draws_from_their_mean():
    draws = np.random.default_rng(2).dirichlet(np.ones(4), size=(7, 50))
    made = of_draws(draws)
    np.testing.assert_allclose(made.epistemic, scipy_entropy(draws, made.probabilities[None], axis=-1).mean(axis=0))
    np.testing.assert_allclose(made.probabilities.sum(axis=1), 1.0)
    assert published.Prediction is Prediction
