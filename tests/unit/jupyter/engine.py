"""A server in memory, as much of it as the handlers ask for, behind the client's transport."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import msgspec

from ironflow_lab.client import AsyncClient
from ironflow_lab.client.config import Settings
from ironflow_lab.errors import UnavailableError
from ironflow_lab.jupyter.upstream import Upstream
from ironflow_lab.models.audit import AuditEvent, AuditFollow, AuditTrail
from ironflow_lab.models.runs import GetRunStepsResponse, Run, Step
from ironflow_lab.wire import codec
from ironflow_lab.wire.message import Request, Response
from ironflow_lab.wire.retry import NO_RETRY

URL = "http://127.0.0.1:9123"


class Engine:
    """Answers from what a test puts into it; `extras` are the routes it has, `asked` what it was asked for."""

    def __init__(self, *extras: str) -> None:
        self.extras = extras
        self.trail: list[AuditEvent] = []
        self.runs: dict[str, Run] = {}
        self.steps: tuple[Step, ...] = ()
        self.asked: list[str] = []
        self.health: dict[str, Any] = {"status": "ok", "version": "9", "instance": "i-1"}
        self.down = False
        self.page = 1000

    def upstream(self, url: str = URL) -> Upstream:
        """Return this server as the handlers have it."""
        settings = Settings(server_url=url)
        return Upstream(self.client(settings), settings)

    def client(self, settings: Settings) -> AsyncClient:
        """Return a client of this server."""
        return AsyncClient(settings.server_url, settings.api_key, settings.environment, transport=self, retry=NO_RETRY)

    async def send(self, request: Request) -> Response:
        """Answer one request."""
        if self.down:
            raise UnavailableError("no answer")
        name = request.path.rsplit("/", 1)[1]
        self.asked.append(name)
        status, content = getattr(self, f"_{name}")(request)
        return Response(status=status, headers={"content-type": "application/json"}, body=codec.encode(content))

    async def lines(self, request: Request) -> AsyncIterator[bytes]:
        """Give nothing: no handler asks for an answer that stays open."""
        for _ in ():
            yield b""

    async def aclose(self) -> None:
        """Nothing is open."""

    def _health(self, _request: Request) -> tuple[int, Any]:
        return 200, self.health

    def _capabilities(self, _request: Request) -> tuple[int, Any]:
        return 200, {"lab": self.extras}

    def _GetRun(self, request: Request) -> tuple[int, Any]:
        run = self.runs.get(self._sent(request)["id"])
        return (404, {"code": "not_found", "message": "no such run"}) if run is None else (200, run)

    def _GetRunSteps(self, _request: Request) -> tuple[int, Any]:
        return 200, GetRunStepsResponse(steps=self.steps)

    def _GetAuditTrail(self, request: Request) -> tuple[int, Any]:
        begin = int(self._sent(request).get("cursor", "0"))
        end = begin + self.page
        more = str(end) if len(self.trail) > end else ""
        return 200, AuditTrail(events=tuple(self.trail[begin:end]), next_cursor=more)

    def _audit(self, request: Request) -> tuple[int, Any]:
        run_id = unquote(request.path.split("/")[-2])
        if run_id not in self.runs:
            return 404, {"code": "not_found", "message": "no such run"}
        begin = int(dict(request.query).get("cursor", "0"))
        found = tuple(self.trail[begin : begin + self.page])
        return 200, AuditFollow(events=found, next_cursor=str(begin + len(found)))

    def _sent(self, request: Request) -> Any:
        return msgspec.json.decode(request.body or b"{}")
