"""Invocations: one run of a named function, and the call that waits for it (engine.md section 4.5)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from ironflow_lab.errors import ApiError, NotFoundError
from ironflow_lab.models import events
from ironflow_lab.server.engine.commands import CancelRun, InvokeFunction
from ironflow_lab.server.engine.invoking import Invocation
from ironflow_lab.server.engine.ports import Desk, Reads
from ironflow_lab.server.protocol.connect import Procedures
from ironflow_lab.server.protocol.events import marked, patience, payload_of, until_ended
from ironflow_lab.server.protocol.exchange import Disconnected, Exchange, first
from ironflow_lab.server.protocol.waiting import Waiting
from ironflow_lab.wire import codec

LEFT = "the caller of InvokeFunctionSync left before the run had ended"


class Invocations:
    """What starts a run without an event of its own."""

    def __init__(self, desk: Desk, reads: Reads, waiting: Waiting) -> None:
        self._desk, self._reads, self._waiting = desk, reads, waiting
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def procedures(self) -> Procedures:
        """The Connect procedures, by service and method."""
        return {
            "IronflowService/InvokeFunction": (events.InvokeFunctionRequest, self._invoke),
            "IronflowService/InvokeFunctionSync": (events.InvokeFunctionSyncRequest, self._invoke_sync),
        }

    async def _invoke(self, exchange: Exchange, message: events.InvokeFunctionRequest) -> Any:
        started: Invocation = await self._desk.submit(
            InvokeFunction(
                env=exchange.env,
                function_id=message.function_id,
                data=payload_of(message),
                idempotency_key=message.idempotency_key,
            )
        )
        return events.InvokeFunctionResponse(run_id=started.run_id, event_id=started.event_id)

    async def _invoke_sync(self, exchange: Exchange, message: events.InvokeFunctionSyncRequest) -> Any:
        env, timeout = exchange.env, patience(message.timeout_ms)
        command = InvokeFunction(
            env=env,
            function_id=message.function_id,
            data=payload_of(message),
            metadata=None if message.metadata is None else codec.encode(message.metadata),
            idempotency_key=message.idempotency_key,
        )
        starting = asyncio.ensure_future(self._desk.submit(command))
        try:
            # Whoever leaves while the run is being started must still have it cancelled.
            run_id = (await asyncio.shield(starting)).run_id
            gone = asyncio.ensure_future(exchange.gone())
            await first(until_ended(self._waiting, self._reads, env, (run_id,), timeout), gone)
        except asyncio.CancelledError:
            self._abandon(env, starting)
            raise
        if gone.done() and not gone.cancelled():
            self._abandon(env, starting)
            raise Disconnected
        for result in await self._reads.results(env, (run_id,)):
            return events.InvokeFunctionSyncResponse(result=marked(result))
        raise NotFoundError(f"run {run_id!r} was deleted while its end was waited for")

    def _abandon(self, env: str, starting: asyncio.Future[Invocation]) -> None:
        task = asyncio.ensure_future(self._cancel(env, starting))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _cancel(self, env: str, starting: asyncio.Future[Invocation]) -> None:
        # Refused where nothing was started, or where the run ended just before its caller left.
        with suppress(ApiError):
            started = await starting
            # A repeated key only looks on: the run belongs to the call that started it.
            if started.started:
                await self._desk.submit(CancelRun(env=env, run_id=started.run_id, reason=LEFT))
