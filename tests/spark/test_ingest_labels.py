"""Lists of known types become labels, each with the class of our taxonomy it means, if any."""

from __future__ import annotations

import datetime as dt

import pytest
from deeprubin_spark.jobs import ingest_labels

from deeprubin_spark.errors import NoInputError
from deeprubin_spark.ingestion import label_lists
from deeprubin_spark.ingestion.files import read_columns
from deeprubin_spark.schemas import LABELS
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.tables import Warehouse
from tests.conftest import DATA, settings_at
from tests.e2e import nights

CARRIED = str(DATA / "ztf" / "object_labels.csv")
ON = dt.date(2026, 11, 22)


def classes_of(spark, *labels: str) -> dict[str, str | None]:
    listed = spark.createDataFrame([(str(i), "VSX", label) for i, label in enumerate(labels)], label_lists.COLUMNS)
    return {row["label"]: row["class"] for row in label_lists.labels(listed, "ztf", ON).collect()}


def test_types_mean_classes_of_the_taxonomy():
    assert set(label_lists.CLASS_OF_TYPE.values()) <= set(CLASS_NAMES)


def test_uncertain_types_and_alternatives_of_one_class_count_and_others_do_not(spark):
    expected = {
        "RRAB": "RRL",
        "EA:": "EB",
        "EW|EA": "EB",
        "RRC|EW": None,
        "EA+DSCT": None,
        "SR|L": None,
        "SN Ia": "SNIa",
        "SSO:88024": None,
    }
    assert classes_of(spark, *expected) == expected


def test_an_object_listed_twice_by_one_source_is_one_label(spark):
    listed = spark.createDataFrame([("a", "VSX", "EW"), ("a", "VSX", "EA"), ("a", "VSX", "EW"), ("a", "GCVS", "RRAB")], label_lists.COLUMNS)
    rows = {row["source"]: (row["label"], row["class"]) for row in label_lists.labels(listed, "ztf", ON).collect()}
    assert rows == {"VSX": ("EA|EW", "EB"), "GCVS": ("RRAB", "RRL")}


def test_the_carried_list_run_twice_is_one_label_an_object_and_source(spark, settings, tmp_path):
    arguments = ["--list", CARRIED, "--labelled-on", str(ON), *nights.flags(tmp_path)]
    listed = read_columns(spark, CARRIED, label_lists.COLUMNS).select("objectId", "source").distinct().count()
    for _ in range(2):
        assert ingest_labels.main(arguments) == 0
        rows = Warehouse(spark, settings_at(tmp_path).warehouse).read(LABELS)
        assert rows.count() == listed
    assert rows.where("class = 'RRL'").count() >= 50


def test_a_list_without_labels_is_refused(spark, tmp_path):
    (tmp_path / "other.csv").write_text("objectId,type\nZTF18aaaaaaa,EW\n")
    with pytest.raises(NoInputError, match="expected Parquet or CSV with the columns objectId string"):
        read_columns(spark, str(tmp_path / "other.csv"), label_lists.COLUMNS)
