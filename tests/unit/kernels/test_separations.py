import numpy as np
import pytest

from deeprubin_spark.kernels.separations import half_angle_squared_sine, pairs_within


def _plain(ra, dec, other_ra, other_dec, radius):
    """Every pair looked at, by another formula."""
    h = half_angle_squared_sine(np.asarray(ra)[:, None], np.asarray(dec)[:, None], other_ra, other_dec)
    apart = np.degrees(2.0 * np.arcsin(np.sqrt(h))) * 3600.0
    rows, others = np.nonzero(apart <= radius)
    return rows, others, apart[rows, others]


@pytest.mark.parametrize("centre", [(150.0, 2.0), (0.0, -40.0), (10.0, 89.9995), (200.0, -90.0)], ids=["equator", "0h", "north", "south"])
def test_pairs_are_those_of_all_pairs_looked_at(centre):
    random = np.random.default_rng(1)
    dec = np.clip(centre[1] + random.normal(0.0, 20.0 / 3600.0, 140), -90.0, 90.0)
    ra = (centre[0] + random.normal(0.0, 20.0 / 3600.0, 140) / np.maximum(np.cos(np.radians(dec)), 1e-4)) % 360.0
    found = pairs_within(ra[:60], dec[:60], ra[60:], dec[60:], 5.0)
    expected = _plain(ra[:60], dec[:60], ra[60:], dec[60:], 5.0)
    assert len(expected[0]) > 20
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    np.testing.assert_allclose(found[2], expected[2], atol=1e-5)


def test_a_place_that_is_not_known_has_no_pair():
    rows, others, apart = pairs_within([np.nan, 10.0], [0.0, 0.0], [10.0, 10.0, np.nan], [0.0, np.inf, 0.0], 1.0)
    assert (rows.tolist(), others.tolist(), apart.tolist()) == ([1], [0], [0.0])


@pytest.mark.parametrize("ra", [[], [5.0]], ids=["none", "one"])
def test_nothing_is_near_nothing(ra):
    assert [len(part) for part in pairs_within(ra, ra, [], [], 3.0)] == [0, 0, 0]
    assert [len(part) for part in pairs_within([], [], ra, ra, 3.0)] == [0, 0, 0]
