"""The ASGI application: who answers which path, and every error as an answer."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from ironflow_lab.clock import Clock
from ironflow_lab.errors import ApiError, InternalError, InvalidArgumentError, NotFoundError, PermissionDeniedError
from ironflow_lab.models.instant import format_instant
from ironflow_lab.models.runs import TERMINAL
from ironflow_lab.models.server import Capabilities, Health, Ready
from ironflow_lab.server.engine.ports import Reads
from ironflow_lab.server.protocol.connect import Connect
from ironflow_lab.server.protocol.eventlog import EventLog
from ironflow_lab.server.protocol.exchange import Disconnected, Exchange, Receive, Scope, Send, first
from ironflow_lab.server.protocol.history import History
from ironflow_lab.server.protocol.messages import read
from ironflow_lab.server.protocol.runs import Runs
from ironflow_lab.server.protocol.secrets import Secrets
from ironflow_lab.server.protocol.waiting import Waiting
from ironflow_lab.server.protocol.workers import Workers
from ironflow_lab.wire import codec, discovery
from ironflow_lab.wire.connect import SERVICE
from ironflow_lab.wire.rest import (
    AUDIT,
    EVENTS,
    LAB_AUDIT,
    LAB_WAIT,
    LAB_WHY,
    SECRETS,
    WORKERS,
    RunsWaitRequest,
    RunsWaitResponse,
)

log = logging.getLogger("ironflow_lab.server")

_LAB_WORKERS = "/lab/v1/workers/"
_LAB_RUNS, _FOLLOW = LAB_AUDIT.split("{}")
_, _WHY = LAB_WHY.split("{}")
LAB_ROUTES = ("runs/audit", "runs/wait", "runs/why", "workers/lease")
FEATURES = (
    "functions",
    "events",
    "runs",
    "steps",
    "sleep",
    "wait-for-event",
    "invoke",
    "publish",
    "compensation",
    "retry",
    "pause",
    "inject",
    "patch",
    "resume",
    "redaction",
    "function-history",
    "trigger-expressions",
    "concurrency",
    "polling-workers",
    "secrets",
    "recording",
    "audit",
    "time-travel",
)


class App:
    """Routes requests; every failure becomes an answer that names the remedy."""

    def __init__(
        self,
        *,
        connect: Connect,
        workers: Workers,
        history: History,
        events: EventLog,
        runs: Runs,
        secrets: Secrets,
        waiting: Waiting,
        reads: Reads,
        clock: Clock,
        version: str,
        token: str,
    ) -> None:
        self._connect, self._workers, self._history, self._runs = connect, workers, history, runs
        self._events, self._secrets = events, secrets
        self._waiting, self._reads, self._clock = waiting, reads, clock
        self._version, self._token = version, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send)
        try:
            self._check_host(exchange)
            await self._serve(exchange)
        except Disconnected:
            return
        except ApiError as error:
            await exchange.refuse(error)
        except Exception:
            # The edge of the process: a client gets a classified answer, the log the traceback.
            log.exception("%s %s failed", exchange.method, exchange.path)
            await exchange.refuse(InternalError(f"the server failed on {exchange.path}; its log says more"))

    async def _serve(self, exchange: Exchange) -> None:
        path = exchange.path
        if path.startswith(SERVICE):
            await self._connect.serve(exchange)
        elif path.startswith(WORKERS):
            await self._workers.serve(exchange)
        elif path.startswith(AUDIT):
            await self._history.serve(exchange)
        elif path == EVENTS or path.startswith(EVENTS + "/"):
            await self._events.serve(exchange)
        elif path == SECRETS or path.startswith(SECRETS + "/"):
            await self._secrets.serve(exchange)
        elif path.startswith(_LAB_RUNS) and path.endswith(_FOLLOW) and exchange.method == "GET":
            await self._history.follow(exchange, unquote(path[len(_LAB_RUNS) : -len(_FOLLOW)]))
        elif path.startswith(_LAB_RUNS) and path.endswith(_WHY) and exchange.method == "GET":
            await self._runs.why(exchange, unquote(path[len(_LAB_RUNS) : -len(_WHY)]))
        elif path == LAB_WAIT and exchange.method == "POST":
            await self._wait(exchange)
        elif path.startswith(_LAB_WORKERS) and path.endswith("/lease") and exchange.method == "GET":
            await self._workers.lease(exchange, unquote(path[len(_LAB_WORKERS) : -len("/lease")]))
        else:
            await self._discover(exchange)

    async def _discover(self, exchange: Exchange) -> None:
        answer: Any
        # A probe may ask for the head alone; the body is then left out below us.
        match ("GET" if exchange.method == "HEAD" else exchange.method, exchange.path):
            case ("GET", "/health"):
                now = format_instant(self._clock.now())
                answer = Health(status="ok", timestamp=now, version=self._version, instance=self._token)
            case ("GET", "/ready"):
                answer = Ready(status="ready")
            case ("GET", "/api/v1/capabilities"):
                answer = Capabilities(transports=("polling",), features=FEATURES, version=self._version, lab=LAB_ROUTES)
            case _:
                raise NotFoundError(f"no route {exchange.method} {exchange.path} on this embedded server")
        await exchange.answer(200, msgspec.json.encode(answer))

    async def _wait(self, exchange: Exchange) -> None:
        exchange.require_json()
        message: RunsWaitRequest = read(await exchange.body(), RunsWaitRequest)
        if message.timeout_ms < 0:
            raise InvalidArgumentError("timeout_ms must not be negative")
        env = exchange.env
        wait = self._waiting.until_ended(
            message.run_ids,
            lambda ids: self._stopped(env, ids),
            terminal_only=False,
            timeout=message.timeout_ms / 1000,
        )
        await first(wait, exchange.gone())
        results = await self._reads.results(env, message.run_ids)
        known = {result.run_id for result in results}
        ended = (result.run_id for result in results if result.status in TERMINAL or result.status == "paused")
        unknown = tuple(run_id for run_id in message.run_ids if run_id not in known)
        await exchange.answer(200, codec.encode(RunsWaitResponse(ended=tuple(ended), unknown=unknown)))

    async def _stopped(self, env: str, run_ids: tuple[str, ...]) -> Iterable[str]:
        results = await self._reads.results(env, run_ids)
        going = {one.run_id for one in results if one.status not in TERMINAL and one.status != "paused"}
        return [run_id for run_id in run_ids if run_id not in going]

    def _check_host(self, exchange: Exchange) -> None:
        # A page on another site can make a browser resolve its own name to this machine.
        host = exchange.headers.get("host", "localhost")
        if not _is_here(host):
            raise PermissionDeniedError(f"this server answers only to localhost and loopback addresses, not {host!r}")


@lru_cache(maxsize=64)
def _is_here(host: str) -> bool:
    return discovery.is_loopback("//" + host) and urlsplit("//" + host).username is None
