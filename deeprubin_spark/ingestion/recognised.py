"""A folder of labelled light curves that nobody here has seen: which of the known layouts it has, and as which survey a model is to see it."""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from deeprubin_spark.errors import ModelError, NoInputError
from deeprubin_spark.ingestion import light_curve_tables, plasticc, plasticc_ztf, published_points, spcc
from deeprubin_spark.ingestion.files import Place, columns_of_files, files_in, has_table_of, sha256_of_files
from deeprubin_spark.ingestion.published_points import Published
from deeprubin_spark.kernels.feature_catalogue import LSST_UGRIZY, ZTF_GR
from deeprubin_spark.runs import Run

# Which survey a layout becomes for a model of some feature set. DES's supernovae in g and r are far deeper than ZTF's: not told to a model of ZTF.
SURVEY_OF: Mapping[str, Mapping[str, str]] = {
    "plasticc": {LSST_UGRIZY.name: plasticc.SURVEY, ZTF_GR.name: plasticc_ztf.SURVEY},
    "spcc": {LSST_UGRIZY.name: spcc.SURVEY},
    "light-curve table": {LSST_UGRIZY.name: light_curve_tables.SIX_BANDS, ZTF_GR.name: light_curve_tables.TWO_BANDS},
}
_COLUMNS = {
    "plasticc": (plasticc.CURVE_COLUMNS, plasticc.OBJECT_COLUMNS),
    "spcc": (spcc.CURVE_COLUMNS, spcc.TRUTH_COLUMNS),
    "light-curve table": (light_curve_tables.CURVE_COLUMNS, light_curve_tables.OBJECT_COLUMNS),
}
_DATA_FILES = "*.{parquet,csv,csv.gz,DAT}"
_MOST_TOLD = 6  # files named in an error


@dataclass(frozen=True)
class Recognised:
    """What was found at a place.   layout: a key of `SURVEY_OF`.   label_source: of the truth.   objects: object_id of every object that is listed."""

    place: Place
    layout: str
    survey: str
    night: dt.date
    label_source: str
    published: Published

    @property
    def objects(self) -> DataFrame:
        """object_id, one row a listed object."""
        return self.published.places.select(F.col("object_id").cast("string").alias("object_id")).distinct()

    def told(self, session: SparkSession) -> dict[str, str]:
        """Where and what the set is, with the SHA-256 of its data files."""
        path = self.place if isinstance(self.place, str) else " ".join(self.place)
        return {"path": path, "layout": self.layout, "sha256": sha256_of_files(session, self.place, _DATA_FILES)}

    def write(self, run: Run, arguments: argparse.Namespace) -> None:
        """A step: light curves, hosts and labels of the survey, whole curves only."""
        if self.survey == plasticc_ztf.SURVEY:
            training = run.settings.training.model_copy(update={"windows_per_object": 0})
            run.settings = run.settings.model_copy(update={"training": training})
            plasticc_ztf.write(run, self.place)
        else:
            published_points.write(run, self.published)


def recognise(session: SparkSession, place: Place, feature_set: str) -> Recognised:
    """The set at a place, as a model of this feature set sees it; nothing is computed before `write` but the schemas of the files.

    NoInputError where no layout fits, with what was found; ModelError where the model does not see such a set.
    """
    layout = _layout(session, place)
    if feature_set not in SURVEY_OF[layout]:
        fitting = " or ".join(SURVEY_OF[layout])
        raise ModelError(
            f"{place}: a set in the layout {layout!r} needs a model of feature set {fitting}, found one of {feature_set}; give another --model"
        )
    survey = SURVEY_OF[layout][feature_set]
    read: dict[str, tuple[str, Callable[[], Published]]] = {
        "plasticc": (plasticc.LABEL_SOURCE, lambda: plasticc.published(session, place)),
        "spcc": (spcc.TRUTH, lambda: spcc.published(session, place)),
        "light-curve table": (light_curve_tables.LABEL_SOURCE, lambda: light_curve_tables.published(session, place, survey)),
    }
    label_source, published = read[layout]
    found = published()
    return Recognised(place, layout, survey, found.night, label_source, found)


def _layout(session: SparkSession, place: Place) -> str:
    for layout, tables in _COLUMNS.items():
        if all(has_table_of(session, place, columns) for columns in tables):
            return layout
    if files_in(session, place, spcc.TEXT_FILES):
        return "spcc"
    found = columns_of_files(session, place)
    told = "; ".join(f"{file.rpartition('/')[2]} ({', '.join(columns[:12])})" for file, columns in list(found.items())[:_MOST_TOLD])
    known = "; ".join(f"{layout}: {' and '.join(f'({columns})' for columns in tables)}" for layout, tables in _COLUMNS.items())
    raise NoInputError(
        f"{place}: expected Parquet or CSV in one of three layouts, found {told or 'no Parquet or CSV file'}. The layouts are: {known}; "
        f"spcc also as SNANA's {spcc.TEXT_FILES}"
    )
