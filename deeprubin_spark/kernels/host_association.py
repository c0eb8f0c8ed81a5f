"""Which galaxy of a catalogue an event belongs to, and how likely it lies so near to one by chance.

For one galaxy, theta away and D far,

    q = 1 - exp(-pi theta^2 n(<= D) / 4 pi),   n(<= D) galaxies of the catalogue in the whole sky that are as near as this one or nearer

(Bloom, Kulkarni & Djorgovski 2002, arXiv:astro-ph/0010176, equation 1, with distances in place of magnitudes). The smallest q of all galaxies is looked
for, so it is small more often than it says; how often is known from places drawn at random, clusters and all: the chance that is told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.kernels.separations import half_angle_squared_sine, unit_vectors

FloatArray = NDArray[np.float64]

GREATEST_OFFSET = 50.0  # [kpc] an event farther from a galaxy than this is not taken for one of its own
GREATEST_CHANCE = 0.1  # [1] above it there is no host
_NEAR = 3.0  # [Mpc] nearer galaxies are looked at one by one: 50 kpc is more than a degree there
_FIELD = float(np.degrees(GREATEST_OFFSET / 1e3 / _NEAR))  # [deg] around an event that holds every farther galaxy it may belong to
_CHUNK = 20_000  # places at a time
_MOST = 32  # nearest galaxies looked at in that field; in the middle of Virgo there are more, but farther ones are never the likelier host


@dataclass(frozen=True)
class Galaxies:
    """G galaxies, arrays (G,), by distance; ValueError where the distances do not ascend.

    ra, dec : [deg]      luminosity_distance, angular_distance : [Mpc]
    """

    name: NDArray[Any]
    ra: FloatArray
    dec: FloatArray
    luminosity_distance: FloatArray
    angular_distance: FloatArray
    tree: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        from scipy.spatial import cKDTree

        if np.any(np.diff(self.luminosity_distance) < 0.0):
            raise ValueError("galaxies: ascending luminosity distances expected")
        object.__setattr__(self, "tree", cKDTree(unit_vectors(self.ra, self.dec)))


@dataclass(frozen=True)
class Hosts:
    """The likeliest host of N events, arrays (N,).

    galaxy : its row, -1 where there is none      probability : 1 - chance [1], NaN without host      offset : from its centre, projected [kpc]
    """

    galaxy: NDArray[np.int64]
    probability: FloatArray
    offset: FloatArray


@dataclass(frozen=True)
class Coincidences:
    """Share (Q,) [1] of random places whose smallest q is at most `q` (Q,) [1]; both ascend."""

    q: FloatArray
    share: FloatArray

    def chance(self, q: FloatArray) -> FloatArray:
        """Share of random places with a smallest q of at most this: between those that are known as a power law, below them in proportion to q."""
        with np.errstate(divide="ignore"):
            within = np.exp(np.interp(np.log(q), np.log(self.q), np.log(self.share)))
        return np.asarray(np.where(q < self.q[0], q * self.share[0] / self.q[0], within), np.float64)


def hosts_of(ra: FloatArray, dec: FloatArray, galaxies: Galaxies, coincidences: Coincidences) -> Hosts:
    """The galaxy within 50 kpc of each event at ra, dec (N,) [deg] whose q is the smallest, where the chance of that is at most 0.1."""
    galaxy, q, offset = smallest_q(ra, dec, galaxies)
    chance = coincidences.chance(q)
    is_host = (galaxy >= 0) & (chance <= GREATEST_CHANCE)
    return Hosts(np.where(is_host, galaxy, -1), np.where(is_host, 1.0 - chance, np.nan), np.where(is_host, offset, np.nan))


def coincidences_of(galaxies: Galaxies, n_places: int, seed: int) -> Coincidences:
    """The smallest q at `n_places` drawn at random from the whole sky, four times a decade from the hundredth smallest on."""
    generator = np.random.default_rng(seed)
    ra, dec = generator.uniform(0.0, 360.0, n_places), np.degrees(np.arcsin(generator.uniform(-1.0, 1.0, n_places)))
    found = np.concatenate([smallest_q(ra[i : i + _CHUNK], dec[i : i + _CHUNK], galaxies)[1] for i in range(0, n_places, _CHUNK)])
    known = np.sort(found[np.isfinite(found)])
    levels = np.append(np.geomspace(known[99], known[-1], 4 * int(np.log10(known[-1] / known[99])) + 1)[:-1], known[-1])
    return Coincidences(levels, np.searchsorted(known, levels, side="right") / n_places)


def smallest_q(ra: FloatArray, dec: FloatArray, galaxies: Galaxies) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """Row of the galaxy within 50 kpc whose q is the smallest, that q, and the offset [kpc], each (N,); -1, infinity and NaN where there is none."""
    event, galaxy = _pairs(ra, dec, galaxies)
    theta = 2.0 * np.arcsin(np.sqrt(half_angle_squared_sine(ra[event], dec[event], galaxies.ra[galaxy], galaxies.dec[galaxy])))
    offset = theta * galaxies.angular_distance[galaxy] * 1e3
    q = -np.expm1(-0.25 * theta**2 * (galaxy + 1.0))
    order = np.lexsort((q, event))
    order = order[offset[order] <= GREATEST_OFFSET]
    found, first = np.unique(event[order], return_index=True)
    best = order[first]
    of_event, smallest, kiloparsec = np.full(len(ra), -1), np.full(len(ra), np.inf), np.full(len(ra), np.nan)
    of_event[found], smallest[found], kiloparsec[found] = galaxy[best], q[best], offset[best]
    return of_event, smallest, kiloparsec


def _pairs(ra: FloatArray, dec: FloatArray, galaxies: Galaxies) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of events and of galaxies (P,) that may belong together; events without a place have none."""
    placed = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    n_near = int(np.searchsorted(galaxies.angular_distance, _NEAR))
    k = min(_MOST, len(galaxies.ra))
    chord = 2.0 * np.sin(0.5 * np.radians(_FIELD))
    _, nearest = galaxies.tree.query(unit_vectors(ra[placed], dec[placed]), k=list(range(1, k + 1)), distance_upper_bound=chord)
    row, column = np.nonzero(nearest < len(galaxies.ra))
    event = np.concatenate([placed[row], np.repeat(placed, n_near)])
    galaxy = np.concatenate([nearest[row, column], np.tile(np.arange(n_near), len(placed))])
    return event.astype(np.int64), galaxy.astype(np.int64)
