"""The ellipsoid against its closed forms, against fifty digits, and its chance of coincidence against times drawn at random."""

from decimal import Decimal, getcontext

import numpy as np
import pytest
from astropy import constants, units
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import strategies as st

from deeprubin_spark.kernels.separations import half_angle_squared_sine, separation, unit_vectors
from deeprubin_spark.kernels.seti_ellipsoid import PARSECS_PER_DAY, chance_of_coincidence, crossings, deviation

SN_1987A, SN_2023IXF = 51_400.0, 6.9e6  # [pc]
distances = st.floats(1.0, 1e4)
directions = st.tuples(st.floats(0.0, 360.0), st.floats(-90.0, 90.0))


def in_fifty_digits(d: float, far: float, h: float) -> float:
    """(d_es + d - D) / c as it is written, with digits enough to be taken away from each other."""
    getcontext().prec = 50
    star, event, half = Decimal(d), Decimal(far), Decimal(h)
    to_event = (star * star + event * event - 2 * star * event * (1 - 2 * half)).sqrt()
    return float((to_event + star - event) / Decimal(PARSECS_PER_DAY))


def test_light_goes_a_parsec_in_as_many_days_as_astropy_says() -> None:
    assert pytest.approx((constants.c * units.day).to_value(units.pc), rel=1e-12) == PARSECS_PER_DAY


@given(distances, st.sampled_from([SN_1987A, SN_2023IXF]))
def test_a_star_before_the_event_is_crossed_with_its_light_and_one_behind_us_after_twice_its_distance(d: float, far: float) -> None:
    found = crossings(d, 0.1, far, 0.0, [0.0, 1.0])
    assert found.delay[0] == 0.0
    assert found.delay[1] == pytest.approx(2.0 * d / PARSECS_PER_DAY, rel=1e-12)
    assert found.delay_err == pytest.approx([0.0, 2.0 * 0.1 / PARSECS_PER_DAY], rel=1e-12)


@given(distances, st.sampled_from([SN_1987A, SN_2023IXF]), st.floats(1e-12, 1.0))
def test_the_delay_is_good_to_a_billionth(d: float, far: float, h: float) -> None:
    assert crossings(d, 0.0, far, 0.0, h).delay == pytest.approx(in_fifty_digits(d, far, h), rel=1e-9)


@given(st.floats(2.0, 1e6), st.floats(1e-6, 1.0))
def test_a_star_beyond_the_event_too(d: float, h: float) -> None:
    assert crossings(d, 0.0, 1.0, 0.0, h).delay == pytest.approx(in_fifty_digits(d, 1.0, h), rel=1e-9)


@given(st.floats(10.0, 1e4), st.floats(1e-3, 1.0))
def test_the_error_is_the_slope_of_the_delay_in_both_distances(d: float, h: float) -> None:
    step_d, step_event = 1e-4 * d, 1.0
    by_star = (in_fifty_digits(d + step_d, SN_1987A, h) - in_fifty_digits(d - step_d, SN_1987A, h)) / (2.0 * step_d)
    by_event = (in_fifty_digits(d, SN_1987A + step_event, h) - in_fifty_digits(d, SN_1987A - step_event, h)) / (2.0 * step_event)
    found = crossings(d, [0.5, 0.0], SN_1987A, [0.0, 1200.0], h).delay_err
    assert found == pytest.approx([abs(by_star) * 0.5, abs(by_event) * 1200.0], rel=1e-5, abs=1e-6)


def test_a_star_where_the_event_was_is_crossed_at_once() -> None:
    assert crossings(100.0, 0.0, 100.0, 0.0, 0.0).delay == 0.0


def test_an_unknown_distance_has_no_crossing() -> None:
    found = crossings([np.nan, 10.0], [1.0, np.nan], SN_1987A, 0.0, 0.5)
    assert np.isnan(found.delay[0]) and np.isfinite(found.delay[1]) and np.isnan(found.delay_err).all()


@given(directions, directions)
def test_angles_are_those_of_astropy(one: tuple[float, float], other: tuple[float, float]) -> None:
    expected = SkyCoord(*one, unit="deg").separation(SkyCoord(*other, unit="deg")).rad
    h = half_angle_squared_sine(*one, *other)
    assert 2.0 * np.arcsin(np.sqrt(h)) == pytest.approx(expected, abs=2e-8)


@given(directions, directions, distances, distances)
def test_separations_are_those_of_points_in_space(one, other, d: float, far: float) -> None:
    points = d * unit_vectors(*one), far * unit_vectors(*other)
    found = separation(d, far, half_angle_squared_sine(*one, *other))
    assert found == pytest.approx(np.linalg.norm(points[0] - points[1]), rel=1e-6, abs=1e-6 * max(d, far))


def test_deviation_counts_errors_of_the_crossing_and_of_the_answer() -> None:
    assert deviation(110.0, 100.0, 3.0, 4.0) == pytest.approx(2.0)


@pytest.mark.parametrize("expected", [-5_000.0, 100.0, 1_300.0, 2_400.0, 9_000.0])
def test_times_drawn_at_random_coincide_as_often_as_the_chance_says(expected: float) -> None:
    """The exact null: whatever the crossing time, a share x of random times has a chance of at most x."""
    times = np.random.default_rng(1).uniform(0.0, 2_500.0, 100_000)
    chance = chance_of_coincidence(times, expected, 0.0, 2_500.0)
    for level in (0.001, 0.01, 0.1, 0.5):
        sigma = np.sqrt(level * (1.0 - level) / len(times))
        assert (chance <= level).mean() == pytest.approx(level, abs=4.0 * sigma)


def test_a_span_that_is_empty_is_refused() -> None:
    with pytest.raises(ValueError, match="last_mjd after first_mjd"):
        chance_of_coincidence(1.0, 1.0, 5.0, 5.0)
