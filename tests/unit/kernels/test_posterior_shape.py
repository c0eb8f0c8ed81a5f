"""Shapes of peaks, against curves whose answer is known and the plain twin."""

from __future__ import annotations

import numpy as np
import pytest

from deeprubin_spark.kernels.posterior_shape import SHAPES, count_peaks, peak_shapes, plain_peak_shape


def shape_of(time, flux, peak_time, peak_flux, dip=0.1) -> dict[str, float]:
    found = peak_shapes(np.array([time], float), np.array([flux], float), np.array([peak_time], float), np.array([peak_flux], float), dip)
    return dict(zip(SHAPES, found[0], strict=True))


def test_a_triangle_rises_and_falls_as_drawn():
    time = np.linspace(0.0, 30.0, 301)
    flux = np.where(time < 10.0, time, 10.0 - (time - 10.0) / 2.0)  # up in 10 days, down in 20
    found = shape_of(time, flux, 10.0, 10.0)
    assert found["rise_50"] == pytest.approx(5.0) and found["rise_20"] == pytest.approx(8.0)
    assert found["fall_50"] == pytest.approx(10.0) and found["fall_20"] == pytest.approx(16.0)
    assert found["width"] == pytest.approx(15.0) and found["trough"] == pytest.approx(0.0) and found["n_peaks"] == 1.0


def test_a_crossing_between_the_peak_and_its_nearest_sample_is_found():
    found = shape_of([0.0, 10.0, 20.0], [0.0, 1.0, 0.0], 10.0, 1.0)
    assert found["rise_50"] == pytest.approx(5.0) and found["fall_20"] == pytest.approx(8.0)
    between = shape_of([0.0, 4.0], [0.0, 0.0], 2.0, 1.0)
    assert between["rise_50"] == pytest.approx(1.0) and between["fall_20"] == pytest.approx(1.6)


def test_what_was_not_seen_to_fall_has_no_fall_time():
    found = shape_of(np.arange(11.0), np.arange(11.0), 10.0, 10.0)
    assert np.isnan(found["fall_50"]) and np.isnan(found["fall_20"]) and found["rise_50"] == pytest.approx(5.0)


@pytest.mark.parametrize("peak_flux", [0.0, -3.0, np.nan])
def test_without_a_positive_peak_there_is_no_shape(peak_flux):
    assert all(np.isnan(value) for value in shape_of([0.0, 1.0], [-3.0, -4.0], 0.0, peak_flux).values())


def test_negative_flux_deepens_the_trough_but_not_the_width():
    found = shape_of([0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 0.0, -2.0, -2.0], 1.0, 1.0)
    assert found["trough"] == -2.0 and found["width"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("flux", "n_peaks"),
    [
        ([0, 1, 0], 1),
        ([0, 1, 0.95, 1, 0], 1),  # a dip of 5 % is one peak
        ([0, 1, 0.8, 1, 0], 2),
        ([1, 0, 1], 2),  # both ends
        ([1, 0.5, 0], 1),
        ([0, 0.5, 1], 1),
        ([1, 1, 1], 1),
        ([0, 1, 0, 0.05, 0], 1),
        ([0, 1, 0, 1, 0, 1, 0], 3),
    ],
)
def test_maxima_are_counted_where_a_dip_parts_them(flux, n_peaks):
    assert count_peaks(np.array(flux, float), 0.1) == n_peaks


def test_compiled_shapes_are_those_of_the_plain_twin():
    rng = np.random.default_rng(5)
    time = np.sort(rng.uniform(0, 100, (200, 50)), axis=1)
    flux = np.cumsum(rng.normal(size=(200, 50)), axis=1)
    flux += 0.1 - np.minimum(flux.max(axis=1, keepdims=True), 0.0)
    peaks = flux.argmax(axis=1)
    peak_time, peak_flux = time[np.arange(200), peaks], flux.max(axis=1)
    found = peak_shapes(time, flux, peak_time, peak_flux, 0.1)
    for k in range(200):
        np.testing.assert_allclose(found[k], plain_peak_shape(time[k], flux[k], peak_time[k], peak_flux[k], 0.1), rtol=1e-10, atol=1e-12)
