"""Rates found again from a universe of known rate."""

import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM

from deeprubin_spark.kernels import supernova_rates as kernel

COSMOLOGY = FlatLambdaCDM(H0=70.0, Om0=0.3)


def test_a_universe_gives_its_own_rate_back() -> None:
    """300 supernovae expected, of many luminosities, in 80 Mpc and two years over a fifth of the sky; the faint ones are seen only near by."""
    generator, true_rate, years, area = np.random.default_rng(7), 3.5e-4, 2.0, 8_000.0
    volume = 4.0 / 3.0 * np.pi * 80.0**3 * area / kernel.WHOLE_SKY
    pulls = []
    for _ in range(30):
        n = generator.poisson(true_rate * volume * years)
        distance, magnitude = 80.0 * np.cbrt(generator.uniform(size=n)), generator.normal(-16.5, 1.5, n)
        is_seen = magnitude + 5.0 * np.log10(distance * 1e5) < 18.5
        reached = kernel.greatest_volume(magnitude[is_seen], 18.5, area, 80.0)
        weights = kernel.volumetric_weights(1.0, 0.0, reached, years)
        pulls.append((weights.sum() - true_rate) / np.sqrt((weights**2).sum()))
    assert abs(np.mean(pulls)) < 4.0 / np.sqrt(30) and 0.5 < np.std(pulls) < 1.6


def test_absolute_magnitudes_are_those_of_astropy() -> None:
    apparent = 18.0
    flux = 10.0 ** (0.4 * (31.4 - apparent))
    distance = COSMOLOGY.luminosity_distance(0.015)
    expected = apparent - COSMOLOGY.distmod(0.015).value
    assert kernel.absolute_magnitude(flux, distance.value) == pytest.approx(expected, abs=1e-9)
    assert np.isnan(kernel.absolute_magnitude([0.0, -5.0], 10.0)).all()


@pytest.mark.parametrize("z", [0.001, 0.005, 0.02])
def test_redshifts_of_near_distances_are_those_of_astropy(z: float) -> None:
    assert kernel.low_redshift(COSMOLOGY.luminosity_distance(z).value) == pytest.approx(z, abs=2e-4)


def test_probabilities_are_counts_of_fractions() -> None:
    found = kernel.rate_of_sums([2.5, 0.0, 1.0], [2.0, 0.0, 1.0], [10.0, 10.0, 0.0])
    assert found.rate[:2] == pytest.approx([0.25, 0.0])
    assert found.low[1] == 0.0 and found.high[1] == pytest.approx(0.1841, abs=1e-4)
    assert (found.low[0] < 0.25 < found.high[0]) and np.isnan([found.rate[2], found.low[2], found.high[2]]).all()
