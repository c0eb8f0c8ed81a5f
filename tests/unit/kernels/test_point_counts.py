"""Numbers and significance of points against plain numpy."""

from __future__ import annotations

import numpy as np

from deeprubin_spark.kernels.light_curves import light_curves
from deeprubin_spark.kernels.point_counts import POINT_STATISTICS, fill_band_counts, point_statistics


def test_point_statistics_are_what_numpy_says(plasticc):
    ours = point_statistics(plasticc)
    for k in range(plasticc.n_objects):
        rows = slice(plasticc.offsets[k], plasticc.offsets[k + 1])
        snr = plasticc.flux[rows] / plasticc.flux_err[rows]
        size = np.abs(snr)
        shares = [np.mean(snr > 0), np.mean(size > 5), np.mean(snr < -5), np.mean(size < 3)]
        np.testing.assert_allclose(ours[k], [np.ptp(plasticc.mjd[rows]), *shares, snr.max(), np.median(size)], rtol=1e-12)
    assert len(POINT_STATISTICS) == ours.shape[1]


def test_the_median_of_any_number_of_points_is_the_median():
    rng = np.random.default_rng(1)
    for n in range(1, 60):
        flux = np.round(rng.normal(size=n), 1)  # with ties
        curves = light_curves(np.array([0, n]), np.arange(float(n)), np.ones(n), flux, np.full(n, 2.0))
        assert point_statistics(curves)[0, POINT_STATISTICS.index("median_abs_snr")] == np.median(np.abs(flux) / 2.0)


def test_points_are_counted_in_their_own_band(plasticc):
    found = np.empty((plasticc.n_objects, 3))
    fill_band_counts(plasticc, np.array([0, 1, 2], np.int8), found, 0)
    for column, band in enumerate((0, 1, 2)):
        expected = [np.sum(plasticc.band[a:b] == band) for a, b in zip(plasticc.offsets[:-1], plasticc.offsets[1:], strict=True)]
        np.testing.assert_array_equal(found[:, column], expected)


def test_an_object_without_points_is_counted_and_has_no_statistics():
    curves = light_curves(np.array([0, 0]), np.empty(0), np.empty(0), np.empty(0), np.empty(0))
    counts = np.full((1, 1), np.nan)
    fill_band_counts(curves, np.array([1], np.int8), counts, 0)
    assert counts[0, 0] == 0.0 and np.isnan(point_statistics(curves)).all()
