"""Positions on the sky against astropy."""

from __future__ import annotations

import numpy as np
from astropy import units as u
from astropy.coordinates import BarycentricMeanEcliptic, SkyCoord
from hypothesis import given
from hypothesis import strategies as st

from deeprubin_spark.kernels.sky import ecliptic_latitude, fewer, galactic_latitude

RNG = np.random.default_rng(1)
RA, DEC = RNG.uniform(0.0, 360.0, 5000), np.degrees(np.arcsin(RNG.uniform(-1.0, 1.0, 5000)))
SKY = SkyCoord(RA * u.deg, DEC * u.deg)  # ICRS, which is J2000 to 0.02 arcsec


def test_galactic_latitude_is_astropys():
    np.testing.assert_allclose(galactic_latitude(RA, DEC), SKY.galactic.b.deg, rtol=0, atol=1e-5)


def test_ecliptic_latitude_is_astropys():
    expected = SKY.transform_to(BarycentricMeanEcliptic(equinox="J2000")).lat.deg
    np.testing.assert_allclose(ecliptic_latitude(RA, DEC), expected, rtol=0, atol=3e-5)


def test_poles_are_at_ninety_degrees_and_an_unknown_place_is_unknown():
    assert abs(galactic_latitude(np.array([192.85948]), np.array([27.12825]))[0] - 90.0) < 1e-5
    assert abs(ecliptic_latitude(np.array([270.0]), np.array([66.5607089]))[0] - 90.0) < 1e-5
    assert np.isnan(galactic_latitude(np.array([np.nan, 1.0]), np.array([1.0, np.nan]))).all()


@given(st.lists(st.integers(1, 50), min_size=2, max_size=40), st.integers(1, 10))
def test_fewer_ranges_cover_all_of_them_and_keep_the_widest_gaps(steps, most):
    edges = np.cumsum(steps[: len(steps) // 2 * 2])
    ranges = edges.reshape(-1, 2)
    found = fewer(ranges, most)
    assert len(found) == min(most, len(ranges))
    covered = np.concatenate([np.arange(first, last + 1) for first, last in found])
    assert np.isin(np.concatenate([np.arange(first, last + 1) for first, last in ranges]), covered).all()
    gaps = np.sort(ranges[1:, 0] - ranges[:-1, 1])
    assert sorted(found[1:, 0] - found[:-1, 1]) == gaps[len(gaps) - len(found) + 1 :].tolist()
