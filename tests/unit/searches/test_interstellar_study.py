"""The study's own scenes: bodies are where exposures are, and what the search makes of them is counted rightly."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from deeprubin_spark.errors import NoInputError
from deeprubin_spark.kernels.two_body import Elements, eccentricity, speed_at_infinity, states_of
from deeprubin_spark.searches import interstellar_scenes as scenes
from deeprubin_spark.searches import interstellar_study

FIRST = 58789  # opposition near ra 40, dec 15


@pytest.fixture(scope="module")
def detections():
    """Five exposures in pairs on four nights, three made-up stars in each; each night's field a little apart."""
    rng = np.random.default_rng(1)
    rows = []
    for night in (0, 3, 6, 10):
        for field in range(3):
            for k, fid in ((0, 1), (1, 2)):
                mjd = FIRST + night + 0.25 + 0.02 * field + 0.035 * k
                rows += [(38.0 + 6.0 * field + rng.uniform(-1, 1), 15.0 + rng.uniform(-1, 1), mjd, fid) for _ in range(3)]
    table = pd.DataFrame(rows, columns=["ra", "dec", "mjd", "fid"])
    return table.assign(night=np.floor(table.mjd).astype(np.int64), magpsf=19.0, sigmapsf=0.1, ssoCandId="x")


@pytest.fixture(scope="module")
def orbits():
    return pd.DataFrame({"a": [2.4, 2.8, 3.1], "e": [0.1, 0.2, 0.05], "i": [3.0, 8.0, 12.0]})


@pytest.fixture(scope="module")
def at(detections):
    return scenes.exposures(detections, FIRST)


def test_exposures_are_the_times_and_their_centres(detections, at):
    assert len(at.mjd) == 24
    assert at.middle == FIRST + 7.5
    assert sorted(set(at.night.tolist())) == [FIRST, FIRST + 3, FIRST + 6, FIRST + 10]


@pytest.mark.parametrize("name", list(scenes.KNOWN))
def test_bodies_like_the_known_ones_have_their_shape(name):
    q, e, inclination = scenes.KNOWN[name]
    drawn = scenes.orbits_like(name, np.random.default_rng(1), 20)
    np.testing.assert_allclose(eccentricity(states_of(drawn)), e, rtol=1e-8)
    assert set(drawn.inclination) == {inclination}
    assert speed_at_infinity(states_of(drawn))[0] == pytest.approx(np.sqrt(887.13 * (e - 1.0) / q), rel=1e-3)


def test_a_population_is_seen_in_pairs_on_three_nights(orbits, at):
    states = scenes.population("bound", orbits, at, np.random.default_rng(2), 15)
    made = scenes.scene(states, at, np.random.default_rng(3))
    nights = scenes.paired_nights(made.body, made.mjd, made.night)
    assert len(states) == 15
    assert np.bincount(nights, minlength=15).min() >= 3


def test_no_body_is_seen_where_no_exposure_looks(at):
    away = states_of(Elements(*(np.array([value]) for value in (2.5, 0.0, 5.0, 0.0, 0.0, 0.0))))
    opposite = np.hstack([-10.0 * np.array([[0.7, 0.6, 0.3]]), away[:, 3:]])
    assert len(scenes.visits(opposite, at)[0]) == 0


def test_the_numbers_of_a_window_add_up(detections, orbits, at):
    found = interstellar_study._window(detections, orbits, np.full(len(detections), 0.2), at, np.random.default_rng(4), 20, 10)
    kinds = found["by_kind"]
    assert found["real_detections"] == len(detections)
    assert kinds["bound"]["bodies"] == 20
    assert all(counts["flagged"] <= counts["linked"] <= counts["bodies"] for counts in kinds.values())
    assert sum(counts["linked"] for counts in kinds.values()) <= found["pure_links"] <= found["links_with_made_up_bodies"] <= found["links"]
    assert kinds["bound"]["linked"] >= 18
    assert kinds["bound"]["flagged"] == 0
    assert sum(counts["flagged"] for kind, counts in kinds.items() if kind != "bound") >= 6
    assert found["shuffled_nights"]["links"] <= 1


def test_a_folder_without_the_data_is_no_input(tmp_path):
    with pytest.raises(NoInputError, match="fink_fat_trajectories"):
        scenes.real_detections(tmp_path)
