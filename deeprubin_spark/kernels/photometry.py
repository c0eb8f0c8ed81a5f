"""Magnitudes to fluxes: difference flux, upper limits, and apparent flux where the reference image holds the source itself."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

ZERO_POINT = 31.4  # AB magnitude of 1 nJy (Oke & Gunn 1983)
MAG_PER_RELATIVE_FLUX = 2.5 / np.log(10.0)  # sigma_m = 1.0857 sigma_F / F
CORRECTED_MAX_DISTNR = 1.4  # ALeRCE's limit on the distance to the nearest reference source (Foerster et al. 2021), ZTF pixels

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
ErrorPolicy = Literal["alerce_corr", "alerce_ext", "quadrature"]
ERROR_POLICIES: tuple[ErrorPolicy, ...] = get_args(ErrorPolicy)


def signed_flux_njy(magpsf: FloatArray, sigmapsf: FloatArray, is_positive: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Difference flux of a detection.

    F = s 10^((31.4 - m) / 2.5),   sigma_F = |F| ln(10) / 2.5 sigma_m          (AB magnitudes, Oke & Gunn 1983)

    magpsf, sigmapsf : (N,) float64 [mag]      is_positive : (N,) bool, ZTF `isdiffpos` in {'t', '1'}; s = +1 where true, else -1
    Returns (flux, flux_err) : (N,) float64 [nJy]. NaN in, NaN out. ValueError where lengths differ.
    """
    _same_length(magpsf=magpsf, sigmapsf=sigmapsf, is_positive=is_positive)
    size = _flux_of_magnitude(magpsf)
    return np.where(is_positive, size, -size), size * np.asarray(sigmapsf, np.float64) / MAG_PER_RELATIVE_FLUX


def limit_njy(diffmaglim: FloatArray) -> FloatArray:
    """Flux that a point source needed to be detected: ZTF's `diffmaglim` is the expected 5-sigma magnitude limit.

    diffmaglim : (N,) float64 [mag]. Returns (N,) float64 [nJy], 5 sigma (divide by 5 for the noise). NaN in, NaN out.
    """
    return _flux_of_magnitude(diffmaglim)


def apparent_flux_njy(
    magpsf: FloatArray,
    sigmapsf: FloatArray,
    is_positive: BoolArray,
    magnr: FloatArray,
    sigmagnr: FloatArray,
    policy: ErrorPolicy,
) -> tuple[FloatArray, FloatArray]:
    """Flux of a variable source: the reference's flux plus the difference.

    F = F_ref + s F_diff; its magnitude is ALeRCE's `magpsf_corr` (lc_correction; Foerster et al. 2021, section 3.3). The error:

    alerce_corr   sqrt(sigma_diff^2 - sigma_ref^2)    reference and difference share the reference's noise; NaN where negative
    alerce_ext    sigma_diff                          extended sources: the reference's error says nothing about the point source
    quadrature    sqrt(sigma_diff^2 + sigma_ref^2)    independent noise: conservative (Fink; ZTF Explanatory Supplement)

    magpsf, sigmapsf, magnr, sigmagnr : (N,) float64 [mag]      is_positive : (N,) bool
    Returns (flux, flux_err) : (N,) float64 [nJy], both NaN where the sum is not positive: no apparent magnitude exists there.
    Whether the reference may be used at all is `reference_is_valid`. ValueError for another policy or where lengths differ.
    """
    _same_length(magpsf=magpsf, sigmapsf=sigmapsf, is_positive=is_positive, magnr=magnr, sigmagnr=sigmagnr)
    difference, difference_err = signed_flux_njy(magpsf, sigmapsf, is_positive)
    reference, reference_err = signed_flux_njy(magnr, sigmagnr, np.ones(len(magnr), np.bool_))
    if policy == "alerce_corr":
        variance = difference_err**2 - reference_err**2
    elif policy == "alerce_ext":
        variance = difference_err**2
    elif policy == "quadrature":
        variance = difference_err**2 + reference_err**2
    else:
        raise ValueError(f"policy: expected one of {', '.join(ERROR_POLICIES)}, found {policy!r}")
    flux = reference + difference
    exists = flux > 0.0
    flux_err = np.sqrt(np.where(variance >= 0.0, variance, np.nan))
    return np.where(exists, flux, np.nan), np.where(exists, flux_err, np.nan)


def reference_is_valid(
    distnr: FloatArray, magnr: FloatArray, magpsf: FloatArray, jdendref: FloatArray, jd_first_detection: FloatArray
) -> BoolArray:
    """Whether the nearest reference source is the alert's source, in a reference image older than the event.

    distnr < 1.4 (ALeRCE's `corrected`), magnr > 0, magpsf > 0, and the last exposure of the reference (`jdendref`) not after the first
    detection: else the reference holds some of the event's light (ALeRCE's `reference_change`). An unknown (NaN) jdendref or first
    detection, as in old packets, is not held against the source.

    distnr : (N,) float64 [ZTF pixels, about 1.01"]      magnr, magpsf : (N,) float64 [mag]      jdendref, jd_first_detection : (N,) [JD]
    Returns (N,) bool; false where distnr or a magnitude is NaN. ValueError where lengths differ.
    """
    _same_length(distnr=distnr, magnr=magnr, magpsf=magpsf, jdendref=jdendref, jd_first_detection=jd_first_detection)
    same_source = (np.asarray(distnr) >= 0.0) & (np.asarray(distnr) < CORRECTED_MAX_DISTNR)
    measured = (np.asarray(magnr) > 0.0) & (np.asarray(magpsf) > 0.0)
    contaminated = np.asarray(jdendref) > np.asarray(jd_first_detection)
    valid: BoolArray = same_source & measured & ~contaminated
    return valid


def ab_magnitude(flux: FloatArray) -> FloatArray:
    """AB magnitude m = 31.4 - 2.5 log10(F).  flux : (N,) float64 [nJy]. Returns (N,) float64 [mag], NaN where the flux is not positive."""
    flux = np.asarray(flux, np.float64)
    magnitude: FloatArray = ZERO_POINT - 2.5 * np.log10(np.where(flux > 0.0, flux, np.nan))
    return magnitude


def ab_magnitude_err(flux: FloatArray, flux_err: FloatArray) -> FloatArray:
    """Error of an AB magnitude, sigma_m = 2.5 / ln(10) sigma_F / F.

    flux, flux_err : (N,) float64 [nJy]. Returns (N,) float64 [mag], NaN where the flux is not positive. ValueError where lengths differ.
    """
    _same_length(flux=flux, flux_err=flux_err)
    flux = np.asarray(flux, np.float64)
    magnitude_err: FloatArray = MAG_PER_RELATIVE_FLUX * np.asarray(flux_err, np.float64) / np.where(flux > 0.0, flux, np.nan)
    return magnitude_err


def _flux_of_magnitude(magnitude: FloatArray) -> FloatArray:
    """10^((31.4 - m) / 2.5).  (N,) [mag] to (N,) float64 [nJy]."""
    flux: FloatArray = 10.0 ** ((ZERO_POINT - np.asarray(magnitude, np.float64)) / 2.5)
    return flux


def _same_length(**arrays: NDArray[np.generic]) -> None:
    """ValueError that names the arrays where their lengths differ."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"arrays of one length expected, found {', '.join(f'{name}: {n}' for name, n in lengths.items())}")
