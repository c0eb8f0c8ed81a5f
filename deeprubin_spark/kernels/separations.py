"""Angles between directions on the sky, and distances between points in space whose distances from the Sun are known."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def half_angle_squared_sine(ra: ArrayLike, dec: ArrayLike, other_ra: ArrayLike, other_dec: ArrayLike) -> FloatArray:
    """H = sin^2(theta / 2), theta the angle between two directions; exact for small angles, where 1 - cos(theta) = 2 h loses its digits.

    h = sin^2((dec - dec') / 2) + cos(dec) cos(dec') sin^2((ra - ra') / 2)        (haversine; Sinnott 1984, Sky and Telescope 68, 158)

    All [deg], broadcast together. Returns [1] in [0, 1]; NaN in, NaN out.
    """
    first, second = np.radians(np.asarray(dec, np.float64)), np.radians(np.asarray(other_dec, np.float64))
    across = np.radians(np.asarray(ra, np.float64) - np.asarray(other_ra, np.float64))
    h = np.sin(0.5 * (first - second)) ** 2 + np.cos(first) * np.cos(second) * np.sin(0.5 * across) ** 2
    clipped: FloatArray = np.minimum(h, 1.0)
    return clipped


def separation(distance: ArrayLike, other_distance: ArrayLike, h: ArrayLike) -> FloatArray:
    """How far two points are from each other that lie `distance` d and `other_distance` D from the Sun, theta apart, h = sin^2(theta / 2).

    s^2 = (D - d)^2 + 4 d D h        (the law of cosines, without the difference of two large squares)

    Any unit of length, the result's too; broadcast together.
    """
    d, far = np.asarray(distance, np.float64), np.asarray(other_distance, np.float64)
    return np.asarray(np.hypot(far - d, 2.0 * np.sqrt(d * far * np.asarray(h, np.float64))), np.float64)


def unit_vectors(ra: ArrayLike, dec: ArrayLike) -> FloatArray:
    """Directions as points of the unit sphere.  ra, dec : (N,) [deg]. Returns (N, 3): x to ra 0, dec 0; z to the pole."""
    longitude, latitude = np.radians(np.asarray(ra, np.float64)), np.radians(np.asarray(dec, np.float64))
    return np.stack([np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=-1)


def pairs_within(
    ra: ArrayLike, dec: ArrayLike, other_ra: ArrayLike, other_dec: ArrayLike, radius: float
) -> tuple[IntArray, IntArray, FloatArray]:
    """All pairs of a place and another one that are at most `radius` [arcsec] apart, by place, then by the other.

    ra, dec : (N,) [deg]      other_ra, other_dec : (M,) [deg]; places that are not finite have no pair
    Returns rows of the first (P,), of the others (P,), and separations [arcsec] (P,). Chords of the unit sphere are compared, c = 2 sin(theta / 2).
    """
    from scipy.spatial import cKDTree

    first, other = unit_vectors(ra, dec).reshape(-1, 3), unit_vectors(other_ra, other_dec).reshape(-1, 3)
    at, to = (np.flatnonzero(np.isfinite(vectors).all(axis=1)) for vectors in (first, other))
    chord = 2.0 * np.sin(0.5 * np.radians(radius / 3600.0))
    found = cKDTree(first[at]).sparse_distance_matrix(cKDTree(other[to]), chord, output_type="ndarray")
    rows, others = at[found["i"]], to[found["j"]]
    order = np.lexsort((others, rows))
    apart = np.degrees(2.0 * np.arcsin(0.5 * found["v"][order])) * 3600.0
    return rows[order].astype(np.int64), others[order].astype(np.int64), np.asarray(apart, np.float64)
