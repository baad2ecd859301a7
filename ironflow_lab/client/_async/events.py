"""Events: emitting (IronflowService; rpc.md section 6), reading and redacting them (rest.md, Events)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from ironflow_lab.client import arguments, queries
from ironflow_lab.client._async import pagination
from ironflow_lab.client._async.connection import AsyncConnection
from ironflow_lab.client.arguments import When
from ironflow_lab.client.batches import EventToEmit, batch, fields
from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.models.events import (
    Event,
    EventNames,
    EventPage,
    RedactEventRequest,
    TriggerBatchResponse,
    TriggerRequest,
    TriggerResponse,
    TriggerSyncRequest,
    TriggerSyncResponse,
)
from ironflow_lab.wire import rest
from ironflow_lab.wire.duration import Duration
from ironflow_lab.wire.message import Request, Response


class AsyncEvents:
    """`client.events`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def emit(
        self,
        event: str,
        data: Any = None,
        *,
        idempotency_key: str = "",
        version: int = 0,
        metadata: Mapping[str, Any] | None = None,
        run_id: str = "",
    ) -> TriggerResponse:
        """Record an event and start every function that matches it; return the run ids at once.

        `data` is any value with a JSON form; None sends no payload. With an `idempotency_key` the
        call is sent again when the server cannot be reached, and a repeat starts nothing new. `run_id`
        says in which run it is emitted.
        """
        message = _event(event, data, idempotency_key, version, metadata)
        return await self._start("IronflowService/Emit", message, run_id)

    async def trigger(
        self,
        event: str,
        data: Any = None,
        *,
        idempotency_key: str = "",
        version: int = 0,
        metadata: Mapping[str, Any] | None = None,
    ) -> TriggerResponse:
        """Do what `emit` does, by the older name of the procedure."""
        return await self._start("IronflowService/Trigger", _event(event, data, idempotency_key, version, metadata))

    async def emit_sync(
        self,
        event: str,
        data: Any = None,
        *,
        timeout: Duration = "30s",
        idempotency_key: str = "",
        version: int = 0,
        metadata: Mapping[str, Any] | None = None,
    ) -> TriggerSyncResponse:
        """Emit an event and wait for the runs it starts; return one result per run.

        A run that still goes on after `timeout` has `wait_timed_out` set and goes on. The server
        holds the answer; the call itself gives up five seconds later.
        """
        held = arguments.hold("timeout", timeout)
        given = fields(event, data, idempotency_key, version, metadata)
        return await self._connection.unary(
            "IronflowService/TriggerSync",
            TriggerSyncRequest(timeout_ms=held, **given),
            TriggerSyncResponse,
            wait=held / 1_000,
            keyed=bool(idempotency_key),
        )

    async def emit_batch(self, events: Iterable[EventToEmit]) -> tuple[TriggerResponse, ...]:
        """Emit several events in one call; return what became of each, in their order.

        An event is a dict with the key `event` and, where wanted, `data`, `idempotency_key`, `version` and
        `metadata`, as for `emit`. One that was refused has `error` set and does not stop the others. The
        call is sent again when the server cannot be reached if every event has a key. The embedded server
        takes 1,000 at once.
        """
        message = batch(events)
        if not message.events:
            return ()
        keyed = all(event.idempotency_key for event in message.events)
        answer = await self._connection.unary(
            "IronflowService/TriggerBatch", message, TriggerBatchResponse, keyed=keyed
        )
        return answer.results

    async def get(self, event_id: str) -> Event:
        """Return one event; raises `NotFoundError`."""
        request = rest.event(arguments.identifier("the event id", event_id))
        return await self._connection.call(request, lambda response: rest.read(response, Event))

    async def list(
        self,
        *,
        name: str = "",
        names: Iterable[str] = (),
        source: str | Iterable[str] = (),
        since: When | None = None,
        until: When | None = None,
        search: str = "",
        limit: int = 0,
        cursor: str = "",
        before: str = "",
    ) -> EventPage:
        """Return a page of events, newest first.

        `name` is one exact name, `names` and `source` any of several; `since` and `until` take an aware
        datetime, an RFC 3339 text or "2h" (ago). The embedded server looks for `search` in id, name,
        idempotency key and data, in any case, and a page of a search may hold few or none and still have
        a next one. `limit` 0 is the server's default (20). `cursor` (a page's `next_cursor`) gives older
        events, `before` (its `prev_cursor`) newer ones.
        """
        if cursor and before:
            raise InvalidArgumentError("give cursor or before, not both: they go in opposite directions")
        asked = queries.events(
            self._now(), name=name, names=names, source=source, since=since, until=until, search=search
        )
        request = rest.events_list(**asked, limit=arguments.count("limit", limit), cursor=cursor, before=before)
        return await self._connection.call(request, _read_page)

    def iterate(
        self,
        *,
        name: str = "",
        names: Iterable[str] = (),
        source: str | Iterable[str] = (),
        since: When | None = None,
        until: When | None = None,
        search: str = "",
        page_size: int = 100,
    ) -> AsyncIterator[Event]:
        """Yield every event that `list` would find with these filters, newest first."""
        asked = queries.events(
            self._now(), name=name, names=names, source=source, since=since, until=until, search=search
        )

        def write(cursor: str, limit: int) -> Request:
            return rest.events_list(**asked, limit=limit, cursor=cursor)

        size = arguments.count("page_size", page_size, lowest=1)
        return pagination.items(
            pagination.walk(self._connection, write, _read_page, page_size=size), lambda page: page.events
        )

    async def names(
        self, *, source: str | Iterable[str] = (), since: When | None = None, until: When | None = None
    ) -> EventNames:
        """Return which names the newest events bear, and how many of those that were looked at bear each."""
        found = queries.events(self._now(), name="", names=(), source=source, since=since, until=until, search="")
        request = rest.event_names(sources=found["sources"], since=found["since"], until=found["until"])
        return await self._connection.call(request, lambda response: rest.read(response, EventNames))

    async def redact(self, event_id: str) -> None:
        """Replace an event's data by a marker, for good; doing so again changes nothing.

        The input of the runs it started is the marker from then on, in their audit trails too. Raises
        `NotFoundError`.
        """
        message = RedactEventRequest(event_id=arguments.identifier("the event id", event_id))
        await self._connection.unary("IronflowService/RedactEvent", message, dict)

    async def _start(self, procedure: str, message: TriggerRequest, run_id: str = "") -> TriggerResponse:
        return await self._connection.unary(
            procedure,
            message,
            TriggerResponse,
            keyed=bool(message.idempotency_key),
            run_id=arguments.attribution(run_id),
        )

    def _now(self) -> int:
        return self._connection.clock.now()


def _read_page(response: Response) -> EventPage:
    return rest.read(response, EventPage)


def _event(
    event: str, data: Any, idempotency_key: str, version: int, metadata: Mapping[str, Any] | None
) -> TriggerRequest:
    return TriggerRequest(**fields(event, data, idempotency_key, version, metadata))
