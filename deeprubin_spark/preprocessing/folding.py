"""Move older segments into the base, and take a night out of it again; neither changes the view."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from deeprubin_spark.schemas import LIGHTCURVE_BASE


def folded(segments: DataFrame, base: DataFrame, nights: Sequence[dt.date]) -> DataFrame:
    """Base rows of the objects in `segments` (all of them of `nights`), with those nights added.

    Points of `nights` that the base holds already, from a fold that was interrupted, are replaced.
    """
    new = segments.groupBy("survey", "object_id").agg(
        *(F.max_by(name, "night").alias(f"new_{name}") for name in ("ra", "dec", "healpix")),
        F.flatten(F.collect_list("points")).alias("new_points"),
        F.collect_set("night").alias("new_nights"),
        F.max("night").alias("newest"),
    )
    joined = new.join(base, ["survey", "object_id"], "left").withColumn("is_newer", F.expr("coalesce(newest >= array_max(nights), true)"))
    kept = without_nights("points", nights)
    rows = joined.select(
        "survey",
        "object_id",
        *(F.expr(f"IF(is_newer, new_{name}, {name})").alias(name) for name in ("ra", "dec", "healpix")),
        F.expr("array_sort(array_union(coalesce(nights, array()), new_nights))").alias("nights"),
        F.expr(f"array_sort(concat(coalesce({kept}, array()), new_points))").alias("points"),
    )
    return LIGHTCURVE_BASE.select(rows)


def unfolded(base: DataFrame, nights: Sequence[dt.date]) -> DataFrame:
    """Base rows that hold some of `nights`, without them; a row left with no night has no points either."""
    dates = _dates(nights)
    touched = base.where(f"arrays_overlap(nights, array({dates}))")
    rows = touched.withColumn("points", F.expr(without_nights("points", nights))).withColumn(
        "nights", F.expr(f"array_except(nights, array({dates}))")
    )
    return LIGHTCURVE_BASE.select(rows)


def nights_to_fold(segments: DataFrame, before: dt.date) -> list[dt.date]:
    """Nights older than `before` that still have segments, oldest first."""
    rows = segments.where(F.col("night") < F.lit(before)).select("night").distinct().orderBy("night").collect()  # one row a night: bounded
    return [row["night"] for row in rows]


def without_nights(points: str, nights: Sequence[dt.date]) -> str:
    """SQL: `points` but those known from `nights`."""
    return f"filter({points}, p -> NOT array_contains(array({_dates(nights)}), p.known_night))"


def _dates(nights: Sequence[dt.date]) -> str:
    return ", ".join(f"DATE'{night.isoformat()}'" for night in nights)
