"""Plain HTTP with the standard library only: nothing here knows our client, our records or the SDK."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

T = TypeVar("T")

RPC = "/ironflow.v1."
JSON = {"Content-Type": "application/json"}
PATIENCE = 30.0
ENDED = ("RUN_STATUS_COMPLETED", "RUN_STATUS_FAILED", "RUN_STATUS_CANCELLED")


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON; fails with the whole answer when it is something else."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise AssertionError(f"this is not JSON: {self}") from None

    @property
    def fault(self) -> tuple[int, str]:
        """The status and the code of a refusal whose body is as the protocol says."""
        assert self.headers.get("content-type", "").startswith("application/json"), self
        body = self.json
        assert isinstance(body, dict), self
        assert isinstance(body.get("message"), str), self
        assert body["message"].strip(), self
        assert isinstance(body.get("code"), str), self
        leaks = ("Traceback", 'File "', "sqlite", "msgspec", "0x7f")
        assert not [leak for leak in leaks if leak in body["message"]], self
        return self.status, body["code"]


@dataclass(frozen=True)
class Plain:
    """A server by its URL."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        headers: dict[str, str] | None = None,
        timeout: float = PATIENCE + 10,
    ) -> Answer:
        """Send one request on a connection of its own and return the answer, whatever its status."""
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port or 80, timeout=timeout)
        try:
            connection.request(method, path, body, {**self.headers, **(headers or {})})
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def rest(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        """Send a REST request; a body of None sends none."""
        encoded = None if body is None else json.dumps(body).encode()
        headers = {**JSON, **options.pop("headers", {})} if encoded is not None else None
        return self.send(method, path, encoded, headers=headers, **options)

    def post(self, procedure: str, body: Any = None, **options: Any) -> Answer:
        """Call `Method` of IronflowService, or `Service/Method`, and return the answer as it is."""
        name = procedure if "/" in procedure else f"IronflowService/{procedure}"
        raw = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        headers = {**JSON, **options.pop("headers", {})}
        return self.send("POST", RPC + name, raw, headers=headers, **options)

    def call(self, procedure: str, body: Any = None, **options: Any) -> Any:
        """Call a procedure that must succeed and return its message."""
        answer = self.post(procedure, body, **options)
        assert answer.status == 200, answer
        assert answer.headers["content-type"].startswith("application/json"), answer
        return answer.json

    # ---- what most scenarios do

    def emit(self, event: str, data: Any = None, **fields: Any) -> dict[str, Any]:
        """Emit an event; objects go in `data`, anything else in `dataValue`."""
        pair = {"data" if isinstance(data, dict) else "dataValue": data}
        found: dict[str, Any] = self.call("Emit", {"event": event, **pair, **fields})
        return found

    def start(self, event: str, data: Any = None, **fields: Any) -> str:
        """Emit an event that starts exactly one run and return the run's id."""
        found = self.emit(event, data, **fields)
        assert len(found.get("runIds", [])) == 1, found
        run_id: str = found["runIds"][0]
        return run_id

    def run(self, run_id: str) -> dict[str, Any]:
        """Return the run's row."""
        found: dict[str, Any] = self.call("GetRun", {"id": run_id})
        return found

    def steps(self, run_id: str) -> list[dict[str, Any]]:
        """Return the run's step rows, which must be in the order of their sequence."""
        rows: list[dict[str, Any]] = self.call("GetRunSteps", {"runId": run_id}).get("steps", [])
        sequences = [row.get("sequence", 0) for row in rows]
        assert sequences == sorted(set(sequences)), rows
        return rows

    def cancel(self, run_id: str, reason: str = "") -> dict[str, Any]:
        """Cancel a run that has not ended."""
        found: dict[str, Any] = self.call("CancelRun", {"id": run_id, "reason": reason})
        return found

    def ended(self, run_id: str) -> dict[str, Any]:
        """Wait for the run's end and return its row."""
        return until(lambda: ended_or_none(self.run(run_id)), f"{run_id} to end")

    def in_status(self, run_id: str, word: str) -> dict[str, Any]:
        """Wait until the run is in a status, given as `waiting`, and return its row."""
        wanted = f"RUN_STATUS_{word.upper()}"

        def probe() -> dict[str, Any] | None:
            row = self.run(run_id)
            assert row["status"] == wanted or row["status"] not in ENDED, row
            return row if row["status"] == wanted else None

        return until(probe, f"{run_id} to be {word}")

    def pages(self, procedure: str, key: str, **filters: Any) -> Iterator[list[Any]]:
        """Yield the pages of a listing, by its cursors."""
        cursor = ""
        while True:
            page = self.call(procedure, {**filters, "cursor": cursor})
            yield page.get(key, [])
            cursor = page.get("nextCursor", "")
            if not cursor:
                return


def ended_or_none(row: dict[str, Any]) -> dict[str, Any] | None:
    """Return the row if the run has ended."""
    return row if row["status"] in ENDED else None


def until(probe: Callable[[], T | None], what: str, *, patience: float = PATIENCE) -> T:
    """Ask again and again until the answer is not None (or false), and return it."""
    deadline = time.monotonic() + patience
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience:.0f} s for {what}")
        time.sleep(0.01)


def payload(row: dict[str, Any], name: str) -> Any:
    """Return the value of a payload pair (rpc.md section 2, rule 8)."""
    value = f"{name}Value"
    assert not (name in row and value in row), row
    assert isinstance(row.get(name, {}), dict), row
    assert not isinstance(row.get(value), dict), row
    return row.get(value, row.get(name))


def instant(text: str) -> int:
    """Return nanoseconds since 1970 of a time as protojson writes it: UTC, `Z`, 0, 3, 6 or 9 digits."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{3}|\d{6}|\d{9}))?Z", text)
    assert found, f"{text!r} is not a time as protojson writes it"
    whole = datetime.fromisoformat(found[1] + "+00:00")
    return int(whole.timestamp()) * 1_000_000_000 + int((found[2] or "").ljust(9, "0"))


def segment(text: str) -> str:
    """Return the text as one segment of a path."""
    return quote(text, safe="")
