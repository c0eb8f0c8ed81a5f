"""Decoded alerts as Arrow columns of `alerts_ztf` and `cutouts`.

A packet says "missing" in five ways: the field is not there, null, NaN, a magic number, or the string "null". All become NULL here, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from deeprubin_spark import arrow
from deeprubin_spark.ingestion.decode import Alert
from deeprubin_spark.schemas import ALERTS_ZTF, CUTOUTS
from deeprubin_spark.schemas.alerts import CANDIDATE, FORCED, HISTORY
from deeprubin_spark.schemas.contract import Column

MISSING = -999  # in `candidate` and `prv_candidates`
MISSING_FORCED = -99999  # in `fp_hists`, where -999 DN is a possible flux
MISSING_TEXT = "null"
_TOP_LEVEL = ("candid", "objectId", "schemavsn", "publisher")
_STAMPS = {"science": "cutoutScience", "template": "cutoutTemplate", "difference": "cutoutDifference"}


def alert_columns(alerts: Sequence[Alert]) -> dict[str, pa.Array]:
    """The columns of `alerts_ztf` that come out of the packets themselves, N rows each; what a schema version does not have is NULL.

    Raises what pyarrow raises (ArrowInvalid, ArrowTypeError, OverflowError, ...) where a value cannot be what its column holds.
    """
    columns = {name: _column([a.get(name) for a in alerts], ALERTS_ZTF.column(name).arrow_type(), MISSING) for name in _TOP_LEVEL}
    candidates = [a["candidate"] for a in alerts]
    columns |= _fields(candidates, CANDIDATE, MISSING)
    columns["prv_candidates"] = _lists([_oldest_first(a.get("prv_candidates")) for a in alerts], "prv_candidates", HISTORY, MISSING)
    columns["fp_hists"] = _lists([a.get("fp_hists") for a in alerts], "fp_hists", FORCED, MISSING_FORCED)
    return columns


def cutout_columns(alerts: Sequence[Alert]) -> dict[str, pa.Array]:
    """The stamps of `cutouts`, N rows each, gzipped FITS as they came; NULL where a packet has none."""
    stamps = {name: [(a.get(field) or {}).get("stampData") for a in alerts] for name, field in _STAMPS.items()}
    return {name: pa.array(values, CUTOUTS.column(name).arrow_type()) for name, values in stamps.items()}


def is_missing(value: object) -> bool:
    """Whether a single value of `candidate` means "missing"."""
    return value is None or value in (MISSING, MISSING_TEXT) or value != value


def _oldest_first(history: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    return history if history is None else sorted(history, key=lambda entry: float(entry["jd"]))


def _fields(records: Sequence[dict[str, Any]], columns: Sequence[Column], missing: int) -> dict[str, pa.Array]:
    return {c.name: _column([r.get(c.name) for r in records], c.arrow_type(), missing) for c in columns}


def _lists(histories: Sequence[list[dict[str, Any]] | None], name: str, columns: Sequence[Column], missing: int) -> pa.Array:
    """A list of records for each alert; a history that is null stays NULL, an empty one stays empty."""
    kind = ALERTS_ZTF.column(name).arrow_type()
    flat = [entry for history in histories for entry in history or ()]
    offsets = np.concatenate(([0], np.cumsum([len(history or ()) for history in histories], dtype=np.int64)))
    lists = arrow.lists_of_records(_fields(flat, columns, missing), offsets, kind).cast(kind)
    known = pa.array([history is not None for history in histories], pa.bool_())
    return pc.if_else(known, lists, pa.scalar(None, kind))


def _column(values: list[Any], kind: pa.DataType, missing: int) -> pa.Array:
    """`values` as an Arrow column of `kind`, everything that means "missing" as NULL."""
    column = pa.array(values, kind)
    if pa.types.is_floating(kind):
        absent = pc.or_(pc.is_nan(column), pc.equal(column, float(missing)))
    elif pa.types.is_integer(kind):
        absent = pc.equal(column, missing)
    else:
        absent = pc.equal(column, MISSING_TEXT)
    return pc.if_else(absent, pa.scalar(None, kind), column)
