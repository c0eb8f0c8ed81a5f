"""The highest peaks of a multi-band Lomb-Scargle periodogram, on a grid of frequencies that follows each object's time span.

In band b (floating mean; Zechmeister & Kuerster 2009), with weights w_i = s_i^-2 / sum s^-2 and y the flux minus its weighted mean,

    p_b(f) = (YC^2 SS + YS^2 CC - 2 YC YS CS) / (CC SS - CS^2)          CC = <cos^2> - <cos>^2,  CS = <cos sin> - <cos><sin>,
    P(f)   = sum_b X_b p_b(f) / <y^2>_b / sum_b X_b                     YC = <y cos>, SS and YS alike, < > weighted by w at 2 pi f t

where X_b is the chi-squared of a constant: P is the share of it that a sinusoid of free mean, amplitude and phase in each band removes.

The grid is f = start + j step. Blocks of it are c +- k step around a centre c, and cos(2 pi f t) = cos(ct) cos(kt) -+ sin(ct) sin(kt), so the
sums over points become products of a factor that depends on the block and one that depends on k, shared by c + k step and c - k step.

A grid that would be longer than the budget is searched in two steps (`FrequencyGrids.n_segments` > 1): the time span is cut into equal
segments that need not agree in phase, as if each were a band, which widens the peaks and shortens the grid by as much; the highest peaks are
then resolved with all points in phase. Bands are first brought to one scale and pooled, so that a segment has enough points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, gammaln

from deeprubin_spark.bands import BANDS
from deeprubin_spark.kernels import periodogram_grid as compiled
from deeprubin_spark.kernels.band_groups import MIN_BAND_POINTS, BandGroups
from deeprubin_spark.kernels.light_curves import FloatArray
from deeprubin_spark.kernels.periodogram_grid import BLOCK, SEGMENT_OVERSAMPLING

MEAN_SEGMENT_POINTS = 6
LONGEST_SPANS = 2.0


@dataclass(frozen=True)
class FrequencyGrids:
    """The frequencies at which each of C objects is searched.

    start, end : (C,) [1/d], of the range      step : (C,) [1/d], 1 / (oversampling x span), of the grid with all points in phase
    n_segments : (C,) int64, equal parts of the time span that are searched without a common phase; 1: all points in phase; 0: no search
    """

    start: FloatArray
    end: FloatArray
    step: FloatArray
    n_segments: NDArray[np.int64]


def frequency_grids(bands: BandGroups, min_period: float, max_period: float, oversampling: float, max_frequencies: int) -> FrequencyGrids:
    """Grids of step 1 / (oversampling x span) between the periods [d]; segments where that takes more than `max_frequencies`.

    The longest period sought is twice the time span, so that a trend need not pass for a short period. A segment has six points on average:
    few points over a long time take more frequencies than `max_frequencies`. ValueError where the range is empty or a number is not positive.
    """
    if not 0.0 < min_period < max_period or not oversampling > 0.0 or max_frequencies < 1:
        raise ValueError(
            f"frequency grid: 0 < min_period < max_period, oversampling > 0 and max_frequencies > 0 expected, "
            f"found {min_period}, {max_period}, {oversampling}, {max_frequencies}"
        )
    searchable = bands.span > min_period
    span = np.where(searchable, bands.span, 1.0)
    start, end = np.maximum(1.0 / max_period, 1.0 / (LONGEST_SPANS * span)), np.full(len(span), 1.0 / min_period)
    step = 1.0 / (oversampling * span)
    longest = max_frequencies / (SEGMENT_OVERSAMPLING * np.where(searchable, end - start, 1.0))
    n_before = np.concatenate([np.zeros(1, np.int64), np.cumsum(bands.counts)])
    most = (n_before[bands.groups[1:]] - n_before[bands.groups[:-1]]) // MEAN_SEGMENT_POINTS
    n_segments = np.clip(np.ceil(span / longest).astype(np.int64), 1, np.maximum(most, 1))
    n_segments = np.where((end - start) / step < max_frequencies, 1, n_segments)
    return FrequencyGrids(start, end, step, np.where(searchable, n_segments, 0))


def highest_peaks(bands: BandGroups, grids: FrequencyGrids, n_peaks: int) -> tuple[FloatArray, FloatArray]:
    """Frequency and power of the highest peaks of C objects, all points in phase.

    Returns two (C, n_peaks) float64 [1/d], [1], highest first; NaN where there are fewer peaks. Each is the top of the parabola through the
    highest frequency of the grid and its neighbours, whose power is up to 0.01 too high: enough to rank them.
    """
    frequency = np.full((bands.n_objects, n_peaks), np.nan)
    power = np.full((bands.n_objects, n_peaks), -1.0)
    arrays = (bands.groups, bands.bounds, bands.time, bands.flux, bands.weight, bands.span)
    compiled.peaks_of_objects(*arrays, grids.start, grids.end, grids.step, grids.n_segments, frequency, power)
    return frequency, np.where(power > 0.0, power, np.nan)


def periodogram(bands: BandGroups, start: float, step: float, count: int) -> FloatArray:
    """Power P(f) of C objects at f = start + j step [1/d], j < count, all points in phase.

    Returns (C, count) float64, within float32's rounding of [0, 1]; 0 for an object without usable bands. Sums are single: a band's power is
    off by about 1e-7 / (CC SS - CS^2), and fades to none where that determinant is below 1e-6. There a sinusoid is hardly more than a
    constant or a line, well below half a cycle in the time span, or few points lie at like phases: it would be no evidence of a period.
    """
    power = np.zeros((bands.n_objects, -(-count // BLOCK) * BLOCK), np.float32)
    compiled.power_of_objects(bands.groups, bands.bounds, bands.time, bands.flux, bands.weight, float(start), float(step), power)
    return power[:, :count].astype(np.float64)


def log10_false_alarm(
    power: FloatArray, n_points: FloatArray, n_bands: FloatArray, time_sd: FloatArray, bandwidth: FloatArray
) -> FloatArray:
    """Decimal logarithm of the probability that noise alone has as high a peak anywhere in the range: (C,).

        FAP = 1 - (1 - p) exp(-tau),    p = I_(1 - P)(v / 2, d / 2),    d = 2 bands,   v = N - 3 bands
        tau = W sqrt(4 pi) sd(t) Gamma((d + v) / 2) / (Gamma(d / 2) Gamma((v + 1) / 2)) P^((d - 1) / 2) (1 - P)^((v - 1) / 2)

    for a peak of power P in N points, with W the range of frequencies [1/d] and sd(t) the weighted standard deviation of the times in a band
    [d], root mean square of the bands. It is the bound of Baluev (2008, MNRAS 385, 1279; eq. 5 and 6), which this is for one band, on the
    rate at which the share of d of d + v Gaussian numbers that turn with the frequency crosses P upwards (Rice 1944; Davies 1987). Close to the
    truth where the probability is small and frequencies far apart say different things; it knows nothing of noise that is correlated in time.
    """
    d, v = 2.0 * n_bands, n_points - 3.0 * n_bands
    with np.errstate(all="ignore"):
        rest = np.clip(1.0 - power, 1e-12, 1.0)
        log_tau = (
            np.log(bandwidth * time_sd * math.sqrt(4.0 * math.pi))
            + gammaln(0.5 * (d + v))
            - gammaln(0.5 * d)
            - gammaln(0.5 * (v + 1.0))
            + 0.5 * (d - 1.0) * np.log1p(-rest)
            + 0.5 * (v - 1.0) * np.log(rest)
        )
        single = betainc(0.5 * v, 0.5 * d, rest)
        chance = -np.expm1(np.log1p(-single) - np.exp(np.minimum(log_tau, 700.0)))
        found = np.where(chance > 1e-250, np.log(chance), log_tau) / math.log(10.0)
    return np.where(v > 0.0, found, np.nan)


def plain_power(mjd: FloatArray, band: NDArray[np.int8], flux: FloatArray, flux_err: FloatArray, frequency: FloatArray) -> FloatArray:
    """The plain twin of `periodogram` for one object: a linear least-squares fit per band and frequency. Returns the shape of `frequency`."""
    total, removed = 0.0, np.zeros(len(frequency))
    for b in range(len(BANDS)):
        t, y, e = mjd[band == b], flux[band == b], flux_err[band == b]
        if len(t) < MIN_BAND_POINTS:
            continue
        constant = np.sum(((y - np.average(y, weights=e**-2)) / e) ** 2)
        total += constant
        for j, f in enumerate(frequency):
            phase = 2.0 * math.pi * f * (t - mjd[0])
            design = np.column_stack([np.ones(len(t)), np.cos(phase), np.sin(phase)]) / e[:, None]
            fit = np.linalg.lstsq(design, y / e, rcond=None)[0]
            removed[j] += constant - np.sum((y / e - design @ fit) ** 2)
    return removed / total if total > 0.0 else removed
