"""Light curves to features: the night's one Python pass from points to what models read."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from deeprubin_spark import arrow
from deeprubin_spark.bands import BAND_NAMES
from deeprubin_spark.kernels import light_curve_features as kernel
from deeprubin_spark.kernels.light_curves import light_curves
from deeprubin_spark.kernels.observations import Context, Observations
from deeprubin_spark.kernels.upper_limits import UpperLimits
from deeprubin_spark.preprocessing.light_curves import all_points, known_on
from deeprubin_spark.schemas import FEATURES
from deeprubin_spark.schemas.features import FEATURE_SET

_GATE_COLUMNS = ("rb_max", "drb_max", "ss_name", "ss_distance")
_POINT_FIELDS = [c.name for c in FEATURES.column("points").fields]
_KINDS = ("detection", "limit", "forced")
_CARRIED = ("survey", "object_id", "night", "ra", "dec", *_GATE_COLUMNS)


def features(segments: DataFrame, base: DataFrame, touched: DataFrame) -> DataFrame:
    """`features` rows of the (survey, object_id, night) in `touched`, which are segment rows.

    Only points with known_night <= night are seen; `segments` and `base` may hold more.
    """
    parts = all_points(segments, base)
    gates = touched.select("survey", "object_id", "night", *_GATE_COLUMNS)
    curves = parts.transform(known_on(touched)).join(gates, ["survey", "object_id", "night"])
    return _extract(curves)


def _extract(curves: DataFrame) -> DataFrame:
    fields = ", ".join(f"p.{name} AS {name}" for name in _POINT_FIELDS)
    # Forced photometry is not used yet, and a second detection of one exposure is not a second measurement.
    slim = f"transform(filter(points, p -> p.kind <> 'forced' AND NOT p.same_exposure), p -> struct({fields}))"
    narrow = curves.select(*_CARRIED, F.array_sort(F.expr(slim)).alias("points"))
    return FEATURES.select(narrow.mapInArrow(_feature_batches, FEATURES.spark_schema()))


def _feature_batches(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    schema = FEATURES.arrow_schema()
    for batch in batches:
        yield _feature_rows(batch, schema)


def _feature_rows(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    points = arrow.records(batch.column("points"))
    offsets = arrow.offsets(batch.column("points"))
    kind = arrow.codes(points["kind"], _KINDS)
    is_detection = kind == _KINDS.index("detection")
    is_limit = kind == _KINDS.index("limit")
    mjd, band = arrow.floats(points["mjd"]), arrow.codes(points["band"], BAND_NAMES)
    curves = light_curves(
        _offsets_of(is_detection, offsets),
        mjd[is_detection],
        band[is_detection],
        arrow.floats(points["flux_njy"])[is_detection],
        arrow.floats(points["flux_err_njy"])[is_detection],
    )
    limits = UpperLimits(_offsets_of(is_limit, offsets), mjd[is_limit], band[is_limit], arrow.floats(points["limit_njy"])[is_limit])
    unknown = np.full(batch.num_rows, np.nan)
    context = Context(arrow.floats(batch.column("ra")), arrow.floats(batch.column("dec")), unknown, unknown)
    found = kernel.extract(Observations(curves, limits, context))
    is_ok = found.status == kernel.STATUS_NAMES.index("ok")
    n_rows = batch.num_rows
    columns: dict[str, pa.Array] = {name: batch.column(name) for name in _CARRIED}
    columns |= {feature.name: arrow.nullable(found.values[:, i], pa.float32()) for i, feature in enumerate(kernel.FEATURES)}
    columns |= {
        "feature_set": pa.array([FEATURE_SET] * n_rows, pa.string()),
        "status": pc.take(pa.array(kernel.STATUS_NAMES, pa.string()), pa.array(found.status.astype(np.int64))),
        "n_detections": pa.array(np.diff(_offsets_of(is_detection, offsets)), pa.int32()),
        "n_limits": pa.array(np.diff(_offsets_of(is_limit, offsets)), pa.int32()),
        "t_ref_mjd": arrow.nullable(np.where(is_ok, found.t_ref_mjd, np.nan), pa.float64()),
        "grid_time": _where(is_ok, arrow.matrix_rows(found.grid_time)),
        "grid_mean": _where(is_ok, arrow.matrix_rows(found.grid_mean.reshape(n_rows, -1))),
        "grid_sd": _where(is_ok, arrow.matrix_rows(found.grid_sd.reshape(n_rows, -1))),
        "points": _latest(points, offsets),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _offsets_of(chosen: NDArray[np.bool_], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Offsets of the lists after keeping only the `chosen` rows."""
    before = np.concatenate(([0], np.cumsum(chosen, dtype=np.int64)))
    return np.asarray(before[offsets], np.int64)


def _latest(points: dict[str, pa.Array], offsets: NDArray[np.int64]) -> pa.ListArray:
    """The last MAX_POINTS points of each list."""
    keep_from = np.maximum(offsets[:-1], offsets[1:] - kernel.MAX_POINTS)
    position = np.arange(offsets[-1])
    kept = position >= np.repeat(keep_from, np.diff(offsets))
    fields = {name: points[name].filter(pa.array(kept)) for name in _POINT_FIELDS}
    return arrow.lists_of_records(fields, _offsets_of(kept, offsets), FEATURES.column("points").arrow_type())


def _where(is_ok: NDArray[np.bool_], rows: pa.ListArray) -> pa.Array:
    return pc.if_else(pa.array(is_ok), rows, pa.scalar(None, rows.type))
