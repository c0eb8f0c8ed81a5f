"""Segments and base to light curves: what is known of an object, each measurement once.

The rule, after keeping only points with known_night <= N:
1. one version of each detection (by source_id), limit and forced measurement (by exposure and band): the alert's own row before a copy in
   another packet's history, then the version known first; of forced photometry the one known last, because its pipeline improves it;
2. one measurement per exposure and band: a detection beats a limit, the alert's own row a history copy, then the highest rb, then the lowest
   source_id. Other detections of that exposure stay, marked `same_exposure`; limits beaten by a detection go. Forced photometry is a series of its own.

Here it is one SQL expression on arrays, which the view runs and any SQL client understands. The night, which asks it for some objects as of
its own date, runs the compiled form, `kernels/measurements.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from deeprubin_spark.schemas import LIGHTCURVES
from deeprubin_spark.schemas.lightcurves import POINT

_POINT_NAMES = [c.name for c in POINT]
_WHERE = ("ra", "dec", "healpix")
_DAY_ZERO = "DATE'1858-11-17'"
# Sorting by these brings versions of one point together, the one to keep first. -1 stands for "no source_id" in limits and forced photometry.
_VERSION_KEY = f"""
  p.kind = 'forced' AS is_forced, p.exposure_mjd AS exposure_mjd, p.band AS band, p.kind = 'limit' AS is_limit,
  coalesce(p.source_id, -1L) AS source, NOT (p.source_id <=> p.packet_id) AS is_copy,
  IF(p.kind = 'forced', -1, 1) * datediff(p.known_night, {_DAY_ZERO}) AS version,
  IF(p.kind = 'forced', -1L, 1L) * p.packet_id AS packet, p AS point"""
_SAME_POINT = (
    "a.is_forced = b.is_forced AND a.exposure_mjd = b.exposure_mjd AND a.band = b.band AND a.is_limit = b.is_limit AND a.source = b.source"
)
# Sorting by these brings the measurements of one exposure and band together, the preferred one first.
_MEASUREMENT_KEY = """
  v.is_forced AS is_forced, v.exposure_mjd AS exposure_mjd, v.band AS band, v.is_limit AS is_limit, v.is_copy AS is_copy,
  -coalesce(v.point.rb, -1.0F) AS badness, v.source AS source, v.point AS point"""
_SAME_EXPOSURE = "a.is_forced = b.is_forced AND a.exposure_mjd = b.exposure_mjd AND a.band = b.band"


def all_points(segments: DataFrame, base: DataFrame) -> DataFrame:
    """Rows (survey, object_id, part_night, ra, dec, healpix, points) of both tables, no point twice.

    A night whose segments are there counts from them alone: between the two commits of a fold it is in both tables.
    """
    nights = segments.groupBy("survey").agg(F.collect_set("night").alias("segment_nights"))
    unfolded = base.join(F.broadcast(nights), "survey", "left").withColumn(
        "points", F.expr("filter(points, p -> NOT coalesce(array_contains(segment_nights, p.known_night), false))")
    )
    keys = ("survey", "object_id")
    return segments.select(*keys, F.col("night").alias("part_night"), *_WHERE, "points").unionByName(
        unfolded.select(*keys, F.col("last_night").alias("part_night"), *_WHERE, "points").where("size(points) > 0")
    )


def light_curves(segments: DataFrame, base: DataFrame) -> DataFrame:
    """The view `lightcurves`: everything known so far."""
    return LIGHTCURVES.select(all_points(segments, base).transform(_assemble(["survey", "object_id"])))


def _assemble(keys: list[str]) -> Callable[[DataFrame], DataFrame]:
    """Group the parts of each key and apply the rule; the position is that of the latest part."""

    def transform(parts: DataFrame) -> DataFrame:
        grouped = parts.groupBy(*keys).agg(
            *(F.max_by(name, "part_night").alias(name) for name in _WHERE), F.flatten(F.collect_list("points")).alias("points")
        )
        carried = [*keys, *_WHERE]
        versions = grouped.select(*carried, F.expr(f"array_sort(transform(points, p -> struct({_VERSION_KEY})))").alias("v"))
        unique = versions.select(*carried, F.expr(_first_of_each("v", _SAME_POINT)).alias("v"))
        ranked = unique.select(*carried, F.expr(f"array_sort(transform(v, v -> struct({_MEASUREMENT_KEY})))").alias("m"))
        marked = ranked.select(*carried, F.expr(f"filter({_marked('m')}, x -> NOT (x.same_exposure AND x.kind = 'limit'))").alias("points"))
        return marked.withColumn("points", F.array_sort("points"))

    return transform


def _first_of_each(array: str, same: str) -> str:
    """SQL: the elements of a sorted array that differ from the one before."""
    differs = same.replace("a.", "x.").replace("b.", f"{array}[i - 1].")
    return f"filter({array}, (x, i) -> i = 0 OR NOT ({differs}))"


def _marked(array: str) -> str:
    """SQL: the points of a sorted array of measurements, each told whether it is of the same exposure as the one before."""
    same = _SAME_EXPOSURE.replace("a.", "x.").replace("b.", f"{array}[i - 1].")
    fields = ", ".join(f"x.point.{name} AS {name}" for name in _POINT_NAMES)
    return f"transform({array}, (x, i) -> struct({fields}, i > 0 AND ({same}) AS same_exposure))"
