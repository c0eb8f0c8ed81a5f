"""Lethal distances against their closed form, kill probabilities against supernovae thrown into space."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeprubin_spark.kernels import galactic_disc as disc
from deeprubin_spark.kernels import sterilisation as kernel
from deeprubin_spark.kernels.sterilisation import Hazards


@given(st.floats(1e45, 1e54), st.floats(1e6, 1e9))
def test_the_critical_distance_is_the_closed_form(energy: float, critical: float) -> None:
    at_unity = np.sqrt(1e48 / (4.0 * np.pi * 1e8)) / 3.0856775814913673e18  # 9.142 pc
    assert at_unity == pytest.approx(9.14, abs=0.005)
    expected = at_unity * np.sqrt(energy / 1e48) / np.sqrt(critical / 1e8)
    found = kernel.critical_distance(energy, critical)
    assert found == pytest.approx(expected, rel=1e-9)
    assert kernel.fluence(energy, found) == pytest.approx(critical, rel=1e-9)
    assert kernel.energy_of(found, critical) == pytest.approx(energy, rel=1e-9)


def test_a_long_gamma_ray_burst_reaches_two_kiloparsec() -> None:
    assert kernel.critical_distance(5e52) == pytest.approx(2_040.0, rel=0.01)


def test_supernovae_thrown_at_random_kill_as_many_stars_as_the_formula_says() -> None:
    """Monte Carlo: in each of 200,000 skies supernovae fall into a ball of 30 pc, and the star in its centre survives or not."""
    rates, distances, years, n_stars = np.array([7e-13, 1e-14]), np.array([8.0, 14.0]), 1e9, 200_000
    generator, ball = np.random.default_rng(5), 30.0
    is_dead = np.zeros(n_stars, bool)
    for rate, distance in zip(rates, distances, strict=True):
        numbers = generator.poisson(rate * 4.0 / 3.0 * np.pi * ball**3 * years, n_stars)
        owner = np.repeat(np.arange(n_stars), numbers)
        radius = ball * np.cbrt(generator.uniform(size=len(owner)))
        is_dead[owner[radius < distance]] = True
    expected = kernel.kill_probability(rates, distances, years)
    assert is_dead.mean() == pytest.approx(expected, abs=4.0 * np.sqrt(expected * (1.0 - expected) / n_stars))


def test_draws_without_uncertainty_are_the_closed_form(monkeypatch) -> None:
    monkeypatch.setattr(kernel, "CRITICAL_FLUENCE_DEX", 0.0)
    hazards = Hazards(np.array([7.7e47, 2.4e48]), np.zeros(2))
    rates = np.array([[5e-13, 1e-14], [1e-13, 3e-14]])
    drawn = kernel.kill_draws(rates, np.zeros(2), hazards, 1e9, 3, seed=1)
    assert drawn == pytest.approx(np.tile(kernel.kill_probability(rates, kernel.critical_distance(hazards.energy), 1e9), (3, 1)), rel=1e-12)


def test_the_median_draw_of_one_kind_is_the_probability_at_the_medians_and_their_mean_number_the_closed_form() -> None:
    hazards, rates = Hazards(np.array([7.7e47]), np.array([0.2])), np.array([[1e-14]])
    drawn = kernel.kill_draws(rates, np.array([0.1]), hazards, 1e9, 40_000, seed=2)[:, 0]
    assert np.median(drawn) == pytest.approx(kernel.kill_probability(rates, kernel.critical_distance(hazards.energy), 1e9)[0], rel=0.03)
    numbers = -np.log1p(-drawn)
    expected = kernel.mean_number(rates, np.array([0.1]), hazards, 1e9)[0]
    assert numbers.mean() == pytest.approx(expected, abs=4.0 * numbers.std() / np.sqrt(len(numbers)))


def test_draws_depend_on_the_seed_alone() -> None:
    hazards, rates = Hazards(np.array([7.7e47]), np.array([0.3])), np.array([[5e-13]])
    one, again, other = (kernel.kill_draws(rates, np.array([0.1]), hazards, 1e9, 50, seed) for seed in (3, 3, 4))
    assert (one == again).all() and (one != other).any()


@given(st.floats(0.0, 2e10), st.floats(0.0, 1e10))
def test_a_longer_life_is_never_safer(years: float, more: float) -> None:
    rates, distances = np.array([3e-13, 1e-14]), np.array([8.0, 14.0])
    assert kernel.kill_probability(rates, distances, years) <= kernel.kill_probability(rates, distances, years + more)


def test_the_disc_has_one_and_a_half_core_collapses_within_eight_parsec_in_a_gigayear_to_fifty_per_cent() -> None:
    """Gehrels et al. 2003: about 1.5 per Gyr within 8 pc, time-averaged."""
    within = kernel.stars_inside(8.0, disc.CORE_COLLAPSE.density(disc.SUN_RADIUS_KPC)) * 1e9
    assert within == pytest.approx(1.5, rel=0.5)


def test_the_galaxy_has_about_as_many_core_collapses_as_others_find() -> None:
    """Adams et al. 2013 (arXiv:1306.0559): 3.2 (+7.3 -2.6) per century, which the disc is not made of."""
    assert 0.006 < disc.CORE_COLLAPSE.total() < 0.105
    assert pytest.approx(0.0054) == disc.TYPE_IA.total()


def test_a_disc_holds_what_it_was_made_of() -> None:
    generator, layer = np.random.default_rng(6), disc.of_neighbourhood(4.0, 2.3e-3, 34.2)
    x, y = 4.0 * (2.0 * generator.uniform(size=(2, 400_000)) - 1.0)
    near = np.hypot(x, y) < 4.0
    surface = layer.density(np.hypot(disc.SUN_RADIUS_KPC - x, y)) * 2.0 * layer.height
    assert np.where(near, surface, 0.0).mean() * 64.0 * 1e6 == pytest.approx(2.3e-3, rel=0.01)
    radius = np.linspace(0.0, 80.0, 40_001)
    whole = np.trapezoid(layer.density(radius) * 2.0 * layer.height * 2.0 * np.pi * radius, radius) * 1e6
    assert whole == pytest.approx(layer.total(), rel=1e-6)


def test_a_neighbourhood_that_reaches_the_centre_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 8.2 kpc"):
        disc.of_neighbourhood(9.0, 1e-3, 100.0)


def test_planets_are_most_at_home_neither_in_the_centre_nor_at_the_rim() -> None:
    assert disc.planet_fraction(disc.SUN_RADIUS_KPC) == pytest.approx(0.97)
    assert disc.planet_fraction(1.0) < disc.planet_fraction(7.0) > disc.planet_fraction(16.0)
