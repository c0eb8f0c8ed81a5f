"""The night's one Python pass from features to verdicts: class probabilities and anomaly scores of each object, or why there are none."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from deeprubin_spark import arrow
from deeprubin_spark.arrow import spread
from deeprubin_spark.models.feature_batches import columns_read, fitted_rows, is_fitted
from deeprubin_spark.models.published import PublishedModel
from deeprubin_spark.models.uncertainty import Prediction
from deeprubin_spark.schemas import ANOMALIES, SCORES
from deeprubin_spark.schemas.contract import Column, Table
from deeprubin_spark.schemas.taxonomy import BRANCHES, branch_of
from deeprubin_spark.scoring import gates
from deeprubin_spark.scoring.anomaly_columns import MADE_HERE, anomaly_columns
from deeprubin_spark.settings import ScoringSettings

_CARRIED = ("survey", "object_id", "night", "ra", "dec", "n_detections")
_GATED = ("status", "n_detections", "rb_max", "drb_max", "ss_name", "ss_distance")

# What makes an anomaly one, for a person.
_SENTENCE = """concat(
    format_string('As unusual as 1 in %.0f usual objects, most by its %s; nearest class %s', 1.0 / false_alarm_rate, most_telling, nearest_class),
    coalesce(format_string('; best physical model %s, BIC %+.0f against a free curve', best_model, s_phys), ''),
    '; isolated early by ',
    array_join(transform(slice(contributions, 1, 3), c -> format_string('%s = %.3g', c.feature, c.value)), ', ')
)"""

# One row per object: its score and its anomaly, before they part into their tables. What follows from all objects of a night together is not yet known.
_VERDICT = Table(
    "verdict",
    doc="Score and anomaly of one object.",
    version=1,
    key=("object_id",),
    columns=(
        *(column for column in SCORES.columns if column.name != "night_probabilities"),
        Column("anomaly_status", "string"),
        Column("anomaly_reason", "string"),
        *(column for column in ANOMALIES.columns if column.name in MADE_HERE),
    ),
)


def verdicts(model: PublishedModel, settings: ScoringSettings) -> Callable[[DataFrame], DataFrame]:
    """`features` rows to one verdict each; `anomalies` below, and `scores` once `class_shares` has added to it, take their columns from it."""
    wanted = dict.fromkeys((*_CARRIED, *_GATED, *columns_read(model)))

    def transform(features: DataFrame) -> DataFrame:
        return features.select(*wanted).mapInArrow(_judge(model, settings), _VERDICT.spark_schema())

    return transform


def scores(judged: DataFrame) -> DataFrame:
    """The `scores` rows of verdicts."""
    return SCORES.select(judged)


def anomalies(judged: DataFrame) -> DataFrame:
    """The `anomalies` rows of verdicts, ranked within each night."""
    of_night = Window.partitionBy("survey", "night", "anomaly_status").orderBy(F.desc("score"), "object_id")
    is_ranked = F.col("anomaly_status") == "ranked"
    rows = (
        judged.withColumn("rank", F.when(is_ranked, F.row_number().over(of_night)))
        .withColumn("explanation", F.when(is_ranked, F.expr(_SENTENCE)))
        .drop("status", "reason")
        .withColumnsRenamed({"anomaly_status": "status", "anomaly_reason": "reason"})
    )
    return ANOMALIES.select(rows)


def _judge(model: PublishedModel, settings: ScoringSettings) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    schema = _VERDICT.arrow_schema()

    def judge(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            columns = {name: batch.column(name) for name in _CARRIED}
            columns["model_version"] = pa.array([model.version] * batch.num_rows, pa.string())
            facts = _facts(batch)
            rows = fitted_rows(batch, model)
            is_outside = np.zeros(batch.num_rows, bool)
            is_outside[facts.is_fitted] = model.outside_training_range(rows.values)
            failed, closed = gates.score_gates(facts, settings), gates.anomaly_gates(facts, settings)
            passes = facts.is_fitted & ~is_outside & ~np.any(list(failed.values()), axis=0)
            ranked = ~np.any(list(closed.values()), axis=0)
            seen = passes | ranked  # all of them are fitted
            chosen = rows.take(np.flatnonzero(seen[facts.is_fitted]))
            judged = model.judge(chosen)
            columns |= {
                "status": pc.if_else(pa.array(passes), "scored", "abstained"),
                "reason": _reasons(batch, facts, failed, is_outside, passes),
            }
            columns |= _score_columns(judged.take(passes[seen]).prediction, model, passes)
            columns |= {
                "anomaly_status": pc.if_else(pa.array(ranked), "ranked", "gated"),
                "anomaly_reason": pc.if_else(pa.array(ranked), pa.scalar(None, pa.string()), arrow.names_where(closed)),
            }
            columns |= anomaly_columns(judged.take(ranked[seen]), chosen.take(np.flatnonzero(ranked[seen])).values, model, ranked)
            yield pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)

    return judge


def _facts(batch: pa.RecordBatch) -> gates.ObjectFacts:
    has_name = pc.is_valid(batch.column("ss_name")).to_numpy(zero_copy_only=False)
    return gates.ObjectFacts(
        is_fitted=is_fitted(batch),
        n_detections=arrow.floats(batch.column("n_detections")),
        rb=arrow.floats(batch.column("rb_max")),
        drb=arrow.floats(batch.column("drb_max")),
        asteroid_distance=np.where(has_name, arrow.floats(batch.column("ss_distance")), np.nan),
    )


def _reasons(
    batch: pa.RecordBatch, facts: gates.ObjectFacts, failed: dict[str, gates.Mask], is_outside: gates.Mask, passes: gates.Mask
) -> pa.Array:
    """Why each object that does not pass is not classified."""
    reason = np.where(is_outside, "outside_training_range", "").astype(object)
    not_fitted = np.flatnonzero(~facts.is_fitted)
    reason[not_fitted] = np.asarray(batch.column("status").take(pa.array(not_fitted)).to_pylist(), object)
    for name, mask in reversed(failed.items()):
        reason[mask] = name
    return pa.array(reason, pa.string(), mask=passes)


def _score_columns(made: Prediction, model: PublishedModel, passes: gates.Mask) -> dict[str, pa.Array]:
    """Probabilities and uncertainties of the passing objects."""
    best = made.probabilities.argmax(axis=1)
    branches = np.array([BRANCHES.index(branch_of(name)) for name in model.classes])
    columns = {
        "class": spread(pa.array(model.classes, pa.string()).take(pa.array(best)), passes),
        "p_class": spread(pa.array(made.probabilities.max(axis=1, initial=0.0), pa.float32()), passes),
        "probabilities": _probability_maps(made.probabilities, model.classes, passes),
        "aleatoric": spread(pa.array(made.aleatoric, pa.float32()), passes),
        "epistemic": spread(pa.array(made.epistemic, pa.float32()), passes),
        **_calibrated_columns(made.probabilities, model, passes),
    }
    for i, branch in enumerate(BRANCHES):
        columns[f"p_{branch.lower()}"] = spread(pa.array(made.probabilities[:, branches == i].sum(axis=1), pa.float32()), passes)
    return columns


def _calibrated_columns(probabilities: NDArray[np.float64], model: PublishedModel, passes: NDArray[np.bool_]) -> dict[str, pa.Array]:
    """What the model's calibration says of the passing objects' probabilities (B, C)."""
    calibration = model.parts.calibration
    sets, bins = calibration.sets(probabilities), calibration.bins(probabilities)
    names = pa.array(model.classes, pa.string()).take(pa.array(np.nonzero(sets)[1]))
    offsets = np.concatenate(([0], np.cumsum(sets.sum(axis=1))))
    return {
        "class_set": spread(arrow.lists(names, offsets), passes),
        "calibration_bin": spread(pa.array(bins + 1, pa.int32()), passes),
        "bin_accuracy": spread(pa.array(calibration.bin_accuracy[bins], pa.float32()), passes),
    }


def _probability_maps(probabilities: NDArray[np.float64], classes: tuple[str, ...], passes: NDArray[np.bool_]) -> pa.Array:
    n_rows, n_classes = probabilities.shape
    keys = pa.array(classes, pa.string()).take(pa.array(np.tile(np.arange(n_classes), n_rows)))
    offsets = pa.array(np.arange(n_rows + 1) * n_classes, pa.int32())
    return spread(pa.MapArray.from_arrays(offsets, keys, pa.array(probabilities.ravel(), pa.float32())), passes)
