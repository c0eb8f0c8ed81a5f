"""Stars with distances: the bundled hosts of planets, and a Gaia extract that the user brings, matched to the objects of a night by position.

A match is a join on HEALPix pixels, so a catalogue may have as many stars as Gaia.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as t

from deeprubin_spark import arrow
from deeprubin_spark.errors import ConfigError
from deeprubin_spark.kernels.sky import HEALPIX_ORDER
from deeprubin_spark.schemas.contract import Column, Table
from deeprubin_spark.searches import catalogues
from deeprubin_spark.searches.patches import with_borders

Batches = Iterable[pa.RecordBatch]

RADIUS = 3.0  # [arcsec] of a match
LEAST_SIGNIFICANCE = 5.0  # parallax over its error; below, 1 / parallax is no distance (Bailer-Jones 2015, PASP 127, 994)
BUNDLED_ERROR = 0.01  # [1] of a bundled distance, which comes without: as of Gaia's parallaxes at a few hundred parsecs (assumed)
_YEAR_ZERO = dt.date(2000, 1, 1)

GAIA = Table(
    "gaia_extract",
    doc="What a user's star catalogue must have, by Gaia's own column names; it may have more.",
    version=1,
    key=("source_id",),
    columns=(
        Column("source_id", "long", ucd="meta.id;meta.main", doc="Gaia's id", required=True),
        Column("ra", "double", unit="deg", ucd="pos.eq.ra", doc="Right ascension at ref_epoch", required=True),
        Column("dec", "double", unit="deg", ucd="pos.eq.dec", doc="Declination at ref_epoch", required=True),
        Column("parallax", "double", unit="mas", ucd="pos.parallax.trig", doc="Parallax"),
        Column("parallax_error", "double", unit="mas", ucd="stat.error;pos.parallax.trig", doc="Its 1-sigma error"),
        Column("pmra", "double", unit="mas/yr", ucd="pos.pm;pos.eq.ra", doc="Proper motion in right ascension times cos(dec)"),
        Column("pmdec", "double", unit="mas/yr", ucd="pos.pm;pos.eq.dec", doc="Proper motion in declination"),
        Column(
            "ref_epoch",
            "double",
            unit="yr",
            ucd="meta.ref;time.epoch",
            doc="Epoch of the position; all 2016.0 where there is no such column",
        ),
    ),
)
_OPTIONAL = {"ref_epoch": 2016.0}

STAR = Table(
    "star",
    doc="A star with a distance, once for each pixel that a circle of RADIUS around it meets.",
    version=1,
    key=("star", "pixel"),
    columns=(
        Column("star", "string", doc="Name"),
        Column("star_ra", "double", unit="deg", doc="Right ascension on the night"),
        Column("star_dec", "double", unit="deg", doc="Declination on the night"),
        Column("distance_pc", "double", unit="pc", doc="Distance"),
        Column("distance_err_pc", "double", unit="pc", doc="Its error"),
        Column("pixel", "long", doc="HEALPix, nested, order 14"),
    ),
)


def gaia_extract(session: SparkSession, path: str) -> DataFrame:
    """Rows of `GAIA` from a CSV file with a header, or Parquet (anything that does not end in .csv or .csv.gz), a file or a folder.

    ConfigError where it cannot be read, or where columns are missing: it names them all.
    """
    is_csv = path.rstrip("/").endswith((".csv", ".csv.gz"))
    reader = session.read.option("header", True).option("nullValue", "null").option("mode", "FAILFAST")
    try:
        found = (reader.csv(path) if is_csv else session.read.parquet(path)).columns
    except Exception as error:
        raise ConfigError(f"--stars {path}: cannot be read: {str(error).splitlines()[0]}") from error
    missing = [column.name for column in GAIA.columns if column.name not in (*found, *_OPTIONAL)]
    if missing:
        raise ConfigError(
            f"--stars {path}: {len(missing)} of the columns that a Gaia extract must have are missing: {', '.join(missing)}; "
            f"found {', '.join(found) or 'none'}; ask the Gaia archive for {', '.join(GAIA.names)}"
        )
    types = {column.name: column.spark_type() for column in GAIA.columns}
    if is_csv:  # by the header's own order; columns we do not know are text
        schema = t.StructType([t.StructField(name, types.get(name, t.StringType())) for name in found])
        frame = reader.schema(schema).csv(path)
    else:
        frame = session.read.parquet(path)
    columns = {name: F.col(name) if name in found else F.lit(_OPTIONAL[name]) for name in GAIA.names}
    return GAIA.select(frame.select(*(column.cast(types[name]).alias(name) for name, column in columns.items())))


def of_gaia(rows: DataFrame, night: dt.date) -> DataFrame:
    """`STAR` rows of `GAIA` rows with a parallax of at least 5 sigma, each moved to the night: d = 1000 / parallax, sigma_d = d sigma / parallax."""
    significant = rows.where(F.col("parallax") >= LEAST_SIGNIFICANCE * F.col("parallax_error")).where("parallax_error > 0")
    years = F.lit(_year(night)) - F.col("ref_epoch")
    distance = F.lit(1000.0) / F.col("parallax")
    moved_dec = F.col("dec") + _degrees("pmdec") * years
    placed = significant.select(
        F.concat(F.lit("Gaia "), F.col("source_id").cast("string")).alias("star"),
        (F.col("ra") + _degrees("pmra") * years / F.cos(F.radians("dec"))).alias("star_ra"),
        F.least(F.greatest(moved_dec, F.lit(-90.0)), F.lit(90.0)).alias("star_dec"),
        distance.alias("distance_pc"),
        (distance * F.col("parallax_error") / F.col("parallax")).alias("distance_err_pc"),
    )
    return _with_pixels(placed)


def bundled(session: SparkSession) -> DataFrame:
    """`STAR` rows of the bundled hosts of planets, where the catalogue has them: it has no motions."""
    hosts = catalogues.table("planet_hosts.csv")
    rows = [
        (str(name), float(ra), float(dec), float(far), BUNDLED_ERROR * float(far))
        for name, ra, dec, far in zip(hosts["star"], hosts["ra"], hosts["dec"], hosts["distance_pc"], strict=True)
        if np.isfinite(far) and far > 0.0
    ]
    return _with_pixels(session.createDataFrame(rows, t.StructType(STAR.spark_schema().fields[:-1])))


def matches(objects: DataFrame, stars: DataFrame) -> DataFrame:
    """The nearest star within 3 arcsec of each object: object_id, night, and star, star_separation [arcsec], distance_pc, distance_err_pc.

    objects : object_id, night, ra, dec, pixel (HEALPix order 14)      stars : `STAR` rows
    """
    half = F.pow(F.sin(F.radians(F.col("dec") - F.col("star_dec")) / 2), 2) + F.cos(F.radians("dec")) * F.cos(
        F.radians("star_dec")
    ) * F.pow(F.sin(F.radians(F.col("ra") - F.col("star_ra")) / 2), 2)
    separation = F.degrees(2 * F.asin(F.sqrt(half))) * 3600
    near = objects.join(stars, "pixel").withColumn("star_separation", separation).where(F.col("star_separation") <= RADIUS)
    kept = ("star", "star_separation", "distance_pc", "distance_err_pc")
    best = near.groupBy("object_id", "night").agg(F.min_by(F.struct(*kept), F.struct("star_separation", "star")).alias("best"))
    return best.select("object_id", "night", *(F.col(f"best.{name}").alias(name) for name in kept))


def _with_pixels(placed: DataFrame) -> DataFrame:
    return STAR.select(placed.mapInArrow(_pixels(), STAR.spark_schema()))


def _pixels() -> Callable[[Batches], Batches]:
    def pixels(batches: Batches) -> Batches:
        for batch in batches:
            if batch.num_rows == 0:
                continue
            rows, pixel = with_borders(
                arrow.floats(batch.column("star_ra")), arrow.floats(batch.column("star_dec")), HEALPIX_ORDER, RADIUS / 3600.0
            )
            taken = batch.take(pa.array(rows))
            yield pa.RecordBatch.from_arrays([*taken.columns, pa.array(pixel)], schema=STAR.arrow_schema())

    return pixels


def _degrees(name: str) -> SparkColumn:
    """A proper motion [mas/yr] in degrees a year; 0 where it is unknown."""
    return F.coalesce(F.col(name), F.lit(0.0)) / F.lit(3.6e6)


def _year(night: dt.date) -> float:
    """Julian epoch."""
    return 2000.0 + (night - _YEAR_ZERO).days / 365.25
