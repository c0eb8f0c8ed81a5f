"""PLAsTiCC's training set as it is: LSST's six bands, a flux at every visit.

PLAsTiCC team 2018 (arXiv:1810.00001); Kessler et al. 2019 (arXiv:1903.11756). Fluxes have zero point 27.5. The columns true_*, tflux_* and libid_cadence are
the simulation's truth and are never read, nor is hostgal_specz: which objects have a spectrum says what they are.
"""

from __future__ import annotations

import datetime as dt

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from deeprubin_spark.bands import BAND_NAMES
from deeprubin_spark.ingestion.files import Place, read_table_of
from deeprubin_spark.ingestion.published_points import NJY_PER_FLUXCAL, Published, label_rows, measured
from deeprubin_spark.schemas.taxonomy_map import class_of

SURVEY = "plasticc"
LABEL_SOURCE = "plasticc_truth"
NIGHT = dt.date(2024, 12, 30)  # UT date of the last simulated visit, MJD 60674: all is known by then
RELEASED_ON = dt.date(2018, 9, 28)  # the day the challenge, and with it the truth of its training set, came out

CURVE_COLUMNS = "object_id long, mjd double, passband int, flux double, flux_err double"
OBJECT_COLUMNS = "object_id long, ra double, decl double, target int"
_DETECTED = "detected_bool int, detected int"  # as the unblinded data call it, and as the challenge did
_HOST = "hostgal_photoz double, hostgal_photoz_err double, mwebv double"


def published(session: SparkSession, folder: Place) -> Published:
    """The set that lies in a folder, as Parquet or CSV, its two tables known by their columns."""
    objects = read_table_of(session, folder, OBJECT_COLUMNS, _HOST)
    return Published(SURVEY, NIGHT, light_curves(session, folder), places(objects), hosts(objects), labels(objects, SURVEY))


def light_curves(session: SparkSession, folder: Place) -> DataFrame:
    """All measurements; a detection is what the simulation's pipeline flagged, or where the data do not say, 5 sigma from zero."""
    found = read_table_of(session, folder, CURVE_COLUMNS, _DETECTED)
    letter = F.create_map(*(F.lit(value) for number, name in enumerate(BAND_NAMES) for value in (number, name)))
    return measured(
        found.select(
            "object_id",
            "mjd",
            F.try_element_at(letter, "passband").alias("band"),
            (F.col("flux") * NJY_PER_FLUXCAL).alias("flux_njy"),
            (F.col("flux_err") * NJY_PER_FLUXCAL).alias("flux_err_njy"),
            (F.coalesce("detected_bool", "detected") == 1).alias("is_detection"),
        )
    )


def places(objects: DataFrame) -> DataFrame:
    """Where the objects are."""
    return objects.select(F.col("object_id").cast("string").alias("object_id"), "ra", F.col("decl").alias("dec"))


def hosts(objects: DataFrame) -> DataFrame | None:
    """What is known of the hosts; a photometric redshift of 0 marks the objects of our Galaxy. None where the columns are not there."""
    named = {"photo_z": "hostgal_photoz", "photo_z_err": "hostgal_photoz_err", "ebv": "mwebv"}
    told = objects.where(F.col("hostgal_photoz").isNotNull())
    if told.isEmpty():
        return None
    return told.select(F.col("object_id").cast("string").alias("object_id"), *(F.col(theirs).alias(ours) for ours, theirs in named.items()))


def labels(objects: DataFrame, survey: str) -> DataFrame:
    """Labels rows of the objects under one of PLAsTiCC's two surveys; the class is NULL for a target outside the taxonomy."""
    labelled = objects.select("object_id", F.col("target").alias("label"))
    return label_rows(labelled, survey, LABEL_SOURCE, RELEASED_ON, class_of("plasticc"))
