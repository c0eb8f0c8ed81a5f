from __future__ import annotations

import json

from deeprubin_spark.reporting.results_page import results_page
from deeprubin_spark.reporting.study_sections import study_section


def number(mean, low=None, high=None, sd_of_seeds=None):
    return {"mean": mean, "sd_of_seeds": sd_of_seeds, "low": low, "high": high}


def a_study(**changes):
    result = {
        "study": "shift",
        "rows": [
            {"name": "source", "auc": number(0.8, 0.78, 0.82, 0.01), "a_distance": number(1.5)},
            {"name": "coral", "auc": number(0.85, 0.83, 0.87), "gap_auc": number(None), "a_distance": number(1.2)},
        ],
        "source": 700,
        "target": 7000,
        "judged": 7000,
        "copies": 30,
        "objects": 14_700,
        "seeds": [1, 2],
        "core_seconds": 600.0,
        "longest_fit_core_seconds": 90.0,
        "command": "deeprubin-study --study shift",
        "commit": "a" * 40,
        "data_sha256": "b" * 64,
    }
    return result | changes


def test_a_row_tells_what_it_has_and_leaves_the_rest_open():
    told = study_section(a_study())
    assert "| source | 0.800 [0.780, 0.820] ± 0.010 | 1.500 |  |" in told
    assert "| coral | 0.850 [0.830, 0.870] | 1.200 |  |" in told
    assert "| | AUC(Ia) | A-distance | gap closed, AUC |" in told


def test_the_page_has_a_section_for_each_study_and_says_where_it_comes_from(tmp_path):
    (tmp_path / "study-shift.json").write_text(json.dumps(a_study()))
    page = results_page(tmp_path)
    assert "## From supernovae with a spectrum to all others" in page
    assert (
        "`deeprubin-study --study shift`, commit aaaaaaaaaaaa, data bbbbbbbbbbbb, seeds 1, 2; all fits 10.0 core-min, the longest 1.5."
        in page
    )
