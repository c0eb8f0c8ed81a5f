"""Labelled objects of a survey as arrays: what the benchmarks and the baselines read. For data sets that fit into memory, published ones do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from deeprubin_spark import arrow
from deeprubin_spark.errors import NoInputError
from deeprubin_spark.kernels.feature_catalogue import FEATURE_SETS
from deeprubin_spark.kernels.host_features import OF_REDSHIFT
from deeprubin_spark.models.feature_batches import points_matrix
from deeprubin_spark.models.inputs import FeatureRows, Float32Array, model_features
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import LABELS
from deeprubin_spark.schemas.features import GRID_COLUMNS, rule_of
from deeprubin_spark.schemas.surveys import COPIED
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.training.protocols import Protocol

# Simulations place their objects and know no upper limits: neither says what an object is.
_LEFT_OUT = ("limits", "context")
MOST_OBJECTS = 200_000
_OF_OBJECTS = ("object_id", "values", "target", "grid_time", "grid_mean", "grid_sd", "points", "label")


@dataclass(frozen=True)
class Labelled:
    """N objects: object_id (N,), values (N, F) float32, NaN where missing, of the features `names`, and target (N,), places in the taxonomy.

    grid_time (N, T) [d], grid_mean, grid_sd (N, W, T) [nJy]: the Gaussian process; points (N, 5 x 256); as in `inputs.FeatureRows`, float32.
    label (N,): what the source says in its own words, finer than our classes.
    """

    object_id: NDArray[np.str_]
    names: tuple[str, ...]
    values: Float32Array
    target: NDArray[np.int64]
    grid_time: Float32Array
    grid_mean: Float32Array
    grid_sd: Float32Array
    points: Float32Array
    label: NDArray[np.str_]

    def without_redshift(self) -> Labelled:
        """The same objects without the features that a redshift is part of."""
        kept = [i for i, name in enumerate(self.names) if not name.startswith(OF_REDSHIFT)]
        return replace(self, names=tuple(self.names[i] for i in kept), values=self.values[:, kept])

    def take(self, rows: NDArray[np.integer]) -> Labelled:
        """The named objects, in that order."""
        chosen: dict[str, Any] = {name: getattr(self, name)[rows] for name in _OF_OBJECTS}
        return replace(self, **chosen)

    def joined(self, more: Labelled) -> Labelled:
        """These objects, then `more` of them. ValueError where the features are not the same."""
        if more.names != self.names:
            raise ValueError(f"labelled objects: the same features expected, found {len(self.names)} and {len(more.names)} of other names")
        both: dict[str, Any] = {name: np.concatenate([getattr(self, name), getattr(more, name)]) for name in _OF_OBJECTS}
        return replace(self, **both)

    def parents(self) -> NDArray[np.str_]:
        """Id of the object (N,) that each is a part or a copy of: what stands before '/'."""
        return np.array([name.partition("/")[0] for name in self.object_id.tolist()], str)

    def column(self, name: str) -> Float32Array:
        """The values of a feature (N,)."""
        return self.values[:, self.names.index(name)]

    def model_names(self) -> tuple[str, ...]:
        """Names of those features that networks read."""
        wanted = set().union(*(model_features(feature_set) for feature_set in FEATURE_SETS.values()))
        return tuple(name for name in self.names if name in wanted)

    def model_rows(self) -> FeatureRows:
        """The objects as networks read them, with the features `model_names`."""
        columns = [self.names.index(name) for name in self.model_names()]
        return FeatureRows(self.values[:, columns], self.grid_time, self.grid_mean, self.grid_sd, self.points)

    @cached_property
    def sha256(self) -> str:
        """Of everything that a result depends on."""
        found = hashlib.sha256("\n".join([*self.names, *self.object_id]).encode())
        for array in (self.values, self.grid_time, self.grid_mean, self.grid_sd, self.points):
            found.update(array.tobytes())
        found.update(self.target.tobytes())
        return found.hexdigest()


def labelled(run: Run, protocol: Protocol) -> tuple[Labelled, NDArray[np.bool_]]:
    """Objects of a benchmark in the order of their ids, with or without redshift as it allows, and which of them have a spectrum (N,).

    NoInputError where there are none, or too many for the memory.
    """
    objects = objects_of(run, protocol.survey, protocol.source)
    spectroscopic = np.isin(objects.object_id, _with_label(run, protocol.survey, protocol.spectroscopic))
    return objects if protocol.with_redshift else objects.without_redshift(), spectroscopic


def copies_of(run: Run, protocol: Protocol) -> dict[str, Labelled]:
    """The copies of each survey of copies that the protocol names, with the features that it allows."""
    found = {survey: objects_of(run, survey, f"{COPIED[survey].source}:copy") for survey in protocol.copies}
    return found if protocol.with_redshift else {survey: copies.without_redshift() for survey, copies in found.items()}


def objects_of(run: Run, survey: str, source: str) -> Labelled:
    """Objects of a survey with a class by `source`, all features; errors as of `labelled`."""
    rule = rule_of(survey)
    names = tuple(f.name for f in rule.feature_set.features if f.group not in _LEFT_OUT)
    truth = (
        _with_class(run, survey, source)
        .groupBy("object_id")
        .agg(*(F.max_by(name, "labelled_on").alias(name) for name in ("class", "label")))
    )
    rows = run.read(rule.table, survey=survey).where((F.col("feature_set") == rule.feature_set.name) & (F.col("status") == "ok"))
    found = rows.select("object_id", *names, *GRID_COLUMNS, "points").join(truth, "object_id").sort("object_id")
    n_objects = found.count()
    if not 0 < n_objects <= MOST_OBJECTS:
        raise NoInputError(
            f"{rule.table.name}: expected 1 to {MOST_OBJECTS:,} objects of survey {survey} with a class by {source}, found {n_objects:,}; "
            f"ingest the set and run extract_features --survey {survey}"
        )
    table = found.toArrow()  # bounded by MOST_OBJECTS
    values = np.column_stack([table[name].to_numpy(zero_copy_only=False).astype(np.float32) for name in names])
    places = {name: i for i, name in enumerate(CLASS_NAMES)}
    target = np.array([places[name] for name in table["class"].to_pylist()], np.int64)
    object_id, label = (table[name].to_numpy(zero_copy_only=False).astype(str) for name in ("object_id", "label"))
    time, mean, sd = (arrow.matrix_in(table[name].combine_chunks()) for name in GRID_COLUMNS)
    bands = (len(target), len(rule.feature_set.bands), time.shape[1])
    points = points_matrix(table["points"])
    return Labelled(object_id, names, values, target, time, mean.reshape(bands), sd.reshape(bands), points, label)


def _with_class(run: Run, survey: str, source: str) -> DataFrame:
    """Labels of `source` that have a class of ours."""
    return run.read(LABELS, survey=survey).where((F.col("source") == source) & F.col("class").isNotNull())


def _with_label(run: Run, survey: str, source: str) -> list[str]:
    """Ids of the objects that `source` has given a class."""
    rows = _with_class(run, survey, source)
    return rows.select("object_id").distinct().limit(MOST_OBJECTS).toArrow()["object_id"].to_pylist()  # bounded by MOST_OBJECTS
