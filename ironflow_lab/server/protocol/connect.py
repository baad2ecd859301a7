"""The unary Connect procedures this server has (rpc.md section 6): one table for all services."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import msgspec

from ironflow_lab.errors import DeadlineExceededError, InvalidArgumentError, UnimplementedError
from ironflow_lab.models import events, functions, runs
from ironflow_lab.server.engine.commands import CancelRun, EmitEvent, RegisterFunction
from ironflow_lab.server.engine.ports import Desk, Reads
from ironflow_lab.server.protocol import codecs
from ironflow_lab.server.protocol.exchange import BINARY, Exchange, first
from ironflow_lab.server.protocol.messages import read
from ironflow_lab.server.protocol.waiting import Waiting
from ironflow_lab.wire import codec
from ironflow_lab.wire.connect import SERVICE

Handler = Callable[[Exchange, Any], Awaitable[Any]]
# "Service/Method" to the record of its request and what answers it.
Procedures = Mapping[str, tuple[type, Handler]]

SYNC_TIMEOUT_MS = 30_000


class Connect:
    """IronflowService, and the procedures of `others` beside it."""

    def __init__(self, desk: Desk, reads: Reads, waiting: Waiting, others: Procedures) -> None:
        self._desk, self._reads, self._waiting = desk, reads, waiting
        self._procedures: Procedures = {
            **others,
            "IronflowService/RegisterFunction": (functions.RegisterFunctionRequest, self._register),
            "IronflowService/GetFunction": (functions.GetFunctionRequest, self._function),
            "IronflowService/ListFunctions": (functions.ListFunctionsRequest, self._functions),
            "IronflowService/Emit": (events.TriggerRequest, self._emit),
            "IronflowService/Trigger": (events.TriggerRequest, self._emit),
            "IronflowService/TriggerSync": (events.TriggerSyncRequest, self._emit_sync),
            "IronflowService/GetRun": (runs.GetRunRequest, self._run),
            "IronflowService/ListRuns": (runs.ListRunsRequest, self._runs),
            "IronflowService/GetRunSteps": (runs.GetRunStepsRequest, self._steps),
            "IronflowService/CancelRun": (runs.CancelRunRequest, self._cancel),
            "IronflowService/Health": (dict, self._health),
        }

    async def serve(self, exchange: Exchange) -> None:
        """Answer one call; raises `ApiError` for a refusal."""
        procedure = exchange.path.removeprefix(SERVICE)
        found = self._procedures.get(procedure)
        if found is None:
            raise UnimplementedError(f"this embedded server has no procedure {procedure}")
        if exchange.method != "POST":
            raise InvalidArgumentError(f"{procedure} is called with POST, not {exchange.method}")
        binary = exchange.is_binary()
        kind, handler = found
        body = await exchange.body()
        message = read(await codecs.to_json(procedure, body) if binary else body, kind)
        patience = _patience(exchange)
        working = handler(exchange, message)
        answer = codec.encode(await (working if patience is None else _within(patience, working)))
        if binary:
            await exchange.answer(200, await codecs.to_binary(procedure, answer), kind=BINARY)
        else:
            await exchange.answer(200, answer)

    async def _register(self, exchange: Exchange, message: functions.RegisterFunctionRequest) -> Any:
        return await self._desk.submit(RegisterFunction(env=exchange.env, request=message))

    async def _function(self, exchange: Exchange, message: functions.GetFunctionRequest) -> Any:
        return await self._reads.function(exchange.env, message.id)

    async def _functions(self, exchange: Exchange, message: functions.ListFunctionsRequest) -> Any:
        return await self._reads.functions(exchange.env, message)

    async def _emit(self, exchange: Exchange, message: events.TriggerRequest) -> Any:
        return await self._desk.submit(_event(exchange.env, message))

    async def _emit_sync(self, exchange: Exchange, message: events.TriggerSyncRequest) -> Any:
        if message.timeout_ms < 0:
            raise InvalidArgumentError("timeoutMs must not be negative")
        started = await self._desk.submit(_event(exchange.env, message))
        env, run_ids = exchange.env, started.run_ids
        wait = self._waiting.until_ended(
            run_ids,
            lambda ids: self._ended(env, ids),
            terminal_only=True,
            timeout=(message.timeout_ms or SYNC_TIMEOUT_MS) / 1000,
        )
        await first(wait, exchange.gone())
        results = await self._reads.results(env, run_ids)
        return events.TriggerSyncResponse(
            event_id=started.event_id, results=tuple(_marked(result) for result in results)
        )

    async def _ended(self, env: str, run_ids: tuple[str, ...]) -> Iterable[str]:
        results = await self._reads.results(env, run_ids)
        return [result.run_id for result in results if result.status in runs.TERMINAL]

    async def _run(self, exchange: Exchange, message: runs.GetRunRequest) -> Any:
        return await self._reads.run(exchange.env, message.id)

    async def _runs(self, exchange: Exchange, message: runs.ListRunsRequest) -> Any:
        return await self._reads.runs(exchange.env, message)

    async def _steps(self, exchange: Exchange, message: runs.GetRunStepsRequest) -> Any:
        return runs.GetRunStepsResponse(steps=await self._reads.steps(exchange.env, message.run_id))

    async def _cancel(self, exchange: Exchange, message: runs.CancelRunRequest) -> Any:
        run_id = await self._desk.submit(CancelRun(env=exchange.env, run_id=message.id, reason=message.reason))
        return await self._reads.run(exchange.env, run_id)

    async def _health(self, exchange: Exchange, message: dict[str, Any]) -> Any:
        return {"status": "healthy"}


def _patience(exchange: Exchange) -> float | None:
    """Return the seconds the caller waits for the answer (rpc.md section 1, deadline); None for no limit."""
    text = exchange.headers.get("connect-timeout-ms")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise InvalidArgumentError(f"Connect-Timeout-Ms is up to ten digits, not {text!r}")
    return int(text) / 1000


async def _within(seconds: float, working: Awaitable[Any]) -> Any:
    try:
        async with asyncio.timeout(seconds):
            return await working
    except TimeoutError:
        raise DeadlineExceededError(
            f"not done within the {seconds:g} s that Connect-Timeout-Ms allows; what the call began goes on"
        ) from None


def _event(env: str, message: events.TriggerRequest | events.TriggerSyncRequest) -> EmitEvent:
    data = message.data if message.data_value is msgspec.UNSET else message.data_value
    if message.data is not None and not isinstance(message.data, dict):
        raise InvalidArgumentError("data must be a JSON object; send any other value as dataValue")
    return EmitEvent(
        env=env,
        name=message.event,
        data=codec.encode(data),
        metadata=None if message.metadata is None else codec.encode(message.metadata),
        version=message.version or 1,
        idempotency_key=message.idempotency_key,
    )


def _marked(result: events.RunResult) -> events.RunResult:
    if result.status in runs.TERMINAL:
        return result
    return msgspec.structs.replace(result, wait_timed_out=True)
