"""Motion about the Sun alone: states at other times for any eccentricity, orbital elements, and where an observer sees the body.

States are heliocentric positions and velocities, (N, 6) [au, au/d], on the axes of the equator of J2000 (ICRS). Planets are left out: over the 30 days of
a search they move a body of the main belt by less than its errors of measurement.

The universal anomaly chi solves Kepler's equation for ellipse, parabola and hyperbola alike (Battin 1987, section 4.5; Danby 1988, section 6.9):

    sqrt(mu) dt = r0 chi + sigma chi^2 c2(z) + (1 - alpha r0) chi^3 c3(z),    z = alpha chi^2,  alpha = 2 / r0 - v0^2 / mu,  sigma = r.v / sqrt(mu)

by Laguerre's method (Conway 1986), which converges from any start.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from deeprubin_spark.kernels.sky import OBLIQUITY

FloatArray = NDArray[np.float64]

GM_SUN = 0.01720209895**2  # [au^3 / d^2] square of Gauss's constant
LIGHT_SPEED = 173.1446326846693  # [au / d]
KM_S = 1731.456836805556  # [km/s] of 1 au/d
_ROOT_MU = math.sqrt(GM_SUN)


class Elements(NamedTuple):
    """Orbits, each field (N,) float64: perihelion distance [au], eccentricity, inclination, node and argument of perihelion [deg, ecliptic of J2000],
    days since perihelion at the epoch.
    """

    perihelion: FloatArray
    eccentricity: FloatArray
    inclination: FloatArray
    node: FloatArray
    argument: FloatArray
    since_perihelion: FloatArray


def propagate(states: FloatArray, days: ArrayLike) -> FloatArray:
    """The states `days` later: states (N, 6), days (N,) or one number; returns (N, 6). NaN in, NaN out."""
    states = np.ascontiguousarray(states, np.float64)
    out = np.empty_like(states)
    _propagate_all(states, np.ascontiguousarray(np.broadcast_to(np.asarray(days, np.float64), len(states))), out)
    return out


def directions(states: FloatArray, days: ArrayLike, observers: FloatArray) -> FloatArray:
    """Unit vectors from observers to the bodies, as catalogues of stars show them (light time corrected, no aberration).

    states : (N, 6)      days : (N,), time of observation less the states' epoch      observers : (N, 3) [au], heliocentric. Returns (N, 3).
    """
    states, observers = np.ascontiguousarray(states, np.float64), np.ascontiguousarray(observers, np.float64)
    out = np.empty((len(states), 3))
    _directions(states, np.ascontiguousarray(np.broadcast_to(np.asarray(days, np.float64), len(states))), observers, out)
    return out


def sky_positions(vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Right ascension in [0, 360) and declination (N,) [deg] of vectors (N, 3) of any length."""
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))


def eccentricity(states: FloatArray) -> FloatArray:
    """Eccentricity, e = sqrt(1 + 2 eps h^2 / mu^2), by the length of the eccentricity vector, which keeps its digits at e near 0.  (N, 6) to (N,)."""
    return np.asarray(np.linalg.norm(_eccentricity_vectors(states), axis=-1), np.float64)


def speed_at_infinity(states: FloatArray) -> FloatArray:
    """v_inf = sqrt(2 eps) [km/s] of unbound orbits, 0 of bound ones.  (N, 6) to (N,)."""
    energy = 0.5 * np.sum(states[..., 3:] ** 2, axis=-1) - GM_SUN / np.linalg.norm(states[..., :3], axis=-1)
    return np.asarray(np.sqrt(np.maximum(2.0 * energy, 0.0)) * KM_S, np.float64)


def elements(states: FloatArray) -> Elements:
    """Orbital elements of states (N, 6).

    The time since perihelion is that of the universal anomaly chi_p: sigma = e chi (1 - z c3), alpha r = 1 - e cos E; so no eccentricity is special.
    Node and argument are 0 where inclination or eccentricity is.
    """
    states = np.asarray(states, np.float64)
    position, velocity = _to_ecliptic(states[:, :3]), _to_ecliptic(states[:, 3:])
    momentum, towards = np.cross(position, velocity), _eccentricity_vectors(np.hstack([position, velocity]))
    e = np.linalg.norm(towards, axis=1)
    h = np.linalg.norm(momentum, axis=1)
    node = np.arctan2(momentum[:, 0], -momentum[:, 1])
    ascending = np.stack([np.cos(node), np.sin(node), np.zeros_like(node)], axis=1)
    across = np.cross(momentum / h[:, None], ascending)
    argument = np.arctan2(np.sum(towards * across, axis=1), np.sum(towards * ascending, axis=1))
    q = h**2 / (GM_SUN * (1.0 + e))
    since = _since_perihelion(position, velocity, q, e)
    inclination = np.arctan2(np.hypot(momentum[:, 0], momentum[:, 1]), momentum[:, 2])
    return Elements(q, e, np.degrees(inclination), np.degrees(node) % 360.0, np.degrees(argument) % 360.0, since)


def states_of(orbits: Elements) -> FloatArray:
    """States (N, 6) of orbits at their epoch: that of perihelion, moved on by the days since."""
    q, e, inclination, node, argument, since = (np.atleast_1d(np.asarray(part, np.float64)) for part in orbits)
    i, omega, w = np.radians(inclination), np.radians(node), np.radians(argument)
    along = np.stack([
        np.cos(omega) * np.cos(w) - np.sin(omega) * np.sin(w) * np.cos(i),
        np.sin(omega) * np.cos(w) + np.cos(omega) * np.sin(w) * np.cos(i),
        np.sin(w) * np.sin(i),
    ], axis=1)  # fmt: skip
    pole = np.stack([np.sin(omega) * np.sin(i), -np.cos(omega) * np.sin(i), np.cos(i)], axis=1)
    speed = np.sqrt(GM_SUN * (1.0 + e) / q)
    at_perihelion = np.hstack([_to_equator(q[:, None] * along), _to_equator(speed[:, None] * np.cross(pole, along))])
    return propagate(at_perihelion, since)


def _eccentricity_vectors(states: FloatArray) -> FloatArray:
    """(v x (r x v)) / mu - r / |r|, towards perihelion."""
    position, velocity = states[..., :3], states[..., 3:]
    away = position / np.linalg.norm(position, axis=-1, keepdims=True)
    found: FloatArray = np.cross(velocity, np.cross(position, velocity)) / GM_SUN - away
    return found


def _since_perihelion(position: FloatArray, velocity: FloatArray, q: FloatArray, e: FloatArray) -> FloatArray:
    r = np.linalg.norm(position, axis=1)
    alpha = 2.0 / r - np.sum(velocity**2, axis=1) / GM_SUN
    sigma = np.sum(position * velocity, axis=1) / _ROOT_MU
    root = np.sqrt(np.abs(alpha))
    with np.errstate(divide="ignore", invalid="ignore"):
        closed = np.arctan2(sigma * root, 1.0 - alpha * r) / root
        open_ = np.arcsinh(sigma * root / e) / root
    chi = np.where(root * r < 1e-6, sigma / e, np.where(alpha > 0.0, closed, open_))
    c3 = np.empty_like(chi)
    _third_stumpff(alpha * chi**2, c3)
    return np.asarray((q * chi + e * chi**3 * c3) / _ROOT_MU, np.float64)


_C, _S = math.cos(math.radians(OBLIQUITY)), math.sin(math.radians(OBLIQUITY))
_TO_ECLIPTIC = np.array([[1.0, 0.0, 0.0], [0.0, _C, _S], [0.0, -_S, _C]])


def _to_ecliptic(vectors: FloatArray) -> FloatArray:
    return np.asarray(vectors @ _TO_ECLIPTIC.T, np.float64)


def _to_equator(vectors: FloatArray) -> FloatArray:
    return np.asarray(vectors @ _TO_ECLIPTIC, np.float64)


@njit(cache=True, nogil=True)
def _stumpff(z: float) -> tuple[float, float]:
    """c2 = (1 - cos sqrt z) / z and c3 = (sqrt z - sin sqrt z) / sqrt z^3, by their series where these lose digits."""
    if z > 0.1:
        root = math.sqrt(z)
        return (1.0 - math.cos(root)) / z, (root - math.sin(root)) / (z * root)
    if z < -0.1:
        root = math.sqrt(-z)
        return (1.0 - math.cosh(root)) / z, (math.sinh(root) - root) / (-z * root)
    c2, c3, term2, term3 = 0.5, 1.0 / 6.0, 0.5, 1.0 / 6.0
    for n in range(1, 8):
        term2 *= -z / ((2 * n + 1) * (2 * n + 2))
        term3 *= -z / ((2 * n + 2) * (2 * n + 3))
        c2 += term2
        c3 += term3
    return c2, c3


@njit(cache=True, nogil=True)
def _first_chi(alpha: float, r: float, sigma: float, days: float) -> float:
    """Where to begin (Vallado 2013, algorithm 8); a hyperbola's guess by its asymptote where the way is long, so that no exponential overflows."""
    if alpha > 0.0:
        return _ROOT_MU * days * alpha
    near = _ROOT_MU * days / r
    if -alpha * near * near < 1.0:
        return near
    sign, a = math.copysign(1.0, days), 1.0 / alpha
    below = _ROOT_MU * sigma + sign * math.sqrt(-GM_SUN * a) * (1.0 - r * alpha)
    ratio = -2.0 * GM_SUN * alpha * days / below
    return sign * math.sqrt(-a) * math.log(ratio) if ratio > 1.0 else near


@njit(cache=True, nogil=True)
def _advance(state: FloatArray, days: float, out: FloatArray) -> None:
    r = math.sqrt(state[0] ** 2 + state[1] ** 2 + state[2] ** 2)
    sigma = (state[0] * state[3] + state[1] * state[4] + state[2] * state[5]) / _ROOT_MU
    alpha = 2.0 / r - (state[3] ** 2 + state[4] ** 2 + state[5] ** 2) / GM_SUN
    left = days
    if alpha > 0.0:
        period = 2.0 * math.pi / (_ROOT_MU * alpha * math.sqrt(alpha))
        left = days - period * round(days / period) if abs(days) > period else days
    chi = _first_chi(alpha, r, sigma, left)
    c2, c3, now = 0.0, 0.0, r
    for _ in range(60):
        z = alpha * chi * chi
        c2, c3 = _stumpff(z)
        off = r * chi + sigma * chi * chi * c2 + (1.0 - alpha * r) * chi**3 * c3 - _ROOT_MU * left
        slope = chi * chi * c2 + sigma * chi * (1.0 - z * c3) + r * (1.0 - z * c2)
        bend = sigma * (1.0 - z * c2) + (1.0 - alpha * r) * chi * (1.0 - z * c3)
        step = -5.0 * off / (slope + math.copysign(math.sqrt(abs(16.0 * slope * slope - 20.0 * off * bend)), slope))
        chi += step
        if not abs(step) > 1e-13 * (1.0 + abs(chi)):
            break
    z = alpha * chi * chi
    c2, c3 = _stumpff(z)
    f, g = 1.0 - chi * chi * c2 / r, left - chi**3 * c3 / _ROOT_MU
    for k in range(3):
        out[k] = f * state[k] + g * state[3 + k]
    now = math.sqrt(out[0] ** 2 + out[1] ** 2 + out[2] ** 2)
    df, dg = _ROOT_MU / (now * r) * chi * (z * c3 - 1.0), 1.0 - chi * chi * c2 / now
    for k in range(3):
        out[3 + k] = df * state[k] + dg * state[3 + k]


@njit(cache=True, nogil=True)
def _propagate_all(states: FloatArray, days: FloatArray, out: FloatArray) -> None:
    for n in range(len(states)):
        _advance(states[n], days[n], out[n])


@njit(cache=True, nogil=True)
def _directions(states: FloatArray, days: FloatArray, observers: FloatArray, out: FloatArray) -> None:
    moved = np.empty(6)
    for n in range(len(states)):
        _advance(states[n], days[n], moved)
        # Light left the body rho / c before; over these minutes its way is straight to 1e-8 of its distance, 0.002 arcsec.
        ago = 0.0
        for _ in range(3):
            rho = 0.0
            for k in range(3):
                rho += (moved[k] - ago * moved[3 + k] - observers[n, k]) ** 2
            ago = math.sqrt(rho) / LIGHT_SPEED
        norm = 0.0
        for k in range(3):
            out[n, k] = moved[k] - ago * moved[3 + k] - observers[n, k]
            norm += out[n, k] ** 2
        norm = math.sqrt(norm)
        for k in range(3):
            out[n, k] /= norm


@njit(cache=True, nogil=True)
def _third_stumpff(z: FloatArray, out: FloatArray) -> None:
    for n in range(len(z)):
        out[n] = _stumpff(z[n])[1]
