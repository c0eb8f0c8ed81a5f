"""What must hold of every light curve that could be observed."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from deeprubin_spark.bands import band_index
from deeprubin_spark.kernels.light_curve_features import FEATURE_NAMES, FEATURES, STATUS_NAMES, Extracted, extract
from deeprubin_spark.kernels.light_curves import light_curves
from deeprubin_spark.kernels.observations import Context, Observations
from deeprubin_spark.kernels.upper_limits import UpperLimits

OK = STATUS_NAMES.index("ok")
OBSERVED_BANDS = [band_index(name) for name in "gri"]

POINT_GROUPS = ("counts", "variability", "random_walk", "scales", "pairs", "limits")  # no search that rounding could lead elsewhere
Curve = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@st.composite
def curves(draw: st.DrawFn, min_points: int = 0) -> Curve:
    """Times on a grid of 1/256 d over two years, with repeats; fluxes from strong to none, steps of 1e-6 nJy; errors over a factor 100."""
    n = draw(st.integers(min_points, 30))
    ticks = sorted(draw(st.lists(st.integers(0, 256 * 730), min_size=n, max_size=n)))
    band = draw(st.lists(st.sampled_from(OBSERVED_BANDS), min_size=n, max_size=n))
    flux = draw(st.lists(st.floats(-1e5, 1e5, allow_nan=False, allow_subnormal=False), min_size=n, max_size=n))
    flux_err = draw(st.lists(st.floats(10.0, 1000.0), min_size=n, max_size=n))
    return 58000.0 + np.array(ticks, float) / 256.0, np.array(band, np.int8), np.round(flux, 6), np.array(flux_err, float)


def together(batch: list[Curve]) -> Extracted:
    offsets = np.r_[0, np.cumsum([len(curve[0]) for curve in batch])].astype(np.int64)
    return extract(Observations.of_curves(light_curves(offsets, *(np.concatenate([curve[i] for curve in batch]) for i in range(4)))))


def assert_same(found: Extracted, expected: Extracted) -> None:
    for name in ("values", "grid_time", "t_ref_mjd", "grid_mean", "grid_sd", "status", "n_points_used"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


@settings(max_examples=60, deadline=None)
@given(st.lists(curves(), min_size=1, max_size=4))
def test_how_objects_are_cut_into_batches_changes_nothing(batch):
    whole = together(batch)
    for k, curve in enumerate(batch):
        alone = together([curve])
        np.testing.assert_array_equal(alone.values[0], whole.values[k])
        np.testing.assert_array_equal(alone.grid_mean[0], whole.grid_mean[k])


@settings(max_examples=100, deadline=None)
@given(curves())
def test_a_status_of_ok_means_a_whole_grid_and_any_other_none(curve):
    found = together([curve])
    grid = np.concatenate([found.grid_time.ravel(), found.grid_mean.ravel(), found.grid_sd.ravel(), found.t_ref_mjd])
    if found.status[0] == OK:
        assert np.isfinite(grid).all() and (found.grid_sd > 0).all()
        assert curve[0][0] <= found.t_ref_mjd[0] <= curve[0][-1]
        assert np.isfinite(found.values[0, [FEATURE_NAMES.index(name) for name in ("gp_timescale", "gp_amplitude", "peak_flux_r")]]).all()
    else:
        assert len(curve[0]) < 3 and np.isnan(grid).all()


@settings(max_examples=80, deadline=None)
@given(curves(min_points=3), st.integers(-10, 10))
def test_a_factor_on_flux_changes_only_the_features_that_say_so(curve, exponent):
    mjd, band, flux, flux_err = curve
    factor = 2.0**exponent  # exact, so that a tie between two peaks stays one
    plain, scaled = together([curve]), together([(mjd, band, factor * flux, factor * flux_err)])
    expected = np.array([1.0 if f.scale_free else factor for f in FEATURES]) * plain.values[0]
    np.testing.assert_allclose(scaled.values[0], expected, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(scaled.grid_mean, factor * plain.grid_mean, rtol=1e-7, atol=1e-7 * factor)


@settings(max_examples=80, deadline=None)
@given(curves(min_points=3), st.integers(-5000, 5000))
def test_the_date_of_an_event_changes_only_its_date(curve, days):
    mjd, band, flux, flux_err = curve
    plain, moved = together([curve]), together([(mjd + days, band, flux, flux_err)])  # the times are exact in binary, before and after
    np.testing.assert_array_equal(moved.status, plain.status)
    np.testing.assert_allclose(moved.t_ref_mjd - days, plain.t_ref_mjd, rtol=0, atol=1e-4)
    timeless = [i for i, f in enumerate(FEATURES) if f.group in POINT_GROUPS]
    np.testing.assert_allclose(moved.values[0, timeless], plain.values[0, timeless], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(moved.grid_mean, plain.grid_mean, rtol=1e-4, atol=1e-4 * np.nanmax(np.abs(flux), initial=1.0))


@settings(max_examples=40, deadline=None)
@given(curves(min_points=3), st.integers(0, 29), st.sampled_from(["zero", "negative", "nan"]))
def test_one_bad_error_is_bad_input_and_nothing_is_made_up(curve, row, kind):
    mjd, band, flux, flux_err = curve
    flux_err[row % len(flux_err)] = {"zero": 0.0, "negative": -1.0, "nan": np.nan}[kind]
    found = together([(mjd, band, flux, flux_err)])
    assert STATUS_NAMES[found.status[0]] == "bad_input" and np.isnan(found.values).all() and np.isnan(found.grid_mean).all()


@settings(max_examples=60, deadline=None)
@given(curves(min_points=1), st.lists(st.tuples(st.integers(-50, 780), st.sampled_from(OBSERVED_BANDS), st.floats(1.0, 1e6)), max_size=8))
def test_limits_change_the_features_of_limits_and_no_other(curve, told):
    points = light_curves(np.array([0, len(curve[0])]), *curve)
    told.sort()
    mjd, band, limit = (np.array([row[i] for row in told], float) for i in range(3))
    limits = UpperLimits(np.array([0, len(told)]), 58000.0 + mjd, band.astype(np.int8), limit)
    plain, found = together([curve]), extract(Observations(points, limits, Context.unknown(1)))
    others = [i for i, f in enumerate(FEATURES) if f.group != "limits"]
    np.testing.assert_array_equal(found.values[0, others], plain.values[0, others])
    before = found.values[0, [FEATURE_NAMES.index(f"n_limits_before_{b}") for b in "gr"]].sum()
    assert before == np.sum((58000.0 + mjd < curve[0][0]) & (band < band_index("i")))


@settings(max_examples=60, deadline=None)
@given(curves(min_points=1))
def test_shares_are_shares_and_no_feature_is_infinite(curve):
    found = together([curve])
    assert not np.isinf(found.values).any()
    named = dict(zip(FEATURE_NAMES, found.values[0], strict=True))
    for name, value in named.items():
        if name.endswith("_fraction") or name.startswith(("beyond_1sd", "median_buffer", "gp_jitter_share", "iar_phi", "peak_ratio")):
            assert np.isnan(value) or 0.0 <= value <= 1.0, name
        if name.startswith("colour_gr"):
            assert np.isnan(value) or abs(value) <= 1.0, name
        if name.startswith(("rise_", "fall_", "width_", "drw_", "amplitude_", "standard_deviation_")) and "limit" not in name:
            assert np.isnan(value) or value >= -1e-9, name
