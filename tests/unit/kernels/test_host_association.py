"""Hosts of known supernovae in the bundled catalogue, and of nobody at random places."""

import numpy as np
import pytest

from deeprubin_spark.kernels import host_association as kernel
from deeprubin_spark.kernels.host_association import Coincidences, Galaxies, hosts_of
from deeprubin_spark.kernels.separations import half_angle_squared_sine
from deeprubin_spark.searches import catalogues

GALAXIES = catalogues.galaxies()


NULL = catalogues.coincidences()
ONE_TO_ONE = Coincidences(np.array([1e-6, 1.0]), np.array([1e-6, 1.0]))


def test_a_supernova_of_a_near_galaxy_finds_its_host() -> None:
    """SN 2014J, 58 arcsec from the centre of M82, which the catalogue has at 4.7 Mpc."""
    found = hosts_of(np.array([148.925583]), np.array([69.673889]), GALAXIES, NULL)
    assert GALAXIES.name[found.galaxy[0]] == "NGC3034"
    assert found.probability[0] > 0.999
    assert found.offset[0] == pytest.approx(4.7e3 * np.radians(58.0 / 3600.0), rel=0.02)


def test_the_likeliest_of_all_galaxies_is_found() -> None:
    """Against every galaxy looked at for every event, without a tree."""
    generator = np.random.default_rng(8)
    chosen = generator.integers(0, len(GALAXIES.ra), 200)
    ra = GALAXIES.ra[chosen] + generator.normal(0.0, 0.05, 200)
    dec = np.clip(GALAXIES.dec[chosen] + generator.normal(0.0, 0.05, 200), -90.0, 90.0)
    galaxy, q, _ = kernel.smallest_q(ra, dec, GALAXIES)
    theta = 2.0 * np.arcsin(np.sqrt(half_angle_squared_sine(ra[:, None], dec[:, None], GALAXIES.ra, GALAXIES.dec)))
    every = 1.0 - np.exp(-np.pi * theta**2 * np.arange(1, len(GALAXIES.ra) + 1) / (4.0 * np.pi))
    every[theta * GALAXIES.angular_distance * 1e3 > 50.0] = np.inf
    assert (galaxy == np.where(np.isfinite(every.min(axis=1)), every.argmin(axis=1), -1)).all()
    assert q == pytest.approx(every.min(axis=1))


def test_random_places_have_a_host_as_often_as_chance_says() -> None:
    generator = np.random.default_rng(9)
    ra, dec = generator.uniform(0.0, 360.0, 50_000), np.degrees(np.arcsin(generator.uniform(-1.0, 1.0, 50_000)))
    found = hosts_of(ra, dec, GALAXIES, NULL)
    for chance in (0.002, 0.01, 0.05, 0.1):
        assert (found.probability >= 1.0 - chance).mean() == pytest.approx(chance, abs=5.0 * np.sqrt(chance / 50_000), rel=0.1)


def test_between_known_shares_chance_is_a_power_law_and_below_them_proportional() -> None:
    known = Coincidences(np.array([1e-4, 1e-2]), np.array([1e-3, 1e-2]))
    assert known.chance(np.array([0.0, 1e-5, 1e-4, 1e-3, 1e-2])) == pytest.approx([0.0, 1e-4, 1e-3, np.sqrt(1e-5), 1e-2])


def test_an_event_without_a_place_or_far_from_galaxies_has_no_host() -> None:
    alone = Galaxies(np.array(["here"], object), np.array([10.0]), np.array([10.0]), np.array([50.0]), np.array([49.0]))
    found = hosts_of(np.array([np.nan, 10.0, 200.0]), np.array([10.0, 10.0, -50.0]), alone, ONE_TO_ONE)
    assert found.galaxy.tolist() == [-1, 0, -1]
    assert np.isnan(found.offset[[0, 2]]).all() and found.offset[1] == pytest.approx(0.0, abs=1e-6)


def test_a_galaxy_fifty_kiloparsec_away_is_the_last_that_counts() -> None:
    alone = Galaxies(np.array(["here"], object), np.array([0.0]), np.array([0.0]), np.array([50.0]), np.array([50.0]))
    angle = np.degrees(kernel.GREATEST_OFFSET / 50e3) * np.array([0.99, 1.01])
    assert hosts_of(angle, np.zeros(2), alone, ONE_TO_ONE).galaxy.tolist() == [0, -1]


def test_galaxies_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="ascending"):
        Galaxies(np.array(["a", "b"], object), np.zeros(2), np.zeros(2), np.array([2.0, 1.0]), np.ones(2))
