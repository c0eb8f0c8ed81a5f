"""ALeRCE's API behind good manners: one request at a time, a rate limit, time-outs, and retries with back-off.

The `alerce` client has none of these, and knows two of the failures that happen. They are put into its HTTP session, so its routes and
forms stay its own. Imported only where the broker is asked, because the client is an extra.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import requests
from alerce.core import Alerce
from alerce.exceptions import APIError, ObjectNotFoundError
from requests.adapters import HTTPAdapter

from deeprubin_spark.errors import ConfigError, RetryableError, UsageError
from deeprubin_spark.settings import BrokerSettings

# The client asks for it by name, and will make it mandatory: without it the API that answers is another one.
SURVEY = "ztf"
_LONGEST_WAIT_S = 600.0  # a server that asks for more than this is not worth holding a cluster for
_TRY_AGAIN = {408, 425, 429}
_WRONG_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.TooManyRedirects,
)
Record = dict[str, Any]


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.timezone.utc)


@dataclass(frozen=True)
class Clock:
    """Where time comes from, so that a test can wait an hour in no time: seconds of any origin, a sleep in seconds, and the date (UTC)."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], dt.datetime] = _utc_now


class _Busy(requests.RequestException):
    """The server is there but cannot answer now; `retry_after` is what it asks for, as it came."""

    def __init__(self, status: int, retry_after: str) -> None:
        super().__init__(f"HTTP {status}")
        self.retry_after = retry_after


class _Refused(requests.RequestException):
    """The server will never answer this request."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"HTTP {status}: {text}")
        self.status = status


class _Polite(HTTPAdapter):
    """Waits its turn before each request, never waits for an answer for ever, and tells failures apart by their status."""

    def __init__(self, timeout_s: float, wait_turn: Callable[[], None]) -> None:
        super().__init__()
        self._timeout_s = timeout_s
        self._wait_turn = wait_turn

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """`HTTPAdapter.send` with our time-out [s]. _Busy or _Refused instead of an answer that is none."""
        self._wait_turn()
        response = super().send(request, *args, **kwargs | {"timeout": self._timeout_s})
        status = response.status_code
        if status in _TRY_AGAIN or status >= 500:
            retry_after = response.headers.get("Retry-After", "")
            response.close()
            raise _Busy(status, retry_after)
        is_unknown_object = status == 404 and "json" in response.headers.get("Content-Type", "")
        if status >= 400 and not is_unknown_object:
            raise _Refused(status, response.text[:200])
        return response


class Broker:
    """ALeRCE's ZTF objects. `requests` and `retries` count what was asked; a method whose tries are used up raises RetryableError."""

    def __init__(self, settings: BrokerSettings, clock: Clock | None = None) -> None:
        """Make the client; nothing is asked yet."""
        self.clock = clock or Clock()
        self.requests = 0
        self.retries = 0
        self._settings = settings
        self._next_turn = self.clock.monotonic()
        self._client = Alerce()
        ztf = self._client.legacy_ztf_client
        if settings.url:
            ztf.load_config_from_object({"ZTF_API_URL": settings.url.rstrip("/")})
        polite = _Polite(settings.timeout_s, self._wait_turn)
        ztf.session.mount("https://", polite)
        ztf.session.mount("http://", polite)

    def pages(self, query: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, ...]]:
        """Object ids that fit `query` (the client's own filter names), page by page until there are no more.

        Sorted by id unless the query sorts, because pages of an unsorted list overlap and leave gaps.
        """
        order = {} if "order_by" in query else {"order_by": ["oid"], "order_mode": ["ASC"]}
        asked: dict[str, Any] = {**order, **query, "page_size": self._settings.page_size, "count": "false"}
        page, has_next = 1, True
        while has_next:
            ask = partial(self._client.query_objects, format="json", survey=SURVEY, **asked, page=page)
            answer = self._ask(f"page {page} of the objects", ask, _is_page)
            items = answer["items"] if answer else []
            if items:
                yield tuple(item["oid"] for item in items)
            has_next = bool(items) and bool(answer["has_next"])
            page += 1

    def light_curve(self, object_id: str) -> tuple[list[Record], list[Record]] | None:
        """Detections and non-detections of an object as the API gives them, or None where it knows no such object.

        One request for both. Some versions of the API answer 404 to an unknown object, others an empty light curve.
        """
        ask = partial(self._client.query_lightcurve, object_id, format="json", survey=SURVEY)
        answer = self._ask(f"light curve of {object_id}", ask, _is_light_curve)
        if not answer or not answer.get("detections"):
            return None
        return answer["detections"], answer.get("non_detections") or []

    def probabilities(self, object_id: str) -> list[Record]:
        """Class probabilities of an object by every classifier, as the API gives them; none where it was never classified."""
        ask = partial(self._client.query_probabilities, object_id, format="json", survey=SURVEY)
        answer = self._ask(f"probabilities of {object_id}", ask, _are_records)
        return list(answer or [])

    def _ask(self, what: str, ask: Callable[[], Any], has_form: Callable[[Any], bool]) -> Any:
        """The answer to `ask`, or None for 404. Tries again what may pass; `has_form` tells an answer from a broken one."""
        attempt = 1
        while True:
            retry_after = ""
            try:
                answer = ask()
                if has_form(answer):
                    return answer
                problem = f"an answer of another form: {str(answer)[:120]!r}"
            except ObjectNotFoundError:
                return None
            except (APIError, _Refused) as error:
                raise self._refusal(what, error) from error
            except _WRONG_ADDRESS as error:
                raise ConfigError(f"broker.url: {what}: {error}; expected the base URL of ALeRCE's API") from error
            except _Busy as busy:
                problem, retry_after = str(busy), busy.retry_after
            except requests.RequestException as error:  # connection, time-out, cut answer, not JSON
                problem = f"{type(error).__name__}: {error}"
            self._wait_after(what, attempt, problem, retry_after)
            attempt += 1

    def _wait_after(self, what: str, attempt: int, problem: str, retry_after: str) -> None:
        """Sleep before the next try; RetryableError where there is none left, or the server asks for too long a wait."""
        if attempt >= self._settings.max_attempts:
            raise RetryableError(
                f"ALeRCE: {what}: no answer in {attempt} tries, last: {problem[:300]}; what was fetched is kept, "
                "the same command goes on from there (or raise broker.max_attempts, broker.timeout_s)"
            )
        asked = _seconds(retry_after, self.clock.now())
        if asked > _LONGEST_WAIT_S:
            raise RetryableError(f"ALeRCE: {what}: {problem}, asks to wait {asked:.0f} s; run the same command after that")
        self.clock.sleep(max(asked, self._settings.backoff_s * 2.0 ** (attempt - 1) * _jitter(what, attempt)))
        self.retries += 1

    def _wait_turn(self) -> None:
        """Sleep until the rate limit allows a request, and count it."""
        wait = self._next_turn - self.clock.monotonic()
        if wait > 0.0:
            self.clock.sleep(wait)
        self._next_turn = self.clock.monotonic() + 1.0 / self._settings.requests_per_second
        self.requests += 1

    def _refusal(self, what: str, error: Exception) -> UsageError | ConfigError:
        if getattr(error, "status", None) == 400:
            return UsageError(f"ALeRCE refuses the request for {what}: {error}; check --query")
        return ConfigError(f"broker.url: {what}: {error}; expected ALeRCE's API at {self._settings.url or 'its own address'}")


def _jitter(what: str, attempt: int) -> float:
    """[1] 1 to 1.25, the same in every run: spreads the tries of many drivers, and a test can count on it."""
    digest = hashlib.sha256(f"{what} {attempt}".encode()).digest()
    return 1.0 + 0.25 * int.from_bytes(digest[:4], "big") / 2.0**32


def _seconds(retry_after: str, now: dt.datetime) -> float:
    """[s] The wait that a Retry-After header asks for (a number or a date, RFC 9110 section 10.2.3); 0 where it says neither."""
    text = retry_after.strip()
    if text.isdigit():
        return float(text)
    try:
        until = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return 0.0
    if until.tzinfo is None:
        until = until.replace(tzinfo=dt.timezone.utc)
    return max(0.0, (until - now).total_seconds())


def _are_records(answer: Any) -> bool:
    return isinstance(answer, list) and all(isinstance(record, dict) for record in answer)


def _is_light_curve(answer: Any) -> bool:
    """Both lists; the API has sent {} and nulls for an object that it does not know."""
    return (
        isinstance(answer, dict)
        and all(answer.get(name) is None or _are_records(answer[name]) for name in ("detections", "non_detections"))
        and (not answer or "detections" in answer)
    )


def _is_page(answer: Any) -> bool:
    return (
        isinstance(answer, dict)
        and "has_next" in answer
        and _are_records(answer.get("items"))
        and all(isinstance(item.get("oid"), str) for item in answer["items"])
    )
