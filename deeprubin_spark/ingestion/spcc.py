"""The SN Photometric Classification Challenge: simulated supernovae as DES would see them, griz.

Kessler et al. 2010 (arXiv:1001.5210, results arXiv:1008.1024). As the original SNANA text files, one an object, or as two tables made of them: light curves
(snid, mjd, band, flux, flux_err) and metadata. True type, model, redshift and time of maximum are never read for light curves and hosts, nor the
spectroscopic redshift, nor redshift_final, which is the spectroscopic one where there is one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import Any, cast

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from deeprubin_spark.errors import NoInputError
from deeprubin_spark.ingestion import snana_text
from deeprubin_spark.ingestion.files import Place, files_in, has_table_of, read_table_of
from deeprubin_spark.ingestion.published_points import NJY_PER_FLUXCAL, Published, label_rows, measured

SURVEY = "spcc"
NIGHT = dt.date(2013, 2, 28)  # UT date of the last simulated visit, MJD 56351
SPECTROSCOPIC, SPECTROSCOPIC_ON = (
    "spcc_spectroscopic",
    dt.date(2010, 1, 28),
)  # the challenge was published with the types of its spectroscopic sample,
TRUTH, TRUTH_ON = "spcc_truth", dt.date(2010, 8, 5)  # ... and all types with its results
NO_SPECTRUM = -9

# The simulation's types in ours. IIb is not among them.
CLASS_OF_TYPE: dict[str, str] = {
    "Ia": "SNIa",
    **dict.fromkeys(("II", "IIn", "IIP", "IIL"), "SNII"),
    **dict.fromkeys(("Ib", "Ic", "Ibc"), "SNIbc"),
}
# SNTYPE: 1 is Ia, 2 and the twenties are kinds of II, 3 and the thirties kinds of Ib and Ic, as the truth of the spectroscopic sample shows.
CLASS_OF_NUMBER: dict[str, str] = {
    "1": "SNIa",
    **{str(number): "SNII" for number in (2, *range(20, 30))},
    **{str(number): "SNIbc" for number in (3, *range(30, 40))},
}

# float: four digits are published, and both forms of the set are to give the same numbers.
CURVE_COLUMNS = "snid string, mjd double, band string, flux float, flux_err float"
_PLACE_COLUMNS = "snid string, ra double, decl double, mwebv float, hostgal_photoz float, hostgal_photoz_err float"
TRUTH_COLUMNS = "snid string, sntype int, true_type string"
_OBSERVED = (
    "object_id string, ra double, dec double, ebv float, photo_z float, photo_z_err float, "
    "mjd array<double>, band array<string>, flux array<float>, flux_err array<float>"
)
_TOLD = "object_id string, sntype int, true_type string"
TEXT_FILES = "*.DAT"


def published(session: SparkSession, folder: Place) -> Published:
    """The set that lies in a folder: its two tables, known by their columns, else its text files."""
    if has_table_of(session, folder, CURVE_COLUMNS):
        objects = read_table_of(session, folder, _PLACE_COLUMNS).withColumnsRenamed(
            {"snid": "object_id", "decl": "dec", "mwebv": "ebv", "hostgal_photoz": "photo_z", "hostgal_photoz_err": "photo_z_err"}
        )
        curves = read_table_of(session, folder, CURVE_COLUMNS).withColumnRenamed("snid", "object_id")
        told = read_table_of(session, folder, TRUTH_COLUMNS).withColumnRenamed("snid", "object_id")
    else:
        texts = _texts(session, folder)
        objects = texts.mapInArrow(_rows(snana_text.observed, _OBSERVED), _OBSERVED)
        told = texts.mapInArrow(_rows(snana_text.truth, _TOLD), _TOLD)
        each = F.explode(F.arrays_zip("mjd", "band", "flux", "flux_err"))
        curves = objects.select("object_id", each.alias("one")).select("object_id", "one.*")
    places, hosts = objects.select("object_id", "ra", "dec"), objects.select("object_id", "photo_z", "photo_z_err", "ebv")
    return Published(SURVEY, NIGHT, _in_njy(curves), places, hosts, labels(told))


def unreadable(session: SparkSession, folder: str) -> int:
    """How many text files of a folder are not SNANA's; 0 where the set is read from its tables."""
    if has_table_of(session, folder, CURVE_COLUMNS):
        return 0
    texts = _texts(session, folder)
    return texts.count() - texts.mapInArrow(_rows(snana_text.observed, _OBSERVED), _OBSERVED).count()


def labels(told: DataFrame) -> DataFrame:
    """Labels of both sources from (object_id, sntype, true_type): the spectroscopic sample's, and everybody's truth."""
    number = F.when(F.col("sntype") != NO_SPECTRUM, F.col("sntype").cast("string"))
    spectroscopic = told.select("object_id", number.alias("label"))
    true = told.select("object_id", F.col("true_type").alias("label"))
    return label_rows(spectroscopic, SURVEY, SPECTROSCOPIC, SPECTROSCOPIC_ON, CLASS_OF_NUMBER).unionByName(
        label_rows(true, SURVEY, TRUTH, TRUTH_ON, CLASS_OF_TYPE)
    )


def _in_njy(curves: DataFrame) -> DataFrame:
    """Measurements from FLUXCAL; an error that is not positive (-9) says that there is no flux."""
    flux = {f"{name}_njy": F.col(name).cast("double") * NJY_PER_FLUXCAL for name in ("flux", "flux_err")}
    return measured(curves.select("object_id", "mjd", "band", *(column.alias(name) for name, column in flux.items())))


def _texts(session: SparkSession, folder: Place) -> DataFrame:
    if not files_in(session, folder, TEXT_FILES):
        raise NoInputError(f"{folder}: expected {TEXT_FILES}, or Parquet or CSV with the columns {CURVE_COLUMNS}, found neither")
    return session.read.text(folder, wholetext=True, pathGlobFilter=TEXT_FILES, recursiveFileLookup=True)


def _rows(parse: Callable[[str], dict[str, Any] | None], columns: str) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    """A mapInArrow function from texts to the rows that `parse` finds in them."""
    schema = to_arrow_schema(cast(StructType, StructType.fromDDL(columns)))

    def rows_of_texts(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            found = (parse(text) for text in batch.column("value").to_pylist())
            yield pa.RecordBatch.from_pylist([row for row in found if row is not None], schema=schema)

    return rows_of_texts
