"""From sets of tracklets to links: what one orbit holds together within its errors, each detection in one link at most.

A set whose orbit does not fit is tried without each of its tracklets in turn, and goes on with the best of these, while three nights are left.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc

from deeprubin_spark.kernels.linking import MIN_NIGHTS, Clusters
from deeprubin_spark.kernels.orbit_fit import Arcs, Fit, fit
from deeprubin_spark.kernels.two_body import speed_at_infinity

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Members = tuple[int, ...]

MIN_PROBABILITY = 1e-3  # of a chi-square as large, for the right orbit
MAX_RMS = 1.0  # [arcsec] on the sky
_NEAREST, _FARTHEST, _FASTEST = 0.01, 60.0, 150.0  # [au, au, km/s] of orbits that are believed
_ROUNDS = 4  # tracklets that a set can lose
_SETS_AT_ONCE = 2000


class Observed(NamedTuple):
    """T tracklets as bodies of `arcs`, the numbers of their detections (M,), row by row, and the number of their night (T,)."""

    arcs: Arcs
    detection: IntArray
    night: IntArray


class Links(NamedTuple):
    """L links: tracklets of link l are members[offsets[l]:offsets[l + 1]], ascending; what was seen of each, and its orbit."""

    offsets: IntArray
    members: IntArray
    arcs: Arcs
    fit: Fit


def links(clusters: Clusters, observed: Observed) -> Links:
    """The links among the clusters. Of two that share a detection, that with more nights, then more detections, then the smaller chi-square is taken."""
    starts = {
        tuple(clusters.members[a:b].tolist()): state
        for a, b, state in zip(clusters.offsets[:-1], clusters.offsets[1:], clusters.states, strict=True)
    }
    quality = _qualities(starts, clusters.epoch, observed)
    passed, failed = _parted(quality)
    for _ in range(_ROUNDS):
        families = {one: [child for child in _without_one(one, observed.night) if child not in quality] for one in failed}
        born = {child: starts[parent] for parent, children in families.items() for child in children}
        if not born:
            break
        quality |= _qualities(born, clusters.epoch, observed)
        starts |= born
        passed += [child for child in born if quality[child] >= MIN_PROBABILITY]
        best = (max(children, key=quality.__getitem__) for children in families.values() if children)
        failed = list(dict.fromkeys(one for one in best if quality[one] < MIN_PROBABILITY))
    chosen = _disjoint(passed, quality, observed)
    offsets = np.concatenate(([0], np.cumsum([len(one) for one in chosen]))).astype(np.int64)
    arcs = _arcs(chosen, observed)
    first = np.array([starts[one] for one in chosen]).reshape(-1, 6)
    return Links(offsets, np.array([t for one in chosen for t in one], np.int64), arcs, _fitted(arcs, first, clusters.epoch))


def _qualities(starts: dict[Members, FloatArray], epoch: float, observed: Observed) -> dict[Members, float]:
    """Probability of a chi-square as large; below 0, the lower the worse, where it is nothing or the orbit cannot be believed.

    A set whose hypothesis led nowhere is begun again at Vaisala's orbits; `starts` then holds the orbit that was found.
    """
    sets = list(starts)
    found: dict[Members, float] = {}
    for begin in range(0, len(sets), _SETS_AT_ONCE):
        part = sets[begin : begin + _SETS_AT_ONCE]
        arcs = _arcs(part, observed)
        value = _quality(arcs, _fitted(arcs, np.array([starts[one] for one in part]), epoch))
        failed = np.flatnonzero(value < MIN_PROBABILITY)
        if len(failed):
            again = arcs.take(failed)
            fitted = fit(again, np.full(len(failed), epoch))
            better = _quality(again, fitted)
            for k, new, state in zip(failed.tolist(), better.tolist(), fitted.states, strict=True):
                if new > value[k]:
                    value[k], starts[part[k]] = new, state
        found.update(zip(part, value.tolist(), strict=True))
    return found


def _quality(arcs: Arcs, fitted: Fit) -> FloatArray:
    freedom = 2.0 * np.diff(arcs.offsets) - 6.0
    probability = gammaincc(0.5 * freedom, 0.5 * fitted.chi2)
    distance, v_inf = 1.0 / fitted.theta[:, 4], speed_at_infinity(fitted.states)
    is_believed = (distance > _NEAREST) & (distance < _FARTHEST) & (v_inf < _FASTEST) & (fitted.rms < MAX_RMS)
    return np.where(is_believed & (probability >= MIN_PROBABILITY), probability, -fitted.chi2 / freedom)


def _fitted(arcs: Arcs, first: FloatArray, epoch: float) -> Fit:
    return fit(arcs, np.full(len(first), epoch), first)


def _arcs(sets: list[Members], observed: Observed) -> Arcs:
    """What was seen of each set, one body each."""
    sizes = np.array([len(one) for one in sets], np.int64)
    whole = observed.arcs.take(np.array([t for one in sets for t in one], np.int64))
    ends = np.concatenate(([0], np.cumsum(sizes)))
    return whole._replace(offsets=whole.offsets[ends])


def _parted(quality: dict[Members, float]) -> tuple[list[Members], list[Members]]:
    passed = [one for one, value in quality.items() if value >= MIN_PROBABILITY]
    return passed, [one for one, value in quality.items() if value < MIN_PROBABILITY]


def _without_one(one: Members, night: IntArray) -> list[Members]:
    """The set without each of its tracklets, as far as enough nights are left."""
    smaller = (one[:k] + one[k + 1 :] for k in range(len(one)))
    return [child for child in smaller if len(set(night[list(child)].tolist())) >= MIN_NIGHTS]


def _disjoint(passed: list[Members], quality: dict[Members, float], observed: Observed) -> list[Members]:
    """Sets of which no two share a detection."""
    detections = {one: _detections(one, observed) for one in dict.fromkeys(passed)}
    nights = {one: len(set(observed.night[list(one)].tolist())) for one in detections}
    order = sorted(detections, key=lambda one: (-nights[one], -len(detections[one]), -quality[one], one))
    used: set[int] = set()
    chosen = []
    for one in order:
        if used.isdisjoint(detections[one]):
            used |= detections[one]
            chosen.append(one)
    return sorted(chosen)


def _detections(one: Members, observed: Observed) -> set[int]:
    offsets = observed.arcs.offsets
    return {int(number) for t in one for number in observed.detection[offsets[t] : offsets[t + 1]]}
