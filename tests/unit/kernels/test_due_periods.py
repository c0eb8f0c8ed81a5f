"""Periods as of the night on which they are due, found or copied."""

from __future__ import annotations

import numpy as np
import pytest

from deeprubin_spark.kernels.due_periods import N_COLUMNS, fill_period_features
from deeprubin_spark.kernels.light_curves import LightCurves, light_curves
from deeprubin_spark.kernels.period_gate import is_variable
from deeprubin_spark.kernels.period_search import PERIOD_FEATURE_NAMES, find_periods

PERIOD = 0.5374
G, R = 1, 2


def pulsator(n: int, seed: int = 1) -> LightCurves:
    rng = np.random.default_rng(seed)
    mjd = 58000.0 + np.sort(rng.uniform(0.0, 90.0, n))
    phase = 2.0 * np.pi * mjd / PERIOD
    flux = 1000.0 * (np.sin(phase) + 0.4 * np.sin(2.0 * phase + 1.0)) + 20.0 * rng.normal(size=n)
    return light_curves(np.array([0, n]), mjd, np.resize([G, R], n), flux, np.full(n, 20.0))


def first(curves: LightCurves, n: int) -> LightCurves:
    return light_curves(np.array([0, n]), curves.mjd[:n], curves.band[:n], curves.flux[:n], curves.flux_err[:n])


def block(curves: LightCurves, known_night, cached=None) -> np.ndarray:
    out = np.full((curves.n_objects, N_COLUMNS + 1), np.nan)
    fill_period_features(curves, np.asarray(known_night), cached, out, 1)
    assert np.isnan(out[:, 0]).all()
    return out[:, 1:]


def test_points_that_became_known_at_once_are_all_searched():
    curves = pulsator(60)
    found = block(curves, np.zeros(60, int))[0]
    assert found[0] == 60.0 and found[1] == pytest.approx(PERIOD, rel=1e-3)
    np.testing.assert_array_equal(found[1:], find_periods(curves, np.array([True]))[0])


def test_points_after_the_due_night_are_not_seen():
    curves, nights = pulsator(60), np.arange(100, 160)  # a point a night: 20, 25, 32, 40, 49 are milestones
    found = block(curves, nights)[0]
    assert found[0] == 49.0
    np.testing.assert_array_equal(found[1:], find_periods(first(curves, 49), np.array([True]))[0])
    np.testing.assert_array_equal(block(first(curves, 55), nights[:55])[0], found)


def test_what_was_found_for_the_due_night_is_copied_and_of_another_night_not():
    curves, nights = pulsator(60), np.arange(100, 160)
    cached = np.full((1, N_COLUMNS), 7.0)
    cached[0, 0] = 49.0
    np.testing.assert_array_equal(block(curves, nights, cached), cached)
    for count in (40.0, 48.0, np.nan):  # an older milestone, a night that arrived late, none
        cached[0, 0] = count
        np.testing.assert_array_equal(block(curves, nights, cached), block(curves, nights))


def test_fewer_than_twenty_points_have_no_period_whatever_was_found_before():
    assert np.isnan(block(pulsator(19), np.zeros(19, int))).all()
    assert np.isnan(block(pulsator(19), np.zeros(19, int), np.zeros((1, N_COLUMNS)))).all()


def test_a_constant_source_was_looked_at_and_has_no_period():
    rng = np.random.default_rng(2)
    curves = light_curves(np.array([0, 40]), np.arange(40.0), np.full(40, R), 10.0 * rng.normal(size=40), np.full(40, 10.0))
    assert not is_variable(curves)[0]
    found = block(curves, np.zeros(40, int))[0]
    assert found[0] == 40.0 and np.isnan(found[1:]).all()


def test_objects_do_not_see_each_other():
    parts = [pulsator(60, seed) for seed in (1, 2)]
    few = pulsator(8, 3)
    every = [parts[0], few, parts[1]]
    together = light_curves(
        np.array([0, 60, 68, 128]), *(np.concatenate([getattr(c, name) for c in every]) for name in ("mjd", "band", "flux", "flux_err"))
    )
    nights = np.concatenate([np.arange(60), np.arange(8), np.zeros(60, int)])
    cached = np.full((3, N_COLUMNS), np.nan)
    cached[2] = 5.0
    cached[2, 0] = 60.0
    found = block(together, nights, cached)
    np.testing.assert_array_equal(found[0], block(parts[0], nights[:60])[0])
    assert np.isnan(found[1]).all() and (found[2, 1:] == 5.0).all()
    assert len(PERIOD_FEATURE_NAMES) + 1 == N_COLUMNS


def test_nobody_has_no_periods():
    nobody = light_curves(np.array([0]), np.empty(0), np.empty(0), np.empty(0), np.empty(0))
    assert block(nobody, np.empty(0, int)).shape == (0, N_COLUMNS)
