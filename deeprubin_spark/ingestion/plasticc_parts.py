"""PLAsTiCC's six-band light curves, whole and in parts: what trains a classifier of LSST's alerts, which sees objects long before they are over.

An object is called by PLAsTiCC's number, its parts <number>/w1, <number>/w2, ...: what stands before the '/' is the parent, in whose fold parts stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from deeprubin_spark import arrow
from deeprubin_spark.ingestion import plasticc, published_points
from deeprubin_spark.ingestion.files import Place
from deeprubin_spark.ingestion.light_curve_windows import windows
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import HOSTS, LIGHTCURVE_SEGMENTS
from deeprubin_spark.schemas.packed_points import point_columns

SURVEY = "plasticc_parts"

_OF_OBJECT = ("survey", "night", "ra", "dec", "healpix")
_POINTS = LIGHTCURVE_SEGMENTS.column("points")
_IS_WHOLE, _IS_PART = "NOT contains(object_id, '/')", "contains(object_id, '/')"


def write(run: Run, folder: Place) -> None:
    """Replace the survey's light curves and hosts, merge its labels, and fill the ledger. NoInputError where there are no objects."""
    found, settings = plasticc.published(run.session, folder), run.settings.training
    labels = found.labels.withColumn("survey", F.lit(SURVEY))
    published_points.write(run, replace(found, survey=SURVEY, labels=labels))
    whole = run.read(LIGHTCURVE_SEGMENTS, survey=SURVEY).where(_IS_WHOLE)
    made = whole.transform(parts(settings.seed, settings.windows_per_object))
    run.replace_slice(LIGHTCURVE_SEGMENTS, whole.unionByName(made), nights=(found.night,), survey=SURVEY)
    hosts, names = run.read(HOSTS, survey=SURVEY).where(_IS_WHOLE), run.read(LIGHTCURVE_SEGMENTS, survey=SURVEY).select("object_id")
    of_parts = names.select(F.col("object_id").alias("part"), F.split_part("object_id", F.lit("/"), F.lit(1)).alias("object_id"))
    named = of_parts.join(hosts, "object_id").withColumn("object_id", F.col("part"))
    run.replace_slice(HOSTS, HOSTS.select(named), nights=None, survey=SURVEY)
    run.counts.update(parts=names.where(_IS_PART).count())


def parts(seed: int, count: int) -> Callable[[DataFrame], DataFrame]:
    """lightcurve_segments rows of whole curves to those of up to `count` parts of each."""

    def parts_of_curves(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            yield _part_rows(batch, seed, count)

    def transform(whole: DataFrame) -> DataFrame:
        rows = LIGHTCURVE_SEGMENTS.select(whole)
        return LIGHTCURVE_SEGMENTS.select(rows.mapInArrow(parts_of_curves, LIGHTCURVE_SEGMENTS.spark_schema()))

    return transform


def _part_rows(batch: pa.RecordBatch, seed: int, count: int) -> pa.RecordBatch:
    offsets, fields = arrow.offsets(batch.column("points")), arrow.records(batch.column("points"))
    mjd = arrow.floats(fields["mjd"])
    is_detection = np.asarray(pc.equal(fields["kind"], "detection").to_numpy(zero_copy_only=False), np.bool_)
    names: list[str] = []
    rows: list[int] = []
    points: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    for row, number in enumerate(batch.column("object_id").to_pylist()):
        here = slice(offsets[row], offsets[row + 1])
        masks = windows(mjd[here], is_detection[here], count, np.random.default_rng([seed, int(number)]))
        names += [f"{number}/w{i}" for i in range(1, len(masks) + 1)]
        rows += [row] * len(masks)
        points += [offsets[row] + np.flatnonzero(mask) for mask in masks]
    chosen, new_offsets = np.concatenate(points), np.cumsum([len(each) for each in points], dtype=np.int64)
    taken = {name: values.take(pa.array(chosen)) for name, values in fields.items()}
    detected = np.concatenate(([0], np.cumsum(is_detection[chosen])))[new_offsets]
    columns = {name: batch.column(name).take(pa.array(rows, pa.int64())) for name in _OF_OBJECT}
    columns |= {
        "object_id": pa.array(names, pa.string()),
        "n_alerts": pa.array(np.diff(detected), pa.int32()),
        **point_columns(taken, new_offsets, _POINTS),
    }
    return arrow.rows_of(columns, LIGHTCURVE_SEGMENTS.arrow_schema(), len(names))
