"""The night's detections that may move, and the tracklets among them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as t

from deeprubin_spark import arrow
from deeprubin_spark.bands import BAND_NAMES
from deeprubin_spark.kernels.separations import unit_vectors
from deeprubin_spark.kernels.sky_motion import motion
from deeprubin_spark.kernels.tracklets import Detections, Tracklets, astrometric_error, find
from deeprubin_spark.kernels.two_body import sky_positions
from deeprubin_spark.schemas import TRACKLETS
from deeprubin_spark.searches.patches import by_group, patch, with_borders
from deeprubin_spark.settings import ScoringSettings

FloatArray = NDArray[np.float64]

ORDER, MARGIN = 4, 0.5  # patches of 3.7 deg; a tracklet is no longer than 5 deg/d for 90 minutes
MAX_SEEN_HERE = 2  # detections at a place, ever: more and it does not move
_STAR_DISTANCE, _STAR_SCORE = 1.0, 0.76  # [arcsec, 1] of a star in PS1 that would be the source (Fink's rule for its moving objects)
_OBSERVATIONS = TRACKLETS.column("observations")
_COLUMNS = ("source_id", "object_id", "night", "mjd", "ra", "dec", "mag", "mag_err", "band", "known_object", "elongation", "is_lonely")


def detections(alerts: DataFrame, settings: ScoringSettings) -> DataFrame:
    """Detections of `alerts_ztf` rows that may be of something that moves, with `known_object` where a known one is near enough.

    Left out: what is fainter than the reference, bogus, at the place of a star, or seen there more than twice. `is_lonely`: nothing in the reference
    images within 5 arcsec, and seen here once.
    """
    is_real = F.coalesce(F.col("drb") >= settings.min_drb, F.col("rb") >= settings.min_rb, F.lit(False))
    is_star = F.coalesce((F.col("distpsnr1") < _STAR_DISTANCE) & (F.col("sgscore1") >= _STAR_SCORE), F.lit(False))
    is_known = F.col("ssnamenr").isNotNull() & (F.col("ssdistnr") >= 0.0) & (F.col("ssdistnr") <= settings.max_asteroid_distance)
    is_alone = (F.coalesce("distpsnr1", F.lit(99.0)) > 5.0) & (F.coalesce("distnr", F.lit(99.0)) > 5.0) & (F.col("ndethist") <= 1)
    kept = alerts.where(F.col("isdiffpos").isin("t", "1") & is_real & ~is_star & (F.coalesce("ndethist", F.lit(1)) <= MAX_SEEN_HERE))
    return kept.select(
        F.col("candid").alias("source_id"),
        F.col("objectId").alias("object_id"),
        "night",
        (F.col("jd") - 2400000.5 + F.when(F.col("exptime") > 0, F.col("exptime")).otherwise(30.0) / 172800.0).alias("mjd"),
        "ra",
        "dec",
        F.col("magpsf").cast("double").alias("mag"),
        F.col("sigmapsf").cast("double").alias("mag_err"),
        F.element_at(F.array(F.lit("g"), F.lit("r"), F.lit("i")), F.col("fid")).alias("band"),
        F.when(is_known, F.col("ssnamenr")).alias("known_object"),
        F.col("elong").cast("double").alias("elongation"),
        is_alone.alias("is_lonely"),
    )


def tracklets(found: DataFrame) -> DataFrame:
    """`tracklets` rows of detections of survey ztf; every night and patch of sky by itself."""
    schema = t.StructType([*found.schema.fields, t.StructField("patch", t.LongType()), t.StructField("home", t.LongType())])
    spread = found.select(*_COLUMNS).mapInArrow(_in_patches, schema).repartition("night", "patch")
    return TRACKLETS.select(spread.mapInArrow(by_group(_tracklets_of_patch, ["night", "patch"]), TRACKLETS.spark_schema()))


def _in_patches(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    for batch in batches:
        if batch.num_rows == 0:
            continue
        ra, dec = arrow.floats(batch.column("ra")), arrow.floats(batch.column("dec"))
        rows, number = with_borders(ra, dec, ORDER, MARGIN)
        taken = batch.take(pa.array(rows))
        columns = [*taken.columns, pa.array(number), pa.array(patch(ra, dec, ORDER)[rows])]
        yield pa.RecordBatch.from_arrays(columns, names=[*batch.schema.names, "patch", "home"])


def _tracklets_of_patch(rows: pa.Table) -> pa.RecordBatch:
    """Tracklets that begin in the patch; those of its border are its neighbours'."""
    rows = rows.sort_by("source_id")
    mjd, ra, dec, mag, mag_err = (arrow.floats(rows.column(name)) for name in ("mjd", "ra", "dec", "mag", "mag_err"))
    vectors = unit_vectors(ra, dec)
    found = find(Detections(mjd, vectors, mag, mag_err, arrow.codes(rows.column("band"), BAND_NAMES)))
    is_home = arrow.longs(rows.column("home"), -1) == arrow.longs(rows.column("patch"), -2)
    return _rows(rows, _of_home(found, is_home), mjd, vectors, astrometric_error(mag_err))


def _of_home(found: Tracklets, is_home: NDArray[np.bool_]) -> Tracklets:
    begins, counts = found.offsets[:-1], np.diff(found.offsets)
    kept = is_home[found.members[begins]] if len(begins) else np.zeros(0, bool)
    return Tracklets(np.concatenate(([0], np.cumsum(counts[kept]))).astype(np.int64), found.members[np.repeat(kept, counts)])


def _rows(rows: pa.Table, found: Tracklets, mjd: FloatArray, vectors: FloatArray, sigma: FloatArray) -> pa.RecordBatch:
    members, offsets = found.members, found.offsets
    first, last = members[offsets[:-1]], members[offsets[1:] - 1] if len(offsets) > 1 else members[:0]
    errors = np.where(np.isfinite(sigma), sigma, np.nanmax(sigma, initial=0.3))
    seen = motion(offsets, mjd[members], vectors[members], errors[members])
    ra, dec = sky_positions(seen.vectors)
    taken = rows.take(pa.array(members))
    fields = {name: taken.column(name) for name in ("source_id", "object_id", "mjd", "ra", "dec", "mag", "mag_err", "band")}
    ids = np.asarray(rows.column("source_id").to_numpy())
    columns = {
        "survey": pa.array(["ztf"] * len(first), pa.string()),
        "night": rows.column("night").take(pa.array(first)).combine_chunks(),
        "tracklet_id": pa.array([f"{a}-{b}" for a, b in zip(ids[first], ids[last], strict=True)], pa.string()),
        "mjd": pa.array(seen.mjd),
        "ra": pa.array(ra),
        "dec": pa.array(dec),
        "rate": pa.array(seen.rate),
        "position_angle": pa.array(seen.position_angle),
        "arc_minutes": pa.array((mjd[last] - mjd[first]) * 1440.0),
        "n_detections": pa.array(np.diff(offsets), pa.int32()),
        "great_circle_rms": arrow.nullable(seen.great_circle_rms, pa.float32()),
        "rate_chi2": arrow.nullable(seen.rate_chi2, pa.float32()),
        "known_object": _shared(taken.column("known_object").to_pylist(), offsets),
        "observations": arrow.lists_of_records(fields, offsets, _OBSERVATIONS.arrow_type()),
    }
    return arrow.rows_of(columns, TRACKLETS.arrow_schema(), len(first))


def _shared(names: list[str | None], offsets: NDArray[np.int64]) -> pa.Array:
    """The name that all detections of a tracklet have, NULL where they differ or have none."""
    groups = (set(names[a:b]) for a, b in zip(offsets[:-1], offsets[1:], strict=True))
    return pa.array([next(iter(group)) if len(group) == 1 else None for group in groups], pa.string())
