from __future__ import annotations

import numpy as np

from deeprubin_spark.kernels.early_cuts import CUT_NAMES, cut_times, known_points


def test_days_count_from_the_first_detection_not_from_the_first_measurement():
    mjd, is_detection = np.array([0.0, 10.0, 11.0, 12.5]), np.array([False, True, False, True])
    found = cut_times(mjd, is_detection, np.array([0, 4]))
    assert set(found) == set(CUT_NAMES)
    assert found["d1"].tolist() == [11.0] and found["d64"].tolist() == [74.0]
    assert known_points(mjd, np.array([0, 4]), found["d1"]).tolist() == [True, True, True, False], "a point at the very moment is known"


def test_an_epoch_is_a_night_with_a_detection():
    """Detections at 10.0, 10.3 and 10.5 are one night; 10.6 begins the next one, at whatever hour; 11.2 the third; forced photometry begins none."""
    mjd = np.array([9.0, 10.0, 10.3, 10.5, 10.6, 11.15, 11.2, 11.6])
    is_detection = np.array([False, True, True, True, True, False, True, False])
    found = cut_times(mjd, is_detection, np.array([0, 8]))
    assert found["n3"].tolist() == [11.7] and found["n15"].tolist() == [-np.inf]
    assert known_points(mjd, np.array([0, 8]), found["n3"]).all()


def test_objects_do_not_see_each_other_and_one_without_detections_has_no_cut():
    mjd = np.array([5.0, 6.0, 7.0, 1.0, 2.0])
    is_detection = np.array([False, True, True, False, False])
    found = cut_times(mjd, is_detection, np.array([0, 0, 3, 5]))
    assert found["d3"].tolist() == [-np.inf, 9.0, -np.inf]
    assert known_points(mjd, np.array([0, 0, 3, 5]), found["d3"]).tolist() == [True, True, True, False, False]


def test_the_order_of_points_does_not_matter():
    rng = np.random.default_rng(0)
    mjd, is_detection = rng.uniform(0.0, 40.0, 60), rng.uniform(size=60) < 0.7
    order = rng.permutation(60)
    before, after = (cut_times(mjd[rows], is_detection[rows], np.array([0, 60])) for rows in (np.arange(60), order))
    assert {name: times.tolist() for name, times in before.items()} == {name: times.tolist() for name, times in after.items()}
    assert before["n3"][0] < before["n15"][0]
