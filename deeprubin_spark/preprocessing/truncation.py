"""Light curves cut short, as somebody knew them who could not see further: rows of light curves like any others, for the ordinary feature pass.

An object's curve cut 3 days after its first detection is called <object_id>@d3, after its first 3 epochs <object_id>@n3 (`kernels/early_cuts.py`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from deeprubin_spark import arrow
from deeprubin_spark.errors import DataGateError
from deeprubin_spark.kernels.early_cuts import CUT_NAMES, OF_CUT, cut_times, known_points
from deeprubin_spark.kernels.light_curves import offsets_of_chosen
from deeprubin_spark.preprocessing.features import features
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import HOSTS, LIGHTCURVE_BASE, LIGHTCURVE_SEGMENTS
from deeprubin_spark.schemas.features import GRID_COLUMNS, rule_of
from deeprubin_spark.schemas.packed_points import point_columns

CHECKED_OBJECTS = 40  # whose later points are told otherwise, to see that no early feature moves
_OF_PLACE = ("survey", "night", "ra", "dec", "healpix", "star_score", "star_distance")
_POINTS = LIGHTCURVE_SEGMENTS.column("points")

FloatArray = NDArray[np.float64]


def write_truncated(left_out: Iterable[str]) -> Callable[[Run, argparse.Namespace], None]:
    """A step that puts beside each whole curve of the run's survey its cuts, with its host; objects whose ids are in `left_out` get none."""

    def step(run: Run, arguments: argparse.Namespace) -> None:
        whole = _whole(run.read(LIGHTCURVE_SEGMENTS, survey=run.survey))
        uncut = run.session.createDataFrame([(object_id,) for object_id in sorted(left_out)], "object_id string")
        cut = whole.join(F.broadcast(uncut), "object_id", "left_anti").transform(truncated)
        run.replace_slice(LIGHTCURVE_SEGMENTS, whole.unionByName(cut), nights=run.nights, survey=run.survey)
        hosts = _whole(run.read(HOSTS, survey=run.survey))
        names = F.array(F.lit(""), *(F.lit(OF_CUT + name) for name in CUT_NAMES))
        of_cuts = hosts.withColumn("object_id", F.explode(F.transform(names, lambda name: F.concat("object_id", name))))
        run.replace_slice(HOSTS, of_cuts, nights=None, survey=run.survey)
        n_rows, n_whole = run.warehouse.read(LIGHTCURVE_SEGMENTS, survey=run.survey).count(), whole.count()
        run.counts.update(objects=n_whole, cut_short=n_rows - n_whole)

    return step


def truncated(segments: DataFrame) -> DataFrame:
    """lightcurve_segments rows of whole curves to those of all their cuts; a cut that an object does not reach is left out."""
    return segments.transform(_of_rows(partial(truncated_rows, names=CUT_NAMES)))


def truncated_rows(batch: pa.RecordBatch, names: Sequence[str]) -> Iterable[pa.RecordBatch]:
    """One batch of segment rows for each cut: the points not later than its last moment, and what is known of the place.

    What a row says of all its alerts together (best rb, nearest asteroid) may come from a later one, and is not carried.
    """
    offsets = arrow.offsets(batch.column("points"))
    fields = arrow.records(batch.column("points"))
    ends = _ends(fields, offsets)
    for name in names:
        kept = known_points(arrow.floats(fields["mjd"]), offsets, ends[name])
        counts = np.diff(offsets_of_chosen(kept, offsets))
        rows = pa.array(np.flatnonzero(counts))
        cut = {field: column.take(pa.array(np.flatnonzero(kept))) for field, column in fields.items()}
        new_offsets = np.concatenate(([0], np.cumsum(counts[counts > 0]))).astype(np.int64)
        detections = offsets_of_chosen(_is_detection(cut), new_offsets)
        columns = {column: batch.column(column).take(rows) for column in _OF_PLACE}
        columns |= {
            "object_id": pc.binary_join_element_wise(batch.column("object_id").take(rows), OF_CUT + name, ""),
            "n_alerts": pa.array(np.diff(detections), pa.int32()),
            **point_columns(cut, new_offsets, _POINTS),
        }
        yield arrow.rows_of(columns, LIGHTCURVE_SEGMENTS.arrow_schema(), len(rows))


def check_truncated(run: Run, arguments: argparse.Namespace) -> None:
    """A step that makes the features of some objects' cuts anew, from curves whose later points are other ones, and compares them with those written.

    Counts the cuts compared and those of which any number differs. DataGateError where one does: an early feature then knows the future.
    """
    rule = rule_of(run.survey)
    segments = run.read(LIGHTCURVE_SEGMENTS, survey=run.survey, nights=run.nights)
    with_cuts = segments.where(F.col("object_id").contains(OF_CUT)).select(
        F.split_part("object_id", F.lit(OF_CUT), F.lit(1)).alias("object_id")
    )
    sample = with_cuts.distinct().sort(F.xxhash64("object_id"), "object_id").limit(CHECKED_OBJECTS)
    whole = _whole(segments).join(F.broadcast(sample), "object_id")
    again = whole.transform(_of_rows(_cut_from_another_future)).localCheckpoint()  # bounded by CHECKED_OBJECTS and its cuts
    nothing = run.session.createDataFrame([], LIGHTCURVE_BASE.spark_schema())
    hosts = run.read(HOSTS, survey=run.survey) if rule.feature_set.with_host else None
    compared = ("status", "n_detections", *rule.feature_set.names, *GRID_COLUMNS, "points")
    made = features(again, nothing, again, run.warehouse.read(rule.table).limit(0), rule, hosts)
    made = made.select("object_id", F.struct(*compared).alias("again"))
    written = run.read(rule.table, survey=run.survey, nights=run.nights).select("object_id", F.struct(*compared).alias("written"))
    both = made.join(written, "object_id", "left").select(F.col("again").eqNullSafe(F.col("written")).alias("is_same"))
    told = both.agg(F.count("*"), F.count_if(~F.col("is_same"))).collect()[0]  # one row: bounded
    run.counts.update(cuts_compared=int(told[0]), cuts_that_differ=int(told[1]))
    if told[1]:
        raise DataGateError(
            f"{rule.table.name} survey {run.survey}: features of {told[1]} of {told[0]} cut curves changed with points later than the cut; "
            "early results would know the future; this is a bug, please report it"
        )


def _cut_from_another_future(batch: pa.RecordBatch) -> Iterable[pa.RecordBatch]:
    """The cuts of whole curves, each made of a curve whose points later than that cut have other fluxes, errors and limits."""
    offsets, fields = arrow.offsets(batch.column("points")), arrow.records(batch.column("points"))
    ends = _ends(fields, offsets)
    for name in CUT_NAMES:
        is_later = ~known_points(arrow.floats(fields["mjd"]), offsets, ends[name])
        other = dict(fields)
        for field, factor in (("flux_njy", -7.0), ("flux_err_njy", 3.0), ("limit_njy", 0.1)):
            values = arrow.floats(fields[field])
            other[field] = arrow.nullable(np.where(is_later, factor * values, values), pa.float64())
        columns = {column: batch.column(column) for column in batch.schema.names} | point_columns(other, offsets, _POINTS)
        yield from truncated_rows(arrow.rows_of(columns, LIGHTCURVE_SEGMENTS.arrow_schema(), batch.num_rows), (name,))


def _of_rows(made: Callable[[pa.RecordBatch], Iterable[pa.RecordBatch]]) -> Callable[[DataFrame], DataFrame]:
    """A transformation of lightcurve_segments rows to such rows, batch by batch."""

    def of_batches(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            yield from made(batch)

    def transform(segments: DataFrame) -> DataFrame:
        whole = LIGHTCURVE_SEGMENTS.select(segments)
        return LIGHTCURVE_SEGMENTS.select(whole.mapInArrow(of_batches, LIGHTCURVE_SEGMENTS.spark_schema()))

    return transform


def _whole(rows: DataFrame) -> DataFrame:
    return rows.where(~F.col("object_id").contains(OF_CUT))


def _ends(fields: dict[str, pa.Array], offsets: NDArray[np.int64]) -> dict[str, FloatArray]:
    return cut_times(arrow.floats(fields["mjd"]), _is_detection(fields), offsets)


def _is_detection(fields: dict[str, pa.Array]) -> NDArray[np.bool_]:
    return np.asarray(pc.equal(fields["kind"], "detection").to_numpy(zero_copy_only=False), np.bool_)
