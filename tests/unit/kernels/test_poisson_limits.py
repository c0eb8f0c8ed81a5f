"""Limits against Gehrels' table, against scipy's own Poisson law, and their coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from deeprubin_spark.kernels.poisson_limits import limits, weighted_limits

# Gehrels 1986, tables 1 and 2, S = 1 (0.8413): n, lower, upper.
GEHRELS = [
    (0, 0.0, 1.841),
    (1, 0.173, 3.300),
    (2, 0.708, 4.638),
    (3, 1.367, 5.918),
    (5, 2.840, 8.382),
    (10, 6.891, 14.27),
    (100, 90.02, 111.0),
]


@pytest.mark.parametrize(("n", "lower", "upper"), GEHRELS)
def test_the_limits_are_those_of_gehrels_table(n: int, lower: float, upper: float) -> None:
    assert np.array(limits(n)).ravel() == pytest.approx([lower, upper], rel=5e-4, abs=5e-4)


@given(st.integers(0, 500), st.floats(0.6, 0.999))
def test_as_many_or_fewer_are_as_unlikely_at_the_upper_limit_as_was_asked(n: int, confidence: float) -> None:
    lower, upper = limits(n, confidence)
    assert stats.poisson.cdf(n, upper) == pytest.approx(1.0 - confidence, rel=1e-6)
    if n:
        assert stats.poisson.sf(n - 1, lower) == pytest.approx(1.0 - confidence, rel=1e-6)


@pytest.mark.parametrize("mean", [0.3, 1.0, 4.0, 30.0])
def test_the_limits_hold_the_true_mean_at_least_as_often_as_they_say(mean: float) -> None:
    lower, upper = limits(np.random.default_rng(3).poisson(mean, 20_000), 0.95)
    assert (upper >= mean).mean() >= 0.945
    assert (lower <= mean).mean() >= 0.945


@given(st.integers(0, 200))
def test_weights_of_one_are_counts(n: int) -> None:
    assert np.array(weighted_limits(n, n)) == pytest.approx(np.array(limits(n)))


@given(st.integers(1, 200), st.floats(1e-3, 1.0))
def test_equal_weights_scale_the_limits(n: int, weight: float) -> None:
    assert np.array(weighted_limits(n * weight, n * weight**2)) == pytest.approx(weight * np.array(limits(n)))


def test_a_sum_of_unequal_weights_is_covered() -> None:
    """40 objects a sky, each of the kind with its own probability; the true expected number lies within the limits about as often as asked."""
    generator = np.random.default_rng(4)
    covered = []
    for _ in range(2_000):
        weights = generator.beta(2.0, 2.0, generator.poisson(40))
        lower, upper = weighted_limits(weights.sum(), (weights**2).sum(), 0.95)
        covered.append((lower <= 20.0) & (upper >= 20.0))
    assert np.mean(covered) >= 0.88


def test_counts_below_zero_and_confidences_beyond_one_are_refused() -> None:
    with pytest.raises(ValueError, match="not below 0"):
        limits([-1])
    with pytest.raises(ValueError, match="between 0 and 1"):
        limits([1], 1.0)
