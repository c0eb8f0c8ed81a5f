"""Rows of a features table, as Arrow batches, to what models read."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from deeprubin_spark import arrow
from deeprubin_spark.kernels.feature_catalogue import FeatureSet
from deeprubin_spark.kernels.measurements import MODEL_RECORD
from deeprubin_spark.models.inputs import FeatureRows, Float32Array, model_features
from deeprubin_spark.models.networks import reads_points
from deeprubin_spark.models.points import as_matrix
from deeprubin_spark.models.published import PublishedModel

_GRID = ("grid_time", "grid_mean", "grid_sd")
POINTS = "points"


def columns_read(model: PublishedModel) -> tuple[str, ...]:
    """Columns of a features table that `fitted_rows` reads."""
    return ("status", *rows_read(model.feature_set, model.kind))


def rows_read(feature_set: FeatureSet, kind: str) -> tuple[str, ...]:
    """Columns of a features table that `rows_of` reads, for a kind of network."""
    return (*model_features(feature_set), *_GRID, *((POINTS,) if reads_points(kind) else ()))


def is_fitted(batch: pa.RecordBatch) -> NDArray[np.bool_]:
    """(B,) whether the fit of a row went well: other rows have no features."""
    return np.asarray(pc.equal(batch.column("status"), "ok").to_numpy(zero_copy_only=False), np.bool_)


def fitted_rows(batch: pa.RecordBatch, model: PublishedModel) -> FeatureRows:
    """What the model reads of the rows that are fitted, in their order."""
    return rows_of(batch.filter(pa.array(is_fitted(batch))), model.feature_set, model.kind)


def rows_of(fitted: pa.RecordBatch, feature_set: FeatureSet, kind: str) -> FeatureRows:
    """What a kind of network reads of rows that are all fitted."""
    values = np.stack([arrow.floats(fitted.column(name)) for name in model_features(feature_set)], axis=1)
    time, mean, sd = (arrow.matrix_in(fitted.column(name)) for name in _GRID)
    bands = (fitted.num_rows, len(feature_set.bands), time.shape[1])
    points = points_matrix(fitted.column(POINTS)) if reads_points(kind) else None
    return FeatureRows(values, time.astype(np.float64), mean.reshape(bands), sd.reshape(bands), points)


def points_matrix(column: arrow.Column) -> Float32Array:
    """The column `points` of a features table as `points.as_matrix`, (B, 5 x 256)."""
    data, offsets = arrow.bytes_in(column)
    return as_matrix(data.view(MODEL_RECORD), offsets // MODEL_RECORD.itemsize)
