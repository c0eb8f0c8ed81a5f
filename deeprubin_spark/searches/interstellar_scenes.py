"""Made-up bodies at real exposures of ZTF, among real detections: what the search for interstellar objects is judged on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deeprubin_spark.errors import NoInputError
from deeprubin_spark.kernels.earth_position import observer_positions
from deeprubin_spark.kernels.separations import unit_vectors
from deeprubin_spark.kernels.tracklets import ARCSEC, MAX_DAYS, MIN_DAYS
from deeprubin_spark.kernels.two_body import GM_SUN, KM_S, Elements, directions, propagate, states_of

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_FIELD = np.radians(3.4)  # half a side of ZTF's field of 7 deg
_NOISE = (0.1, 0.3)  # [arcsec] on each axis
_BATCH = 40_000
# Perihelion distance [au], eccentricity, inclination [deg] of the three known ones (JPL Small-Body Database, rounded).
KNOWN = {"1I-like": (0.256, 1.201, 122.7), "2I-like": (2.007, 3.357, 44.1), "3I-like": (1.356, 6.139, 175.1)}


class Exposures(NamedTuple):
    """E real exposures of a window of nights: time [MJD], band code, centre (E, 3), observer (E, 3), night; and the window's middle [MJD]."""

    mjd: FloatArray
    band: NDArray[np.int8]
    centre: FloatArray
    observer: FloatArray
    night: IntArray
    middle: float


class Scene(NamedTuple):
    """N detections, (N,) each: time, unit vectors (N, 3), magnitude, its error, band, error of the place [arcsec], night, and whose they are: the number
    of a body, or -1 of a real detection.
    """

    mjd: FloatArray
    vectors: FloatArray
    mag: FloatArray
    mag_err: FloatArray
    band: NDArray[np.int8]
    sigma: FloatArray
    night: IntArray
    body: IntArray


def real_detections(folder: Path) -> pd.DataFrame:
    """Fink-FAT's ZTF detections: ra, dec, mjd (mid-exposure), night, fid, magpsf, sigmapsf, ssoCandId. NoInputError where they are not."""
    path = folder / "fink_fat_trajectories.parquet"
    if not path.is_file():
        raise NoInputError(f"{path}: no such file; --data is the folder with Fink-FAT's trajectories and orbits")
    table = pd.read_parquet(path)
    table["mjd"] = table["jd"] - 2400000.5 + 15.0 / 86400.0
    table["night"] = np.floor(table["mjd"]).astype(np.int64)
    return table.reset_index(drop=True)


def exposures(detections: pd.DataFrame, first: int, n_nights: int = 15) -> Exposures:
    """The exposures of `n_nights` nights from `first`; an exposure's centre is the mean place of what was seen in it."""
    part = detections[(detections["night"] >= first) & (detections["night"] < first + n_nights)]
    vectors = pd.DataFrame(unit_vectors(part["ra"], part["dec"]), index=part.index, columns=list("xyz"))
    by_time = vectors.groupby(part["mjd"]).mean()
    mjd = by_time.index.to_numpy(float)
    centre = by_time.to_numpy(float)
    centre /= np.linalg.norm(centre, axis=1, keepdims=True)
    band = part.groupby("mjd")["fid"].first().to_numpy(np.int8)
    night = np.floor(mjd).astype(np.int64)
    return Exposures(mjd, band, centre, observer_positions(mjd), night, first + 0.5 * n_nights)


def bound_orbits(orbits: pd.DataFrame, rng: np.random.Generator, n: int) -> Elements:
    """Shapes and inclinations of Fink-FAT's orbits, turned and timed at random."""
    known = orbits[(orbits["e"] < 0.95) & (orbits["a"] < 6.0) & (orbits["a"] * (1.0 - orbits["e"]) > 0.3)]
    a, e, i = known[["a", "e", "i"]].to_numpy(float)[rng.integers(0, len(known), n)].T
    period = 365.25 * a**1.5
    return Elements(a * (1.0 - e), e, i, rng.uniform(0, 360, n), rng.uniform(0, 360, n), rng.uniform(-0.5, 0.5, n) * period)


def unbound_orbits(rng: np.random.Generator, n: int) -> Elements:
    """From all sides, 10 to 70 km/s far from the Sun."""
    q, v_inf = rng.uniform(0.2, 3.0, n), rng.uniform(10.0, 70.0, n) / KM_S
    inclination = np.degrees(np.arccos(rng.uniform(-1.0, 1.0, n)))
    return Elements(q, 1.0 + q * v_inf**2 / GM_SUN, inclination, rng.uniform(0, 360, n), rng.uniform(0, 360, n), rng.uniform(-90, 90, n))


def orbits_like(name: str, rng: np.random.Generator, n: int) -> Elements:
    """Shape and inclination of a known interstellar object, turned and timed at random."""
    q, e, inclination = KNOWN[name]
    turned = rng.uniform(0.0, 360.0, (2, n))
    return Elements(np.full(n, q), np.full(n, e), np.full(n, inclination), turned[0], turned[1], rng.uniform(-90.0, 90.0, n))


def seen_states(orbits: Elements, at: Exposures) -> FloatArray:
    """States (K, 6) at the window's middle of those orbits that could be seen: within 4.5 au, and in pairs on three of its nights or more."""
    states = states_of(orbits)
    away = states[:, :3] - observer_positions([at.middle])
    states = states[np.linalg.norm(away, axis=1) < 4.5]
    body, exposure, _ = visits(states, at)
    paired = paired_nights(body, at.mjd[exposure], at.night[exposure])
    return states[np.flatnonzero(np.bincount(paired, minlength=len(states)) >= 3)]


def visits(states: FloatArray, at: Exposures) -> tuple[IntArray, IntArray, FloatArray]:
    """Which bodies (V,) are in which exposures (V,), and where they are seen there (V, 3); no light is too faint."""
    n, m = len(states), len(at.mjd)
    rough = propagate(states, 0.0)[:, :3] - observer_positions([at.middle])
    rough /= np.linalg.norm(rough, axis=1, keepdims=True)
    body, exposure = np.nonzero(rough @ at.centre.T > np.cos(_FIELD + np.radians(25.0)))
    if n == 0 or m == 0 or len(body) == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 3))
    where = directions(states[body], at.mjd[exposure] - at.middle, at.observer[exposure])
    inside = np.sum(where * at.centre[exposure], axis=1) > np.cos(_FIELD)
    return body[inside], exposure[inside], where[inside]


def paired_nights(body: IntArray, mjd: FloatArray, night: IntArray) -> IntArray:
    """Body of each (body, night) on which two visits are a pair in time: (P,)."""
    order = np.lexsort((mjd, body))
    body, mjd, night = body[order], mjd[order], night[order]
    apart = np.diff(mjd)
    is_pair = (np.diff(body) == 0) & (np.diff(night) == 0) & (apart >= MIN_DAYS) & (apart <= MAX_DAYS)
    pairs = np.unique(np.stack([body[:-1][is_pair], night[:-1][is_pair]], axis=1), axis=0)
    return pairs[:, 0]


def population(make: str, orbits: pd.DataFrame, at: Exposures, rng: np.random.Generator, n: int) -> FloatArray:
    """States (n, 6) of bodies that are seen in pairs on three nights or more; `make`: 'bound', 'unbound' or a name of `KNOWN`."""
    found: list[FloatArray] = []
    for _ in range(60):
        drawn = (
            bound_orbits(orbits, rng, _BATCH)
            if make == "bound"
            else unbound_orbits(rng, _BATCH)
            if make == "unbound"
            else orbits_like(make, rng, _BATCH)
        )
        found.append(seen_states(drawn, at))
        if sum(map(len, found)) >= n:
            break
    return np.concatenate(found)[:n]


def scene(states: FloatArray, at: Exposures, rng: np.random.Generator) -> Scene:
    """What would be seen of the bodies, with noise of 0.1 to 0.3 arcsec on each axis."""
    body, exposure, where = visits(states, at)
    sigma = rng.uniform(*_NOISE, len(body))
    noise = rng.normal(size=where.shape) * (sigma * ARCSEC)[:, None]
    where = where + noise - np.sum(noise * where, axis=1, keepdims=True) * where
    where /= np.linalg.norm(where, axis=1, keepdims=True)
    magnitude = rng.uniform(17.0, 20.0, len(states))[body] + rng.normal(0.0, 0.1, len(body))
    return Scene(
        at.mjd[exposure], where, magnitude, np.full(len(body), 0.1), at.band[exposure], sigma, at.night[exposure], body.astype(np.int64)
    )


def among_real(made: Scene, detections: pd.DataFrame, at: Exposures, sigma: FloatArray) -> Scene:
    """The scene and the real detections of its exposures; sigma (D,) [arcsec] of all detections' places."""
    is_here = np.isin(detections["mjd"].to_numpy(float), at.mjd)
    part = detections[is_here]
    real = Scene(
        part["mjd"].to_numpy(float),
        unit_vectors(part["ra"], part["dec"]),
        part["magpsf"].to_numpy(float),
        part["sigmapsf"].to_numpy(float),
        part["fid"].to_numpy(np.int8),
        sigma[is_here],
        part["night"].to_numpy(np.int64),
        -1 - np.flatnonzero(is_here),
    )
    numbers = (np.concatenate([getattr(made, name), getattr(real, name)]) for name in Scene._fields)
    return Scene._make(numbers)
