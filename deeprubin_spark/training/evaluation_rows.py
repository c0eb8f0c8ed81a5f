"""What an evaluation judges, from the tables to the driver: the objects with their truth, and a model's probabilities of their curves, whole and cut short."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as t

from deeprubin_spark.errors import NoInputError
from deeprubin_spark.kernels.early_cuts import OF_CUT
from deeprubin_spark.kernels.measurements import KINDS
from deeprubin_spark.models import published
from deeprubin_spark.models.feature_batches import columns_read, fitted_rows, is_fitted
from deeprubin_spark.models.published import PublishedModel
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import LABELS, LIGHTCURVE_SEGMENTS
from deeprubin_spark.schemas.features import RULES, Rule, rule_of
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES

MOST_OBJECTS = 200_000  # of a set that is evaluated: their probabilities are held in the driver's memory
MOST_COMPARED = 4_000  # objects on either side of the comparison of training and judged objects
PROBABILITIES = tuple(f"p_{name}" for name in CLASS_NAMES)
_ZERO_POINT = 31.4  # AB magnitude of 1 nJy


def model_of(run: Run, version: str) -> PublishedModel:
    """The published model of that version, of whatever feature set it is. ModelError where it is missing, damaged or of another contract."""
    contracts = {name: version for rule in RULES for name, version in rule.contract.items()}
    return published.load(published.find(run.settings.scoring.models_path, contracts, version), contracts)


def trained_on(model: PublishedModel, objects: DataFrame) -> frozenset[str]:
    """Which of `objects` (object_id) trained or calibrated the model, as its manifest says.

    An id counts whatever set it comes from: a set that numbers its objects like the training set loses a few for nothing, none is judged in error.
    NoInputError for more than MOST_OBJECTS objects.
    """
    return frozenset(_ids(objects)) & {str(name) for name in model.manifest["training"]["object_ids"]}


def listed(run: Run, objects: DataFrame, source: str) -> pd.DataFrame:
    """One row a listed object, by object_id: label, class, status, n_points [1], snr [1], magnitude [AB mag], ra, dec [deg].

    status of the whole curve's features, None where there is no curve. n_points, snr, magnitude: of its measurements in the bands of the feature set,
    their number, the highest |F| / sigma and the brightest F. NoInputError for none or more than MOST_OBJECTS.
    """
    rule = rule_of(run.survey)
    n_objects = objects.count()
    if not 0 < n_objects <= MOST_OBJECTS:
        raise NoInputError(
            f"survey {run.survey}: expected 1 to {MOST_OBJECTS:,} listed objects, found {n_objects:,}; evaluate a part of the set"
        )
    of_source = run.read(LABELS, survey=run.survey).where(F.col("source") == source)
    truth = of_source.groupBy("object_id").agg(F.max_by(F.struct("label", "class"), "labelled_on").alias("told"))
    fits = (
        _whole(run.read(rule.table, survey=run.survey)).where(F.col("feature_set") == rule.feature_set.name).select("object_id", "status")
    )
    segments = _whole(run.read(LIGHTCURVE_SEGMENTS, survey=run.survey))
    joined = (
        objects.join(truth, "object_id", "left").join(fits, "object_id", "left").join(segments.transform(_facts(rule)), "object_id", "left")
    )
    columns = ("status", "n_points", "snr", "magnitude", "ra", "dec")
    found = joined.select("object_id", F.col("told.label").alias("label"), F.col("told.class").alias("class"), *columns)
    return found.toPandas().set_index("object_id").sort_index()  # bounded by MOST_OBJECTS


def predictions(run: Run, model: PublishedModel) -> pd.DataFrame:
    """Of each curve with features, whole and cut: object_id, parent, cut ('' whole), status, outside_training_range, p_<class> (NaN where not ok)."""
    rule = rule_of(run.survey)
    rows = run.read(rule.table, survey=run.survey).where(F.col("feature_set") == rule.feature_set.name)
    made = rows.select("object_id", *columns_read(model)).mapInArrow(_predicted(model), _PREDICTED)
    found = made.toPandas()  # bounded by MOST_OBJECTS, each with the few cuts of kernels/early_cuts.py
    parts = found["object_id"].str.partition(OF_CUT)
    return found.assign(parent=parts[0], cut=parts[2]).sort_values(["cut", "object_id"], ignore_index=True)


def feature_values(run: Run, model: PublishedModel, chosen: frozenset[str]) -> np.ndarray:
    """(N, F) float32 features of the whole curves of at most MOST_COMPARED of the chosen objects, a sample by the hash of their ids."""
    rule = rule_of(run.survey)
    ids = run.session.createDataFrame(pd.DataFrame({"object_id": sorted(chosen)}, dtype=object), "object_id string")
    rows = run.read(rule.table, survey=run.survey).where((F.col("feature_set") == rule.feature_set.name) & (F.col("status") == "ok"))
    sample = rows.join(ids, "object_id").sort(F.xxhash64("object_id"), "object_id").limit(MOST_COMPARED)
    found: np.ndarray = sample.select(*model.features).toPandas().to_numpy(np.float32, na_value=np.nan)  # bounded by MOST_COMPARED
    return found


def _ids(objects: DataFrame) -> list[str]:
    """Bounded by MOST_OBJECTS."""
    found: list[str] = objects.select("object_id").limit(MOST_OBJECTS + 1).toArrow()["object_id"].to_pylist()  # bounded by MOST_OBJECTS
    if len(found) > MOST_OBJECTS:
        raise NoInputError(f"expected at most {MOST_OBJECTS:,} objects in a set to evaluate, found more; evaluate a part of it")
    return found


def _whole(rows: DataFrame) -> DataFrame:
    return rows.where(~F.col("object_id").contains(OF_CUT) & ~F.col("object_id").contains("/"))


def _facts(rule: Rule) -> Callable[[DataFrame], DataFrame]:
    """Segment rows to object_id, ra, dec and what `listed` tells of the measurements."""
    kinds, bands = [KINDS[kind] for kind in rule.measured], list(rule.feature_set.bands)

    def transform(segments: DataFrame) -> DataFrame:
        measured = F.filter("points", lambda point: point["kind"].isin(kinds) & point["band"].isin(bands))
        brightest = F.array_max(F.transform(measured, lambda point: point["flux_njy"]))
        return segments.select(
            "object_id",
            "ra",
            "dec",
            F.size(measured).alias("n_points"),
            F.array_max(F.transform(measured, lambda point: F.abs(point["flux_njy"]) / point["flux_err_njy"])).alias("snr"),
            F.when(brightest > 0.0, _ZERO_POINT - 2.5 * F.log10(brightest)).alias("magnitude"),
        )

    return transform


# A StructType, not DDL: some classes have a hyphen.
_PREDICTED = t.StructType(
    [
        t.StructField("object_id", t.StringType()),
        t.StructField("status", t.StringType()),
        t.StructField("outside_training_range", t.BooleanType()),
        *(t.StructField(name, t.DoubleType()) for name in PROBABILITIES),
    ]
)


def _predicted(model: PublishedModel) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def of_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            fitted, rows = is_fitted(batch), fitted_rows(batch, model)
            probabilities = np.full((batch.num_rows, len(PROBABILITIES)), np.nan)
            probabilities[fitted] = model.predict(rows).probabilities
            is_outside = np.zeros(batch.num_rows, np.bool_)
            is_outside[fitted] = model.outside_training_range(rows.values)
            columns = [batch.column("object_id"), batch.column("status"), pa.array(is_outside), *(pa.array(p) for p in probabilities.T)]
            yield pa.RecordBatch.from_arrays(columns, names=_PREDICTED.names)

    return of_batches
