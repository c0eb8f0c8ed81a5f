import dataclasses
import datetime as dt

from deeprubin_spark.reporting.checks import checks, verdict
from deeprubin_spark.reporting.costs import costs, total
from deeprubin_spark.reporting.facts import Outcome, steps_of
from deeprubin_spark.settings import Settings
from tests.unit.reporting.night_of_facts import empty_night, night, step


def _failed(facts):
    return [check.title for check in checks(facts, Settings()) if check.verdict == "failed"]


def test_a_complete_night_passes_every_check():
    assert verdict(checks(night(), Settings())) == "passed"


def test_an_empty_archive_is_a_night_that_went_well():
    assert verdict(checks(empty_night(), Settings())) == "passed"


def test_a_packet_without_a_place_in_the_ledger_fails_the_night():
    facts = night()
    lost = dataclasses.replace(facts.steps[0], counts=facts.steps[0].counts | {"members": 11})
    assert _failed(night(steps=(lost, *facts.steps[1:]))) == ["Every packet is accounted for"]


def test_an_alert_missing_from_the_light_curves_fails_the_night():
    assert _failed(night(alerts=7)) == ["Every alert kept is in a light curve"]


def test_an_object_without_a_score_or_a_reason_fails_the_night():
    assert _failed(night(outcomes=(Outcome("scored", None, "SNIa", 6),))) == ["Every object is in scores, with a result or a reason"]


def test_more_failed_fits_than_the_limit_fail_the_night():
    assert _failed(night(fits={"ok": 3, "fit_failed": 1, "too_few_points": 3})) == ["Few fits failed"]


def test_a_night_without_scores_is_open_not_failed():
    facts = night()
    assert verdict(checks(dataclasses.replace(facts, steps=facts.steps[:3], outcomes=(), gates=()), Settings())) == "open"


def test_scores_older_than_the_alerts_leave_the_night_open():
    facts = night()
    late = step("ingest_archive", hour=9)
    made = checks(dataclasses.replace(facts, steps=(late, *facts.steps[1:])), Settings())
    assert [check.detail for check in made if check.verdict == "open"] == ["older than what they read: build_lightcurves; run them again"]


def test_a_failed_run_that_was_not_repeated_fails_the_night_with_its_message():
    failure = step("score_night", hour=9, status="failed", exit_code=69, message="ModelError: no such model")
    made = checks(dataclasses.replace(night(), failures=(failure,)), Settings())
    assert made[0].verdict == "failed"
    assert made[0].detail == "exit code 69: ModelError: no such model"


def test_cost_of_an_alert_is_the_cores_time_over_the_nights_alerts():
    each = costs(night())
    assert each[0].core_us_per_alert == 1.6 / 8 * 1e6
    assert total(each).core_us_per_alert == 4 * 1.6 / 8 * 1e6


def test_a_step_run_over_several_nights_is_divided_by_the_alerts_of_them_all():
    facts = night()
    wide = {"n_nights": 3, "first_night": dt.date(2018, 11, 27)}
    ingestion = dataclasses.replace(facts.steps[0], counts={"members": 80, "kept": 80}, **wide)
    each = costs(dataclasses.replace(facts, steps=(ingestion, dataclasses.replace(facts.steps[1], **wide), *facts.steps[2:])))
    assert [cost.alerts for cost in each] == [80, 80, 8, 8]
    assert total(each) is None


def test_an_empty_night_has_no_cost_per_alert():
    assert {cost.core_us_per_alert for cost in costs(empty_night())} == {None}


def _row(made):
    values = dataclasses.asdict(made)
    return {"job": values.pop("job"), "status": values.pop("status"), "latest": values}


def test_only_a_failure_after_the_last_good_run_is_kept():
    good, early, late = step("score_night", hour=5), step("score_night", 4, status="failed"), step("score_night", 6, status="failed")
    assert steps_of([_row(good), _row(early)]) == ((good,), ())
    assert steps_of([_row(late), _row(good)]) == ((good,), (late,))
    assert steps_of([_row(early)]) == ((), (early,))


def test_a_ledger_is_read_from_its_total_to_its_parts_whatever_order_the_table_returns():
    shuffled = step("ingest_archive", counts={"zebras": 1, "quarantined": 0, "kept": 8, "apes": 2, "members": 11})
    ((made,), _) = steps_of([_row(shuffled)])
    assert list(made.counts) == ["members", "kept", "quarantined", "apes", "zebras"]
