"""Labelled objects of a survey as arrays: what the benchmarks and the baselines read. For data sets that fit into memory, published ones do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from deeprubin_spark.errors import NoInputError
from deeprubin_spark.kernels.host_features import OF_REDSHIFT
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import LABELS
from deeprubin_spark.schemas.features import rule_of
from deeprubin_spark.schemas.surveys import COPIED
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.training.protocols import Protocol

# Simulations place their objects and know no upper limits: neither says what an object is.
_LEFT_OUT = ("limits", "context")
MOST_OBJECTS = 200_000


@dataclass(frozen=True)
class Labelled:
    """N objects: object_id (N,), values (N, F) float32, NaN where missing, of the features `names`, and target (N,), places in the taxonomy."""

    object_id: NDArray[np.str_]
    names: tuple[str, ...]
    values: NDArray[np.float32]
    target: NDArray[np.int64]

    def without_redshift(self) -> Labelled:
        """The same objects without the features that a redshift is part of."""
        kept = [i for i, name in enumerate(self.names) if not name.startswith(OF_REDSHIFT)]
        return Labelled(self.object_id, tuple(self.names[i] for i in kept), self.values[:, kept], self.target)

    @cached_property
    def sha256(self) -> str:
        """Of everything that a result depends on."""
        found = hashlib.sha256("\n".join([*self.names, *self.object_id]).encode())
        found.update(self.values.tobytes())
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
    truth = _with_class(run, survey, source).groupBy("object_id").agg(F.max_by("class", "labelled_on").alias("class"))
    rows = run.read(rule.table, survey=survey).where((F.col("feature_set") == rule.feature_set.name) & (F.col("status") == "ok"))
    found = rows.select("object_id", *names).join(truth, "object_id").sort("object_id")
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
    return Labelled(table["object_id"].to_numpy(zero_copy_only=False).astype(str), names, values, target)


def _with_class(run: Run, survey: str, source: str) -> DataFrame:
    """Labels of `source` that have a class of ours."""
    return run.read(LABELS, survey=survey).where((F.col("source") == source) & F.col("class").isNotNull())


def _with_label(run: Run, survey: str, source: str) -> list[str]:
    """Ids of the objects that `source` has given a class."""
    rows = _with_class(run, survey, source)
    return rows.select("object_id").distinct().limit(MOST_OBJECTS).toArrow()["object_id"].to_pylist()  # bounded by MOST_OBJECTS
