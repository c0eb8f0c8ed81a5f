from pathlib import Path

from deeprubin_spark.kernels.feature_catalogue import FEATURES, ZTF_GR, FeatureSet
from deeprubin_spark.reporting.feature_page import feature_page

_CARRIED = Path(__file__).parents[3] / "docs" / "features.md"


def test_the_feature_page_in_docs_is_the_one_the_catalogue_makes():
    assert _CARRIED.read_text() == feature_page(), "run: python -m deeprubin_spark.reporting.feature_page > docs/features.md"


def test_every_feature_is_a_row_of_six_cells_in_the_section_of_its_group():
    text = feature_page()
    for feature in FEATURES:
        section = text.split(f"\n## {feature.group}\n")[1].split("\n## ")[0]
        rows = [line for line in section.split("\n") if line.startswith(f"| `{feature.name}` |")]
        assert len(rows) == 1 and rows[0].replace("\\|", "").count("|") == 7, feature.name
        assert rows[0].endswith("| yes |") is not feature.scale_free


def test_another_set_of_bands_has_a_page_without_the_groups_it_lacks():
    text = feature_page(FeatureSet("one_band", ("r",)))
    assert "## pairs" not in text and "`rise_50_r`" in text and "_g`" not in text.replace("period_amplitude_g`", "")
    assert ZTF_GR.name not in text
