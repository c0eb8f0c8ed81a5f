"""The night's page from tables filled with made-up rows: a night of three objects, one more night before it, and a model of last year."""

import datetime as dt
import re

import numpy as np
import pytest
from deeprubin_spark.jobs import report_night

from deeprubin_spark.bands import BAND_NAMES
from deeprubin_spark.kernels.measurements import DETECTION, MODEL_RECORD
from deeprubin_spark.reporting import gathering, queries
from deeprubin_spark.reporting.facts import SEARCH_ORDER
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import ANOMALIES, FEATURES, LABELS, LIGHTCURVE_SEGMENTS, QUARANTINE, RUNS, SCORES, TABLES
from deeprubin_spark.schemas.features import FEATURE_SET
from deeprubin_spark.schemas.lightcurves import POINT
from deeprubin_spark.tables import Warehouse
from tests.conftest import places, settings_at
from tests.contract_rows import frame_of, record_of, row_of
from tests.searched_rows import searched

NIGHT, BEFORE, NEVER = dt.date(2018, 11, 29), dt.date(2018, 11, 10), dt.date(2018, 11, 12)
_FIELDS = {c.name: c.fields for table in (FEATURES, ANOMALIES) for c in table.columns}


def _point(candid, packet, flux, exposure):
    return record_of(
        POINT,
        mjd=exposure,
        exposure_mjd=exposure,
        band="r",
        kind="detection",
        source_id=candid,
        packet_id=packet,
        known_night=NIGHT,
        flux_njy=flux,
    )


def _segment(object_id, points, n_alerts=1, survey="ztf"):
    values = {"survey": survey, "object_id": object_id, "night": NIGHT, "healpix": 5 << 20, "n_alerts": n_alerts, "points": points}
    return row_of(LIGHTCURVE_SEGMENTS, **values)


def _feature(object_id, status, n_detections, points=b""):
    grids = {"grid_time": np.zeros(64, "<f4"), "grid_mean": np.full(128, 1e4, "<f4"), "grid_sd": np.full(128, 10.0, "<f4")}
    grid = {"t_ref_mjd": 58451.0} | {name: values.tobytes() for name, values in grids.items()} if status == "ok" else {}
    values = {
        "survey": "ztf",
        "object_id": object_id,
        "night": NIGHT,
        "feature_set": FEATURE_SET,
        "status": status,
        "n_detections": n_detections,
    }
    return row_of(FEATURES, **values, points=points, **grid)


def _score(object_id, night=NIGHT, model="model-2", **values):
    return row_of(SCORES, survey="ztf", object_id=object_id, night=night, model_version=model, **values)


def _run(job, hour, nights=(NIGHT,), status="done", **counts):
    start = dt.datetime(2018, 11, 30, hour, tzinfo=dt.timezone.utc)
    values = {
        "run_id": f"{job}-{hour}",
        "job": job,
        "survey": "ztf",
        "nights": list(nights),
        "status": status,
        "started_at": start,
        "counts": counts,
    }
    model = {"model_version": "model-2"} if job == "score_night" else {}
    return row_of(RUNS, **values, **model, finished_at=start + dt.timedelta(minutes=5), seconds=3.0, core_seconds=2.0)


def _rows():
    scored = {"status": "scored", "class": "SNIa", "p_class": 0.6}
    measured = np.array((58451.3, 1e4, 100.0, np.nan, BAND_NAMES.index("r"), DETECTION), MODEL_RECORD).tobytes()
    why = record_of(_FIELDS["contributions"], feature="rise_time_g", value=3.0, share=0.5)
    old = _point(7, 11, -2e4, 58440.0)
    return [
        (
            LIGHTCURVE_SEGMENTS,
            [
                _segment("ZTF<b>1", [old, _point(11, 11, 1e4, 58451.3)]),
                _segment("ZTF2", [_point(12, 12, -1e4, 58451.3), _point(13, 13, 3e4, 58451.4), _point(12, 13, -1e4, 58451.3)], n_alerts=2),
                _segment("ZTF3", [_point(14, 14, 1e4, 58451.3)]),
                _segment("SIM1", [_point(15, 15, 1e4, 58451.3)], survey="plasticc"),
            ],
        ),
        (
            FEATURES,
            [_feature("ZTF<b>1", "ok", 2, measured), _feature("ZTF2", "too_few_points", 2), _feature("ZTF3", "too_few_points", 1)],
        ),
        (
            SCORES,
            [
                _score("ZTF<b>1", **scored),
                *(_score(name, status="abstained", reason="too_few_points") for name in ("ZTF2", "ZTF3")),
                *(_score(name, model="model-1", status="abstained", reason="bad_input") for name in ("ZTF<b>1", "ZTF2", "ZTF3")),
                _score("ZTF<b>1", BEFORE, **scored),
            ],
        ),
        (
            ANOMALIES,
            [
                row_of(ANOMALIES, **_key("ZTF<b>1"), status="ranked", rank=1, score=0.7, contributions=[why], explanation="It rises fast."),
                *(row_of(ANOMALIES, **_key(name), status="gated", reason="too_few_detections") for name in ("ZTF2", "ZTF3")),
            ],
        ),
        (
            QUARANTINE,
            [
                row_of(
                    QUARANTINE,
                    survey="ztf",
                    night=NIGHT,
                    source="a.tar.gz",
                    member="1.avro",
                    byte_offset=512,
                    reason="not_avro",
                    detail="no magic",
                ),
                row_of(QUARANTINE, survey="ztf", night=BEFORE, source="b.tar.gz", member="", reason="truncated_archive", detail="cut"),
            ],
        ),
        (
            LABELS,
            [
                row_of(
                    LABELS,
                    survey="ztf",
                    object_id="ZTF<b>1",
                    source="bts",
                    labelled_on=dt.date(2019, 1, 1),
                    label="SN II",
                    **{"class": "SNII"},
                ),
                row_of(
                    LABELS,
                    survey="ztf",
                    object_id="ZTF<b>1",
                    source="bts",
                    labelled_on=dt.date(2020, 1, 1),
                    label="SN Ia",
                    **{"class": "SNIa"},
                ),
            ],
        ),
        (
            RUNS,
            [
                _run("ingest_archive", 1, members=9, kept=9, duplicates=0),
                _run("ingest_archive", 2, members=5, kept=4, duplicates=0, excluded=0, quarantined=1, other_night=0),
                _run("build_lightcurves", 3, alerts=4, objects=3),
                _run("extract_features", 4, nights=(BEFORE, NIGHT), objects=3, ok=1, too_few_points=2),
                _run("score_night", 5, status="failed"),
                _run("score_night", 6, objects=3, scored=1, abstained=2),
                _run("ingest_archive", 7, nights=(BEFORE,), members=0, kept=0),
                *(_run(job, 8, objects=3) for job in SEARCH_ORDER),
            ],
        ),
        *searched(NIGHT, "model-2", likely="ZTF<b>1", star="ZTF2"),
    ]


def _key(object_id):
    return {"survey": "ztf", "object_id": object_id, "night": NIGHT, "model_version": "model-2"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("night")


@pytest.fixture(scope="module")
def run(spark, directory):
    """A run of the job on a warehouse with the rows in it; tests read it, or write pages elsewhere."""
    settings = settings_at(directory)
    warehouse = Warehouse(spark, settings.warehouse)
    for table, rows in _rows():
        warehouse.append(table, frame_of(spark, table, rows), "test")
    return Run("report_night", "ztf", (NIGHT,), settings, spark, warehouse)


@pytest.fixture(scope="module")
def facts(run):
    return next(gathering.nights(run))


@pytest.fixture
def job(run, directory, tmp_path):
    """A function that starts the job with pages in a place of its own; returns the exit code."""
    argv = [value for place in (*places(directory), f"report.path={tmp_path}") for value in ("--set", place)]
    return lambda *flags: report_night.main([*flags, *argv])


def test_the_latest_good_run_of_each_step_counts(facts):
    steps = ["ingest_archive-2", "build_lightcurves-3", "extract_features-4", "score_night-6"]
    assert [step.run_id for step in facts.steps] == [*steps, *(f"{job}-8" for job in SEARCH_ORDER)]
    assert facts.failures == ()
    assert facts.step("extract_features").n_nights == 2


def test_simulated_objects_are_not_in_the_night(facts):
    assert (facts.alerts, facts.objects, facts.cells) == (4, 3, {5: 3})


def test_an_object_is_new_where_its_packets_hold_no_earlier_detection(facts):
    assert facts.first_seen == 2


def test_brightness_counts_each_of_the_nights_detections_once_and_none_of_the_history(facts):
    assert facts.brightness == {("r", 42): 3, ("r", 40): 1}  # 10,000 nJy is 21.4 mag, 30,000 nJy 20.2 mag


def test_only_the_model_of_the_nights_scoring_run_is_shown(facts):
    assert facts.model_version == "model-2"
    assert facts.classes == {"SNIa": 1}
    assert facts.abstentions == {"too_few_points": 2}
    assert facts.closed_gates == {"too_few_detections": 2}


def test_an_anomaly_brings_its_class_its_points_and_its_reasons(facts):
    (strange,) = facts.strange
    assert (strange.object_id, strange.rank, strange.class_name, strange.n_detections) == ("ZTF<b>1", 1, "SNIa", 2)
    assert strange.points[0]["mjd"] == 58451.3
    assert strange.contributions[0]["feature"] == "rise_time_g"
    assert len(strange.grid_mean) == 128


def test_no_more_anomalies_are_collected_than_are_shown(run, spark):
    frames = {table.name: run.read(table) for table in queries.STRANGE.tables}
    values = gathering.parameters(run, NIGHT, NIGHT)
    assert len(queries.STRANGE.rows(spark, frames, values)) == 1
    assert queries.STRANGE.rows(spark, frames, values | {"n_anomalies": 0}) == []


def test_the_latest_label_of_a_source_is_compared_with_the_class(facts):
    assert [(x.source, x.label, x.class_name, x.objects) for x in facts.labelled] == [("bts", "SNIa", "SNIa", 1)]


def test_explosions_are_ranked_by_probability_with_their_light_curves(facts):
    found = facts.searches.habitability
    assert [(one.rank, one.object_id) for one in found.candidates] == [(1, "ZTF<b>1"), (2, "weaker")], "and none of another model"
    assert found.candidates[0].why == (
        "an explosion with P = 0.65, likeliest SNIa, lethal within 11.0 pc; host NGC 3034 (P = 0.98) at 3.6 Mpc, 2.1 kpc from its centre, M = -18.2 mag"
    )
    assert "no host among the galaxies" in found.candidates[1].why
    assert found.candidates[0].points[0]["mjd"] == 58451.3
    assert found.n_candidates == 2


def test_the_map_is_in_the_cells_of_the_page_and_rings_go_outwards(facts):
    assert facts.searches.disc.cells == {7: 1.5, 9: 0.25}
    assert [ring.radius for ring in facts.searches.disc.rings] == [0.5, 1.5]


def test_stars_come_by_rank_with_the_numbers_of_their_test(facts):
    found = facts.searches.technosignatures
    assert [one.why for one in found.candidates] == [
        "40 % of its light missing at most, on 2 nights; 244 false alarms in 10,000 stars, a chance of 0.0030 after 3 tests",
        "at least 90 % of its light gone on 3 nights; 488 false alarms in 10,000 stars",
    ]
    assert (found.n_candidates, found.set_aside) == (2, {"period": 1})


def test_what_moves_brings_its_track_in_time(facts):
    found = facts.searches.interstellar
    assert [one.object_id for one in found.candidates] == ["link", "event"]
    assert [one["mjd"] for one in found.candidates[0].observations] == [58449.0, 58449.02, 58450.0, 58450.02, 58451.0, 58451.02]
    assert "P(e > 1) = 0.97 from an arc of 2.10 d: 6 detections on 3 nights, e = 1.40 (1.20 to 1.70), 20 km/s" in found.candidates[0].why
    assert "3.5 times as long as wide" in found.candidates[1].why
    assert (found.set_aside, facts.searches.tracklets, facts.searches.known_tracklets) == ({"not_clearly_unbound": 1}, 2, 1)


def test_matches_come_nearest_first_with_our_class_beside_them(facts):
    assert [(m.object_id, m.status, m.class_name) for m in facts.searches.matches] == [
        ("ZTF2", "match", None),
        ("one", "ambiguous", None),
        ("other", "ambiguous", None),
    ]
    assert facts.searches.n_matches == 3


def test_the_nights_before_are_there_to_compare_with(facts):
    assert [(past.night, past.objects, past.scored, past.quarantined) for past in facts.past] == [(BEFORE, 1, 1, 1)]


def test_the_sql_shown_gives_the_numbers_shown(spark, run):
    run.warehouse.register()
    try:
        values = gathering.parameters(run, NIGHT, NIGHT)
        for query in queries.QUERIES:
            shown = spark.sql(query.shown(values)).collect()
            frames = {table.name: run.read(table) for table in query.tables}
            assert sorted((row.asDict(recursive=True) for row in shown), key=repr) == sorted(query.rows(spark, frames, values), key=repr)
    finally:
        for table in TABLES:
            spark.sql(f"DROP TABLE IF EXISTS `{table.name}`")


def test_the_job_writes_one_page_for_each_night_that_was_run(job, tmp_path, capsys):
    assert job("--nights", f"{BEFORE}:{NIGHT}") == 0
    pages = sorted(tmp_path.iterdir())
    assert [page.name for page in pages] == ["ztf_2018-11-10.html", "ztf_2018-11-29.html"]
    lines = capsys.readouterr().out.splitlines()
    assert [line[:16] for line in lines if line.startswith("night ")] == ["night 2018-11-10", "night 2018-11-29", "night 2018-11-29"]
    assert any("SNIa 1" in line for line in lines), "the larger night is summed up"
    text = pages[1].read_text()
    assert "ZTF&lt;b&gt;1" in text
    assert "<b>1" not in text
    assert not re.search("https?:", text)


def test_a_single_night_is_summed_up_on_standard_output(job, tmp_path, capsys):
    assert job("--night", str(NIGHT)) == 0
    out = capsys.readouterr().out
    assert out.startswith("night 2018-11-29  ztf")
    assert "SNIa 1" in out
    assert str(tmp_path / "ztf_2018-11-29.html") in out


def test_a_dry_run_writes_no_page(job, tmp_path, capsys):
    assert job("--night", str(NIGHT), "--dry-run") == 0
    assert list(tmp_path.iterdir()) == []
    assert "would write" in capsys.readouterr().err


def test_a_night_that_was_never_run_has_nothing_to_report(job, capsys):
    assert job("--night", str(NEVER)) == 66
    assert "2018-11-12" in capsys.readouterr().err
