"""Recording events: the procedures that start runs by them and may wait for what they start (rpc.md section 6)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

import msgspec

from ironflow_lab.errors import ApiError, InvalidArgumentError
from ironflow_lab.models import events, pubsub, runs
from ironflow_lab.server.engine.commands import EmitEvent, Publish, RedactEvent
from ironflow_lab.server.engine.ports import Desk, Reads
from ironflow_lab.server.protocol.connect import Procedures
from ironflow_lab.server.protocol.exchange import Exchange, first
from ironflow_lab.server.protocol.waiting import Waiting
from ironflow_lab.wire import codec
from ironflow_lab.wire.connect import RUN_HEADER

SYNC_TIMEOUT_MS = 30_000
MOST_EVENTS = 1_000
_NAMESPACES = ("", "default")

# The messages that carry one event.
Emitted = events.TriggerRequest | events.TriggerSyncRequest | pubsub.EmitRequest


class Events:
    """What starts runs, and what is published beside it."""

    def __init__(self, desk: Desk, reads: Reads, waiting: Waiting) -> None:
        self._desk, self._reads, self._waiting = desk, reads, waiting

    @property
    def procedures(self) -> Procedures:
        """The Connect procedures, by service and method."""
        return {
            "IronflowService/Emit": (events.TriggerRequest, self._emit),
            "IronflowService/Trigger": (events.TriggerRequest, self._emit),
            "IronflowService/TriggerSync": (events.TriggerSyncRequest, self._emit_sync),
            "IronflowService/TriggerBatch": (events.TriggerBatchRequest, self._emit_batch),
            "IronflowService/RedactEvent": (events.RedactEventRequest, self._redact),
            "PubSubService/Emit": (pubsub.EmitRequest, self._emit_named),
            "PubSubService/Publish": (pubsub.PublishRequest, self._publish),
        }

    async def _emit(self, exchange: Exchange, message: events.TriggerRequest) -> Any:
        return await self._desk.submit(_event(exchange.env, message, await emitting_run(exchange, self._reads)))

    async def _emit_named(self, exchange: Exchange, message: pubsub.EmitRequest) -> Any:
        if message.namespace not in _NAMESPACES:
            raise InvalidArgumentError(f"no namespace {message.namespace!r} here: leave it out, or write 'default'")
        command = _event(exchange.env, message, await emitting_run(exchange, self._reads))
        answer = await self._desk.submit(command)
        return pubsub.EmitResponse(event_id=answer.event_id, run_ids=answer.run_ids)

    async def _emit_batch(self, exchange: Exchange, message: events.TriggerBatchRequest) -> Any:
        if len(message.events) > MOST_EVENTS:
            raise InvalidArgumentError(
                f"a batch has at most {MOST_EVENTS:,} events, and this one has {len(message.events):,}"
            )
        env, run_id = exchange.env, await emitting_run(exchange, self._reads)
        # All are handed in before the first is answered, so they share commits; the order is kept.
        results = await asyncio.gather(*(self._one_of_batch(env, event, run_id) for event in message.events))
        return events.TriggerBatchResponse(results=tuple(results))

    async def _one_of_batch(self, env: str, message: events.TriggerRequest, run_id: str) -> events.TriggerResponse:
        try:
            answer: events.TriggerResponse = await self._desk.submit(_event(env, message, run_id))
        except ApiError as error:
            told = runs.Error(message=error.message, code=error.code, retryable=error.retryable)
            return events.TriggerResponse(error=told)
        return answer

    async def _emit_sync(self, exchange: Exchange, message: events.TriggerSyncRequest) -> Any:
        env, timeout = exchange.env, patience(message.timeout_ms)
        started = await self._desk.submit(_event(env, message, await emitting_run(exchange, self._reads)))
        await first(until_ended(self._waiting, self._reads, env, started.run_ids, timeout), exchange.gone())
        results = await self._reads.results(env, started.run_ids)
        return events.TriggerSyncResponse(event_id=started.event_id, results=tuple(map(marked, results)))

    async def _publish(self, exchange: Exchange, message: pubsub.PublishRequest) -> Any:
        command = Publish(
            env=exchange.env,
            topic=message.topic,
            data=payload_of(message),
            idempotency_key=message.idempotency_key,
            run_id=await emitting_run(exchange, self._reads),
        )
        return await self._desk.submit(command)

    async def _redact(self, exchange: Exchange, message: events.RedactEventRequest) -> Any:
        await self._desk.submit(RedactEvent(env=exchange.env, event_id=message.event_id))
        return {}


async def emitting_run(exchange: Exchange, reads: Reads) -> str:
    """Return the run that the caller says it emits in; empty for none, and for one that is not here."""
    run_id = exchange.headers.get(RUN_HEADER, "")
    return run_id if run_id and await reads.results(exchange.env, (run_id,)) else ""


def payload_of(message: Any) -> bytes:
    """Return the JSON text of a message's `data` or `data_value`, null where it has neither."""
    if message.data is not None and not isinstance(message.data, dict):
        raise InvalidArgumentError("data must be a JSON object; send any other value as dataValue")
    return codec.encode(message.data if message.data_value is msgspec.UNSET else message.data_value)


def patience(timeout_ms: int) -> float:
    """Return the seconds a call that waits may take."""
    if timeout_ms < 0:
        raise InvalidArgumentError("timeoutMs must not be negative")
    return (timeout_ms or SYNC_TIMEOUT_MS) / 1000


def until_ended(
    waiting: Waiting, reads: Reads, env: str, run_ids: tuple[str, ...], timeout: float
) -> Coroutine[Any, Any, None]:
    """Return when all the runs are terminal, or after `timeout` seconds."""

    async def ended(wanted: tuple[str, ...]) -> Iterable[str]:
        results = await reads.results(env, wanted)
        return [result.run_id for result in results if result.status in runs.TERMINAL]

    return waiting.until_ended(run_ids, ended, terminal_only=True, timeout=timeout)


def marked(result: events.RunResult) -> events.RunResult:
    """Return the result, marked as one whose wait was too short where the run goes on."""
    if result.status in runs.TERMINAL:
        return result
    return msgspec.structs.replace(result, wait_timed_out=True)


def _event(env: str, message: Emitted, run_id: str) -> EmitEvent:
    return EmitEvent(
        env=env,
        name=message.event,
        data=payload_of(message),
        metadata=None if message.metadata is None else codec.encode(message.metadata),
        version=message.version or 1,
        idempotency_key=message.idempotency_key,
        run_id=run_id,
    )
