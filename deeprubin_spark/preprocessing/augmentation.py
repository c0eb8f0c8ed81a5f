"""Light curves of labelled objects to copies of them at other redshifts, visited on other nights, as a survey of their own.

A copy is called <parent>/copy-<k>: what stands before the '/' is the parent, in whose fold it must stay. Labels, host and place are the parent's, but for the
host's redshift. What a copy is depends on the seed, its parent's id and light curve, and the pool of nights; not on the order or number of rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from deeprubin_spark import arrow
from deeprubin_spark.bands import BAND_NAMES
from deeprubin_spark.errors import NoInputError
from deeprubin_spark.kernels import augmentation as kernel
from deeprubin_spark.kernels.augmentation import Cadences, Copies
from deeprubin_spark.kernels.counter_random import Keys, keys
from deeprubin_spark.kernels.light_curves import LightCurves, offsets_of_chosen
from deeprubin_spark.kernels.light_curves import light_curves as light_curves_of
from deeprubin_spark.kernels.measurements import LIMIT
from deeprubin_spark.schemas import HOSTS, LABELS, LIGHTCURVE_SEGMENTS
from deeprubin_spark.schemas.packed_points import PACKED, point_columns, unpacked
from deeprubin_spark.schemas.surveys import Copied
from deeprubin_spark.settings import AugmentationSettings

_POINTS = LIGHTCURVE_SEGMENTS.column("points")
_PARENTS_A_STEP = 32  # of which all copies are in memory together: some 10 MB
_PARENT = ("object_id", "night", "ra", "dec", "healpix", "photo_z", PACKED.name)

Batches = Iterable[pa.RecordBatch]


def pool_of(segments: DataFrame, settings: AugmentationSettings) -> Cadences:
    """Nights of a sample of light curves, the same for the same seed whatever the order of rows. NoInputError where none can be fitted."""
    order = F.xxhash64("object_id", F.lit(settings.seed))
    rows = segments.select("object_id", PACKED.name).orderBy(order, "object_id").limit(settings.pool_size)
    table = rows.toArrow()  # bounded by augmentation.pool_size
    cadences = kernel.cadences_of(_measured(table[PACKED.name].combine_chunks()))
    if len(cadences.peak) == 0:
        raise NoInputError(
            f"{LIGHTCURVE_SEGMENTS.name}: expected light curves whose nights the copies can take, found {table.num_rows:,} of which none can be fitted; "
            "ingest the survey first"
        )
    return cadences


def copies(parents: DataFrame, hosts: DataFrame, pool: Cadences, survey: str, rule: Copied, settings: AugmentationSettings) -> DataFrame:
    """Segment rows of one night an object to segment rows of the detected copies, under `survey`. hosts : `hosts` rows of the parents' survey."""

    def copies_of_batches(batches: Batches) -> Batches:
        for batch in batches:
            for first in range(0, batch.num_rows, _PARENTS_A_STEP):
                yield _segment_rows(batch.slice(first, _PARENTS_A_STEP), pool, survey, rule, settings)

    placed = parents.join(hosts.select("object_id", "photo_z"), "object_id", "left").select(*_PARENT)
    # Parents are few and small, so Spark would give them all to one task; their copies are the work.
    tasks = int(parents.sparkSession.conf.get("spark.sql.shuffle.partitions") or 1)
    made = placed.repartition(tasks, "object_id").mapInArrow(copies_of_batches, LIGHTCURVE_SEGMENTS.spark_schema())
    return LIGHTCURVE_SEGMENTS.select(made).sortWithinPartitions("healpix", "object_id")


def host_rows(made: DataFrame, hosts: DataFrame, survey: str, settings: AugmentationSettings) -> DataFrame:
    """Rows of `hosts` of the copies `made` (object_id): the parent's, at the copy's redshift, the relative error of 1 + z as it was."""
    of_parents = hosts.select("object_id", "photo_z", "photo_z_err", "ebv")
    every = of_parents.mapInArrow(_moved_hosts(survey, settings), HOSTS.spark_schema())
    return HOSTS.select(every.join(made.select("object_id"), "object_id", "left_semi"))


def label_rows(made: DataFrame, labels: DataFrame, survey: str) -> DataFrame:
    """Rows of `labels` of the copies `made` (object_id): the parent's label, told by '<source>:copy'."""
    parent = made.select(F.col("object_id").alias("copy"), F.substring_index("object_id", "/", 1).alias("object_id"))
    told = parent.join(labels.drop("survey"), "object_id")
    renamed = {"survey": F.lit(survey), "object_id": F.col("copy"), "source": F.concat("source", F.lit(":copy"))}
    return LABELS.select(told.withColumns(renamed))


def parent_keys(object_ids: Iterable[str], seed: int) -> Keys:
    """(B,) keys of the draws of each object's copies: its id's SHA-256, first 8 bytes, under the seed."""
    words = [int.from_bytes(hashlib.sha256(object_id.encode()).digest()[:8], "little") for object_id in object_ids]
    return keys(np.array(words, np.uint64), seed) if words else np.empty(0, np.uint64)


def _moved_hosts(survey: str, settings: AugmentationSettings) -> Callable[[Batches], Batches]:
    def moved(batches: Batches) -> Batches:
        for batch in batches:
            z, z_err, ebv = (arrow.floats(batch.column(name)) for name in ("photo_z", "photo_z_err", "ebv"))
            ids = np.asarray(batch.column("object_id").to_pylist(), object)
            changed = kernel.changes(z, parent_keys(ids, settings.seed), settings.copies_per_object)
            columns = {
                "survey": pa.array([survey] * len(changed.parent), pa.string()),
                "object_id": pa.array(_names(ids[changed.parent], changed.number), pa.string()),
                "source": pa.array([survey] * len(changed.parent), pa.string()),
                "photo_z": arrow.nullable(changed.new_z, pa.float64()),
                "photo_z_err": arrow.nullable(z_err[changed.parent] * changed.stretch, pa.float64()),
                "ebv": arrow.nullable(ebv[changed.parent], pa.float64()),
            }
            yield arrow.rows_of(columns, HOSTS.arrow_schema(), len(changed.parent))

    return moved


def _names(parents: NDArray[np.object_], number: NDArray[np.int64]) -> list[str]:
    return [f"{parent}/copy-{k}" for parent, k in zip(parents.tolist(), number.tolist(), strict=True)]


def _measured(packed: pa.Array) -> LightCurves:
    """The fluxes of rows of packed points, in order of time."""
    points, offsets = unpacked(packed, 0)
    is_flux = points["kind"] != LIMIT
    points, offsets = points[is_flux], offsets_of_chosen(is_flux, offsets)
    order = np.lexsort((points["mjd"], np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))))
    return light_curves_of(offsets, *(points[name][order] for name in ("mjd", "band", "flux_njy", "flux_err_njy")))


def _segment_rows(batch: pa.RecordBatch, pool: Cadences, survey: str, rule: Copied, settings: AugmentationSettings) -> pa.RecordBatch:
    """Rows `_PARENT` to segments of their copies."""
    ids = np.asarray(batch.column("object_id").to_pylist(), object)
    parents, key = _measured(batch.column(PACKED.name)), parent_keys(ids, settings.seed)
    z = arrow.floats(batch.column("photo_z"))
    found = kernel.copies(parents, z, key, settings.copies_per_object, pool, rule.least_bands)
    parent, n_rows = pa.array(found.parent), len(found.parent)
    of_parent = {name: batch.column(name).take(parent) for name in ("night", "ra", "dec", "healpix")}
    columns = {
        "survey": pa.array([survey] * n_rows, pa.string()),
        "object_id": pa.array(_names(ids[found.parent], found.number), pa.string()),
        **of_parent,
        **_point_columns(found, of_parent["night"]),
    }
    return arrow.rows_of(columns, LIGHTCURVE_SEGMENTS.arrow_schema(), n_rows)


def _point_columns(found: Copies, night: pa.Array) -> dict[str, pa.Array]:
    """How many detections each copy has, and its points: those 5 sigma from zero are detections, the others forced photometry."""
    curves, counts = found.curves, np.diff(found.curves.offsets)
    is_detection = np.abs(curves.flux) >= kernel.DETECTION_SN * curves.flux_err
    number = np.arange(len(curves.mjd)) - np.repeat(curves.offsets[:-1], counts) + 1
    fields: dict[str, pa.Array] = {field.name: pa.nulls(len(number), field.arrow_type()) for field in _POINTS.fields}
    fields |= {
        "exposure_mjd": pa.array(curves.mjd),
        "mjd": pa.array(curves.mjd),
        "band": pa.array(np.array(BAND_NAMES)[curves.band]),
        "kind": pa.array(np.where(is_detection, "detection", "forced")),
        "source_id": pa.array(number, mask=~is_detection),
        "packet_id": pa.array(number),
        "known_night": night.take(pa.array(np.repeat(np.arange(len(counts)), counts))),
        "flux_njy": pa.array(curves.flux),
        "flux_err_njy": pa.array(curves.flux_err),
        "limit_njy": pa.array(kernel.DETECTION_SN * curves.flux_err),
        "cuts_failed": pa.array([""] * len(number), pa.string()),
    }
    detected = np.bincount(np.repeat(np.arange(len(counts)), counts), weights=is_detection, minlength=len(counts))
    return {"n_alerts": pa.array(detected.astype(np.int32)), **point_columns(fields, curves.offsets, _POINTS)}
