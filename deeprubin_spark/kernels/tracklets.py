"""Detections of one night that move: pairs with a sensible rate, and lines of three or more, before anything is known of an orbit.

Two detections of different exposures are a pair where 0.02 deg/d <= rate <= 5 deg/d (Fink-FAT, Le Montagner et al. 2023, and the HelioLinC family
take like limits), no more than MAX_DAYS apart, of magnitudes that agree. Slower is not told from a star's centroid, faster is a streak in an exposure.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.spatial import cKDTree

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MIN_RATE, MAX_RATE = 0.02, 5.0  # [deg/d]
MIN_DAYS, MAX_DAYS = 2.0 / 1440.0, 90.0 / 1440.0  # ZTF takes a field in g and r within an hour or so; closer in time a rate says little
SAME_BAND_MAG, OTHER_BAND_MAG = 0.2, 0.8  # [mag] Fink-FAT; three errors of measurement are added
LINE_TOLERANCE = 1.5  # [arcsec] off the straight line between the first and the last
ARCSEC = np.pi / 180.0 / 3600.0
_SEEING_SIGMA, _FLOOR = 2.0 / 2.355, 0.1  # [arcsec] of a ZTF image, and what is left of the reference catalogue


class Tracklets(NamedTuple):
    """T tracklets: tracklet t has detections members[offsets[t]:offsets[t + 1]], in time order. offsets (T + 1,) int64, members (M,) int64."""

    offsets: IntArray
    members: IntArray


class Detections(NamedTuple):
    """Detections of one night, (N,) each: time [MJD], unit vectors (N, 3), magnitude, its error [mag], band code."""

    mjd: FloatArray
    vectors: FloatArray
    mag: FloatArray
    mag_err: FloatArray
    band: NDArray[np.int8]


def astrometric_error(mag_err: FloatArray) -> FloatArray:
    """Error of a ZTF position on one axis [arcsec]: sqrt(0.1^2 + (seeing sigma / signal-to-noise)^2).  (N,) [mag] to (N,); NaN in, NaN out."""
    return np.asarray(np.hypot(_FLOOR, _SEEING_SIGMA * np.asarray(mag_err, np.float64) * np.log(10.0) / 2.5), np.float64)


def pairs(detections: Detections) -> IntArray:
    """All pairs (P, 2) int64 of detections that one moving object could have made, the earlier first, sorted."""
    mjd, vectors = detections.mjd, detections.vectors
    if len(mjd) < 2:
        return np.empty((0, 2), np.int64)
    reach = 2.0 * np.sin(0.5 * np.radians(MAX_RATE * min(MAX_DAYS, float(np.ptp(mjd)))))
    found = np.asarray(cKDTree(vectors).query_pairs(reach, output_type="ndarray"), np.int64).reshape(-1, 2)
    swapped = mjd[found[:, 0]] > mjd[found[:, 1]]
    first, second = np.where(swapped, found[:, 1], found[:, 0]), np.where(swapped, found[:, 0], found[:, 1])
    days = mjd[second] - mjd[first]
    is_soon = (days >= MIN_DAYS) & (days <= MAX_DAYS)
    first, second, days = first[is_soon], second[is_soon], days[is_soon]
    apart = np.degrees(2.0 * np.arcsin(0.5 * np.linalg.norm(vectors[first] - vectors[second], axis=1)))
    kept = (apart >= MIN_RATE * days) & (apart <= MAX_RATE * days) & _agree_in_magnitude(detections, first, second)
    made = np.stack([first[kept], second[kept]], axis=1)
    return made[np.lexsort((made[:, 1], made[:, 0]))]


def find(detections: Detections) -> Tracklets:
    """Lines of three or more detections, and the pairs that are in no such line.

    A detection may be in several: which one is true, only other nights tell.
    """
    order = np.argsort(detections.mjd, kind="stable")
    mjd, vectors, mag, mag_err = (np.ascontiguousarray(part[order], np.float64) for part in detections[:4])
    in_time = Detections(mjd, vectors, mag, mag_err, detections.band[order])
    found = pairs(in_time)
    begins = np.searchsorted(found[:, 0], np.arange(len(order) + 1))
    offsets, members = _lines(in_time.mjd, in_time.vectors, begins, np.ascontiguousarray(found[:, 1]), LINE_TOLERANCE * ARCSEC)
    return Tracklets(offsets, order[members])


def _agree_in_magnitude(detections: Detections, first: IntArray, second: IntArray) -> NDArray[np.bool_]:
    """Unknown magnitudes agree with all."""
    limit = np.where(detections.band[first] == detections.band[second], SAME_BAND_MAG, OTHER_BAND_MAG)
    errors = np.hypot(detections.mag_err[first], detections.mag_err[second])
    difference = np.abs(detections.mag[first] - detections.mag[second])
    return ~(difference > limit + 3.0 * np.nan_to_num(errors))


@njit(cache=True, nogil=True)
def _off_line(mjd: FloatArray, vectors: FloatArray, i: int, j: int, k: int) -> float:
    """Distance [rad] of k from where a steady motion from i to j is at its time; the chord is as good as the arc to 1e-6 of it."""
    share = (mjd[k] - mjd[i]) / (mjd[j] - mjd[i])
    norm, off = 0.0, 0.0
    for axis in range(3):
        norm += (vectors[i, axis] + share * (vectors[j, axis] - vectors[i, axis])) ** 2
    norm = math.sqrt(norm)
    for axis in range(3):
        off += ((vectors[i, axis] + share * (vectors[j, axis] - vectors[i, axis])) / norm - vectors[k, axis]) ** 2
    return math.sqrt(off)


@njit(cache=True, nogil=True)
def _lines(mjd: FloatArray, vectors: FloatArray, begins: IntArray, later: IntArray, tolerance: float) -> tuple[IntArray, IntArray]:
    """From each detection, in order of time, to each later partner, the last first; pairs within a line that was found are not begun again.

    later : (P,) partners of detection i from begins[i] to begins[i + 1], ascending
    """
    is_covered = np.zeros(len(later), np.bool_)
    offsets, members = np.zeros(len(later) + 1, np.int64), np.empty(4 * len(later) + 64, np.int64)
    n_lines, n_members = 0, 0
    line = np.empty(len(mjd) + 1, np.int64)
    for i in range(len(mjd)):
        for p in range(begins[i + 1] - 1, begins[i] - 1, -1):
            if is_covered[p]:
                continue
            j, n = later[p], 1
            line[0] = i
            for q in range(begins[i], begins[i + 1]):
                k = later[q]
                if mjd[k] >= mjd[j]:
                    continue
                off = _off_line(mjd, vectors, i, j, k)
                if off > tolerance:
                    continue
                if n > 1 and mjd[line[n - 1]] == mjd[k]:  # of one exposure only the nearer
                    if off < _off_line(mjd, vectors, i, j, line[n - 1]):
                        line[n - 1] = k
                    continue
                line[n] = k
                n += 1
            line[n] = j
            n += 1
            if n > 2:
                for a in range(n - 1):
                    for q in range(begins[line[a]], begins[line[a] + 1]):
                        for b in range(a + 1, n):
                            if later[q] == line[b]:
                                is_covered[q] = True
            if n_members + n > len(members):
                longer = np.empty(2 * len(members) + n, np.int64)
                longer[:n_members] = members[:n_members]
                members = longer
            members[n_members : n_members + n] = line[:n]
            n_members += n
            n_lines += 1
            offsets[n_lines] = n_members
    return offsets[: n_lines + 1].copy(), members[:n_members].copy()
