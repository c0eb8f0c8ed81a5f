"""The study's own scenes: natural stars vary as their kind does, answers come when the ellipsoid crosses, and rates are counted as the search does."""

from __future__ import annotations

import numpy as np
import pytest

from deeprubin_spark.bands import BAND_NAMES
from deeprubin_spark.errors import ConfigError
from deeprubin_spark.kernels import star_tests
from deeprubin_spark.kernels.achromatic import DUST_RATIO
from deeprubin_spark.reporting.search_sections import technosignatures_section
from deeprubin_spark.searches import technosignature_scenes as scenes
from deeprubin_spark.searches import technosignature_study as study
from deeprubin_spark.searches.technosignatures import bright_events
from tests.conftest import DATA

HISTORIES = DATA / "ztf_histories" / "detections.csv"
G, R = BAND_NAMES.index("g"), BAND_NAMES.index("r")


@pytest.fixture(scope="module")
def dense() -> scenes.Epochs:
    """Every tenth of a day for 400 d, g and r in turn at the same times."""
    mjd = np.repeat(np.arange(58_000.0, 58_400.0, 0.1), 2)
    return scenes.Epochs(mjd, np.tile([G, R], len(mjd) // 2), np.full(len(mjd), 1_000.0))


@pytest.fixture(scope="module")
def epochs() -> list[scenes.Epochs]:
    return scenes.epochs_of(HISTORIES, study.LEAST_EPOCHS)


def test_epochs_are_those_of_the_file(epochs: list[scenes.Epochs], tmp_path) -> None:
    assert len(epochs) >= 10 and all(len(at.mjd) >= study.LEAST_EPOCHS and (np.diff(at.mjd) >= 0.0).all() for at in epochs)
    with pytest.raises(ConfigError, match="no object has 10000 epochs"):
        scenes.epochs_of(HISTORIES, 10_000)
    (tmp_path / "a.csv").write_text("object_id,mjd\n1,2\n")
    with pytest.raises(ConfigError, match="band, flux_err_njy are missing"):
        scenes.epochs_of(tmp_path / "a.csv", 1)


@pytest.mark.parametrize("kind", scenes.NATURAL)
def test_natural_stars_lose_no_more_than_their_light_and_vary_in_their_colours(kind: str, dense: scenes.Epochs) -> None:
    rng = np.random.default_rng(1)
    for _ in range(5):
        share = scenes.NATURAL[kind](dense, rng)
        in_g, in_r = share[::2], share[1::2]
        assert share.min() >= -1.0 and np.ptp(share) > 0.05
        if kind == "eclipsing binaries":
            assert in_g == pytest.approx(in_r) and (share <= 0.0).all()
        elif kind in ("young stars", "R CrB stars"):
            assert 1.0 + in_g == pytest.approx((1.0 + in_r) ** DUST_RATIO)
        elif kind == "cataclysmic variables":
            assert (share >= 0.0).all() and share.max() > 2.0
        else:
            assert in_g == pytest.approx(1.4 * in_r)


def test_an_answer_is_seen_when_the_ellipsoid_crosses_its_star(epochs: list[scenes.Epochs]) -> None:
    made = scenes.shaped_scene("answer to SN 1987A", 50.0, epochs, bright_events(), np.random.default_rng(2), 20)
    found = star_tests.tested(made.curves, made.detected, made.stars, bright_events())
    assert np.abs(found.ellipsoid.crossing_mjd - found.event_mjd) == pytest.approx(0.0, abs=1.0)  # somewhere in that night
    assert (found.ellipsoid.event == 0).all()


def test_what_is_below_five_sigma_is_a_limit(epochs: list[scenes.Epochs]) -> None:
    made = scenes.natural_scene("RR Lyrae stars", epochs, np.random.default_rng(3), 10)
    assert 0 < made.detected.sum() < len(made.detected)
    assert (np.abs(made.curves.flux[made.detected]) >= 5.0 * made.curves.flux_err[made.detected]).all()
    assert (made.curves.flux[~made.detected] == 0.0).all()


def test_false_alarms_are_ranks_among_stars_with_nights_exchanged(epochs: list[scenes.Epochs]) -> None:
    rng = np.random.default_rng(4)
    sky = scenes.joined([scenes.natural_scene(kind, epochs, rng, 40) for kind in scenes.NATURAL])
    found = star_tests.tested(sky.curves, sky.detected, sky.stars, bright_events())
    null, n = study.null_of(found), int(np.isfinite(found.event_mjd).sum())
    rates, best = study.false_alarms(found, null, n), study.best_test(found)
    assert (np.isfinite(rates) == (best >= 0)).all() and np.isfinite(rates).sum() > 5
    for b in np.flatnonzero((best >= 0) & (best < len(star_tests.CHANCES))):
        k = np.nansum(found.p_exchanged[:, best[b]] <= found.p[b, best[b]])
        assert rates[b] == pytest.approx(1e4 * (k + 1) / (n + 1))


def test_the_study_is_the_same_twice_and_has_a_section() -> None:
    one, other = (study.study(HISTORIES, seed=5, stars_of_a_kind=6, stars_of_a_shape=3) for _ in range(2))
    assert one == other
    assert [row["kind"] for row in one["natural"]] == list(scenes.NATURAL)
    assert len(one["shapes"]) == len(scenes.SHAPES) * len(study.AMPLITUDES)
    told = {"command": "deeprubin-study-technosignatures", "commit": "0" * 40, "data_sha256": "1" * 64, "seed": 5}
    section = technosignatures_section(told | one)
    assert section.count("\n| ") == 3 + len(one["natural"]) + len(star_tests.CHANCES) + len(scenes.SHAPES)
