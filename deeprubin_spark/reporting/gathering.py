"""Ask the tables for the facts of some nights: each query once for all of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

from deeprubin_spark.reporting import queries as q
from deeprubin_spark.reporting.facts import (
    NightFacts,
    labelled_of,
    outcomes_of,
    past_of,
    quarantined_of,
    steps_of,
    strange_of,
)
from deeprubin_spark.reporting.query import Parameter
from deeprubin_spark.reporting.search_facts import searches_of
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas.features import FEATURE_SET

HISTORY_DAYS = 90
_PAST_NIGHTS = 7
_NIGHTS_AT_ONCE = 32  # bounds what the driver holds: the answers about this many nights

Rows = dict[str, list[dict[str, Any]]]


def parameters(run: Run, first: dt.date, last: dt.date) -> dict[str, Parameter]:
    """Values of every parameter that a query may ask for."""
    return {
        "survey": run.survey,
        "first": first,
        "last": last,
        "history": first - dt.timedelta(days=HISTORY_DAYS),
        "feature_set": FEATURE_SET,
        "n_anomalies": run.settings.report.n_anomalies,
    }


def nights(run: Run) -> Iterator[NightFacts]:
    """Facts of each night of the run, in order of date."""
    tables = {table.name: table for query in q.QUERIES for table in query.tables}
    frames = {name: run.read(table) for name, table in tables.items()}
    wanted = sorted(run.nights)
    for start in range(0, len(wanted), _NIGHTS_AT_ONCE):
        some = wanted[start : start + _NIGHTS_AT_ONCE]
        values = parameters(run, some[0], some[-1])
        rows = {query.name: query.rows(run.session, frames, values) for query in q.QUERIES}
        for night in some:
            yield night_facts(run.survey, night, rows)


def night_facts(survey: str, night: dt.date, rows: Rows) -> NightFacts:
    """Facts of one night from the queries' answers about several; `rows`: query name -> its rows."""
    mine = {name: [row for row in answer if row["night"] == night] for name, answer in rows.items()}
    steps, failures = steps_of(mine[q.STEPS.name])
    model = _model(mine, next((step.model_version for step in steps if step.job == "score_night"), None))
    objects = mine[q.OBJECTS.name][0] if mine[q.OBJECTS.name] else {"objects": 0, "alerts": 0, "first_seen": 0}
    return NightFacts(
        survey=survey,
        night=night,
        steps=steps,
        failures=failures,
        alerts=objects["alerts"],
        objects=objects["objects"],
        first_seen=objects["first_seen"],
        cells={row["cell"]: row["objects"] for row in mine[q.SKY.name]},
        brightness={(row["band"], row["half_magnitude"]): row["detections"] for row in mine[q.BRIGHTNESS.name]},
        fits={row["status"]: row["objects"] for row in mine[q.FITS.name]},
        model_version=model,
        outcomes=outcomes_of(mine[q.CLASSES.name], model),
        gates=outcomes_of(mine[q.GATES.name], model),
        quarantined=quarantined_of(mine[q.QUARANTINED.name]),
        past=past_of(rows[q.CLASSES.name], rows[q.QUARANTINED.name], night, model, _PAST_NIGHTS),
        strange=strange_of(mine[q.STRANGE.name], model),
        labelled=labelled_of(mine[q.LABELLED.name], model),
        searches=searches_of(mine, rows, night, model),
    )


def _model(mine: Rows, of_latest_run: str | None) -> str | None:
    """The model of the latest run of score_night; where it left no rows, the newest name among those that did."""
    versions: Sequence[str] = [row["model_version"] for name in (q.CLASSES.name, q.GATES.name) for row in mine[name]]
    if of_latest_run is not None and (of_latest_run in versions or not versions):
        return of_latest_run
    return max(versions, default=None)
