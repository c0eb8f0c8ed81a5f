"""The search for periods: its kernel beside light-curve and astropy, a night's mean with its gates, and real stars of known period."""

from __future__ import annotations

from pathlib import Path

import light_curve
import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
from astropy.timeseries import LombScargle
from numpy.typing import NDArray

from deeprubin_spark.bands import band_index
from deeprubin_spark.kernels.band_groups import MIN_BAND_POINTS, band_groups
from deeprubin_spark.kernels.due_periods import N_COLUMNS, fill_period_features
from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves, chosen_points, light_curves
from deeprubin_spark.kernels.period_search import PERIOD_FEATURE_NAMES, find_periods
from deeprubin_spark.kernels.periodogram import FrequencyGrids, highest_peaks, periodogram
from tests.perf.clock import cheapest
from tests.perf.light_curves import by_band, repeated, standard_mix, tonight
from tests.perf.rows import Measured, Row
from tests.perf.workplace import Workplace

N_FREQUENCIES = 10_000
_HIGHEST = 10.0  # [1/d]
_STEP = _HIGHEST / N_FREQUENCIES
_FAST = 1 << 14  # light-curve's FFT takes a power of two of frequencies, and one: the next above
STARS = "sdss_s82_rrlyrae.parquet"
PERIODS = "sdss_s82_rrlyrae_periods.csv"
EXACT = 1e-3
TOLD_APART = 3e-4  # single precision: the determinant is off by 1e-7, and the power by 1e-7 over it


def kernel_and_light_curve(place: Workplace) -> Measured:
    """The highest of 10^4 frequencies, floating mean in g and in r; the package's FFT searches 16,385, each band by itself."""
    curves = standard_mix(100)
    batch = repeated(curves, 3)
    ours = cheapest(lambda: _highest(batch), batch.n_objects)
    search = light_curve.Periodogram(peaks=1, freqs=np.linspace(0.0, _HIGHEST, _FAST + 1), fast=True)
    bands = [curve for curve in by_band(curves) if len(curve[0]) >= MIN_BAND_POINTS]
    peer = cheapest(lambda: [search(*curve, sorted=True, check=False) for curve in bands], curves.n_objects)
    return Measured(ours, batch.n_objects, peer)


def kernel_and_astropy(place: Workplace) -> Measured:
    """The same frequencies by astropy's fast method, each band by itself; its exact method says how good our power and highest peaks are.

    Compared where the sinusoids are told apart (`_is_told_apart`): elsewhere the kernel says by design that there is no power.
    """
    curves = standard_mix(16)
    batch = repeated(curves, 10)
    ours = cheapest(lambda: _highest(batch), batch.n_objects)
    peer = cheapest(lambda: [_power_by_astropy(curves, k, "fast") for k in range(curves.n_objects)], curves.n_objects)
    power = periodogram(band_groups(curves, np.arange(curves.n_objects), 0.0), _STEP, _STEP, N_FREQUENCIES)
    exact = np.array([_power_by_astropy(curves, k, "cython") for k in range(curves.n_objects)])
    compared = np.array([_is_told_apart(curves, k) for k in range(curves.n_objects)])
    power, exact = np.where(compared, power, 0.0), np.where(compared, exact, 0.0)
    same = np.abs(power.argmax(axis=1) - exact.argmax(axis=1)) <= 1
    accuracy = {
        "power off by": float(np.abs(power - exact).max()),
        "same highest frequency, share": float(same.mean()),
        "frequencies compared, share": float(compared.mean()),
    }
    return Measured(ours, batch.n_objects, peer, accuracy)


def night(place: Workplace) -> Measured:
    """Each object's last point became known tonight; the others' period is copied from the night before."""
    curves, known_night = tonight(standard_mix(2000))
    before = known_night < known_night.max()
    cached, found = np.empty((curves.n_objects, N_COLUMNS)), np.empty((curves.n_objects, N_COLUMNS))
    fill_period_features(chosen_points(curves, before), known_night[before], None, cached, 0)
    cost = cheapest(lambda: fill_period_features(curves, known_night, cached, found, 0), curves.n_objects)
    searched = np.isfinite(found[:, 0]) & (found[:, 0] != cached[:, 0])
    return Measured(cost, curves.n_objects, accuracy={"searched, share": float(searched.mean())})


def search(place: Workplace) -> Measured:
    """Every object searched from 0.05 d to twice its time span, with harmonics and aliases."""
    curves = standard_mix(200)
    every = np.ones(curves.n_objects, np.bool_)
    return Measured(cheapest(lambda: find_periods(curves, every), curves.n_objects), curves.n_objects)


def known_stars(place: Workplace) -> Measured:
    """RR Lyrae of SDSS stripe 82 (Sesar et al. 2010), all five bands, any period from 0.05 d on."""
    assert place.data is not None
    curves, periods = _stars(place.data)
    every = np.ones(curves.n_objects, np.bool_)
    everywhere: list[FloatArray] = []

    def in_phase() -> None:
        everywhere[:] = [find_periods(curves, every, max_frequencies=1 << 40)]

    cost = cheapest(in_phase, curves.n_objects)
    of_a_night = find_periods(curves, every)
    accuracy = {"periods exact, share": _exact(everywhere[0], periods), "with a night's 10,000 frequencies": _exact(of_a_night, periods)}
    return Measured(cost, curves.n_objects, accuracy=accuracy)


def _highest(curves: LightCurves) -> tuple[FloatArray, FloatArray]:
    """Highest peak of every object among 10^4 frequencies: frequency and power, (B, 1) each."""
    every = np.arange(curves.n_objects)
    ones = np.ones(len(every))
    grids = FrequencyGrids(_STEP * ones, _HIGHEST * ones, _STEP * ones, np.ones(len(every), np.int64))
    return highest_peaks(band_groups(curves, every, 0.0), grids, 1)


def _power_by_astropy(curves: LightCurves, k: int, method: str) -> FloatArray:
    """Share of an object's chi-squared that a sinusoid of each frequency removes, bands added."""
    rows = slice(curves.offsets[k], curves.offsets[k + 1])
    frequency, removed, total = _STEP * np.arange(1, N_FREQUENCIES + 1), np.zeros(N_FREQUENCIES), 0.0
    for b in np.unique(curves.band[rows]):
        own = curves.band[rows] == b
        if own.sum() < MIN_BAND_POINTS:
            continue
        time, flux, error = (column[rows][own] for column in (curves.mjd, curves.flux, curves.flux_err))
        constant = np.sum(((flux - np.average(flux, weights=error**-2)) / error) ** 2)
        removed += constant * LombScargle(time, flux, error).power(frequency, method=method, assume_regular_frequency=True)
        total += constant
    return removed / total if total else removed


def _is_told_apart(curves: LightCurves, k: int) -> NDArray[np.bool_]:
    """Frequencies at which each band's points tell sine, cosine and constant apart: CC SS - CS^2 (`periodogram`) of at least `TOLD_APART`.

    Not so below about a third of a cycle in the band's time span, and where few points happen to lie at like phases.
    """
    rows = slice(curves.offsets[k], curves.offsets[k + 1])
    angle = 2.0 * np.pi * _STEP * np.arange(1, N_FREQUENCIES + 1)
    is_told = np.ones(N_FREQUENCIES, np.bool_)
    for b in np.unique(curves.band[rows]):
        own = curves.band[rows] == b
        if own.sum() >= MIN_BAND_POINTS:
            phase, weight = angle[:, None] * (curves.mjd[rows][own] - curves.mjd[rows][0]), curves.flux_err[rows][own] ** -2.0
            wave = np.exp(1j * phase)
            mean, square = np.average(wave, axis=1, weights=weight), np.average(wave**2, axis=1, weights=weight)
            cc, ss = 0.5 * (1.0 + square.real) - mean.real**2, 0.5 * (1.0 - square.real) - mean.imag**2
            is_told &= cc * ss - (0.5 * square.imag - mean.real * mean.imag) ** 2 >= TOLD_APART
    return is_told


def _stars(data: Path) -> tuple[LightCurves, FloatArray]:
    """Light curves and periods of the stars, from magnitudes; a point without one is left out."""
    table = pq.read_table(data / STARS)
    truth = pyarrow.csv.read_csv(data / PERIODS)
    period_of = {str(star): period for star, period in zip(truth["Num"].to_pylist(), truth["Per"].to_pylist(), strict=True)}
    star = np.asarray(table["object_id"].to_pylist())
    time, magnitude, error = (table[name].to_numpy() for name in ("time", "mag", "magerr"))
    band = np.array([band_index(name) for name in table["band"].to_pylist()], np.int8)
    is_good = (magnitude > 10.0) & (magnitude < 24.0) & (error > 0.0) & (error < 1.0) & np.isin(star, list(period_of))
    order = np.flatnonzero(is_good)[np.lexsort((time[is_good], star[is_good]))]
    names, counts = np.unique(star[order], return_counts=True)
    flux = 10.0 ** ((31.4 - magnitude[order]) / 2.5)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    curves = light_curves(offsets, time[order], band[order], flux, flux * error[order] * np.log(10.0) / 2.5)
    return curves, np.array([period_of[name] for name in names])


def _exact(found: FloatArray, periods: FloatArray) -> float:
    best: NDArray[np.float64] = found[:, PERIOD_FEATURE_NAMES.index("period")]
    return float(np.mean(np.abs(best / periods - 1.0) < EXACT))


ROWS = (
    Row("period_kernel", "periodogram, 10^4 frequencies, 1 harmonic, 2 bands", "object", kernel_and_light_curve, "light-curve", 180.0, 4.0),
    Row(
        "period_kernel_astropy",
        "the same",
        "object",
        kernel_and_astropy,
        "astropy",
        most={"power off by": 1e-3},
        least={"same highest frequency, share": 0.95, "frequencies compared, share": 0.99},
    ),
    Row("period_search", "period, every object searched", "object", search),
    Row("period", "period, searched where due: a night's mean", "object", night, "", 50.0),
    Row(
        "period_rr_lyrae",
        "periods of RR Lyrae, 5 bands, 9 years, all frequencies in phase",
        "star",
        known_stars,
        least={"periods exact, share": 0.95},
        needs_data=True,
    ),
)
