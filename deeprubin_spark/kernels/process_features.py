"""Between the Gaussian process and its features: when its posterior is asked for, the grid of answers, and what its fit says by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deeprubin_spark.kernels.gaussian_process import Fits
from deeprubin_spark.kernels.gaussian_process_evidence import OK
from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves
from deeprubin_spark.kernels.posterior_shape import PosteriorGrid

PROCESS_STATISTICS: tuple[str, ...] = (
    "gp_timescale",
    "gp_amplitude",
    "gp_amplitude_snr",
    "gp_jitter_share",
    "gp_nll_per_obs",
    "gp_chi2_per_obs",
)
NEWEST_STATISTICS: tuple[str, ...] = ("last_flux", "last_slope", "last_sd", "last_snr")

_N_NEWEST = len(NEWEST_STATISTICS)

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Queries:
    """When the posterior of B objects is asked for: T equal steps in time, and the newest point's own time among them.

    offsets : (B + 1,) int64      mjd : (Q,) [d], rising within an object; T + 1 of them for one that is asked about, none for another
    newest : (B,) int64, place of the newest point's time among an object's queries, -1 without      start, step : (B,) [d], NaN without
    """

    offsets: Rows
    mjd: FloatArray
    newest: Rows
    start: FloatArray
    step: FloatArray
    n_steps: int
    margin: float


def grid_queries(curves: LightCurves, chosen: Mask, n_steps: int, margin: float) -> Queries:
    """Queries for the chosen objects (B,): `n_steps` times from `margin` [d] before their first point to `margin` after their last."""
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.where(chosen, n_steps + 1, 0))])
    mjd, newest = np.empty(offsets[-1]), np.full(curves.n_objects, -1)
    start, step = np.full(curves.n_objects, np.nan), np.full(curves.n_objects, np.nan)
    _query_objects(curves.offsets, curves.mjd, offsets, n_steps, margin, mjd, newest, start, step)
    return Queries(offsets, mjd, newest, start, step, n_steps, margin)


def gridded(queries: Queries, mean: FloatArray, sd: FloatArray, slope: FloatArray) -> tuple[PosteriorGrid, FloatArray]:
    """Posterior at the queries, (Q, W) each, as a grid, and at the newest point: (B, W, 3) mean [nJy], sd [nJy], slope [nJy / d].

    An object whose answers are not all finite, or whose deviation is not positive, has NaN throughout.
    """
    shape = (len(queries.newest), mean.shape[1], queries.n_steps)
    on_grid = np.empty(shape), np.empty(shape), np.empty(shape)
    grid = PosteriorGrid(queries.start.copy(), queries.step.copy(), *on_grid, queries.margin)
    newest = np.empty((*shape[:2], 3))
    outputs = grid.start, grid.step, grid.mean, grid.sd, grid.slope
    _grid_objects(queries.offsets, queries.newest, mean, sd, slope, *outputs, newest)
    return grid, newest


def fill_process_statistics(
    curves: LightCurves, fits: Fits, weights: FloatArray, status: NDArray[np.int8], out: FloatArray, column: int
) -> None:
    """`PROCESS_STATISTICS` into out (B, F) from `column` on, for objects with status `OK`.

    weights : (N,) of `gaussian_process.data_weights`. A residual from the posterior mean is F_i - m_i = (e_i^2 + jitter^2) weight_i.
    """
    timescale = np.where(status == OK, fits.timescale, np.nan)
    parameters = np.column_stack([timescale, fits.amplitude, fits.jitter, fits.log_evidence])
    _process_objects(curves.offsets, curves.flux_err, weights, parameters, out, column)


def fill_newest_statistics(newest: FloatArray, out: FloatArray, column: int) -> None:
    """`NEWEST_STATISTICS` of each band, band after band, into out (B, F) from `column` on; newest (B, W, 3) of `gridded`."""
    for w in range(newest.shape[1]):
        first = column + w * _N_NEWEST
        out[:, first], out[:, first + 1], out[:, first + 2] = newest[:, w, 0], newest[:, w, 2], newest[:, w, 1]
        out[:, first + 3] = newest[:, w, 0] / newest[:, w, 1]


@njit(cache=True, nogil=True)
def _query_objects(
    offsets: Rows,
    mjd: FloatArray,
    query_offsets: Rows,
    n_steps: int,
    margin: float,
    query: FloatArray,
    newest: Rows,
    start: FloatArray,
    step: FloatArray,
) -> None:
    """`grid_queries` of every object that has queries."""
    for k in range(len(newest)):
        if query_offsets[k + 1] == query_offsets[k]:
            continue
        first, last, at = mjd[offsets[k]], mjd[offsets[k + 1] - 1], query_offsets[k]
        start[k], step[k] = first - margin, (last - first + 2.0 * margin) / (n_steps - 1)
        for i in range(n_steps):
            time = last + margin if i == n_steps - 1 else start[k] + step[k] * i
            if newest[k] < 0 and time > last:
                newest[k], query[at] = i, last
                at += 1
            query[at] = time
            at += 1


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _is_sound(mean: FloatArray, sd: FloatArray, slope: FloatArray) -> bool:
    """Whether all of an object's answers (Q, W) are numbers and its deviations positive; of no answers: false."""
    total, lowest = 0.0, math.inf
    for q in range(mean.shape[0]):
        for w in range(mean.shape[1]):
            total += 0.0 * mean[q, w] + 0.0 * slope[q, w] + 0.0 * sd[q, w]  # NaN where one is infinite or NaN
            lowest = min(lowest, sd[q, w])
    return total == 0.0 and 0.0 < lowest < math.inf


@njit(cache=True, nogil=True)
def _grid_objects(
    offsets: Rows,
    newest: Rows,
    mean: FloatArray,
    sd: FloatArray,
    slope: FloatArray,
    start: FloatArray,
    step: FloatArray,
    grid_mean: FloatArray,
    grid_sd: FloatArray,
    grid_slope: FloatArray,
    at_newest: FloatArray,
) -> None:
    """`gridded` of every object; without answers, or where they are not sound, its start and step become NaN too."""
    for k in range(len(newest)):
        first, end = offsets[k], offsets[k + 1]
        if not _is_sound(mean[first:end], sd[first:end], slope[first:end]):
            start[k], step[k] = math.nan, math.nan
            grid_mean[k], grid_sd[k], grid_slope[k], at_newest[k] = math.nan, math.nan, math.nan, math.nan
            continue
        for w in range(mean.shape[1]):
            own = first + newest[k]
            at_newest[k, w, 0], at_newest[k, w, 1], at_newest[k, w, 2] = mean[own, w], sd[own, w], slope[own, w]
            for i in range(end - first - 1):
                q = first + i + (1 if i >= newest[k] else 0)
                grid_mean[k, w, i], grid_sd[k, w, i], grid_slope[k, w, i] = mean[q, w], sd[q, w], slope[q, w]


@njit(cache=True, nogil=True, error_model="numpy")
def _process_objects(
    offsets: Rows, flux_err: FloatArray, weights: FloatArray, parameters: FloatArray, out: FloatArray, column: int
) -> None:
    """`fill_process_statistics` of every object; parameters (B, 4): timescale (NaN: no fit), amplitude, jitter, log evidence."""
    for k in range(len(out)):
        n, first, chi2, log_errors, product = offsets[k + 1] - offsets[k], offsets[k], 0.0, 0.0, 1.0
        timescale, amplitude, jitter, log_evidence = parameters[k]
        if n == 0 or math.isnan(timescale):
            continue
        errors = flux_err[first : first + n]
        for i in range(n):
            chi2 += ((errors[i] + jitter * (jitter / errors[i])) * weights[first + i]) ** 2
            product *= errors[i]
            if i % 4 == 3 or i == n - 1:  # a logarithm for four errors: their product stays a double for errors of 1e-75 to 1e75
                log_errors += math.log(product)
                product = 1.0
        median = np.median(errors)
        out[k, column], out[k, column + 1], out[k, column + 2] = timescale, amplitude, amplitude / median
        out[k, column + 3] = 1.0 / (1.0 + (amplitude / jitter) ** 2) if jitter > 0.0 else 0.0
        out[k, column + 4], out[k, column + 5] = -(log_evidence + log_errors) / n, chi2 / n
