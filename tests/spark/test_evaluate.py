"""A model is judged on a set it has not seen: every object accounted for, no training object judged, no early number knows a later point."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deeprubin_spark.jobs import evaluate

from deeprubin_spark.errors import ModelError, NoInputError
from deeprubin_spark.ingestion import published_points
from deeprubin_spark.ingestion.recognised import recognise
from deeprubin_spark.kernels.feature_catalogue import LSST_UGRIZY, ZTF_GR
from deeprubin_spark.models import published
from deeprubin_spark.preprocessing.features import features
from deeprubin_spark.preprocessing.truncation import truncated, write_truncated
from deeprubin_spark.schemas import HOSTS, LABELS, LIGHTCURVE_BASE, LIGHTCURVE_SEGMENTS
from deeprubin_spark.schemas.features import rule_of
from deeprubin_spark.schemas.packed_points import packed_rows
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.tables import Warehouse
from deeprubin_spark.training import evaluation_rows
from tests.conftest import DATA, SMALL_SESSION, places, settings_at
from tests.unit.reporting.test_page import _read as read_page

SAMPLE = DATA / "plasticc_sample"
CONTRACTS = rule_of("plasticc_ztf").contract
MODEL = published.find("", CONTRACTS).name
PROBABILITIES = [f"p_{name}" for name in CLASS_NAMES]
FLUXCAL = 10.0 ** (0.4 * (31.4 - 27.5))


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation of a folder left."""

    out: Path
    metrics: dict
    predictions: pd.DataFrame
    early: pd.DataFrame
    objects: pd.DataFrame
    warehouse: Warehouse
    survey: str


def sets(directory: Path) -> list[str]:
    return [word for value in (*places(directory), *SMALL_SESSION) for word in ("--set", value)]


def of_job(spark, directory: Path, data: Path, survey: str, empty: Path) -> Evaluated:
    """Both warehouses begin with tables that are there and empty, which are slow to make."""
    out = directory / "out"
    shutil.copytree(empty, directory / "warehouse")
    shutil.copytree(empty, out / "warehouse")
    assert evaluate.main(["--model", MODEL, "--data", str(data), "--out", str(out), *sets(directory)]) == 0
    tables = (pd.read_parquet(out / f"{name}.parquet") for name in ("predictions", "early_predictions", "objects"))
    warehouse = Warehouse(spark, settings_at(directory, f"warehouse.path={out / 'warehouse'}").warehouse)
    return Evaluated(out, json.loads((out / "metrics.json").read_text()), *tables, warehouse, survey)


@pytest.fixture(scope="module")
def done(spark, tmp_path_factory, empty_warehouse):
    """The shipped model on 28 objects of the set it was trained on: those of its test fold are judged."""
    return of_job(spark, tmp_path_factory.mktemp("evaluate"), SAMPLE, "plasticc_ztf", empty_warehouse)


@pytest.fixture(scope="module")
def curves(done):
    """Whole and cut curves as they were written, by object_id."""
    rows = done.warehouse.read(LIGHTCURVE_SEGMENTS, survey=done.survey).collect()
    return {row["object_id"]: row.asDict(recursive=True) for row in rows}


def test_every_listed_object_is_judged_abstained_or_excluded(done):
    counts = done.metrics["counts"]
    assert counts["listed"] == 28 == len(done.objects) == done.objects["object_id"].nunique()
    assert counts["judged"] + counts["abstained"]["total"] + counts["excluded"]["total"] == 28
    for status in ("abstained", "excluded"):
        assert sum(counts[status]["reasons"].values()) == counts[status]["total"] == (done.objects["status"] == status).sum()
    assert set(done.predictions["object_id"]) == set(done.objects.loc[done.objects["status"] == "judged", "object_id"])
    assert (done.objects["reason"] == "").eq(done.objects["status"] == "judged").all()


def test_probabilities_sum_to_one_and_truth_is_the_label(done):
    for rows in (done.predictions, done.early):
        assert len(rows) and list(rows.columns[1:15]) == PROBABILITIES
        np.testing.assert_allclose(rows[PROBABILITIES].sum(axis=1), 1.0, atol=1e-9)
    labels = done.warehouse.read(LABELS, survey=done.survey).toPandas().set_index("object_id")["class"]
    assert done.predictions["truth"].tolist() == labels.loc[done.predictions["object_id"]].tolist()


def test_training_objects_are_excluded_and_counted_and_have_no_prediction_at_all(done):
    manifest = published.load(published.find("", CONTRACTS, MODEL), CONTRACTS).manifest
    trained = set(manifest["training"]["object_ids"]) & set(done.objects["object_id"])
    assert done.metrics["counts"]["excluded"] == {"total": len(trained), "reasons": {"trained or calibrated the model": len(trained)}}
    assert 0 < len(trained) < 28 and not trained & (set(done.predictions["object_id"]) | set(done.early["object_id"]))


def test_objects_that_a_manifest_names_are_the_training_objects(spark):
    model = SimpleNamespace(manifest={"training": {"object_ids": [2, "3", "4"]}})
    ids = spark.createDataFrame([("1",), ("2",), ("3",)], "object_id string")
    assert evaluation_rows.trained_on(model, ids) == {"2", "3"}


def test_a_cut_curve_holds_every_point_up_to_the_cut_and_none_later(curves):
    n_cut = 0
    for object_id, row in curves.items():
        parent, _, cut = object_id.partition("@")
        if not cut.startswith("d"):
            continue
        n_cut += 1
        whole = curves[parent]["points"]
        first = min(point["mjd"] for point in whole if point["kind"] == "detection")
        assert row["points"] == [point for point in whole if point["mjd"] <= first + int(cut[1:])]
        assert row["n_alerts"] == sum(point["kind"] == "detection" for point in row["points"])
    assert n_cut > 20


def test_features_of_a_cut_curve_are_those_of_a_curve_that_never_had_the_later_points(spark, done, curves):
    """Plain curves, filtered point by point, under ids and in a warehouse of their own."""
    wanted = sorted(object_id for object_id in curves if "@" in object_id)[::5]
    rows = []
    for object_id in wanted:
        row = curves[object_id]
        last = max(point["mjd"] for point in row["points"])
        points = [point for point in curves[object_id.partition("@")[0]]["points"] if point["mjd"] <= last]
        names = [field.name for field in LIGHTCURVE_SEGMENTS.column("points").fields]
        tuples = [tuple(point[name] for name in names) for point in points]
        again = {
            **row,
            "object_id": f"again-{object_id}",
            "points": tuples,
            "packed": packed_rows(tuples, LIGHTCURVE_SEGMENTS.column("points")),
        }
        rows.append(tuple(again[name] for name in LIGHTCURVE_SEGMENTS.names))
    frame = spark.createDataFrame(rows, LIGHTCURVE_SEGMENTS.spark_schema())
    base, rule = spark.createDataFrame([], LIGHTCURVE_BASE.spark_schema()), rule_of(done.survey)
    made = features(frame, base, frame, done.warehouse.read(rule.table).limit(0), rule).toPandas().set_index("object_id").sort_index()
    written = done.warehouse.read(rule.table, survey=done.survey).toPandas().set_index("object_id").loc[wanted].sort_index()
    assert (written["status"] == "ok").sum() > 2
    compared = ["status", "n_detections", *rule.feature_set.names, "grid_mean", "points"]
    pd.testing.assert_frame_equal(made[compared].reset_index(drop=True), written[compared].reset_index(drop=True), check_exact=True)


def external(folder: Path, later: float = 1.0, **more) -> Path:
    """A table of light curves and one of labels: four of the carried objects; fluxes after MJD 59900 times `later`."""
    folder.mkdir(parents=True, exist_ok=True)
    points = pq.read_table(SAMPLE / "lightcurves.parquet").to_pandas()
    objects = pq.read_table(SAMPLE / "metadata.parquet").to_pandas().head(4)
    points = points[points["object_id"].isin(objects["object_id"])]
    flux = points["flux"] * FLUXCAL * np.where(points["mjd"] > 59900.0, later, 1.0)
    told = {
        "object_id": points["object_id"].astype(int).astype(str),
        "mjd": points["mjd"],
        "band": points["passband"].map(dict(enumerate("ugrizy"))),
    }
    table = pa.table({**told, "flux_njy": flux, "flux_err_njy": points["flux_err"] * FLUXCAL})
    pq.write_table(table, folder / "anything.parquet")
    names = ["SNIa", "TDE", "SN Ia", "AGN"]
    labels = pd.DataFrame({"object_id": objects["object_id"], "class": names, "ra": objects["ra"], "dec": objects["decl"], **more})
    labels.to_csv(folder / "whatever.csv", index=False)
    return folder


def test_a_table_is_known_by_its_columns_and_becomes_a_survey_of_its_own(spark, tmp_path):
    six = recognise(spark, str(external(tmp_path / "six")), LSST_UGRIZY.name)
    two = recognise(spark, [str(tmp_path / "six" / "anything.parquet"), str(tmp_path / "six" / "whatever.csv")], ZTF_GR.name)
    assert (six.layout, six.survey, two.survey) == ("light-curve table", "external_lsst", "external_ztf")
    bands = [{row["band"] for row in one.published.measurements.select("band").distinct().collect()} for one in (six, two)]
    assert bands == [set("ugrizy"), set("gr")]
    labels = {row["label"]: row["class"] for row in six.published.labels.collect()}
    assert labels == {"SNIa": "SNIa", "TDE": "TDE", "SN Ia": None, "AGN": "AGN"}, "no other name is guessed"
    assert six.published.hosts is None and six.objects.count() == 4
    with_hosts = recognise(spark, str(external(tmp_path / "hosts", photo_z=[0.5, 0.0, 0.1, 0.2])), LSST_UGRIZY.name)
    hosts = published_points.host_rows(with_hosts.published.hosts, "external_lsst").collect()
    assert sorted(row["photo_z"] or 0.0 for row in hosts) == [0.0, 0.1, 0.2, 0.5]


def test_other_later_points_change_no_cut_curve(spark, tmp_path):
    made = []
    for name, later in (("a", 1.0), ("b", -50.0)):
        found = recognise(spark, str(external(tmp_path / name, later)), LSST_UGRIZY.name).published
        whole = found.measurements.transform(published_points.segments(found.survey, found.night, found.places))
        made.append({row["object_id"]: row.asDict(recursive=True) for row in whole.unionByName(whole.transform(truncated)).collect()})
    before, after = made
    early = {name for name, row in before.items() if row["points"][-1]["mjd"] <= 59900.0}
    assert len(early) >= 4 and all("@" in name for name in early) and set(before) != early
    for name in early:
        assert after[name] == before[name]
    assert any(after[name] != before[name] for name in before if "@" not in name)


def test_an_object_with_two_labels_is_refused(spark, tmp_path):
    external(tmp_path)
    (tmp_path / "whatever.csv").write_text("object_id,class\n615,SNIa\n615,TDE\n")
    with pytest.raises(NoInputError, match="different rows: 615"):
        recognise(spark, str(tmp_path), LSST_UGRIZY.name)


def test_a_set_that_a_model_does_not_see_is_exit_69_and_an_unknown_layout_exit_66_with_what_was_found(spark, tmp_path, capsys):
    with pytest.raises(ModelError, match="'spcc' needs a model of feature set lsst_ugrizy_1, found one of ztf_gr_2"):
        recognise(spark, str(DATA / "spcc" / "tables"), ZTF_GR.name)
    (tmp_path / "what.csv").write_text("name,time,mag\na,1,2\n")
    assert evaluate.main(["--model", MODEL, "--data", str(tmp_path), "--out", str(tmp_path / "out"), *sets(tmp_path)]) == 66
    told = capsys.readouterr().err
    assert "what.csv (name, time, mag)" in told and not (tmp_path / "out").exists()
    assert all(f"{layout}: (" in told for layout in ("plasticc", "spcc", "light-curve table"))


def test_hosts_of_cut_curves_are_their_objects(spark, tmp_path, new_run):
    found = recognise(spark, str(external(tmp_path / "set", photo_z=[0.5, 0.0, 0.1, 0.2])), LSST_UGRIZY.name)
    run = new_run("truncate", found.night, survey=found.survey)
    found.write(run, None)
    write_truncated(frozenset({"107451"}))(run, None)
    hosts = {row["object_id"]: row["photo_z"] for row in run.warehouse.read(HOSTS, survey=found.survey).collect()}
    ids = {row["object_id"] for row in run.warehouse.read(LIGHTCURVE_SEGMENTS, survey=found.survey).select("object_id").collect()}
    assert ids <= set(hosts) and len([name for name in ids if "@" in name]) == run.counts["cut_short"] > 0
    assert all(hosts[name] == hosts[name.partition("@")[0]] for name in ids)
    assert "107451" in ids and not [name for name in ids if name.startswith("107451@")], "a training object is not cut"


def test_the_page_needs_nothing_but_itself_and_says_what_is_simulated(done):
    text = (done.out / "evaluation.html").read_text()
    assert "Simulated light curves." in text and MODEL in text
    assert not re.search(r"https?:|//[a-z]|src=|@import|url\((?!#)", text)
    reader = read_page(text)
    assert len(set(reader.ids)) == len(reader.ids) and {target[1:] for target in reader.targets} <= set(reader.ids)


def test_the_metrics_say_what_they_are_of(done):
    told = done.metrics
    assert told["model"]["version"] == MODEL and told["data"]["survey"] == "plasticc_ztf" and told["data"]["simulated"] is True
    assert re.fullmatch("[0-9a-f]{64}", told["data"]["sha256"]) and "--data" in told["command"]
    tests = {test["name"]: test["verdict"] for test in told["leak_tests"]}
    assert tests["early_features"] == tests["disjoint"] == "passed"
    assert tests["permuted_labels"] == tests["adversarial"] == "not done", "so few objects tell nothing of chance"
    assert set(tests) == {"permuted_labels", "id_and_place", "early_features", "disjoint", "adversarial"}
