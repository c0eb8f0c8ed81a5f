from pathlib import Path

from deeprubin_spark.reporting.taxonomy_page import TITLES, taxonomy_page
from deeprubin_spark.schemas.taxonomy import CLASS_NAMES
from deeprubin_spark.schemas.taxonomy_map import TAXONOMIES

_CARRIED = Path(__file__).parents[3] / "docs" / "taxonomy.md"


def test_the_taxonomy_page_in_docs_is_the_one_the_map_makes():
    assert _CARRIED.read_text() == taxonomy_page(), "run: python -m deeprubin_spark.reporting.taxonomy_page > docs/taxonomy.md"


def test_every_class_of_ours_and_of_theirs_has_a_row():
    ours, *theirs = taxonomy_page().split("\n## ")[1:]
    assert [line.split("`")[1] for line in ours.split("\n") if line.count("|") == 7 and "`" in line] == list(CLASS_NAMES)
    for section, rows in zip(theirs, (TAXONOMIES[taxonomy] for taxonomy in TITLES), strict=True):
        assert [line.split(" | ")[0].strip("| ") for line in section.split("\n") if line.startswith("| ")][1:] == [row.code for row in rows]
