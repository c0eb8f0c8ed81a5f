"""How probable it is that a body is not bound to the Sun: statistical ranging over the distance and its rate.

What a short arc does not tell are the distance and the speed along the line of sight (Virtanen, Muinonen & Bowell 2001, Icarus 154, 412). So these two
are laid out on a grid that follows the valley of good orbits: at each distance the best speed and its error come first (the line of variations, Milani et
al. 2005), then speeds to both sides; at each point of the grid the four numbers across the line of sight follow by least squares (as the manifold of
variations of Spoto et al. 2018, A&A 614, A27). A point's weight is its area times

    exp(-chi^2 / 2) det(N)^(-1/2) gamma^-5 (r Delta)^(-5 s) f(v):

N the normal matrix of the four, gamma = 1 / z with gamma^-5 the volume of phase space for each step in ln gamma and z', (r Delta)^(-5 s) the many small
bodies, 10^(s H) of them with s = 0.47 a magnitude, f the prior of the velocity: half of the bodies bound, evenly in the sphere of the speed of escape,
half unbound, with normal velocities of 40 km/s an axis far from the Sun. Even odds let the data speak; the sky's own odds are millions to one against, so
P(e > 1) is a reason to look, not a discovery, and must be read with the length of the arc.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx

from deeprubin_spark.kernels.orbit_fit import Arcs, Fit, Frame, across_line_of_sight, at_distance, states_of
from deeprubin_spark.kernels.two_body import GM_SUN, KM_S, eccentricity, speed_at_infinity

FloatArray = NDArray[np.float64]

CLEARLY_UNBOUND = 1.02  # eccentricity
_SLOPE = 0.47  # [1/mag] of the numbers of bodies by absolute magnitude
_DISPERSION = 40.0 / KM_S  # [au/d] of velocities far from the Sun, an axis
_NEAREST, _FARTHEST = 0.01, 60.0  # [au] along the line of sight
_FASTEST = 0.12  # [au/d] along the line of sight: 208 km/s
_WELL_KNOWN, _REACH = 0.3, 4.5  # error of ln gamma up to which the fit says where to look, and how many errors around it are looked at
_LOOK, _DISTANCES, _SPEEDS = 33, 21, 15  # points of the first look, and of the grid
_STEEP = 30.0  # chi-square above the least beyond which nothing is counted
_ROWS_AT_ONCE = 40_000


class Ranging(NamedTuple):
    """Of K bodies, (K,) each: P(e > 1), P(e > 1.02), the eccentricity's quantiles at 16, 50 and 84 % (K, 3), mean and standard deviation of the speed at
    infinity of the unbound part [km/s] (NaN where there is none). NaN all where no point of the grid is an orbit.
    """

    p_unbound: FloatArray
    p_clearly_unbound: FloatArray
    eccentricity: FloatArray
    v_inf: FloatArray
    v_inf_sd: FloatArray


def ranging(arcs: Arcs, fit: Fit) -> Ranging:
    """The ranging of K bodies about their least-squares orbits, or over all distances where these leave too much open."""
    n_bodies = len(fit.theta)
    p, clear, v_inf, v_inf_sd = (np.full(n_bodies, np.nan) for _ in range(4))
    found = Ranging(p, clear, np.full((n_bodies, 3), np.nan), v_inf, v_inf_sd)
    most = max(1, _ROWS_AT_ONCE // (_DISTANCES * _SPEEDS * max(int(np.diff(arcs.offsets).max(initial=1)), 1)))
    for begin in range(0, n_bodies, most):
        bodies = np.arange(begin, min(begin + most, n_bodies))
        start = _Start(arcs.take(bodies), fit.theta[bodies], fit.frame.take(bodies))
        error = np.sqrt(np.maximum(fit.covariance[bodies, 4, 4], 0.0)) / start.theta[:, 4]
        for whole, part in zip(found, _ranged(start, error), strict=True):
            whole[bodies] = part
    return found


class _Start(NamedTuple):
    """Of K bodies: what was seen, theta (K, 6), its frame."""

    arcs: Arcs
    theta: FloatArray
    frame: Frame


def _ranged(start: _Start, error: FloatArray) -> Ranging:
    """The grid and what it says; error : of ln gamma (K,)."""
    centre = np.log(start.theta[:, 4:5])
    lowest, highest = np.log(1.0 / _FARTHEST), np.log(1.0 / _NEAREST)
    reach = np.where(error < _WELL_KNOWN, _REACH * error, np.inf)[:, None]
    ends = np.clip(np.hstack([centre - reach, centre + reach]), lowest, highest)
    _, chi2, _ = _best_speeds(start, _between(ends, _LOOK))
    lines, _, error_of_speed = _best_speeds(start, _between(_where_good(ends, chi2), _DISTANCES))
    log_weight, states = _log_weights(start, lines, error_of_speed)
    best = log_weight.max(axis=1, keepdims=True)
    weight = np.exp(log_weight - np.where(np.isfinite(best), best, 0.0))
    e, v_inf = eccentricity(states), speed_at_infinity(states)
    quantiles = np.array([_quantiles(*row) for row in zip(e, weight, strict=True)])
    outside = weight * (e > 1.0)
    total, unbound = weight.sum(axis=1), outside.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (outside * v_inf).sum(axis=1) / unbound
        variance = (outside * (v_inf - mean[:, None]) ** 2).sum(axis=1) / unbound
        return Ranging(unbound / total, (weight * (e > CLEARLY_UNBOUND)).sum(axis=1) / total, quantiles, mean, np.sqrt(variance))


def _between(ends: FloatArray, n: int) -> FloatArray:
    """Even steps from the first to the second of ends (K, 2): (K, n)."""
    return np.asarray(ends[:, :1] + np.diff(ends, axis=1) * np.linspace(0.0, 1.0, n), np.float64)


def _best_speeds(start: _Start, logs: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """At each ln gamma (K, L) the best orbit: theta (K, L, 6), chi-square (K, L), error of the speed along the line of sight (K, L)."""
    shape = logs.shape
    which = np.repeat(np.arange(shape[0]), shape[1])
    theta = start.theta[which].copy()
    speed = np.clip(theta[:, 5] / theta[:, 4], -_FASTEST, _FASTEST)
    theta[:, 4] = np.exp(logs.ravel())
    theta[:, 5] = speed * theta[:, 4]
    found, chi2, error = at_distance(theta, start.frame.take(which), start.arcs.take(which), _FASTEST, 5)
    return found.reshape(*shape, 6), chi2.reshape(shape), error.reshape(shape)


def _where_good(ends: FloatArray, chi2: FloatArray) -> FloatArray:
    """The part (K, 2) of the range where chi-square (K, L) is near its least, one step more at each end."""
    good = chi2 <= chi2.min(axis=1, keepdims=True) + _STEEP
    n = chi2.shape[1]
    first = np.maximum(np.argmax(good, axis=1) - 1, 0)
    last = np.minimum(n - np.argmax(good[:, ::-1], axis=1), n - 1)
    return np.take_along_axis(_between(ends, n), np.stack([first, last], axis=1), axis=1)


def _log_weights(start: _Start, lines: FloatArray, error: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Logarithm of the weights (K, G), -inf where there is no orbit, and states (K, G, 6) of the grid about the best speeds (K, L, 6)."""
    n_bodies, n_distances = lines.shape[:2]
    best = lines[:, :, 5] / lines[:, :, 4]
    ends = np.stack([np.maximum(best - _REACH * error, -_FASTEST), np.minimum(best + _REACH * error, _FASTEST)], axis=-1)
    speeds = _between(ends.reshape(-1, 2), _SPEEDS)
    width = np.repeat(np.diff(ends.reshape(-1, 2), axis=1)[:, 0], _SPEEDS)
    theta = np.repeat(lines.reshape(-1, 6), _SPEEDS, axis=0)
    theta[:, 5] = speeds.ravel() * theta[:, 4]
    which = np.repeat(np.arange(n_bodies), n_distances * _SPEEDS)
    frame = start.frame.take(which)
    solved, chi2, log_det = across_line_of_sight(theta, frame, start.arcs.take(which), 2)
    states = states_of(solved, frame)
    with np.errstate(divide="ignore"):
        log_weight = np.log(width) - 0.5 * (chi2 + log_det) + _log_prior(states, theta[:, 4])
    log_weight = np.where(np.isfinite(log_weight), log_weight, -np.inf)
    return log_weight.reshape(n_bodies, -1), states.reshape(n_bodies, -1, 6)


def _log_prior(states: FloatArray, gamma: FloatArray) -> FloatArray:
    """Logarithm of gamma^-5 (r Delta)^(-5 s) f(v).

    f = 3 / (4 pi w^3) for v < w, the speed of escape, else exp(-(v^2 - w^2) / (2 d^2)) over its own volume,
    4 pi d^2 (w + d sqrt(pi / 2) erfcx(w / (sqrt(2) d))), d the dispersion.
    """
    r, speed = np.linalg.norm(states[:, :3], axis=1), np.linalg.norm(states[:, 3:], axis=1)
    escape = np.sqrt(2.0 * GM_SUN / r)
    volume = 4.0 * np.pi * _DISPERSION**2 * (escape + _DISPERSION * np.sqrt(0.5 * np.pi) * erfcx(escape / (np.sqrt(2.0) * _DISPERSION)))
    unbound = -(speed**2 - escape**2) / (2.0 * _DISPERSION**2) - np.log(volume)
    velocity = np.where(speed < escape, np.log(3.0 / (4.0 * np.pi)) - 3.0 * np.log(escape), unbound)
    return np.asarray(-5.0 * np.log(gamma) - 5.0 * _SLOPE * (np.log(r) - np.log(gamma)) + velocity, np.float64)


def _quantiles(values: FloatArray, weight: FloatArray) -> FloatArray:
    """Weighted quantiles at 16, 50 and 84 %."""
    order = np.argsort(values)
    summed = np.cumsum(weight[order])
    if not summed[-1] > 0.0:
        return np.full(3, np.nan)
    return np.asarray(values[order][np.searchsorted(summed, np.array([0.16, 0.5, 0.84]) * summed[-1])], np.float64)
