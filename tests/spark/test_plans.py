"""House rules that the plans and the source must keep: two Python passes a night, and no way of working that does not scale."""

from __future__ import annotations

import ast
import datetime as dt
from pathlib import Path

import pytest

import deeprubin_spark
from deeprubin_spark.models import published
from deeprubin_spark.preprocessing.features import features
from deeprubin_spark.preprocessing.segments import segments
from deeprubin_spark.schemas import ALERTS_ZTF, FEATURES, LIGHTCURVE_BASE, LIGHTCURVE_SEGMENTS
from deeprubin_spark.schemas.features import rule_of
from deeprubin_spark.scoring import class_shares, verdicts

NIGHT = dt.date(2018, 11, 29)
OTHER_PYTHON = ("BatchEvalPython", "ArrowEvalPython", "FlatMapGroupsIn", "MapInPandas", "PythonUDTF", "AggregateInPandas")
PACKAGE = Path(deeprubin_spark.__file__).parent
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "jobs").glob("*.py")])


def plan_of(frame) -> str:
    return frame._jdf.queryExecution().executedPlan().toString()


def python_passes(plan: str) -> int:
    assert not any(name in plan for name in OTHER_PYTHON), plan
    return plan.count("MapInArrow")


def test_light_curves_to_features_is_one_python_pass(warehouse):
    known = warehouse.read(LIGHTCURVE_SEGMENTS, survey="ztf")
    made = features(
        known,
        warehouse.read(LIGHTCURVE_BASE, survey="ztf"),
        known.where("night = DATE'2018-11-29'"),
        warehouse.read(FEATURES),
        rule_of("ztf"),
    )
    assert python_passes(plan_of(made)) == 1


def test_features_to_scores_is_one_python_pass(warehouse, settings):
    contract = rule_of("ztf").contract
    model = published.load(published.find("", contract), contract)
    judged = warehouse.read(FEATURES, survey="ztf", nights=[NIGHT]).transform(verdicts.verdicts(model, settings.scoring))
    scored = class_shares.with_night_probabilities(judged, model.class_shares)
    assert python_passes(plan_of(verdicts.scores(scored))) == 1
    assert python_passes(plan_of(verdicts.anomalies(judged))) == 1


def test_alerts_to_segments_is_one_python_pass_and_one_shuffle(warehouse, settings):
    plan = plan_of(warehouse.read(ALERTS_ZTF, nights=[NIGHT]).transform(segments(settings.lightcurves, (1,))))
    assert python_passes(plan) == 1
    assert plan.count("Exchange hashpartitioning") == 1


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_nothing_that_does_not_scale_is_called(path):
    forbidden = {"applyInPandas", "udf", "mapPartitions", "toLocalIterator", "rdd"}
    calls = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    allowed = {"udf"} if path.stem == "udfs" else set()  # session.udf.register of pandas UDFs
    assert calls & forbidden <= allowed


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_every_collect_says_why_it_is_bounded(path):
    lines = path.read_text().splitlines()
    unexplained = [
        f"{path.name}:{i + 1}"
        for i, line in enumerate(lines)
        if (".collect()" in line or ".toPandas()" in line) and "bounded" not in " ".join(lines[max(0, i - 6) : i + 1]).lower()
    ]
    assert unexplained == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_files_and_functions_are_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    assert [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= 50] == []
