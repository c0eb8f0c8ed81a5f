"""Which tracklets of several nights are one body: clusters under hypotheses of distance, as HelioLinC finds them (Holman et al. 2018, AJ 156, 135).

A tracklet gives the direction s and its rate s'. With the hypothesis that the body's heliocentric distance is r and changes by r' at a reference time,
the whole state follows (o the observer, rho the way to the body):

    |o + rho s| = r(t),    rho' = (r r' - x . (o' + rho s')) / (x . s),    x = o + rho s,  v = o' + rho' s + rho s'.

States of one body, moved to common times, come together where the hypothesis is near the truth. What a wrong hypothesis spreads is above all the place
along the line of sight; so tracklets are compared where they would be seen from the Earth at two times, a third of the window before and after its
middle: 6 numbers each, in which errors of the rate count as they do on the sky. The grid of hypotheses has unbound ones, |v| above the speed of escape.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from deeprubin_spark.kernels.earth_position import observer_positions
from deeprubin_spark.kernels.sky_motion import motion
from deeprubin_spark.kernels.two_body import GM_SUN, KM_S, propagate

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

WINDOW = 15.0  # [d] of nights that are linked together
MIN_NIGHTS = 3
RADIUS = np.radians(
    0.5
)  # two tracklets of one body may be apart by this, both times together: a pair of 5 minutes knows its rate no better
_RADIAL_SPEEDS = np.arange(-6.0, 6.5, 1.0) * 0.006  # [au/d] up to 62 km/s
_NEAR, _FAR, _STEP = 0.12, 9.0, 0.125  # distances: r - 0.88 au grows by this share, as does the way from the Earth at opposition
_INSIDE = (0.6, 0.75, 0.87, 0.95)  # [au] where the line of sight meets the sphere twice
_FASTEST = 120.0 / KM_S  # [au/d] far from the Sun
_ROWS_AT_ONCE = 60_000
_FEW_IN_A_CLUSTER, _MOST_IN_A_CLUSTER = 5, 12  # sets above the first are also taken apart, those above the second only


class Tracked(NamedTuple):
    """T tracklets: mean time [MJD], night number, direction (T, 3) and its rate (T, 3) [1/d], place of the observer and its rate (T, 3) [au, au/d]."""

    mjd: FloatArray
    night: IntArray
    direction: FloatArray
    rate: FloatArray
    observer: FloatArray
    observer_rate: FloatArray


class Clusters(NamedTuple):
    """C sets of tracklets: those of set c are members[offsets[c]:offsets[c + 1]], ascending; states (C, 6) of their mean orbit at `epoch` [MJD]."""

    offsets: IntArray
    members: IntArray
    states: FloatArray
    epoch: float


def tracked(offsets: IntArray, mjd: FloatArray, vectors: FloatArray, sigma: FloatArray, observers: FloatArray, night: IntArray) -> Tracked:
    """Tracklets from their detections.

    offsets : (T + 1,), tracklet t is rows offsets[t]:offsets[t + 1], in time, of      mjd (M,), vectors (M, 3), sigma (M,) [arcsec], observers (M, 3)
    night : (T,) integers, different for different nights
    """
    seen = motion(offsets, mjd, vectors, sigma)
    first, last = offsets[:-1], offsets[1:] - 1
    level = np.hypot(seen.vectors[:, 0], seen.vectors[:, 1])
    east = np.stack([-seen.vectors[:, 1], seen.vectors[:, 0], np.zeros_like(level)], axis=1) / level[:, None]
    angle, speed = np.radians(seen.position_angle)[:, None], np.radians(seen.rate)[:, None]
    rate = speed * (np.sin(angle) * east + np.cos(angle) * np.cross(seen.vectors, east))
    observer_rate = (observers[last] - observers[first]) / (mjd[last] - mjd[first])[:, None]
    observer = observers[first] + observer_rate * (seen.mjd - mjd[first])[:, None]
    return Tracked(seen.mjd, night, seen.vectors, rate, observer, observer_rate)


def take(tracklets: Tracked, rows: IntArray) -> Tracked:
    """The tracklets of these rows, in this order; one may be taken many times."""
    mjd, night, direction, rate, observer, observer_rate = tracklets
    return Tracked(mjd[rows], night[rows], direction[rows], rate[rows], observer[rows], observer_rate[rows])


def hypotheses() -> FloatArray:
    """Distances, their rates, and which of two meetings of line and sphere: (H, 3) [au, au/d, +1 the farther or -1]."""
    n = int(np.ceil(np.log(_FAR / _NEAR) / np.log1p(_STEP)))
    outside = 0.88 + np.geomspace(_NEAR, _FAR, n)
    both = [(r, v, side) for r in _INSIDE for v in _RADIAL_SPEEDS for side in (1.0, -1.0)]
    return np.array([*both, *((r, v, 1.0) for r in outside for v in _RADIAL_SPEEDS)])


def states_under(tracklets: Tracked, hypothesis: FloatArray, epoch: float) -> FloatArray:
    """Heliocentric states (N, 6) at the tracklets' times under hypotheses (N, 3), row by row; NaN where line and sphere do not meet.

    The distance at a tracklet's time is r + r' t + r'' t^2 / 2 with r'' = h^2 / r^3 - mu / r^2, the momentum h from the state that has r'' = 0.
    """
    r, radial, side = hypothesis.T
    since = tracklets.mjd - epoch
    plain = _states_at(tracklets, r + radial * since, radial, side)
    momentum2 = np.sum(np.cross(plain[:, :3], plain[:, 3:]) ** 2, axis=1)
    bend = momentum2 / r**3 - GM_SUN / r**2
    return _states_at(tracklets, r + radial * since + 0.5 * bend * since**2, radial + bend * since, side)


def clusters(tracklets: Tracked, epoch: float) -> Clusters:
    """Sets of tracklets on three nights or more that come together under some hypothesis; each set once, with its tightest orbit."""
    found: dict[tuple[int, ...], tuple[float, FloatArray]] = {}
    n = len(tracklets.mjd)
    if n >= MIN_NIGHTS and len(np.unique(tracklets.night)) >= MIN_NIGHTS:
        observers = observer_positions([epoch - WINDOW / 3.0, epoch + WINDOW / 3.0])
        every = hypotheses()
        most = max(1, _ROWS_AT_ONCE // n)
        for begin in range(0, len(every), most):
            _cluster(tracklets, every[begin : begin + most], epoch, observers, found)
    sets = sorted(found)
    offsets = np.concatenate(([0], np.cumsum([len(one) for one in sets]))).astype(np.int64)
    members = np.array([t for one in sets for t in one], np.int64)
    states = np.array([found[one][1] for one in sets]).reshape(-1, 6)
    return Clusters(offsets, members, states, epoch)


def _cluster(
    tracklets: Tracked, chosen: FloatArray, epoch: float, observers: FloatArray, found: dict[tuple[int, ...], tuple[float, FloatArray]]
) -> None:
    """Add the sets that come together under each of the chosen hypotheses (H, 3)."""
    n = len(tracklets.mjd)
    which = np.tile(np.arange(n), len(chosen))
    number = np.repeat(np.arange(len(chosen)), n)
    many = take(tracklets, which)
    states = states_under(many, chosen[number], epoch)
    possible = _is_possible(states)
    which, number, states = which[possible], number[possible], states[possible]
    if len(which) == 0:
        return
    at_epoch = propagate(states, epoch - tracklets.mjd[which])
    seen = np.hstack([_seen(propagate(at_epoch, sign * WINDOW / 3.0), observers[k]) for k, sign in enumerate((-1.0, 1.0))])
    # Hypotheses far apart in a seventh number do not meet.
    places = np.column_stack([seen, 10.0 * number])
    sets = _components(places, tracklets.night[which], RADIUS, np.arange(len(which)))
    if not sets:
        return
    rows, sizes = np.concatenate(sets), np.array([len(one) for one in sets])
    ends = np.cumsum(sizes)
    mean = np.add.reduceat(seen[rows], ends - sizes) / sizes[:, None]
    off = np.sum((seen[rows] - np.repeat(mean, sizes, axis=0)) ** 2, axis=1)
    scatter = np.add.reduceat(off, ends - sizes) / sizes
    for begin, end, spread in zip((ends - sizes).tolist(), ends.tolist(), scatter.tolist(), strict=True):
        members = tuple(sorted(set(which[rows[begin:end]].tolist())))
        if members not in found or spread < found[members][0]:
            found[members] = spread, at_epoch[rows[begin + int(np.argmin(off[begin:end]))]]


def _components(places: FloatArray, night: IntArray, radius: float, rows: IntArray) -> list[IntArray]:
    """Rows that hang together by steps of less than `radius` and lie on enough nights; large sets are taken apart with half of it."""
    pairs = cKDTree(places[rows]).query_pairs(radius, output_type="ndarray")
    if len(pairs) == 0:
        return []
    graph = coo_matrix((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(len(rows), len(rows)))
    _, label = connected_components(graph, directed=False)
    numbered = np.unique(night[rows], return_inverse=True)[1]
    distinct = np.unique(label * (int(numbered.max()) + 1) + numbered) // (int(numbered.max()) + 1)
    nights_of, sizes = np.bincount(distinct), np.bincount(label)
    order = np.argsort(label, kind="stable")
    begins = np.concatenate(([0], np.cumsum(sizes)))
    made = []
    for c in np.flatnonzero(nights_of >= MIN_NIGHTS):
        part = rows[order[begins[c] : begins[c + 1]]]
        made.append(part)
        if len(part) > _FEW_IN_A_CLUSTER:
            made.extend(_components(places, night, 0.5 * radius, part))
    return [part for part in made if len(part) <= _MOST_IN_A_CLUSTER]


def _states_at(tracklets: Tracked, r: FloatArray, radial: FloatArray, side: FloatArray) -> FloatArray:
    s, o = tracklets.direction, tracklets.observer
    along = np.sum(s * o, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        root = np.sqrt(along**2 - np.sum(o**2, axis=1) + np.where(r > 0.0, r, np.nan) ** 2)
        rho = -along + side * root
        rho = np.where(rho > 0.0, rho, np.nan)
        position = o + rho[:, None] * s
        moved = tracklets.observer_rate + rho[:, None] * tracklets.rate
        rho_rate = (r * radial - np.sum(position * moved, axis=1)) / np.sum(position * s, axis=1)
    return np.asarray(np.hstack([position, moved + rho_rate[:, None] * s]), np.float64)


def _is_possible(states: FloatArray) -> NDArray[np.bool_]:
    """Not faster than anything that was ever seen to pass."""
    with np.errstate(invalid="ignore"):
        energy = np.sum(states[:, 3:] ** 2, axis=1) - 2.0 * GM_SUN / np.linalg.norm(states[:, :3], axis=1)
        return np.asarray(energy < _FASTEST**2)


def _seen(states: FloatArray, observer: FloatArray) -> FloatArray:
    away = states[:, :3] - observer
    return np.asarray(away / np.linalg.norm(away, axis=1, keepdims=True), np.float64)
