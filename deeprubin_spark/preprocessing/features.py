"""Light curves to features: the night's one Python pass from points to what models read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from deeprubin_spark import arrow
from deeprubin_spark.kernels import light_curve_features as kernel
from deeprubin_spark.kernels.host_features import Hosts
from deeprubin_spark.kernels.light_curves import FloatArray, offsets_of_chosen
from deeprubin_spark.kernels.light_curves import light_curves as light_curves_of
from deeprubin_spark.kernels.measurements import LIMIT
from deeprubin_spark.kernels.observations import Context, History, Observations
from deeprubin_spark.kernels.upper_limits import UpperLimits
from deeprubin_spark.preprocessing.history import light_curves, unfolded_nights, with_history
from deeprubin_spark.preprocessing.objects import by_object
from deeprubin_spark.schemas.features import Rule
from deeprubin_spark.schemas.packed_points import REFERENCES, Records, model_points

_HOST = ("photo_z", "photo_z_err", "ebv")
_CARRIED = ("survey", "ra", "dec", "rb_max", "drb_max", "ss_name", "ss_distance", *(column.name for column in REFERENCES.values()))
_CONTEXT = ("star_score", "star_distance")
PERIODS = tuple(feature.name for feature in kernel.FEATURES if feature.group == "period")
_CACHED = tuple(f"earlier_{name}" for name in PERIODS)


def features(
    segments: DataFrame, base: DataFrame, touched: DataFrame, earlier: DataFrame, rule: Rule, hosts: DataFrame | None = None
) -> DataFrame:
    """Rows of `rule.table` of the objects and nights in `touched`, which are segment rows; all frames of one survey, whose rule it is.

    Only points with known_night <= night are seen; `segments` and `base` may hold more. earlier : rows of the table of nights before all of these;
    a period that is in one of them and not due for another search is taken from there, and would come out the same. hosts : `hosts` rows, one an
    object at most, for a rule whose feature set has a group `host`.
    """
    unfolded = unfolded_nights(segments)

    def rows_of(batch: pa.RecordBatch) -> pa.RecordBatch:
        return _feature_rows(batch, unfolded, rule)

    known = touched.join(_latest_periods(earlier), "object_id", "left")
    carried = (*_CARRIED, *_CONTEXT, *_CACHED)
    if rule.feature_set.with_host and hosts is not None:
        known, carried = known.join(hosts.select("object_id", *_HOST), "object_id", "left"), (*carried, *_HOST)
    joined = with_history(known, segments, base, carried)
    return rule.table.select(joined.mapInArrow(by_object(rows_of, "object_id"), rule.table.spark_schema()))


def _latest_periods(earlier: DataFrame) -> DataFrame:
    """The latest period of each object: object_id and `_CACHED`."""
    searched = earlier.where(F.col("period_n_known").isNotNull())
    latest = searched.groupBy("object_id").agg(F.max_by(F.struct(*PERIODS), "night").alias("found"))
    return latest.select("object_id", *(F.col(f"found.{name}").alias(cached) for name, cached in zip(PERIODS, _CACHED, strict=True)))


def _feature_rows(batch: pa.RecordBatch, unfolded: Sequence[dt.date], rule: Rule) -> pa.RecordBatch:
    rows, every, chosen = light_curves(batch, unfolded)
    # A second detection of one exposure is not a second measurement.
    is_used = np.isin(every["kind"][chosen.rows], (*rule.measured, LIMIT)) & ~chosen.same_exposure
    offsets = offsets_of_chosen(is_used, chosen.offsets)
    points = _in_time(every[chosen.rows[is_used]], offsets)
    told = [name for name in ("object_id", "night", *_CARRIED, *_CONTEXT, *_HOST) if name in batch.schema.names]
    columns: dict[str, pa.Array] = {name: batch.column(name).take(rows) for name in told}
    cached = np.stack([arrow.floats(batch.column(name).take(rows)) for name in _CACHED], axis=1)
    observations = _observations(points, offsets, columns, cached, rule)
    found = kernel.extract(observations, rule.feature_set)
    is_ok = found.status == kernel.STATUS_NAMES.index("ok")
    n_rows = len(rows)
    columns |= {feature.name: arrow.nullable(found.values[:, i], pa.float32()) for i, feature in enumerate(rule.feature_set.features)}
    columns |= {
        "feature_set": pa.array([rule.feature_set.name] * n_rows, pa.string()),
        "status": pc.take(pa.array(kernel.STATUS_NAMES, pa.string()), pa.array(found.status.astype(np.int64))),
        "n_detections": pa.array(np.diff(observations.curves.offsets), pa.int32()),
        "n_limits": pa.array(np.diff(observations.limits.offsets), pa.int32()),
        "t_ref_mjd": arrow.nullable(np.where(is_ok, found.t_ref_mjd, np.nan), pa.float64()),
        "grid_time": arrow.matrix_bytes(found.grid_time, is_ok),
        "grid_mean": arrow.matrix_bytes(found.grid_mean.reshape(n_rows, -1), is_ok),
        "grid_sd": arrow.matrix_bytes(found.grid_sd.reshape(n_rows, -1), is_ok),
        "points": _latest(points, offsets),
    }
    schema = rule.table.arrow_schema()
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _observations(
    points: Records, offsets: NDArray[np.int64], columns: dict[str, pa.Array], cached: FloatArray, rule: Rule
) -> Observations:
    """Measurements, upper limits, context, history and hosts of the objects, as the kernels take them."""
    is_seen, is_limit = np.isin(points["kind"], rule.measured), points["kind"] == LIMIT
    measured = (points[name][is_seen] for name in ("mjd", "band", "flux_njy", "flux_err_njy"))
    looked = (points[name][is_limit] for name in ("mjd", "band", "limit_njy"))
    hosts = Hosts(*(arrow.floats(columns[name]) for name in _HOST)) if _HOST[0] in columns else None
    return Observations(
        light_curves_of(offsets_of_chosen(is_seen, offsets), *measured),
        UpperLimits(offsets_of_chosen(is_limit, offsets), *looked),
        Context(*(arrow.floats(columns[name]) for name in ("ra", "dec", *_CONTEXT))),
        History(points["known_night"][is_seen], cached),
        hosts,
    )


def _in_time(points: Records, offsets: NDArray[np.int64]) -> Records:
    """Points that stand in order of exposure within each object, in order of mjd."""
    mjd = points["mjd"]
    falls = np.diff(mjd) < 0.0
    falls[offsets[1:-1][(offsets[1:-1] > 0) & (offsets[1:-1] < len(mjd))] - 1] = False
    if not falls.any():
        return points
    return points[np.lexsort((mjd, np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))))]


def _latest(points: Records, offsets: NDArray[np.int64]) -> pa.BinaryArray:
    """The last MAX_POINTS points of each object."""
    keep_from = np.maximum(offsets[:-1], offsets[1:] - kernel.MAX_POINTS)
    position = np.arange(offsets[-1])
    kept = position >= np.repeat(keep_from, np.diff(offsets))
    return model_points(points[kept], offsets_of_chosen(kept, offsets))
