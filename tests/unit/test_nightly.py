"""Which jobs a night of a survey runs, and in which order."""

from deeprubin_spark.jobs import nightly

from deeprubin_spark.reporting.facts import SEARCH_ORDER, STEP_ORDER


def _names(survey, *, from_archive):
    return [module.__name__.rpartition(".")[2] for module in nightly.steps(survey, from_archive=from_archive)]


def test_a_night_of_the_archive_is_searched_after_its_scores_and_before_its_page():
    assert _names("ztf", from_archive=True) == [*STEP_ORDER, *SEARCH_ORDER, "report_night"]


def test_a_stale_night_is_searched_again():
    assert _names("ztf", from_archive=False) == ["extract_features", "score_night", *SEARCH_ORDER, "report_night"]


def test_what_moves_is_searched_for_in_alerts_alone():
    assert set(SEARCH_ORDER) - set(_names("ztf_alerce", from_archive=False)) == {"search_interstellar"}


def test_simulated_objects_are_not_searched():
    assert _names("plasticc_ztf", from_archive=False) == ["extract_features", "score_night", "report_night"]
