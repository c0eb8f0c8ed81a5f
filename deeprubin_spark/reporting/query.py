"""A question to the tables as the text that is run and shown: `{table}` stands for a table, `:name` for a parameter."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from deeprubin_spark.schemas.contract import Table

Parameter = str | int | dt.date
_NAMED = re.compile(r":([a-z_]+)\b")


@dataclass(frozen=True)
class Query:
    """A question to the tables. `name` is its anchor on the page, `title` what it answers."""

    name: str
    title: str
    text: str
    tables: tuple[Table, ...]

    def rows(self, session: SparkSession, frames: Mapping[str, DataFrame], parameters: Mapping[str, Parameter]) -> list[dict[str, Any]]:
        """Its answer, bounded by its aggregation or limit. `frames`: table name -> frame to read; `parameters` may hold more than it asks for."""
        wanted: dict[str, Any] = {table.name: frames[table.name] for table in self.tables}
        answer = session.sql(self.filled(parameters), **wanted)
        return [row.asDict(recursive=True) for row in answer.collect()]

    def shown(self, parameters: Mapping[str, Parameter]) -> str:
        """Its text with table names and values in place, ready to be run in a SQL prompt."""
        return self.filled(parameters).format(**{table.name: table.name for table in self.tables}).strip()

    def filled(self, parameters: Mapping[str, Parameter]) -> str:
        """Its text with values in place of parameters. Not by `args` of `sql`: under Delta 4's parser Spark 4.1 leaves those unbound."""
        return _NAMED.sub(lambda match: _literal(parameters[match[1]]), self.text)


def _literal(value: Parameter) -> str:
    if isinstance(value, dt.date):
        return "DATE'" + value.isoformat() + "'"
    if isinstance(value, int):
        return str(value)
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return "'" + quoted.replace("{", "{{").replace("}", "}}") + "'"  # braces stand for tables
