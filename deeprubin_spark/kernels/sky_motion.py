"""How detections move on the sky: rate and direction at their mean time, and whether one great circle at one rate holds them all.

Over minutes every orbit is a great circle at a steady rate; what leaves it are pairs put together wrongly. Over days the Earth's own motion bends the way
of near objects, so there the two tests tell how much there is to fit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_RAD_ARCSEC = 180.0 * 3600.0 / np.pi


class Motion(NamedTuple):
    """Of T groups of detections: mean time [MJD], unit vectors (T, 3) of the place at that time, rate [deg/d], its direction [deg, north over east],
    rms distance from the best great circle [arcsec], chi-square of one rate along it (both NaN below 3 detections); (T,) each.
    """

    mjd: FloatArray
    vectors: FloatArray
    rate: FloatArray
    position_angle: FloatArray
    great_circle_rms: FloatArray
    rate_chi2: FloatArray


def motion(offsets: IntArray, mjd: FloatArray, vectors: FloatArray, sigma: FloatArray) -> Motion:
    """Motion of each group of two detections or more.

    offsets : (T + 1,), group t is rows offsets[t]:offsets[t + 1] of      mjd (M,), vectors (M, 3), sigma (M,) [arcsec]

    The great circle's pole is the direction of least scatter, the eigenvector of sum x x^T to the least eigenvalue lambda: rms = sqrt(lambda / n).
    Along it, angle theta_i = theta_0 + rate t_i by weighted least squares;  chi^2 = sum (theta_i - fit)^2 / sigma_i^2 on n - 2 degrees of freedom.
    """
    begins, counts = offsets[:-1], np.diff(offsets)
    if len(begins) == 0:
        nothing = np.empty(0)
        return Motion(nothing, np.empty((0, 3)), nothing, nothing, nothing, nothing)
    group = np.repeat(np.arange(len(counts)), counts)
    mean_mjd = np.add.reduceat(mjd, begins) / counts
    scatter = np.add.reduceat(vectors[:, :, None] * vectors[:, None, :], begins)
    spread, axes = np.linalg.eigh(scatter)
    pole = axes[:, :, 0]
    towards = vectors[begins] - np.sum(vectors[begins] * pole, axis=1, keepdims=True) * pole
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    across = np.cross(pole, towards)
    theta = np.arctan2(np.sum(vectors * across[group], axis=1), np.sum(vectors * towards[group], axis=1))
    angle, speed, chi2 = _line(begins, theta, mjd - mean_mjd[group], _RAD_ARCSEC / sigma)
    place = np.cos(angle)[:, None] * towards + np.sin(angle)[:, None] * across
    heading = (np.cos(angle)[:, None] * across - np.sin(angle)[:, None] * towards) * np.sign(speed)[:, None]
    enough = counts >= 3
    rms = np.sqrt(np.maximum(spread[:, 0], 0.0) / counts) * _RAD_ARCSEC
    return Motion(
        mean_mjd,
        place,
        np.degrees(np.abs(speed)),
        _position_angle(place, heading),
        np.where(enough, rms, np.nan),
        np.where(enough, chi2, np.nan),
    )


def _line(begins: IntArray, values: FloatArray, times: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Weighted line through each group: value at time 0, slope, chi-square (T,)."""
    counts = np.diff(np.append(begins, len(values)))
    w = weight**2
    s, st, stt, sv, stv = (np.add.reduceat(w * part, begins) for part in (np.ones_like(w), times, times**2, values, times * values))
    slope = (s * stv - st * sv) / (s * stt - st**2)
    level = (sv - slope * st) / s
    left = values - np.repeat(level, counts) - np.repeat(slope, counts) * times
    return level, slope, np.add.reduceat(w * left**2, begins)


def _position_angle(place: FloatArray, heading: FloatArray) -> FloatArray:
    """Angle [deg] of a tangent vector from north to east."""
    level = np.hypot(place[:, 0], place[:, 1])
    east = np.stack([-place[:, 1], place[:, 0], np.zeros_like(level)], axis=1) / level[:, None]
    north = np.cross(place, east)
    return np.asarray(np.degrees(np.arctan2(np.sum(heading * east, axis=1), np.sum(heading * north, axis=1))) % 360.0, np.float64)
