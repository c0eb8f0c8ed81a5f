"""Harmonic fits of one period to all bands: which of a few candidate frequencies is the star's own, and the shape of its curve.

In band b, with weights that sum to 1 and the flux of `BandGroups`, harmonics h = 1 .. H_b are fitted by linear least squares,

    y = m + sum_h a_h cos(2 pi h f t) + b_h sin(2 pi h f t),      least  sum_i w_i (y_i - y(t_i))^2 + r/n sum_h h^2 (a_h^2 + b_h^2),   r = 0.1.

H_b is at most H and (n - 1) / 4 for n points. The small second term keeps a fit from swinging where no phase was seen (VanderPlas & Ivezic 2015).
A frequency is chosen, with its H <= 4, by the Bayesian information criterion against a constant flux (Schwarz 1978), in two forms:

    N ln(1 - gain) + sum_b 2 H_b ln N        normal noise of unknown size, gain the share of chi-squared removed: which few are looked at closely
    evidence = 2 N ln(R_0 / R_H) - sum_b 2 H_b ln N     Laplace's noise, R the sum of |residual| / error: which of these wins

N points in all bands. Absolute residuals forgive a star that changes from cycle to cycle, and outliers. A sinusoid's periodogram confuses a
frequency with its multiples, and with f +- 1 per day, sidereal day and year where the star was seen at about one hour or season. Each of the
highest peaks is therefore tried together with these. Of two frequencies of which one is double or triple of the other, the lower needs an
evidence greater by 10: it always fits as well. So does any frequency against a trend of less than 1.5 cycles in the time span, where that is in
the range: seen once a night, a supernova looks like a period near a day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.kernels import harmonic_fit as compiled
from deeprubin_spark.kernels.band_groups import BandGroups
from deeprubin_spark.kernels.harmonic_fit import MAX_HARMONICS, RIDGE
from deeprubin_spark.kernels.light_curves import FloatArray

LEAST_HARMONICS = 3  # of the fit that describes the curve, where a band has the points for them


@dataclass(frozen=True)
class Choice:
    """The frequencies chosen for C objects.

    frequency, evidence : (C, 2) [1/d], [1], of the best and of the second best, which is another peak; NaN where there is none
    n_harmonics : (C,) int64 of the best, 0 where there is none
    """

    frequency: FloatArray
    evidence: FloatArray
    n_harmonics: NDArray[np.int64]


@dataclass(frozen=True)
class Description:
    """The curves of C objects with G bands, folded with the chosen frequency f.

    gain : (C,) share of chi-squared removed by the chosen harmonics      power : (C, 4) share removed by one sinusoid of f, 2 f, f / 2 and the peak
    coefficients : (G, 2 x 4) a_1, b_1, a_2, ... in units of `BandGroups.scale`, of at least three harmonics where a band has the points; else 0
    """

    gain: FloatArray
    power: FloatArray
    coefficients: FloatArray


def choose(bands: BandGroups, peaks: FloatArray, low: FloatArray, high: FloatArray) -> Choice:
    """The best of the periodogram's peaks (C, P) [1/d], highest first, their multiples and aliases within [low, high] (C,)."""
    n = bands.n_objects
    frequency, evidence, n_harmonics = np.full((n, 2), np.nan), np.full((n, 2), np.nan), np.zeros(n, np.int64)
    compiled.choose_of_objects(*_arrays(bands), bands.span, low, high, peaks, frequency, evidence, n_harmonics)
    return Choice(frequency, evidence, n_harmonics)


def describe(bands: BandGroups, choice: Choice, peak: FloatArray) -> Description:
    """The fits at the chosen frequencies, and one sinusoid's at the highest peak's (C,) [1/d]; NaN and 0 where there is none."""
    n = bands.n_objects
    gain, power, coefficients = np.full(n, np.nan), np.full((n, 4), np.nan), np.zeros((len(bands.counts), 2 * MAX_HARMONICS))
    frequency, peak = np.ascontiguousarray(choice.frequency[:, 0]), np.ascontiguousarray(peak)
    compiled.describe_objects(*_arrays(bands), frequency, peak, choice.n_harmonics, LEAST_HARMONICS, gain, power, coefficients)
    return Description(gain, power, coefficients)


def plain_fit(time: FloatArray, flux: FloatArray, weight: FloatArray, frequency: float, n_harmonics: int) -> tuple[FloatArray, float]:
    """The plain twin of one band's fit: coefficients (2 H,) and the value that its least-squares problem falls by, from a constant's.

    time (n,) [d]; weight (n,) with the sum 1. The problem is solved as one with extra rows that ask for zeros.
    """
    phase = 2.0 * np.pi * frequency * time
    terms = np.column_stack([wave(h * phase) for h in range(1, n_harmonics + 1) for wave in (np.cos, np.sin)])
    root = np.sqrt(weight)
    design = np.column_stack([np.ones(len(time)), terms]) * root[:, None]
    wish = np.sqrt(RIDGE / len(time)) * np.repeat(np.arange(1, n_harmonics + 1), 2)
    rows = np.vstack([design, np.column_stack([np.zeros(2 * n_harmonics), np.diag(wish)])])
    right = np.concatenate([root * flux, np.zeros(2 * n_harmonics)])
    found = np.linalg.lstsq(rows, right, rcond=None)[0]
    constant = np.sum(weight * (flux - np.sum(weight * flux)) ** 2)
    return found[1:], float(constant - np.sum((right - rows @ found) ** 2))


def _arrays(bands: BandGroups) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], FloatArray, FloatArray, FloatArray]:
    return bands.groups, bands.bounds, bands.counts, bands.time, bands.flux, bands.weight
