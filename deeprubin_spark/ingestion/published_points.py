"""Published data sets as rows of our tables: what was measured to light curves, the place to hosts, and, apart from both, the truth to labels.

A reader gives the frames of `Published`. Those of measurements, places and hosts have the columns named here and no others, each read by its name from
what an observer has; what only the set's authors know (a true type, redshift or time of maximum) is read by the frame of labels alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from deeprubin_spark import arrow
from deeprubin_spark.bands import BAND_NAMES
from deeprubin_spark.errors import NoInputError
from deeprubin_spark.kernels import sky
from deeprubin_spark.runs import Run
from deeprubin_spark.schemas import HOSTS, LABELS, LIGHTCURVE_SEGMENTS
from deeprubin_spark.schemas.packed_points import point_columns

DETECTION_SN = 5.0
NJY_PER_FLUXCAL = 10.0 ** ((31.4 - 27.5) / 2.5)  # FLUXCAL, SNANA's unit of flux (Kessler et al. 2009), has zero point 27.5, nJy 31.4

# flux_njy: signed difference flux. source_id: the set's own id of the measurement; NULL: its number in the light curve.
MEASUREMENTS = (
    "object_id string, mjd double, band string, flux_njy double, flux_err_njy double, is_detection boolean, source_id long, "
    "apparent_flux_njy double, apparent_flux_err_njy double"
)
_FIELDS = tuple(column.split()[0] for column in MEASUREMENTS.split(", ")[1:])
_NUMBERS = ("mjd", "flux_njy", "flux_err_njy", "apparent_flux_njy", "apparent_flux_err_njy")
_NO_ID = -1
_POINTS = LIGHTCURVE_SEGMENTS.column("points")


@dataclass(frozen=True)
class Published:
    """A published data set as its reader found it; nothing is computed before `write`.

    night: the one night on which all of it counts as known.   measurements: `MEASUREMENTS`.   places: object_id, ra, dec, one row an object.
    hosts: object_id, photo_z, photo_z_err, ebv, one row an object; None where the set says nothing of them.   labels: rows of labels.
    """

    survey: str
    night: dt.date
    measurements: DataFrame
    places: DataFrame
    hosts: DataFrame | None
    labels: DataFrame

    def plan(self, survey: str = "") -> str:
        """What would be written under `survey` (default: the set's own), for a dry run."""
        n_objects = self.places.count()
        return f"  would read {n_objects:,} objects and replace survey {(survey or self.survey)!r} of {LIGHTCURVE_SEGMENTS.name} and {HOSTS.name}"


def write(run: Run, found: Published) -> None:
    """Replace the survey's light curves and hosts, merge its labels, and fill the ledger. NoInputError where no object is left."""
    n_listed = found.places.count()
    n_measured = found.measurements.count()
    if n_listed == 0 or n_measured == 0:
        raise NoInputError(f"survey {found.survey}: expected objects and their measurements, found {n_listed:,} and {n_measured:,}")
    made = found.measurements.transform(segments(found.survey, found.night, found.places))
    run.replace_slice(LIGHTCURVE_SEGMENTS, made, nights=(found.night,), survey=found.survey)
    unknown = run.session.createDataFrame([], HOSTS.spark_schema())
    hosts = unknown if found.hosts is None else host_rows(found.hosts, found.survey)
    run.replace_slice(HOSTS, hosts, nights=None, survey=found.survey)
    run.merge_by_key(LABELS, found.labels)
    written = run.warehouse.read(LIGHTCURVE_SEGMENTS, survey=found.survey)
    told = written.agg(F.count("*"), F.sum(F.size("points")), F.sum("n_alerts")).collect()[0]  # one row: bounded
    n_objects, n_points, n_detections = (int(number or 0) for number in told)
    silent = found.places.join(written, "object_id", "left_anti").count()
    run.counts.update(objects=n_objects, without_light_curve=silent, points=n_points, detections=n_detections)
    run.counts["points_left_out"] = n_measured - n_points  # not a number, without error or band, or another copy of an exposure


def measured(frame: DataFrame) -> DataFrame:
    """`frame` with the columns of `MEASUREMENTS`, those it lacks NULL; where nobody says what was detected, what is 5 sigma from zero."""
    wanted = [column.split() for column in MEASUREMENTS.split(", ")]
    full = frame.select(*((F.col(name) if name in frame.columns else F.lit(None)).cast(kind).alias(name) for name, kind in wanted))
    is_significant = F.abs("flux_njy") >= DETECTION_SN * F.col("flux_err_njy")
    return full.withColumn("is_detection", F.coalesce("is_detection", is_significant))


def segments(survey: str, night: dt.date, places: DataFrame) -> Callable[[DataFrame], DataFrame]:
    """`MEASUREMENTS` rows to lightcurve_segments rows: one an object, all its points, known on `night`.

    One point an exposure and band: the detection before the forced flux, then the lower id. Points that are not finite, have no positive error or no
    band of ours are left out, and with them an object that has no others.
    """

    def segments_of_curves(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            yield _segment_rows(batch, survey, night)

    def transform(measurements: DataFrame) -> DataFrame:
        curves = measurements.groupBy("object_id").agg(F.collect_list(F.struct(*_FIELDS)).alias("measured"))
        placed = curves.join(places.select("object_id", "ra", "dec"), "object_id", "left").select("object_id", "ra", "dec", "measured")
        made = placed.mapInArrow(segments_of_curves, LIGHTCURVE_SEGMENTS.spark_schema())
        return LIGHTCURVE_SEGMENTS.select(made).sortWithinPartitions("healpix", "object_id")

    return transform


def host_rows(hosts: DataFrame, survey: str) -> DataFrame:
    """Rows of `hosts`; a redshift that is not positive is none, and has no error."""
    has_redshift = F.col("photo_z") > 0.0
    return HOSTS.select(
        hosts.select(
            F.lit(survey).alias("survey"),
            "object_id",
            F.lit(survey).alias("source"),
            F.when(has_redshift, F.col("photo_z").cast("double")).alias("photo_z"),
            F.when(has_redshift & (F.col("photo_z_err") >= 0.0), F.col("photo_z_err").cast("double")).alias("photo_z_err"),
            F.when(F.col("ebv") >= 0.0, F.col("ebv").cast("double")).alias("ebv"),
        )
    )


def label_rows(labelled: DataFrame, survey: str, source: str, labelled_on: dt.date, class_of: dict[str, str]) -> DataFrame:
    """Rows of labels from (object_id, label): the class by `class_of`, NULL for a label that is not there; rows without a label are left out."""
    known = F.create_map(*(F.lit(text) for pair in class_of.items() for text in pair))
    label = F.col("label").cast("string")
    return LABELS.select(
        labelled.where(label.isNotNull()).select(
            F.lit(survey).alias("survey"),
            F.col("object_id").cast("string").alias("object_id"),
            F.lit(source).alias("source"),
            F.lit(labelled_on).alias("labelled_on"),
            label.alias("label"),
            F.try_element_at(known, label).alias("class"),
            F.lit(None).cast("double").alias("probability"),
        )
    )


def _segment_rows(batch: pa.RecordBatch, survey: str, night: dt.date) -> pa.RecordBatch:
    """Rows (object_id, ra, dec, measured) to segments."""
    flat = arrow.records(batch.column("measured"))
    owner = np.repeat(np.arange(batch.num_rows), np.diff(arrow.offsets(batch.column("measured"))))
    kept, owner = _one_per_exposure(flat, owner)
    fields = {name: column.take(pa.array(kept)) for name, column in flat.items()}
    rows, counts = np.unique(owner, return_counts=True)
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    ra, dec = (arrow.floats(batch.column(name))[rows] for name in ("ra", "dec"))
    is_detection = _flags(fields["is_detection"])
    n_rows = len(rows)
    columns = {
        "survey": pa.array([survey] * n_rows, pa.string()),
        "object_id": batch.column("object_id").take(pa.array(rows)),
        "night": pa.array([night] * n_rows, pa.date32()),
        "ra": arrow.nullable(ra, pa.float64()),
        "dec": arrow.nullable(dec, pa.float64()),
        "healpix": _pixels(ra, dec),
        "n_alerts": pa.array(np.add.reduceat(is_detection.astype(np.int32), offsets[:-1]) if n_rows else [], pa.int32()),
        **point_columns(_points(fields, is_detection, offsets, night), offsets, _POINTS),
    }
    return arrow.rows_of(columns, LIGHTCURVE_SEGMENTS.arrow_schema(), n_rows)


def _one_per_exposure(flat: dict[str, pa.Array], owner: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of the usable measurements, by object and time, one an exposure and band; and the object of each."""
    mjd, flux, flux_err = (arrow.floats(flat[name]) for name in ("mjd", "flux_njy", "flux_err_njy"))
    band = arrow.codes(flat["band"], BAND_NAMES)
    usable = np.flatnonzero(np.isfinite(mjd) & np.isfinite(flux) & np.isfinite(flux_err) & (flux_err > 0.0) & (band >= 0))
    later = ~_flags(flat["is_detection"])
    # Flux and error last: copies without an id come out in one order, whatever order they were collected in.
    keys = (flux_err, flux, arrow.longs(flat["source_id"], _NO_ID), later, band, mjd, owner)
    order = usable[np.lexsort(tuple(key[usable] for key in keys))]
    differs = (np.diff(owner[order]) != 0) | (np.diff(mjd[order]) != 0.0) | (np.diff(band[order]) != 0)
    first = order[np.concatenate((np.ones(min(len(order), 1), bool), differs))]
    return first, owner[first]


def _points(
    fields: dict[str, pa.Array], is_detection: NDArray[np.bool_], offsets: NDArray[np.int64], night: dt.date
) -> dict[str, pa.Array]:
    """The fields of points in their final order."""
    n_points = len(is_detection)
    number = np.arange(n_points) - np.repeat(offsets[:-1], np.diff(offsets)) + 1
    own_id = arrow.longs(fields["source_id"], _NO_ID)
    packet = np.where(own_id == _NO_ID, number, own_id)
    made: dict[str, pa.Array] = {field.name: pa.nulls(n_points, field.arrow_type()) for field in _POINTS.fields}
    made |= {name: fields[name] for name in (*_NUMBERS, "band")}
    return made | {
        "exposure_mjd": fields["mjd"],  # such sets give one time for an exposure
        "kind": pa.array(np.where(is_detection, "detection", "forced")),
        "source_id": pa.array(packet, mask=~is_detection),
        "packet_id": pa.array(packet),
        "known_night": pa.array([night] * n_points, pa.date32()),
        "limit_njy": pa.array(DETECTION_SN * arrow.floats(fields["flux_err_njy"])),
        "cuts_failed": pa.array([""] * n_points, pa.string()),
    }


def _pixels(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> pa.Array:
    """HEALPix of places, NULL where a place is not known."""
    known = np.isfinite(ra) & np.isfinite(dec)
    return pa.array(sky.healpix(np.where(known, ra, 0.0), np.where(known, dec, 0.0)), mask=~known)


def _flags(column: pa.Array) -> NDArray[np.bool_]:
    """A boolean column as (N,), NULL as false."""
    return np.asarray(column.fill_null(False).to_numpy(zero_copy_only=False), bool)
