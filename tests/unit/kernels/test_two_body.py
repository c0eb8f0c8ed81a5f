"""Kepler's motion against a numerical integration, closed forms and conserved quantities."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import EarthLocation, get_body_barycentric, get_sun
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from deeprubin_spark.kernels import earth_position, two_body
from deeprubin_spark.kernels.separations import unit_vectors
from deeprubin_spark.kernels.two_body import GM_SUN, Elements, directions, elements, propagate, sky_positions, states_of

ARCSEC = np.pi / 180.0 / 3600.0


def integrated(state: np.ndarray, days: float) -> np.ndarray:
    def force(_: float, y: np.ndarray) -> np.ndarray:
        return np.concatenate([y[3:], -GM_SUN * y[:3] / np.linalg.norm(y[:3]) ** 3])

    return solve_ivp(force, (0.0, days), state, method="DOP853", rtol=1e-13, atol=1e-16).y[:, -1]


def orbits(**fields: object) -> Elements:
    plain = {"perihelion": 1.0, "eccentricity": 0.1, "inclination": 10.0, "node": 80.0, "argument": 30.0, "since_perihelion": 40.0}
    return Elements(*(np.atleast_1d(np.asarray(value, float)) for value in (plain | fields).values()))


SHAPES = [(2.3, 0.0), (0.9, 0.3), (0.3, 0.97), (1.0, 1.0), (1.0, 1.0 + 1e-9), (0.2559, 1.2011), (2.0066, 3.3565), (1.3564, 6.1395)]


@pytest.mark.parametrize(("perihelion", "eccentricity"), SHAPES)
@pytest.mark.parametrize("days", [30.0, -30.0, 400.0])
def test_the_body_is_where_an_integration_by_steps_puts_it(perihelion, eccentricity, days):
    begin = states_of(orbits(perihelion=perihelion, eccentricity=eccentricity, since_perihelion=-12.0))
    found, expected = propagate(begin, days)[0], integrated(begin[0], days)
    seen_from_the_sun = np.linalg.norm(found[:3] - expected[:3]) / np.linalg.norm(expected[:3])
    assert seen_from_the_sun < 1e-4 * ARCSEC, "500 times less than the 0.05 arcsec that are asked for over 30 d"
    np.testing.assert_allclose(found, expected, atol=1e-9)


@given(
    q=st.floats(0.2, 30.0),
    e=st.floats(0.0, 8.0),
    angles=st.tuples(st.floats(1.0, 179.0), st.floats(0.0, 359.0), st.floats(0.0, 359.0)),
    since=st.floats(-1000.0, 1000.0),
    days=st.floats(-2000.0, 2000.0),
)
def test_there_and_back_is_the_same_state_and_energy_and_momentum_stay(q, e, angles, since, days):
    begin = states_of(Elements(*(np.array([value]) for value in (q, e, *angles, since))))
    there = propagate(begin, days)
    np.testing.assert_allclose(propagate(there, -days), begin, rtol=1e-5, atol=1e-6)
    for quantity in (momentum, energy):
        np.testing.assert_allclose(quantity(there), quantity(begin), rtol=1e-7, atol=1e-9)


def momentum(states):
    return np.cross(states[:, :3], states[:, 3:])


def energy(states):
    return 0.5 * np.sum(states[:, 3:] ** 2, axis=1) - GM_SUN / np.linalg.norm(states[:, :3], axis=1)


@pytest.mark.parametrize(("perihelion", "eccentricity"), SHAPES[1:])
@pytest.mark.parametrize("since", [-200.0, -1e-3, 77.0])
def test_elements_come_back_from_their_state(perihelion, eccentricity, since):
    asked = orbits(perihelion=perihelion, eccentricity=eccentricity, since_perihelion=since)
    for name, value, expected in zip(Elements._fields, elements(states_of(asked)), asked, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-7, atol=1e-7, err_msg=name)


def test_a_planets_day_is_its_period_later():
    begin = states_of(orbits(perihelion=0.9, eccentricity=0.1))
    np.testing.assert_allclose(propagate(begin, 365.2568983840419), begin, atol=1e-9)


def test_speed_at_infinity_is_that_of_the_first_interstellar_object():
    begin = states_of(orbits(perihelion=0.25591, eccentricity=1.20113))
    assert two_body.speed_at_infinity(begin)[0] == pytest.approx(26.4, abs=0.1)  # Meech et al. 2017, Nature 552, 378: 26 km/s
    assert two_body.speed_at_infinity(states_of(orbits()))[0] == 0.0


def test_light_time_is_that_of_an_iteration_on_the_whole_orbit():
    begin, observer = states_of(orbits(perihelion=2.5)), np.array([[0.3, -0.9, -0.39]])
    emitted = 20.0
    for _ in range(10):
        away = propagate(begin, emitted)[:, :3] - observer
        emitted = 20.0 - np.linalg.norm(away) / two_body.LIGHT_SPEED
    found = directions(begin, 20.0, observer)
    assert np.linalg.norm(found - away / np.linalg.norm(away)) < 0.003 * ARCSEC


def test_positions_come_back_from_their_vectors():
    ra, dec = np.array([0.0, 123.4, 359.9]), np.array([-89.0, 0.0, 45.0])
    for found, expected in zip(sky_positions(7.0 * unit_vectors(ra, dec)), (ra, dec), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_the_observer_stands_where_astropy_puts_the_telescope():
    mjd = np.array([57754.2, 58451.3, 58451.3, 60310.5])
    time = Time(mjd, format="mjd", scale="utc")
    place = EarthLocation.from_geodetic(-116.8630 * u.deg, 33.3563 * u.deg, 1712.0 * u.m)
    centre = (get_body_barycentric("earth", time) - get_body_barycentric("sun", time)).xyz.to_value("au").T
    expected = centre + place.get_gcrs_posvel(time)[0].xyz.to_value("au").T
    np.testing.assert_allclose(earth_position.observer_positions(mjd), expected, atol=1e-8)  # 1.5 km


def test_the_earth_is_where_a_short_series_for_the_sun_puts_it():
    mjd = np.arange(57000.0, 61000.0, 97.0)
    n = mjd + 2400000.5 - 2451545.0
    g, longitude = np.radians(357.528 + 0.9856003 * n), 280.460 + 0.9856474 * n
    of_date = longitude + 1.915 * np.sin(g) + 0.020 * np.sin(2.0 * g)  # Astronomical Almanac, section C: within 0.01 deg
    along, eps = np.radians(of_date - 0.01396971 * n / 365.25), np.radians(23.4393)
    distance = 1.00014 - 0.01671 * np.cos(g) - 0.00014 * np.cos(2.0 * g)
    sun = distance[:, None] * np.stack([np.cos(along), np.sin(along) * np.cos(eps), np.sin(along) * np.sin(eps)], axis=1)
    assert np.abs(earth_position.observer_positions(mjd) + sun).max() < 4e-4


def test_the_sun_is_as_high_as_astropy_says():
    mjd = 58451.0 + np.linspace(0.0, 1.0, 25)
    time = Time(mjd, format="mjd")
    place = EarthLocation.from_geodetic(-116.8630 * u.deg, 33.3563 * u.deg, 1712.0 * u.m)
    zenith = place.get_gcrs_posvel(time)[0].xyz.to_value("m").T
    sun = get_sun(time).cartesian.xyz.to_value("au").T
    cosine = np.sum(zenith * sun, axis=1) / np.linalg.norm(zenith, axis=1) / np.linalg.norm(sun, axis=1)
    np.testing.assert_allclose(earth_position.sun_altitudes(mjd), 90.0 - np.degrees(np.arccos(cosine)), atol=0.01)


def test_a_time_that_is_none_is_refused():
    with pytest.raises(ValueError, match="finite times"):
        earth_position.observer_positions([58451.0, np.nan])
