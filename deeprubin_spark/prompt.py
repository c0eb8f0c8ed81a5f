"""`deeprubin`: a SQL prompt on the tables, the settings, and the self-test."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel
from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import SparkSession

from deeprubin_spark import self_test, spark
from deeprubin_spark import settings as settings_module
from deeprubin_spark.errors import DeepRubinError, UsageError
from deeprubin_spark.preprocessing import udfs
from deeprubin_spark.preprocessing.light_curves import light_curves
from deeprubin_spark.schemas import LIGHTCURVE_BASE, LIGHTCURVE_SEGMENTS, LIGHTCURVES
from deeprubin_spark.tables import Warehouse

_ROWS = 100


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of `deeprubin`. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        settings = settings_module.load(arguments.env, arguments.set)
        if arguments.command == "settings":
            print("\n".join(_lines(settings, "")))
            return 0
        if arguments.command == "self-test":
            return self_test.main(settings.spark)
        with spark.session(settings.spark, "sql") as session:
            open_tables(session, Warehouse(session, settings.warehouse))
            if arguments.file:
                return _file(session, arguments.file)
            return _one(session, arguments.query) if arguments.query else _prompt(session)
    except DeepRubinError as error:
        print(f"deeprubin: {error}", file=sys.stderr)
        return error.exit_code


def open_tables(session: SparkSession, warehouse: Warehouse) -> None:
    """Make every table, the view `lightcurves` and the pandas UDFs known to SQL in this session."""
    warehouse.register()
    view = light_curves(warehouse.read(LIGHTCURVE_SEGMENTS), warehouse.read(LIGHTCURVE_BASE))
    view.createOrReplaceTempView(LIGHTCURVES.name)
    udfs.register(session)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="deeprubin", description="Look at the tables, the settings and the installation.")
    parser.add_argument("--env", default="", metavar="NAME", help="take conf/NAME.yml after conf/base.yml (directory: $DEEPRUBIN_CONF)")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override one setting; may be repeated")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    sql = commands.add_parser("sql", help="a Spark SQL prompt on the tables, or the result of one query")
    sql.add_argument("query", nargs="?", default="", help="a query; without one a prompt opens")
    sql.add_argument("--file", type=Path, metavar="PATH", help="run the queries of a file, each shown with its result")
    commands.add_parser("settings", help="every setting with its value and meaning")
    commands.add_parser("self-test", help="try every part of the stack and say what works here")
    return parser


def _one(session: SparkSession, query: str) -> int:
    try:
        session.sql(query).show(_ROWS, truncate=60)
    except (AnalysisException, ParseException) as error:
        raise UsageError(str(error).split("\n== SQL", maxsplit=1)[0].strip()) from error
    return 0


def _file(session: SparkSession, path: Path) -> int:
    for query in path.read_text().split(";"):
        if query.strip():
            print(f"{query.strip()};")
            _one(session, query)
    return 0


def _prompt(session: SparkSession) -> int:
    print(
        "Spark SQL on the DeepRubin tables. A query ends with ';'. SHOW TABLES; lists them, DESCRIBE scores; explains one; Ctrl-D leaves.",
        file=sys.stderr,
    )
    for query in _queries():
        try:
            _one(session, query)
        except UsageError as error:
            print(error, file=sys.stderr)
    return 0


def _queries() -> Iterator[str]:
    lines: list[str] = []
    while True:
        try:
            lines.append(input("     > " if lines else "sql> "))
        except EOFError:
            return
        if lines[-1].rstrip().endswith(";"):
            query = "\n".join(lines).strip().rstrip(";")
            lines = []
            if query:
                yield query


def _lines(section: BaseModel, prefix: str) -> Iterator[str]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _lines(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name} = {value!r}\n    {field.description}"
