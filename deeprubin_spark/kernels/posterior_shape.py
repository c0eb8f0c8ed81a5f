"""Peaks, their shape and colours from a Gaussian process's posterior at equal steps in time.

Between two grid times the posterior mean is taken as the cubic with its values and slopes there (Hermite); its standard deviation as a
straight line. A curve is looked at between the first and the last point; it is cut at its extremes into monotonic pieces, so that peaks,
dips and crossings are found to rounding. The posterior itself has structure below a step only where points are closer than that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deeprubin_spark.kernels.light_curves import FloatArray

SHAPES: tuple[str, ...] = (
    "rise_80",
    "rise_50",
    "rise_20",
    "fall_80",
    "fall_50",
    "fall_20",
    "width",
    "trough",
    "n_peaks",
    "second_peak_fraction",
    "dm15",
)
LEVELS: tuple[float, ...] = (0.8, 0.5, 0.2)  # of the peak's flux
COLOUR_PHASES: tuple[float, ...] = (-20.0, -10.0, 0.0, 10.0, 20.0, 30.0, 45.0, 60.0)  # [d] from the peak
SLOPE_PHASE = 20.0  # [d] one of them: the colour's slope is from the peak to there
PEAK_DIP = 0.1  # of the peak's flux: a shallower dip between two maxima does not make them two
DECLINE_TIME = 15.0  # [d]

_N_SHAPES = len(SHAPES)
_N_PHASES = len(COLOUR_PHASES)
_AT_PEAK, _AT_SLOPE = COLOUR_PHASES.index(0.0), COLOUR_PHASES.index(SLOPE_PHASE)
_N_ITERATIONS = 60
_TOLERANCE = 1e-7  # of a step in time: of the last move; Newton's rule doubles the digits of the one before

Curve = tuple[float, FloatArray, FloatArray]  # step [d]; flux and its slope times the step, at T grid times
Knots = tuple[FloatArray, FloatArray]  # time in steps and flux where the monotonic pieces of a curve meet
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class PosteriorGrid:
    """Posterior of B objects in W bands at T equal steps in time, which span the points used and `margin` [d] to either side.

    start, step : (B,) [d] first time (MJD) and step      mean, sd : (B, W, T) [nJy]      slope : (B, W, T) [nJy / d], of the mean.
    NaN for an object without posterior.
    """

    start: FloatArray
    step: FloatArray
    mean: FloatArray
    sd: FloatArray
    slope: FloatArray
    margin: float


def n_shape_features(n_bands: int) -> int:
    """Columns of `fill_shape_features`."""
    n_pairs = max(n_bands - 1, 0)
    return n_bands * (2 + _N_SHAPES) + n_pairs * (2 + _N_PHASES + 1) + 1


def fill_shape_features(grid: PosteriorGrid, out: FloatArray, column: int) -> FloatArray:
    """Peaks, shapes and colours into out (B, F) from `column` on; what does not exist is left as it is.

    In this order: peak flux and its S/N of each band; time between the peaks and flux ratio of each pair of neighbouring bands; age of
    the peak of the bands' sum; `SHAPES` of each band; colours at `COLOUR_PHASES` and their slope of each pair. Formulas: feature catalogue.
    Returns (B,) [d] MJD of the peak of the bands' sum; NaN for an object without posterior.
    """
    peak_mjd = np.full(len(out), np.nan)
    _shape_objects(grid.start, grid.step, grid.mean, grid.sd, grid.slope, grid.margin, out, column, peak_mjd)
    return peak_mjd


def plain_shapes(time: FloatArray, flux: FloatArray) -> dict[str, float]:
    """The plain twin of the `SHAPES` for one curve sampled densely, (M,) each, whose peak is positive; exact for many samples."""
    peak = int(flux.argmax())
    found = {}
    for level in LEVELS:
        for name, side in (("rise", slice(peak, None, -1)), ("fall", slice(peak, None))):
            below = np.flatnonzero(flux[side] < level * flux[peak])
            found[f"{name}_{level * 100:.0f}"] = abs(time[side][below[0]] - time[peak]) if len(below) else np.nan
    bright = np.maximum(flux, 0.0)
    tops = _plain_tops(flux, PEAK_DIP * flux[peak])
    later = np.interp(time[peak] + DECLINE_TIME, time, flux, right=np.nan)
    found["width"] = np.sum(0.5 * (bright[1:] + bright[:-1]) * np.diff(time)) / flux[peak]
    found["trough"] = flux.min() / flux[peak]
    found["n_peaks"] = float(len(tops))
    found["second_peak_fraction"] = tops[1] / flux[peak] if len(tops) > 1 else 0.0
    found["dm15"] = 2.5 * np.log10(flux[peak] / later) if later > 0.0 else np.nan
    return {name: float(found[name]) for name in SHAPES}


def _plain_tops(flux: FloatArray, depth: float) -> list[float]:
    """Maxima, highest first, that stand more than `depth` above all dips between them and a higher one (their topographic prominence)."""
    tops = []
    for i in range(len(flux)):
        is_top = (i == 0 or flux[i] > flux[i - 1]) and (i == len(flux) - 1 or flux[i] >= flux[i + 1])
        if not is_top:
            continue
        left, right = np.flatnonzero(flux[:i] >= flux[i]), np.flatnonzero(flux[i + 1 :] > flux[i])
        dips = [flux[left[-1] : i].min()] if len(left) else []
        dips += [flux[i + 1 : i + 1 + right[0] + 1].min()] if len(right) else []
        if not dips or flux[i] - max(dips) > depth:
            tops.append(float(flux[i]))
    return sorted(tops, reverse=True)


@njit(cache=True, nogil=True)
def _value(curve: Curve, time: float) -> float:
    """The curve at a time in steps."""
    _, flux, slope = curve
    i = min(max(int(time), 0), len(flux) - 2)
    u, rise = time - i, flux[i + 1] - flux[i]
    bend, twist = 3.0 * rise - 2.0 * slope[i] - slope[i + 1], slope[i] + slope[i + 1] - 2.0 * rise
    return float(flux[i] + u * (slope[i] + u * (bend + u * twist)))


@njit(cache=True, nogil=True)
def _line(values: FloatArray, time: float) -> float:
    """Straight line between values at whole steps."""
    i = min(max(int(time), 0), len(values) - 2)
    return float(values[i] + (time - i) * (values[i + 1] - values[i]))


@njit(cache=True, nogil=True)
def _sum_steps(flux: FloatArray, slope: FloatArray, sums: FloatArray) -> None:
    """Integral of the curve from its start to each grid time, in flux times steps, into sums (T,)."""
    sums[0] = 0.0
    for i in range(len(flux) - 1):
        sums[i + 1] = sums[i] + (0.5 * (flux[i] + flux[i + 1]) + (slope[i] - slope[i + 1]) / 12.0)


@njit(cache=True, nogil=True)
def _integral(flux: FloatArray, slope: FloatArray, sums: FloatArray, time: float) -> float:
    """Integral of the curve from its start to a time in steps, in flux times steps; sums (T,) are `_sum_steps`'."""
    i = min(int(time), len(flux) - 2)
    u, rise = time - i, flux[i + 1] - flux[i]
    bend, twist = 3.0 * rise - 2.0 * slope[i] - slope[i + 1], slope[i] + slope[i + 1] - 2.0 * rise
    return float(sums[i] + u * (flux[i] + u * (slope[i] / 2.0 + u * (bend / 3.0 + u * twist / 4.0))))


@njit(cache=True, nogil=True, error_model="numpy")
def _root(curve: Curve, start: float, end: float, level: float) -> float:
    """Where a monotonic piece of the curve within a step crosses the level, which lies between its ends: Newton's rule within a bracket."""
    _, flux, slope = curve
    i = min(int(0.5 * (start + end)), len(flux) - 2)
    rise, rate = flux[i + 1] - flux[i], slope[i]
    bend, twist = 3.0 * rise - 2.0 * rate - slope[i + 1], rate + slope[i + 1] - 2.0 * rise
    below, above = start - i, end - i
    low = flux[i] + below * (rate + below * (bend + below * twist)) - level
    high = flux[i] + above * (rate + above * (bend + above * twist)) - level
    if low > high:
        below, above, low, high = above, below, high, low
    u = below - low * (above - below) / (high - low) if high > low else below
    for _ in range(_N_ITERATIONS):
        value = flux[i] + u * (rate + u * (bend + u * twist)) - level
        if value < 0.0:
            below = u
        else:
            above = u
        move = -value / (rate + u * (2.0 * bend + u * 3.0 * twist))
        if not (min(below, above) <= u + move <= max(below, above)):
            move = 0.5 * (below + above) - u
        u += move
        if abs(move) < _TOLERANCE:
            break
    return i + u


@njit(cache=True, nogil=True, error_model="numpy")
def _discriminants(flux: FloatArray, slope: FloatArray, out: FloatArray) -> None:
    """Of the slope's quadratic in each of T - 1 steps, into out: positive where it has roots; -1 where a cubic surely has no extreme.

    That is where it rises as its slopes do and they are below three times the mean one (Fritsch & Carlson 1980).
    """
    for i in range(len(flux) - 1):
        rise = flux[i + 1] - flux[i]
        bend, twist = 3.0 * rise - 2.0 * slope[i] - slope[i + 1], slope[i] + slope[i + 1] - 2.0 * rise
        up, most = math.copysign(1.0, rise), 3.0 * abs(rise)
        low, high = min(up * slope[i], up * slope[i + 1]), max(up * slope[i], up * slope[i + 1])
        out[i] = -1.0 if (low > 0.0) & (high <= most) else bend * bend - 3.0 * twist * slope[i]


@njit(cache=True, nogil=True)
def _cubic(flux: float, next_flux: float, slope: float, next_slope: float, u: float) -> float:
    """A step's cubic at u in [0, 1]."""
    rise = next_flux - flux
    bend, twist = 3.0 * rise - 2.0 * slope - next_slope, slope + next_slope - 2.0 * rise
    return flux + u * (slope + u * (bend + u * twist))


@njit(cache=True, nogil=True, error_model="numpy")
def _extremes(rise: float, slope: float, next_slope: float, inside: float) -> tuple[float, float]:
    """Where in a step of this discriminant the cubic has its extremes, the earlier first."""
    bend, twist = 3.0 * rise - 2.0 * slope - next_slope, slope + next_slope - 2.0 * rise
    q = -(bend + math.copysign(math.sqrt(inside), bend))
    one, two = q / (3.0 * twist), slope / q
    return min(one, two), max(one, two)


@njit(cache=True, nogil=True, error_model="numpy")
def _knots(flux: FloatArray, slope: FloatArray, first: float, last: float, scratch: FloatArray) -> int:
    """Ends of the monotonic pieces of a curve from `first` to `last` (in steps) into scratch[0], times, and [1], fluxes; returns their number.

    flux, slope (T,) as in `Curve`      scratch (at least 3, 3 T) : its third row is room
    """
    times, fluxes, inside = scratch[0], scratch[1], scratch[2]
    _discriminants(flux, slope, inside)
    i, end = int(first), min(int(math.ceil(last)), len(flux) - 1)
    times[0], fluxes[0] = first, _cubic(flux[i], flux[i + 1], slope[i], slope[i + 1], first - i)
    n = 1
    for i in range(int(first), end):
        one_flux, next_flux, rate, next_rate = flux[i], flux[i + 1], slope[i], slope[i + 1]
        low, high = max(first, float(i)), min(last, i + 1.0)
        if inside[i] > 0.0:
            one, two = _extremes(next_flux - one_flux, rate, next_rate, inside[i])
            if low < i + one < high:
                times[n], fluxes[n] = i + one, _cubic(one_flux, next_flux, rate, next_rate, one)
                n += 1
            if low < i + two < high and two > one:
                times[n], fluxes[n] = i + two, _cubic(one_flux, next_flux, rate, next_rate, two)
                n += 1
        times[n], fluxes[n] = high, next_flux if high == i + 1.0 else _cubic(one_flux, next_flux, rate, next_rate, high - i)
        n += 1
    return n


@njit(cache=True, nogil=True)
def _highest(fluxes: FloatArray) -> int:
    """Index of the highest knot."""
    best = 0
    for k in range(1, len(fluxes)):
        if fluxes[k] > fluxes[best]:
            best = k
    return best


@njit(cache=True, nogil=True)
def _tops(fluxes: FloatArray, depth: float) -> tuple[int, float]:
    """Maxima, ends included, that are parted by dips of more than `depth`: their number, at least 1, and the second-highest's flux."""
    n_tops, top, bottom, highest, second = 0, -math.inf, math.inf, -math.inf, -math.inf
    rising = True
    for k in range(len(fluxes) + 1):
        is_over = k == len(fluxes)
        if rising:
            if not is_over:
                top = max(top, fluxes[k])
            if is_over or fluxes[k] < top - depth:
                n_tops += 1
                second = max(second, min(highest, top))
                highest = max(highest, top)
                if not is_over:
                    bottom, rising = fluxes[k], False
        elif not is_over:
            bottom = min(bottom, fluxes[k])
            if fluxes[k] > bottom + depth:
                top, rising = fluxes[k], True
    return n_tops, second


@njit(cache=True, nogil=True)
def _fill_crossings(curve: Curve, times: FloatArray, fluxes: FloatArray, peak: int, step: int, row: FloatArray) -> None:
    """Times from the peak's knot to where the curve, going by `step`, first falls below each of `LEVELS`, which fall, into row (3,)."""
    k = peak + step
    for i in range(len(LEVELS)):
        level = LEVELS[i] * fluxes[peak]
        while 0 <= k < len(times) and fluxes[k] >= level:
            k += step
        if not 0 <= k < len(times):
            return
        row[i] = curve[0] * abs(_root(curve, times[k - step], times[k], level) - times[peak])


@njit(cache=True, nogil=True)
def _bright_area(curve: Curve, times: FloatArray, fluxes: FloatArray, sums: FloatArray) -> float:
    """Integral of max(flux, 0) over the knots' span, in flux times steps; sums (T,) is room."""
    _, flux, slope = curve
    _sum_steps(flux, slope, sums)
    last = len(times) - 1
    area = -_integral(flux, slope, sums, times[0]) if fluxes[0] >= 0.0 else 0.0
    for k in range(1, last + 1):
        was_bright, is_bright = fluxes[k - 1] >= 0.0, fluxes[k] >= 0.0
        if was_bright != is_bright:
            until = _integral(flux, slope, sums, _root(curve, times[k - 1], times[k], 0.0))
            area += until if was_bright else -until
    return area + _integral(flux, slope, sums, times[last]) if fluxes[last] >= 0.0 else area


@njit(cache=True, nogil=True)
def _shape(curve: Curve, times: FloatArray, fluxes: FloatArray, peak: int, room: FloatArray, row: FloatArray) -> None:
    """`SHAPES` of a curve with knots (K,) whose peak's flux is positive, into row (11,); room (T,)."""
    step, height, time = curve[0], fluxes[peak], times[peak]
    _fill_crossings(curve, times, fluxes, peak, -1, row[: len(LEVELS)])
    _fill_crossings(curve, times, fluxes, peak, 1, row[len(LEVELS) : 2 * len(LEVELS)])
    row[6] = step * _bright_area(curve, times, fluxes, room) / height
    row[7] = fluxes.min() / height
    n_tops, second = _tops(fluxes, PEAK_DIP * height)
    row[8], row[9] = n_tops, second / height if n_tops > 1 else 0.0
    if time + DECLINE_TIME / step <= times[-1]:
        later = _value(curve, time + DECLINE_TIME / step)
        if later > 0.0:
            row[10] = 2.5 * math.log10(height / later)


@njit(cache=True, nogil=True)
def _colours(one: Curve, other: Curve, one_sd: FloatArray, other_sd: FloatArray, peak: float, row: FloatArray) -> None:
    """Bounded colours of two bands at `COLOUR_PHASES` from the peak (in steps), within the grid, and their slope, into row (9,)."""
    step, last = one[0], len(one[1]) - 1.0
    for p in range(_N_PHASES):
        time = peak + COLOUR_PHASES[p] / step
        if 0.0 <= time <= last:
            blue, red = _value(one, time), _value(other, time)
            blue_sd, red_sd = _line(one_sd, time), _line(other_sd, time)
            row[p] = (blue - red) / (abs(blue) + abs(red) + math.sqrt(blue_sd * blue_sd + red_sd * red_sd))
    row[_N_PHASES] = (row[_AT_SLOPE] - row[_AT_PEAK]) / SLOPE_PHASE


@njit(cache=True, nogil=True)
def _pairs(peaks: FloatArray, step: float, row: FloatArray) -> None:
    """Time between the peaks and flux ratio of each pair of neighbouring bands, into row (2 P,); peaks (W, 3): time, flux, sd."""
    for p in range(len(peaks) - 1):
        row[2 * p] = step * (peaks[p, 0] - peaks[p + 1, 0])
        if peaks[p, 1] > peaks[p, 2] and peaks[p + 1, 1] > peaks[p + 1, 2]:
            row[2 * p + 1] = peaks[p, 1] / (peaks[p, 1] + peaks[p + 1, 1])


@njit(cache=True, nogil=True)
def _peak_of_sum(step: float, mean: FloatArray, slope: FloatArray, first: float, last: float, scratch: FloatArray) -> float:
    """Time, in steps, of the highest point of the sum of the bands' means (W, T); scratch (5, 3 T)."""
    n_steps = mean.shape[1]
    flux, rate = scratch[3, :n_steps], scratch[4, :n_steps]
    flux[:], rate[:] = 0.0, 0.0
    for w in range(len(mean)):
        for i in range(n_steps):
            flux[i] += mean[w, i]
            rate[i] += step * slope[w, i]
    n = _knots(flux, rate, first, last, scratch)
    return float(scratch[0, _highest(scratch[1, :n])])


@njit(cache=True, nogil=True, error_model="numpy")
def _shape_objects(
    start: FloatArray,
    steps: FloatArray,
    mean: FloatArray,
    sd: FloatArray,
    slope: FloatArray,
    margin: float,
    out: FloatArray,
    column: int,
    peak_mjd: FloatArray,
) -> None:
    """`fill_shape_features` of every object with a posterior."""
    n_bands, n_steps = mean.shape[1], mean.shape[2]
    n_pairs, shapes = max(n_bands - 1, 0), column + 2 * n_bands + 2 * max(n_bands - 1, 0) + 1
    colours = shapes + n_bands * _N_SHAPES
    scratch, rates, peaks = np.empty((5, 3 * n_steps)), np.empty((n_bands, n_steps)), np.empty((n_bands, 3))
    for k in range(len(out)):
        step = steps[k]
        if not step > 0.0:
            continue
        first, last = margin / step, n_steps - 1.0 - margin / step
        for w in range(n_bands):
            for i in range(n_steps):
                rates[w, i] = step * slope[k, w, i]
            curve = (step, mean[k, w], rates[w])
            n = _knots(mean[k, w], rates[w], first, last, scratch)
            times, fluxes = scratch[0, :n], scratch[1, :n]
            peak = _highest(fluxes)
            height, spread = fluxes[peak], _line(sd[k, w], times[peak])
            peaks[w, 0], peaks[w, 1], peaks[w, 2] = times[peak], height, spread
            out[k, column + 2 * w], out[k, column + 2 * w + 1] = height, height / spread
            if height > spread:
                _shape(curve, times, fluxes, peak, scratch[2], out[k, shapes + w * _N_SHAPES : shapes + (w + 1) * _N_SHAPES])
        peak_time = _peak_of_sum(step, mean[k], slope[k], first, last, scratch)
        peak_mjd[k] = start[k] + step * peak_time
        _pairs(peaks, step, out[k, column + 2 * n_bands : shapes - 1])
        out[k, shapes - 1] = step * (last - peak_time)
        for p in range(n_pairs):
            one, other = (step, mean[k, p], rates[p]), (step, mean[k, p + 1], rates[p + 1])
            row = out[k, colours + p * (_N_PHASES + 1) : colours + (p + 1) * (_N_PHASES + 1)]
            _colours(one, other, sd[k, p], sd[k, p + 1], peak_time, row)
