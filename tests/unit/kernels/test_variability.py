"""Statistics of a band's points against the `light-curve` package and plain numpy and scipy."""

from __future__ import annotations

import light_curve
import numpy as np
import pytest

from deeprubin_spark.kernels.light_curves import LightCurves, light_curves
from deeprubin_spark.kernels.variability import BAND_STATISTICS, band_statistics, plain_band_statistics

G, R = 1, 2
BANDS = np.array([G, R], np.int8)
THEIRS = {
    "mean_flux": light_curve.Mean(),
    "amplitude": light_curve.Amplitude(),
    "standard_deviation": light_curve.StandardDeviation(),
    "median_absolute_deviation": light_curve.MedianAbsoluteDeviation(),
    "interpercentile_range": light_curve.InterPercentileRange(quantile=0.1),
    "percentile_ratio": light_curve.MagnitudePercentageRatio(quantile_numerator=0.4, quantile_denominator=0.05),
    "median_buffer": light_curve.MedianBufferRangePercentage(quantile=0.1),
    "skew": light_curve.Skew(),
    "kurtosis": light_curve.Kurtosis(),
    "anderson_darling": light_curve.AndersonDarlingNormal(),
    "cusum": light_curve.Cusum(),
    "beyond_1sd": light_curve.BeyondNStd(nstd=1),
    "von_neumann_eta": light_curve.Eta(),
    "eta_e": light_curve.EtaE(),
    "stetson_k": light_curve.StetsonK(),
    "maximum_slope": light_curve.MaximumSlope(),
    "reduced_chi2": light_curve.ReducedChi2(),
    "excess_variance": light_curve.ExcessVariance(),
}
THEIR_TREND = light_curve.LinearTrend()
QUANTILES = ("percentile_ratio", "interpercentile_range")  # light-curve holds the quantiles' positions in single precision


def band_points(curves: LightCurves, k: int, band: int):
    rows = np.flatnonzero(curves.band[curves.offsets[k] : curves.offsets[k + 1]] == band) + curves.offsets[k]
    return curves.mjd[rows], curves.flux[rows], curves.flux_err[rows]


def generated(seed: int) -> LightCurves:
    """300 curves of 5 to 80 points: smooth, noisy, skewed, with errors of all sizes."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(5, 80, 300)
    n = counts.sum()
    mjd = np.concatenate([58000.0 + np.sort(rng.uniform(0.0, 10.0 ** rng.uniform(0, 3), c)) for c in counts])
    flux = rng.normal(size=n) * np.repeat(10.0 ** rng.uniform(-2, 4, 300), counts) + np.repeat(rng.normal(size=300) * 100.0, counts)
    flux += np.exp(rng.normal(size=n))
    return light_curves(np.r_[0, np.cumsum(counts)], mjd, np.full(n, G), flux, 10.0 ** rng.uniform(-1, 2, n))


def in_g(mjd, flux, flux_err) -> dict[str, float]:
    curves = light_curves(np.array([0, len(mjd)]), np.array(mjd), np.full(len(mjd), G), np.array(flux), np.array(flux_err))
    return dict(zip(BAND_STATISTICS, band_statistics(curves, np.array([G], np.int8))[0], strict=True))


@pytest.mark.parametrize("name", THEIRS)
def test_band_statistics_are_those_of_the_light_curve_package(plasticc, name):
    tolerance = 1e-5 if name in QUANTILES else 1e-8
    for curves, bands in ((plasticc, BANDS), (generated(1), BANDS[:1])):
        ours = band_statistics(curves, bands)
        for w, band in enumerate(bands):
            theirs = [THEIRS[name](*band_points(curves, k, band))[0] for k in range(curves.n_objects)]
            column = w * len(BAND_STATISTICS) + BAND_STATISTICS.index(name)
            np.testing.assert_allclose(ours[:, column], theirs, rtol=tolerance, atol=1e-9)


def test_the_trend_and_its_significance_are_those_of_the_light_curve_package(plasticc):
    ours = band_statistics(plasticc, BANDS[1:])
    for k in range(plasticc.n_objects):
        slope, error, _ = THEIR_TREND(*band_points(plasticc, k, R))
        assert ours[k, BAND_STATISTICS.index("linear_trend")] == pytest.approx(slope, rel=1e-7)
        assert ours[k, BAND_STATISTICS.index("linear_trend_snr")] == pytest.approx(slope / error, rel=1e-7)


@pytest.mark.parametrize("seed", [2, 3])
def test_band_statistics_are_those_of_the_plain_twin(seed):
    curves = generated(seed)
    ours = band_statistics(curves, BANDS[:1])
    for k in range(curves.n_objects):
        np.testing.assert_allclose(ours[k], plain_band_statistics(*band_points(curves, k, G)), rtol=1e-7, atol=1e-9)


def test_few_points_have_what_few_points_can_tell():
    assert {name for name, value in in_g([1.0], [5.0], [1.0]).items() if np.isfinite(value)} == {"mean_flux"}
    two = in_g([1.0, 2.0], [5.0, 9.0], [1.0, 1.0])
    assert two["maximum_slope"] == 4.0 and two["amplitude"] == 2.0 and two["von_neumann_eta"] == 2.0
    assert all(np.isnan(two[name]) for name in ("skew", "kurtosis", "anderson_darling", "linear_trend", "linear_trend_snr"))
    three = in_g([1.0, 2.0, 3.0], [5.0, 9.0, 4.0], [1.0] * 3)
    assert {name for name, value in three.items() if np.isnan(value)} == {"kurtosis", "anderson_darling"}


@pytest.mark.parametrize("level", [0.0, 0.1, -1e7])
def test_a_constant_flux_has_no_shape_but_a_chi2(level):
    constant = in_g([1.0, 2.0, 3.0, 4.0], [level] * 4, [1.0, 2.0, 3.0, 4.0])
    assert constant["amplitude"] == 0.0 and constant["reduced_chi2"] == pytest.approx(0.0, abs=1e-12)
    shape = ("skew", "kurtosis", "stetson_k", "von_neumann_eta", "eta_e", "percentile_ratio", "cusum", "beyond_1sd", "median_buffer")
    assert all(np.isnan(constant[name]) for name in (*shape, "anderson_darling", "linear_trend_snr"))


def test_points_at_one_time_have_no_slope_between_them():
    some = in_g([1.0, 1.0, 2.0], [0.0, 100.0, 103.0], [1.0] * 3)
    assert some["maximum_slope"] == 3.0 and some["eta_e"] == pytest.approx(1.0 / 8.0 * 9.0 / np.var([0.0, 100.0, 103.0], ddof=1))
    none = in_g([1.0, 1.0, 1.0], [0.0, 100.0, 103.0], [1.0] * 3)
    assert all(np.isnan(none[name]) for name in ("maximum_slope", "eta_e", "linear_trend", "linear_trend_snr"))


def test_a_line_without_scatter_has_a_slope_but_no_error_of_it():
    line = in_g([0.0, 1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 5.0, 7.0, 9.0], [1.0] * 5)
    assert line["linear_trend"] == pytest.approx(2.0) and np.isnan(line["linear_trend_snr"])


@pytest.mark.parametrize("unit", [1e-30, 1e30])
def test_no_unit_of_flux_is_too_small_or_too_large(unit):
    rng = np.random.default_rng(4)
    mjd, flux, flux_err = np.arange(40.0), rng.normal(size=40), rng.uniform(0.1, 2.0, 40)
    plain, scaled = in_g(mjd, flux, flux_err), in_g(mjd, unit * flux, unit * flux_err)
    in_njy = {
        "mean_flux",
        "amplitude",
        "standard_deviation",
        "median_absolute_deviation",
        "interpercentile_range",
        "maximum_slope",
        "linear_trend",
    }
    for name, value in plain.items():
        assert scaled[name] == pytest.approx(value * (unit if name in in_njy else 1.0), rel=1e-9), name


def test_an_object_without_points_in_a_band_has_no_statistics_there():
    curves = light_curves(np.array([0, 0, 2]), np.arange(2.0), np.full(2, R), np.arange(2.0), np.ones(2))
    found = band_statistics(curves, BANDS)
    assert np.isnan(found[0]).all() and np.isnan(found[1, : len(BAND_STATISTICS)]).all() and found[1, len(BAND_STATISTICS)] == 0.5


def test_an_object_has_the_same_last_digits_wherever_its_memory_happens_to_be():
    """Of some thousand small objects, between which pieces of memory are taken and given back, none differs from itself in a batch."""
    rng, held = np.random.default_rng(3), []
    for _ in range(4000):
        counts = rng.integers(3, 31, rng.integers(1, 5))
        n, offsets = counts.sum(), np.concatenate([[0], np.cumsum(counts)])
        points = rng.uniform(0.0, 730.0, n), rng.choice([G, R], n).astype(np.int8), rng.uniform(-1e5, 1e5, n), rng.uniform(10.0, 1e3, n)
        whole = band_statistics(light_curves(offsets, *points), BANDS)
        held = [*held[-39:], np.empty(rng.integers(1, 60))]
        for k in range(len(counts)):
            alone = [values[offsets[k] : offsets[k + 1]] for values in points]
            np.testing.assert_array_equal(band_statistics(light_curves(np.array([0, counts[k]]), *alone), BANDS)[0], whole[k])
