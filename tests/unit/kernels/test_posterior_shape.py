"""Peaks of cubics between grid times, against curves whose answer is known and densely sampled ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import CubicHermiteSpline

from deeprubin_spark.kernels.feature_catalogue import ZTF_GR, FeatureSet
from deeprubin_spark.kernels.posterior_shape import COLOUR_PHASES, PosteriorGrid, fill_shape_features, n_shape_features, plain_shapes

START, MARGIN, N_STEPS = 58000.0, 10.0, 64


def grid_of(mean, slope, sd, span: float) -> PosteriorGrid:
    """One object; mean, slope and sd (W, 64) over `span` days."""
    arrays = (np.broadcast_to(np.asarray(a, float), np.shape(mean))[None].copy() for a in (mean, sd, slope))
    return PosteriorGrid(np.array([START]), np.array([span / (N_STEPS - 1)]), *arrays, MARGIN)


def shapes_of(grid: PosteriorGrid, feature_set: FeatureSet = ZTF_GR) -> dict[str, float]:
    out = np.full((1, n_shape_features(len(feature_set.bands))), np.nan)
    peak = fill_shape_features(grid, out, 0)
    names = feature_set.names[feature_set.first_column("gp_peak") :]
    return {**dict(zip(names, out[0], strict=False)), "peak_mjd": peak[0]}


def in_both(flux, slope, sd=0.01, span: float = 126.0) -> dict[str, float]:
    """A function of the days since the first grid time, and its derivative, in g and r alike."""
    time = np.linspace(0.0, span, N_STEPS)
    return shapes_of(grid_of(np.stack([flux(time)] * 2), np.stack([slope(time)] * 2), sd, span))


def bump(height: float, middle: float, width: float):
    def flux(t):
        return height * np.exp(-0.5 * ((t - middle) / width) ** 2)

    return flux, lambda t: -(t - middle) / width**2 * flux(t)


def test_a_gaussian_bump_is_measured_as_it_is():
    found = in_both(*bump(5.0, 50.3, 9.0))
    assert found["peak_flux_g"] == pytest.approx(5.0, rel=1e-4) and found["peak_snr_r"] == pytest.approx(500.0, rel=1e-3)
    assert found["peak_mjd"] == pytest.approx(START + 50.3, abs=0.01) and found["peak_age"] == pytest.approx(126.0 - 10.0 - 50.3, abs=0.01)
    for level in (80, 50, 20):
        expected = 9.0 * np.sqrt(-2.0 * np.log(level / 100.0))
        assert found[f"rise_{level}_g"] == pytest.approx(expected, abs=0.01) and found[f"fall_{level}_r"] == pytest.approx(
            expected, abs=0.01
        )
    assert found["width_g"] == pytest.approx(9.0 * np.sqrt(2.0 * np.pi), rel=1e-3)
    assert found["dm15_g"] == pytest.approx(2.5 / np.log(10.0) * 0.5 * (15.0 / 9.0) ** 2, rel=1e-2)
    assert found["n_peaks_g"] == 1.0 and found["second_peak_fraction_g"] == 0.0
    assert found["peak_lag_gr"] == 0.0 and found["peak_ratio_gr"] == 0.5


def test_a_second_maximum_counts_if_a_dip_parts_it():
    (high, high_slope), (low, low_slope) = bump(5.0, 40.0, 6.0), bump(2.0, 80.0, 6.0)
    found = in_both(lambda t: high(t) + low(t), lambda t: high_slope(t) + low_slope(t))
    assert found["n_peaks_r"] == 2.0 and found["second_peak_fraction_r"] == pytest.approx(0.4, abs=0.01)
    (near, near_slope) = bump(5.0, 49.0, 6.0)
    assert in_both(lambda t: high(t) + near(t), lambda t: high_slope(t) + near_slope(t))["n_peaks_r"] == 1.0


def test_what_was_not_seen_to_fall_has_no_fall_time():
    found = in_both(lambda t: 1.0 + t, lambda t: np.ones_like(t))
    assert np.isnan(found["fall_50_g"]) and found["rise_50_g"] == pytest.approx(0.5 * 117.0) and found["peak_age"] == 0.0
    assert np.isnan(found["dm15_g"]) and found["n_peaks_g"] == 1.0


@pytest.mark.parametrize(("height", "sd"), [(-3.0, 0.01), (5.0, 6.0), (0.0, 1.0)])
def test_without_a_clear_peak_there_is_no_shape(height, sd):
    found = in_both(*bump(height, 50.0, 9.0), sd)
    shapes = [value for name, value in found.items() if name.startswith(("rise", "fall", "width", "trough", "n_peaks", "dm15"))]
    assert np.isnan(shapes).all() and np.isnan(found["peak_ratio_gr"])


def test_negative_flux_deepens_the_trough_but_not_the_width():
    (up, up_slope), (down, down_slope) = bump(4.0, 40.0, 5.0), bump(-2.0, 85.0, 5.0)
    found = in_both(lambda t: up(t) + down(t), lambda t: up_slope(t) + down_slope(t))
    assert found["trough_g"] == pytest.approx(-0.5, abs=1e-3) and found["width_g"] == pytest.approx(5.0 * np.sqrt(2.0 * np.pi), rel=5e-3)


def test_bands_have_their_own_peaks_and_colours_are_between_minus_one_and_one():
    time = np.linspace(0.0, 126.0, N_STEPS)
    (g, g_slope), (r, r_slope) = bump(3.0, 45.0, 8.0), bump(6.0, 55.0, 12.0)
    found = shapes_of(grid_of(np.stack([g(time), r(time)]), np.stack([g_slope(time), r_slope(time)]), 1e-6, 126.0))
    assert found["peak_lag_gr"] == pytest.approx(-10.0, abs=0.02) and found["peak_ratio_gr"] == pytest.approx(1.0 / 3.0, rel=1e-3)
    at = found["peak_mjd"] - START
    for phase in COLOUR_PHASES:
        if 0.0 <= at + phase <= 126.0:
            expected = (g(at + phase) - r(at + phase)) / (g(at + phase) + r(at + phase) + np.sqrt(2.0) * 1e-6)
            label = f"{'m' if phase < 0 else 'p'}{abs(phase):.0f}"
            assert found[f"colour_gr_{label}"] == pytest.approx(expected, abs=5e-3)
    assert found["colour_slope_gr"] == pytest.approx((found["colour_gr_p20"] - found["colour_gr_p0"]) / 20.0)


def test_colours_outside_the_grid_are_unknown():
    found = in_both(*bump(5.0, 15.0, 9.0), span=40.0)
    assert np.isnan(found["colour_gr_m20"]) and np.isnan(found["colour_gr_p30"]) and np.isfinite(found["colour_gr_p20"])


def test_points_of_one_instant_have_a_peak_there():
    found = in_both(*bump(5.0, 10.0, 9.0), span=20.0)
    assert found["peak_mjd"] == START + 10.0 and found["width_g"] == pytest.approx(0.0, abs=1e-9) and found["n_peaks_g"] == 1.0


@pytest.mark.parametrize("seed", range(4))
def test_any_cubics_are_measured_as_their_dense_samples_are(seed):
    rng = np.random.default_rng(seed)
    span = rng.uniform(250.0, 600.0)
    time = np.linspace(0.0, span, N_STEPS)
    step = time[1]
    mean = np.cumsum(rng.normal(size=(2, N_STEPS)), axis=1)
    mean += rng.uniform(1.0, 9.0) - mean[:, 5:-5].max(axis=1, keepdims=True)  # a positive peak, over negative flux too
    slope = rng.normal(size=(2, N_STEPS)) / step
    found = shapes_of(grid_of(mean, slope, 1e-3, span))
    dense = np.linspace(MARGIN, span - MARGIN, 400_001)
    for w, b in enumerate("gr"):
        flux = CubicHermiteSpline(time, mean[w], slope[w])(dense)
        assert found[f"peak_flux_{b}"] == pytest.approx(flux.max(), rel=1e-8)
        for name, expected in plain_shapes(dense, flux).items():
            close = pytest.approx(expected, rel=1e-4, abs=2e-5 * span, nan_ok=True)
            assert found[f"{name}_{b}"] == close, name
    total = CubicHermiteSpline(time, mean.sum(axis=0), slope.sum(axis=0))(dense)
    assert found["peak_mjd"] == pytest.approx(START + dense[total.argmax()], abs=1e-5 * span)


def test_any_number_of_bands_has_its_columns():
    for bands in (("r",), ("u", "g", "r", "i", "z", "y")):
        flux, slope = bump(5.0, 50.0, 9.0)
        time = np.linspace(0.0, 126.0, N_STEPS)
        n = len(bands)
        found = shapes_of(grid_of(np.stack([flux(time)] * n), np.stack([slope(time)] * n), 0.01, 126.0), FeatureSet("any", bands))
        assert all(found[f"rise_50_{b}"] == pytest.approx(9.0 * 1.17741, abs=0.01) for b in bands)
        assert found["peak_age"] == pytest.approx(66.0, abs=0.01)
        pairs = [b + c for b, c in zip(bands[:-1], bands[1:], strict=True)]
        assert all(found[f"colour_{pair}_p0"] == pytest.approx(0.0) and found[f"peak_lag_{pair}"] == 0.0 for pair in pairs)


def test_an_object_without_posterior_has_no_features():
    nothing = np.full((1, 2, N_STEPS), np.nan)
    grid = PosteriorGrid(np.array([np.nan]), np.array([np.nan]), nothing, nothing, nothing, MARGIN)
    found = shapes_of(grid)
    assert all(np.isnan(value) for value in found.values())
