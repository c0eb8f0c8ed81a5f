"""The night's kernels as pandas UDFs, for SQL and notebooks.

SELECT object_id, gp_features(points.mjd, points.band, points.flux_njy, points.flux_err_njy).gp_timescale FROM lightcurves
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as t

from deeprubin_spark.bands import BAND_NAMES
from deeprubin_spark.kernels import light_curve_features as kernel
from deeprubin_spark.kernels.light_curves import light_curves
from deeprubin_spark.kernels.observations import Observations
from deeprubin_spark.schemas.features import FEATURES, GRID_BANDS

_FEATURE_NAMES = [feature.name for feature in kernel.FEATURES]
# Without the columns' comments: Spark takes a returned struct for another type where they differ.
_FEATURES_TYPE = t.StructType(
    [t.StructField("status", t.StringType())] + [t.StructField(name, FEATURES.column(name).spark_type()) for name in _FEATURE_NAMES]
)
_GRID_TYPE = t.StructType(
    [t.StructField("status", t.StringType()), t.StructField("mjd", t.ArrayType(t.DoubleType()))]
    + [t.StructField(f"{what}_{band}", t.ArrayType(t.FloatType())) for band in GRID_BANDS for what in ("mean", "sd")]
)
_Arrays = tuple[pd.Series, pd.Series, pd.Series, pd.Series]


def register(session: SparkSession) -> None:
    """Make `gp_features` and `gp_interpolate` known to SQL in this session."""
    session.udf.register("gp_features", _pandas_udf(_gp_features, _FEATURES_TYPE))
    session.udf.register("gp_interpolate", _pandas_udf(_gp_interpolate, _GRID_TYPE))


def _pandas_udf(function: Callable[..., Any], returns: t.StructType) -> Any:
    """Spark infers from the function's annotations that it takes and gives iterators; its own stubs do not know the form with several columns."""
    made: Any = F.pandas_udf
    return made(function, returns)


def _gp_features(batches: Iterator[_Arrays]) -> Iterator[pd.DataFrame]:
    """(mjd, band, flux_njy, flux_err_njy) arrays to the features of schemas/features.py; points without flux are left out."""
    for arrays in batches:
        found = _extract(*arrays)
        frame = pd.DataFrame(found.values.astype(np.float32), columns=_FEATURE_NAMES).astype(object)
        frame = frame.where(pd.notna(frame), None)
        frame.insert(0, "status", [kernel.STATUS_NAMES[code] for code in found.status])
        yield frame


def _gp_interpolate(batches: Iterator[_Arrays]) -> Iterator[pd.DataFrame]:
    """(mjd, band, flux_njy, flux_err_njy) arrays to the posterior mean and standard deviation [nJy] at 64 times in g and r."""
    for arrays in batches:
        found = _extract(*arrays)
        is_ok = found.status == kernel.STATUS_NAMES.index("ok")
        columns: dict[str, list[object]] = {
            "status": [kernel.STATUS_NAMES[code] for code in found.status],
            "mjd": _rows(found.grid_time + found.t_ref_mjd[:, None], is_ok),
        }
        for i, band in enumerate(GRID_BANDS):
            columns[f"mean_{band}"] = _rows(found.grid_mean[:, i], is_ok)
            columns[f"sd_{band}"] = _rows(found.grid_sd[:, i], is_ok)
        yield pd.DataFrame(columns)


def _extract(mjd: pd.Series, band: pd.Series, flux: pd.Series, flux_err: pd.Series) -> kernel.Extracted:
    """Flatten the batch's arrays, drop points that are no measurement, sort each object by time, call the kernel."""
    lengths = np.array([0 if row is None else len(row) for row in mjd])
    owner = np.repeat(np.arange(len(lengths)), lengths)
    times, fluxes, errors = (_flat(column) for column in (mjd, flux, flux_err))
    letters = {name: code for code, name in enumerate(BAND_NAMES)}
    codes = np.array([letters.get(letter, -1) for row in band if row is not None for letter in row], np.int8)
    kept = np.isfinite(fluxes) & np.isfinite(errors)
    order = np.lexsort((times, owner))
    order = order[kept[order]]
    offsets = np.searchsorted(owner[order], np.arange(len(lengths) + 1)).astype(np.int64)
    curves = light_curves(offsets, times[order], codes[order], fluxes[order], errors[order])
    return kernel.extract(Observations.of_curves(curves))


def _flat(column: pd.Series) -> np.ndarray:
    rows = [np.asarray(row, np.float64) for row in column if row is not None]
    return np.concatenate(rows) if rows else np.empty(0)


def _rows(values: np.ndarray, is_ok: np.ndarray) -> list[object]:
    return [row if ok else None for row, ok in zip(values, is_ok, strict=True)]
