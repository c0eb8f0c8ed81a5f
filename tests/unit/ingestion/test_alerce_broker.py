"""ALeRCE's API on a good and on a bad day."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest

from deeprubin_spark.errors import ConfigError, RetryableError, UsageError
from deeprubin_spark.ingestion.alerce_broker import Broker, Clock
from deeprubin_spark.settings import BrokerSettings
from tests.unit.ingestion.alerce_server import AlerceServer

OBJECT = "ZTF19aapvogv"
PASSING = ("busy", "busy_until", "broken", "malformed", "other_form", "dropped", "cut", "slow")


class FakeTime:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.sleeps: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.seconds += seconds

    def now(self) -> dt.datetime:
        return dt.datetime(2018, 11, 29, tzinfo=dt.timezone.utc) + dt.timedelta(seconds=self.seconds)

    def clock(self) -> Clock:
        return Clock(lambda: self.seconds, self.sleep, self.now)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    made = AlerceServer()
    yield made
    made.close()


@pytest.fixture
def time():
    return FakeTime()


@pytest.fixture
def broker_with(server, time):
    def make(**changed) -> Broker:
        settings = {"url": server.url, "timeout_s": 0.2, "backoff_s": 1.0, "requests_per_second": 1000.0, "page_size": 2} | changed
        return Broker(BrokerSettings.model_validate(settings), time.clock())

    return make


def everything(broker: Broker, query: dict) -> dict:
    ids = itertools.chain.from_iterable(broker.pages(query))
    return {oid: (broker.light_curve(oid), broker.probabilities(oid)) for oid in ids}


def test_a_query_gives_every_object_once_page_by_page(server, broker_with):
    pages = list(broker_with().pages({}))
    assert [len(page) for page in pages] == [2, 2, 1]
    assert sorted(itertools.chain.from_iterable(pages)) == sorted(server.objects)
    assert len(server.requests) == 3
    assert all("order_by=oid" in path and "page_size=2" in path for path in server.requests)


def test_filters_reach_the_api_under_its_own_names(server, broker_with):
    assert list(broker_with().pages({"class_name": ("SNIa",), "ndet": ("5", "50")})) == [(OBJECT,)]
    assert "ndet=5&ndet=50" in server.requests[0] and "class=SNIa" in server.requests[0]


def test_a_query_that_nothing_fits_is_empty(broker_with):
    assert list(broker_with().pages({"class_name": ("Kilonova",)})) == []


def test_an_answer_is_the_api_s_own(server, broker_with):
    broker = broker_with()
    assert broker.light_curve(OBJECT) == (server.objects[OBJECT]["detections"], server.objects[OBJECT]["non_detections"])
    assert broker.probabilities(OBJECT) == server.objects[OBJECT]["probabilities"]


def test_an_unknown_object_is_asked_for_once_and_is_none(server, broker_with):
    broker = broker_with()
    assert broker.light_curve("ZTF99zzzzzzz") is None
    assert broker.probabilities("ZTF99zzzzzzz") == []
    assert (len(server.requests), broker.retries) == (2, 0)


@pytest.mark.parametrize("lists", [{}, {"detections": None, "non_detections": None}, {"detections": [], "non_detections": []}])
def test_an_empty_light_curve_is_an_unknown_object(server, broker_with, monkeypatch, lists):
    monkeypatch.setattr(server, "answer", lambda path, query: (200, lists))
    assert broker_with().light_curve(OBJECT) is None
    assert len(server.requests) == 1


@pytest.mark.parametrize("failure", PASSING)
def test_a_failure_that_passes_changes_nothing_but_the_number_of_requests(server, broker_with, failure):
    server.failures = [failure, failure]
    broker = broker_with()
    assert broker.light_curve(OBJECT) == (server.objects[OBJECT]["detections"], server.objects[OBJECT]["non_detections"])
    assert (len(server.requests), broker.requests, broker.retries) == (3, 3, 2)


def test_a_bad_day_gives_the_same_content_as_a_good_one(server, broker_with):
    good = everything(broker_with(), {})
    n_good = len(server.requests)
    server.failures = ["broken", *itertools.chain.from_iterable((failure, "") for failure in PASSING), "dropped", "malformed"]
    assert everything(broker_with(), {}) == good
    assert len(server.requests) == 2 * n_good + len(PASSING) + 3


@pytest.mark.parametrize("failure", ["broken", "malformed", "other_form", "dropped", "slow"])
def test_tries_are_bounded_and_then_the_same_command_may_succeed_later(server, broker_with, failure):
    server.always = failure
    with pytest.raises(RetryableError, match=rf"light curve of {OBJECT}: no answer in 3 tries.*same command") as caught:
        broker_with(max_attempts=3).light_curve(OBJECT)
    assert caught.value.exit_code == 75
    assert len(server.requests) == 3


def test_waits_double_with_the_same_jitter_in_every_run(server, broker_with, time):
    waits = []
    for _ in range(2):
        time.sleeps.clear()
        server.failures = ["broken"] * 4
        broker_with(requests_per_second=1e9).light_curve(OBJECT)
        waits.append([wait for wait in time.sleeps if wait > 0.5])
    assert waits[0] == waits[1]
    assert all(2.0**i <= wait < 1.25 * 2.0**i for i, wait in enumerate(waits[0])) and len(waits[0]) == 4


@pytest.mark.parametrize(("failure", "seconds"), [("busy", 7.0), ("busy_until", 30.0)])
def test_the_server_s_own_wait_is_kept(server, broker_with, time, failure, seconds):
    server.failures = [failure]
    broker_with(backoff_s=0.0).light_curve(OBJECT)
    assert max(time.sleeps) == pytest.approx(seconds, abs=0.1)


def test_a_server_that_wants_an_hour_is_left_alone(server, broker_with, time):
    server.always = "busy_for_an_hour"
    with pytest.raises(RetryableError, match="asks to wait 3600 s"):
        broker_with().light_curve(OBJECT)
    assert len(server.requests) == 1 and sum(time.sleeps) == 0.0


def test_requests_keep_to_the_rate_limit_also_when_they_fail(server, broker_with, time):
    server.failures = ["dropped", "broken"]
    broker = broker_with(requests_per_second=4.0, backoff_s=0.0)
    for _ in range(9):
        broker.probabilities(OBJECT)
    assert len(server.requests) == 11
    assert time.seconds == pytest.approx(10 / 4.0)


def test_a_page_that_is_not_the_api_is_a_wrong_address_not_an_unknown_object(server, broker_with):
    server.always = "not_the_api"
    with pytest.raises(ConfigError, match=r"broker\.url.*HTTP 404"):
        broker_with().light_curve(OBJECT)
    assert len(server.requests) == 1


def test_an_address_that_is_none_is_a_wrong_setting(broker_with):
    with pytest.raises(ConfigError, match=r"broker\.url"):
        broker_with(url="ftp:/nowhere").light_curve(OBJECT)


def test_a_query_that_the_api_refuses_is_wrong_usage(server, broker_with):
    server.always = "bad_request"
    with pytest.raises(UsageError, match="check --query"):
        list(broker_with().pages({"ndet": ("five",)}))
    assert len(server.requests) == 1


def test_nobody_listening_is_tried_again(server, broker_with):
    server.close()
    broker = broker_with(max_attempts=2)
    with pytest.raises(RetryableError, match="ConnectionError"):
        broker.light_curve(OBJECT)
    assert broker.requests == 2
