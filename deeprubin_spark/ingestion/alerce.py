"""Light curves and classes of ZTF objects from the broker ALeRCE, for a list of objects or a query.

    object ids, page by page  ──►  light curve and probabilities of each  ──►  lightcurve_segments, labels  ──►  page done

The driver asks, politely and one object at a time; no executor touches the network, and no more than a page of objects is held. Each page
is merged by key, then noted as done, so the same command goes on where it was stopped, and a page merged twice is merged once.
Segments are of survey 'ztf_alerce' (see `alerce_points.SURVEY`), labels of survey 'ztf'.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deeprubin_spark import quality
from deeprubin_spark.errors import ConfigError, NoInputError, RetryableError, UsageError
from deeprubin_spark.ingestion.alerce_labels import label_rows
from deeprubin_spark.ingestion.alerce_points import SURVEY, segment_rows
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import LABELS, LIGHTCURVE_SEGMENTS
from deeprubin_spark.schemas.contract import Table
from deeprubin_spark.settings import LightCurveSettings
from deeprubin_spark.tables import Warehouse

if TYPE_CHECKING:
    from deeprubin_spark.ingestion.alerce_broker import Broker

_OBJECT_ID = re.compile(r"^ZTF\d{2}[a-z]{7}$")
_FILTERS = "oid classifier classifier_version class_name ranking ndet probability firstmjd lastmjd ra dec radius order_by order_mode"
# The API ignores a filter that it does not know, and would send every object it has: others are refused here.
FILTERS: tuple[str, ...] = tuple(_FILTERS.split(" "))
_COUNTS = "objects fetched unknown resumed detections limits unusable_points segments labels requests retries"


@dataclass(frozen=True)
class Request:
    """What is asked for: objects by id, or else all that fit a query."""

    object_ids: tuple[str, ...] = ()
    query: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """Same for the same request, whatever the order in which it was written."""
        content = [sorted(set(self.object_ids)), sorted((key, list(values)) for key, values in self.query.items())]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]

    def __str__(self) -> str:
        if self.object_ids:
            return f"{len(self.object_ids):,} objects by id"
        return "objects with " + ", ".join(f"{key}={','.join(values)}" for key, values in self.query.items())


class Progress:
    """Which objects of a request are done: one line of JSON for each page, in a file that ends with the request.

    A line cut by a crash is skipped, and its page is fetched again.
    """

    def __init__(self, path: Path) -> None:
        """Read what an interrupted run has left, if it did."""
        self._path = path
        self.done: set[str] = set()
        if path.is_file():
            for line in path.read_text().splitlines():
                self.done.update(_ids_of_line(line))

    def add(self, object_ids: Sequence[str]) -> None:
        """Note a page, once its rows are in the tables."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write("\n" + json.dumps(list(object_ids)))  # the line break comes first, to end a line that was cut
            file.flush()
            os.fsync(file.fileno())
        self.done.update(object_ids)

    def finish(self) -> None:
        """Forget the request: asked again, it is fetched anew."""
        self._path.unlink(missing_ok=True)


@dataclass
class _Page:
    """What was fetched for one page of objects; `done` lists those that are complete."""

    done: list[str] = field(default_factory=list)
    segments: list[tuple[Any, ...]] = field(default_factory=list)
    labels: list[tuple[Any, ...]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, **more: int) -> None:
        for name, number in more.items():
            self.counts[name] = self.counts.get(name, 0) + number


def request_of(objects_file: str, object_ids: Sequence[str], query: Sequence[str]) -> Request:
    """The request that the command line means.

    objects_file: path of a file with one id per line, '#' begins a comment; or ''.   query: 'key=value' strings; a key may be repeated.
    UsageError for an id that is none of ZTF's, an unknown filter, or neither ids nor query; NoInputError where the file cannot be read.
    """
    ids = [(text, f"--object {text}") for text in object_ids]
    if objects_file:
        ids += _ids_of_file(Path(objects_file))
    for text, where in ids:
        if not _OBJECT_ID.match(text):
            raise UsageError(f"{where}: expected a ZTF object id like ZTF18abcdefg, found {text!r}")
    if bool(ids or objects_file) == bool(query):
        raise UsageError("expected either objects (--objects FILE, --object ID) or a --query, one of them")
    filters: dict[str, tuple[str, ...]] = {}
    for text in query:
        key, equals, value = text.partition("=")
        if not (equals and value) or key not in FILTERS:
            raise UsageError(f"--query {text}: expected key=value with a key of {', '.join(FILTERS)}")
        filters[key] = (*filters.get(key, ()), value)
    return Request(tuple(dict.fromkeys(text for text, _ in ids)), filters)


def connect(run: Run) -> Broker:
    """The broker that `run.settings.broker` names. ConfigError where its client is not installed."""
    try:
        from deeprubin_spark.ingestion.alerce_broker import Broker
    except ModuleNotFoundError as error:
        raise ConfigError(f"ingest_alerce: the package {error.name} is missing; pip install 'deeprubin-spark[broker]'") from error
    return Broker(run.settings.broker)


def ingest(run: Run, request: Request, broker: Broker) -> None:
    """Fetch what is not done yet and merge it into the tables; `run.counts` is the ledger, also when the broker gives up half-way."""
    run.counts.update(dict.fromkeys(_COUNTS.split(" "), 0))
    progress = Progress(progress_path(run.warehouse, request))
    try:
        for object_ids in _new_ids(request, broker, run.settings.broker.page_size):
            todo = [object_id for object_id in object_ids if object_id not in progress.done]
            run.counts["objects"] += len(object_ids)
            run.counts["resumed"] += len(object_ids) - len(todo)
            _ingest_page(run, todo, broker, progress)
    finally:
        run.counts.update(requests=broker.requests, retries=broker.retries)
    parts = {name: run.counts[name] for name in ("fetched", "unknown", "resumed")}
    quality.require_balance("ingest_alerce", run.counts["objects"], **parts)
    progress.finish()


def progress_path(warehouse: Warehouse, request: Request) -> Path:
    """Where a request's progress is noted: in a local warehouse, else in the user's cache, by what warehouse it is for."""
    place = hashlib.sha256(warehouse.identifier(LIGHTCURVE_SEGMENTS).encode()).hexdigest()[:16]
    directory = warehouse.directory or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deeprubin" / place
    return directory / ".progress" / f"ingest_alerce-{request.fingerprint()}.jsonl"


def _new_ids(request: Request, broker: Broker, page_size: int) -> Iterator[list[str]]:
    """The request's object ids in pages, none twice: a list that changes while it is read shows some on two pages."""
    ids = request.object_ids
    pages = (ids[i : i + page_size] for i in range(0, len(ids), page_size)) if ids else broker.pages(request.query)
    seen: set[str] = set()
    for page in pages:
        new = [object_id for object_id in dict.fromkeys(page) if object_id not in seen]
        seen.update(new)
        if new:
            yield new


def _ingest_page(run: Run, object_ids: Sequence[str], broker: Broker, progress: Progress) -> None:
    """Fetch and merge some objects; where the broker gives up half-way, those that are complete."""
    page = _Page()
    try:
        for object_id in object_ids:
            _fetch(page, object_id, broker, run.settings.lightcurves)
    except RetryableError:
        _merge_page(run, page, progress)
        raise
    _merge_page(run, page, progress)


def _merge_page(run: Run, page: _Page, progress: Progress) -> None:
    """The rows first, then the note that they are there: a crash in between only fetches them twice."""
    _merge(run, LIGHTCURVE_SEGMENTS, page.segments)
    _merge(run, LABELS, page.labels)
    if page.done:
        progress.add(page.done)
    for name, number in page.counts.items():
        run.counts[name] += number


def _fetch(page: _Page, object_id: str, broker: Broker, settings: LightCurveSettings) -> None:
    """Add an object's light curve and labels to the page; one that ALeRCE does not know is counted."""
    light_curve = broker.light_curve(object_id)
    if light_curve is None:
        page.count(unknown=1)
    else:
        made = segment_rows(object_id, *light_curve, settings)
        labels = label_rows(object_id, broker.probabilities(object_id), broker.clock.now().date())
        page.segments += made.rows
        page.labels += labels
        page.count(fetched=1, detections=made.detections, limits=made.limits, unusable_points=made.unusable)
        page.count(segments=len(made.rows), labels=len(labels))
    page.done.append(object_id)


def _merge(run: Run, table: Table, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        run.merge_by_key(table, run.session.createDataFrame(rows, table.spark_schema()))


def _ids_of_file(path: Path) -> list[tuple[str, str]]:
    """(object id, where it stands) of each line of the file."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise NoInputError(f"--objects {path}: cannot be read ({error}); expected a text file with one object id per line") from error
    stripped = [(line.partition("#")[0].strip(), f"{path}, line {number}") for number, line in enumerate(lines, 1)]
    found = [(text, where) for text, where in stripped if text]
    if not found:
        raise NoInputError(f"--objects {path}: no object ids in it; expected one per line")
    return found


def _ids_of_line(line: str) -> list[str]:
    try:
        found = json.loads(line) if line.strip() else []
    except json.JSONDecodeError:
        return []  # the crash came while it was written: its page counts as not done
    return [str(object_id) for object_id in found]


__all__ = ["FILTERS", "SURVEY", "Progress", "Request", "connect", "ingest", "progress_path", "request_of"]
