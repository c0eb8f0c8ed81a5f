"""Move older segments into the base, and take nights out of it again; neither changes the view.

The base keeps only the versions of a point that some night can need (`kernels/measurements.py`), so a night that is run again after it was
folded cannot simply be cut out of it: every folded night from the first such night on gets its segments back.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from deeprubin_spark import arrow
from deeprubin_spark.kernels.light_curves import offsets_of_chosen
from deeprubin_spark.kernels.measurements import Pieces, compacted
from deeprubin_spark.preprocessing.objects import Batches, by_object, runs_of, versions
from deeprubin_spark.schemas import LIGHTCURVE_BASE
from deeprubin_spark.schemas.lightcurves import POINT
from deeprubin_spark.schemas.packed_points import packed, point_columns

_POINTS = LIGHTCURVE_BASE.column("points")
_WHERE = ("ra", "dec", "healpix")
_DAY_ZERO = dt.date(1970, 1, 1)


def folded(segments: DataFrame, base: DataFrame, nights: Sequence[dt.date]) -> DataFrame:
    """The whole new base: every row of `base`, with the points of `segments` (all of them of `nights`), each file a part of the sky by healpix.

    So a night reads the files of its part of the sky, and neighbours, which share their exposures, compress each other. Points of `nights` that the
    base holds already, from a fold that was interrupted, are replaced. All frames of one survey.
    """
    replaced = np.array(sorted((night - _DAY_ZERO).days for night in nights), np.int32)

    def rows_of(parts: pa.RecordBatch) -> pa.RecordBatch:
        return _folded_rows(parts, replaced)

    shared = ("survey", "object_id", *_WHERE)
    new = segments.select(*shared, F.col("night").alias("last_night"), F.lit(False).alias("is_folded"), "points")
    old = base.select(*shared, "last_night", F.lit(True).alias("is_folded"), "points")
    parts = new.unionByName(old).repartition("object_id").sortWithinPartitions("object_id", "last_night")
    rows = parts.mapInArrow(by_object(rows_of, "object_id"), LIGHTCURVE_BASE.spark_schema())
    return LIGHTCURVE_BASE.select(rows).repartitionByRange("healpix").sortWithinPartitions("healpix")


def nights_to_rebuild(alert_nights: Sequence[dt.date], base: DataFrame, nights: Sequence[dt.date]) -> tuple[dt.date, ...]:
    """`nights`, and where the base holds points of one of them every folded night of `alert_nights` from the first of them on.

    Those get their segments again, and `before` takes them out of the base.
    """
    if not holds(base, nights):
        return tuple(nights)
    last = base.agg(F.max("last_night")).collect()[0][0]  # one row: bounded
    return tuple(sorted({*nights, *(night for night in alert_nights if min(nights) <= night <= last)}))


def before(base: DataFrame, first: dt.date) -> DataFrame:
    """The base without what was known from `first` on."""
    day = (first - _DAY_ZERO).days

    def rows_of(batches: Batches) -> Batches:
        for rows in batches:
            yield _rows_before(rows, day)

    return LIGHTCURVE_BASE.select(base.mapInArrow(rows_of, LIGHTCURVE_BASE.spark_schema())).sortWithinPartitions("healpix")


def holds(base: DataFrame, nights: Sequence[dt.date]) -> bool:
    """Whether the base has points known from one of `nights`. Costs nothing where the base is older than all of them."""
    dates = ", ".join(f"DATE'{night.isoformat()}'" for night in nights)
    of_them = base.where(F.col("last_night") >= F.lit(min(nights))).where(f"arrays_overlap(points.known_night, array({dates}))")
    return not of_them.isEmpty()


def nights_to_fold(segments: DataFrame, before: dt.date) -> list[dt.date]:
    """Nights older than `before` that still have segments, oldest first."""
    rows = segments.where(F.col("night") < F.lit(before)).select("night").distinct().orderBy("night").collect()  # one row a night: bounded
    return [row["night"] for row in rows]


def _folded_rows(parts: pa.RecordBatch, replaced: np.ndarray) -> pa.RecordBatch:
    """Parts of whole objects, in order of object and night, to one base row each."""
    begins = runs_of([parts.column("object_id")])
    points = arrow.records(parts.column("points"))
    offsets = arrow.offsets(parts.column("points"))
    is_folded = parts.column("is_folded").to_numpy(zero_copy_only=False).astype(bool)
    chosen = compacted(versions(packed(points)), Pieces(begins, offsets[:-1], offsets[1:], is_folded), replaced)
    taken = pa.array(chosen.rows)
    latest = pa.array(begins[1:] - 1)
    columns = {name: parts.column(name).take(latest) for name in ("survey", "object_id", *_WHERE, "last_night")}
    return _base_rows(columns, {c.name: points[c.name].take(taken) for c in POINT}, chosen.offsets)


def _rows_before(base: pa.RecordBatch, day: int) -> pa.RecordBatch:
    """Base rows with their points known before a day (since 1970)."""
    points, offsets = arrow.records(base.column("points")), arrow.offsets(base.column("points"))
    known = arrow.days(points["known_night"])
    kept = known < day
    kept_offsets = offsets_of_chosen(kept, offsets)
    latest = np.zeros(base.num_rows, np.int32)
    np.maximum.at(latest, np.repeat(np.arange(base.num_rows), np.diff(kept_offsets)), known[kept])
    columns = {name: base.column(name) for name in ("survey", "object_id", *_WHERE)} | {"last_night": pa.array(latest).cast(pa.date32())}
    return _base_rows(columns, {c.name: points[c.name].filter(pa.array(kept)) for c in POINT}, kept_offsets)


def _base_rows(columns: dict[str, pa.Array], points: dict[str, pa.Array], offsets: np.ndarray) -> pa.RecordBatch:
    """lightcurve_base rows; those without points are left out."""
    columns |= point_columns(points, offsets, _POINTS)
    schema = LIGHTCURVE_BASE.arrow_schema()
    rows = pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)
    return rows.filter(pc.greater(pc.list_value_length(rows.column("points")), 0))
