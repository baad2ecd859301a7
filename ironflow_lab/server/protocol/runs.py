"""Runs: the procedures of IronflowService that read them and act on them (rpc.md section 6)."""

from __future__ import annotations

from typing import Any

import msgspec

from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.models import runs
from ironflow_lab.models.instant import Int64
from ironflow_lab.server.engine import commands
from ironflow_lab.server.engine.ports import Desk, Reads
from ironflow_lab.server.protocol.connect import Procedures
from ironflow_lab.server.protocol.exchange import Exchange
from ironflow_lab.server.protocol.messages import DEEPEST
from ironflow_lab.wire import codec


class Runs:
    """What runs, and what operators do to it."""

    def __init__(self, desk: Desk, reads: Reads) -> None:
        self._desk, self._reads = desk, reads

    @property
    def procedures(self) -> Procedures:
        """The Connect procedures, by service and method."""
        return {
            "IronflowService/GetRun": (runs.GetRunRequest, self._run),
            "IronflowService/ListRuns": (runs.ListRunsRequest, self._runs),
            "IronflowService/GetRunSteps": (runs.GetRunStepsRequest, self._steps),
            "IronflowService/CancelRun": (runs.CancelRunRequest, self._cancel),
            "IronflowService/PauseRun": (runs.PauseRunRequest, self._pause),
            "IronflowService/GetPausedState": (runs.GetPausedStateRequest, self._paused_state),
            "IronflowService/InjectStepOutput": (runs.InjectStepOutputRequest, self._inject),
            "IronflowService/PatchStep": (runs.PatchStepRequest, self._patch),
            "IronflowService/ResumeRun": (runs.ResumeRunRequest, self._resume),
            "IronflowService/DeleteRun": (runs.DeleteRunRequest, self._delete),
            "IronflowService/DeleteRuns": (runs.DeleteRunsRequest, self._delete_many),
            "IronflowService/RedactStep": (runs.RedactStepRequest, self._redact_step),
            "IronflowService/RedactRun": (runs.RedactRunRequest, self._redact),
        }

    async def why(self, exchange: Exchange, run_id: str) -> None:
        """Answer with why the run is not executing (`GET /lab/v1/runs/{id}/why`); raises `NotFoundError`."""
        await exchange.body()
        answer = await self._desk.submit(commands.Explain(env=exchange.env, run_id=run_id))
        await exchange.answer(200, codec.encode(answer))

    async def _run(self, exchange: Exchange, message: runs.GetRunRequest) -> Any:
        return await self._reads.run(exchange.env, message.id)

    async def _runs(self, exchange: Exchange, message: runs.ListRunsRequest) -> Any:
        return await self._reads.runs(exchange.env, message)

    async def _steps(self, exchange: Exchange, message: runs.GetRunStepsRequest) -> Any:
        return runs.GetRunStepsResponse(steps=await self._reads.steps(exchange.env, message.run_id))

    async def _cancel(self, exchange: Exchange, message: runs.CancelRunRequest) -> Any:
        command = commands.CancelRun(env=exchange.env, run_id=message.id, reason=message.reason)
        return await self._reads.run(exchange.env, await self._desk.submit(command))

    async def _pause(self, exchange: Exchange, message: runs.PauseRunRequest) -> Any:
        return await self._desk.submit(commands.PauseRun(env=exchange.env, run_id=message.run_id))

    async def _paused_state(self, exchange: Exchange, message: runs.GetPausedStateRequest) -> Any:
        return await self._reads.paused_state(exchange.env, message.run_id)

    async def _inject(self, exchange: Exchange, message: runs.InjectStepOutputRequest) -> Any:
        command = commands.InjectOutput(
            env=exchange.env,
            run_id=message.run_id,
            step_id=message.step_id,
            output=_json_text(message.new_output),
            reason=message.reason,
        )
        return await self._desk.submit(command)

    async def _patch(self, exchange: Exchange, message: runs.PatchStepRequest) -> Any:
        if message.output is not None and not isinstance(message.output, dict):
            raise InvalidArgumentError("output must be a JSON object; send any other value as outputValue")
        output = message.output if message.output_value is msgspec.UNSET else message.output_value
        command = commands.PatchStep(
            env=exchange.env, step_id=message.step_id, output=codec.encode(output), reason=message.reason
        )
        run_id, step_id = await self._desk.submit(command)
        return await self._reads.step(exchange.env, run_id, step_id)

    async def _resume(self, exchange: Exchange, message: runs.ResumeRunRequest) -> Any:
        command = commands.ResumeRun(env=exchange.env, run_id=message.run_id, from_step=message.from_step)
        return await self._reads.run(exchange.env, await self._desk.submit(command))

    async def _delete(self, exchange: Exchange, message: runs.DeleteRunRequest) -> Any:
        await self._desk.submit(commands.DeleteRun(env=exchange.env, run_id=message.id))
        return {}

    async def _delete_many(self, exchange: Exchange, message: runs.DeleteRunsRequest) -> Any:
        command = commands.DeleteRuns(
            env=exchange.env,
            function_id=message.function_id,
            status=_status(message.status),
            until=int(message.until),
        )
        return runs.DeleteRunsResponse(deleted=Int64(await self._desk.submit(command)))

    async def _redact_step(self, exchange: Exchange, message: runs.RedactStepRequest) -> Any:
        await self._desk.submit(commands.RedactStep(env=exchange.env, step_id=message.step_id))
        return {}

    async def _redact(self, exchange: Exchange, message: runs.RedactRunRequest) -> Any:
        await self._desk.submit(commands.RedactRun(env=exchange.env, run_id=message.run_id))
        return {}


def _json_text(given: bytes) -> bytes:
    """Return the JSON text in a field of bytes; raises `InvalidArgumentError` for anything else."""
    text = given.strip()
    if not text:
        raise InvalidArgumentError("newOutput is missing; send JSON text in base64, such as bnVsbA== for null")
    try:
        text.decode()
        msgspec.json.decode(text)
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        raise InvalidArgumentError(f"newOutput must hold JSON text in UTF-8, and it does not: {error}") from None
    except RecursionError:
        raise _too_deep() from None
    if codec.is_deep(text, DEEPEST):
        raise _too_deep()
    return text


def _too_deep() -> InvalidArgumentError:
    return InvalidArgumentError(f"newOutput is nested more than {DEEPEST} levels deep; flatten it")


def _status(word: runs.RunStatus) -> str:
    """Return the status to delete by; an unknown word does not mean "any" where runs would be removed."""
    if word and word not in runs.TERMINAL and word not in runs.RunStatus.numbers.values():
        raise InvalidArgumentError(
            f"status {str(word)!r} is not one this server knows; give completed, failed or cancelled"
        )
    return str(word)
