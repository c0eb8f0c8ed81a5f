"""ALeRCE's objects into the tables, also when the broker or the driver fails half-way."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
from deeprubin_spark.jobs import ingest_alerce
from pyspark.sql import functions as F

from deeprubin_spark.errors import RetryableError
from deeprubin_spark.ingestion import alerce
from deeprubin_spark.ingestion.alerce_broker import Broker, Clock
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import LABELS, LIGHTCURVE_SEGMENTS
from deeprubin_spark.tables import Warehouse
from tests.conftest import places, settings_at
from tests.unit.ingestion.alerce_server import AlerceServer

FAST = ("broker.timeout_s=0.3", "broker.backoff_s=0", "broker.requests_per_second=10000", "broker.page_size=3", "broker.max_attempts=3")
QUERY = alerce.Request(query={"classifier": ("lc_classifier",)})
UNKNOWN = "ZTF99zzzzzzz"
TODAY = dt.datetime(2018, 11, 29, 12, tzinfo=dt.timezone.utc)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    made = short_server()
    yield made
    made.close()


def short_server() -> AlerceServer:
    """The carried objects with their first points only: each night is a partition, and these tests write them many times."""
    made = AlerceServer()
    for record in made.objects.values():
        record["detections"], record["non_detections"] = record["detections"][:2], record["non_detections"][:1]
    return made


@pytest.fixture
def run_in(spark, server):
    return lambda directory: run_at(directory, spark, server)


def run_at(directory, spark, server: AlerceServer) -> Run:
    settings = settings_at(directory, *FAST, f"broker.url={server.url}")
    return Run("ingest_alerce", alerce.SURVEY, (), settings, spark, Warehouse(spark, settings.warehouse))


@pytest.fixture(scope="module")
def whole(spark, tmp_path_factory) -> Iterator[Run]:
    """The query fetched on a good day."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        server = short_server()
        yield fetch(run_at(tmp_path_factory.mktemp("whole"), spark, server), QUERY)
        server.close()


def fetch(run: Run, request: alerce.Request) -> Run:
    alerce.ingest(run, request, Broker(run.settings.broker, Clock(now=lambda: TODAY)))
    return run


def content(run: Run) -> tuple[list, list]:
    return tuple(sorted(map(repr, run.warehouse.read(table).collect())) for table in (LIGHTCURVE_SEGMENTS, LABELS))


def test_a_query_becomes_light_curves_and_labels_and_its_ledger_balances(server, whole):
    run = whole
    known = server.objects.values()
    counts = {
        "objects": 5,
        "fetched": 5,
        "unknown": 0,
        "resumed": 0,
        "unusable_points": 0,
        "labels": 10,
        "retries": 0,
        "requests": 2 + 2 * 5,
    }
    counts |= {"detections": sum(len(o["detections"]) for o in known), "limits": sum(len(o["non_detections"]) for o in known)}
    assert run.counts == counts | {"segments": run.warehouse.read(LIGHTCURVE_SEGMENTS, survey="ztf_alerce").count()}
    points = run.warehouse.read(LIGHTCURVE_SEGMENTS).select("object_id", F.explode("points").alias("p"))
    found = {(r.object_id, r["kind"]): r["count"] for r in points.groupBy("object_id", "p.kind").count().collect()}
    assert found == {(oid, "detection"): len(o["detections"]) for oid, o in server.objects.items()} | {
        (oid, "limit"): len(o["non_detections"]) for oid, o in server.objects.items()
    }
    label = run.warehouse.read(LABELS).where("object_id = 'ZTF19aapvogv' AND source = 'alerce:lc_classifier:bulk_0.0.1'").first()
    assert (label["survey"], label["label"], label["class"], label["labelled_on"]) == ("ztf", "SNIa", "SNIa", TODAY.date())


def test_fetched_twice_over_failures_is_fetched_once(server, run_in, tmp_path, whole):
    server.failures = ["busy_until", "broken", "", "malformed", "dropped", "", "slow", "", "cut", "", "broken"]
    server.failing = "ZTF"
    run = run_in(tmp_path)
    alerce.ingest(run, QUERY, Broker(run.settings.broker, Clock(sleep=lambda seconds: None, now=lambda: TODAY)))
    assert run.counts["retries"] == 7
    assert content(run) == content(whole)
    assert content(fetch(run_in(tmp_path), QUERY)) == content(whole)


def test_a_broker_that_gives_up_leaves_what_it_gave_and_the_same_command_goes_on(server, run_in, tmp_path, whole):
    oids = sorted(server.objects)
    server.failing, server.always = oids[4], "broken"
    first = run_in(tmp_path)
    with pytest.raises(RetryableError, match=f"light curve of {oids[4]}"):
        fetch(first, QUERY)
    assert (first.counts["objects"], first.counts["fetched"]) == (5, 4)
    server.always, server.requests = "", []
    second = fetch(run_in(tmp_path), QUERY)
    assert {oid: server.asked(f"{oid}/") for oid in oids} == dict.fromkeys(oids[:4], 0) | {oids[4]: 2}
    assert (second.counts["resumed"], second.counts["fetched"]) == (4, 1)
    assert content(second) == content(whole)


def test_a_finished_request_is_fetched_anew_when_it_is_asked_again(server, run_in, tmp_path):
    request = alerce.Request(("ZTF19aapvogv",))
    fetch(run_in(tmp_path), request)
    server.objects["ZTF19aapvogv"]["probabilities"][0]["probability"] = 0.99
    run = fetch(run_in(tmp_path), request)
    assert [row["probability"] for row in run.warehouse.read(LABELS).orderBy("source").collect()] == [0.99, 0.9]


def test_an_unknown_object_is_counted_and_stops_nothing(run_in, tmp_path):
    run = fetch(run_in(tmp_path), alerce.Request((UNKNOWN, "ZTF19aapvogv")))
    assert (run.counts["objects"], run.counts["fetched"], run.counts["unknown"]) == (2, 1, 1)


def test_the_archive_s_night_and_the_broker_s_copy_of_it_do_not_touch_each_other(run_in, tmp_path):
    run = fetch(run_in(tmp_path), alerce.Request(("ZTF19aapvogv",)))
    before = content(run)
    mine = run.warehouse.read(LIGHTCURVE_SEGMENTS)
    night = mine.first()["night"]
    run.replace_slice(LIGHTCURVE_SEGMENTS, mine.limit(0), nights=[night], survey="ztf")
    assert content(run) == before


def command(server, directory, *flags: str) -> list[str]:
    overrides = [*places(directory), *FAST, f"broker.url={server.url}"]
    return [*flags, *(part for override in overrides for part in ("--set", override))]


def test_the_job_leaves_a_ledger_and_says_75_when_the_broker_is_away(spark, server, tmp_path, capsys):
    assert ingest_alerce.main(command(server, tmp_path, "--object", "ZTF19aapvogv", "--object", UNKNOWN)) == 0
    assert "2 objects  1 fetched  1 unknown" in capsys.readouterr().err
    server.always = "broken"
    assert ingest_alerce.main(command(server, tmp_path, "--object", "ZTF19aapvogv")) == 75
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ingest_alerce:")]
    assert "no answer in 3 tries" in line and "the same command goes on from there" in line


def test_a_dry_run_asks_nobody(spark, server, tmp_path, capsys):
    assert ingest_alerce.main(command(server, tmp_path, "--query", "class_name=SNIa", "--dry-run")) == 0
    assert "would ask ALeRCE for objects with class_name=SNIa" in capsys.readouterr().err
    assert server.requests == []


@pytest.mark.parametrize(("flags", "code"), [(["--query", "colour=red"], 2), (["--objects", "absent.txt"], 66)])
def test_a_wrong_command_line_is_one_clear_line(spark, server, tmp_path, capsys, flags, code):
    assert ingest_alerce.main(command(server, tmp_path, *flags)) == code
    error = capsys.readouterr().err
    assert "Traceback" not in error and error.count("ingest_alerce:") == 1
