"""Light curves to what models read: feature values, and the Gaussian process posterior on a grid around the peak.

    extract(observations) -> Extracted

The Gaussian process, the parametric models and the kernels of `random_walk` and `scales` see the latest `MAX_POINTS` points; counts,
variability and pairs see all. The grid has `N_GRID` equal steps from `GRID_MARGIN` days before the first to `GRID_MARGIN` days after the
last of the points used; peaks, shapes and colours are read from it (`posterior_shape.py`). What night a point became known on is the
caller's: a later point is simply not passed in. Each block writes its columns of one matrix (B, F), object after object.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from deeprubin_spark.bands import BANDS, band_index
from deeprubin_spark.kernels import gaussian_process
from deeprubin_spark.kernels.band_pairs import fill_pair_statistics
from deeprubin_spark.kernels.damped_random_walk import fill_walk_statistics
from deeprubin_spark.kernels.due_periods import fill_period_features
from deeprubin_spark.kernels.feature_catalogue import FEATURE_BANDS, FEATURE_NAMES, FEATURES, ZTF_GR, Feature, FeatureSet
from deeprubin_spark.kernels.gaussian_process import STATUS_NAMES, Fits
from deeprubin_spark.kernels.gaussian_process_evidence import BAD_INPUT, FIT_FAILED, OK
from deeprubin_spark.kernels.host_features import Hosts, fill_host_features
from deeprubin_spark.kernels.light_curves import FloatArray, LightCurves, chosen_points, has_usable_points, latest_points
from deeprubin_spark.kernels.model_comparison import fill_parametric_features
from deeprubin_spark.kernels.observations import Context, History, Observations
from deeprubin_spark.kernels.point_counts import fill_band_counts, fill_point_statistics
from deeprubin_spark.kernels.posterior_shape import PosteriorGrid, fill_shape_features
from deeprubin_spark.kernels.process_features import (
    fill_newest_statistics,
    fill_process_statistics,
    grid_queries,
    gridded,
)
from deeprubin_spark.kernels.sky import ecliptic_latitude, galactic_latitude
from deeprubin_spark.kernels.structure_function import fill_scale_statistics
from deeprubin_spark.kernels.upper_limits import fill_limit_statistics
from deeprubin_spark.kernels.variability import fill_band_statistics

__all__ = [
    "FEATURES",
    "FEATURE_BANDS",
    "FEATURE_NAMES",
    "GRID_MARGIN",
    "MAX_POINTS",
    "N_GRID",
    "STATUS_NAMES",
    "Extracted",
    "Feature",
    "extract",
]

MAX_POINTS = 256
N_GRID = 64
GRID_MARGIN = 10.0  # [d]


@dataclass(frozen=True)
class Extracted:
    """What `extract` makes of B objects with a feature set of F features in W bands.

    values : (B, F) float64 in the order of the set's features, NaN where not computable      status : (B,) int8, index into `STATUS_NAMES`
    t_ref_mjd : (B,) [d] time of the peak      grid_time : (B, 64) [d] relative to it      grid_mean, grid_sd : (B, W, 64) [nJy];
    these are NaN unless the status is ok      n_points_used : (B,) int64, points given to the Gaussian process
    """

    values: FloatArray
    grid_time: FloatArray
    t_ref_mjd: FloatArray
    grid_mean: FloatArray
    grid_sd: FloatArray
    status: NDArray[np.int8]
    n_points_used: NDArray[np.int64]


def extract(observations: Observations, feature_set: FeatureSet = ZTF_GR) -> Extracted:
    """Features and posterior grid of B objects.

    An object whose values are unusable (see `has_usable_points`) gets the status `bad_input` and NaN; the others do not notice it.
    """
    usable = has_usable_points(observations.curves)
    kept = np.repeat(usable, np.diff(observations.curves.offsets))
    curves = chosen_points(observations.curves, kept)
    used = latest_points(curves, MAX_POINTS)
    fits = gaussian_process.fit(used)
    status = np.where(usable, fits.status, np.int8(BAD_INPUT))
    grid, newest, weights = _posterior(used, fits, status == OK, feature_set)
    status[(status == OK) & ~np.isfinite(grid.start)] = FIT_FAILED
    values = np.full((curves.n_objects, len(feature_set.features)), np.nan)
    _fill_from_points(values, curves, used, observations, feature_set)
    t_ref = fill_shape_features(grid, values, feature_set.first_column("gp_peak"))
    fill_newest_statistics(newest, values, feature_set.first_column("gp_last"))
    fill_process_statistics(used, fits, weights, status, values, feature_set.first_column("gp"))
    fill_parametric_features(used, fits, feature_set.bands, values, feature_set.first_column("parametric"))
    _fill_period(values, curves, observations.history, kept, feature_set.first_column("period"))
    if feature_set.with_host:
        fill_host_features(observations.hosts or Hosts.unknown(len(values)), feature_set.names, feature_set.bands, values)
    _clean(values, usable)
    grid_time = np.multiply.outer(grid.step, np.arange(N_GRID, dtype=np.float64))
    grid_time += (grid.start - t_ref)[:, None]
    return Extracted(values, grid_time, t_ref, grid.mean, grid.sd, status, np.where(status == OK, np.diff(used.offsets), 0))


def _posterior(
    used: LightCurves, fits: Fits, fitted: NDArray[np.bool_], feature_set: FeatureSet
) -> tuple[PosteriorGrid, FloatArray, FloatArray]:
    """Posterior of the fitted objects on their grids and at their newest points (B, W, 3), and the weights of all points (N,) in it."""
    queries = grid_queries(used, fitted, N_GRID, GRID_MARGIN)
    wavelengths = np.array([BANDS[band_index(name)].wavelength for name in feature_set.bands])
    found, weights = gaussian_process.posterior_and_weights(used, fits, queries.offsets, queries.mjd, wavelengths)
    return *gridded(queries, found.mean, found.sd, found.slope), weights


def _fill_from_points(
    values: FloatArray, curves: LightCurves, used: LightCurves, observations: Observations, feature_set: FeatureSet
) -> None:
    """The groups that need no Gaussian process."""
    bands, at = feature_set.band_indices, feature_set.first_column
    fill_band_counts(curves, bands, values, at("counts"))
    fill_point_statistics(curves, values, at("counts") + len(bands))
    fill_band_statistics(curves, bands, values, at("variability"))
    fill_walk_statistics(used, bands, values, at("random_walk"))
    fill_scale_statistics(used, bands, values, at("scales"))
    if len(bands) > 1:
        fill_pair_statistics(curves, bands, values, at("pairs"))
    fill_limit_statistics(curves, observations.limits, bands, values, at("limits"))
    _fill_context(observations.context, values, at("context"))


def _fill_context(context: Context, values: FloatArray, column: int) -> None:
    """Group `context`."""
    values[:, column] = np.abs(galactic_latitude(context.ra, context.dec))
    values[:, column + 1] = np.abs(ecliptic_latitude(context.ra, context.dec))
    values[:, column + 2], values[:, column + 3] = context.star_score, context.star_distance


def _fill_period(values: FloatArray, curves: LightCurves, history: History | None, kept: NDArray[np.bool_], column: int) -> None:
    """Group `period`; kept (N,) are the measurements that are among the curves' points."""
    if history is None:
        fill_period_features(curves, np.zeros(len(curves.mjd), np.int32), None, values, column)
    else:
        fill_period_features(curves, history.known_night[kept], history.cached_period, values, column)


@njit(cache=True, nogil=True)
def _clean(values: FloatArray, usable: NDArray[np.bool_]) -> None:
    """NaN for what is infinite, and for all of an object whose points are not usable."""
    for k in range(len(values)):
        for f in range(values.shape[1]):
            if not usable[k] or abs(values[k, f]) == np.inf:
                values[k, f] = np.nan
