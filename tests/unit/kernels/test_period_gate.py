"""When a period is searched for, and for which objects."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from deeprubin_spark.kernels.light_curves import light_curves
from deeprubin_spark.kernels.period_gate import NEVER, due_nights, is_variable, milestones


def plain_due(known_night: list[int], night: int) -> tuple[int, int]:
    """Night by night: the last one on which the number of points reached a milestone it had not reached before."""
    due, count, steps = NEVER, 0, [math.ceil(20 * 1.25**k) for k in range(30)]
    for day in sorted(set(known_night)):
        if day > night:
            break
        before, now = (sum(known <= d for known in known_night) for d in (day - 1, day))
        if any(before < step <= now for step in steps):
            due, count = day, now
    return due, count


def test_milestones_grow_by_a_quarter():
    assert list(milestones(80)) == [20, 25, 32, 40, 49, 62, 77, 96]
    assert list(milestones(0)) == [20]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.integers(0, 40), max_size=120), max_size=5), st.integers(-1, 41))
def test_due_nights_are_those_of_the_plain_walk_through_the_nights(objects, night):
    offsets = np.concatenate([[0], np.cumsum([len(known) for known in objects])]).astype(np.int64)
    due, count = due_nights(offsets, np.array([d for known in objects for d in known], np.int32), night)
    assert [(d, c) for d, c in zip(due, count, strict=True)] == [plain_due(known, night) for known in objects]


def test_what_becomes_known_later_does_not_change_a_night():
    rng = np.random.default_rng(1)
    known = rng.integers(0, 100, 300).astype(np.int32)
    for night in range(0, 100, 7):
        early = known[known <= night]
        expected = due_nights(np.array([0, len(early)]), early, night)
        found = due_nights(np.array([0, 300]), known, night)
        assert (found[0][0], found[1][0]) == (expected[0][0], expected[1][0])


def test_the_search_is_due_on_few_of_an_objects_nights():
    known = np.arange(400, dtype=np.int32)
    due = [night for night in range(400) if due_nights(np.array([0, 400]), known, night)[0][0] == night]
    assert len(due) == 14 and due[:4] == [19, 24, 31, 39]
    assert due_nights(np.array([0, 400]), known, 18)[0][0] == NEVER


def test_a_constant_star_is_seldom_variable_and_a_real_one_is(plasticc):
    rng = np.random.default_rng(2)
    n, points = 3000, 30
    flux_err = rng.uniform(1.0, 5.0, n * points)
    flux = 1e4 + flux_err * rng.normal(size=n * points)
    constant = light_curves(np.arange(n + 1) * points, np.arange(n * points), rng.integers(1, 3, n * points), flux, flux_err)
    assert is_variable(constant).sum() <= 3
    for k, found in enumerate(is_variable(plasticc)):
        rows = slice(plasticc.offsets[k], plasticc.offsets[k + 1])
        total, degrees = 0.0, 0
        for b in np.unique(plasticc.band[rows]):
            y, e = (array[rows][plasticc.band[rows] == b] for array in (plasticc.flux, plasticc.flux_err))
            total += np.sum(((y - np.average(y, weights=e**-2)) / e) ** 2)
            degrees += len(y) - 1
        assert found == (chi2.sf(total, degrees) < 1e-4)


def test_a_difference_between_bands_is_no_variability():
    band = np.resize([1, 2], 40)
    curves = light_curves(np.array([0, 40]), np.arange(40.0), band, np.where(band == 1, 100.0, 900.0), np.ones(40))
    assert not is_variable(curves)[0]


@pytest.mark.parametrize("factor", [1e-30, 1.0, 1e30])
def test_variability_has_no_unit(factor):
    flux = np.r_[np.zeros(10), np.resize([0.0, 9.0], 10)]
    curves = light_curves(np.array([0, 10, 20]), np.arange(20.0), np.ones(20), factor * flux, np.full(20, factor))
    assert is_variable(curves).tolist() == [False, True]


def test_too_few_or_unusable_points_do_not_vary():
    curves = light_curves(np.array([0, 0, 1, 3, 5]), np.arange(5.0), [1, 1, 2, 1, 1], [1.0, 5.0, 9.0, np.nan, 3.0], np.full(5, 0.1))
    assert not is_variable(curves).any()
