"""Places of known strange objects against the objects of made-up nights, through the job."""

import argparse
import datetime as dt
import shutil

import pytest
from deeprubin_spark.jobs import match_catalogues

from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import CATALOGUE_MATCHES, SCORES
from deeprubin_spark.searches import catalogues
from deeprubin_spark.tables import Warehouse
from tests.conftest import settings_at
from tests.contract_rows import frame_of, row_of

BEFORE, NIGHT = dt.date(2020, 2, 1), dt.date(2020, 2, 2)
ARCSEC = 1.0 / 3600.0
AT2019QIZ = 71.657831, -10.226363  # of the Transient Name Server


def _place(catalogue, name):
    rows = [row for row in catalogues.strange_objects().to_pylist() if (row["catalogue"], row["name"]) == (catalogue, name)]
    return rows[0]["ra"], rows[0]["dec"]


def _score(object_id, place, north=0.0, model="m1", night=NIGHT, **values):
    values = {"status": "abstained", "reason": "too_few_points"} | values
    keys = {"survey": "ztf", "object_id": object_id, "night": night, "model_version": model}
    return row_of(SCORES, **keys, ra=place[0], dec=place[1] + north * ARCSEC, **values)


@pytest.fixture(scope="module")
def searched(spark, empty_warehouse, tmp_path_factory):
    """The run of a night on which five objects lie near three entries, and one nowhere; a night before it of its own."""
    blazar = _place("3HSP", "3HSPJ004348.7-111607")
    scores = [
        *(_score("tde", AT2019QIZ, 0.3, model) for model in ("m1", "m2")),
        _score("one", blazar, -1.0),
        _score("other", blazar, 1.5, status="scored", reason=None, **{"class": "EB", "p_class": 0.9}),
        _score("edge", _place("cataclysmic", "EQ Cet"), 2.9),
        _score("outside", _place("cataclysmic", "EQ Cet"), 3.1),
        _score("nowhere", (200.0, 10.0)),
        _score("before", blazar, night=BEFORE),
    ]
    place = tmp_path_factory.mktemp("matches")
    shutil.copytree(empty_warehouse, place / "warehouse")
    warehouse = Warehouse(spark, settings_at(place).warehouse)
    warehouse.replace_slice(SCORES, frame_of(spark, SCORES, scores), "run", nights=None)
    for nights in ((BEFORE, NIGHT), (NIGHT,)):  # the night twice
        run = Run("match_catalogues", "ztf", nights, settings_at(place), spark, warehouse)
        match_catalogues.run(run, argparse.Namespace(dry_run=False))
    return run


@pytest.fixture(scope="module")
def found(searched):
    rows = searched.warehouse.read(CATALOGUE_MATCHES, nights=[NIGHT]).collect()
    return {row["object_id"]: row for row in rows}, len(rows)


def test_a_tidal_disruption_is_found_at_its_place_once_whatever_the_models(found):
    tde = found[0]["tde"]
    assert (tde["catalogue"], tde["name"], tde["type"], tde["status"]) == ("TDE", "AT 2019qiz", "tidal disruption event", "match")
    assert tde["separation_arcsec"] < 1.0


def test_two_objects_near_one_entry_are_ambiguous_whatever_their_class(found):
    assert [(found[0][name]["status"], found[0][name]["n_objects"]) for name in ("one", "other")] == [("ambiguous", 2)] * 2


def test_the_radius_is_three_arcseconds_and_who_is_near_nothing_has_no_row(found):
    assert set(found[0]) == {"tde", "one", "other", "edge"}
    assert found[1] == 4


def test_each_night_is_matched_for_itself(searched):
    row = searched.warehouse.read(CATALOGUE_MATCHES, nights=[BEFORE]).first()
    assert (row["object_id"], row["status"]) == ("before", "match")


def test_the_ledger_counts_objects_and_what_was_found(searched):
    assert searched.counts == {"objects": 6, "matches": 2, "ambiguous": 2}


def test_no_two_entries_of_a_catalogue_are_near_enough_to_be_ambiguous_by_themselves():
    known = catalogues.strange_objects().to_pandas()
    assert not known.duplicated(["catalogue", "name"]).any()
    assert known.groupby("catalogue").size().to_dict() == {"3HSP": 2013, "SNAD": 144, "TDE": 148, "cataclysmic": 1857, "symbiotic": 738}
