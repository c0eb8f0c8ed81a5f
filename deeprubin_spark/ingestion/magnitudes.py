"""Light curves that were published as magnitudes, with a list of what the objects are.

Magnitudes of difference images become fluxes as they are. Magnitudes of the star itself have no reference image to be a difference from: its median flux in
each band stands for it, and the flux itself is kept as apparent flux. A list is known by its columns; what it says of the types goes to labels alone.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from deeprubin_spark.errors import NoInputError
from deeprubin_spark.ingestion import label_lists
from deeprubin_spark.ingestion.files import columns_at, names, read_columns
from deeprubin_spark.ingestion.published_points import Published, measured
from deeprubin_spark.kernels.photometry import MAG_PER_RELATIVE_FLUX, ZERO_POINT

NIGHT = dt.date(2022, 11, 14)  # one night for all of it: UT date of the last point of the BTS light curves we know
CURVE_COLUMNS = "object_id string, time double, mag double, magerr double, band string"
_NO_MAGNITUDE = 1.0  # [mag] an error this large stands for "not measured" (SDSS: 99.999)


class ListForm(NamedTuple):
    """A form of list: the columns it is known by, others it may have, and from them objectId, source, label, ra and dec [deg]."""

    columns: str
    optional: str
    object_id: Column
    source: Column
    label: Column
    ra: Column
    dec: Column


def list_forms() -> tuple[ListForm, ...]:
    """The forms we know: our own, ZTF's Bright Transient Survey (Perley et al. 2020), RR Lyrae of SDSS Stripe 82 (Sesar et al. 2010)."""
    ours = ("objectId", "source", "label", "ra", "dec")
    bts = (F.col("ZTFID"), F.lit("ztf_bts"), F.col("type"), 15.0 * _sexagesimal("RA"), _sexagesimal("Dec"))
    unknown = F.lit(None).cast("double")
    stripe = (F.col("Num"), F.lit("sdss_s82_rrlyrae"), F.concat(F.lit("RR"), F.upper("Type")), unknown, unknown)
    return (
        ListForm(label_lists.COLUMNS, "ra double, dec double", *(F.col(name) for name in ours)),
        ListForm("ZTFID string, type string, RA string, Dec string", "", *bts),
        ListForm("Num string, Type string, Per double", "", *stripe),
    )


def published(session: SparkSession, survey: str, curves: str, listed: str, labelled_on: dt.date, of_the_star: bool) -> Published:
    """Light curves and list, each a file or folder of Parquet or CSV; of_the_star: the magnitudes are not those of a difference image."""
    objects = objects_of(session, listed)
    place = F.max(F.struct("ra", "dec"))  # of several, as two sources may say: one that is known
    places = objects.groupBy(F.col("objectId").alias("object_id")).agg(place.alias("place")).select("object_id", "place.*")
    found = measured_fluxes(read_columns(session, curves, CURVE_COLUMNS), of_the_star)
    return Published(survey, NIGHT, found, places, None, label_lists.labels(objects, survey, labelled_on))


def objects_of(session: SparkSession, listed: str) -> DataFrame:
    """Rows (objectId, source, label, ra, dec) of a list in one of `list_forms`. NoInputError where it is in none of them."""
    found = columns_at(session, listed)
    for form in list_forms():
        if names(form.columns) <= found:
            named = {"objectId": form.object_id, "source": form.source, "label": form.label, "ra": form.ra, "dec": form.dec}
            rows = read_columns(session, listed, form.columns, form.optional)
            return rows.select(*(column.alias(name) for name, column in named.items())).where("objectId IS NOT NULL")
    known = " or ".join(form.columns for form in list_forms())
    raise NoInputError(f"{listed}: expected Parquet or CSV with the columns {known}, found {', '.join(sorted(found))}")


def measured_fluxes(magnitudes: DataFrame, of_the_star: bool) -> DataFrame:
    """Measurements of `CURVE_COLUMNS` rows: F = 10^((31.4 - m) / 2.5), sigma_F = F sigma_m / 1.0857 (AB magnitudes).

    A published magnitude of a difference image is a detection. Of the star itself, F minus its median in the band is, where it is 5 sigma.
    """
    flux = F.pow(F.lit(10.0), (ZERO_POINT - F.col("mag")) / 2.5)
    is_there = F.col("magerr").between(0.0, _NO_MAGNITUDE)
    with_flux = magnitudes.select(
        "object_id",
        F.col("time").alias("mjd"),
        F.lower("band").alias("band"),  # ZTF's r is also written R
        F.when(is_there, flux).alias("flux_njy"),
        F.when(is_there, flux * F.col("magerr") / MAG_PER_RELATIVE_FLUX).alias("flux_err_njy"),
    )
    if not of_the_star:
        return measured(with_flux.withColumn("is_detection", F.lit(True)))
    reference = with_flux.groupBy("object_id", "band").agg(F.median("flux_njy").alias("reference"))
    apparent = {"apparent_flux_njy": F.col("flux_njy"), "apparent_flux_err_njy": F.col("flux_err_njy")}
    return measured(
        with_flux.join(reference, ["object_id", "band"])
        .withColumns(apparent)
        .withColumn("flux_njy", F.col("flux_njy") - F.col("reference"))
    )


def _sexagesimal(column: str) -> Column:
    """'+33:54:22.8' to 33.9063 in the first part's unit."""
    parts = F.split(F.regexp_replace(column, "^[+-]", ""), ":")
    size = sum((parts[i].cast("double") / 60.0**i for i in (1, 2)), parts[0].cast("double"))
    return F.when(F.col(column).startswith("-"), -size).otherwise(size)
