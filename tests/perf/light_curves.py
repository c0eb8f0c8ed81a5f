"""The light curves on which kernels are measured: a quarter each of supernovae, pulsators, random walks and flares over noise.

10 to 150 points an object, log-uniform, 51 in the mean whatever the number of objects, at random times over 30 to 400 days; g and r. Fluxes and
errors are those of a 1.2 m survey: 1 sigma of 2,000 to 6,000 nJy, amplitudes of 10^4 to 5 x 10^5 nJy.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.bands import BANDS, band_index
from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves, light_curves

FIRST_MJD, LAST_MJD = 58450.0, 59000.3
_POINTS = 10, 150
_SPAN = 30.0, 400.0  # [d]
_ERROR = 2000.0, 6000.0  # [nJy]
_FLARE = 80_000.0  # [nJy]

Generator = np.random.Generator
Shape = Callable[[FloatArray, FloatArray, Generator], FloatArray]


def standard_mix(n_objects: int, bands: tuple[str, ...] = ("g", "r"), seed: int = 1) -> LightCurves:
    """`n_objects` light curves of the mix; the same ones for the same arguments."""
    rng = np.random.default_rng(seed)
    quantiles = (rng.permutation(n_objects) + 0.5) / n_objects
    counts = np.exp(np.log(_POINTS[0]) + quantiles * np.log(_POINTS[1] / _POINTS[0])).astype(np.int64)
    pieces = [_object(int(n), bands, _SHAPES[k % len(_SHAPES)], rng) for k, n in enumerate(counts)]
    mjd, band, flux, flux_err = (np.concatenate(column) for column in zip(*pieces, strict=True))
    return light_curves(np.concatenate([[0], np.cumsum(counts)]), mjd, band, flux, flux_err)


def repeated(curves: LightCurves, times: int) -> LightCurves:
    """The same objects over and over: a batch as large as a night's, of which a slow peer need do only the first."""
    counts = np.tile(np.diff(curves.offsets), times)
    columns = (np.tile(column, times) for column in (curves.mjd, curves.band, curves.flux, curves.flux_err))
    return light_curves(np.concatenate([[0], np.cumsum(counts)]), *columns)


def tonight(curves: LightCurves) -> tuple[LightCurves, NDArray[np.int32]]:
    """The same curves shifted so that each object's last point is of one night, and the night on which each point became known (N,)."""
    shift = LAST_MJD - curves.mjd[curves.offsets[1:] - 1]
    mjd = curves.mjd + np.repeat(shift, np.diff(curves.offsets))
    return light_curves(curves.offsets, mjd, curves.band, curves.flux, curves.flux_err), np.floor(mjd).astype(np.int32)


def points_of(curves: LightCurves, k: int) -> slice:
    """The rows of object k."""
    return slice(int(curves.offsets[k]), int(curves.offsets[k + 1]))


def by_band(curves: LightCurves) -> list[tuple[FloatArray, FloatArray, FloatArray]]:
    """(mjd, flux, flux_err) of each object's bands, object after object: arrays of their own, as peers want them."""
    used = np.unique(curves.band)
    made = []
    for k in range(curves.n_objects):
        rows = points_of(curves, k)
        for b in used:
            own = curves.band[rows] == b
            made.append((curves.mjd[rows][own], curves.flux[rows][own], curves.flux_err[rows][own]))
    return made


def _object(n: int, bands: tuple[str, ...], shape: Shape, rng: Generator) -> tuple[FloatArray, ...]:
    """Points of one object: mjd [d], band, flux, flux_err [nJy]."""
    span = rng.uniform(*_SPAN)
    time = np.sort(rng.uniform(0.0, span, n))
    band = np.array([band_index(name) for name in bands], np.int8)[rng.integers(0, len(bands), n)]
    wavelength = np.array([b.wavelength for b in BANDS])[band] / 6000.0
    flux = shape(time, wavelength, rng)
    error = rng.uniform(*_ERROR, n)
    return FIRST_MJD + time, band, flux + error * rng.standard_normal(n), error


def _supernova(time: FloatArray, wavelength: FloatArray, rng: Generator) -> FloatArray:
    """A rise and a fall, faster in the blue."""
    since = time - rng.uniform(0.2, 0.6) * time[-1]
    rise, fall = rng.uniform(2.0, 8.0), rng.uniform(15.0, 60.0)
    cooling = np.exp(-np.maximum(since, 0.0) / 80.0 * np.maximum(1.0 - wavelength, 0.0) * 5.0)
    return 10.0 ** rng.uniform(4.0, 5.7) * np.exp(-since / fall) / (1.0 + np.exp(-since / rise)) * cooling


def _pulsator(time: FloatArray, wavelength: FloatArray, rng: Generator) -> FloatArray:
    """Two harmonics of a period of 0.3 to 30 days, less in the red."""
    phase = 2.0 * np.pi * time / 10.0 ** rng.uniform(-0.5, 1.5)
    return 10.0 ** rng.uniform(4.0, 5.5) * (np.sin(phase) + 0.4 * np.sin(2.0 * phase + 1.0)) * wavelength**-1.2


def _random_walk(time: FloatArray, wavelength: FloatArray, rng: Generator) -> FloatArray:
    """A damped random walk (Kelly et al. 2009) of 10 to 200 days, less in the red."""
    timescale, deviation = 10.0 ** rng.uniform(1.0, 2.3), 10.0 ** rng.uniform(4.0, 5.0)
    kept = np.exp(-np.diff(time, prepend=time[0]) / timescale)
    steps = rng.standard_normal(len(time)) * np.sqrt(1.0 - kept**2)
    walk = np.empty(len(time))
    walk[0] = rng.standard_normal()
    for i in range(1, len(time)):
        walk[i] = kept[i] * walk[i - 1] + steps[i]
    return deviation * walk * wavelength**-0.8


def _flare(time: FloatArray, wavelength: FloatArray, rng: Generator) -> FloatArray:
    """Nothing but one short flare."""
    return np.where(np.abs(time - time[rng.integers(0, len(time))]) < 0.5, _FLARE, 0.0)


_SHAPES: tuple[Shape, ...] = (_supernova, _pulsator, _random_walk, _flare)
