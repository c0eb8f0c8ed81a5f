from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from deeprubin_spark.kernels.calibration import (
    conformal_scores,
    conformal_sets,
    conformal_threshold,
    label_shift,
    reliability,
    reliability_of_class,
    reweighted,
    temperature,
)


def drawn(n, seed, spread=1.0, classes=3):
    """Probabilities and targets that are drawn from them."""
    rng = np.random.default_rng(seed)
    logits = spread * rng.normal(size=(n, classes))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return logits, p, (rng.uniform(size=(n, 1)) > p.cumsum(axis=1)).sum(axis=1)


def gaussians(n, shares, seed):
    """Objects of two classes at -1 and +1 with unit spread, and their true probabilities where both classes are as frequent."""
    rng = np.random.default_rng(seed)
    target = rng.choice(2, size=n, p=shares)
    x = rng.normal(2.0 * target - 1.0)
    p = 1.0 / (1.0 + np.exp(-2.0 * x))
    return np.column_stack([1.0 - p, p]), target


def test_honest_confidence_has_a_small_calibration_error_and_boasting_a_large_one():
    rng = np.random.default_rng(2)
    confidence = rng.uniform(0.5, 1.0, size=20_000)
    target = np.where(rng.uniform(size=20_000) < confidence, 0, 1)
    honest = np.column_stack([confidence, 1.0 - confidence])
    boasting = np.column_stack([np.full(20_000, 0.99), np.full(20_000, 0.01)])
    assert reliability(honest, target).error < 0.02
    assert reliability(boasting, target).error > 0.2


def test_the_interval_of_a_bin_is_the_exact_binomial_one():
    _, p, target = drawn(900, 5)
    found = reliability(p, target, 9)
    assert found.n_objects.tolist() == [100] * 9
    for accuracy, low, high in zip(found.accuracy, found.low, found.high, strict=True):
        exact = binomtest(round(100 * accuracy), 100).proportion_ci(0.95, method="exact")
        assert (low, high) == pytest.approx((exact.low, exact.high))


def test_bins_are_no_more_than_objects_and_none_is_an_error():
    _, p, target = drawn(4, 6)
    assert reliability(p, target).n_objects.tolist() == [1] * 4
    with pytest.raises(ValueError, match="at least one object"):
        reliability(p[:0], target[:0])


def test_the_temperature_undoes_what_was_multiplied_into_the_logits():
    logits, _, target = drawn(20_000, 3)
    assert temperature(logits[None], target) == pytest.approx(1.0, rel=0.05)
    assert temperature(2.5 * logits[None], target) == pytest.approx(2.5, rel=0.05)


def test_shares_of_another_sky_are_found_without_its_labels():
    p, target = gaussians(20_000, [0.9, 0.1], 7)
    shares, corrected = label_shift(p, np.array([0.5, 0.5]))
    assert shares == pytest.approx([0.9, 0.1], abs=0.01)
    np.testing.assert_allclose(corrected.sum(axis=1), 1.0)
    is_first = target == 0
    assert corrected[is_first, 1].mean() < 0.06 < 0.15 < p[is_first, 1].mean()  # of the first class, who look like the second
    assert abs(corrected[:, 1].mean() - np.mean(~is_first)) < 0.01 < 0.1 < abs(p[:, 1].mean() - np.mean(~is_first))


def test_the_same_sky_is_left_as_it_is():
    p, _ = gaussians(20_000, [0.5, 0.5], 8)
    shares, corrected = label_shift(p, np.array([0.5, 0.5]))
    assert shares == pytest.approx([0.5, 0.5], abs=0.02)
    assert np.abs(corrected - p).max() < 0.02


def test_found_shares_make_the_objects_most_likely():
    """Expectation maximisation climbs the likelihood sum_i ln sum_j q_j p_ij / prior_j: no share on a fine grid does better."""
    p, _ = gaussians(3_000, [0.7, 0.3], 9)
    shares, _ = label_shift(p, np.array([0.5, 0.5]))
    grid = np.linspace(0.001, 0.999, 999)
    likelihood = [np.log(p @ (np.array([q, 1.0 - q]) / 0.5)).sum() for q in grid]
    assert shares[0] == pytest.approx(grid[int(np.argmax(likelihood))], abs=0.002)


def test_a_class_the_training_set_lacked_stays_impossible_and_a_wrong_prior_is_refused():
    p = np.array([[0.2, 0.8, 0.0], [0.6, 0.4, 0.0]])
    shares, corrected = label_shift(p, np.array([0.5, 0.5, 0.0]))
    assert shares[2] == 0.0 and not corrected[:, 2].any()
    with pytest.raises(ValueError, match="3 shares that sum to 1"):
        label_shift(p, np.array([0.5, 0.4, 0.0]))
    np.testing.assert_array_equal(reweighted(p, np.array([0.0, 0.0, 1.0])), p)


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_scores_are_what_a_walk_down_the_ranking_gives(seed, classes):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(classes), size=5)
    u = rng.uniform(size=5)
    found = conformal_scores(p, u)
    for i in range(5):
        for j in range(classes):
            more = sum(p[i, k] for k in range(classes) if p[i, k] > p[i, j])
            assert found[i, j] == pytest.approx(more + u[i] * p[i, j])


@pytest.mark.parametrize("power", [1.0, 3.0, 0.3])
def test_sets_hold_the_truth_as_often_as_promised_even_of_a_classifier_that_boasts_or_doubts(power):
    _, p, target = drawn(40_000, 10, spread=1.5, classes=6)
    p = p**power / (p**power).sum(axis=1, keepdims=True)
    u = np.random.default_rng(11).uniform(size=len(p))
    scores = conformal_scores(p, u)
    half = len(p) // 2
    threshold = conformal_threshold(scores[:half], target[:half], 0.9)
    covered = (scores[half:] <= threshold)[np.arange(half), target[half:]].mean()
    assert covered == pytest.approx(0.9, abs=0.01)
    sets = conformal_sets(p[half:], scores[half:], threshold)
    assert sets.any(axis=1).all() and sets[np.arange(half), p[half:].argmax(axis=1)].all()
    assert sets[np.arange(half), target[half:]].mean() >= covered


def test_weighted_sets_hold_the_truth_as_often_as_promised_where_classes_have_other_shares():
    there, here = np.array([0.8, 0.2]), np.array([0.3, 0.7])
    p, target = gaussians(60_000, there, 12)
    new_p, new_target = gaussians(60_000, here, 13)
    rng = np.random.default_rng(14)
    scores, new = (conformal_scores(each, rng.uniform(size=len(each))) for each in (p, new_p))

    def covered(threshold):
        return (new <= threshold)[np.arange(len(new)), new_target].mean()

    weighted = conformal_threshold(scores, target, 0.9, (here / there)[target])
    assert covered(weighted) == pytest.approx(0.9, abs=0.006)
    slanted = p * np.array([1.0, 0.2]) / (p * np.array([1.0, 0.2])).sum(axis=1, keepdims=True)
    new_slanted = new_p * np.array([1.0, 0.2]) / (new_p * np.array([1.0, 0.2])).sum(axis=1, keepdims=True)
    scores, new = (conformal_scores(each, rng.uniform(size=len(each))) for each in (slanted, new_slanted))
    weighted, plain = conformal_threshold(scores, target, 0.9, (here / there)[target]), conformal_threshold(scores, target, 0.9)
    assert covered(weighted) == pytest.approx(0.9, abs=0.006) and covered(plain) < 0.88
    assert plain == conformal_threshold(scores, target, 0.9, np.full(len(target), 3.0))


def test_few_calibration_objects_exclude_nothing():
    scores = np.array([[0.2, 0.8], [0.9, 0.1]])
    assert conformal_threshold(scores, np.array([0, 1]), 0.9) == np.inf
    assert conformal_threshold(np.repeat(scores, 5, axis=0), np.repeat([0, 1], 5), 0.9) == pytest.approx(0.2)


def test_a_class_is_reliable_where_objects_are_of_it_as_often_as_said():
    rng = np.random.default_rng(0)
    probability = rng.uniform(size=20_000)
    honest = reliability_of_class(probability, rng.uniform(size=20_000) < probability)
    boasting = reliability_of_class(probability, rng.uniform(size=20_000) < 0.5 * probability)
    assert len(honest.confidence) == 10 and honest.n_objects.sum() == 20_000
    assert honest.error < 0.02 and boasting.error == pytest.approx(0.25, abs=0.02)
    assert (np.diff(honest.confidence) > 0.05).all() and ((honest.low <= honest.accuracy) & (honest.accuracy <= honest.high)).all()
    assert reliability_of_class(np.array([0.0, 1.0]), np.array([False, True])).n_objects.tolist() == [1, 1]
    with pytest.raises(ValueError, match="none"):
        reliability_of_class(np.zeros(0), np.zeros(0, bool))
