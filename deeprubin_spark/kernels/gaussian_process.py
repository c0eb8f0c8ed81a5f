"""A Gaussian process in time and wavelength for every light curve: fit of its parameters, posterior mean, deviation and slope.

    cov(F(t, w), F(t', w')) = A^2 (1 + x) e^-x (1 + y) e^-y,    x = sqrt(3) |t - t'| / l,    y = sqrt(3) |w - w'| / s

Zero mean; noise diag(flux_err^2 + j^2). A [nJy] is the amplitude, l [d] the timescale, s [Angstrom] the wavelength scale, 6000 unless it is
fitted, j [nJy] the jitter: what the source does between the points faster than l can follow. Separable, unlike the isotropic kernel of
avocado (Boone 2019, arXiv:1907.04690). In state-space form (Hartikainen & Sarkka 2010) everything costs O(n) for n points.

The parameters are the most probable ones under a log-normal prior on l (median 22 d, sigma_ln 1), a flat one on ln A within a factor 1000 of
the object's own flux scale and on ln(j^2 + least flux_err^2 / 2), and a floor on l at twice the median gap between epochs: without it a
sparse curve is fitted as white noise. A fitted s has a log-normal prior (median 6000 Angstrom, sigma_ln 0.5). Everything is computed in units
of the object's flux scale, so a factor on flux and error moves A and j and nothing else. An error below 1e-6 of that scale counts as
that: more than double precision can hold, and than photometry can measure. The plain twin is `gaussian_process_twin.py`; what the
intervals are worth is in docs/gaussian_process.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.bands import BANDS
from deeprubin_spark.kernels.gaussian_process_bounds import TIMESCALE_MAX, band_objects, floor_objects, scale_objects
from deeprubin_spark.kernels.gaussian_process_evidence import (
    AMPLITUDE_RANGE,
    BAD_INPUT,
    FIT_FAILED,
    JITTER_MAX,
    LANES,
    NOISE_FLOOR,
    OK,
    TOO_FEW_POINTS,
    WAVELENGTH_SCALE,
    WAVELENGTH_SCALE_RANGE,
    evidence_objects,
    log_priors,
    prepare_objects,
)
from deeprubin_spark.kernels.gaussian_process_mixing import mix_objects
from deeprubin_spark.kernels.gaussian_process_posterior import solve_two_bands
from deeprubin_spark.kernels.gaussian_process_posterior_bands import solve_bands
from deeprubin_spark.kernels.gaussian_process_search import Design, climb, quadratic_design
from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves, has_usable_points

MIN_POINTS = 3
STATUS_NAMES: tuple[str, ...] = ("ok", "too_few_points", "bad_input", "fit_failed")

# The start grid: ln l across its range, A the root mean square flux, no jitter and much; (S, 3), A relative.
_STARTS = np.array([[fraction, 0.0, jitter] for jitter in (0.0, 0.8) for fraction in np.linspace(0.0, 1.0, 8)])
_MUCH_JITTER = _STARTS[:, 2] > 0.0
_RIVAL = 3.0  # a start with the other jitter and no more than this below the best is climbed from too
_SIZES = np.array([0.06, 0.35, 0.6, 0.35])  # of the first pattern: of the range of ln l, of ln A, of ln(j^2 + ...), of ln s
_FIXED_BANDS = quadratic_design(3, LANES)
_FITTED_BANDS = quadratic_design(4, 2 * LANES)


@dataclass(frozen=True)
class Fits:
    """Most probable parameters of B objects; NaN unless status is `OK`.

    amplitude : (B,) [nJy]      timescale : (B,) [d]      wavelength_scale : (B,) [Angstrom]      jitter : (B,) [nJy], 0 where there is none
    log_evidence : (B,) natural log of the density of the fluxes at these parameters, per nJy^n
    log_posterior : (B,) the same plus the log priors on ln l and ln s      scale : (B,) [nJy], unit of the fit      status : (B,) int8
    """

    amplitude: FloatArray
    timescale: FloatArray
    wavelength_scale: FloatArray
    jitter: FloatArray
    log_evidence: FloatArray
    log_posterior: FloatArray
    scale: FloatArray
    status: NDArray[np.int8]


class Posterior(NamedTuple):
    """What is known of the flux at Q times and W wavelengths: mean, sd (Q, W) [nJy], slope d mean / dt (Q, W) [nJy / d]."""

    mean: FloatArray
    sd: FloatArray
    slope: FloatArray


class LeaveOneOut(NamedTuple):
    """What all the other points say of each point's measured flux: mean and sd (N,) [nJy], the point's own error included."""

    mean: FloatArray
    sd: FloatArray


@dataclass(frozen=True)
class _Scaled:
    """Curves in units of their flux scale, flux and noise variance (N,), and what the evidence needs of them beside.

    bands : row of each point (N,), wavelengths (B, 6), how many (B,)      unit (N,), constants, spare, power (B,) as in `prepare_objects`
    """

    curves: LightCurves
    flux: FloatArray
    noise: FloatArray
    bands: tuple[NDArray[np.int64], FloatArray, NDArray[np.int64]]
    unit: FloatArray
    constants: FloatArray
    spare: FloatArray
    power: FloatArray

    def log_posterior(self, owner: NDArray[np.int64], candidates: FloatArray) -> FloatArray:
        """Of candidates (C, P, 4) of object owner (C,) each: (C, P); see `gaussian_process_evidence.py` for what a candidate is."""
        value, curves = np.empty(candidates.shape[:2]), self.curves
        points = curves.offsets, curves.mjd, self.flux, self.noise, self.unit
        evidence_objects(*points, self.bands, self.constants, self.spare, owner, candidates, value)
        return value


_BAND_WAVELENGTHS = np.array([band.wavelength for band in BANDS])


def flux_scale(curves: LightCurves) -> FloatArray:
    """Unit of the fit, s^2 = sum w (F^2 + sigma^2) / sum w with w = 1 / sigma^2: never zero, and grows with flux and error alike.

    Returns (B,) [nJy]; not finite for an object without points, or whose values are not, or too unlike for double precision.
    """
    scale = np.full(curves.n_objects, np.nan)
    scale_objects(curves.offsets, curves.flux, curves.flux_err, scale)
    return scale


def fit(curves: LightCurves) -> Fits:
    """Most probable amplitude, timescale and jitter of every object, bands correlated over 6000 Angstrom.

    Points of one object must stand in order of time; equal times may stand in any order. Status: `too_few_points` (< 3), `bad_input` (not
    finite, error not positive, unknown band, times not in order), `fit_failed` (no parameters on the start grid have an evidence).
    """
    return _fit(curves, (_FIXED_BANDS,))


def fit_with_bands(curves: LightCurves) -> Fits:
    """`fit`, then the most probable wavelength scale together with the other parameters. Costs about twice as much."""
    return _fit(curves, (_FIXED_BANDS, _FITTED_BANDS))


def _fit(curves: LightCurves, designs: tuple[Design, ...]) -> Fits:
    """Search with the designs one after the other, each from where the last one ended."""
    scale = flux_scale(curves)
    usable, few = has_usable_points(curves), np.diff(curves.offsets) < MIN_POINTS
    status = np.full(curves.n_objects, OK, np.int8)
    status[~np.isfinite(scale) | ~(scale > 0.0) | ~usable] = BAD_INPUT
    status[few & usable] = TOO_FEW_POINTS
    chosen = np.flatnonzero(status == OK)
    scaled = _scaled(curves, scale)
    low, high, middle = _bounds(scaled, chosen)
    place, best = np.full((curves.n_objects, 4), np.nan), np.full(curves.n_objects, np.nan)
    if len(chosen):
        found, value = _search(scaled, chosen, low, high, middle, designs)
        place[chosen], best[chosen] = found, np.where(value > -math.inf, value, np.nan)
    status[(status == OK) & np.isnan(best)] = FIT_FAILED
    scale = np.where(status == OK, scale, np.nan)
    unit = np.diff(curves.offsets) * np.log(scale)
    prior = log_priors(place)
    with np.errstate(invalid="ignore"):
        jitter = scale * np.sqrt(np.maximum(np.exp(place[:, 2]) - scaled.spare, 0.0))
    return Fits(
        scale * np.exp(place[:, 1]), np.exp(place[:, 0]), np.exp(place[:, 3]), jitter, best - prior - unit, best - unit, scale, status
    )


def _scaled(curves: LightCurves, scale: FloatArray) -> _Scaled:
    """The curves in units of their flux scale."""
    unit = np.repeat(scale, np.diff(curves.offsets))
    with np.errstate(all="ignore"):
        flux, noise = curves.flux / unit, np.maximum((curves.flux_err / unit) ** 2, NOISE_FLOOR)
    made = np.empty(len(noise)), *np.empty((3, curves.n_objects))
    prepare_objects(curves.offsets, flux, noise, *made)
    return _Scaled(curves, flux, noise, _bands(curves), *made)


def _bands(curves: LightCurves) -> tuple[NDArray[np.int64], FloatArray, NDArray[np.int64]]:
    """Row of each point (N,), wavelengths of each object's bands (B, 6), and how many they are (B,)."""
    bands = np.zeros(len(curves.mjd), np.int64), np.zeros((curves.n_objects, len(BANDS))), np.zeros(curves.n_objects, np.int64)
    band_objects(curves.offsets, curves.band, _BAND_WAVELENGTHS, *bands)
    return bands


def _bounds(scaled: _Scaled, chosen: NDArray[np.int64]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Box of the search for the chosen objects, low and high (C, 4), and the middle of the start grid in ln A (C,)."""
    floor = np.empty(scaled.curves.n_objects)
    floor_objects(scaled.curves.offsets, scaled.curves.mjd, floor)
    wide, spare, power = math.log(AMPLITUDE_RANGE), scaled.spare[chosen], scaled.power[chosen]
    low, high = np.empty((len(chosen), 4)), np.empty((len(chosen), 4))
    low[:, 0], high[:, 0] = np.log(floor[chosen]), math.log(TIMESCALE_MAX)
    low[:, 1], high[:, 1] = -wide, wide
    low[:, 2], high[:, 2] = np.log(spare), np.log(JITTER_MAX * power + spare)
    low[:, 3], high[:, 3] = math.log(WAVELENGTH_SCALE / WAVELENGTH_SCALE_RANGE), math.log(WAVELENGTH_SCALE * WAVELENGTH_SCALE_RANGE)
    return low, high, np.clip(0.5 * np.log(np.maximum(power, NOISE_FLOOR)), -wide, wide)


def _search(
    scaled: _Scaled, chosen: NDArray[np.int64], low: FloatArray, high: FloatArray, middle: FloatArray, designs: tuple[Design, ...]
) -> tuple[FloatArray, FloatArray]:
    """Most probable parameters of the chosen objects (C, 4), and their log posterior (C,): start grid, climbs, the higher top."""
    candidates = np.empty((len(chosen), len(_STARTS), 4))
    candidates[:, :, 0] = low[:, :1] + (high - low)[:, :1] * _STARTS[:, 0]
    candidates[:, :, 1] = np.clip(middle[:, None] + _STARTS[:, 1], low[:, 1:2], high[:, 1:2])
    candidates[:, :, 2] = low[:, 2:3] + (high - low)[:, 2:3] * _STARTS[:, 2]
    candidates[:, :, 3] = math.log(WAVELENGTH_SCALE)
    values = scaled.log_posterior(chosen, candidates)
    first = np.stack([np.where(much == _MUCH_JITTER, values, -math.inf).argmax(axis=1) for much in (False, True)])
    rows = np.arange(len(chosen))
    best, other = values[rows, first].max(axis=0), values[rows, first].min(axis=0)
    main = np.where(values[rows, first[0]] >= values[rows, first[1]], first[0], first[1])
    rivals = np.flatnonzero((other > best - _RIVAL) & (other > -math.inf))
    second = np.where(main == first[0], first[1], first[0])[rivals]
    climber = np.concatenate([rows, rivals])
    place = np.concatenate([candidates[rows, main], candidates[rivals, second]])
    value = np.concatenate([best, other[rivals]])
    sizes = np.tile(_SIZES, (len(climber), 1))
    sizes[:, 0] *= (high - low)[climber, 0]
    climb(scaled.log_posterior, chosen[climber], low[climber], high[climber], sizes, designs[0], place, value)
    won = value[len(rows) :] > value[rivals]
    place[rivals[won]], value[rivals[won]] = place[len(rows) :][won], value[len(rows) :][won]
    place, value = place[: len(rows)], value[: len(rows)]
    for design in designs[1:]:
        climb(scaled.log_posterior, chosen, low, high, sizes[: len(rows)], design, place, value)
    return place, value


def log_evidence(curves: LightCurves, fits: Fits) -> FloatArray:
    """Log evidence ln p(F | A, l, s, j) = -1/2 F^T K^-1 F - 1/2 ln |K| - n/2 ln 2 pi at any parameters, fitted or set.

    Points in order of time. Returns (B,), fluxes in nJy; NaN where the parameters are.
    """
    out = np.full(curves.n_objects, np.nan)
    chosen = np.flatnonzero(np.isfinite(fits.amplitude) & (np.diff(curves.offsets) > 0))
    scaled = _scaled(curves, fits.scale)
    place = np.column_stack(
        [
            np.log(fits.timescale),
            np.log(fits.amplitude / fits.scale),
            np.log((fits.jitter / fits.scale) ** 2 + scaled.spare),
            np.log(fits.wavelength_scale),
        ]
    )[chosen]
    value = scaled.log_posterior(chosen, np.repeat(place[:, None, :], LANES, axis=1))[:, 0] if len(chosen) else np.empty(0)
    out[chosen] = value - log_priors(place) - np.diff(curves.offsets)[chosen] * np.log(fits.scale[chosen])
    return np.where(np.isfinite(out), out, np.nan)


def posterior(
    curves: LightCurves, fits: Fits, query_offsets: NDArray[np.integer], query_mjd: FloatArray, wavelengths: FloatArray
) -> Posterior:
    """Posterior of the flux at each query time and every wavelength, in O(n + Q).

        m = k^T K^-1 F,    v = A^2 - k^T K^-1 k,    sd^2 = v (1 + m^2 / A^2) + j^2,    slope = dm / dt

    m and v are the process's mean and variance. The deviation is that of the source's flux at a time: it has the jitter, and where the source
    is brighter than A, the mean amplitude of its whole curve, it varies in proportion. Without that factor the intervals of bright
    points cover too little (docs/gaussian_process.md). A measurement has sd^2 + flux_err^2.

    query_offsets : (B + 1,), object b asks at query_mjd[query_offsets[b] : query_offsets[b + 1]], ascending [d]
    wavelengths : (W,) [Angstrom], any. Returns (Q, W) arrays; NaN where the object has no fit or its queries are not in order.
    """
    return posterior_and_weights(curves, fits, query_offsets, query_mjd, wavelengths)[0]


def posterior_and_weights(
    curves: LightCurves, fits: Fits, query_offsets: NDArray[np.integer], query_mjd: FloatArray, wavelengths: FloatArray
) -> tuple[Posterior, FloatArray]:
    """`posterior` and `data_weights` for little more than the cost of one; weights are NaN too where the queries are not in order."""
    answer = Posterior(*np.full((3, len(query_mjd), len(wavelengths)), np.nan))
    queries = np.ascontiguousarray(query_offsets, np.int64), np.ascontiguousarray(query_mjd, np.float64)
    in_order = ~_has_falling_times(*queries)
    weights, _ = _solve(curves, fits, in_order, queries, np.ascontiguousarray(wavelengths, np.float64), answer)
    return answer, weights / np.repeat(fits.scale, np.diff(curves.offsets))


def data_weights(curves: LightCurves, fits: Fits) -> FloatArray:
    """Weights K^-1 F of the points in the posterior mean: (N,) [1 / nJy]; NaN where the object has no fit.

    They also hold the residuals from it: F_i - m_i = (sigma_i^2 + j^2) (K^-1 F)_i.
    """
    return _duals(curves, fits)[0]


def leave_one_out(curves: LightCurves, fits: Fits) -> LeaveOneOut:
    """Prediction of each point from all the others at the parameters fitted to all, without a refit; NaN where the object has no fit.

    F_i - mean_i = (K^-1 F)_i / (K^-1)_ii,    sd_i^2 = 1 / (K^-1)_ii           (Rasmussen & Williams 2006, equation 5.12)
    """
    weights, precisions = _duals(curves, fits)
    return LeaveOneOut(curves.flux - weights / precisions, 1.0 / np.sqrt(precisions))


def _duals(curves: LightCurves, fits: Fits) -> tuple[FloatArray, FloatArray]:
    """K^-1 F [1 / nJy] and the diagonal of K^-1 [1 / nJy^2]: (N,) each."""
    none, every = np.zeros(curves.n_objects + 1, np.int64), np.ones(curves.n_objects, np.bool_)
    weights, precisions = _solve(curves, fits, every, (none, np.empty(0)), np.empty(0), Posterior(*np.empty((3, 0, 0))))
    unit = np.repeat(fits.scale, np.diff(curves.offsets))
    return weights / unit, precisions / unit**2


def _solve(
    curves: LightCurves,
    fits: Fits,
    wanted: NDArray[np.bool_],
    queries: tuple[NDArray[np.int64], FloatArray],
    wavelengths: FloatArray,
    answer: Posterior,
) -> tuple[FloatArray, FloatArray]:
    """Fill the answers of the wanted objects, and return K^-1 F and the diagonal of K^-1 in units of the flux scale: (N,) each."""
    dual = np.full(len(curves.mjd), np.nan), np.full(len(curves.mjd), np.nan)
    counts, n_bands = np.diff(curves.offsets), len(BANDS)
    unit, jitter = np.repeat(fits.scale, counts), np.repeat(fits.jitter / fits.scale, counts)
    with np.errstate(all="ignore"):
        flux, noise = curves.flux / unit, np.maximum((curves.flux_err / unit) ** 2, NOISE_FLOOR) + jitter**2
    rows, present, n_present = _bands(curves)
    mixed = (
        np.empty((curves.n_objects, n_bands, n_bands)),
        np.empty((curves.n_objects, len(wavelengths), n_bands)),
        np.empty((curves.n_objects, len(wavelengths))),
    )
    mix_objects(present, n_present, fits.wavelength_scale, wavelengths, *mixed)
    amplitude = np.where(wanted, fits.amplitude / fits.scale, np.nan)
    parameters = np.column_stack([amplitude, fits.jitter / fits.scale, fits.timescale, fits.scale])
    points = curves.offsets, curves.mjd, rows, flux, noise
    for solve in (solve_two_bands, solve_bands):
        solve(points, (n_present, *mixed), parameters, queries, (answer[0], answer[1], answer[2]), dual)
    return dual


def _has_falling_times(offsets: NDArray[np.int64], time: FloatArray) -> NDArray[np.bool_]:
    """Whether an object's times fall anywhere: (B,)."""
    falls = np.zeros(len(time) + 1, np.int64)
    falls[1:-1] = ~(time[1:] >= time[:-1]) if len(time) > 1 else 0
    first = offsets[:-1][np.diff(offsets) > 0]
    falls[first] = 0
    total = np.concatenate([np.zeros(1, np.int64), np.cumsum(falls[:-1])])
    has: NDArray[np.bool_] = total[offsets[1:]] > total[offsets[:-1]]
    return has
