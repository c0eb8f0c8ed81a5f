"""Labelled light curves as anybody may bring them: a table of measurements and one of classes, Parquet or CSV, known by their columns.

object_id, mjd [d], band (u, g, r, i, z, y), flux_njy, flux_err_njy (signed difference flux), where known is_detection (else 5 sigma from zero);
object_id, class (a name of schemas/taxonomy.py), where known ra, dec [deg], photo_z, photo_z_err, ebv. Both may be one table. A photometric redshift that is
not positive says that there is no host, as in table `hosts`.
"""

from __future__ import annotations

import datetime as dt

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from deeprubin_spark.errors import NoInputError
from deeprubin_spark.ingestion.files import Place, columns_of_files, read_table_of
from deeprubin_spark.ingestion.published_points import Published, label_rows, measured
from deeprubin_spark.kernels.feature_catalogue import ZTF_GR
from deeprubin_spark.kernels.nights import MJD_ZERO_DATE
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES

SIX_BANDS, TWO_BANDS = "external_lsst", "external_ztf"
LABEL_SOURCE = "external_labels"
CURVE_COLUMNS = "object_id string, mjd double, band string, flux_njy double, flux_err_njy double"
OBJECT_COLUMNS = "object_id string, class string"
_DETECTED = "is_detection boolean"
_PLACE, _HOST = "ra double, dec double", "photo_z double, photo_z_err double, ebv double"


def published(session: SparkSession, place: Place, survey: str) -> Published:
    """The tables at a place under one of the two surveys; TWO_BANDS takes only what is in g and r.

    NoInputError where a table or all its rows are missing, or where an object has two classes.
    """
    curves = measured(read_table_of(session, place, CURVE_COLUMNS, _DETECTED))
    if survey == TWO_BANDS:
        curves = curves.where(F.col("band").isin(list(ZTF_GR.bands)))
    objects = read_table_of(session, place, OBJECT_COLUMNS, f"{_PLACE}, {_HOST}").where(F.col("object_id").isNotNull()).distinct()
    twice = objects.groupBy("object_id").count().where("count > 1").limit(3).collect()  # three rows: bounded
    if twice:
        named = ", ".join(row["object_id"] for row in twice)
        raise NoInputError(f"{place}: expected one row of labels an object, found objects with different rows: {named}; keep one of each")
    night = _last_night(curves, place)
    classes = {name: name for name in CLASS_NAMES}
    labels = label_rows(objects.select("object_id", F.col("class").alias("label")), survey, LABEL_SOURCE, night, classes)
    has_hosts = bool({"photo_z", "ebv"} & {name for columns in columns_of_files(session, place).values() for name in columns})
    hosts = objects.select("object_id", "photo_z", "photo_z_err", "ebv") if has_hosts else None
    return Published(survey, night, curves, objects.select("object_id", "ra", "dec"), hosts, labels)


def _last_night(curves: DataFrame, place: Place) -> dt.date:
    """UT date of the last measurement: all is known by then."""
    last = curves.where(~F.isnan("mjd")).agg(F.max("mjd")).collect()[0][0]  # one row: bounded
    if last is None or not 0.0 <= last < 200_000.0:
        raise NoInputError(f"{place}: expected measurements with mjd, modified Julian dates in days, found none or a last one of {last}")
    date: dt.date = (MJD_ZERO_DATE + int(last)).item()
    return date
