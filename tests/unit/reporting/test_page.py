import dataclasses
import re
from html.parser import HTMLParser

import pytest

from deeprubin_spark.errors import ConfigError
from deeprubin_spark.reporting import page
from deeprubin_spark.reporting.facts import Labelled, Quarantined
from deeprubin_spark.reporting.search_facts import Match, Search, Searches
from deeprubin_spark.settings import Settings
from tests.unit.reporting.night_of_facts import NIGHT, candidate, empty_night, moving, night, searched_night, searches, strange

_VALUES = {"survey": "ztf", "first": NIGHT, "last": NIGHT, "history": NIGHT, "feature_set": "ztf_gr_1", "n_anomalies": 20}
_EVIL = "<script>alert(1)</script>\"'&"


def _page(facts):
    return page.page(facts, Settings(), _VALUES)


class _Reader(HTMLParser):
    """Checks that every tag is closed, and keeps ids, link targets and text."""

    _VOID = {"meta", "br", "hr", "img", "input", "link"}

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.targets, self.tags, self.text = [], [], [], set(), ""

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.tags.add(tag)
        self.ids += [named["id"]] if "id" in named else []
        self.targets += [named["href"]] if "href" in named else []
        if tag not in self._VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self._VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def _read(text):
    reader = _Reader()
    reader.feed(text)
    assert reader.open == []
    return reader


def _crowded():
    return dataclasses.replace(
        searched_night(),
        quarantined=(Quarantined("not_avro", 2, f"a.tar.gz :: {_EVIL}, byte 512: no magic"),),
        labelled=(Labelled("alerce", _EVIL, "SNIa", 2), Labelled("alerce", "SNIa", "SNIa", 1)),
        strange=(strange(_EVIL, explanation=_EVIL), strange("ZTF18hijklmn", 2, sign=-1.0)),
        searches=searches(
            technosignatures=Search((candidate(_EVIL, why=_EVIL),), 1, {_EVIL: 2}),
            interstellar=Search((moving(why=_EVIL),), 1),
            matches=(Match(_EVIL, "TDE", _EVIL, _EVIL, 0.1, "match", None, None),),
        ),
    )


_FACTS = {
    "night": night(),
    "empty": empty_night(),
    "crowded": _crowded(),
    "searched": searched_night(),
    "searched in vain": searched_night(searches=Searches()),
}


@pytest.mark.parametrize("facts", _FACTS.values(), ids=_FACTS.keys())
def test_the_page_refers_to_nothing_outside_itself(facts):
    text = _page(facts)
    assert not re.search(r"https?:|//[a-z]|src=|@import|url\((?!#)", text)
    assert all(target.startswith("#") for target in _read(text).targets)


@pytest.mark.parametrize("facts", _FACTS.values(), ids=_FACTS.keys())
def test_every_link_of_the_page_leads_to_one_place_on_it(facts):
    reader = _read(_page(facts))
    assert len(set(reader.ids)) == len(reader.ids)
    assert {target[1:] for target in reader.targets} <= set(reader.ids)


def test_what_an_object_is_called_cannot_become_markup():
    reader = _read(_page(_crowded()))
    assert "script" not in reader.tags
    assert reader.text.count(_EVIL) >= 4  # quarantine, label, name, explanation; also the picture's title


def test_the_page_shows_the_ledger_that_balances():
    text = _read(_page(night())).text
    assert "10 packets = 8 kept + 1 duplicates + 0 excluded + 0 quarantined + 1 other night" in text
    assert "The night went well" in text


def test_a_ledger_that_does_not_balance_is_the_first_thing_said():
    facts = night()
    lost = dataclasses.replace(facts.steps[0], counts=facts.steps[0].counts | {"kept": 7})
    text = _read(_page(dataclasses.replace(facts, steps=(lost, *facts.steps[1:])))).text
    assert "The night needs a person" in text
    assert "10 packets ≠ 7 kept" in text


def test_light_and_dark_readers_and_printers_get_colours_of_their_own():
    text = _page(night())
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    light, dark = text.split("prefers-color-scheme: dark", 1)
    assert "--paper: #ffffff" in light
    assert "--paper: #12161b" in dark


def test_the_page_says_that_the_network_saw_only_simulated_light_curves():
    assert "network trained on simulated" in _read(_page(night())).text


def test_an_empty_night_has_a_page_that_says_so():
    text = _read(_page(empty_night())).text
    assert "nothing was seen this night" in text
    assert "The night went well" in text


def test_a_night_without_scores_has_a_page_that_says_so():
    facts = night()
    text = _read(_page(dataclasses.replace(facts, steps=facts.steps[:3], outcomes=(), gates=(), strange=(), model_version=None))).text
    assert "The night is not finished" in text
    assert "No scores for this night yet" in text


def test_the_sql_on_the_page_can_be_run_as_it_stands():
    text = _read(_page(night())).text
    assert "WHERE survey = 'ztf' AND night BETWEEN DATE'2018-11-29' AND DATE'2018-11-29'" in text
    assert not re.search(r"\{[a-z_]+\}| :[a-z_]+\b", text.split("The SQL behind the numbers")[1])


def test_a_page_is_replaced_whole(tmp_path):
    assert (
        page.write(str(tmp_path / "new" / "reports"), "ztf_2018-11-29.html", "one") == tmp_path / "new" / "reports" / "ztf_2018-11-29.html"
    )
    where = page.write(str(tmp_path / "new" / "reports"), "ztf_2018-11-29.html", "two")
    assert where.read_text() == "two"
    assert [file.name for file in where.parent.iterdir()] == [where.name]


def test_a_place_for_pages_that_cannot_be_written_is_a_wrong_setting(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"report\.path"):
        page.write(str(tmp_path / "file"), "x.html", "one")
