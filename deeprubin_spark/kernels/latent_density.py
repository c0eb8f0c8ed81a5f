"""How near a point lies to the known classes in the space where they are best told apart.

Linear discriminants (Rao 1948, JRSS B 10, 159) of hidden values h of K classes: W the covariance within classes, B that of their means,

    z = V^T W^(-1/2) (h - m),     V the leading eigenvectors of W^(-1/2) B W^(-1/2), one fewer than classes

A class is a normal distribution there, its covariance drawn towards the one within all classes, which is the unit matrix in these coordinates:

    S_c = (n_c S_c' + n_0 I) / (n_c + n_0),     -ln p(z | c) = 1/2 ((z - m_c)^T S_c^-1 (z - m_c) + ln |S_c| + D ln 2 pi)

Directions in which classes do not differ say little of what belongs to none of them, and most of the noise: after the relative Mahalanobis distance of Ren et
al. 2021 (arXiv:2106.09022), in which they cancel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.integer]

PRIOR_OBJECTS = 20.0  # n_0
_RIDGE = 1e-3  # [1] of the mean variance within classes: hidden values that are all zero


@dataclass(frozen=True)
class Discriminants:
    """z = (h - centre) projection.   centre : (H,)      projection : (H, D)"""

    centre: FloatArray
    projection: FloatArray

    @classmethod
    def fit(cls, hidden: NDArray[np.floating], target: IntArray) -> Discriminants:
        """Of hidden (N, H) and classes (N,), any whole numbers. ValueError for fewer than two classes."""
        h, known = np.asarray(hidden, np.float64), np.unique(target)
        if len(known) < 2:
            raise ValueError(f"discriminants: two classes or more expected, found {len(known)}")
        place, centre = np.searchsorted(known, target), h.mean(axis=0)
        counts = np.bincount(place).astype(np.float64)
        means = np.stack([h[place == c].mean(axis=0) for c in range(len(known))])
        apart = h - means[place]
        within = apart.T @ apart / len(h)
        values, vectors = np.linalg.eigh(within + _RIDGE * np.trace(within) / len(within) * np.eye(len(within)))
        whitening = vectors / np.sqrt(values)
        between = np.sqrt(counts / counts.sum())[:, None] * ((means - centre) @ whitening)
        directions = np.linalg.svd(between, full_matrices=False)[2][: min(len(known) - 1, h.shape[1])]
        return cls(centre, whitening @ directions.T)

    def __call__(self, hidden: NDArray[np.floating]) -> FloatArray:
        """(B, H) to (B, D)."""
        return np.asarray((hidden - self.centre) @ self.projection, np.float64)


@dataclass(frozen=True)
class ClassDensities:
    """Normal distributions of K classes in D dimensions.   means : (K, D)      factors : (K, D, D), S_c^-1 = factor factor^T      offsets : (K,) ln |S_c|"""

    means: FloatArray
    factors: FloatArray
    offsets: FloatArray

    @classmethod
    def fit(cls, z: FloatArray, target: IntArray) -> ClassDensities:
        """Of coordinates (N, D) and classes (N,); the K classes are those in `target`, in ascending order."""
        unit, known = np.eye(z.shape[1]), np.unique(target)
        means, factors, offsets = [], [], []
        for c in known:
            of_class = z[target == c]
            mean = of_class.mean(axis=0)
            spread = (of_class - mean).T @ (of_class - mean)
            covariance = (spread + PRIOR_OBJECTS * unit) / (len(of_class) + PRIOR_OBJECTS)
            means.append(mean)
            factors.append(np.linalg.cholesky(np.linalg.inv(covariance)))
            offsets.append(np.linalg.slogdet(covariance)[1])
        return cls(np.stack(means), np.stack(factors), np.array(offsets))

    def surprise(self, z: FloatArray) -> FloatArray:
        """-ln p(z | c) [nat] of each class: (B, D) to (B, K)."""
        constant = z.shape[1] * np.log(2.0 * np.pi)
        made = np.empty((len(z), len(self.means)))
        for c, (mean, factor, offset) in enumerate(zip(self.means, self.factors, self.offsets, strict=True)):
            made[:, c] = 0.5 * ((((z - mean) @ factor) ** 2).sum(axis=1) + offset + constant)
        return made
