"""Votes on a made-up night's anomalies, as a person gives them, and the order that follows: of 60 objects ten are like the one that is voted for."""

from __future__ import annotations

import datetime as dt
import io
import shutil

import numpy as np
import pytest
from deeprubin_spark.jobs import rerank_anomalies, vote

from deeprubin_spark import cli, runs
from deeprubin_spark.errors import NoInputError, UsageError
from deeprubin_spark.kernels.feature_catalogue import ZTF_GR
from deeprubin_spark.kernels.measurements import DETECTION, MODEL_RECORD
from deeprubin_spark.models import published
from deeprubin_spark.models.inputs import model_features
from deeprubin_spark.schemas import ANOMALIES, ANOMALY_RANKS, FEATURES, FEEDBACK
from deeprubin_spark.schemas.features import FEATURE_SET, rule_of
from deeprubin_spark.searches import voting
from deeprubin_spark.tables import Warehouse
from tests.conftest import settings_at
from tests.contract_rows import frame_of, row_of

NIGHT, NEXT = dt.date(2018, 11, 29), dt.date(2018, 11, 30)
NAMES = model_features(ZTF_GR)[:4]
N = 60
LOUD, WANTED = range(1, 11), range(11, 21)  # static ranks of two kinds of odd objects


@pytest.fixture(scope="module")
def version():
    return published.find("", rule_of("ztf").contract).name


@pytest.fixture(scope="module")
def made(spark, empty_warehouse, tmp_path_factory, version):
    """A warehouse with the night, and a function that runs a job on it."""
    directory = tmp_path_factory.mktemp("votes")
    shutil.copytree(empty_warehouse, directory / "warehouse")
    settings = settings_at(directory)
    warehouse = Warehouse(spark, settings.warehouse)
    rng = np.random.default_rng(1)
    values = rng.normal(size=(N + 1, len(NAMES)))
    values[list(LOUD), 0] += 9.0
    values[list(WANTED), 1] += 6.0
    points = np.array([(58451.0 + k, 3631.0 * (k + 1), 30.0, np.nan, 1 + k % 2, DETECTION) for k in range(4)], MODEL_RECORD).tobytes()
    features, anomalies = [], []
    for k in range(1, N + 1):
        of = {"survey": "ztf", "object_id": f"ZTF{k:02}", "night": NIGHT}
        told = dict(zip(NAMES, map(float, values[k]), strict=True)) if k < N else {}  # of the last nothing is known
        features.append(row_of(FEATURES, **of, feature_set=FEATURE_SET, status="ok", n_detections=4, points=points, **told))
        anomalies.append(row_of(ANOMALIES, **of, model_version=version, status="ranked", rank=k, score=1.0 / k, explanation=f"odd {k}"))
    anomalies.append(row_of(ANOMALIES, survey="ztf", object_id="GATED", night=NIGHT, model_version=version, status="gated", reason="bogus"))
    for table, rows in ((FEATURES, features), (ANOMALIES, anomalies)):
        warehouse.replace_slice(table, frame_of(spark, table, rows), "test", nights=[NIGHT], survey="ztf")

    def run(module, *arguments, night=NIGHT):
        name = module.__name__.rpartition(".")[2]
        run = runs.Run(name, "ztf", (night,), settings, spark, warehouse)
        flags = getattr(module, "add_flags", cli.add_nights)
        module.run(run, cli.parser("", name, flags).parse_args(["--night", night.isoformat(), *arguments]))
        return run

    return run, warehouse


def by_rank(warehouse):
    return [row.asDict() for row in warehouse.read(ANOMALY_RANKS, nights=[NIGHT]).orderBy("active_rank").collect()]


def cast(run, number: int, said: str, *more: str):
    return run(vote, "--object", f"ZTF{number:02}", "--vote", said, "--voter", "ann", *more)


@pytest.fixture(scope="module")
def stages(made):
    """What the tables hold before any vote, after some, and after the same job again; what a voter is shown last."""
    run, warehouse = made
    run(rerank_anomalies)
    before = by_rank(warehouse)
    cast(run, 12, "no", "--note", "wrong at first")
    for number, said in ((1, "no"), (2, "no"), (11, "yes"), (12, "yes")):
        cast(run, number, said)
    with pytest.MonkeyPatch.context() as terminal:
        terminal.setattr("sys.stdin", io.StringIO("what\ns\nn too loud\nq\n"))
        run(vote, "--voter", "bob")
    cast(run, 30, "yes")
    run(vote, "--object", "ZTF30", "--vote", "no", "--voter", "bob")  # as many as not: counts for nothing
    first = run(rerank_anomalies)
    after = by_rank(warehouse)
    run(rerank_anomalies)
    shown = voting.unvoted(
        runs.Run("vote", "ztf", (NIGHT,), first.settings, first.session, warehouse), before[0]["model_version"], "ann", 5
    )
    return {"before": before, "after": after, "again": by_rank(warehouse), "run": first, "shown": shown}


def test_without_votes_the_order_is_the_static_one(stages):
    assert [row["static_rank"] for row in stages["before"]] == [row["active_rank"] for row in stages["before"]] == list(range(1, N + 1))
    assert {(row["n_votes"], row["active_score"], row["vote"]) for row in stages["before"]} == {(0, None, None)}


def test_a_second_vote_replaces_the_first_and_each_voter_has_one(stages, made):
    _, warehouse = made
    rows = {(row["object_id"], row["voter"]): row for row in warehouse.read(FEEDBACK).collect()}
    assert rows["ZTF12", "ann"]["vote"] == "anomaly" and rows["ZTF12", "ann"]["note"] is None
    assert rows["ZTF02", "bob"]["vote"] == "not_anomaly" and rows["ZTF02", "bob"]["note"] == "too loud"
    assert {row["night"] for row in rows.values()} == {NIGHT}
    assert sorted(rows) == [
        (f"ZTF{k:02}", who) for k, who in ((1, "ann"), (2, "ann"), (2, "bob"), (11, "ann"), (12, "ann"), (30, "ann"), (30, "bob"))
    ]


def test_votes_bring_what_is_like_the_wanted_to_the_front_and_the_same_votes_the_same_order(stages):
    after = stages["after"]
    assert [row["active_rank"] for row in after] == list(range(1, N + 1)) and sorted(row["static_rank"] for row in after) == list(
        range(1, N + 1)
    )
    assert len({row["static_rank"] for row in after[:10]} & set(WANTED)) >= 8
    assert all(a["active_score"] >= b["active_score"] for a, b in zip(after, after[1:], strict=False))
    assert {row["n_votes"] for row in after} == {4} == {stages["run"].counts["votes"]}, "as many said yes as no of one more"
    assert {row["object_id"]: row["vote"] for row in after if row["vote"]} == {
        **dict.fromkeys(("ZTF01", "ZTF02"), "not_anomaly"),
        **dict.fromkeys(("ZTF11", "ZTF12"), "anomaly"),
    }
    assert stages["again"] == after


def test_a_voter_is_shown_what_is_left_in_the_new_order(stages):
    order = [row["object_id"] for row in stages["after"] if row["object_id"] not in ("ZTF01", "ZTF02", "ZTF11", "ZTF12", "ZTF30")]
    assert [one.object_id for one in stages["shown"]] == order[:5]
    text = voting.described(stages["shown"][0])
    assert "without votes" in text and "odd" in text and "2 points" in text


def test_an_object_that_is_not_ranked_and_half_a_vote_are_refused(made):
    run, _ = made
    for object_id in ("GATED", "ZTF99"):
        with pytest.raises(NoInputError, match=f"expected '{object_id}' among the anomalies .* found 60 others"):
            run(vote, "--object", object_id, "--vote", "yes", "--voter", "ann")
    with pytest.raises(UsageError, match="--object and --vote go together"):
        run(vote, "--object", "ZTF01")
    with pytest.raises(NoInputError, match="run score_night --night 2018-11-30"):
        run(rerank_anomalies, night=NEXT)
