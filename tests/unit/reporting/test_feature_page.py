from pathlib import Path

import pytest

from deeprubin_spark.kernels.feature_catalogue import ZTF_GR, FeatureSet
from deeprubin_spark.reporting.feature_page import SETS, feature_page

_DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("table", SETS)
def test_the_feature_page_in_docs_is_the_one_the_catalogue_makes(table):
    command = f"python -m deeprubin_spark.reporting.feature_page {table} > docs/{table}.md"
    assert (_DOCS / f"{table}.md").read_text() == feature_page(table, SETS[table]), f"run: {command}"


@pytest.mark.parametrize("table", SETS)
def test_every_feature_is_a_row_of_six_cells_in_the_section_of_its_group(table):
    text = feature_page(table, SETS[table])
    for feature in SETS[table].features:
        section = text.split(f"\n## {feature.group}\n")[1].split("\n## ")[0]
        rows = [line for line in section.split("\n") if line.startswith(f"| `{feature.name}` |")]
        assert len(rows) == 1 and rows[0].replace("\\|", "").count("|") == 7, feature.name
        assert rows[0].endswith("| yes |") is not feature.scale_free


def test_another_set_of_bands_has_a_page_without_the_groups_it_lacks():
    text = feature_page("features", FeatureSet("one_band", ("r",)))
    assert "## pairs" not in text and "`rise_50_r`" in text and "_g`" not in text.replace("period_amplitude_g`", "")
    assert ZTF_GR.name not in text
