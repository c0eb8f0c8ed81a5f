"""Shape of a peak on a sampled curve: how it rises and falls, how wide it is, how many maxima there are.

All functions take one curve: time (M,) [d] ascending, flux (M,), and the peak's time and flux, which lies between the first and the last
time. Between samples the curve is a straight line.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from deeprubin_spark.kernels.light_curves import FloatArray

SHAPES: tuple[str, ...] = ("rise_50", "rise_20", "fall_50", "fall_20", "width", "trough", "n_peaks")


def peak_shapes(time: FloatArray, flux: FloatArray, peak_time: FloatArray, peak_flux: FloatArray, dip: float) -> FloatArray:
    """Shape of every curve's peak, in the order of `SHAPES`.

    rise_x, fall_x   time between the peak and the nearest crossing of x % of its flux, NaN where the curve does not reach it
    width            integral of max(F, 0) dt / F_peak          trough   min F / F_peak          n_peaks   maxima, see `count_peaks`

    time, flux : (B, M) [d], any flux      peak_time, peak_flux : (B,)      dip : depth that parts two maxima, in units of F_peak
    Returns (B, 7); NaN where peak_flux is not positive.
    """
    out = np.full((len(flux), len(SHAPES)), np.nan)
    _shape_objects(time, flux, peak_time, peak_flux, dip, out)
    return out


def plain_peak_shape(time: FloatArray, flux: FloatArray, peak_time: float, peak_flux: float, dip: float) -> FloatArray:
    """The plain twin of `peak_shapes` for one curve (M,), whose peak is positive."""

    def crossing(level: float, side: slice) -> float:
        t, f = time[side], flux[side]
        low = np.flatnonzero(f < level)
        if len(low) == 0:
            return float("nan")
        i = low[0]
        earlier = (peak_time, peak_flux) if i == 0 else (t[i - 1], f[i - 1])
        share = (earlier[1] - level) / (earlier[1] - f[i])
        return float(abs(earlier[0] + share * (t[i] - earlier[0]) - peak_time))

    n_before = int(np.searchsorted(time, peak_time, side="left"))
    before = slice(n_before - 1, None, -1) if n_before else slice(0, 0)
    after = slice(int(np.searchsorted(time, peak_time, side="right")), None)
    bright = np.maximum(flux, 0.0)
    width = np.sum(0.5 * (bright[1:] + bright[:-1]) * np.diff(time)) / peak_flux
    crossings = [crossing(x * peak_flux, side) for side in (before, after) for x in (0.5, 0.2)]
    return np.array([*crossings, width, flux.min() / peak_flux, count_peaks(flux, dip * peak_flux)])


@njit(cache=True, nogil=True)
def count_peaks(flux: FloatArray, depth: float) -> int:
    """Maxima of a curve (M,), its ends included, that are parted by dips of more than `depth`: at least 1."""
    n_peaks, top, bottom = 0, -math.inf, math.inf
    rising = True
    for value in flux:
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
def _crossing(time: FloatArray, flux: FloatArray, start: int, step: int, peak_time: float, peak_flux: float, level: float) -> float:
    """Time from the peak to where the curve, from sample `start` by `step`, first falls below `level`; NaN where it never does."""
    last_time, last_flux = peak_time, peak_flux
    i = start
    while 0 <= i < len(time):
        if flux[i] < level:
            share = (last_flux - level) / (last_flux - flux[i])
            return float(abs(last_time + share * (time[i] - last_time) - peak_time))
        last_time, last_flux = time[i], flux[i]
        i += step
    return math.nan


@njit(cache=True, nogil=True)
def _shape_objects(time: FloatArray, flux: FloatArray, peak_time: FloatArray, peak_flux: FloatArray, dip: float, out: FloatArray) -> None:
    """`peak_shapes` of every curve; out (B, 7)."""
    for k in range(len(out)):
        t, f, height = time[k], flux[k], peak_flux[k]
        if not height > 0.0:
            continue
        before = np.searchsorted(t, peak_time[k], side="left") - 1
        after = np.searchsorted(t, peak_time[k], side="right")
        out[k, 0] = _crossing(t, f, before, -1, peak_time[k], height, 0.5 * height)
        out[k, 1] = _crossing(t, f, before, -1, peak_time[k], height, 0.2 * height)
        out[k, 2] = _crossing(t, f, after, 1, peak_time[k], height, 0.5 * height)
        out[k, 3] = _crossing(t, f, after, 1, peak_time[k], height, 0.2 * height)
        area = 0.0
        for i in range(1, len(t)):
            area += 0.5 * (max(f[i], 0.0) + max(f[i - 1], 0.0)) * (t[i] - t[i - 1])
        out[k, 4] = area / height
        out[k, 5] = f.min() / height
        out[k, 6] = count_peaks(f, dip * height)
