import datetime as dt

import pytest

from deeprubin_spark.reporting.queries import QUERIES, SKY

_VALUES = {
    "survey": "it's {ztf}\\",
    "first": dt.date(2018, 11, 28),
    "last": dt.date(2018, 11, 29),
    "history": dt.date(2018, 8, 30),
    "feature_set": "ztf_gr_1",
    "n_anomalies": 20,
}


def test_a_value_cannot_end_its_literal():
    assert "WHERE survey = 'it\\'s {{ztf}}\\\\' AND" in SKY.filled(_VALUES)
    assert "WHERE survey = 'it\\'s {ztf}\\\\' AND" in SKY.shown(_VALUES)


def test_every_query_of_a_night_keeps_to_one_survey_and_some_nights():
    for query in QUERIES:
        text = query.shown(_VALUES)
        assert "survey = 'it\\'s {ztf}\\\\'" in text
        assert "DATE'2018-11-29'" in text


def test_a_value_that_is_missing_is_an_error():
    with pytest.raises(KeyError):
        SKY.shown({"survey": "ztf"})
