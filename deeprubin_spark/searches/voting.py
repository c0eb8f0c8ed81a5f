"""A person votes on anomalies: which to show next, how they look on a terminal, and what was said of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from deeprubin_spark.bands import BAND_NAMES
from deeprubin_spark.errors import NoInputError
from deeprubin_spark.kernels.measurements import LIMIT, MODEL_RECORD
from deeprubin_spark.kernels.photometry import ab_magnitude
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import ANOMALIES, ANOMALY_RANKS, FEEDBACK
from deeprubin_spark.schemas.features import rule_of
from deeprubin_spark.schemas.feedback import ANOMALY, NOT_ANOMALY

ANSWERS = {"y": ANOMALY, "yes": ANOMALY, "n": NOT_ANOMALY, "no": NOT_ANOMALY}
_SKIP, _QUIT = ("s", "skip", ""), ("q", "quit")
_LEVELS = "▁▂▃▄▅▆▇█"
_WIDTH = 60  # columns of a light curve


class Shown(NamedTuple):
    """A ranked object of a night: its rank after votes, that without, why it is odd, and its points, bytes of `features.points`."""

    object_id: str
    night: dt.date
    rank: int
    static_rank: int
    explanation: str
    points: bytes


class Vote(NamedTuple):
    """What a voter said of an object, seen in the anomalies of a night."""

    object_id: str
    night: dt.date
    vote: str
    note: str | None


def ranked(run: Run, version: str) -> DataFrame:
    """The ranked anomalies of the run's nights by a model: object_id, night, explanation, static_rank, and rank, that after votes if it was made."""
    static = run.read(ANOMALIES, survey=run.survey, nights=run.nights).where("status = 'ranked'").where(F.col("model_version") == version)
    active = run.read(ANOMALY_RANKS, survey=run.survey, nights=run.nights).where(F.col("model_version") == version)
    both = static.join(active.select("object_id", "night", "active_rank"), ["object_id", "night"], "left")
    rank = F.coalesce("active_rank", "rank").alias("rank")
    return both.select("object_id", "night", "explanation", F.col("rank").alias("static_rank"), rank)


def unvoted(run: Run, version: str, voter: str, most: int) -> list[Shown]:
    """The first `most` objects of the nights on which the voter has not voted, in order; an object of several nights once, where it ranks highest."""
    done = run.read(FEEDBACK, survey=run.survey).where(F.col("voter") == voter)
    best = Window.partitionBy("object_id").orderBy("rank", F.desc("night"))
    once = ranked(run, version).join(done, "object_id", "left_anti").withColumn("place", F.row_number().over(best)).where("place = 1")
    first = once.orderBy("rank", "night", "object_id").limit(most)
    rule = rule_of(run.survey)
    features = run.read(rule.table, survey=run.survey, nights=run.nights).where(F.col("feature_set") == rule.feature_set.name)
    seen = first.join(features.select("object_id", "night", "points"), ["object_id", "night"], "left")
    rows = seen.orderBy("rank", "night", "object_id").collect()  # bounded by `most`
    return [Shown(**{name: row[name] for name in Shown._fields if name != "points"}, points=bytes(row["points"] or b"")) for row in rows]


def night_of(run: Run, version: str, object_id: str) -> dt.date:
    """The last of the nights in whose anomalies the object is ranked. NoInputError where it is in none."""
    rows = ranked(run, version)
    found = rows.where(F.col("object_id") == object_id).agg(F.max("night").alias("night")).first()
    if found is None or found["night"] is None:
        example = rows.orderBy("rank").first()
        raise NoInputError(
            f"{ANOMALIES.name}: expected {object_id!r} among the anomalies of survey {run.survey} ranked by {version} on "
            f"{', '.join(map(str, run.nights))}, found {rows.count():,} others"
            + (f", the first {example['object_id']}" if example else "; run score_night")
        )
    night: dt.date = found["night"]
    return night


def record(run: Run, votes: Iterable[Vote], voter: str) -> None:
    """Put the votes into `feedback`; an earlier one of the voter on the same object is replaced."""
    now = dt.datetime.now(dt.timezone.utc)
    rows = {vote.object_id: (run.survey, vote.object_id, voter, vote.night, vote.vote, now, vote.note) for vote in votes}
    if rows:
        run.merge_by_key(FEEDBACK, run.session.createDataFrame(list(rows.values()), FEEDBACK.spark_schema()))
    run.counts.update(votes=len(rows), anomaly=sum(row[4] == ANOMALY for row in rows.values()))


def asked(shown: Sequence[Shown], read: Callable[[str], str], tell: Callable[[str], Any]) -> Iterator[Vote]:
    """Show one object after the other and yield what is answered: y, n, s (skip) or q (quit); words after y or n are the vote's note.

    read : as `input`, with the question; its EOFError, and a KeyboardInterrupt, end the questions like q
    """
    for i, one in enumerate(shown):
        tell(f"\n{i + 1} of {len(shown)}  {described(one)}")
        while True:
            try:
                answer, _, note = read("anomaly? y, n, s(kip), q(uit), words after y or n are a note: ").strip().partition(" ")
            except (EOFError, KeyboardInterrupt):
                return
            answer = answer.lower()
            if answer in _QUIT:
                return
            if answer in ANSWERS:
                yield Vote(one.object_id, one.night, ANSWERS[answer], note.strip() or None)
            if answer in ANSWERS or answer in _SKIP:
                break
            tell(f"expected y, n, s or q, found {answer!r}")


def described(one: Shown) -> str:
    """The object in a few lines of text."""
    moved = "" if one.rank == one.static_rank else f" (without votes {one.static_rank})"
    return "\n".join([f"{one.object_id}  night {one.night}  rank {one.rank}{moved}", f"  {one.explanation}", *light_curve_text(one.points)])


def light_curve_text(points: bytes) -> list[str]:
    """A line a band: mean difference flux over time in eighths of the range of all bands, then count, magnitudes and days; limits are left out.

    points : bytes of `features.points`
    """
    records = np.frombuffer(points, MODEL_RECORD)
    records = records[(records["kind"] != LIMIT) & np.isfinite(records["flux_njy"])]
    if not len(records):
        return ["  no measurement"]
    first, last = records["mjd"].min(), records["mjd"].max()
    column = np.minimum(((records["mjd"] - first) / max(last - first, 1e-9) * _WIDTH).astype(int), _WIDTH - 1)
    bottom, top = records["flux_njy"].min(), records["flux_njy"].max()
    level = np.minimum(((records["flux_njy"] - bottom) / max(top - bottom, 1e-9) * len(_LEVELS)).astype(int), len(_LEVELS) - 1)
    lines = []
    for band in np.unique(records["band"]):
        mine = records["band"] == band
        lines.append(
            f"  {BAND_NAMES[band]} {_drawn(column[mine], level[mine])}  {mine.sum():>3} points{_magnitudes(records['flux_njy'][mine])}"
        )
    return [*lines, f"    MJD {first:.2f} to {last:.2f}, {last - first:.1f} d"]


def _drawn(column: NDArray[np.int64], level: NDArray[np.int64]) -> str:
    total, count = np.bincount(column, level, _WIDTH), np.bincount(column, minlength=_WIDTH)
    return "".join(_LEVELS[round(total[k] / count[k])] if count[k] else " " for k in range(_WIDTH))


def _magnitudes(flux: NDArray[np.floating]) -> str:
    positive = flux[flux > 0.0].astype(np.float64)
    if not len(positive):
        return ", all fainter than the reference"
    faint, bright = ab_magnitude(np.array([positive.min(), positive.max()]))
    return f", {bright:.2f} to {faint:.2f} mag"
