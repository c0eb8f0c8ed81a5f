"""ELAsTiCC's alerts, joined to one light curve an object; what the simulation knows stays apart.

Schema v0.9.1 (LSSTDESC/elasticc alert_schema), as a broker hands it out in Parquet. Fluxes are nJy. An object's detections come in its own alerts and again
in the history of later ones, its forced fluxes in every alert from the day after the first; a forced flux of a detection's exposure is the same
number under the same id. The columns in capitals (SNID, GENTYPE, ZCMB, PEAKMJD, ...) are the truth that was told afterwards.
"""

from __future__ import annotations

import datetime as dt

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from deeprubin_spark.errors import NoInputError
from deeprubin_spark.ingestion.files import files_in
from deeprubin_spark.ingestion.published_points import Published, label_rows, measured
from deeprubin_spark.kernels.nights import SECONDS_PER_DAY
from deeprubin_spark.schemas.taxonomy_map import class_of

SURVEY = "elasticc"
LABEL_SOURCE = "elasticc_truth"
NIGHT = dt.date(2026, 12, 31)  # after every simulated visit: the alerts we know end in September 2025
TOLD_ON = dt.date(2022, 12, 31)  # the year of the stream
TAI_MINUS_UTC = 37.0  # [s] since 2017 (IERS Bulletin C)

_SOURCE = "filterName:string,midPointTai:double,psFlux:double,psFluxErr:double"
_READ = (
    f"diaSource struct<diaObjectId:bigint,diaSourceId:bigint,{_SOURCE}>, "
    f"prvDiaSources array<struct<diaSourceId:bigint,{_SOURCE}>>, "
    f"prvDiaForcedSources array<struct<diaForcedSourceId:bigint,{_SOURCE}>>, "
    "diaObject struct<ra:double,decl:double,hostgal_zphot:double,hostgal_zphot_err:double,mwebv:double>"
)
_TOLD = "diaSource struct<diaObjectId:bigint>, GENTYPE bigint"
_NEEDED = "diaSource.diaObjectId", "diaSource.midPointTai", "diaSource.psFlux", "diaObject.ra", "prvDiaSources", "prvDiaForcedSources"


def published(session: SparkSession, folder: str) -> Published:
    """The alerts that lie in a folder, as Parquet, in however many files."""
    files = _files(session, folder)
    alerts = session.read.schema(_READ).parquet(*files).withColumn("object_id", F.col("diaSource.diaObjectId").cast("string"))
    objects = latest_objects(alerts)
    hosts = objects.select(
        "object_id", F.col("hostgal_zphot").alias("photo_z"), F.col("hostgal_zphot_err").alias("photo_z_err"), F.col("mwebv").alias("ebv")
    )
    places = objects.select("object_id", "ra", F.col("decl").alias("dec"))
    return Published(SURVEY, NIGHT, light_curves(alerts), places, hosts, labels(session.read.schema(_TOLD).parquet(*files)))


def light_curves(alerts: DataFrame) -> DataFrame:
    """Every measurement in any alert of an object, once."""
    own = _measurements(alerts, F.array("diaSource"), "diaSourceId", True)
    before = _measurements(alerts, F.col("prvDiaSources"), "diaSourceId", True)
    forced = _measurements(alerts, F.col("prvDiaForcedSources"), "diaForcedSourceId", False)
    return measured(own.unionByName(before).unionByName(forced).dropDuplicates(["object_id", "source_id", "is_detection"]))


def latest_objects(alerts: DataFrame) -> DataFrame:
    """What the latest alert of each object says of its place and host; a magic number (-9, -999) is left for `host_rows` to refuse."""
    told = F.max_by("diaObject", F.struct("diaSource.midPointTai", "diaSource.diaSourceId"))
    return alerts.groupBy("object_id").agg(told.alias("told")).select("object_id", "told.*")


def labels(told: DataFrame) -> DataFrame:
    """The model that each object was simulated with, and its class; none where the alerts do not say."""
    models = told.groupBy(F.col("diaSource.diaObjectId").alias("object_id")).agg(F.max("GENTYPE").alias("label"))
    return label_rows(models, SURVEY, LABEL_SOURCE, TOLD_ON, class_of("elasticc_model"))


def _measurements(alerts: DataFrame, sources: Column, id_name: str, is_detection: bool) -> DataFrame:
    one = alerts.select("object_id", F.explode(sources).alias("one"))
    return one.select(
        "object_id",
        (F.col("one.midPointTai") - TAI_MINUS_UTC / SECONDS_PER_DAY).alias("mjd"),
        F.lower("one.filterName").alias("band"),  # theirs writes Y
        F.col("one.psFlux").alias("flux_njy"),
        F.col("one.psFluxErr").alias("flux_err_njy"),
        F.lit(is_detection).alias("is_detection"),
        F.col(f"one.{id_name}").alias("source_id"),
    )


def _files(session: SparkSession, folder: str) -> list[str]:
    """The folder's Parquet files. NoInputError where there are none, or where the first does not hold ELAsTiCC's alerts."""
    files = files_in(session, folder, "*.parquet")
    if not files:
        raise NoInputError(f"{folder}: expected a folder with Parquet files of ELAsTiCC alerts, found none")
    try:
        session.read.parquet(files[0]).select(*_NEEDED)
    except AnalysisException as error:
        raise NoInputError(f"{files[0]}: expected alerts with {', '.join(_NEEDED)}; {str(error).splitlines()[0]}") from error
    return files
