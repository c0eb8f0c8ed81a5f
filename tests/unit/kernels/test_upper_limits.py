"""Upper limits about the detections, against the plain twin and cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from deeprubin_spark.kernels.light_curves import LightCurves, light_curves
from deeprubin_spark.kernels.upper_limits import LIMIT_STATISTICS, UpperLimits, limit_statistics, plain_limit_statistics

G, R = 1, 2
BANDS = np.array([G, R], np.int8)


def detections(mjd, band, flux) -> LightCurves:
    return light_curves(np.array([0, len(mjd)]), np.array(mjd, float), np.array(band), np.array(flux, float), np.ones(len(mjd)))


def in_g(curves: LightCurves, mjd, band, limit) -> dict[str, float]:
    limits = UpperLimits(np.array([0, len(mjd)]), np.array(mjd, float), np.array(band), np.array(limit, float))
    return dict(zip(LIMIT_STATISTICS, limit_statistics(curves, limits, BANDS)[0, : len(LIMIT_STATISTICS)], strict=True))


TWO_NIGHTS = detections([10.0, 11.0, 20.0], [R, G, G], [100.0, 300.0, 200.0])


def test_limits_before_and_after_are_those_about_the_first_and_last_detection_in_any_band():
    found = in_g(TWO_NIGHTS, [1.0, 7.0, 10.5, 15.0, 21.0, 22.0, 23.0], [G, G, G, G, G, G, R], [50.0, 60.0, 10.0, 20.0, 70.0, 5.0, 1.0])
    assert found == {
        "n_limits_before": 2.0,
        "n_limits_after": 2.0,
        "deepest_limit_before": 50.0,
        "last_limit_before": 60.0,
        "limit_gap": 3.0,
        "deepest_limit": 5.0,
        "rise_over_limit": 5.0,
    }


def test_without_limits_there_are_none_and_nothing_is_made_up():
    found = in_g(TWO_NIGHTS, [], [], [])
    assert found["n_limits_before"] == found["n_limits_after"] == 0.0
    assert all(np.isnan(found[name]) for name in LIMIT_STATISTICS[2:])


def test_without_detections_nothing_is_before_or_after():
    assert all(np.isnan(value) for value in in_g(detections([], [], []), [1.0], [G], [50.0]).values())


def test_a_band_that_was_not_detected_has_limits_but_no_rise():
    found = in_g(detections([10.0], [R], [100.0]), [1.0], [G], [50.0])
    assert found["limit_gap"] == 9.0 and np.isnan(found["rise_over_limit"])


@pytest.mark.parametrize(("mjd", "limit"), [(np.nan, 50.0), (1.0, np.nan), (1.0, 0.0), (1.0, -5.0), (1.0, np.inf), (-np.inf, 50.0)])
def test_a_limit_that_is_no_number_counts_as_none(mjd, limit):
    assert in_g(TWO_NIGHTS, [mjd, 2.0], [G, G], [limit, 60.0])["n_limits_before"] == 1.0


def test_generated_objects_give_what_the_plain_twin_gives_and_do_not_see_each_other():
    rng = np.random.default_rng(1)
    n_points, n_limits = rng.integers(1, 9, 200), rng.integers(0, 15, 200)
    mjd = np.concatenate([np.sort(rng.uniform(20.0, 80.0, n)) for n in n_points])
    band, flux = rng.integers(1, 3, n_points.sum()), rng.normal(size=n_points.sum()) * 100.0
    curves = light_curves(np.r_[0, np.cumsum(n_points)], mjd, band, flux, np.ones(len(mjd)))
    limit_mjd = np.concatenate([np.sort(rng.uniform(0.0, 100.0, n)) for n in n_limits])
    limits = UpperLimits(
        np.r_[0, np.cumsum(n_limits)], limit_mjd, rng.integers(1, 4, len(limit_mjd)), rng.uniform(1.0, 50.0, len(limit_mjd))
    )
    found = limit_statistics(curves, limits, BANDS).reshape(200, 2, -1)
    for k in range(200):
        own, its = slice(*curves.offsets[k : k + 2]), slice(*limits.offsets[k : k + 2])
        for w, b in enumerate(BANDS):
            in_band, flux_in_band = limits.band[its] == b, curves.flux[own][curves.band[own] == b]
            first_flux = flux_in_band[0] if len(flux_in_band) else np.nan
            ends = curves.mjd[own][0], curves.mjd[own][-1]
            expected = plain_limit_statistics(limits.mjd[its][in_band], limits.limit[its][in_band], *ends, first_flux)
            np.testing.assert_array_equal(found[k, w], expected)


@pytest.mark.parametrize("offsets", [[0, 1], [1, 2], [0, 2, 1, 2], []])
def test_offsets_that_do_not_fit_are_refused(offsets):
    with pytest.raises(ValueError, match="upper limits"):
        UpperLimits(np.array(offsets, np.int64), np.ones(2), np.ones(2, np.int8), np.ones(2))


def test_arrays_of_different_lengths_and_of_other_objects_are_refused():
    with pytest.raises(ValueError, match="upper limits: arrays of one length"):
        UpperLimits(np.array([0, 2]), np.ones(2), np.ones(1, np.int8), np.ones(2))
    with pytest.raises(ValueError, match="upper limits: of 1 objects"):
        limit_statistics(TWO_NIGHTS, UpperLimits.none(2), BANDS)
