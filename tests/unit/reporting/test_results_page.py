from __future__ import annotations

from pathlib import Path

from deeprubin_spark.reporting.results_page import results_page

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_of_benchmarks_is_what_the_results_make():
    assert (DOCS / "benchmarks.md").read_text() == results_page(DOCS / "results"), (
        "python -m deeprubin_spark.reporting.results_page docs/results > docs/benchmarks.md"
    )
