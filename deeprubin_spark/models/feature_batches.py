"""Rows of a features table, as Arrow batches, to what models read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from deeprubin_spark import arrow
from deeprubin_spark.kernels.feature_catalogue import FeatureSet
from deeprubin_spark.models.inputs import FeatureRows

_GRID = ("grid_time", "grid_mean", "grid_sd")


def columns_read(features: Sequence[str]) -> tuple[str, ...]:
    """Columns of a features table that `fitted_rows` reads, of a model of these features."""
    return ("status", *features, *_GRID)


def is_fitted(batch: pa.RecordBatch) -> NDArray[np.bool_]:
    """(B,) whether the fit of a row went well: other rows have no features."""
    return np.asarray(pc.equal(batch.column("status"), "ok").to_numpy(zero_copy_only=False), np.bool_)


def fitted_rows(batch: pa.RecordBatch, features: Sequence[str], feature_set: FeatureSet) -> FeatureRows:
    """What a model of these features reads, of the rows that are fitted, in their order."""
    fitted = batch.filter(pa.array(is_fitted(batch)))
    values = np.stack([arrow.floats(fitted.column(name)) for name in features], axis=1)
    time, mean, sd = (arrow.matrix_in(fitted.column(name)).astype(np.float64) for name in _GRID)
    bands = (fitted.num_rows, len(feature_set.bands), time.shape[1])
    return FeatureRows(values, time, mean.reshape(bands), sd.reshape(bands))
