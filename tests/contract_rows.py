"""Rows that keep a table's contract, so that a test only says what it is about."""

from __future__ import annotations

import datetime as dt
from typing import Any

from deeprubin_spark.schemas.contract import Column, Table

_VALUES: dict[str, Any] = {
    "string": "x",
    "boolean": False,
    "byte": 0,
    "int": 0,
    "long": 0,
    "float": 0.0,
    "double": 0.0,
    "binary": b"",
    "date": dt.date(2018, 11, 29),
    "timestamp": dt.datetime(2018, 11, 30, 12, tzinfo=dt.timezone.utc),
}


def row_of(table: Table, **values: Any) -> tuple[Any, ...]:
    """A row: `values` where given, NULL where the contract allows it, else a plain value of the column's type."""
    for name in values:
        table.column(name)
    return tuple(values[c.name] if c.name in values else _plain(c) for c in table.columns)


def record_of(fields: tuple[Column, ...], **values: Any) -> dict[str, Any]:
    """A nested record: `values` where given, else NULL."""
    return {c.name: values.get(c.name) for c in fields}


def frame_of(spark, table: Table, rows):
    """The rows as a DataFrame of the table's schema."""
    return spark.createDataFrame(list(rows), table.spark_schema())


def _plain(column: Column) -> Any:
    if not column.required:
        return None
    return [] if column.type.startswith("array") else _VALUES[column.type]
