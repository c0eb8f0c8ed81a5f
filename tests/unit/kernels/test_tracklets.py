"""Tracklets against a plain search of all pairs, and the motion of made-up and real asteroids."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from deeprubin_spark.kernels import tracklets
from deeprubin_spark.kernels.separations import unit_vectors
from deeprubin_spark.kernels.sky_motion import motion
from deeprubin_spark.kernels.tracklets import ARCSEC, Detections, find, pairs
from deeprubin_spark.kernels.two_body import sky_positions


def detections(mjd, ra, dec, mag=19.0, band=1) -> Detections:
    n = len(mjd)
    return Detections(
        np.asarray(mjd, float),
        unit_vectors(ra, dec),
        np.broadcast_to(mag, n).astype(float),
        np.full(n, 0.1),
        np.broadcast_to(band, n).astype(np.int8),
    )


def random_night(seed: int, n: int) -> Detections:
    rng = np.random.default_rng(seed)
    mjd = 58451.2 + rng.integers(0, 40, n) * 11.0 / 1440.0
    return detections(
        mjd, 40.0 + rng.uniform(0, 1.5, n), 20.0 + rng.uniform(0, 1.5, n), 19.0 + rng.normal(0, 0.4, n), rng.integers(1, 3, n)
    )


def plain_pairs(night: Detections) -> set[tuple[int, int]]:
    sky = SkyCoord(*sky_positions(night.vectors), unit="deg")
    made = set()
    for i in range(len(night.mjd)):
        for j in range(len(night.mjd)):
            days = night.mjd[j] - night.mjd[i]
            if not tracklets.MIN_DAYS <= days <= tracklets.MAX_DAYS:
                continue
            rate = sky[i].separation(sky[j]).to_value(u.deg) / days
            limit = (0.2 if night.band[i] == night.band[j] else 0.8) + 3.0 * np.hypot(0.1, 0.1)
            if 0.02 <= rate <= 5.0 and abs(night.mag[i] - night.mag[j]) <= limit:
                made.add((i, j))
    return made


def test_pairs_are_those_of_a_search_of_all_pairs():
    night = random_night(1, 90)
    found = [tuple(pair) for pair in pairs(night).tolist()]
    assert len(found) > 50
    assert len(found) == len(set(found))
    assert set(found) == plain_pairs(night)


def test_every_pair_is_in_a_tracklet_and_no_tracklet_is_part_of_another():
    night = random_night(2, 150)
    found = find(night)
    sets = [frozenset(found.members[a:b].tolist()) for a, b in zip(found.offsets[:-1], found.offsets[1:], strict=True)]
    assert len(sets) == len(set(sets))
    assert not any(one < other for one in sets for other in sets)
    assert all(any(set(pair) <= one for one in sets) for pair in pairs(night).tolist())


def test_four_detections_in_line_are_one_tracklet_in_order_of_time_whatever_the_order_of_rows():
    minutes = np.array([40.0, 0.0, 61.0, 20.0])
    rng = np.random.default_rng(3)
    ra = 150.0 + 0.3 * minutes / 1440.0 + rng.normal(0, 0.1, 4) / 3600.0
    dec = -10.0 + 0.1 * minutes / 1440.0 + rng.normal(0, 0.1, 4) / 3600.0
    found = find(detections(58451.2 + minutes / 1440.0, ra, dec))
    assert found.members.tolist() == [1, 3, 0, 2]
    assert found.offsets.tolist() == [0, 4]


def test_a_detection_off_the_line_is_not_in_it():
    minutes = np.array([0.0, 20.0, 40.0])
    off = np.array([0.0, 6.0, 0.0]) / 3600.0
    found = find(detections(58451.2 + minutes / 1440.0, 150.0 + 0.3 * minutes / 1440.0, 10.0 + off))
    assert np.diff(found.offsets).max() == 2


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_detections_make_no_tracklet(n):
    assert find(detections(np.full(n, 58451.2), np.full(n, 10.0), np.full(n, 10.0))).offsets.tolist() == [0]


def test_stars_and_what_moves_too_fast_or_changes_its_brightness_make_no_pair():
    still = detections([58451.2, 58451.23], [10.0, 10.0], [5.0, 5.0 + 0.1 / 3600.0])
    fast = detections([58451.2, 58451.23], [10.0, 10.2], [5.0, 5.0])
    other = detections([58451.2, 58451.23], [10.0, 10.01], [5.0, 5.0], mag=[18.0, 20.0])
    assert [len(pairs(night)) for night in (still, fast, other)] == [0, 0, 0]


def test_rate_and_direction_are_astropys():
    mjd = np.array([58451.20, 58451.23, 58451.26])
    start = SkyCoord(123.0 * u.deg, 57.0 * u.deg)
    way = start.directional_offset_by(132.0 * u.deg, np.array([0.0, 0.021, 0.042]) * u.deg)
    found = motion(np.array([0, 3]), mjd, unit_vectors(way.ra.deg, way.dec.deg), np.full(3, 0.1))
    assert found.rate[0] == pytest.approx(0.7, rel=1e-6)
    assert found.position_angle[0] == pytest.approx(way[1].position_angle(way[2]).to_value(u.deg), abs=1e-3)
    assert found.mjd[0] == pytest.approx(58451.23)
    np.testing.assert_allclose(sky_positions(found.vectors)[0], way.ra.deg[1], atol=1e-8)
    assert found.great_circle_rms[0] < 0.01
    assert found.rate_chi2[0] < 0.01


def test_the_two_tests_see_what_leaves_the_circle_and_what_changes_its_rate():
    mjd = 58451.2 + np.arange(5) * 0.02
    along, across = 0.3 * (mjd - mjd[0]), np.zeros(5)
    sideways = across + np.array([0, 1.0, -1.0, 1.0, 0]) / 3600.0
    slower = along + np.array([0, 0, 3.0, 0, 0]) / 3600.0
    rows = [(along, across), (along, sideways), (slower, across)]
    vectors = np.concatenate([unit_vectors(50.0 + a, d) for a, d in rows])
    found = motion(np.array([0, 5, 10, 15]), np.tile(mjd, 3), vectors, np.full(15, 0.2))
    assert found.great_circle_rms[0] < 0.01 and found.great_circle_rms[2] < 0.01
    assert found.great_circle_rms[1] == pytest.approx(0.74, abs=0.15)
    assert found.rate_chi2[2] > 100.0 > 10.0 > found.rate_chi2[1]


def test_chi_square_of_noise_has_the_mean_of_its_degrees_of_freedom():
    rng = np.random.default_rng(4)
    n, per = 4000, 5
    mjd = np.tile(58451.2 + np.arange(per) * 0.015, n)
    noise = rng.normal(0.0, 0.2 * ARCSEC, (n * per, 3))
    vectors = np.tile(unit_vectors(50.0 + 0.2 * np.arange(per) * 0.015, np.zeros(per)), (n, 1)) + noise
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = motion(np.arange(n + 1) * per, mjd, vectors, np.full(n * per, 0.2))
    assert found.rate_chi2.mean() == pytest.approx(per - 2, rel=0.05)


def test_no_group_has_no_motion():
    assert len(motion(np.zeros(1, np.int64), np.empty(0), np.empty((0, 3)), np.empty(0)).rate) == 0


def test_a_position_is_as_good_as_its_signal():
    np.testing.assert_allclose(tracklets.astrometric_error(np.array([0.0, 0.2])), [0.1, 0.186], atol=2e-3)
