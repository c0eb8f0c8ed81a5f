"""Tracklets of made-up bodies find each other again over the nights, and nothing else does."""

from __future__ import annotations

import numpy as np
import pytest

from deeprubin_spark.kernels import link_vetting, linking
from deeprubin_spark.kernels.earth_position import observer_positions
from deeprubin_spark.kernels.link_vetting import Observed, links
from deeprubin_spark.kernels.linking import Tracked, clusters, hypotheses, states_under, tracked
from deeprubin_spark.kernels.orbit_fit import Arcs
from deeprubin_spark.kernels.two_body import GM_SUN, eccentricity
from tests.unit.kernels.orbit_arcs import EPOCH, arcs_of, hyperbolic_states, moved, random_states, times_of

NIGHTS = [0.0, 3.0, 8.0]
MIDDLE = EPOCH + 7.0


def in_the_night_sky(states: np.ndarray, n: int) -> np.ndarray:
    """The first n that are 90 deg or more from the Sun in the middle."""
    observer = observer_positions([MIDDLE])[0]
    away = moved(states, 7.0)[:, :3] - observer
    return states[np.flatnonzero(away @ observer > 0.0)[:n]]


def pairs_of(states: np.ndarray, sigma: float, seed: int) -> tuple[Tracked, Observed, np.ndarray]:
    """A pair each night of each body, and whose pair it is."""
    arcs = arcs_of(states, times_of(NIGHTS), sigma, np.random.default_rng(seed))
    return tracklets_of(arcs, np.tile(np.arange(len(NIGHTS)), len(states)), np.repeat(np.arange(len(states)), len(NIGHTS)))


def tracklets_of(arcs: Arcs, night: np.ndarray, body: np.ndarray) -> tuple[Tracked, Observed, np.ndarray]:
    pairs = arcs._replace(offsets=np.arange(len(night) + 1) * 2)
    seen = tracked(pairs.offsets, pairs.mjd, pairs.vectors, pairs.sigma, pairs.observers, night)
    return seen, Observed(pairs, np.arange(len(pairs.mjd)), night), body


@pytest.mark.parametrize("make", [random_states, hyperbolic_states])
def test_bodies_are_linked_over_three_nights_and_no_link_mixes_two(make):
    states = in_the_night_sky(make(np.random.default_rng(1), 90), 30)
    seen, observed, body = pairs_of(states, 0.2, 1)
    found = links(clusters(seen, MIDDLE), observed)
    owners = [set(body[found.members[a:b]].tolist()) for a, b in zip(found.offsets[:-1], found.offsets[1:], strict=True)]
    assert all(len(one) == 1 for one in owners)
    assert len(owners) >= 0.95 * len(states)
    assert found.fit.rms.max() < 1.0


def test_pairs_turned_about_on_the_sky_make_no_links():
    states = in_the_night_sky(random_states(np.random.default_rng(2), 120), 40)
    arcs = arcs_of(states, times_of(NIGHTS), 0.2, np.random.default_rng(2))
    night = np.tile(np.arange(3), 40)
    angle = np.radians(3.0) * np.repeat(np.array([0.0, 1.0, -1.0])[night], 2)  # each night by an angle of its own
    x, y, z = arcs.vectors.T
    turned = np.stack([np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y, z], axis=1)
    seen, observed, _ = tracklets_of(arcs._replace(vectors=turned), night, np.repeat(np.arange(40), 3))
    assert len(links(clusters(seen, MIDDLE), observed).offsets) - 1 <= 1


def test_a_pair_of_another_body_is_put_out_of_the_link():
    states = in_the_night_sky(random_states(np.random.default_rng(3), 60), 1)
    times = times_of([0.0, 2.0, 5.0, 8.0])
    arcs = arcs_of(states, times, 0.15, np.random.default_rng(3))
    shifted = arcs.vectors.copy()
    shifted[4:6] += np.array([0.0, 0.0, 60.0 / 206265.0])
    shifted /= np.linalg.norm(shifted, axis=1, keepdims=True)
    seen, observed, _ = tracklets_of(arcs._replace(vectors=shifted), np.arange(4), np.zeros(4, int))
    found = links(clusters(seen, MIDDLE), observed)
    assert found.members.tolist() == [0, 1, 3]


def test_under_the_true_distance_a_pair_has_the_true_state():
    states = in_the_night_sky(random_states(np.random.default_rng(4), 60), 20)
    seen, _, body = pairs_of(states, 0.0, 4)
    epoch = seen.mjd[0]
    true = np.concatenate([moved(states[k : k + 1], t - EPOCH) for k, t in zip(body, seen.mjd, strict=True)])
    r = np.linalg.norm(true[:, :3], axis=1)
    radial = np.sum(true[:, :3] * true[:, 3:], axis=1) / r
    found = states_under(seen._replace(mjd=np.full(len(body), epoch)), np.column_stack([r, radial, np.ones(len(r))]), epoch)
    np.testing.assert_allclose(found[:, :3], true[:, :3], atol=2e-3)  # light time is left out there
    np.testing.assert_allclose(found[:, 3:], true[:, 3:], atol=2e-4)


def test_the_grid_has_unbound_hypotheses_at_every_distance():
    r, radial, _ = hypotheses().T
    for distance in np.unique(r):
        assert np.abs(radial[r == distance]).max() > np.sqrt(2.0 * GM_SUN / max(distance, 1.0))


def test_links_do_not_depend_on_the_order_of_tracklets():
    states = in_the_night_sky(random_states(np.random.default_rng(5), 60), 10)
    seen, observed, body = pairs_of(states, 0.2, 5)
    order = np.random.default_rng(6).permutation(len(body))
    mixed = tracklets_of(observed.arcs.take(order), observed.night[order], body[order])
    one, other = links(clusters(seen, MIDDLE), observed), links(clusters(mixed[0], MIDDLE), mixed[1])
    sets = [{frozenset(group) for group in np.split(found.members, found.offsets[1:-1])} for found in (one, other)]
    assert {frozenset(order[list(group)].tolist()) for group in sets[1]} == sets[0]
    assert np.sort(eccentricity(one.fit.states)) == pytest.approx(np.sort(eccentricity(other.fit.states)), abs=0.02)


def test_two_nights_are_not_linked():
    states = in_the_night_sky(random_states(np.random.default_rng(7), 30), 5)
    seen, observed, _ = pairs_of(states, 0.2, 7)
    chosen = np.flatnonzero(observed.night < 2)
    few = Tracked(*(part[chosen] for part in seen))
    found = clusters(few, MIDDLE)
    assert len(found.offsets) == 1
    assert (
        len(link_vetting.links(found, Observed(observed.arcs.take(chosen), np.arange(2 * len(chosen)), observed.night[chosen])).offsets)
        == 1
    )


def test_window_and_least_nights_are_those_of_the_issue():
    assert (linking.WINDOW, linking.MIN_NIGHTS) == (15.0, 3)
