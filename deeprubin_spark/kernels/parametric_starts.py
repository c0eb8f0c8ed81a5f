"""Where each parametric model's parameters may lie, and the points its fit starts from, read off the peak or the trough of the points.

All functions take T problems and return starts (T, C, G, P), G in each of C regions, and low and high (T, P), in the model's own
parameters: times [d] since the object's first point, logarithms of times [d] and of temperatures [K]. Starts may lie outside the bounds:
`minimise` moves them in. The factors are those of the regions that between them led most often to the best fit known, on PLAsTiCC's curves
and on generated ones.
"""

from __future__ import annotations

import numpy as np

from deeprubin_spark.kernels.light_curves import FloatArray
from deeprubin_spark.kernels.parametric_points import PEAK_AFTER, PEAK_BEFORE, PEAK_TIME, TROUGH_AFTER, TROUGH_BEFORE, TROUGH_TIME

Box = tuple[FloatArray, FloatArray, FloatArray]  # starts, low, high

BAZIN_TIMES = 0.1, 1000.0  # [d] of rise and fall
SPM_PLATEAU, SPM_RISE, SPM_FALL = (1.0, 120.0), (0.3, 100.0), (4.0, 300.0)  # [d] falls slower than the switch to them, 3 d
BLACKBODY_COLDEST, BLACKBODY_RATIO, BLACKBODY_COOLING = (1500.0, 5e4), (1.0, 10.0), (1.0, 300.0)  # [K], T_max / T_min, [d]
EINSTEIN_TIME, CLOSEST_APPROACH = (0.1, 1000.0), (0.003, 2.0)  # [d], Einstein radii
FLARE_WIDTH = 0.003, 10.0  # [d] from four minutes on
DIP_WIDTH_MIN, DIP_INGRESS = 0.01, (0.05, 1.0)  # [d], share of the width
_MARGIN = 10.0  # [d] least time that an event's t0 may lie outside of the points
_SHORTEST = 0.3  # [d] a width read off the points counts as at least this


def bazin(facts: FloatArray, duration: FloatArray) -> Box:
    """Of p = (t0, ln rise, ln fall): the widths at half the peak, times some factors. facts (T, 15) of one segment, duration (T,) [d]."""
    before, after = _widths(facts, PEAK_BEFORE, PEAK_AFTER)
    # Of the widths before and after the peak, and of the time from t0 to the peak; three in each of two regions: like the widths, and skewed.
    factors = np.array([(1.0, 1.0, 0.0), (1.0, 0.3, 0.0), (0.3, 0.3, 0.0), (0.1, 1.0, 1.0), (3.0, 1.0, 2.0), (0.3, 3.0, 1.0)])
    rise, fall = before[:, None] * factors[:, 0], after[:, None] * factors[:, 1]
    lag = factors[:, 2] * np.log(fall / rise) * rise * fall / (rise + fall)
    starts = np.stack([facts[:, PEAK_TIME, None] - lag, np.log(rise), np.log(fall)], axis=2)
    return _box(starts, [_around(duration), np.log(BAZIN_TIMES), np.log(BAZIN_TIMES)], n_regions=2)


def spm(bazin_fit: FloatArray, facts: FloatArray, duration: FloatArray) -> Box:
    """Of p = (t0, gamma, ln rise, ln fall): from the Bazin fit (T, 3) of the same segment, with a plateau of several lengths."""
    t0, rise, fall = bazin_fit[:, 0], np.exp(bazin_fit[:, 1]), np.exp(bazin_fit[:, 2])
    peak, after = facts[:, PEAK_TIME], _widths(facts, PEAK_BEFORE, PEAK_AFTER)[1]
    constant = np.ones_like(after)
    starts = [  # t0, gamma, rise, fall, each in a region of its own
        (t0, 1.2 * after, rise, fall),
        (peak - 2.0, 2.0 * constant, 0.3 * rise, fall),
        (peak - 0.3 * rise, 20.0 * constant, 0.3 * rise, fall),
        (t0, 0.5 * after, rise, 0.4 * fall),
        (peak - 50.0, 50.0 * constant, rise, fall),
    ]
    rows = np.array(starts).transpose(2, 0, 1)
    rows[:, :, 2:] = np.log(rows[:, :, 2:])
    return _box(rows, [_around(duration), SPM_PLATEAU, np.log(SPM_RISE), np.log(SPM_FALL)], n_regions=5)


def blackbody(bazin_fit: FloatArray, duration: FloatArray) -> Box:
    """Of p = (t0, ln rise, ln fall, ln T_min, ln T_max / T_min, ln cooling): from the Bazin fit (T, 3) of one band, several temperatures."""
    # T_min, T_max / T_min, cooling and fall over Bazin's fall; two in each of three regions: cooling fast, cooling much, hot.
    factors = [(4500, 1.5, 0.3, 1), (8000, 3, 0.3, 1), (4500, 4, 3, 2), (4500, 4, 1, 1), (15000, 1.2, 1, 1), (8000, 1.3, 1, 1)]
    coldest, ratio, cooling, slower = np.log(np.array(factors, np.float64)).T
    t0, rise, fall = bazin_fit.T[:, :, None]
    columns = np.broadcast_arrays(t0, rise, fall + slower, coldest, ratio, fall + cooling)
    limits = [np.log(BAZIN_TIMES), np.log(BAZIN_TIMES), np.log(BLACKBODY_COLDEST), np.log(BLACKBODY_RATIO), np.log(BLACKBODY_COOLING)]
    return _box(np.stack(columns, axis=2), [_around(duration), *limits], n_regions=3)


def microlensing(facts: FloatArray, duration: FloatArray) -> Box:
    """Of p = (t0, ln t_E, ln u0): half the width at half the peak is sqrt(3) u0 t_E for a close approach, about t_E for u0 = 1."""
    before, after = _widths(facts, PEAK_BEFORE, PEAK_AFTER)
    width, middle = 0.5 * (before + after), facts[:, PEAK_TIME] + 0.5 * (after - before)
    closest, per_width = np.array([0.1, 0.35, 1.0, 0.1, 0.35, 1.0]), np.array([6.0, 2.0, 1.0, 6.0, 2.0, 1.0])
    at_peak = np.arange(6) < 3
    t0 = np.where(at_peak, facts[:, PEAK_TIME, None], middle[:, None])
    starts = np.stack([t0, np.log(width[:, None] * per_width), np.broadcast_to(np.log(closest), t0.shape)], axis=2)
    return _box(starts, [_around(duration), np.log(EINSTEIN_TIME), np.log(CLOSEST_APPROACH)], n_regions=2)


def flare(facts: FloatArray, duration: FloatArray) -> Box:
    """Of p = (t0, ln width, 0): widths down to a thirtieth of the time to half the peak, the brightest point on the decay, the rise or the peak."""
    after = _widths(facts, PEAK_BEFORE, PEAK_AFTER)[1]
    # Time from t0 to the brightest point in widths, width; two in each of three regions.
    factors = np.array([(0.3, 0.1), (0.3, 0.03), (-0.5, 0.1), (-0.5, 0.03), (0.3, 1.0), (0.0, 1.0)])
    width = after[:, None] * factors[:, 1]
    starts = np.stack([facts[:, PEAK_TIME, None] - factors[:, 0] * width, np.log(width), 0.0 * width], axis=2)
    return _box(starts, [_around(duration), np.log(FLARE_WIDTH), (0.0, 0.0)], n_regions=3)


def dip(facts: FloatArray, duration: FloatArray) -> Box:
    """Of p = (t0, ln W, ln q / W): at the faintest point and in the middle of its dip, wide and narrow, steep and all slope."""
    before, after = _widths(facts, TROUGH_BEFORE, TROUGH_AFTER)
    # Share of the way from the faintest point to the middle, width, ingress; two in each of three regions.
    factors = np.array([(1.0, 1.0, 0.3), (1.0, 1.0, 0.1), (0.0, 1.0, 1.0), (1.0, 1.6, 1.0), (0.0, 0.3, 1.0), (0.5, 0.3, 1.0)])
    t0 = facts[:, TROUGH_TIME, None] + factors[:, 0] * 0.5 * (after - before)[:, None]
    width = (before + after)[:, None] * factors[:, 1]
    starts = np.stack([t0, np.log(width), np.broadcast_to(np.log(factors[:, 2]), t0.shape)], axis=2)
    inside = np.column_stack([np.zeros(len(duration)), duration])
    widest = np.log(np.maximum(duration, 2.0 * DIP_WIDTH_MIN))
    widths = np.column_stack([np.full(len(duration), np.log(DIP_WIDTH_MIN)), widest])
    return _box(starts, [inside, widths, np.log(DIP_INGRESS)], n_regions=3)


def _widths(facts: FloatArray, before: int, after: int) -> tuple[FloatArray, FloatArray]:
    """Times from the extreme to the middle on both sides; a side without points has the width of the other."""
    left, right = facts[:, before], facts[:, after]
    left, right = np.where(left > 0.0, left, right), np.where(right > 0.0, right, left)
    return np.maximum(left, _SHORTEST), np.maximum(right, _SHORTEST)


def _around(duration: FloatArray) -> FloatArray:
    """Limits (T, 2) of a t0 that may lie as far outside of the points as they span."""
    margin = np.maximum(duration, _MARGIN)
    return np.column_stack([-margin, duration + margin])


def _box(starts: FloatArray, limits: list[FloatArray | tuple[float, float]], n_regions: int) -> Box:
    """Starts (T, C G, P), those of a region in a row, with the limits of each parameter, (T, 2) or (2,)."""
    n_problems, n_starts, n_parameters = starts.shape
    bounds = np.stack([np.broadcast_to(np.asarray(limit), (n_problems, 2)) for limit in limits], axis=1)
    regions = starts.reshape(n_problems, n_regions, n_starts // n_regions, n_parameters)
    return np.ascontiguousarray(regions), np.ascontiguousarray(bounds[:, :, 0]), np.ascontiguousarray(bounds[:, :, 1])
