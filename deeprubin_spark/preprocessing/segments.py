"""A night's alerts to light-curve segments: all points in an object's packets of that night, a pure function of them.

One shuffle brings the alerts of an object together, and one Python pass turns them into its points: each alert's own detection, its history, its
forced photometry.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from deeprubin_spark import arrow
from deeprubin_spark.bands import ZTF_FILTER_IDS
from deeprubin_spark.kernels import nights, photometry, sky
from deeprubin_spark.preprocessing.objects import by_object, runs_of
from deeprubin_spark.schemas import LIGHTCURVE_SEGMENTS
from deeprubin_spark.schemas.packed_points import point_columns
from deeprubin_spark.settings import LightCurveSettings

_MAX_FILTER_ID = max(ZTF_FILTER_IDS)
# The candidate fields that a point is made of; the same names are in a packet's history.
_POINT_FIELDS = (
    *("jd", "fid", "candid", "programid", "isdiffpos", "magpsf", "sigmapsf", "diffmaglim", "ra", "dec", "rb", "nbad", "fwhm", "elong"),
    *("distnr", "magnr", "sigmagnr", "exptime", "drb", "jdendref", "jdstarthist"),
)
_NUMBERS = tuple(name for name in _POINT_FIELDS if name not in ("candid", "isdiffpos"))  # an id does not fit a double
_ALERT_FIELDS = ("objectId", "night", "ssnamenr", "ssdistnr", "sgscore1", "distpsnr1")
_HISTORY_FIELDS = (
    "jd",
    "fid",
    "candid",
    "programid",
    "isdiffpos",
    "magpsf",
    "sigmapsf",
    "diffmaglim",
    "ra",
    "dec",
    "rb",
    "nbad",
    "fwhm",
    "elong",
    "distnr",
    "magnr",
    "sigmagnr",
)
_FORCED_FIELDS = ("jd", "fid", "programid", "exptime", "diffmaglim", "magzpsci", "forcediffimflux", "forcediffimfluxunc", "procstatus")
_LISTS = {"prv_candidates": _HISTORY_FIELDS, "fp_hists": _FORCED_FIELDS}
_POINTS = LIGHTCURVE_SEGMENTS.column("points")


def segments(settings: LightCurveSettings, programids: tuple[int, ...]) -> Callable[[DataFrame], DataFrame]:
    """alerts_ztf rows to lightcurve_segments rows, one for each object and night, sorted by healpix within a file."""

    def rows_of(alerts: pa.RecordBatch) -> pa.RecordBatch:
        return _segment_rows(alerts, settings, programids)

    def transform(alerts: DataFrame) -> DataFrame:
        # One array a field: only these columns of the history are read and shuffled.
        lists = [F.col(f"{column}.{name}").alias(f"{column}_{name}") for column, names in _LISTS.items() for name in names]
        wanted = alerts.select(*dict.fromkeys((*_ALERT_FIELDS, *_POINT_FIELDS)), *lists)
        together = wanted.repartition("objectId").sortWithinPartitions("objectId", "night", "jd", "candid")
        made = together.mapInArrow(by_object(rows_of, "objectId"), LIGHTCURVE_SEGMENTS.spark_schema())
        return LIGHTCURVE_SEGMENTS.select(made).sortWithinPartitions("night", "healpix")

    return transform


def _segment_rows(alerts: pa.RecordBatch, settings: LightCurveSettings, programids: tuple[int, ...]) -> pa.RecordBatch:
    """Rows of whole objects, in order of object, night and time, to one row for each object and night."""
    begins = runs_of([alerts.column("objectId"), alerts.column("night")])
    latest = pa.array(begins[1:] - 1)  # the last alert of each
    points, offsets = _points(alerts, begins, settings, programids)
    of_latest = {name: alerts.column(name).take(latest) for name in ("objectId", "night", "ra", "dec", "sgscore1", "distpsnr1")}
    ss_name, ss_distance = _nearest_asteroid(alerts, begins)
    columns = {
        "survey": pa.array(["ztf"] * len(latest), pa.string()),
        "object_id": of_latest["objectId"],
        "night": of_latest["night"],
        "ra": of_latest["ra"],
        "dec": of_latest["dec"],
        "healpix": pa.array(sky.healpix(arrow.floats(of_latest["ra"]), arrow.floats(of_latest["dec"]))),
        "n_alerts": pa.array(np.diff(begins).astype(np.int32)),
        "rb_max": _highest(alerts.column("rb"), begins),
        "drb_max": _highest(alerts.column("drb"), begins),
        "ss_name": ss_name,
        "ss_distance": ss_distance,
        "star_score": of_latest["sgscore1"],
        "star_distance": of_latest["distpsnr1"],
        **point_columns(points, offsets, _POINTS),
    }
    schema = LIGHTCURVE_SEGMENTS.arrow_schema()
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _highest(values: pa.Array, begins: NDArray[np.int64]) -> pa.Array:
    """The highest value of each run of rows, NULL where it has none."""
    known = arrow.floats(values)
    return arrow.nullable(np.fmax.reduceat(known, begins[:-1]), pa.float32())


def _nearest_asteroid(alerts: pa.RecordBatch, begins: NDArray[np.int64]) -> tuple[pa.Array, pa.Array]:
    """Name and distance of the known solar-system object nearest to any alert of each run, the lower candid first; NULL where there is none."""
    named = pc.is_valid(alerts.column("ssnamenr")).to_numpy(zero_copy_only=False).astype(bool)
    distance = np.where(named, arrow.floats(alerts.column("ssdistnr")), np.nan)
    group = np.repeat(np.arange(len(begins) - 1), np.diff(begins))
    order = np.lexsort((arrow.longs(alerts.column("candid"), 0), np.where(np.isnan(distance), np.inf, distance), ~named, group))
    first = order[begins[:-1]]
    nearest = pa.array(first, pa.int64())
    return alerts.column("ssnamenr").take(nearest), arrow.nullable(distance[first], pa.float32())


def _points(
    alerts: pa.RecordBatch, begins: NDArray[np.int64], settings: LightCurveSettings, programids: tuple[int, ...]
) -> tuple[dict[str, pa.Array], NDArray[np.int64]]:
    """The points of each run of alerts, sorted by time, flat, and their offsets."""
    own = {name: alerts.column(name) for name in _POINT_FIELDS}
    parts = [_measured(own, np.arange(alerts.num_rows), own, settings)]
    history, owner = _list_fields(alerts, "prv_candidates")
    parts.append(_measured(history, owner, own, settings))
    forced, owner = _list_fields(alerts, "fp_hists")
    if len(owner):
        parts.append(_forced(forced, owner, own))
    every = pa.concat_tables(parts)
    every = every.filter(pc.is_in(pc.fill_null(every["programid"], programids[0]), pa.array(programids, pa.int32()))).combine_chunks()
    alert = every["alert"].to_numpy()
    group = np.repeat(np.arange(len(begins) - 1), np.diff(begins))[alert]
    order = np.lexsort((arrow.longs(every["packet_id"], 0), arrow.floats(every["mjd"]), arrow.floats(every["exposure_mjd"]), group))
    every = every.take(pa.array(order))
    known = alerts.column("night").take(pa.array(alert[order]))
    fields = {name: every[name] for name in every.column_names if name not in ("alert", "programid")} | {"known_night": known}
    return fields, np.searchsorted(group[order], np.arange(len(begins))).astype(np.int64)


def _list_fields(alerts: pa.RecordBatch, column: str) -> tuple[dict[str, pa.Array], NDArray[np.int64]]:
    """The flat fields of a list column, and for each of its records the row of the batch that it belongs to."""
    names = _LISTS[column]
    offsets = arrow.offsets(alerts.column(f"{column}_{names[0]}"))
    return {name: alerts.column(f"{column}_{name}").flatten() for name in names}, np.repeat(np.arange(alerts.num_rows), np.diff(offsets))


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
