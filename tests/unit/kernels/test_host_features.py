from __future__ import annotations

import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM

from deeprubin_spark.bands import BAND_NAMES
from deeprubin_spark.kernels.feature_catalogue import LSST_UGRIZY, ZTF_GR
from deeprubin_spark.kernels.host_features import EXTINCTION, HUBBLE, MATTER, Hosts, distance_modulus
from deeprubin_spark.kernels.light_curve_features import extract
from deeprubin_spark.kernels.light_curves import light_curves
from deeprubin_spark.kernels.observations import Context, Observations
from deeprubin_spark.kernels.upper_limits import UpperLimits


def supernova(z=(0.3,), ebv=0.05):
    """The same bright event in six bands, once for each redshift that its host is given."""
    rng = np.random.default_rng(1)
    mjd = np.sort(rng.uniform(0.0, 100.0, 90))
    band = np.arange(90) % 6
    flux = 40_000.0 * (1.0 + 0.1 * band) * np.exp(-0.5 * ((mjd - 45.0) / 15.0) ** 2) + rng.normal(0.0, 100.0, 90)
    n = len(z)
    curves = light_curves(
        90 * np.arange(n + 1), np.tile(mjd, n), np.tile(band, n).astype(np.int8), np.tile(flux, n), np.full(90 * n, 100.0)
    )
    hosts = Hosts(np.array(z), np.full(n, 0.01), np.full(n, ebv))
    return Observations(curves, UpperLimits.none(n), Context.unknown(n), hosts=hosts)


def named(values):
    return dict(zip(LSST_UGRIZY.names, values.T, strict=True))


def test_distance_modulus_is_that_of_astropy():
    z = np.array([1e-3, 0.01, 0.1, 0.5, 1.0, 2.0, 4.0, np.nan])
    expected = FlatLambdaCDM(HUBBLE, MATTER).distmod(z[:-1]).value
    found = distance_modulus(z)
    np.testing.assert_allclose(found[:-1], expected, atol=1e-6)
    assert np.isnan(found[-1])


def test_absolute_magnitudes_and_times_follow_the_redshift_and_nothing_else_does():
    near, far = (dict(zip(LSST_UGRIZY.names, row, strict=True)) for row in extract(supernova(z=(0.1, 0.6)), LSST_UGRIZY).values)
    cosmology = FlatLambdaCDM(HUBBLE, MATTER)
    for b in BAND_NAMES:
        difference = near[f"peak_absolute_magnitude_{b}"] - far[f"peak_absolute_magnitude_{b}"]
        assert difference == pytest.approx(cosmology.distmod(0.6).value - cosmology.distmod(0.1).value, abs=1e-6)
        expected = 31.4 - 2.5 * np.log10(near[f"peak_flux_{b}"]) - 0.05 * EXTINCTION[b] - cosmology.distmod(0.1).value
        assert near[f"peak_absolute_magnitude_{b}"] == pytest.approx(expected, abs=1e-6)
        assert near[f"rest_width_{b}"] == pytest.approx(near[f"width_{b}"] / 1.1)
    assert near["gp_rest_timescale"] / far["gp_rest_timescale"] == pytest.approx(1.6 / 1.1)
    of_host = {f.name for f in LSST_UGRIZY.of_group("host")}
    assert all(near[name] == far[name] or np.isnan(near[name]) for name in LSST_UGRIZY.names if name not in of_host)


def test_dust_reddens_what_is_behind_it():
    clean, dusty = (named(extract(supernova(ebv=ebv), LSST_UGRIZY).values) for ebv in (0.0, 0.3))
    for b, c in zip(BAND_NAMES[:-1], BAND_NAMES[1:], strict=True):
        name = f"dust_free_colour_{b}{c}"
        assert clean[name][0] - dusty[name][0] == pytest.approx(0.3 * (EXTINCTION[b] - EXTINCTION[c])) and dusty[name][0] < clean[name][0]


def test_without_a_host_its_features_are_missing_and_the_others_stay():
    with_host, without = extract(supernova(), LSST_UGRIZY).values, extract(supernova(z=(np.nan,)), LSST_UGRIZY).values
    alone = Observations.of_curves(supernova().curves)
    np.testing.assert_array_equal(named(extract(alone, LSST_UGRIZY).values)["host_photo_z"], [np.nan])
    found = named(without)
    assert all(np.isnan(found[name][0]) for name in ("host_photo_z", "host_photo_z_err", "gp_rest_timescale", "peak_absolute_magnitude_r"))
    assert found["dust_free_colour_gr"][0] == named(with_host)["dust_free_colour_gr"][0]


def test_the_two_band_set_knows_no_host():
    assert not ZTF_GR.of_group("host") and not [name for name in ZTF_GR.names if "host" in name or "dust" in name]


def test_every_two_band_feature_is_one_of_six_bands():
    assert set(ZTF_GR.names) < set(LSST_UGRIZY.names)
