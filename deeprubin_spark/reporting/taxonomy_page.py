"""The page of taxonomies, made from the map: our classes in the words of PLAsTiCC, ELAsTiCC, ALeRCE and Fink, and theirs in ours.

python -m deeprubin_spark.reporting.taxonomy_page > docs/taxonomy.md
"""

from __future__ import annotations

import sys

from deeprubin_spark.reporting.markdown import cell
from deeprubin_spark.schemas.taxonomy import BRANCHES, CLASSES, LeafClass
from deeprubin_spark.schemas.taxonomy_map import NONE, RELATIONS, TAXONOMIES, USABLE, Theirs, in_theirs

TITLES: dict[str, str] = {
    "plasticc": "PLAsTiCC targets",
    "elasticc": "ELAsTiCC v0.9.1 class codes",
    "elasticc_model": "ELAsTiCC models (GENTYPE, the truth)",
    "alerce": "ALeRCE's 15 classes",
    "fink": "Fink's tags",
}

_PREFACE = """\
# Our classes and those of others

Generated from `deeprubin_spark/schemas/taxonomy_map.py`, which names the sources; do not edit. To rebuild it:

    python -m deeprubin_spark.reporting.taxonomy_page > docs/taxonomy.md

The sign behind a class of theirs says what is lost:

{signs}

A label of theirs becomes a class of ours (`labels.class`) only with {usable}; with any other sign it keeps its own words and no class.
"""


def taxonomy_page() -> str:
    """All of it, as Markdown."""
    signs = "\n".join(f"- `{sign or 'none'}`: {meaning}" for sign, meaning in RELATIONS.items())
    preface = _PREFACE.format(signs=signs, usable=", ".join(f"`{sign}`" for sign in USABLE))
    return "\n\n".join([preface + _ours(), *(_theirs(taxonomy, title) for taxonomy, title in TITLES.items())]) + "\n"


def _ours() -> str:
    titles = [title for taxonomy, title in TITLES.items() if taxonomy != "elasticc_model"]
    lines = ["", "## Ours in theirs", "", f"| branch | class | {' | '.join(titles)} |", "|---" * (len(titles) + 2) + "|"]
    lines += [_our_row(leaf) for branch in BRANCHES for leaf in CLASSES if leaf.branch == branch]
    return "\n".join(lines)


def _our_row(leaf: LeafClass) -> str:
    cells = [_named(in_theirs(taxonomy, leaf.name)) for taxonomy in TITLES if taxonomy != "elasticc_model"]
    return f"| {leaf.branch} | `{leaf.name}` | {' | '.join(cells)} |"


def _named(found: tuple[tuple[Theirs, str], ...]) -> str:
    """Their classes that come closest to one of ours, each with its sign; a number with its meaning."""
    return "<br>".join(f"{cell(theirs.code)}{_spelt(theirs)} `{sign}`" for theirs, sign in found)


def _spelt(theirs: Theirs) -> str:
    return f" {cell(theirs.meaning)}" if theirs.code.isdigit() else ""


def _theirs(taxonomy: str, title: str) -> str:
    has_earlier = any(theirs.earlier for theirs in TAXONOMIES[taxonomy])
    earlier = " earlier code |" if has_earlier else ""
    rule = "|---|---|---|---|---|" + ("---|" if has_earlier else "")
    lines = [f"## {title}", "", f"| class | meaning | sign | ours | note |{earlier}", rule]
    for theirs in TAXONOMIES[taxonomy]:
        ours = ", ".join(f"`{name}`" for name in theirs.ours) if len(theirs.ours) < len(CLASSES) else "all"
        sign = f"`{theirs.relation}`" if theirs.relation != NONE else ""
        last = f" {theirs.earlier} |" if has_earlier else ""
        lines.append(f"| {cell(theirs.code)} | {cell(theirs.meaning)} | {sign} | {ours} | {cell(theirs.note)} |{last}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(taxonomy_page())
