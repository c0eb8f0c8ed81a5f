"""What the page says about a night, as plain values: one `NightFacts` for each night, made from the rows that the queries return."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from deeprubin_spark.reporting.search_facts import Searches, drawn_of

# The steps of a night in the order in which they run; it is finished without searches. Other jobs of `runs` (report_night, nightly) are no part of the page.
STEP_ORDER: tuple[str, ...] = ("ingest_archive", "build_lightcurves", "extract_features", "score_night")
SEARCH_ORDER: tuple[str, ...] = ("search_habitability", "search_technosignatures", "match_catalogues", "search_interstellar")


# A map of a table has no order of its own: totals first, then what became of them. Other counts follow by name.
_COUNT_ORDER: tuple[str, ...] = (
    *("members", "alerts", "objects", "kept", "duplicates", "excluded", "quarantined", "other_night", "detections", "limits"),
    *("ok", "too_few_points", "fit_failed", "bad_input", "scored", "abstained", "ranked"),
)
_PLAIN = (
    *("rank", "object_id", "ra", "dec", "score", "explanation", "n_detections", "n_limits"),
    *("class_status", "class_reason", "p_class"),
)


@dataclass(frozen=True)
class StepRun:
    """One run of one job, as `runs` has it."""

    job: str
    run_id: str
    parent_run_id: str | None
    status: str
    exit_code: int
    message: str | None
    started_at: dt.datetime
    finished_at: dt.datetime
    seconds: float
    core_seconds: float
    counts: dict[str, int]
    model_version: str | None
    code_version: str
    n_nights: int
    first_night: dt.date
    last_night: dt.date


@dataclass(frozen=True)
class Outcome:
    """How many objects ended how: `status`, `reason` where it is not a result, class where it is."""

    status: str
    reason: str | None
    class_name: str | None
    objects: int


@dataclass(frozen=True)
class Quarantined:
    """Packets that could not be used for one reason, and where the first of them is."""

    reason: str
    packets: int
    first: str


@dataclass(frozen=True)
class Labelled:
    """Objects that `source` calls `label` and the model `class_name`."""

    source: str
    label: str
    class_name: str
    objects: int


@dataclass(frozen=True)
class PastNight:
    """A night in one line, to compare with."""

    night: dt.date
    objects: int
    scored: int
    quarantined: int


@dataclass(frozen=True)
class Strange:
    """A ranked anomaly with all that is drawn and said about it. Points and grids are those of `features`, in nJy and days."""

    rank: int
    object_id: str
    ra: float | None
    dec: float | None
    score: float | None
    explanation: str | None
    contributions: tuple[dict[str, Any], ...]
    class_status: str | None
    class_reason: str | None
    class_name: str | None
    p_class: float | None
    n_detections: int | None
    n_limits: int | None
    t_ref_mjd: float | None
    grid_time: tuple[float, ...]
    grid_mean: tuple[float, ...]
    grid_sd: tuple[float, ...]
    points: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class NightFacts:
    """Everything the page of a night shows. Counts are of rows in the tables, but for the ledgers of `steps`."""

    survey: str
    night: dt.date
    steps: tuple[StepRun, ...] = ()  # latest run of each job that ended well, in order
    failures: tuple[StepRun, ...] = ()  # runs that failed and were not repeated with success since
    alerts: int = 0
    objects: int = 0
    first_seen: int = 0
    cells: dict[int, int] = field(default_factory=dict)  # HEALPix order 4, nested -> objects
    brightness: dict[tuple[str, int], int] = field(default_factory=dict)  # band, AB magnitude in halves -> detections
    fits: dict[str, int] = field(default_factory=dict)  # status -> objects
    model_version: str | None = None
    outcomes: tuple[Outcome, ...] = ()
    gates: tuple[Outcome, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    past: tuple[PastNight, ...] = ()  # latest first
    strange: tuple[Strange, ...] = ()
    labelled: tuple[Labelled, ...] = ()
    searches: Searches = field(default_factory=Searches)

    def step(self, job: str) -> StepRun | None:
        """The latest run of `job` that ended well."""
        return next((step for step in self.steps if step.job == job), None)

    @property
    def was_run(self) -> bool:
        """Whether any step was run for the night, or left a row of it."""
        return bool(self.steps or self.failures or self.alerts or self.fits or self.outcomes or self.gates or self.quarantined)

    @property
    def scored(self) -> int:
        """Objects with a class."""
        return sum(o.objects for o in self.outcomes if o.status == "scored")

    @property
    def classes(self) -> dict[str, int]:
        """Class -> objects."""
        return {o.class_name: o.objects for o in self.outcomes if o.status == "scored" and o.class_name}

    @property
    def abstentions(self) -> dict[str, int]:
        """Reason -> objects without a class."""
        return _by_reason(self.outcomes, "scored")

    @property
    def ranked(self) -> int:
        """Objects ranked as anomalies."""
        return sum(o.objects for o in self.gates if o.status == "ranked")

    @property
    def closed_gates(self) -> dict[str, int]:
        """Gates failed, as the table lists them together -> objects."""
        return _by_reason(self.gates, "ranked")


def steps_of(rows: Sequence[dict[str, Any]]) -> tuple[tuple[StepRun, ...], tuple[StepRun, ...]]:
    """Runs of one night, as `STEPS` returns them: (latest good run of each step, failures since)."""
    order = (*STEP_ORDER, *SEARCH_ORDER)
    runs = [StepRun(job=row["job"], status=row["status"], **_filled(row["latest"])) for row in rows if row["job"] in order]
    runs.sort(key=lambda run: (order.index(run.job), run.finished_at))
    done = {run.job: run for run in runs if run.status == "done"}
    failures = [run for run in runs if run.status != "done" and (run.job not in done or done[run.job].finished_at < run.finished_at)]
    return tuple(done.values()), tuple(failures)


def outcomes_of(rows: Sequence[dict[str, Any]], model_version: str | None) -> tuple[Outcome, ...]:
    """Rows of `CLASSES` or `GATES` of one model, most objects first."""
    mine = [row for row in rows if row["model_version"] == model_version]
    made = [Outcome(row["status"], row["reason"], row.get("class"), row["objects"]) for row in mine]
    return tuple(sorted(made, key=lambda o: (-o.objects, o.status, o.reason or "", o.class_name or "")))


def quarantined_of(rows: Sequence[dict[str, Any]]) -> tuple[Quarantined, ...]:
    """Rows of `QUARANTINED` of one night, most packets first."""
    made = [Quarantined(row["reason"], row["packets"], _first_packet(row["first"])) for row in rows]
    return tuple(sorted(made, key=lambda q: (-q.packets, q.reason)))


def past_of(
    classes: Sequence[dict[str, Any]], quarantined: Sequence[dict[str, Any]], night: dt.date, model: str | None, n: int
) -> tuple[PastNight, ...]:
    """The last `n` nights before `night` that have scores, latest first; by the same model where it scored them, else the newest name."""
    models: dict[dt.date, set[str]] = {}
    for row in classes:
        if row["night"] < night:
            models.setdefault(row["night"], set()).add(row["model_version"])
    packets: Counter[dt.date] = Counter()
    for row in quarantined:
        packets[row["night"]] += row["packets"]
    made = []
    for past in sorted(models, reverse=True)[:n]:
        version = model if model in models[past] else max(models[past])
        outcomes = outcomes_of([row for row in classes if row["night"] == past], version)
        scored = sum(o.objects for o in outcomes if o.status == "scored")
        made.append(PastNight(past, sum(o.objects for o in outcomes), scored, packets[past]))
    return tuple(made)


def strange_of(rows: Sequence[dict[str, Any]], model_version: str | None) -> tuple[Strange, ...]:
    """Rows of `STRANGE` of one night and model, by rank."""
    return tuple(_strange(row) for row in rows if row["model_version"] == model_version)


def labelled_of(rows: Sequence[dict[str, Any]], model_version: str | None) -> tuple[Labelled, ...]:
    """Rows of `LABELLED` of one night and model, by source and label."""
    made = [Labelled(row["source"], row["label"], row["class"], row["objects"]) for row in rows if row["model_version"] == model_version]
    return tuple(sorted(made, key=lambda x: (x.source, x.label, -x.objects, x.class_name)))


def _strange(row: dict[str, Any]) -> Strange:
    plain: dict[str, Any] = {name: row[name] for name in _PLAIN} | {"class_name": row["class"]}
    return Strange(**plain, **drawn_of(row), contributions=tuple(row["contributions"] or ()))


def _by_reason(outcomes: Sequence[Outcome], result: str) -> dict[str, int]:
    found: Counter[str] = Counter()
    for outcome in outcomes:
        if outcome.status != result:
            found[outcome.reason or "unknown"] += outcome.objects
    return dict(found)


def _filled(latest: dict[str, Any]) -> dict[str, Any]:
    order = {name: position for position, name in enumerate(_COUNT_ORDER)}
    counts = latest["counts"] or {}
    return latest | {"counts": {name: counts[name] for name in sorted(counts, key=lambda name: (order.get(name, len(order)), name))}}


def _first_packet(first: dict[str, Any]) -> str:
    member = f" :: {first['member']}" if first["member"] else ""
    place = f", byte {first['byte_offset']:,}" if first["byte_offset"] is not None else ""
    return f"{first['source']}{member}{place}: {first['detail']}"
