"""Decoded alerts as Arrow columns of `alerts_ztf` and `cutouts`, over the memory they were decoded into.

A packet says "missing" in five ways: the field is not there, null, NaN, a magic number, or the string "null". All become NULL here, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from deeprubin_spark import arrow
from deeprubin_spark.ingestion.decode import Decoded
from deeprubin_spark.kernels.avro_program import Node, Program
from deeprubin_spark.schemas import ALERTS_ZTF, CUTOUTS
from deeprubin_spark.schemas.alerts import CANDIDATE, FORCED, HISTORY
from deeprubin_spark.schemas.contract import Column

MISSING = -999  # in `candidate` and `prv_candidates`
MISSING_FORCED = -99999  # in `fp_hists`, where -999 DN is a possible flux
MISSING_TEXT = "null"
_TOP_LEVEL = ("candid", "objectId", "schemavsn", "publisher")
_STAMPS = {"science": "cutoutScience", "template": "cutoutTemplate", "difference": "cutoutDifference"}
_STAMP_DATA = "stampData"
WANTED: tuple[str, ...] = (
    *_TOP_LEVEL,
    *(f"candidate.{c.name}" for c in CANDIDATE),
    *(f"prv_candidates.{c.name}" for c in HISTORY),
    *(f"fp_hists.{c.name}" for c in FORCED),
)
WANTED_STAMPS: tuple[str, ...] = tuple(f"{field}.{_STAMP_DATA}" for field in _STAMPS.values())
_NATIVE = {
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "bytes": pa.binary(),
}
_KINDS = {column.type: column.arrow_type() for column in (*CANDIDATE, *HISTORY, *FORCED)}
_HISTORY_KINDS = {name: ALERTS_ZTF.column(name).arrow_type() for name in ("prv_candidates", "fp_hists")}
_COLUMNS = {column.name: column for column in ALERTS_ZTF.columns}
_STAMP_KIND = CUTOUTS.column("science").arrow_type()
Flags = NDArray[np.bool_]


class Misfits:
    """Which of N alerts have a value that its column cannot hold, and what is said about the first one of each."""

    def __init__(self, n_alerts: int) -> None:
        self.rows: dict[int, str] = {}
        self.n_alerts = n_alerts

    def add(self, rows: NDArray[np.integer], said: str) -> None:
        """Note that the alerts in `rows` do not fit."""
        for row in rows:
            self.rows.setdefault(int(row), said)


def alert_columns(decoded: Decoded, misfits: Misfits) -> dict[str, pa.Array]:
    """The columns of `alerts_ztf` that come out of the packets themselves, N rows each; what a schema version does not have is NULL.

    An alert with a value that its column cannot hold is noted in `misfits`; its rows have NULL there.
    """
    maker = _Maker(decoded, misfits)
    root = decoded.columns.program.root
    candidate = root.child("candidate")
    columns = {name: maker.column(root.child(name), _COLUMNS[name], MISSING) for name in _TOP_LEVEL}
    columns |= {c.name: maker.column(candidate.child(c.name) if candidate else None, c, MISSING) for c in CANDIDATE}
    columns["prv_candidates"] = maker.history(root.child("prv_candidates"), "prv_candidates", HISTORY, MISSING)
    columns["fp_hists"] = maker.history(root.child("fp_hists"), "fp_hists", FORCED, MISSING_FORCED)
    return columns


def cutout_columns(decoded: Decoded) -> dict[str, pa.Array]:
    """The stamps of `cutouts`, N rows each, gzipped FITS as they came; NULL where a packet has none."""
    root = decoded.columns.program.root
    nodes = {name: stamp.child(_STAMP_DATA) if (stamp := root.child(field)) else None for name, field in _STAMPS.items()}
    return {
        name: arrow.decoded(decoded.columns, node) if node and node.kind == "bytes" else pa.nulls(decoded.n_rows, _STAMP_KIND)
        for name, node in nodes.items()
    }


def has_candidate(decoded: Decoded) -> Flags:
    """(N,) whether an alert's `candidate` is a record that is there."""
    node = decoded.columns.program.root.child("candidate")
    if node is None or node.kind != "record":
        return np.zeros(decoded.n_rows, np.bool_)
    return arrow.decoded_is_there(decoded.columns, node)


class _Maker:
    """Columns of one `Decoded`."""

    def __init__(self, decoded: Decoded, misfits: Misfits) -> None:
        self._columns, self._misfits, self._n = decoded.columns, misfits, decoded.n_rows
        numbers, missing = _numbers(decoded.columns.program)
        self._is_there = arrow.bitmaps(decoded.columns, numbers, missing)

    def column(self, node: Node | None, column: Column, missing: int) -> pa.Array:
        """A field of the alert or its candidate."""
        if node is None:
            return pa.nulls(self._n, _KINDS[column.type])
        array, unfit = self._fitted(node, column, missing)
        if unfit is not None:
            self._misfits.add(np.flatnonzero(unfit), f"{column.name}: expected {column.type}, found {node.kind}")
        return array

    def history(self, node: Node | None, name: str, columns: Sequence[Column], missing: int) -> pa.Array:
        """A list of records for each alert; a history that is null stays NULL, an empty one stays empty."""
        kind = _HISTORY_KINDS[name]
        if node is None or node.kind != "array" or not node.children or node.children[0].kind != "record":
            return pa.nulls(self._n, kind)
        item = node.children[0]
        offsets = arrow.decoded_values(self._columns, node)
        parents = np.repeat(np.arange(self._n), np.diff(offsets))
        fields = []
        for column in columns:
            child = item.child(column.name)
            array, unfit = self._fitted(child, column, missing) if child else (pa.nulls(len(parents), _KINDS[column.type]), None)
            if unfit is not None and child is not None:
                self._misfits.add(parents[unfit], f"{name}.{column.name}: expected {column.type}, found {child.kind}")
            fields.append(array)
        if missing == MISSING:
            fields = self._oldest_first(fields, item.child("jd"), parents)
        flat = pa.StructArray.from_arrays(fields, fields=list(kind.value_type))
        return arrow.lists_where(flat, offsets, arrow.decoded_is_there(self._columns, node), kind)

    def _oldest_first(self, fields: list[pa.Array], jd: Node | None, parents: NDArray[np.integer]) -> list[pa.Array]:
        """The fields with each alert's rows in order of time; rows of one time stay as they came."""
        if jd is None or jd.kind not in ("double", "float", "int", "long"):
            self._misfits.add(np.unique(parents), "prv_candidates.jd: expected a number, found none")
            return fields
        times = arrow.decoded_values(self._columns, jd).astype(np.float64)
        self._misfits.add(parents[~arrow.decoded_is_there(self._columns, jd)], "prv_candidates.jd: expected a number, found null")
        falls = np.diff(times) < 0.0
        falls[np.diff(parents) != 0] = False
        if not falls.any():
            return fields
        order = pa.array(np.lexsort((times, parents)))
        return [field.take(order) for field in fields]

    def _fitted(self, node: Node, column: Column, missing: int) -> tuple[pa.Array, Flags | None]:
        """A node's values in its column's type, "missing" as NULL; which rows have values that do not fit (None: they all do)."""
        kind = _KINDS[column.type]
        if _NATIVE.get(node.kind) != kind:
            return _converted(arrow.decoded(self._columns, node), kind, missing)
        if node.kind == "string":
            return without_text(arrow.decoded(self._columns, node), MISSING_TEXT), None
        return arrow.decoded_numbers(self._columns, node, self._is_there[node.column]), None


@lru_cache(maxsize=64)
def _numbers(program: Program) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The columns of numbers (-1 - c for floats) and what means "missing" in each."""
    found: list[tuple[int, float]] = []

    def visit(node: Node, missing: int) -> None:
        if node.kind in ("int", "long", "float", "double"):
            found.append((-1 - node.column if node.kind in ("float", "double") else node.column, missing))
        for child in node.children:
            visit(child, MISSING_FORCED if node.name == "fp_hists" else missing)

    visit(program.root, MISSING)
    return np.array([c for c, _ in found], np.int64), np.array([m for _, m in found], np.float64)


def without_text(texts: pa.Array, missing: str) -> pa.Array:
    """The strings with NULL in place of `missing`."""
    absent = pc.fill_null(pc.equal(texts, pa.scalar(missing, texts.type)), False)
    return pc.if_else(absent, pa.scalar(None, texts.type), texts) if pc.any(absent).as_py() else texts


def _converted(array: pa.Array, kind: pa.DataType, missing: int) -> tuple[pa.Array, Flags]:
    """Values of another type than their column's, one by one: only a survey that changes a field's type comes here."""
    found: list[Any] = []
    unfit = np.zeros(len(array), np.bool_)
    for i, value in enumerate(array.to_pylist()):
        absent = value is None or value in (missing, MISSING_TEXT) or value != value
        try:
            found.append(None if absent else pa.scalar(value, kind).as_py())
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            found.append(None)
            unfit[i] = True
    return pa.array(found, kind), unfit
