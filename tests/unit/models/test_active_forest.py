from __future__ import annotations

import numpy as np
import pytest

from deeprubin_spark.models.active_forest import ActiveForest, active_scores

NAMES = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def values():
    """300 usual objects, then 10 odd ones in `a`, then 10 odd ones in `b`."""
    made = np.random.default_rng(1).normal(size=(320, 4))
    made[300:310, 0] += 8.0
    made[310:, 1] += 8.0
    return made


@pytest.fixture(scope="module")
def forest(values):
    return ActiveForest(values, NAMES, seed=1)


@pytest.fixture(scope="module")
def seen(values, forest):
    return forest.scaled(values)


def test_a_vote_raises_what_is_like_it_and_a_vote_against_lowers_it(forest, seen):
    score = forest.score(seen, seen[[300, 310]], np.array([True, False]))
    assert score[301:310].min() > np.median(score[:300]) > score[311:].max()
    other = forest.score(seen, seen[[300, 310]], np.array([False, True]))
    assert other[301:310].max() < np.median(other[:300]) < other[311:].min()


def test_votes_of_earlier_calls_count_no_more_and_a_seed_is_a_forest(values, forest, seen):
    said = seen[[300, 310]], np.array([True, False])
    first = forest.score(seen, *said)
    forest.score(seen, seen[[0]], np.array([True]))
    np.testing.assert_array_equal(forest.score(seen, *said), first)
    np.testing.assert_array_equal(ActiveForest(values, NAMES, seed=1).score(seen, *said), first)


def test_missing_values_are_the_usual_ones_and_units_do_not_matter(values):
    def score(of):
        forest = ActiveForest(of, NAMES, seed=1)
        return forest.score(forest.scaled(of), forest.scaled(of[[300, 310]]), np.array([True, False]))

    gappy = np.concatenate([values, np.full((1, 4), np.nan), [[np.inf, 0.0, 0.0, np.nan]]])
    assert np.isfinite(score(gappy)).all()
    assert np.corrcoef(score(values), score(values * 1e6))[0, 1] > 0.999


def test_the_static_order_leads_until_votes_say_anomaly(forest, seen):
    share = np.linspace(1.0 / 320, 1.0, 320)
    said = np.array([0, 310, 311, 312]), np.array([False, True, True, True])
    scores = [active_scores(forest, seen, share, seen[said[0][:n]], said[1][:n]) for n in (1, 2, 4)]
    follows = [np.corrcoef(score, -share)[0, 1] for score in scores]
    assert follows[0] > 0.5 > follows[1] > follows[2]
    places = [np.argsort(np.argsort(-score))[313:].mean() for score in scores]
    assert places[0] > 200 > places[1] > places[2], "what the static order has last comes forward"


def test_no_vote_and_no_object_are_refused(values, forest, seen):
    with pytest.raises(ValueError, match="one vote or more"):
        forest.score(seen, seen[:0], np.zeros(0, bool))
    with pytest.raises(ValueError, match="at least 2 objects"):
        ActiveForest(values[:1], NAMES, seed=1)
