"""Events over REST: reading them, and the older way to emit one (rest.md, Events)."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import msgspec

from ironflow_lab.errors import InvalidArgumentError, NotFoundError
from ironflow_lab.models.instant import Int32, parse_instant
from ironflow_lab.server.engine.commands import EmitEvent
from ironflow_lab.server.engine.ports import Desk, EventsAsked, Reads
from ironflow_lab.server.protocol.events import emitting_run
from ironflow_lab.server.protocol.exchange import Exchange
from ironflow_lab.server.protocol.messages import read
from ironflow_lab.wire import codec
from ironflow_lab.wire.rest import EVENT_NAMES, EVENTS

_MOST_NAMES = 100


class PostedEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An event as older clients post it; `data` is any JSON value."""

    name: str = ""
    data: Any = None
    metadata: dict[str, Any] | None = None
    idempotency_key: str = ""
    version: Int32 = 0


class EventLog:
    """What was recorded."""

    def __init__(self, desk: Desk, reads: Reads) -> None:
        self._desk, self._reads = desk, reads

    async def serve(self, exchange: Exchange) -> None:
        """Answer a REST call about events; raises `ApiError` for a refusal."""
        answer: Any
        match exchange.method, exchange.path:
            case "GET", path if path == EVENTS:
                asked = _asked(exchange)
                answer = await self._reads.events(exchange.env, asked)
            case "GET", path if path == EVENT_NAMES:
                asked = _asked(exchange)
                answer = await self._reads.event_names(exchange.env, asked)
            case "GET", path if path.startswith(EVENTS + "/"):
                answer = await self._reads.event(exchange.env, unquote(path.removeprefix(EVENTS + "/")))
            case "POST", path if path == EVENTS:
                answer = await self._emit(exchange)
            case _:
                raise NotFoundError(f"no route {exchange.method} {exchange.path} on this embedded server")
        await exchange.answer(200, codec.encode(answer))

    async def _emit(self, exchange: Exchange) -> dict[str, Any]:
        exchange.require_json()
        message: PostedEvent = read(await exchange.body(), PostedEvent)
        command = EmitEvent(
            env=exchange.env,
            name=message.name,
            data=codec.encode(message.data),
            metadata=None if message.metadata is None else codec.encode(message.metadata),
            version=message.version or 1,
            idempotency_key=message.idempotency_key,
            run_id=await emitting_run(exchange, self._reads),
        )
        answer = await self._desk.submit(command)
        return {"event_id": answer.event_id, "run_ids": answer.run_ids}


def _asked(exchange: Exchange) -> EventsAsked:
    query = exchange.query
    return EventsAsked(
        name=query.get("name", ""),
        names=_listed(exchange, "names"),
        sources=_listed(exchange, "source"),
        since=_instant(exchange, "since"),
        until=_instant(exchange, "until"),
        search=query.get("search", "").strip(),
        limit=exchange.number("limit", 0),
        cursor=query.get("cursor", ""),
        before=query.get("before", ""),
    )


def _listed(exchange: Exchange, name: str) -> tuple[str, ...]:
    values = tuple(value for value in exchange.query.get(name, "").split(",") if value)
    if len(values) > _MOST_NAMES:
        raise InvalidArgumentError(f"{name} lists {len(values)} words; at most {_MOST_NAMES} can be asked for at once")
    return values


def _instant(exchange: Exchange, name: str) -> int:
    text = exchange.query.get(name, "")
    try:
        return int(parse_instant(text)) if text else 0
    except ValueError as error:
        raise InvalidArgumentError(f"{name} cannot be read: {error}") from None
