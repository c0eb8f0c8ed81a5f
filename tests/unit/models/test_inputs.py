from __future__ import annotations

import numpy as np
import pytest

from deeprubin_spark.kernels.feature_catalogue import FEATURES, ZTF_GR
from deeprubin_spark.models.inputs import CLIP, FeatureRows, FeatureScaler, channels, model_features, n_channels, noise_patterns, redrawn

MODEL_FEATURES = model_features(ZTF_GR)
NAMES = ("a", "b", "c", "d")


def rows(n: int, seed: int = 0) -> FeatureRows:
    rng = np.random.default_rng(seed)
    time = np.tile(np.linspace(-20.0, 60.0, 64), (n, 1))
    return FeatureRows(
        rng.normal(size=(n, len(MODEL_FEATURES))), time, rng.normal(size=(n, 2, 64)) * 1e4, rng.uniform(1e2, 1e3, size=(n, 2, 64))
    )


def test_networks_see_nothing_that_tells_brightness_or_how_often_a_field_was_visited():
    scale_free = {f.name for f in FEATURES if f.scale_free}
    assert set(MODEL_FEATURES) <= scale_free
    assert not {"n_g", "n_r", "significant_fraction", "insignificant_fraction", "period_n_points"} & set(MODEL_FEATURES)


def test_a_brighter_copy_of_a_curve_has_the_same_channels():
    faint = rows(5)
    bright = FeatureRows(faint.values, faint.grid_time, 7.5 * faint.grid_mean, 7.5 * faint.grid_sd)
    np.testing.assert_allclose(channels(bright), channels(faint), rtol=1e-6)
    assert np.abs(channels(faint)[:, :2]).max() == pytest.approx(1.0)


def test_a_curve_without_flux_has_finite_channels():
    empty = FeatureRows(np.zeros((1, 3)), np.zeros((1, 64)), np.zeros((1, 2, 64)), np.zeros((1, 2, 64)))
    assert np.all(channels(empty) == 0.0)


def test_scaling_is_robust_clipped_and_puts_missing_values_in_the_middle():
    values = np.random.default_rng(1).normal(3.0, 2.0, size=(2000, 2))
    values[0, 0] = 1e30
    scaler = FeatureScaler.fit(values, NAMES[: values.shape[1]])
    assert scaler.centre == pytest.approx([3.0, 3.0], abs=0.2)
    assert scaler.spread == pytest.approx([2.0, 2.0], rel=0.1)
    made = scaler.scaled(np.array([[np.nan, 3.0 + 2.0 * np.sinh(1.0)], [1e30, -1e30]]))
    assert made[0] == pytest.approx([0.0, 1.0], abs=0.1)
    assert made[1] == pytest.approx([CLIP, -CLIP])


def test_a_feature_never_seen_or_always_the_same_neither_breaks_scaling_nor_range():
    values = np.column_stack([np.full(50, np.nan), np.ones(50), np.arange(50.0)])
    scaler = FeatureScaler.fit(values, NAMES[: values.shape[1]])
    assert np.isfinite(scaler.scaled(values)).all()
    assert scaler.outside_share(np.array([[5.0, 1.0, 25.0]])) == pytest.approx([0.0])


def test_an_object_without_host_is_the_nearest_and_other_missing_values_are_usual_ones():
    values = np.random.default_rng(3).uniform(0.1, 1.0, size=(500, 2))
    scaler = FeatureScaler.fit(values, ("host_photo_z", "dust_ebv"))
    assert scaler.scaled(np.array([[np.nan, np.nan]]))[0] == pytest.approx([-CLIP, 0.0])


def test_the_range_rule_counts_the_known_features_outside_the_quantiles():
    scaler = FeatureScaler.fit(np.random.default_rng(2).uniform(0.0, 1.0, size=(5000, 4)), NAMES)
    share = scaler.outside_share(np.array([[0.5, 0.5, 0.5, 0.5], [0.5, 2.0, 0.5, -1.0], [9.0, np.nan, np.nan, np.nan], [np.nan] * 4]))
    assert share == pytest.approx([0.0, 0.5, 1.0, 0.0])


def test_noise_patterns_have_unit_variance_are_smooth_and_agree_between_bands():
    patterns = noise_patterns(64, 1)
    assert patterns.std() == pytest.approx(1.0, abs=0.1)
    assert np.diff(patterns, axis=2).std() < 0.3 * patterns.std()
    assert np.corrcoef(patterns[:, 0].ravel(), patterns[:, 1].ravel())[0, 1] == pytest.approx(0.9, abs=0.05)
    np.testing.assert_array_equal(patterns, noise_patterns(64, 1))


def test_redrawing_moves_the_mean_by_its_error_and_widens_the_error():
    made = channels(rows(3))
    moved = redrawn(made, np.ones((2, 64), np.float32), 1.0)
    np.testing.assert_allclose(moved[:, :2], made[:, :2] + made[:, 2:4], rtol=1e-5)
    np.testing.assert_allclose(moved[:, 2:4], made[:, 2:4] * np.sqrt(2.0), rtol=1e-5)
    np.testing.assert_array_equal(moved[:, 4:], made[:, 4:])
    np.testing.assert_array_equal(redrawn(made, np.ones((2, 64), np.float32), 0.0), made)


def test_rows_of_shapes_that_do_not_fit_are_refused():
    good = rows(2)
    with pytest.raises(ValueError, match="2 bands"):
        FeatureRows(good.values, good.grid_time, good.grid_mean[:, :1], good.grid_sd)


def test_six_bands_are_channels_and_noise_like_two():
    rng = np.random.default_rng(6)
    six = FeatureRows(
        np.zeros((3, 1)), np.tile(np.arange(64.0), (3, 1)), rng.normal(size=(3, 6, 64)), rng.uniform(0.1, 1.0, size=(3, 6, 64))
    )
    made, patterns = channels(six), noise_patterns(64, 1, 6)
    assert made.shape == (3, n_channels(6), 64) and np.abs(made[:, :6]).max() == pytest.approx(1.0)
    moved = redrawn(made, patterns[0], 1.0)
    np.testing.assert_allclose(moved[:, :6], made[:, :6] + made[:, 6:12] * patterns[0], rtol=1e-5)
    np.testing.assert_allclose(moved[:, 6:12], made[:, 6:12] * np.sqrt(2.0), rtol=1e-5)
    np.testing.assert_array_equal(moved[:, 12:], made[:, 12:])
    alike = [np.corrcoef(patterns[:, 0].ravel(), patterns[:, band].ravel())[0, 1] for band in range(1, 6)]
    assert alike == pytest.approx([0.9**band for band in range(1, 6)], abs=0.07)
    np.testing.assert_allclose(patterns.std(axis=(0, 2)), 1.0, atol=0.12)
