"""A light curve as it would be at another redshift, visited on other nights: training objects that a survey could have seen and got no spectrum of.

    F'(t', w') = (d_L / d_L')^2 (1 + z') / (1 + z) F(t, w),    t = t_0 + (t' - t_0') / s,    w = w' / s,    s = (1 + z') / (1 + z)

Primes mark the copy; F is the posterior mean of the parent's Gaussian process in time and wavelength, t_0 and t_0' are the times of its peak and the copy's.
The flux is one per unit frequency (nJy, like every flux with an AB zero point): F(f) = (1 + z) L(f (1 + z)) / (4 pi d_L^2), because a frequency
interval at the source is (1 + z) times wider than here (Hogg, Baldry, Blanton & Eisenstein 2002, arXiv:astro-ph/0210394, equation 6). Two redshifts that see
the same L at the same rest-frame wavelength therefore differ by (d_L / d_L')^2 (1 + z') / (1 + z). Per unit wavelength it would be the inverse of s.

After avocado (Boone 2019, arXiv:1907.04690) and STACCATO (Revsbech et al. 2018, arXiv:1706.03811). An object without a redshift, one of our Galaxy, becomes
brighter or fainter instead. z is the host's photometric redshift; a copy keeps its relative error in 1 + z. All draws are functions of a key and the copy's
number, so a copy is the same wherever and in whatever order it is made.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.bands import BANDS
from deeprubin_spark.kernels import gaussian_process
from deeprubin_spark.kernels.counter_random import Keys, keys, normals, uniforms
from deeprubin_spark.kernels.gaussian_process import Fits
from deeprubin_spark.kernels.gaussian_process_evidence import OK
from deeprubin_spark.kernels.host_features import distance_modulus
from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves, chosen_points, curves_at
from deeprubin_spark.kernels.photometric_noise import Noise, errors_at, noise_of

NEAREST = 0.95  # [1] of z
FARTHEST = 5.0
LONGEST_STRETCH = 1.5  # of (1 + z') / (1 + z): farther, the bands would see wavelengths at which the parent was never measured
BRIGHTEST, FAINTEST = -0.1, 2.0  # [mag] of a copy without redshift, against its parent
PEAK_SCATTER = 5.0  # [d] of a copy's peak about that of the object whose nights it takes
MOST_UNSURE = 0.2  # [1] of the copy's highest mean: where the process knows the flux less well, and less well than the exposure would, there is no point
DETECTION_SN = 5.0
_N_PEAK = 64
_REDSHIFT, _CADENCE, _PEAK, _NOISE = range(4)  # streams of random numbers of a copy
_WAVELENGTHS = np.array([band.wavelength for band in BANDS])

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Changes:
    """What C copies differ in from their parents.

    parent : (C,) row of the parent      number : (C,) from 1 for each parent      key : (C,) of its further draws
    new_z : (C,) redshift, NaN where the parent has none      stretch : (C,) s [1]      factor : (C,) of the flux [1]
    """

    parent: IntArray
    number: IntArray
    key: Keys
    new_z: FloatArray
    stretch: FloatArray
    factor: FloatArray


@dataclass(frozen=True)
class Cadences:
    """Nights on which P real objects were visited, with the errors that the sky gave there.

    curves : of the objects      peak : (P,) [d] time of the peak of each      noise : of all of them
    """

    curves: LightCurves
    peak: FloatArray
    noise: Noise


@dataclass(frozen=True)
class Copies:
    """C detected copies: their light curves, parent (C,) and number (C,); n_undetected others were too faint, n_unfitted parents have no copies."""

    curves: LightCurves
    parent: IntArray
    number: IntArray
    n_undetected: int
    n_unfitted: int


def changes(photo_z: FloatArray, parent_key: Keys, n_copies: int) -> Changes:
    """`n_copies` of each of B parents with redshifts (B,), NaN where unknown, and keys (B,).

    z' is log-uniform in [0.95 z, min(5 z, 1.5 (1 + z) - 1)]; without z the copy is uniformly 0.1 mag brighter to 2 mag fainter.
    """
    parent = np.repeat(np.arange(len(photo_z)), n_copies)
    number = np.tile(np.arange(1, n_copies + 1), len(photo_z))
    key = keys(parent_key[parent], number) if len(parent) else np.empty(0, np.uint64)
    u, z = uniforms(keys(key, _REDSHIFT)), photo_z[parent]
    low, high = np.log(NEAREST * z), np.log(np.minimum(FARTHEST * z, LONGEST_STRETCH * (1.0 + z) - 1.0))
    new_z = np.exp(low + u * (high - low))
    has_redshift = np.isfinite(new_z)
    stretch, factor = redshifting(z, new_z)
    dimmed = 10.0 ** (-0.4 * (BRIGHTEST + u * (FAINTEST - BRIGHTEST)))
    return Changes(parent, number, key, new_z, np.where(has_redshift, stretch, 1.0), np.where(has_redshift, factor, dimmed))


def redshifting(z: FloatArray, new_z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """S = (1 + z') / (1 + z) and the factor (d_L / d_L')^2 s of the flux, from z to new_z (N,); NaN where one is."""
    stretch = (1.0 + new_z) / (1.0 + z)
    return stretch, 10.0 ** (-0.4 * (distance_modulus(new_z) - distance_modulus(z))) * stretch


def cadences_of(curves: LightCurves) -> Cadences:
    """The nights of light curves; those to which no Gaussian process can be fitted are left out."""
    fits = gaussian_process.fit(curves)
    fitted = np.flatnonzero(fits.status == OK)
    kept = curves_at(curves, fitted)
    return Cadences(kept, peak_times(kept, fits_at(fits, fitted)), noise_of(kept))


def peak_times(curves: LightCurves, fits: Fits) -> FloatArray:
    """(B,) [d] when the posterior mean, summed over the object's own bands, is highest on 64 times from its first point to its last."""
    found = np.full(curves.n_objects, np.nan)
    for b in np.flatnonzero(fits.status == OK):
        one, span = curves_at(curves, np.array([b])), slice(curves.offsets[b], curves.offsets[b + 1])
        times = np.linspace(curves.mjd[span][0], curves.mjd[span][-1], _N_PEAK)
        bands = np.unique(curves.band[span])
        mean = gaussian_process.posterior(one, fits_at(fits, np.array([b])), np.array([0, _N_PEAK]), times, _WAVELENGTHS[bands]).mean
        found[b] = times[mean.sum(axis=1).argmax()]
    return found


def fits_at(fits: Fits, rows: IntArray) -> Fits:
    """The fits of the given rows (R,), in that order."""
    return Fits(*(getattr(fits, field.name)[rows] for field in fields(Fits)))


def seen(
    parents: LightCurves, fits: Fits, peak: FloatArray, changed: Changes, nights: LightCurves, new_peak: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation (N,) [nJy] of the copies' fluxes, without measurement noise, at the times and bands of `nights`.

    peak : (B,) of the parents [d]      nights : C light curves of N points in order of time, whose fluxes are not read      new_peak : (C,) [d]
    """
    mean, sd = np.empty(len(nights.mjd)), np.empty(len(nights.mjd))
    for c, parent in enumerate(changed.parent.tolist()):
        span = slice(nights.offsets[c], nights.offsets[c + 1])
        one = np.array([parent])
        times = peak[parent] + (nights.mjd[span] - new_peak[c]) / changed.stretch[c]
        bands, column = np.unique(nights.band[span], return_inverse=True)
        wavelengths = _WAVELENGTHS[bands] / changed.stretch[c]
        found = gaussian_process.posterior(curves_at(parents, one), fits_at(fits, one), np.array([0, len(times)]), times, wavelengths)
        rows = np.arange(len(times))
        mean[span], sd[span] = changed.factor[c] * found.mean[rows, column], changed.factor[c] * found.sd[rows, column]
    return mean, sd


def copies(parents: LightCurves, photo_z: FloatArray, parent_key: Keys, n_copies: int, cadences: Cadences, least_bands: int) -> Copies:
    """Up to `n_copies` of each of B light curves, each on the nights of an object of the pool, with noise; those that are detected.

    photo_z : (B,), NaN where unknown      parent_key : (B,) of the draws      least_bands : in how many bands a point must be 5 sigma above zero
    """
    fits = gaussian_process.fit(parents)
    fitted = np.flatnonzero(fits.status == OK)
    changed = changes(photo_z[fitted], parent_key[fitted], n_copies)
    n_unfitted = parents.n_objects - len(fitted)
    if len(changed.parent) == 0 or len(cadences.peak) == 0:
        nobody = np.empty(0, np.int64)
        return Copies(curves_at(parents, nobody), nobody, nobody, 0, n_unfitted)
    own, own_fits = curves_at(parents, fitted), fits_at(fits, fitted)
    n_cadences = len(cadences.peak)
    drawn = np.minimum((uniforms(keys(changed.key, _CADENCE)) * n_cadences).astype(np.int64), n_cadences - 1)
    nights = curves_at(cadences.curves, drawn)
    new_peak = cadences.peak[drawn] + PEAK_SCATTER * (2.0 * uniforms(keys(changed.key, _PEAK)) - 1.0)
    mean, sd = seen(own, own_fits, peak_times(own, own_fits), changed, nights, new_peak)
    measured = with_noise(nights, mean, changed.key, cadences.noise)
    measured = chosen_points(measured, is_known(measured, mean, sd))
    detected = is_detected(measured, least_bands)
    kept = curves_at(measured, np.flatnonzero(detected))
    parent = fitted[changed.parent[detected]]
    return Copies(kept, parent, changed.number[detected], int((~detected).sum()), n_unfitted)


def with_noise(nights: LightCurves, mean: FloatArray, key: Keys, noise: Noise) -> LightCurves:
    """The same nights with a source of flux `mean` (N,) [nJy]: errors as it would have had them, and a measurement drawn with these.

    key : (C,) of the draws of each light curve
    """
    flux_err = errors_at(noise, nights.band, nights.flux, nights.flux_err, mean)
    counts = np.diff(nights.offsets)
    position = np.arange(len(mean)) - np.repeat(nights.offsets[:-1], counts)
    drawn, _ = normals(keys(np.repeat(keys(key, _NOISE), counts), position)) if len(mean) else (mean, mean)
    return LightCurves(nights.offsets, nights.mjd, nights.band, mean + flux_err * drawn, flux_err)


def is_known(curves: LightCurves, mean: FloatArray, sd: FloatArray) -> NDArray[np.bool_]:
    """Points (N,) whose true flux `mean` +- `sd` is known to a fifth of the highest mean of their light curve, or better than it was measured."""
    counts = np.diff(curves.offsets)
    highest = np.zeros(curves.n_objects)
    with_points = np.flatnonzero(counts)
    highest[with_points] = np.maximum.reduceat(mean, curves.offsets[with_points]) if len(mean) else 0.0
    known: NDArray[np.bool_] = sd < np.maximum(MOST_UNSURE * np.repeat(highest, counts), curves.flux_err)
    return known


def is_detected(curves: LightCurves, least_bands: int) -> NDArray[np.bool_]:
    """Whether objects (B,) have a point at least 5 sigma above zero in at least so many bands."""
    significant = chosen_points(curves, curves.flux >= DETECTION_SN * curves.flux_err)
    owner = np.repeat(np.arange(curves.n_objects), np.diff(significant.offsets))
    seen_in = np.zeros((curves.n_objects, len(BANDS)), np.bool_)
    seen_in[owner, significant.band] = True
    enough: NDArray[np.bool_] = seen_in.sum(axis=1) >= least_bands
    return enough
