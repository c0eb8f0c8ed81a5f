"""Light curves as the parametric fits read them: the points of an object band after band, and what its brightest and faintest point tell.

A segment is the points of one object in one band, in order of time. Fluxes are in units of the object's scale (`gaussian_process.flux_scale`),
times are counted from its first point, weights are scale / flux_err: so neither the unit of flux nor the day the survey began matters to a fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deeprubin_spark.bands import BANDS
from deeprubin_spark.kernels.gaussian_process import flux_scale
from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves, has_usable_points

IntArray = NDArray[np.int64]

# Columns of `Segments.facts`; (F) flux, (S/N) how far from the segment's mean in errors, (t) time of that point.
(
    PEAK_FLUX,  # (F) of the most significant point above the mean
    PEAK_SNR,
    PEAK_TIME,
    TROUGH_FLUX,  # (F) of the most significant point below it
    TROUGH_SNR,  # negative
    TROUGH_TIME,
    N_PEAKS,  # maxima parted by dips of more than half the way from peak to trough
    N_TROUGHS,  # minima parted likewise
    N_HIGH,  # points above the middle of peak and trough
    HIGH_FIRST,  # (t) first and last point above it
    HIGH_LAST,
    PEAK_BEFORE,  # time from the peak back to the first point below the middle, or to the segment's first point
    PEAK_AFTER,  # the same after the peak
    TROUGH_BEFORE,
    TROUGH_AFTER,
) = range(15)
N_FACTS = 15
VECTOR = 4  # numbers of double precision that one instruction handles
_CLEAR = 0.25  # a point whose error exceeds this share of the way from peak to trough does not part maxima


@dataclass(frozen=True)
class Segments:
    """The points of B objects in S bands.

    start, count : (B, S) int64, segment (b, s) is the rows start to start + count
    room : (B, S) int64, count rounded up to whole vectors: the rows after its points have weight 0 and add nothing to any sum
    time : (N,) [d] since the object's first point
    flux, weight : (N,) in units of the object's scale and its inverse      scale : (B,) [nJy]
    first_mjd, duration : (B,) [d]      usable : (B,) bool, see `has_usable_points`; an object that is not has no rows
    mean, constant_chi2 : (B, S) weighted mean and chi-squared of it      log_norm : (B,) sum of ln(2 pi flux_err^2), flux_err in nJy
    facts : (B, S, 15) what the peak and the trough tell; NaN for a segment of no points
    """

    start: IntArray
    count: IntArray
    room: IntArray
    time: FloatArray
    flux: FloatArray
    weight: FloatArray
    scale: FloatArray
    first_mjd: FloatArray
    duration: FloatArray
    usable: NDArray[np.bool_]
    mean: FloatArray
    constant_chi2: FloatArray
    log_norm: FloatArray
    facts: FloatArray


def segments(curves: LightCurves, bands: NDArray[np.int64]) -> Segments:
    """The points of every object in these bands (S,), indices into `BANDS`, without repeats; points in other bands are left out."""
    scale = flux_scale(curves)
    usable = has_usable_points(curves) & (np.isfinite(scale) | (np.diff(curves.offsets) == 0))
    slot = np.full(len(BANDS), -1, np.int64)
    slot[bands] = np.arange(len(bands))
    shape = curves.n_objects, len(bands)
    start, count = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    _count_objects(curves.offsets, curves.band, slot, usable, start, count)
    room = -(-count // VECTOR) * VECTOR
    time, flux, weight = (np.zeros(int(room.sum())) for _ in range(3))
    per_object = np.full((curves.n_objects, 3), np.nan)
    _sort_objects(
        curves.offsets, curves.mjd, curves.band, curves.flux, curves.flux_err, slot, scale, usable, start, time, flux, weight, per_object
    )
    moments, facts = np.zeros((*shape, 2)), np.full((*shape, N_FACTS), np.nan)
    _describe_segments(start, count, time, flux, weight, moments, facts)
    first, duration, log_norm = per_object.T.copy()
    return Segments(
        start, count, room, time, flux, weight, scale, first, duration, usable, moments[..., 0], moments[..., 1], log_norm, facts
    )


@njit(cache=True, nogil=True)
def _count_objects(
    offsets: IntArray, band: NDArray[np.int8], slot: IntArray, usable: NDArray[np.bool_], start: IntArray, count: IntArray
) -> None:
    """Rows of each segment; start, count (B, S)."""
    row = 0
    for k in range(len(usable)):
        if usable[k]:
            for i in range(offsets[k], offsets[k + 1]):
                if slot[band[i]] >= 0:
                    count[k, slot[band[i]]] += 1
        for s in range(count.shape[1]):
            start[k, s] = row
            row += -(-count[k, s] // VECTOR) * VECTOR


@njit(cache=True, nogil=True, error_model="numpy")
def _sort_objects(
    offsets: IntArray,
    mjd: FloatArray,
    band: NDArray[np.int8],
    flux: FloatArray,
    flux_err: FloatArray,
    slot: IntArray,
    scale: FloatArray,
    usable: NDArray[np.bool_],
    start: IntArray,
    out_time: FloatArray,
    out_flux: FloatArray,
    out_weight: FloatArray,
    per_object: FloatArray,
) -> None:
    """Times, fluxes and weights of each segment's rows, and of each object first MJD, duration and log norm: per_object (B, 3)."""
    row = np.empty(start.shape[1], np.int64)
    for k in range(len(usable)):
        if not usable[k]:
            continue
        row[:] = start[k]
        first, last, log_norm = math.nan, math.nan, 0.0
        for i in range(offsets[k], offsets[k + 1]):
            s = slot[band[i]]
            if s < 0:
                continue
            if math.isnan(first):
                first = mjd[i]
            last = mjd[i]
            out_time[row[s]] = mjd[i] - first
            out_flux[row[s]] = flux[i] / scale[k]
            out_weight[row[s]] = scale[k] / flux_err[i]
            log_norm += math.log(2.0 * math.pi) + 2.0 * math.log(flux_err[i])
            row[s] += 1
        per_object[k, 0], per_object[k, 1], per_object[k, 2] = first, last - first, log_norm


@njit(cache=True, nogil=True, error_model="numpy")
def _describe_segments(
    start: IntArray, count: IntArray, time: FloatArray, flux: FloatArray, weight: FloatArray, moments: FloatArray, facts: FloatArray
) -> None:
    """Mean and chi-squared of it, moments (B, S, 2), and facts (B, S, 15) of each segment."""
    for k in range(start.shape[0]):
        for s in range(start.shape[1]):
            a, b = start[k, s], start[k, s] + count[k, s]
            if b > a:
                _describe(time[a:b], flux[a:b], weight[a:b], moments[k, s], facts[k, s])


@njit(cache=True, nogil=True, error_model="numpy")
def _describe(time: FloatArray, flux: FloatArray, weight: FloatArray, moments: FloatArray, facts: FloatArray) -> None:
    """One segment (n,), n > 0: its mean, the chi-squared of it, and the facts about its peak and trough."""
    total, weighted = 0.0, 0.0
    for i in range(len(flux)):
        total += weight[i] * weight[i]
        weighted += weight[i] * weight[i] * flux[i]
    mean, chi2 = weighted / total, 0.0
    peak, trough, highest, lowest = 0, 0, -math.inf, math.inf
    for i in range(len(flux)):
        z = weight[i] * (flux[i] - mean)
        chi2 += z * z
        if z > highest:
            peak, highest = i, z
        if z < lowest:
            trough, lowest = i, z
    moments[0], moments[1] = mean, chi2
    facts[PEAK_FLUX], facts[PEAK_SNR], facts[PEAK_TIME] = flux[peak], highest, time[peak]
    facts[TROUGH_FLUX], facts[TROUGH_SNR], facts[TROUGH_TIME] = flux[trough], lowest, time[trough]
    depth, middle = 0.5 * (flux[peak] - flux[trough]), 0.5 * (flux[peak] + flux[trough])
    facts[N_PEAKS] = _count_peaks(flux, weight, depth, 1.0)
    facts[N_TROUGHS] = _count_peaks(flux, weight, depth, -1.0)
    high = 0
    for i in range(len(flux)):
        if flux[i] > middle:
            high += 1
            facts[HIGH_LAST] = time[i]
            if high == 1:
                facts[HIGH_FIRST] = time[i]
    facts[N_HIGH] = high
    facts[PEAK_BEFORE] = _time_to_middle(time, flux, peak, -1, middle, 1.0)
    facts[PEAK_AFTER] = _time_to_middle(time, flux, peak, 1, middle, 1.0)
    facts[TROUGH_BEFORE] = _time_to_middle(time, flux, trough, -1, middle, -1.0)
    facts[TROUGH_AFTER] = _time_to_middle(time, flux, trough, 1, middle, -1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _count_peaks(flux: FloatArray, weight: FloatArray, depth: float, sign: float) -> int:
    """Maxima of sign * flux parted by dips of more than `depth`, the ends included; points with too large an error do not count."""
    n_peaks, rising, top, bottom = 0, True, -math.inf, math.inf
    for i in range(len(flux)):
        if 2.0 * _CLEAR * depth * weight[i] < 1.0:
            continue
        value = sign * flux[i]
        if rising:
            top = max(top, value)
            if value < top - depth:
                n_peaks += 1
                bottom, rising = value, False
        else:
            bottom = min(bottom, value)
            if value > bottom + depth:
                top, rising = value, True
    return n_peaks + 1 if rising else n_peaks


@njit(cache=True, nogil=True)
def _time_to_middle(time: FloatArray, flux: FloatArray, from_row: int, step: int, middle: float, sign: float) -> float:
    """Time from a row to the first one, by `step`, whose sign * flux is below the middle, or to the segment's end."""
    i = from_row
    while 0 <= i + step < len(time):
        i += step
        if sign * flux[i] < sign * middle:
            break
    return float(abs(time[i] - time[from_row]))
