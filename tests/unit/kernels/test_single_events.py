"""What a single elongated event may be instead: told by its time and place."""

from __future__ import annotations

import numpy as np

from deeprubin_spark.kernels.earth_position import observer_positions
from deeprubin_spark.kernels.single_events import vetoes
from deeprubin_spark.kernels.two_body import sky_positions

MIDNIGHT = 58565.33  # 2019-03-23 8 h UT at Palomar: the Sun opposite is at the equator


def test_the_ring_of_satellites_is_vetoed_but_not_in_the_earths_shadow():
    against = sky_positions(observer_positions([MIDNIGHT]))
    ra = np.array([against[0][0], against[0][0] + 40.0, against[0][0]])
    dec = np.array([against[1][0] - 3.0, -5.0, 60.0])
    assert vetoes(np.full(3, MIDNIGHT), ra, dec)["satellite"].tolist() == [False, True, False]


def test_twilight_is_by_the_sun():
    hours = np.array([0.0, 1.9, 4.0, 8.0, 12.0, 14.0]) / 24.0
    assert vetoes(58565.0 + hours, np.zeros(6), np.full(6, 60.0))["twilight"].tolist() == [True, True, False, False, False, True]


def test_flashes_in_a_row_are_glints_and_two_are_not():
    ra = np.array([100.0, 100.5, 101.0, 150.0, 150.5])
    found = vetoes(MIDNIGHT + np.arange(5) / 1440.0, ra, np.full(5, 60.0))["glint"]
    assert found.tolist() == [True, True, True, False, False]


def test_a_night_without_events_has_no_vetoes():
    assert all(len(mask) == 0 for mask in vetoes(np.empty(0), np.empty(0), np.empty(0)).values())
