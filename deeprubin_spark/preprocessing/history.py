"""The objects that a night touched, with their history: tonight's segments joined to the older ones and to the base.

The night's side of the join has one row for each touched object; only those rows of the history are shuffled that belong to one of them
(Spark's Bloom filter of the join), and only files and row groups of the night's part of the sky are read.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from deeprubin_spark import arrow
from deeprubin_spark.kernels import sky
from deeprubin_spark.kernels.measurements import Chosen, Pieces, known_on
from deeprubin_spark.preprocessing.objects import versions
from deeprubin_spark.schemas.packed_points import PACKED, Records, unpacked

_PATCH_ORDER = 4  # HEALPix order of the patches of sky that are read: 3.7 deg, so no object leaves its patch and the ones around it
_DAY_ZERO = dt.date(1970, 1, 1)
_MOST_RANGES = 8  # of pixels that are asked for: Delta judges each file by all of them
EARLIER = "earlier_"  # what the history's columns are called


def with_history(touched: DataFrame, segments: DataFrame, base: DataFrame, carried: Sequence[str]) -> DataFrame:
    """Each `touched` segment row, once for every older part of its object there is; all frames of one survey.

    Columns: object_id, night, `carried`, tonight's points as `packed`, those of the older part as `earlier_packed`, NULL where there is none, and
    `earlier_is_folded`. Rows of an object stand together.
    """
    tonight = touched.select("object_id", "night", *carried, PACKED.name)
    sky_read = _patches_of(touched)
    older = _parts(segments, F.col("night"), F.lit(False)).unionByName(_parts(base, F.lit(_DAY_ZERO), F.lit(True)))
    older = older.where(sky_read).drop("healpix")
    is_older = (tonight["object_id"] == older[f"{EARLIER}object_id"]) & (older[f"{EARLIER}night"] < tonight["night"])
    joined = tonight.join(older.hint("merge"), is_older, "left").drop(f"{EARLIER}object_id", f"{EARLIER}night")
    return joined.sortWithinPartitions("object_id")


def unfolded_nights(segments: DataFrame) -> list[dt.date]:
    """Nights that have segments, ascending: one row a night, bounded."""
    return [row["night"] for row in segments.select("night").distinct().orderBy("night").collect()]


def light_curves(batch: pa.RecordBatch, unfolded: Sequence[dt.date]) -> tuple[pa.Array, Records, Chosen]:
    """`with_history` rows of whole objects to light curves as known on each row's night.

    Returns the (B,) rows of the batch that stand for an object and night, all versions of all points (N,), and which of them are the B light curves.
    """
    first, rows_of, offsets = _touched_rows(batch)
    of_night, tonight = unpacked(batch.column(PACKED.name), 0)
    is_folded = batch.column(f"{EARLIER}is_folded")
    of_history, older = unpacked(batch.column(EARLIER + PACKED.name), is_folded.null_count)
    points = np.concatenate([of_night, of_history])
    shift = len(of_night)
    is_folded = is_folded.fill_null(False).to_numpy(zero_copy_only=False).astype(bool)
    # Tonight's points stand in every row of the object; they are taken from the first.
    of_object = np.repeat(np.arange(len(first)), np.diff(offsets))
    order = np.concatenate([np.arange(len(first)), of_object]).argsort(kind="stable")
    pieces = Pieces(
        offsets=offsets + np.arange(len(first) + 1),
        start=np.concatenate([tonight[first], older[rows_of] + shift])[order],
        end=np.concatenate([tonight[first + 1], older[rows_of + 1] + shift])[order],
        is_folded=np.concatenate([np.zeros(len(first), bool), is_folded[rows_of]])[order],
    )
    nights = arrow.days(batch.column("night"))[first]
    unfolded_days = np.array([(night - _DAY_ZERO).days for night in unfolded], np.int32)
    return pa.array(first), points, known_on(versions(points), pieces, nights, unfolded_days)


def _touched_rows(batch: pa.RecordBatch) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The first row of each object and night (B,), all rows in the order of object and night (R,), and where each begins there (B + 1,)."""
    codes = batch.column("object_id").dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(np.int64)
    night = arrow.days(batch.column("night"))
    rows = np.lexsort((night, codes))
    is_first = np.ones(len(rows), bool)
    is_first[1:] = (np.diff(codes[rows]) != 0) | (np.diff(night[rows]) != 0)
    begins = np.flatnonzero(is_first)
    return rows[begins], rows, np.concatenate((begins, [len(rows)])).astype(np.int64)


def _parts(rows: DataFrame, night: Column, is_folded: Column) -> DataFrame:
    columns = {"object_id": F.col("object_id"), "night": night, "is_folded": is_folded, PACKED.name: F.col(PACKED.name)}
    return rows.select("healpix", *(column.alias(EARLIER + name) for name, column in columns.items()))


def _patches_of(touched: DataFrame) -> Column:
    """Whether `healpix` lies in the patches of sky of the touched objects or next to one of them."""
    shift = 2 * (sky.HEALPIX_ORDER - _PATCH_ORDER)
    placed = touched.where(F.col("healpix").isNotNull())  # published sets do not always say where an object is; such a one has no history
    patches = placed.select(F.shiftright("healpix", shift).alias("patch")).distinct().collect()  # 3,072 patches in the sky: bounded
    pixel = F.col("healpix")
    condition = F.lit(False)
    around = sky.with_neighbours(np.array([row["patch"] for row in patches], np.int64), _PATCH_ORDER)
    for first, last in sky.fewer(around, _MOST_RANGES):
        condition = condition | pixel.between(int(first) << shift, (int(last + 1) << shift) - 1)
    return condition
