"""The page of a table's features, made from the catalogue: every feature's name, unit, meaning, formula and source.

python -m deeprubin_spark.reporting.feature_page features > docs/features.md
python -m deeprubin_spark.reporting.feature_page features_lsst > docs/features_lsst.md
"""

from __future__ import annotations

import sys

from deeprubin_spark.kernels import catalogue_points, catalogue_posterior
from deeprubin_spark.kernels.feature_catalogue import GROUP_DOCS, LSST_UGRIZY, ZTF_GR, Feature, FeatureSet, Group
from deeprubin_spark.reporting.markdown import cell

SETS = {"features": ZTF_GR, "features_lsst": LSST_UGRIZY}  # of the tables

_PREFACE = """\
# Features

Generated from `deeprubin_spark/kernels/feature_catalogue.py`; do not edit. To rebuild it:

    python -m deeprubin_spark.reporting.feature_page {table} > docs/{table}.md

Columns of the table `{table}` with `feature_set` = '{name}': {n} numbers of each object, bands {bands}. F is signed difference flux in nJy, time
is in days, magnitudes are AB. NULL is what cannot be computed: too few points, no such band, no such event. A feature without brightness (last
column) does not change when all fluxes, errors and limits are multiplied by one factor."""


def feature_page(table: str, feature_set: FeatureSet) -> str:
    """All of it, as Markdown."""
    preface = _PREFACE.format(table=table, name=feature_set.name, n=len(feature_set.features), bands=", ".join(feature_set.bands))
    groups = [group for group in GROUP_DOCS if feature_set.of_group(group)]
    contents = "\n".join(f"- [`{group}`](#{group}): {GROUP_DOCS[group]}, {len(feature_set.of_group(group))} features" for group in groups)
    symbols = [_symbols(module.__doc__) for module in (catalogue_posterior, catalogue_points)]
    sections = [preface, contents, "## Symbols", *symbols, *(_section(feature_set, group) for group in groups)]
    return "\n\n".join(sections) + "\n"


def _symbols(doc: str | None) -> str:
    """The paragraph of a catalogue's docstring that explains its symbols."""
    return cell((doc or "").strip().split("\n\n")[1])


def _section(feature_set: FeatureSet, group: Group) -> str:
    lines = [
        f"## {group}",
        "",
        f"{GROUP_DOCS[group]}.",
        "",
        "| feature | unit | meaning | formula | source | brightness |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join(lines + [_row(feature) for feature in feature_set.of_group(group)])


def _row(f: Feature) -> str:
    told = "" if f.scale_free else "yes"
    return f"| `{f.name}` | {cell(f.unit)} | {cell(f.doc)} | {cell(f.formula)} | {cell(f.source)} | {told} |"


if __name__ == "__main__":
    sys.stdout.write(feature_page(sys.argv[1], SETS[sys.argv[1]]))
