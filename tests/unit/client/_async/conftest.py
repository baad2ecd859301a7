"""A client over a scripted transport: answers come from a list, requests are kept."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest

from ironflow_lab.client import AsyncClient
from ironflow_lab.models.instant import parse_instant
from ironflow_lab.wire.message import Request, Response
from ironflow_lab.wire.retry import RetryPolicy

NOW = parse_instant("2026-01-02T03:04:05Z")


class StillClock:
    """A clock that stands at `NOW`."""

    def now(self) -> int:
        return NOW


class AsyncScript:
    """A transport that plays answers in order; a client that asks more often fails the test."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.closed = False
        self._answers: deque[Response | Exception] = deque()

    def answer(self, body: Any = None, *, status: int = 200, **headers: str) -> None:
        """Add an answer; header names are written with underscores."""
        raw = body if isinstance(body, bytes) else msgspec.json.encode({} if body is None else body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._answers.append(Response(status=status, headers=named, body=raw))

    def fail(self, error: Exception) -> None:
        """Add a failure."""
        self._answers.append(error)

    @property
    def request(self) -> Request:
        """The one request that was sent."""
        assert len(self.requests) == 1
        return self.requests[0]

    @property
    def sent(self) -> Any:
        """The JSON of the one request."""
        return msgspec.json.decode(self.request.body or b"null")

    @property
    def all_sent(self) -> list[Any]:
        """The JSON of every request."""
        return [msgspec.json.decode(request.body or b"null") for request in self.requests]

    @property
    def unplayed(self) -> int:
        """How many answers nobody asked for."""
        return len(self._answers)

    async def send(self, request: Request) -> Response:
        self.requests.append(request)
        answer = self._answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer

    # async only: begin
    async def lines(self, request: Request) -> AsyncIterator[bytes]:
        for line in (await self.send(request)).body.splitlines():
            yield line

    # async only: end
    async def aclose(self) -> None:
        self.closed = True


@pytest.fixture
def script() -> Iterator[AsyncScript]:
    """The transport of `client`."""
    played = AsyncScript()
    yield played
    assert played.unplayed == 0, "the client did not ask for every answer"


@pytest.fixture
def client(script: AsyncScript) -> AsyncClient:
    """A client whose calls go to `script` and whose retries do not wait."""
    return AsyncClient(
        "http://127.0.0.1:9123",
        retry=RetryPolicy(initial=0.0),
        transport=script,
        clock=StillClock(),
    )
