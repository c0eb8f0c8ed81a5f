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
from deeprubin_spark.models.feature_batches import columns_read, fitted_rows, is_fitted
from deeprubin_spark.models.inputs import FeatureRows
from deeprubin_spark.models.published import PublishedModel
from deeprubin_spark.schemas import ANOMALIES, SCORES
from deeprubin_spark.schemas.contract import Column, Table
from deeprubin_spark.schemas.taxonomy import BRANCHES, branch_of
from deeprubin_spark.scoring import gates
from deeprubin_spark.settings import ScoringSettings

_CARRIED = ("survey", "object_id", "night", "ra", "dec", "n_detections")
_GATED = ("status", "n_detections", "rb_max", "drb_max", "ss_name", "ss_distance")
_TOP_FEATURES = 5
_CONTRIBUTIONS = ANOMALIES.column("contributions")

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
        Column("anomaly_score", "float"),
        _CONTRIBUTIONS,
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
    of_night = Window.partitionBy("survey", "night", "anomaly_status").orderBy(F.desc("anomaly_score"), "object_id")
    is_ranked = F.col("anomaly_status") == "ranked"
    because = "array_join(transform(slice(contributions, 1, 3), c -> format_string('%s = %.3g', c.feature, c.value)), ', ')"
    rows = (
        judged.withColumn("rank", F.when(is_ranked, F.row_number().over(of_night)))
        .withColumn("explanation", F.when(is_ranked, F.expr(f"concat('Isolated early by ', {because})")))
        .drop("status", "reason")
        .withColumnsRenamed({"anomaly_status": "status", "anomaly_reason": "reason", "anomaly_score": "score", "class": "nearest_class"})
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
            columns |= _score_columns(batch, facts, rows, model, settings)
            columns |= _anomaly_columns(facts, rows, model, settings)
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


def _score_columns(
    batch: pa.RecordBatch, facts: gates.ObjectFacts, rows: FeatureRows, model: PublishedModel, settings: ScoringSettings
) -> dict[str, pa.Array]:
    """Status, reason, probabilities and uncertainties; only the objects that pass the gates are put through the network."""
    failed = gates.score_gates(facts, settings)
    is_outside = np.zeros(len(facts.is_fitted), bool)
    is_outside[facts.is_fitted] = model.outside_training_range(rows.values)
    passes = facts.is_fitted & ~is_outside & ~np.any(list(failed.values()), axis=0)
    made = model.predict(rows.take(np.flatnonzero(passes[facts.is_fitted])))
    best = made.probabilities.argmax(axis=1)
    reason = np.where(is_outside, "outside_training_range", "").astype(object)
    not_fitted = np.flatnonzero(~facts.is_fitted)
    reason[not_fitted] = np.asarray(batch.column("status").take(pa.array(not_fitted)).to_pylist(), object)
    for name, mask in reversed(failed.items()):
        reason[mask] = name
    branches = np.array([BRANCHES.index(branch_of(name)) for name in model.classes])
    columns = {
        "status": pc.if_else(pa.array(passes), "scored", "abstained"),
        "reason": pa.array(reason, pa.string(), mask=passes),
        "class": _spread(pa.array(model.classes, pa.string()).take(pa.array(best)), passes),
        "p_class": _spread(pa.array(made.probabilities.max(axis=1, initial=0.0), pa.float32()), passes),
        "probabilities": _probability_maps(made.probabilities, model.classes, passes),
        "aleatoric": _spread(pa.array(made.aleatoric, pa.float32()), passes),
        "epistemic": _spread(pa.array(made.epistemic, pa.float32()), passes),
        **_calibrated_columns(made.probabilities, model, passes),
    }
    for i, branch in enumerate(BRANCHES):
        columns[f"p_{branch.lower()}"] = _spread(pa.array(made.probabilities[:, branches == i].sum(axis=1), pa.float32()), passes)
    return columns


def _calibrated_columns(probabilities: NDArray[np.float64], model: PublishedModel, passes: NDArray[np.bool_]) -> dict[str, pa.Array]:
    """What the model's calibration says of the passing objects' probabilities (B, C)."""
    calibration = model.parts.calibration
    sets, bins = calibration.sets(probabilities), calibration.bins(probabilities)
    names = pa.array(model.classes, pa.string()).take(pa.array(np.nonzero(sets)[1]))
    offsets = np.concatenate(([0], np.cumsum(sets.sum(axis=1))))
    return {
        "class_set": _spread(arrow.lists(names, offsets), passes),
        "calibration_bin": _spread(pa.array(bins + 1, pa.int32()), passes),
        "bin_accuracy": _spread(pa.array(calibration.bin_accuracy[bins], pa.float32()), passes),
    }


def _anomaly_columns(facts: gates.ObjectFacts, rows: FeatureRows, model: PublishedModel, settings: ScoringSettings) -> dict[str, pa.Array]:
    """Status, all failed gates, score and the features that made it."""
    failed = gates.anomaly_gates(facts, settings)
    passes = ~np.any(list(failed.values()), axis=0)
    chosen = rows.take(np.flatnonzero(passes[facts.is_fitted]))
    score, shares = model.anomaly(chosen.values)
    order = np.argsort(-shares, axis=1, kind="stable")[:, :_TOP_FEATURES]
    fields = {
        "feature": pa.array(model.features, pa.string()).take(pa.array(order.ravel())),
        "value": arrow.nullable(np.take_along_axis(chosen.values, order, axis=1).ravel(), pa.float32()),
        "share": pa.array(np.take_along_axis(shares, order, axis=1).ravel(), pa.float32()),
    }
    offsets = np.arange(len(chosen) + 1, dtype=np.int64) * order.shape[1]
    return {
        "anomaly_status": pc.if_else(pa.array(passes), "ranked", "gated"),
        "anomaly_reason": pc.if_else(pa.array(passes), pa.scalar(None, pa.string()), arrow.names_where(failed)),
        "anomaly_score": _spread(pa.array(score, pa.float32()), passes),
        "contributions": _spread(arrow.lists_of_records(fields, offsets, _CONTRIBUTIONS.arrow_type()), passes),
    }


def _spread(values: pa.Array, passes: NDArray[np.bool_]) -> pa.Array:
    """The values of the passing rows at their places among all rows, NULL elsewhere."""
    position = np.cumsum(passes) - 1
    return values.take(pa.array(position, pa.int64(), mask=~passes))


def _probability_maps(probabilities: NDArray[np.float64], classes: tuple[str, ...], passes: NDArray[np.bool_]) -> pa.Array:
    n_rows, n_classes = probabilities.shape
    keys = pa.array(classes, pa.string()).take(pa.array(np.tile(np.arange(n_classes), n_rows)))
    offsets = pa.array(np.arange(n_rows + 1) * n_classes, pa.int32())
    return _spread(pa.MapArray.from_arrays(offsets, keys, pa.array(probabilities.ravel(), pa.float32())), passes)
