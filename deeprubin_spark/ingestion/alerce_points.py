"""Detections and non-detections as ALeRCE's API gives them, as rows of lightcurve_segments.

Forms: the API's models (alercebroker/web-services). `mjd` is the start of the exposure, jd - 2400000.5; `candid` is text, as JavaScript
cannot hold it; `isdiffpos` is 1 or -1; NULL, NaN, -999 and a magnitude of 100 all mean that there is none.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeprubin_spark.bands import ZTF_FILTER_IDS
from deeprubin_spark.kernels import nights, photometry, sky
from deeprubin_spark.schemas import LIGHTCURVE_SEGMENTS
from deeprubin_spark.schemas.packed_points import packed_rows, reference_rows
from deeprubin_spark.settings import LightCurveSettings

# Not 'ztf': the archive's night replaces every 'ztf' segment of its night, and the broker's copy of an object would go with them. Its
# points also differ (no packet's history, no forced photometry, no reference), so it is another light curve of the same object.
SURVEY = "ztf_alerce"
_NO_MAGNITUDE = 99.0  # the API has 100 where a corrected magnitude or its error does not exist
_POINTS = LIGHTCURVE_SEGMENTS.column("points")
_POSITIVE = (1, "1", "t")
_NEGATIVE = (-1, 0, "-1", "0", "f")

Record = dict[str, Any]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Segments:
    """Rows of lightcurve_segments, in its column order, and what they were made of. `unusable`: points that say no time, band or flux."""

    rows: list[tuple[Any, ...]]
    detections: int
    limits: int
    unusable: int


@dataclass(frozen=True)
class _Points:
    """Points in `POINT`'s order with the night of each; `own` says which are alerts of their own."""

    rows: list[tuple[Any, ...]]
    nights: list[dt.date]
    own: list[bool]


def segment_rows(object_id: str, detections: Sequence[Record], limits: Sequence[Record], settings: LightCurveSettings) -> Segments:
    """One segment for each night on which the object was detected or looked for, with that night's own points.

    The API does not say when a point became known, so its own night stands for it.
    """
    seen = _unique(filter(_is_detection, detections), _detection_key)
    looked = _unique(filter(_is_limit, limits), _limit_key)
    found, missed = _detection_points(seen, settings), _limit_points(looked)
    of_night: dict[dt.date, list[tuple[bool, Record | None, tuple[Any, ...]]]] = {}
    for night, own, record, row in zip(found.nights, found.own, seen, found.rows, strict=True):
        of_night.setdefault(night, []).append((own, record, row))
    for night, row in zip(missed.nights, missed.rows, strict=True):
        of_night.setdefault(night, []).append((False, None, row))
    observed = sorted(of_night)
    places = _places([[record for _, record, _ in of_night[night] if record is not None] for night in observed], _position(seen))
    rows = [_segment(object_id, night, of_night[night], place) for night, place in zip(observed, places, strict=True)]
    total = len(detections) + len(limits)
    duplicates = _count(detections, _is_detection) - len(seen) + _count(limits, _is_limit) - len(looked)
    return Segments(rows, len(seen), len(looked), total - duplicates - len(seen) - len(looked))


def number(record: Record, name: str) -> float:
    """A field as float; NaN for every way in which the API says that there is none."""
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return math.nan
    try:
        found = float(value)
    except ValueError:
        return math.nan
    return found if math.isfinite(found) and found > -_NO_MAGNITUDE else math.nan


def identifier(value: Any) -> int | None:
    """An alert id: an integer or its digits. A float is refused: it cannot hold 19 digits."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value or None
    return int(value) if isinstance(value, str) and value.isdigit() else None


def _is_detection(record: Record) -> bool:
    return (
        _is_exposure(record)
        and identifier(record.get("candid")) is not None
        and 0.0 < number(record, "magpsf") < _NO_MAGNITUDE
        and record.get("isdiffpos") in _POSITIVE + _NEGATIVE
    )


def _is_limit(record: Record) -> bool:
    return _is_exposure(record) and 0.0 < number(record, "diffmaglim") < _NO_MAGNITUDE


def _is_exposure(record: Record) -> bool:
    """A ZTF exposure: the API also has other telescopes' points (`tid` 'ATLAS-...'), whose filters have the same numbers."""
    telescope, band = str(record.get("tid") or "ztf").lower(), record.get("fid")
    return telescope.startswith("ztf") and number(record, "mjd") > 0.0 and isinstance(band, int) and band in ZTF_FILTER_IDS


def _is_own(record: Record) -> bool:
    """Whether the detection came in an alert of its own; else only in the history of `parent_candid`."""
    return record.get("has_stamp") is True or identifier(record.get("parent_candid")) is None


def _detection_key(record: Record) -> tuple[Any, ...]:
    return (identifier(record["candid"]),)


def _limit_key(record: Record) -> tuple[Any, ...]:
    return (number(record, "mjd"), record["fid"])


def _unique(records: Iterable[Record], key: Any) -> list[Record]:
    """Sorted by time, one record for each key, the same in whatever order they come: that of an alert of its own before a copy of it."""
    order = sorted(records, key=lambda r: (number(r, "mjd"), r["fid"], not _is_own(r), str(sorted(r.items()))))
    kept: dict[tuple[Any, ...], Record] = {}
    for record in order:
        kept.setdefault(key(record), record)
    return list(kept.values())


def _detection_points(records: Sequence[Record], settings: LightCurveSettings) -> _Points:
    value = {name: _column(records, name) for name in ("mjd", "magpsf", "sigmapsf", "diffmaglim", "ra", "dec", "rb", "drb")}
    is_positive = np.array([record["isdiffpos"] in _POSITIVE for record in records], np.bool_)
    flux, flux_err = photometry.signed_flux_njy(value["magpsf"], value["sigmapsf"], is_positive)
    apparent, apparent_err = _apparent_flux(records, flux_err, settings)
    limit = photometry.limit_njy(_magnitudes(value["diffmaglim"]))
    own = [_is_own(record) for record in records]
    numbers = [identifier(record["candid"]) for record in records]
    packets = [n if o else identifier(record["parent_candid"]) for n, o, record in zip(numbers, own, records, strict=True)]
    known = _nights(value["mjd"])
    cuts = ["rb" if score < settings.min_rb else "" for score in value["rb"]]
    fields = (flux, flux_err, limit, apparent, apparent_err, value["ra"], value["dec"], value["rb"], value["drb"])
    measured = [_nulls(column) for column in fields]
    exposure = _exposure(records, value["mjd"], "detection")
    return _Points(list(zip(*exposure, numbers, packets, known, *measured, cuts, strict=True)), known, own)


def _limit_points(records: Sequence[Record]) -> _Points:
    mjd = _column(records, "mjd")
    known = _nights(mjd)
    nothing: list[None] = [None] * len(records)
    limit = _nulls(photometry.limit_njy(_column(records, "diffmaglim")))
    exposure = _exposure(records, mjd, "limit")
    rows = list(zip(*exposure, nothing, nothing, known, nothing, nothing, limit, *([nothing] * 6), [""] * len(records), strict=True))
    return _Points(rows, known, [False] * len(records))


def _exposure(records: Sequence[Record], mjd: FloatArray, kind: str) -> tuple[list[Any], ...]:
    """exposure_mjd, mjd, band and kind. The API has no exposure time; the survey's standard one is assumed."""
    middle = nights.mid_exposure_mjd(mjd + nights.MJD_ZERO_JD, np.full(len(mjd), np.nan))
    return mjd.tolist(), middle.tolist(), [ZTF_FILTER_IDS[record["fid"]] for record in records], [kind] * len(records)


def _apparent_flux(records: Sequence[Record], flux_err: FloatArray, settings: LightCurveSettings) -> tuple[FloatArray, FloatArray]:
    """Flux of source plus reference from ALeRCE's corrected magnitude, which is the kernel's formula; its error by the same policies.

    alerce_corr and alerce_ext are the API's own sigmas. With sigma_corr^2 = sigma_diff^2 - sigma_ref^2,
    quadrature = sqrt(sigma_diff^2 + sigma_ref^2) = sqrt(2 sigma_diff^2 - sigma_corr^2)              (all as fluxes)

    flux_err : (N,) [nJy], sigma_diff. Returns (flux, flux_err) : (N,) [nJy], NaN where ALeRCE did not correct the detection.
    """
    corrected = np.array([record.get("corrected") is True for record in records], np.bool_)
    magnitude = np.where(corrected, _magnitudes(_column(records, "magpsf_corr")), np.nan)
    ones = np.ones(len(records), np.bool_)
    name = "sigmapsf_corr_ext" if settings.apparent_flux_policy == "alerce_ext" else "sigmapsf_corr"
    flux, error = photometry.signed_flux_njy(magnitude, _magnitudes(_column(records, name)), ones)
    if settings.apparent_flux_policy == "quadrature":
        variance = 2.0 * flux_err**2 - error**2
        error = np.sqrt(np.where(variance >= 0.0, variance, np.nan))
    return flux, error


def _segment(
    object_id: str, night: dt.date, members: Sequence[tuple[bool, Record | None, tuple[Any, ...]]], place: tuple[Any, ...]
) -> tuple[Any, ...]:
    points = sorted((row for _, _, row in members), key=lambda row: (*row[:4], row[4] or 0))
    own = [record for is_own, record, _ in members if is_own and record is not None]
    scores = [max((n for r in own if math.isfinite(n := number(r, name))), default=None) for name in ("rb", "drb")]
    of_alerts = [None] * 4  # asteroid and star: the API does not tell
    of_points = (*reference_rows(points, _POINTS), points, packed_rows(points, _POINTS))
    return (SURVEY, object_id, night, *place, len(own), *scores, *of_alerts, *of_points)


def _places(records_of_night: Sequence[Sequence[Record]], anywhere: tuple[float, float]) -> list[tuple[Any, ...]]:
    """(ra, dec, healpix) of each night: where its detections are, on a night without any where the object's are; NULLs if it has none."""
    found = np.array([_position(records) for records in records_of_night], np.float64).reshape(-1, 2)
    found = np.where(np.isfinite(found), found, np.array(anywhere))
    if not np.isfinite(found).all():
        return [(None, None, None)] * len(records_of_night)
    pixels = sky.healpix(found[:, 0], found[:, 1])
    return list(zip(*found.T.tolist(), np.asarray(pixels, np.int64).tolist(), strict=True))


def _position(records: Sequence[Record]) -> tuple[float, float]:
    """Mean (ra, dec) [deg] of the detections, right across ra = 0; NaN where none has a position."""
    pairs = [(ra, dec) for r in records if math.isfinite(ra := number(r, "ra")) and math.isfinite(dec := number(r, "dec"))]
    if not pairs:
        return math.nan, math.nan
    origin = pairs[0][0]
    shift = sum((ra - origin + 180.0) % 360.0 - 180.0 for ra, _ in pairs) / len(pairs)
    return (origin + shift) % 360.0, sum(dec for _, dec in pairs) / len(pairs)


def _column(records: Sequence[Record], name: str) -> FloatArray:
    return np.array([number(record, name) for record in records], np.float64)


def _magnitudes(values: FloatArray) -> FloatArray:
    """Values at which the API says 'no such magnitude' as NaN."""
    return np.where((values > 0.0) & (values < _NO_MAGNITUDE), values, np.nan)


def _nights(mjd: FloatArray) -> list[dt.date]:
    days: list[dt.date] = nights.ztf_night(mjd + nights.MJD_ZERO_JD).astype("datetime64[D]").tolist()
    return days


def _nulls(values: FloatArray) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]


def _count(records: Sequence[Record], holds: Any) -> int:
    return sum(1 for record in records if holds(record))
