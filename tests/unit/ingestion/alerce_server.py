"""A server on this machine that answers in the forms of ALeRCE's ZTF API, and fails when it is told to.

Forms: alercebroker/web-services (`api/sql/*/models.py`); objects: tests/data/alerce.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

DATA = Path(__file__).parents[2] / "data" / "alerce"
PREFIX = "/ztf/v1/objects"
SLOW_S = 0.6  # longer than the time-out that the tests set


def known_objects() -> dict[str, dict]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(DATA.glob("*.json"))}


class AlerceServer:
    """`requests` lists the path of every request; `failures` ("" is none) are used up one a request, on paths that hold `failing`."""

    def __init__(self) -> None:
        self.objects = known_objects()
        self.requests: list[str] = []
        self.failures: list[str] = []
        self.failing = ""
        self.always = ""
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"api": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def asked(self, fragment: str) -> int:
        return sum(fragment in path for path in self.requests)

    def next_failure(self, path: str) -> str:
        with self._lock:
            self.requests.append(path)
            if self.failing not in path:
                return ""
            return self.always or (self.failures.pop(0) if self.failures else "")

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, object]:
        parts = path.removeprefix(PREFIX).strip("/").split("/")
        if not path.startswith(PREFIX):
            return 404, {"message": "The requested URL was not found on the server."}
        if parts == [""]:
            return 200, self._page(query)
        record = self.objects.get(parts[0])
        if record is None:
            return 404, {"errors": {"code": 404}, "detail": "Object not found"}
        if parts[1:] == ["lightcurve"]:
            return 200, {name: record[name] for name in ("detections", "non_detections")}
        if parts[1:] in (["detections"], ["non_detections"], ["probabilities"]):
            return 200, record[parts[1]]
        return 404, {"message": "no such route"}

    def _page(self, query: dict[str, list[str]]) -> dict:
        items = [_object_item(oid, record) for oid, record in sorted(self.objects.items())]
        if "class" in query:
            items = [item for item in items if item["class"] in query["class"]]
        if "ndet" in query and query["ndet"][0].isdigit():
            items = [item for item in items if item["ndet"] >= int(query["ndet"][0])]
        if "oid" in query:
            items = [item for item in items if item["oid"] in query["oid"]]
        page, size = int(query.get("page", ["1"])[0]), int(query.get("page_size", ["10"])[0])
        has_next, has_prev = page * size < len(items), page > 1
        return {
            "total": None,
            "page": page,
            "next": page + 1 if has_next else None,
            "has_next": has_next,
            "prev": page - 1 if has_prev else None,
            "has_prev": has_prev,
            "items": items[(page - 1) * size : page * size],
        }


def _object_item(oid: str, record: dict) -> dict:
    detections = record["detections"]
    best = next(p for p in record["probabilities"] if p["classifier_name"] == "lc_classifier" and p["ranking"] == 1)
    return {
        "oid": oid,
        "ndethist": str(len(detections)),
        "ncovhist": len(detections) + len(record["non_detections"]),
        "corrected": detections[0]["corrected"],
        "stellar": False,
        "ndet": len(detections),
        "firstmjd": detections[0]["mjd"],
        "lastmjd": detections[-1]["mjd"],
        "meanra": detections[0]["ra"],
        "meandec": detections[0]["dec"],
        "class": best["class_name"],
        "classifier": "lc_classifier",
        "probability": best["probability"],
    }


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up, as one does that waited too long, is part of the tests; anything else is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    api: AlerceServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        failure = self.api.next_failure(self.path)
        status, answer = self.api.answer(split.path, parse_qs(split.query))
        body = json.dumps(answer).encode()
        if failure == "busy":
            self._send(429, b'"30 per 1 minute"', {"Retry-After": "7"})
        elif failure == "busy_for_an_hour":
            self._send(429, b'"50 per 1 hour"', {"Retry-After": "3600"})
        elif failure == "busy_until":
            self._send(503, b"<html>maintenance</html>", {"Retry-After": "Thu, 29 Nov 2018 00:00:30 GMT"}, "text/html")
        elif failure == "broken":
            self._send(500, b"<html>Internal Server Error</html>", {}, "text/html")
        elif failure == "malformed":
            self._send(200, body[: len(body) // 2])
        elif failure == "other_form":
            self._send(200, b'{"message": "upgrade in progress"}')
        elif failure == "not_the_api":
            self._send(404, b"<html>404 Not Found nginx</html>", {}, "text/html")
        elif failure == "bad_request":
            self._send(400, b'{"errors": {"ndet": "invalid literal"}, "message": "Input payload validation failed"}')
        elif failure == "dropped":
            self._drop()
        elif failure == "cut":
            self._send(200, body[: len(body) // 2], {"Content-Length": str(len(body))})
            self._drop()
        elif failure == "slow":
            time.sleep(SLOW_S)
            self.close_connection = True
        else:
            self._send(status, body)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None, kind: str = "application/json") -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": kind, "Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _drop(self) -> None:
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: `requests` is the log."""
