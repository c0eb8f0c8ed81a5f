"""The Sun, the ecliptic and oppositions against astropy."""

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import BarycentricMeanEcliptic, GeocentricMeanEcliptic, SkyCoord, get_sun
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from deeprubin_spark.kernels import earth_transit_zone as zone


def as_angle(degrees):
    return (degrees + 180.0) % 360.0 - 180.0


@given(st.floats(0.0, 360.0), st.floats(-89.9, 89.9))
def test_ecliptic_longitude_is_that_of_astropy(ra: float, dec: float) -> None:
    # Without aberration and without our distance from the barycentre: a rotation alone.
    expected = SkyCoord(ra, dec, unit="deg").transform_to(BarycentricMeanEcliptic(equinox="J2000"))
    across = as_angle(zone.ecliptic_longitude(ra, dec) - expected.lon.deg) * np.cos(expected.lat.rad)
    assert across == pytest.approx(0.0, abs=1e-4)


def test_the_suns_longitude_is_that_of_astropy_to_a_fiftieth_of_a_degree() -> None:
    mjd = np.linspace(51_544.0, 69_000.0, 500)
    sun = get_sun(Time(mjd, format="mjd", scale="tt")).transform_to(GeocentricMeanEcliptic(equinox="J2000"))
    assert np.abs(as_angle(zone.sun_longitude(mjd) - sun.lon.deg)).max() < 0.02


def test_earth_passes_before_the_sun_when_the_sun_is_opposite() -> None:
    """At astropy's own opposition of a star in the ecliptic the days from opposition are next to none, and a day later they are one."""
    mjd = 58_451.3
    sun = get_sun(Time(mjd, format="mjd", scale="tt"))
    ra, dec = (sun.ra + 180.0 * units.deg).wrap_at(360.0 * units.deg).deg, -sun.dec.deg
    assert zone.days_from_opposition(mjd + np.array([0.0, 1.0, 365.25]), ra, dec) == pytest.approx([0.0, 1.0, 0.0], abs=0.05)
    assert abs(zone.days_from_opposition(mjd + 182.6, ra, dec)) > 178.0


def test_the_zone_is_as_wide_as_the_sun_and_the_longest_passage_lasts_thirteen_hours() -> None:
    assert pytest.approx(0.2664, abs=2e-4) == zone.HALF_WIDTH
    ra, dec = 0.0, 0.0  # the vernal equinox lies in the ecliptic
    assert 2.0 * 24.0 * zone.transit_half_duration(ra, dec) == pytest.approx(13.0, abs=0.1)
    assert zone.transit_half_duration(ra, 0.5) == 0.0


def test_days_drawn_at_random_are_near_opposition_as_often_as_the_chance_says() -> None:
    mjd = np.random.default_rng(2).uniform(58_000.0, 58_000.0 + 10 * zone.YEAR, 100_000)
    chance = zone.chance_of_opposition(zone.days_from_opposition(mjd, 83.0, 22.0))
    for level in (0.01, 0.1, 0.5):
        # the Earth's speed varies by 3.4 %
        assert (chance <= level).mean() == pytest.approx(level, rel=0.035, abs=4.0 * np.sqrt(level / len(mjd)))
