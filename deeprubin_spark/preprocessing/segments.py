"""A night's alerts to light-curve segments: all points in an object's packets of that night, a pure function of them.

One Python pass turns each alert into its points (its own detection, its history, its forced photometry); one shuffle brings the alerts of an
object together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from deeprubin_spark import arrow
from deeprubin_spark.bands import ZTF_FILTER_IDS
from deeprubin_spark.kernels import nights, photometry, sky
from deeprubin_spark.schemas import LIGHTCURVE_SEGMENTS
from deeprubin_spark.schemas.contract import Column, Table
from deeprubin_spark.settings import LightCurveSettings

_MAX_FILTER_ID = max(ZTF_FILTER_IDS)
# The candidate fields that a point is made of; the same names are in a packet's history.
_POINT_FIELDS = (
    *("jd", "fid", "candid", "programid", "isdiffpos", "magpsf", "sigmapsf", "diffmaglim", "ra", "dec", "rb", "nbad", "fwhm", "elong"),
    *("distnr", "magnr", "sigmagnr", "exptime", "drb", "jdendref", "jdstarthist"),
)
_NUMBERS = tuple(name for name in _POINT_FIELDS if name not in ("candid", "isdiffpos"))  # an id does not fit a double
_ALERT_FIELDS = ("objectId", "night", "ssnamenr", "ssdistnr", "sgscore1", "distpsnr1", "prv_candidates", "fp_hists")
_POINTS = LIGHTCURVE_SEGMENTS.column("points")

# One row per alert, before the alerts of an object are brought together.
_ALERT_POINTS = Table(
    "alert points",
    doc="Points of one alert.",
    version=1,
    key=("packet_id",),
    columns=(
        *(LIGHTCURVE_SEGMENTS.column(name) for name in ("object_id", "night", "ra", "dec", "healpix")),
        Column("packet_id", "long"),
        Column("jd", "double", unit="d"),
        Column("rb", "float"),
        Column("drb", "float"),
        *(LIGHTCURVE_SEGMENTS.column(name) for name in ("ss_name", "ss_distance", "star_score", "star_distance")),
        _POINTS,
    ),
)


def segments(settings: LightCurveSettings, programids: tuple[int, ...]) -> Callable[[DataFrame], DataFrame]:
    """alerts_ztf rows to lightcurve_segments rows, one for each object and night, sorted by healpix within a file."""

    def transform(alerts: DataFrame) -> DataFrame:
        wanted = alerts.select(*dict.fromkeys(("candid", *_ALERT_FIELDS, *_POINT_FIELDS)))
        points = wanted.mapInArrow(_points_of_alerts(settings, programids), _ALERT_POINTS.spark_schema())
        latest = F.struct("jd", "packet_id")
        grouped = points.groupBy("object_id", "night").agg(
            *(F.max_by(name, latest).alias(name) for name in ("ra", "dec", "healpix", "star_score", "star_distance")),
            F.count("*").cast("int").alias("n_alerts"),
            F.max("rb").alias("rb_max"),
            F.max("drb").alias("drb_max"),
            F.min_by("ss_name", F.struct("ss_distance", "packet_id")).alias("ss_name"),
            F.min("ss_distance").alias("ss_distance"),
            F.array_sort(F.flatten(F.collect_list("points"))).alias("points"),
        )
        named = grouped.withColumn("survey", F.lit("ztf"))
        return LIGHTCURVE_SEGMENTS.select(named).sortWithinPartitions("night", "healpix")

    return transform


def _points_of_alerts(
    settings: LightCurveSettings, programids: tuple[int, ...]
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    schema = _ALERT_POINTS.arrow_schema()

    def points_of_alerts(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            yield _alert_rows(batch, settings, programids, schema)

    return points_of_alerts


def _alert_rows(batch: pa.RecordBatch, settings: LightCurveSettings, programids: tuple[int, ...], schema: pa.Schema) -> pa.RecordBatch:
    own = {name: batch.column(name) for name in _POINT_FIELDS}
    each = np.arange(batch.num_rows)
    parts = [_measured(own, each, own, settings)]
    history = arrow.records(batch.column("prv_candidates"))
    parts.append(_measured(history, _owner(batch.column("prv_candidates")), own, settings))
    parts.append(_forced(arrow.records(batch.column("fp_hists")), _owner(batch.column("fp_hists")), own))
    every = pa.concat_tables(parts)
    every = every.filter(pc.is_in(pc.fill_null(every["programid"], programids[0]), pa.array(programids, pa.int32())))
    owner = every["alert"].to_numpy()
    order = np.argsort(owner, kind="stable")
    every = every.take(pa.array(order))
    known = pc.take(batch.column("night"), every["alert"])
    fields = {name: every[name] for name in every.column_names if name not in ("alert", "programid")} | {"known_night": known}
    list_offsets = np.searchsorted(owner[order], np.arange(batch.num_rows + 1))
    columns = {
        "object_id": batch.column("objectId"),
        "night": batch.column("night"),
        "ra": own["ra"],
        "dec": own["dec"],
        "healpix": pa.array(sky.healpix(arrow.floats(own["ra"]), arrow.floats(own["dec"]))),
        "packet_id": batch.column("candid"),
        "jd": own["jd"],
        "rb": own["rb"],
        "drb": own["drb"],
        "ss_name": batch.column("ssnamenr"),
        "ss_distance": pc.if_else(pc.is_valid(batch.column("ssnamenr")), batch.column("ssdistnr"), pa.scalar(None, pa.float32())),
        "star_score": batch.column("sgscore1"),
        "star_distance": batch.column("distpsnr1"),
        "points": arrow.lists_of_records(fields, list_offsets.astype(np.int64), _POINTS.arrow_type()),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _measured(found: dict[str, pa.Array], owner: NDArray[np.int64], own: dict[str, pa.Array], settings: LightCurveSettings) -> pa.Table:
    """Detections and upper limits, from an alert's own fields or its history (where `magpsf` is NULL in a limit)."""
    n = len(owner)
    value = {name: arrow.floats(found[name]) if name in found else np.full(n, np.nan) for name in _NUMBERS}
    is_positive = np.asarray(pc.fill_null(pc.is_in(found["isdiffpos"], pa.array(["t", "1"])), False).to_numpy(zero_copy_only=False), bool)
    flux, flux_err = photometry.signed_flux_njy(value["magpsf"], value["sigmapsf"], is_positive)
    apparent, apparent_err = photometry.apparent_flux_njy(
        value["magpsf"], value["sigmapsf"], is_positive, value["magnr"], value["sigmagnr"], settings.apparent_flux_policy
    )
    valid = photometry.reference_is_valid(
        value["distnr"], value["magnr"], value["magpsf"], arrow.floats(own["jdendref"])[owner], arrow.floats(own["jdstarthist"])[owner]
    )
    is_detection = np.isfinite(value["magpsf"])
    # A history entry has no exptime of its own; the standard exposure keeps its time equal in every packet that repeats it.
    exptime = value["exptime"] if "exptime" in found else np.full(n, np.nan)
    table = {
        **_exposure(value["jd"], exptime, value["fid"], owner, own),
        "kind": pc.if_else(pa.array(is_detection), "detection", "limit"),
        "source_id": pc.if_else(pa.array(is_detection), found["candid"], pa.scalar(None, pa.int64())),
        "flux_njy": arrow.nullable(flux, pa.float64()),
        "flux_err_njy": arrow.nullable(flux_err, pa.float64()),
        "limit_njy": arrow.nullable(_limit(value["diffmaglim"]), pa.float64()),
        "apparent_flux_njy": arrow.nullable(np.where(valid, apparent, np.nan), pa.float64()),
        "apparent_flux_err_njy": arrow.nullable(np.where(valid, apparent_err, np.nan), pa.float64()),
        "ra": arrow.nullable(np.where(is_detection, value["ra"], np.nan), pa.float64()),
        "dec": arrow.nullable(np.where(is_detection, value["dec"], np.nan), pa.float64()),
        "rb": arrow.nullable(value["rb"], pa.float32()),
        "drb": arrow.nullable(value["drb"], pa.float32()),
        "cuts_failed": arrow.names_where(
            {
                "rb": value["rb"] < settings.min_rb,
                "nbad": value["nbad"] > settings.max_bad_pixels,
                "fwhm": value["fwhm"] > settings.max_fwhm,
                "elong": value["elong"] > settings.max_elongation,
            }
        ),
        "programid": found["programid"].cast(pa.int32()),
    }
    return pa.table(table)


def _forced(found: dict[str, pa.Array], owner: NDArray[np.int64], own: dict[str, pa.Array]) -> pa.Table:
    """Forced photometry: F = DN 10^((31.4 - zero point) / 2.5), the zero point being that of the science image."""
    value = {
        name: arrow.floats(found[name])
        for name in ("jd", "fid", "exptime", "diffmaglim", "magzpsci", "forcediffimflux", "forcediffimfluxunc")
    }
    scale = 10.0 ** ((photometry.ZERO_POINT - value["magzpsci"]) / 2.5)
    no_number, no_score = pa.nulls(len(owner), pa.float64()), pa.nulls(len(owner), pa.float32())
    is_clean = pc.fill_null(pc.equal(found["procstatus"], "0"), False).to_numpy(zero_copy_only=False)
    table = {
        **_exposure(value["jd"], value["exptime"], value["fid"], owner, own),
        "kind": pa.array(["forced"] * len(owner), pa.string()),
        "source_id": pa.nulls(len(owner), pa.int64()),
        "flux_njy": arrow.nullable(value["forcediffimflux"] * scale, pa.float64()),
        "flux_err_njy": arrow.nullable(value["forcediffimfluxunc"] * scale, pa.float64()),
        "limit_njy": arrow.nullable(_limit(value["diffmaglim"]), pa.float64()),
        "apparent_flux_njy": no_number,
        "apparent_flux_err_njy": no_number,
        "ra": no_number,
        "dec": no_number,
        "rb": no_score,
        "drb": no_score,
        "cuts_failed": arrow.names_where({"procstatus": ~np.asarray(is_clean, bool)}),
        "programid": found["programid"].cast(pa.int32()),
    }
    return pa.table(table)


def _limit(diffmaglim: NDArray[np.float64]) -> NDArray[np.float64]:
    """Limiting flux; NaN where the limit is not positive: histories of 2018 hold values such as -1006.94."""
    return photometry.limit_njy(np.where(diffmaglim > 0.0, diffmaglim, np.nan))


def _exposure(
    jd: NDArray[np.float64], exptime: NDArray[np.float64], fid: NDArray[np.float64], owner: NDArray[np.int64], own: dict[str, pa.Array]
) -> dict[str, pa.Array]:
    """What every kind of point has: its alert, its times, its band, its packet."""
    letters = pa.array([ZTF_FILTER_IDS.get(i) for i in range(_MAX_FILTER_ID + 1)], pa.string())
    known = np.where((fid >= 1) & (fid <= _MAX_FILTER_ID), fid, 0).astype(np.int64)
    return {
        "alert": pa.array(owner, pa.int64()),
        "exposure_mjd": pa.array(jd - nights.MJD_ZERO_JD),
        "mjd": pa.array(nights.mid_exposure_mjd(jd, exptime)),
        "band": pc.take(letters, pa.array(known)),
        "packet_id": pc.take(own["candid"], pa.array(owner, pa.int64())),
    }


def _owner(column: pa.Array) -> NDArray[np.int64]:
    """(N,) row of the batch to which each record of a list column belongs."""
    list_offsets = arrow.offsets(column)
    return np.repeat(np.arange(len(list_offsets) - 1), np.diff(list_offsets))
