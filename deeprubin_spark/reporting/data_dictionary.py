"""The data dictionary, made from the contracts: every table and column with type, unit and meaning, and the taxonomy.

python -m deeprubin_spark.reporting.data_dictionary > docs/data_dictionary.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from deeprubin_spark.reporting.markdown import cell
from deeprubin_spark.schemas import LIGHTCURVES, TABLES
from deeprubin_spark.schemas.contract import Column, Table
from deeprubin_spark.schemas.surveys import SURVEYS
from deeprubin_spark.schemas.taxonomy import BRANCHES, CLASSES

_PREFACE = """\
# Data dictionary

Generated from `deeprubin_spark/schemas`; do not edit. To rebuild it:

    python -m deeprubin_spark.reporting.data_dictionary > docs/data_dictionary.md

Missing is NULL. Units are VOUnits, `1` is a pure number, UCDs are IVOA Unified Content Descriptors. Times are UTC.
Simulated surveys share the tables with real ones: always say which `survey` you mean."""


def data_dictionary() -> str:
    """All of it, as Markdown."""
    everything = (*TABLES, LIGHTCURVES)
    contents = "\n".join(f"- [`{table.name}`](#{table.name}): {table.doc}" for table in everything)
    sections = [_PREFACE, f"## Tables\n\n{contents}\n- [Surveys](#surveys)\n- [Classes](#classes)"]
    sections += [*(_section(table) for table in everything), _surveys(), _taxonomy()]
    return "\n\n".join(sections) + "\n"


def _section(table: Table) -> str:
    facts = [f"Contract version {table.version}. Key: {_names(table.key)}."]
    if table.partition_by:
        facts.append(f"Partitioned by {_names(table.partition_by)}.")
    lines = [
        f"## {table.name}",
        "",
        table.doc,
        "",
        " ".join(facts),
        "",
        "| column | type | unit | meaning | UCD |",
        "|---|---|---|---|---|",
    ]
    lines += [line for column in table.columns for line in _rows(column, "")]
    if table.checks:
        lines += ["", "Delta refuses rows that break:", "", *(f"- {name}: `{condition}`" for name, condition in table.checks.items())]
    return "\n".join(lines)


def _rows(column: Column, parent: str) -> Iterator[str]:
    """A line for the column, then one for each field of its records."""
    name = f"{parent}{column.name}"
    required = "; never NULL" if column.required else ""
    yield f"| `{name}` | {cell(column.type)} | {cell(column.unit)} | {cell(column.doc)}{required} | {cell(column.ucd)} |"
    for part in column.fields:
        yield from _rows(part, f"{name}[].")


def _surveys() -> str:
    lines = ["## Surveys", "", "What stands in a column `survey`.", "", "| survey | | what it is |", "|---|---|---|"]
    lines += [f"| `{survey.name}` | {'simulated' if survey.is_simulated else 'real'} | {survey.doc} |" for survey in SURVEYS]
    return "\n".join(lines)


def _taxonomy() -> str:
    lines = [
        "## Classes",
        "",
        "What the network may answer: PLAsTiCC's classes under three branches. Gates keep solar-system objects and bogus detections out.",
        "Other people's classes in these, and these in theirs: [taxonomy.md](taxonomy.md).",
        "",
        "| branch | class | meaning | PLAsTiCC target |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {leaf.branch} | `{leaf.name}` | {leaf.doc} | {leaf.plasticc} |"
        for branch in BRANCHES
        for leaf in CLASSES
        if leaf.branch == branch
    ]
    return "\n".join(lines)


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    sys.stdout.write(data_dictionary())
