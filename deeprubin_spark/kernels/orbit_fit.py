"""Orbits by least squares: a first orbit of Vaisala's kind, and its differential correction.

An orbit is carried by what the sky shows of it (Bernstein & Khushalani 2000, AJ 120, 3323): about a fixed origin, the mean place of the observers, with
axes x, y across and z along the line of sight at the epoch,

    theta = (x / z, y / z, x' / z, y' / z, 1 / z, z' / z):

positions on the sky are nearly linear in these six, so Gauss and Newton's steps reach far, where in plain coordinates the valley of good orbits is bent.
Residuals are (prediction - observation) along right ascension and declination over their error, light time corrected; partial derivatives are differences.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.kernels.two_body import GM_SUN, directions

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

ARCSEC = np.pi / 180.0 / 3600.0
_STEPS = np.array([1e-7, 1e-7, 1e-8, 1e-8, 1e-6, 1e-7])  # of the differences; the one of 1 / z is relative
# [au] from the observer, eight in each range of distances
_VAISALA_DISTANCES = np.concatenate([np.geomspace(*ends, 8) for ends in ((0.05, 0.5), (0.6, 2.0), (2.3, 40.0))])
_ROUNDS, _SETTLED = 60, 1e-3
_ACROSS, _ALL = (0, 1, 2, 3), (0, 1, 2, 3, 4, 5)


class Arcs(NamedTuple):
    """Observations of K bodies: body k has rows offsets[k]:offsets[k + 1] of times (M,) [MJD], unit vectors (M, 3), heliocentric places of the
    observer (M, 3) [au] and errors on one axis (M,) [arcsec]. Three rows a body or more.
    """

    offsets: IntArray
    mjd: FloatArray
    vectors: FloatArray
    observers: FloatArray
    sigma: FloatArray

    @property
    def group(self) -> IntArray:
        """Body of each row (M,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def rows(self, chosen: NDArray[np.bool_]) -> Arcs:
        """Only the chosen rows (M,); every body stays."""
        offsets = np.concatenate(([0], np.cumsum(chosen)))[self.offsets]
        return Arcs(offsets, self.mjd[chosen], self.vectors[chosen], self.observers[chosen], self.sigma[chosen])

    def take(self, bodies: IntArray) -> Arcs:
        """The bodies, in this order; one may be taken many times."""
        counts = np.diff(self.offsets)[bodies]
        offsets = np.concatenate(([0], np.cumsum(counts)))
        rows = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - self.offsets[bodies], counts)
        return Arcs(offsets, self.mjd[rows], self.vectors[rows], self.observers[rows], self.sigma[rows])


class Frame(NamedTuple):
    """What theta is counted from: epochs (K,) [MJD], origins (K, 3) [au], axes (K, 3, 3), rows x, y, z."""

    epoch: FloatArray
    origin: FloatArray
    axes: FloatArray

    def take(self, bodies: IntArray) -> Frame:
        """The frames of these bodies."""
        return Frame(self.epoch[bodies], self.origin[bodies], self.axes[bodies])


class Fit(NamedTuple):
    """Of K bodies: theta (K, 6), its frame, covariance (K, 6, 6), chi-square (K,), rms residual on the sky [arcsec] (K,), whether it settled (K,)."""

    theta: FloatArray
    frame: Frame
    covariance: FloatArray
    chi2: FloatArray
    rms: FloatArray
    converged: NDArray[np.bool_]

    @property
    def states(self) -> FloatArray:
        """Heliocentric states at the frame's epochs (K, 6)."""
        return states_of(self.theta, self.frame)


def states_of(theta: FloatArray, frame: Frame) -> FloatArray:
    """Theta (K, 6) to heliocentric states (K, 6) at the frame's epochs."""
    z = 1.0 / theta[:, 4:5]
    along = np.hstack([theta[:, :2], np.ones_like(z)])
    rates = np.hstack([theta[:, 2:4], theta[:, 5:6]])
    position = frame.origin + z * np.einsum("ki,kij->kj", along, frame.axes)
    return np.asarray(np.hstack([position, z * np.einsum("ki,kij->kj", rates, frame.axes)]), np.float64)


def theta_of(states: FloatArray, arcs: Arcs, epoch: FloatArray) -> tuple[FloatArray, Frame]:
    """States (K, 6) at their epochs as theta (K, 6), in frames that look at them."""
    begins = arcs.offsets[:-1]
    origin = np.add.reduceat(arcs.observers, begins) / np.diff(arcs.offsets)[:, None]
    away = states[:, :3] - origin
    distance = np.linalg.norm(away, axis=1)
    frame = Frame(epoch, origin, _axes(away / distance[:, None]))
    rates = np.einsum("kij,kj->ki", frame.axes, states[:, 3:]) / distance[:, None]
    nothing = np.zeros_like(distance)
    return np.stack([nothing, nothing, rates[:, 0], rates[:, 1], 1.0 / distance, rates[:, 2]], axis=1), frame


def fit(arcs: Arcs, epoch: FloatArray, first: FloatArray | None = None) -> Fit:
    """Differential correction of first orbits (K, 6), states at `epoch` (K,) [MJD].

    Of none given, three of Vaisala's kind are tried, one near, one far and one between: away from opposition two orbits may look alike for days, and a
    fit that began at the wrong one stays there. Levenberg and Marquardt's damping; a body that has not settled after 60 rounds has `converged` false.
    """
    if first is None:
        found = [_corrected(arcs, epoch, start) for start in first_orbits(arcs, epoch)]
        best = np.argmin([one.chi2 for one in found], axis=0)
        return _chosen(found, best)
    return _corrected(arcs, epoch, first)


def _chosen(found: list[Fit], best: IntArray) -> Fit:
    """Of body k that of fit best[k]."""
    bodies = np.arange(len(best))
    frame = Frame(*(np.stack(parts)[best, bodies] for parts in zip(*(one.frame for one in found), strict=True)))
    theta, covariance, chi2, rms = (
        np.stack([getattr(one, name) for one in found])[best, bodies] for name in ("theta", "covariance", "chi2", "rms")
    )
    return Fit(theta, frame, covariance, chi2, rms, np.stack([one.converged for one in found])[best, bodies])


def _corrected(arcs: Arcs, epoch: FloatArray, first: FloatArray) -> Fit:
    theta, frame = theta_of(first, arcs, epoch)
    n_bodies = len(theta)
    chi2 = _chi2(residuals(theta, frame, arcs), arcs)
    damping, converged = np.full(n_bodies, 1e-3), np.zeros(n_bodies, bool)
    active = np.arange(n_bodies)
    for _ in range(_ROUNDS):
        if len(active) == 0:
            break
        part, where = arcs.take(active), frame.take(active)
        normal, gradient, scale = _normal_equations(theta[active], where, part)
        step = np.linalg.solve(normal + damping[active, None, None] * np.eye(6), -gradient[:, :, None])[:, :, 0]
        tried = _moved(theta[active], step * scale)
        found = _chi2(residuals(tried, where, part), part)
        better = found <= chi2[active]
        gained = chi2[active] - found
        theta[active[better]], chi2[active[better]] = tried[better], found[better]
        damping[active] *= np.where(better, 0.1, 10.0)
        settled = (better & (gained < _SETTLED) & (damping[active] < 1e-2)) | (damping[active] > 1e10)
        converged[active[settled]] = True
        active = active[~settled]
        damping = np.maximum(damping, 1e-12)
    normal, _, scale = _normal_equations(theta, frame, arcs)
    covariance = np.linalg.inv(normal) * scale[:, :, None] * scale[:, None, :]
    off = np.sum((residuals(theta, frame, arcs) * arcs.sigma[:, None]) ** 2, axis=1)
    rms = np.sqrt(np.add.reduceat(off, arcs.offsets[:-1]) / np.diff(arcs.offsets))
    return Fit(theta, frame, covariance, chi2, rms, converged & np.isfinite(chi2))


def first_orbits(arcs: Arcs, epoch: FloatArray) -> list[FloatArray]:
    """Of distances below 0.5, to 2 and beyond [au] the one each that fits best, the body moving across the line to the Sun (Vaisala 1939).

    Returns three times states (K, 6) at the epochs.

    At each distance the four numbers across the line of sight follow by linear steps; a body at perihelion or aphelion has z' from r . v = 0.
    """
    n_bodies = len(epoch)
    begins = arcs.offsets[:-1]
    towards = np.add.reduceat(arcs.vectors, begins)
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    origin = np.add.reduceat(arcs.observers, begins) / np.diff(arcs.offsets)[:, None]
    which = np.repeat(np.arange(n_bodies), len(_VAISALA_DISTANCES))
    frame = Frame(epoch, origin, _axes(towards)).take(which)
    many = arcs.take(which)
    theta = np.zeros((len(which), 6))
    theta[:, 4] = 1.0 / np.tile(_VAISALA_DISTANCES, n_bodies)
    for _ in range(3):
        theta[:, 5] = _rate_without_radial_motion(theta, frame)
        theta = across_line_of_sight(theta, frame, many, 1)[0]
    theta[:, 5] = _rate_without_radial_motion(theta, frame)
    theta, chi2, _ = across_line_of_sight(theta, frame, many, 1)
    chi2 = np.where(np.isfinite(chi2), chi2, np.inf).reshape(n_bodies, -1)
    starts = []
    for part in np.split(np.arange(len(_VAISALA_DISTANCES)), 3):
        chosen = np.arange(n_bodies) * len(_VAISALA_DISTANCES) + part[np.argmin(chi2[:, part], axis=1)]
        starts.append(states_of(theta[chosen], frame.take(chosen)))
    return starts


def across_line_of_sight(theta: FloatArray, frame: Frame, arcs: Arcs, rounds: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Gauss and Newton's steps in the first four numbers, distance and its rate held.

    Returns theta (K, 6), chi-square (K,), and ln det of the normal matrix of the four (K,), which says how little room they are left.
    """
    theta, normal, scale = _solved(theta, frame, arcs, _ACROSS, rounds)
    log_det = np.linalg.slogdet(normal)[1] - 2.0 * np.sum(np.log(scale), axis=1)
    return theta, _chi2(residuals(theta, frame, arcs), arcs), log_det


def at_distance(theta: FloatArray, frame: Frame, arcs: Arcs, fastest: float, rounds: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Gauss and Newton's steps in all numbers but the distance; the speed along the line of sight is taken for 0 with an error of `fastest` [au/d]
    before anything is seen, and kept below that.

    Returns theta (K, 6), chi-square (K,) of the observations alone, and the error of that speed (K,) [au/d].
    """
    theta, _, _ = _solved(theta, frame, arcs, _ACROSS, 2)
    allowed = fastest * theta[:, 4]
    for _ in range(rounds):
        normal, gradient, scale = _normal_equations(theta, frame, arcs, (*_ACROSS, 5))
        normal[:, 4, 4] += (scale[:, 4] / allowed) ** 2
        gradient[:, 4] += theta[:, 5] * scale[:, 4] / allowed**2
        theta[:, (*_ACROSS, 5)] += np.linalg.solve(normal, -gradient[:, :, None])[:, :, 0] * scale
        theta[:, 5] = np.clip(theta[:, 5], -allowed, allowed)
    variance = np.linalg.inv(normal)[:, 4, 4] * scale[:, 4] ** 2
    return theta, _chi2(residuals(theta, frame, arcs), arcs), np.sqrt(np.maximum(variance, 0.0)) / theta[:, 4]


def _solved(theta: FloatArray, frame: Frame, arcs: Arcs, free: tuple[int, ...], rounds: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Theta after undamped steps in the numbers that are free, and the last normal matrix (K, F, F) with its units (K, F)."""
    theta = theta.copy()
    for _ in range(rounds):
        normal, gradient, scale = _normal_equations(theta, frame, arcs, free)
        theta[:, free] += np.linalg.solve(normal, -gradient[:, :, None])[:, :, 0] * scale
    return theta, normal, scale


def residuals(theta: FloatArray, frame: Frame, arcs: Arcs) -> FloatArray:
    """(prediction - observation) / sigma along right ascension and declination: (M, 2)."""
    group = arcs.group
    predicted = directions(states_of(theta, frame)[group], arcs.mjd - frame.epoch[group], arcs.observers)
    off = (predicted - arcs.vectors) / (arcs.sigma * ARCSEC)[:, None]
    x, y, z = arcs.vectors.T
    level = np.hypot(x, y)
    east = (-y * off[:, 0] + x * off[:, 1]) / level
    north = level * off[:, 2] - z * (x * off[:, 0] + y * off[:, 1]) / level
    return np.stack([east, north], axis=1)


def _chi2(off: FloatArray, arcs: Arcs) -> FloatArray:
    """Chi-square of each body; infinite where an orbit cannot be computed."""
    summed = np.add.reduceat(np.sum(off**2, axis=1), arcs.offsets[:-1])
    return np.where(np.isfinite(summed), summed, np.inf)


def _normal_equations(
    theta: FloatArray, frame: Frame, arcs: Arcs, free: tuple[int, ...] = _ALL
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Normal matrix (K, F, F) and gradient (K, F) of the numbers that are free, in units `scale` (K, F) in which its diagonal is 1."""
    n_bodies, group, n = len(theta), arcs.group, len(free)
    steps = np.tile(_STEPS[list(free)], (n_bodies, 1))
    moved = np.repeat(theta[None], n + 1, axis=0)
    for i, column in enumerate(free):
        if column == 4:
            steps[:, i] *= theta[:, 4]
        moved[i + 1, :, column] += steps[:, i]
    every = arcs.take(np.tile(np.arange(n_bodies), n + 1))
    whole = Frame(*(np.concatenate([part] * (n + 1)) for part in frame))
    off = residuals(moved.reshape(-1, 6), whole, every).reshape(n + 1, -1, 2)
    slopes = (off[1:] - off[0]) / steps.T[:, group, None]
    begins = arcs.offsets[:-1]
    normal = np.add.reduceat(np.einsum("imc,jmc->mij", slopes, slopes), begins)
    gradient = np.add.reduceat(np.einsum("imc,mc->mi", slopes, off[0]), begins)
    scale = 1.0 / np.sqrt(np.maximum(np.einsum("kii->ki", normal), 1e-300))
    normal = normal * scale[:, :, None] * scale[:, None, :] + 1e-13 * np.eye(n)
    bad = ~np.isfinite(normal).all(axis=(1, 2)) | ~np.isfinite(gradient).all(axis=1)
    normal[bad], gradient[bad] = np.eye(n), 0.0
    return normal, gradient * scale, scale


def _moved(theta: FloatArray, step: FloatArray) -> FloatArray:
    """One step on; the distance changes by no more than a factor of 3."""
    tried = theta + step
    tried[:, 4] = np.clip(tried[:, 4], theta[:, 4] / 3.0, theta[:, 4] * 3.0)
    return tried


def _rate_without_radial_motion(theta: FloatArray, frame: Frame) -> FloatArray:
    """The z' / z for which r . v = 0, at no more than the speed of escape."""
    still = theta.copy()
    still[:, 5] = 0.0
    states = states_of(still, frame)
    position, velocity = states[:, :3], states[:, 3:]
    along = np.sum(position * frame.axes[:, 2], axis=1)
    speed = -np.sum(position * velocity, axis=1) / np.where(np.abs(along) > 1e-3, along, np.copysign(1e-3, along))
    escape = np.sqrt(2.0 * GM_SUN / np.linalg.norm(position, axis=1))
    return np.asarray(np.clip(speed, -escape, escape) * theta[:, 4], np.float64)


def _axes(towards: FloatArray) -> FloatArray:
    """Rows x, y, z of right-handed axes with z along unit vectors (K, 3): (K, 3, 3)."""
    x = np.stack([-towards[:, 1], towards[:, 0], np.zeros(len(towards))], axis=1)
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return np.stack([x, np.cross(towards, x), towards], axis=1)
