"""Statistics of points against the `light-curve` package and plain numpy."""

from __future__ import annotations

import light_curve
import numpy as np
import pytest

from deeprubin_spark.kernels.light_curves import LightCurves, light_curves
from deeprubin_spark.kernels.variability import (
    BAND_STATISTICS,
    POINT_STATISTICS,
    band_counts,
    band_statistics,
    plain_band_statistics,
    point_statistics,
)

G, R = 1, 2
THEIRS = {
    "amplitude": light_curve.Amplitude(),
    "maximum_slope": light_curve.MaximumSlope(),
    "skew": light_curve.Skew(),
    "stetson_k": light_curve.StetsonK(),
    "von_neumann_eta": light_curve.Eta(),
    "excess_variance": light_curve.ExcessVariance(),
    "reduced_chi2": light_curve.ReducedChi2(),
    "percentile_ratio": light_curve.MagnitudePercentageRatio(quantile_numerator=0.4, quantile_denominator=0.05),
}


def band_points(curves: LightCurves, k: int, band: int):
    rows = np.flatnonzero(curves.band[curves.offsets[k] : curves.offsets[k + 1]] == band) + curves.offsets[k]
    return curves.mjd[rows], curves.flux[rows], curves.flux_err[rows]


def in_g(mjd, flux, flux_err) -> np.ndarray:
    curves = light_curves(np.array([0, len(mjd)]), np.array(mjd), np.full(len(mjd), G), np.array(flux), np.array(flux_err))
    return dict(zip(BAND_STATISTICS, band_statistics(curves, G)[0], strict=True))


@pytest.mark.parametrize("name", BAND_STATISTICS)
@pytest.mark.parametrize("band", [G, R])
def test_band_statistics_are_those_of_the_light_curve_package(plasticc, name, band):
    column = BAND_STATISTICS.index(name)
    ours = band_statistics(plasticc, band)[:, column]
    theirs = [THEIRS[name](*band_points(plasticc, k, band))[0] for k in range(plasticc.n_objects)]
    tolerance = 1e-5 if name == "percentile_ratio" else 1e-8  # light-curve holds the quantiles' positions in single precision
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=1e-10)


def test_band_statistics_are_those_of_the_plain_twin(plasticc):
    ours = band_statistics(plasticc, R)
    for k in range(plasticc.n_objects):
        np.testing.assert_allclose(ours[k], plain_band_statistics(*band_points(plasticc, k, R)), rtol=1e-9, atol=1e-12)


def test_point_statistics_are_what_numpy_says(plasticc):
    ours = point_statistics(plasticc, 5.0)
    for k in range(plasticc.n_objects):
        rows = slice(plasticc.offsets[k], plasticc.offsets[k + 1])
        snr = plasticc.flux[rows] / plasticc.flux_err[rows]
        expected = [np.ptp(plasticc.mjd[rows]), np.mean(snr > 0), np.mean(np.abs(snr) > 5), snr.max(), np.median(np.abs(snr))]
        np.testing.assert_allclose(ours[k], expected, rtol=1e-12)
    assert len(POINT_STATISTICS) == ours.shape[1]


def test_points_are_counted_in_their_own_band(plasticc):
    for band in (0, G, R):
        expected = [np.sum(plasticc.band[a:b] == band) for a, b in zip(plasticc.offsets[:-1], plasticc.offsets[1:], strict=True)]
        np.testing.assert_array_equal(band_counts(plasticc, band), expected)


def test_one_point_has_no_variability_and_two_have_no_skew():
    assert all(np.isnan(value) for value in in_g([1.0], [5.0], [1.0]).values())
    two = in_g([1.0, 2.0], [5.0, 9.0], [1.0, 1.0])
    assert np.isnan(two["skew"]) and two["maximum_slope"] == 4.0 and two["amplitude"] == 2.0 and two["von_neumann_eta"] == 2.0


@pytest.mark.parametrize("level", [0.0, 0.1, -1e7])
def test_a_constant_flux_has_no_shape_but_a_chi2(level):
    constant = in_g([1.0, 2.0, 3.0, 4.0], [level] * 4, [1.0, 2.0, 3.0, 4.0])
    assert constant["amplitude"] == 0.0 and constant["reduced_chi2"] == pytest.approx(0.0, abs=1e-12)
    assert all(np.isnan(constant[name]) for name in ("skew", "stetson_k", "von_neumann_eta", "percentile_ratio"))


def test_points_at_one_time_have_no_slope_between_them():
    assert in_g([1.0, 1.0, 2.0], [0.0, 100.0, 103.0], [1.0] * 3)["maximum_slope"] == 3.0
    assert np.isnan(in_g([1.0, 1.0, 1.0], [0.0, 100.0, 103.0], [1.0] * 3)["maximum_slope"])


def test_an_object_without_points_has_no_statistics():
    curves = light_curves(np.array([0, 0]), np.empty(0), np.empty(0), np.empty(0), np.empty(0))
    assert np.isnan(band_statistics(curves, G)).all() and np.isnan(point_statistics(curves, 5.0)).all()
    np.testing.assert_array_equal(band_counts(curves, G), [0.0])
