"""Made-up stars at real epochs: what explains odd stars naturally, and the shapes that the tests are for.

A star is a set of real epochs with their errors, a reference flux, and the share of its light that is missing or added. As in an archive of alerts, what is
less than 5 sigma from the reference is an upper limit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deeprubin_spark.bands import BAND_NAMES
from deeprubin_spark.errors import ConfigError
from deeprubin_spark.kernels.achromatic import DUST_RATIO
from deeprubin_spark.kernels.counter_random import keys
from deeprubin_spark.kernels.event_intervals import SERIES, SERIES_NAMES
from deeprubin_spark.kernels.light_curves import LightCurves, light_curves
from deeprubin_spark.kernels.separations import half_angle_squared_sine
from deeprubin_spark.kernels.seti_ellipsoid import PARSECS_PER_DAY, crossings
from deeprubin_spark.kernels.star_tests import Events, Stars

FloatArray = NDArray[np.float64]
Generator = np.random.Generator

DETECTED = 5.0  # [sigma]
_G, _R = BAND_NAMES.index("g"), BAND_NAMES.index("r")
_COLUMNS = ("object_id", "mjd", "band", "flux_err_njy")


@dataclass(frozen=True)
class Epochs:
    """Exposures of one place: mjd [d], ascending, band, error [nJy]; (N,) each."""

    mjd: FloatArray
    band: NDArray[np.int64]
    error: FloatArray


@dataclass(frozen=True)
class Scene:
    """Stars with their points: what `star_tests.tested` takes."""

    curves: LightCurves
    detected: NDArray[np.bool_]
    stars: Stars


def epochs_of(path: Path, least: int) -> list[Epochs]:
    """The epochs of each object of a CSV file of light curves (object_id, mjd, band, flux_err_njy) that has `least` of them in g and r.

    ConfigError where columns are missing or no object has as many.
    """
    rows = pd.read_csv(path)
    missing = [name for name in _COLUMNS if name not in rows.columns]
    if missing:
        raise ConfigError(f"{path}: columns {', '.join(missing)} are missing; found {', '.join(rows.columns)}")
    rows = rows[rows["band"].isin(("g", "r")) & (rows["flux_err_njy"] > 0.0)].sort_values("mjd", kind="stable")
    made = [
        Epochs(one["mjd"].to_numpy(np.float64), np.where(one["band"] == "g", _G, _R), one["flux_err_njy"].to_numpy(np.float64))
        for _, one in rows.groupby("object_id", sort=True)
        if len(one) >= least
    ]
    if not made:
        raise ConfigError(f"{path}: no object has {least} epochs in g and r; take a file with longer light curves")
    return made


def eclipsing_binary(at: Epochs, rng: Generator) -> FloatArray:
    """Two eclipses in a period of 0.3 to 10 d, as deep in g as in r."""
    phase = (at.mjd / 10.0 ** rng.uniform(-0.5, 1.0) + rng.random()) % 1.0
    half, first, second = rng.uniform(0.03, 0.08), rng.uniform(0.1, 0.6), rng.uniform(0.02, 0.5)
    return -first * _bump(phase - 0.5, half) - second * (_bump(phase, half) + _bump(phase - 1.0, half))


def young_star(at: Epochs, rng: Generator) -> FloatArray:
    """Clouds of dust that pass a young star's disc: dips of 0.2 to 1.5 mag that last half a day to ten, a third of the time."""
    length = 10.0 ** rng.uniform(-0.3, 1.0)
    begin, end = at.mjd[0] - 10.0, at.mjd[-1] + 10.0
    times = rng.uniform(begin, end, max(1, int(0.3 * (end - begin) / length)))
    in_r = (rng.uniform(0.2, 1.5, len(times))[:, None] * _bump((at.mjd - times[:, None]) / length, 0.5)).max(axis=0)
    return _reddened(at, in_r)


def r_coronae_borealis(at: Epochs, rng: Generator) -> FloatArray:
    """A decline by 1 to 5 mag within weeks and a slow recovery, by dust that the star blew out."""
    since = at.mjd - rng.uniform(at.mjd[0], at.mjd[-1])
    fall, recovery = rng.uniform(10.0, 30.0), rng.uniform(60.0, 300.0)
    depth = np.where(since < 0.0, 0.0, np.where(since < fall, since / fall, np.exp(-(since - fall) / recovery)))
    return _reddened(at, rng.uniform(1.0, 5.0) * depth)


def cataclysmic_variable(at: Epochs, rng: Generator) -> FloatArray:
    """Outbursts by 2 to 4 mag for 4 to 10 d, each 20 to 100 d after the last one, give or take a fifth."""
    recurrence, length, size = rng.uniform(20.0, 100.0), rng.uniform(4.0, 10.0), rng.uniform(2.0, 4.0)
    n = int((at.mjd[-1] - at.mjd[0]) / recurrence) + 3
    times = at.mjd[0] - recurrence + np.cumsum(recurrence * rng.normal(1.0, 0.2, n))
    brighter = (size * _bump((at.mjd - times[:, None]) / length, 0.6)).max(axis=0)
    return 10.0 ** (0.4 * brighter) - 1.0


def pulsating(at: Epochs, rng: Generator) -> FloatArray:
    """A sawtooth of 0.3 to 0.8 d, 1.4 times as high in g as in r, about its mean."""
    phase = (at.mjd / rng.uniform(0.3, 0.8) + rng.random()) % 1.0
    shape = np.where(phase < 0.15, phase / 0.15, (1.0 - phase) / 0.85) - 0.5
    return rng.uniform(0.2, 0.6) * shape * np.where(at.band == _G, 1.4, 1.0)


NATURAL: dict[str, Callable[[Epochs, Generator], FloatArray]] = {
    "eclipsing binaries": eclipsing_binary,
    "young stars": young_star,
    "R CrB stars": r_coronae_borealis,
    "cataclysmic variables": cataclysmic_variable,
    "RR Lyrae stars": pulsating,
}


def screen(at: Epochs, rng: Generator) -> FloatArray:
    """An opaque screen once: over 10 to 40 d ever more light is missing, then at once none; in units of the deepest."""
    length, end = rng.uniform(10.0, 40.0), rng.uniform(np.quantile(at.mjd, 0.2), at.mjd[-1])
    since = (at.mjd - end + length) / length
    return np.where((since >= 0.0) & (since <= 1.0), -(0.4 + 0.6 * since), 0.0)


def switched(at: Epochs, rng: Generator) -> FloatArray:
    """Three levels, each night one of them; in units of their distance."""
    _, night = np.unique(np.floor(at.mjd), return_inverse=True)
    return -rng.integers(0, 3, night.max() + 1)[night].astype(np.float64)


def in_series(at: Epochs, rng: Generator) -> FloatArray:
    """Seven flashes on the nights that are nearest to a series of prime or Fibonacci numbers."""
    gaps = SERIES[rng.integers(1, len(SERIES_NAMES)), :6]
    nights = np.unique(np.floor(at.mjd))
    wanted = nights[0] + np.concatenate(([0.0], np.cumsum(gaps))) * (nights[-1] - nights[0]) / gaps.sum()
    chosen = nights[np.abs(nights[:, None] - wanted).argmin(axis=0)]
    return np.isin(np.floor(at.mjd), chosen).astype(np.float64)


def vanishing(at: Epochs, rng: Generator) -> FloatArray:
    """Gone at some time, but for 3 %; in units of the star's light."""
    return np.where(at.mjd > rng.uniform(at.mjd[0], np.quantile(at.mjd, 0.7)), -0.97, 0.0)


def answer(at: Epochs, rng: Generator) -> FloatArray:
    """One bright night."""
    nights = np.unique(np.floor(at.mjd))
    return (np.floor(at.mjd) == rng.choice(nights)).astype(np.float64)


SHAPES: dict[
    str, tuple[str, Callable[[Epochs, Generator], FloatArray]]
] = {  # name -> the test it is for, and the shape in units of the amplitude
    "opaque screen": ("dip", screen),
    "switched levels": ("levels", switched),
    "flashes in a series": ("intervals", in_series),
    "vanished star": ("vanish", vanishing),
    "answer to SN 1987A": ("ellipsoid", answer),
}


def natural_scene(kind: str, epochs: list[Epochs], rng: Generator, n: int) -> Scene:
    """`n` stars of AB 16 to 18.5 that vary as their kind does."""
    chosen = [epochs[i] for i in rng.integers(0, len(epochs), n)]
    reference = 10.0 ** (0.4 * (31.4 - rng.uniform(16.0, 18.5, n)))
    return _scene(chosen, [NATURAL[kind](at, rng) * flux for at, flux in zip(chosen, reference, strict=True)], reference, rng)


def shaped_scene(name: str, amplitude: float, epochs: list[Epochs], events: Events, rng: Generator, n: int) -> Scene:
    """`n` stars of AB 16 to 18.5 that have the shape, `amplitude` median errors high; of a vanished star that is all its light.

    An answer comes on the night on which the ellipsoid of the first event crosses the star, whose distance has an error of 0.1 %.
    """
    chosen = [epochs[i] for i in rng.integers(0, len(epochs), n)]
    height = amplitude * np.array([np.median(at.error) for at in chosen])
    reference = height if name == "vanished star" else 10.0 ** (0.4 * (31.4 - rng.uniform(16.0, 18.5, n)))
    signals = [SHAPES[name][1](at, rng) for at in chosen]
    made = _scene(chosen, [signal * high for signal, high in zip(signals, height, strict=True)], reference, rng)
    if name == "answer to SN 1987A":
        bright = np.array([at.mjd[signal.argmax()] for at, signal in zip(chosen, signals, strict=True)])
        distance = _crossed_at(bright, made.stars, events)
        made.stars.distance[:], made.stars.distance_err[:] = distance, 0.001 * distance
    return made


def joined(scenes: list[Scene]) -> Scene:
    """All stars of some scenes; numbered anew, so that no two have the same random order of nights."""
    stars = [scene.stars for scene in scenes]
    names = ("ra", "dec", "star_score", "distance", "distance_err", "reference")
    told = {name: np.concatenate([getattr(one, name) for one in stars]) for name in names}
    points = (np.concatenate([getattr(scene.curves, name) for scene in scenes]) for name in ("mjd", "band", "flux", "flux_err"))
    counts = np.concatenate([np.diff(scene.curves.offsets) for scene in scenes])
    offsets = np.concatenate(([0], np.cumsum(counts)))
    curves = light_curves(offsets, *points)
    key = keys(1, np.arange(len(counts)))
    return Scene(
        curves,
        np.concatenate([scene.detected for scene in scenes]),
        Stars(**told, key=key, looked=curves.mjd, looked_offsets=curves.offsets),
    )


def _scene(chosen: list[Epochs], signals: list[FloatArray], reference: FloatArray, rng: Generator) -> Scene:
    """Stars with their noise; what is below 5 sigma becomes a limit."""
    n = len(chosen)
    mjd, band, error = (np.concatenate([getattr(at, name) for at in chosen]) for name in ("mjd", "band", "error"))
    flux = np.concatenate(signals) + error * rng.standard_normal(len(error))
    detected = np.abs(flux) >= DETECTED * error
    offsets = np.concatenate(([0], np.cumsum([len(at.mjd) for at in chosen])))
    curves = light_curves(offsets, mjd, band, np.where(detected, flux, 0.0), error)
    of_band = np.full((n, len(BAND_NAMES)), np.nan)
    of_band[:, [_G, _R]] = reference[:, None]
    ra, dec = rng.uniform(0.0, 360.0, n), np.degrees(np.arcsin(rng.uniform(-0.5, 1.0, n)))
    nothing = np.full(n, np.nan)
    stars = Stars(ra, dec, np.full(n, 0.99), nothing, nothing.copy(), of_band, keys(1, np.arange(n)), curves.mjd, curves.offsets)
    return Scene(curves, detected, stars)


def _crossed_at(mjd: FloatArray, stars: Stars, events: Events) -> FloatArray:
    """Distances [pc] at which the first event's ellipsoid crosses the stars at mjd [d]; by secants from the far event's d = c delay / (2 h)."""
    h = half_angle_squared_sine(stars.ra, stars.dec, events.ra[0], events.dec[0])
    delay = mjd - events.mjd[0]
    distance = delay * PARSECS_PER_DAY / (2.0 * h)
    for _ in range(20):
        distance = distance * delay / crossings(distance, 0.0, events.distance[0], 0.0, h).delay
    return np.asarray(distance, np.float64)


def _reddened(at: Epochs, in_r: FloatArray) -> FloatArray:
    """Share of the light that dust takes, A_r [mag]."""
    return 10.0 ** (-0.4 * in_r * np.where(at.band == _G, DUST_RATIO, 1.0)) - 1.0


def _bump(x: FloatArray, half: float) -> FloatArray:
    """1 at 0, 0 beyond `half`, round between."""
    return np.where(np.abs(x) < half, np.cos(0.5 * np.pi * x / half) ** 2, 0.0)
