"""The first anomalies of a night in the order that people's votes ask for.

All that is brought to the driver is bounded, whatever the night: its first anomalies, a sample of its objects, on which the trees grow, and the latest votes.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from deeprubin_spark import arrow
from deeprubin_spark.errors import NoInputError
from deeprubin_spark.models.active_forest import ActiveForest, active_scores
from deeprubin_spark.models.inputs import model_features
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import ANOMALIES, ANOMALY_RANKS, FEEDBACK
from deeprubin_spark.schemas.features import rule_of
from deeprubin_spark.schemas.feedback import ANOMALY, NOT_ANOMALY

MOST_RANKED = 10_000  # anomalies of a night that get a new rank
MOST_SAMPLED = 10_000  # objects of the night whose values the trees part: each tree takes 256
MOST_VOTES = 10_000  # objects with a vote, the latest
SEED = 1

FloatArray = NDArray[np.float64]


class Votes(NamedTuple):
    """Objects on which more people said one thing than the other: ids (V,), feature values (V, F) on the night of the vote, whether an anomaly (V,)."""

    object_id: NDArray[np.str_]
    values: FloatArray
    is_anomaly: NDArray[np.bool_]


def rank_night(run: Run, night: dt.date, version: str, known: Votes) -> None:
    """Replace the night's slice of `anomaly_ranks` of the model by the order that the votes ask for.

    NoInputError where the night has no ranked anomalies of the model.
    """
    ranked = run.read(ANOMALIES, survey=run.survey, nights=[night]).where("status = 'ranked'").where(F.col("model_version") == version)
    features = _features(run, [night])
    first = ranked.where(F.col("rank") <= MOST_RANKED).select("object_id", "rank")
    table = first.join(features, "object_id", "left").orderBy("rank").limit(MOST_RANKED).toArrow()  # bounded by MOST_RANKED
    if not table.num_rows:
        raise NoInputError(
            f"{ANOMALIES.name} {night}: expected ranked anomalies of survey {run.survey} by {version}, found none; run score_night --night {night}"
        )
    made = _made(run, table, known, ranked.select("object_id").join(features, "object_id"), night, version)
    run.replace_slice(ANOMALY_RANKS, run.session.createDataFrame(made), nights=[night], survey=run.survey, model_version=version)


def votes(run: Run) -> Votes:
    """The survey's votes, an object once, with its feature values on the last night of a vote; objects without features are left out."""
    sign = F.when(F.col("vote") == ANOMALY, 1).otherwise(-1)
    of_objects = run.read(FEEDBACK, survey=run.survey).groupBy("object_id").agg(F.sum(sign).alias("balance"), F.max("night").alias("night"))
    latest = of_objects.where("balance != 0").orderBy(F.desc("night"), "object_id").limit(MOST_VOTES).toArrow()  # bounded by MOST_VOTES
    nights = pc.unique(latest["night"].combine_chunks()).to_pylist()
    said = run.session.createDataFrame(latest)
    found = (
        said.join(_features(run, nights), ["object_id", "night"]).orderBy("object_id").limit(MOST_VOTES).toArrow()
    )  # bounded by MOST_VOTES
    return Votes(
        np.asarray(found["object_id"].to_numpy(zero_copy_only=False), str), _values(run, found), arrow.floats(found["balance"]) > 0.0
    )


def order(static_rank: NDArray[np.integer], active_score: FloatArray | None) -> NDArray[np.int32]:
    """Ranks from 1 (N,): by the score, higher first, equal ones by static rank; without scores by static rank alone."""
    score = np.zeros(len(static_rank)) if active_score is None else active_score
    made = np.empty(len(static_rank), np.int32)
    made[np.lexsort((static_rank, -score))] = np.arange(1, len(static_rank) + 1)
    return made


def _made(run: Run, table: pa.Table, known: Votes, objects: DataFrame, night: dt.date, version: str) -> pa.Table:
    """Rows of `anomaly_ranks` of the night's first anomalies, `table`; objects : of the night, with their feature values."""
    static = arrow.longs(table["rank"], 0)
    score = None
    if len(known.object_id):
        # Bounded by MOST_SAMPLED.
        sample = objects.sort(F.xxhash64("object_id"), "object_id").limit(MOST_SAMPLED).toArrow()
        forest = ActiveForest(_values(run, sample), _names(run), SEED)
        score = active_scores(
            forest, forest.scaled(_values(run, table)), static / len(static), forest.scaled(known.values), known.is_anomaly
        )
    said = dict(zip(known.object_id.tolist(), known.is_anomaly.tolist(), strict=True))
    words = {True: ANOMALY, False: NOT_ANOMALY, None: None}
    columns = {
        "survey": [run.survey] * len(static),
        "object_id": table["object_id"],
        "night": [night] * len(static),
        "model_version": [version] * len(static),
        "static_rank": static,
        "active_rank": order(static, score),
        "active_score": score,
        "vote": [words[said.get(object_id)] for object_id in table["object_id"].to_pylist()],
        "n_votes": [len(known.object_id)] * len(static),
    }
    schema = ANOMALY_RANKS.arrow_schema()
    nothing = pa.nulls(len(static))
    arrays = {f.name: nothing.cast(f.type) if columns[f.name] is None else pa.array(columns[f.name]).cast(f.type) for f in schema}
    return pa.table(arrays)


def _features(run: Run, nights: list[dt.date]) -> DataFrame:
    rule = rule_of(run.survey)
    rows = run.read(rule.table, survey=run.survey, nights=nights).where(F.col("feature_set") == rule.feature_set.name)
    return rows.select("object_id", "night", *_names(run))


def _names(run: Run) -> tuple[str, ...]:
    return model_features(rule_of(run.survey).feature_set)


def _values(run: Run, table: pa.Table) -> FloatArray:
    return np.column_stack([arrow.floats(table[name]) for name in _names(run)])
