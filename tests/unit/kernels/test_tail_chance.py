"""Tail probabilities are calibrated on what they were fitted to, monotone, and go on beyond it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeprubin_spark.kernels.tail_chance import TAIL, TailChance

USUAL = np.random.default_rng(2).gamma(3.0, size=4000)


def test_the_share_of_usual_objects_at_or_above_a_value():
    p = TailChance.fit(USUAL)(np.quantile(USUAL, [0.0, 0.5, 0.9, 1.0 - TAIL]))
    np.testing.assert_allclose(p, [1.0, 0.5, 0.1, TAIL], atol=2e-3)


def test_beyond_the_last_quantile_an_exponential_tail_is_exact_for_exponential_values():
    x = np.random.default_rng(3).exponential(2.0, 200_000)
    np.testing.assert_allclose(np.log(TailChance.fit(x)(np.array([15.0, 25.0]))), [-7.5, -12.5], rtol=0.05)


@given(st.lists(st.floats(-100.0, 100.0), min_size=2, max_size=30))
def test_it_falls_as_values_rise_and_stays_in_the_unit_interval(values):
    p = TailChance.fit(USUAL)(np.sort(values))
    assert (np.diff(p) <= 0.0).all() and (p > 0.0).all() and (p <= 1.0).all()


def test_what_is_not_known_is_not_unusual():
    assert TailChance.fit(USUAL)(np.array([np.nan]))[0] == 1.0


def test_usual_objects_all_alike_have_a_tail():
    made = TailChance.fit(np.ones(50))
    assert made(np.array([1.0]))[0] >= TAIL and made(np.array([2.0]))[0] < 1e-6


@pytest.mark.parametrize("usual", [np.zeros(0), np.array([1.0, np.nan])])
def test_usual_values_must_be_known(usual):
    with pytest.raises(ValueError, match="finite values"):
        TailChance.fit(usual)
