"""A replayed history and the night that meets it, through the jobs of the night: every measurement once, and the same wherever it is told."""

from __future__ import annotations

import datetime as dt
import shutil
from collections import defaultdict

import numpy as np
import pytest
from deeprubin_spark.jobs import build_lightcurves, extract_features, ingest_archive, replay_night
from pyspark.sql import functions as F

from deeprubin_spark.ingestion import replay_history, replay_packets, replay_sky, replay_templates
from deeprubin_spark.ingestion import replay_light_curves as light_curves
from deeprubin_spark.ingestion.replay_sky import Sky
from deeprubin_spark.kernels.packet_splice import varint
from deeprubin_spark.preprocessing.features import PERIODS
from deeprubin_spark.preprocessing.light_curves import light_curves as view
from deeprubin_spark.schemas import FEATURES, LIGHTCURVE_BASE, LIGHTCURVE_SEGMENTS, RUNS
from deeprubin_spark.tables import Warehouse
from tests.conftest import ZTF_ARCHIVE, places, settings_at
from tests.unit.ingestion.ztf_packets import tar_gz

NIGHT = dt.date(2026, 11, 20)
UNFOLDED = [NIGHT - dt.timedelta(days=i) for i in (2, 1)]
OBJECTS, ALERTS = 450, 200
SKY = Sky(seed=1, n_known=OBJECTS, history_nights=40, first_night=NIGHT)
TEMPLATES = ZTF_ARCHIVE / "ztf_public_20200202.tar.gz"  # schema 3.3: with drb, without forced photometry


@pytest.fixture(scope="module")
def place(tmp_path_factory, empty_warehouse):
    directory = tmp_path_factory.mktemp("replay")
    shutil.copytree(empty_warehouse, directory / "warehouse")
    return directory


@pytest.fixture(scope="module")
def job(place, spark):
    """A function that runs a job on this file's warehouse."""

    def run(module, *arguments: str, night: dt.date = NIGHT) -> int:
        return module.main(["--night", str(night), *arguments, *(f"--set={value}" for value in places(place))])

    return run


@pytest.fixture(scope="module")
def replayed(job, place):
    """History and night, written by the job, the night read and built by the jobs that read real ones."""
    sky = ["--known-objects", str(OBJECTS)]
    assert job(replay_night, "--what", "history", *sky, "--unfolded-nights", "2") == 0
    night = ["--alerts", str(ALERTS), "--form", "tar", "--templates", str(TEMPLATES), "--out", str(place / "night")]
    assert job(replay_night, "--what", "night", *sky, *night) == 0
    assert job(ingest_archive, "--archive", str(place / "night")) == 0
    assert job(build_lightcurves) == 0


@pytest.fixture(scope="module")
def warehouse(spark, place, replayed):
    return Warehouse(spark, settings_at(place).warehouse)


@pytest.fixture(scope="module")
def parts(warehouse):
    """Rows of base and segments, as dictionaries."""
    return [row.asDict(recursive=True) for table in (LIGHTCURVE_BASE, LIGHTCURVE_SEGMENTS) for row in warehouse.read(table).collect()]


@pytest.fixture(scope="module")
def known():
    """The known objects, and their history."""
    of = light_curves.objects(SKY, np.arange(OBJECTS))
    return of, light_curves.visits(SKY, of, replay_sky.history_days(SKY, of.field))


def names(of) -> list[str]:
    return [name.decode() for name in of.name.view("S12").ravel()]


def test_the_history_has_every_known_object_with_fifty_points_on_thirty_nights(warehouse, known):
    rows = warehouse.read(LIGHTCURVE_BASE).select("survey", "object_id", "last_night", "points.known_night", "healpix").collect()
    assert {row["object_id"] for row in rows} == set(names(known[0])) and len(rows) == OBJECTS
    for row in rows:
        assert len(row["known_night"]) >= 50 and len(set(row["known_night"])) >= 30 and row["survey"] == "ztf"
        assert max(row["known_night"]) == row["last_night"] < min(UNFOLDED)


def test_the_ledger_counts_what_was_written(warehouse):
    counts = [row["counts"] for row in warehouse.read(RUNS).where("job = 'replay_night'").orderBy("started_at").collect()]
    assert counts[0]["objects"] == OBJECTS and counts[0]["segments"] > OBJECTS / 2
    assert counts[1]["alerts"] == ALERTS and 0.8 * ALERTS <= counts[1]["known"] <= 0.9 * ALERTS


def test_every_version_of_a_measurement_says_the_same(parts):
    said = defaultdict(set)
    versions = 0
    varies = ("packet_id", "known_night", "drb")  # drb is not in histories
    for row in parts:
        for point in row["points"]:
            identity = (row["object_id"], point["exposure_mjd"], point["band"])
            said[identity].add(tuple(value for name, value in point.items() if name not in varies))
            versions += 1
    assert versions > 1.3 * len(said), "histories repeat much"
    assert all(len(different) == 1 for different in said.values())


def test_the_view_shows_each_measurement_once_and_all_of_them(warehouse, known):
    of, visits = known
    curves = view(warehouse.read(LIGHTCURVE_SEGMENTS), warehouse.read(LIGHTCURVE_BASE)).select("object_id", "points").collect()
    found = {row["object_id"]: row["points"] for row in curves}
    assert set(names(of)) < set(found)
    touched = replay_sky.touched(SKY, NIGHT, ALERTS, 0.85, 0, replay_sky.n_touched(ALERTS))
    alerts_tonight = dict(zip(touched.objects.tolist(), touched.n_alerts.tolist(), strict=True))
    for i, name in enumerate(names(of)):
        exposures = [(point["exposure_mjd"], point["band"]) for point in found[name]]
        assert len(set(exposures)) == len(exposures) and exposures == sorted(exposures)
        detections = [point["source_id"] for point in found[name] if point["kind"] == "detection"]
        assert detections[: len(detections) - alerts_tonight.get(i, 0)] == visits.candid[i][visits.is_detection[i]].tolist()
        assert all(point["packet_id"] == point["source_id"] for point in found[name] if point["kind"] == "detection"), "none is only a copy"
        assert not any(point["same_exposure"] for point in found[name])


def test_the_night_touches_known_objects_of_the_warehouse(warehouse, known):
    tonight = warehouse.read(LIGHTCURVE_SEGMENTS, nights=[NIGHT])
    n_known = tonight.join(warehouse.read(LIGHTCURVE_BASE).select("object_id"), "object_id").agg(F.sum("n_alerts")).first()[0]
    assert tonight.agg(F.sum("n_alerts")).first()[0] == ALERTS
    assert 0.8 * ALERTS <= n_known <= 0.9 * ALERTS


def archive_of(night: dt.date, known, path) -> None:
    """The packets of a night of the history, of all objects that were detected in both visits or the first one."""
    of, visits = known
    seen = visits.is_detection & (visits.day == replay_sky.mjd_of(night))
    first = np.array(
        [row[row_day].tolist()[:1] == [True] for row, row_day in zip(seen, visits.day == replay_sky.mjd_of(night), strict=True)]
    )
    templates = replay_templates.load(str(TEMPLATES))
    alerts = replay_packets.alerts_of(SKY, night, replay_sky.Touched(of.number[first], seen[first].sum(axis=1)))
    made = replay_packets.stamped(alerts, templates)
    content = {}
    for candid, body in zip(made.candid.tolist(), replay_packets.payloads(made).to_pylist(), strict=True):
        content[f"{candid}.avro"] = templates.header + varint(1) + varint(len(body)) + body + templates.sync
    path.write_bytes(tar_gz(content))


def test_segments_of_the_history_are_those_that_its_packets_give(spark, known, warehouse, empty_warehouse, tmp_path):
    shutil.copytree(empty_warehouse, tmp_path / "warehouse")
    night = UNFOLDED[0]
    archive_of(night, known, tmp_path / f"ztf_public_{night:%Y%m%d}.tar.gz")
    flags = [f"--set={value}" for value in places(tmp_path)]
    assert ingest_archive.main(["--night", str(night), "--archive", str(tmp_path), *flags]) == 0
    assert build_lightcurves.main(["--night", str(night), *flags]) == 0
    built = Warehouse(spark, settings_at(tmp_path).warehouse).read(LIGHTCURVE_SEGMENTS).collect()
    written = {row["object_id"]: row for row in warehouse.read(LIGHTCURVE_SEGMENTS, nights=[night]).collect()}
    assert len(built) > 50 and len(written) - len(built) < 30
    for row in built:
        assert row.asDict(recursive=True) == written[row["object_id"]].asDict(recursive=True)


def test_a_period_of_the_history_is_kept_until_the_object_has_many_more_points(job, warehouse, known):
    before = {row["object_id"]: row for row in warehouse.read(FEATURES).collect()}
    assert set(before) == {row["object_id"] for row in warehouse.read(LIGHTCURVE_BASE).collect()}
    assert job(extract_features) == 0
    found = {row["object_id"]: row for row in warehouse.read(FEATURES, nights=[NIGHT]).collect()}
    same, other = [], []
    for name in found.keys() & before.keys():
        counts_agree = before[name]["period_n_known"] == found[name]["period_n_known"]
        (same if counts_agree else other).append(name)
    assert len(same) > 60 and 0 < len(other) < len(same)
    for name in same:
        assert all(found[name][column] == before[name][column] for column in PERIODS)
    for name in other:
        assert found[name]["period_n_known"] > (before[name]["period_n_known"] or 0)
        assert found[name]["period_folded_eta"] != before[name]["period_folded_eta"]


def test_the_same_history_again_is_the_same_and_real_light_curves_are_not_replaced(spark, job, warehouse, new_run, tmp_path):
    before = sorted(warehouse.read(LIGHTCURVE_BASE).collect(), key=lambda row: row["object_id"])
    assert job(replay_night, "--what", "history", "--known-objects", str(OBJECTS), "--unfolded-nights", "2") == 0
    assert sorted(warehouse.read(LIGHTCURVE_BASE).collect(), key=lambda row: row["object_id"]) == before
    real = new_run("replay_night", NIGHT)
    row = before[0].asDict() | {"object_id": "ZTF18acsbjpg"}
    frame = spark.createDataFrame([tuple(row[name] for name in LIGHTCURVE_BASE.names)], LIGHTCURVE_BASE.spark_schema())
    real.replace_slice(LIGHTCURVE_BASE, frame, nights=None, survey="ztf")
    with pytest.raises(Exception, match="light curves that no replay made, such as that of ZTF18acsbjpg"):
        replay_history.write(real, SKY, ())


def test_nothing_is_written_on_a_dry_run_and_wrong_flags_are_refused(job, place, capsys):
    flags = ["--known-objects", "450", "--alerts", "20", "--templates", str(TEMPLATES), "--out", str(place / "dry")]
    assert job(replay_night, "--what", "night", *flags, "--dry-run") == 0
    assert job(replay_night, "--what", "history", *flags, "--dry-run") == 0
    assert not (place / "dry").exists()
    assert "would write 20 alerts of 2026-11-20 to 1 files" in capsys.readouterr().err
    assert job(replay_night, "--what", "night", *flags, "--survey", "plasticc") == 2
    assert job(replay_night, "--what", "night", *flags, night=NIGHT + dt.timedelta(days=2000)) == 2
    assert job(replay_night, "--what", "history", *flags, "--unfolded-nights", "121") == 2
