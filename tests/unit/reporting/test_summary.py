import dataclasses

from deeprubin_spark.reporting.summary import line, summary
from deeprubin_spark.settings import Settings
from tests.unit.reporting.night_of_facts import empty_night, night, searched_night, strange


def test_the_summary_has_the_ledger_the_classes_the_anomalies_the_cost_and_the_place():
    text = summary(night(), Settings(), "reports/ztf_2018-11-29.html")
    assert text.startswith("night 2018-11-29  ztf")
    for said in (
        "10 members  8 kept  1 duplicates  1 other night",
        "SNIa 3  RRL 1",
        "too few points 3",
        "1  ZTF18abcdefg",
        "200,000 core-us an alert",
        "8.0 s, 6.4 core-s, 800,000 core-us an alert",
        "page      reports/ztf_2018-11-29.html",
        "all 8 hold",
    ):
        assert said in text


def test_what_the_searches_found_is_one_line_of_a_night_that_was_searched():
    assert "searches  explosions 3  odd stars 1  moving 2  at known places 2   (candidates" in summary(searched_night(), Settings(), "p")
    assert "explosions" not in summary(night(), Settings(), "p")


def test_a_check_that_fails_is_named_on_the_terminal():
    assert "FAILS     Every alert kept is in a light curve: 8 alerts kept, 7 in light curves" in summary(night(alerts=7), Settings(), "p")


def test_an_objects_name_cannot_steer_the_terminal():
    text = summary(dataclasses.replace(night(), strange=(strange("\x1b[2Jname\r"),)), Settings(), "p")
    assert "?[2Jname?" in text
    assert all(c.isprintable() or c == "\n" for c in text)


def test_an_empty_night_has_a_summary():
    assert "no alerts this night" in summary(empty_night(), Settings(), "p")


def test_a_night_of_a_range_is_one_line():
    text = line(night(), Settings(), "reports/x.html")
    assert text.count("\n") == 0
    assert text.split() == ["night", "2018-11-29", "ztf", "passed", "8", "alerts", "7", "objects", "4", "classified", "reports/x.html"]
