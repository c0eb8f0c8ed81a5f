"""The searches on the night's page, from rows to words and pictures."""

import datetime as dt
import html
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from deeprubin_spark.reporting import page
from deeprubin_spark.reporting.checks import checks, verdict
from deeprubin_spark.reporting.night_plots import supernova_map
from deeprubin_spark.reporting.search_facts import Searches, searches_of
from deeprubin_spark.reporting.search_plots import disc, track
from deeprubin_spark.reporting.search_queries import SEARCH_QUERIES
from deeprubin_spark.settings import Settings
from tests.unit.reporting.night_of_facts import NIGHT, moving, night, searched_night, searches, step
from tests.unit.reporting.test_page import _page, _read

BEFORE = dt.date(2018, 11, 1)
_NO_ROWS = {query.name: [] for query in SEARCH_QUERIES}


def _text(facts):
    section = _page(facts).split('<section id="searches">')[1].split("</section>")[0]
    return re.sub(r"\s+([,.;])", r"\1", " ".join(html.unescape(re.sub(r"<[^>]+>", " ", section)).split()))


def _elements(picture, class_):
    return [element for element in ElementTree.fromstring(picture).iter() if class_ in element.get("class", "").split()]


def test_each_candidate_is_there_with_why_what_explains_it_and_what_would_decide():
    text = _text(searched_night())
    assert text.count("Would confirm a spectrum") == 5
    assert text.count("not excluded: a star that flares") == text.count("Would refute a period") == 5
    assert "odd in way 1" in text


def test_what_was_set_aside_is_counted_with_its_reasons():
    text = _text(searched_night())
    assert "Set aside: 4 period, 1 bogus + known asteroid." in text
    assert "Set aside: 3 not clearly unbound." in text
    assert "5 tracklets this night, 3 of them of known bodies" in text


def test_a_ranking_says_how_many_it_does_not_show():
    assert "The first 2 of 3." in _text(searched_night())


def test_a_match_stands_beside_our_class_and_changes_nothing():
    text = _text(searched_night())
    assert "AT 2018abc tidal disruption event 0.31″ match SNIa (62 %)" in text
    assert "ambiguous not classified" in text


def test_searches_that_found_nothing_say_so():
    text = _text(searched_night(searches=Searches()))
    for said in (
        "0 objects may be an explosion",
        "No star of this night is odder than chance makes one in a hundred",
        "Nothing of this night may be unbound",
        "0 objects of this night lie within 3″",
    ):
        assert said in text


def test_a_night_without_searches_says_so_and_went_well_all_the_same():
    assert "No search of this night has ended well yet" in _text(night())
    assert verdict(checks(night(), Settings())) == "passed"


def test_nothing_is_called_a_detection_of_its_kind():
    text = _text(searched_night())
    assert "Candidates, never detections" in text
    assert not re.search(r"alien|discover|detected (?:life|techno)", text)


def test_a_search_older_than_the_scores_leaves_the_night_open():
    facts = searched_night()
    assert verdict(checks(facts, Settings())) == "passed"
    late = step("score_night", hour=20)
    made = checks(searched_night(steps=(*facts.steps[:3], late, *facts.steps[4:])), Settings())
    assert [check.detail.count("search_") for check in made if check.verdict == "open"] == [3]


def test_the_cost_of_the_night_counts_its_searches():
    assert "search habitability" in _read(page.page(searched_night(), Settings(), _parameters())).text


def _parameters():
    return {"survey": "ztf", "first": NIGHT, "last": NIGHT, "history": NIGHT, "feature_set": "ztf_gr_1", "n_anomalies": 20}


def test_the_map_and_the_disc_are_of_the_longest_range_of_nights_that_holds_the_night():
    after = dt.date(2018, 12, 24)
    ends = {(NIGHT, NIGHT): 1.0, (BEFORE, NIGHT): 2.0, (BEFORE, BEFORE): 3.0, (BEFORE, after): 4.0}
    window = [{"first_night": first, "night": last, "model_version": "m"} for first, last in ends]
    cells = [{**one, "cell": 7, "expected": value} for one, value in zip(window, ends.values(), strict=True)]
    cells.append({**cells[-1], "model_version": "other", "expected": 9.0})
    ring = {"radius_kpc": 0.5, "p_kill_1gyr": 0.2, "p_kill_1gyr_lo": 0.1, "p_kill_1gyr_hi": 0.3, "ghz_index": 0.4, "seen": 1.0}
    everything = _NO_ROWS | {"habitability_map": cells, "rings": [one | ring for one in window]}
    found = searches_of(_NO_ROWS, everything, NIGHT, "m").disc
    assert (found.first_night, found.last_night, found.cells, len(found.rings)) == (BEFORE, after, {7: 4.0}, 1)
    assert searches_of(_NO_ROWS, everything, dt.date(2019, 1, 1), "m").disc is None


def test_outcomes_of_another_model_are_not_counted():
    row = {"night": NIGHT, "search": "habitability", "status": "candidate", "reason": None}
    rows = [row | {"model_version": "m", "n": 2}, row | {"model_version": "other", "n": 5}]
    assert searches_of(_NO_ROWS | {"outcomes": rows}, _NO_ROWS, NIGHT, "m").habitability.n_candidates == 2


def test_a_track_has_east_to_the_left_north_up_and_one_scale():
    drawn = track(moving().observations, "x")
    places = [(float(e.get("cx")), float(e.get("cy"))) for e in _elements(drawn, "point") if e.tag == "circle"]  # every other one, in g
    steps = np.diff(places, axis=0)
    assert (steps[:, 0] < 0).all() and (steps[:, 1] < 0).all()
    assert np.allclose(steps[:, 1] / steps[:, 0], 12.0 / 30.0, rtol=0.02)
    assert "east of the first, arcsec" in drawn


def test_a_long_track_is_drawn_in_larger_units():
    seen = [{"mjd": 58451.0 + i, "ra": 359.9 + 0.4 * i - 360.0 * (i > 0), "dec": 60.0, "band": "r"} for i in range(4)]
    drawn = track(seen, "x")
    assert "east of the first, arcmin" in drawn
    assert "2160.0 arcsec long" in drawn  # 1.2 deg of right ascension at 60 deg of declination
    assert track(seen[:1], "x") == ""


def test_a_disc_shows_every_ring_in_both_series_with_its_band():
    drawn = disc(searches().disc.rings)
    assert len(_elements(drawn, "point")) == 40
    assert len(_elements(drawn, "ribbon")) == 1
    assert "distance from the centre, kpc" in drawn
    assert disc(()) == ""


@pytest.mark.parametrize(("expected", "shade"), [(0.6, "shade-5"), (0.004, "shade-0")])
def test_a_cell_with_hardly_a_supernova_is_an_outline(expected, shade):
    drawn = supernova_map({10: 0.6, 2000: expected})
    assert any(shade in e.get("class") for e in _elements(drawn, "cell"))
