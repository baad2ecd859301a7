"""The call that waits for its run: whoever leaves before the end cancels it, whenever that is."""

from __future__ import annotations

import asyncio
import gc
from typing import Any, cast

import pytest

from ironflow_lab.errors import ApiError, FailedPreconditionError, NotFoundError
from ironflow_lab.models.events import InvokeFunctionSyncRequest, RunResult
from ironflow_lab.models.runs import RunStatus
from ironflow_lab.server.engine.commands import CancelRun, InvokeFunction
from ironflow_lab.server.engine.invoking import Invocation
from ironflow_lab.server.engine.outcome import Ended
from ironflow_lab.server.engine.ports import Desk, Reads
from ironflow_lab.server.protocol.exchange import ENVIRONMENT, Disconnected, Exchange
from ironflow_lab.server.protocol.invoking import LEFT, Invocations
from ironflow_lab.server.protocol.waiting import Waiting
from tests.unit.server.protocol.calls import Call

STARTED = Invocation(run_id="run_1", event_id="evt_1")


class FakeDesk:
    """A desk that answers an invocation when it is told to, and a cancellation at once."""

    def __init__(self) -> None:
        self.commands: list[Any] = []
        self.answer: asyncio.Future[Invocation] = asyncio.get_running_loop().create_future()
        self.cancelled = asyncio.Event()
        self.ended = False

    async def submit(self, command: Any) -> Any:
        self.commands.append(command)
        if isinstance(command, InvokeFunction):
            return await asyncio.shield(self.answer)
        self.cancelled.set()
        if self.ended:
            raise FailedPreconditionError("it has ended")
        return command.run_id


class FakeReads:
    """How run_1 stands."""

    def __init__(self) -> None:
        self.status = "running"

    async def results(self, env: str, run_ids: tuple[str, ...]) -> tuple[RunResult, ...]:
        return tuple(RunResult(run_id=run_id, status=RunStatus(self.status)) for run_id in run_ids if self.status)


class Scene:
    """One call on its way."""

    def __init__(self) -> None:
        self.desk, self.reads = FakeDesk(), FakeReads()
        self.closing = asyncio.Event()
        self.waiting = Waiting(self.closing)
        self.invocations = Invocations(cast(Desk, self.desk), cast(Reads, self.reads), self.waiting)
        self.call = Call("POST", "/")
        self._faults: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self._faults.append(context))

    def begin(self, **fields: Any) -> asyncio.Task[Any]:
        _, handler = self.invocations.procedures["IronflowService/InvokeFunctionSync"]
        exchange = Exchange(self.call.scope, self.call.receive, self.call.send)
        return asyncio.ensure_future(handler(exchange, InvokeFunctionSyncRequest(function_id="f", **fields)))

    async def settle(self) -> None:
        """Let everything happen that can happen by itself."""
        for _ in range(20):
            await asyncio.sleep(0)

    def end(self) -> None:
        """The run completes, and its commit is heard of."""
        self.reads.status, self.desk.ended = "completed", True
        self.waiting.heard([Ended("run_1")])

    def faults(self) -> list[Any]:
        """What went wrong where nobody was looking."""
        gc.collect()
        return self._faults

    @property
    def cancels(self) -> list[CancelRun]:
        return [command for command in self.desk.commands if isinstance(command, CancelRun)]


@pytest.fixture
async def scene() -> Scene:
    return Scene()


CANCEL = CancelRun(env=ENVIRONMENT, run_id="run_1", reason=LEFT)


async def test_the_outcome_is_answered(scene: Scene) -> None:
    scene.desk.answer.set_result(STARTED)
    calling = scene.begin()
    await scene.settle()
    scene.end()
    answer = await calling
    assert (answer.result.run_id, answer.result.status, answer.result.wait_timed_out) == ("run_1", "completed", False)
    assert scene.cancels == []


async def test_a_wait_that_was_too_short_cancels_nothing(scene: Scene) -> None:
    scene.desk.answer.set_result(STARTED)
    answer = await scene.begin(timeout_ms=1)
    assert (answer.result.status, answer.result.wait_timed_out) == ("running", True)
    await scene.settle()
    assert scene.cancels == []


async def test_leaving_during_the_wait_cancels_the_run(scene: Scene) -> None:
    scene.desk.answer.set_result(STARTED)
    calling = scene.begin()
    await scene.settle()
    scene.call.leave()
    with pytest.raises(Disconnected):
        await calling
    await scene.desk.cancelled.wait()
    assert scene.cancels == [CANCEL]


async def test_leaving_while_the_run_is_being_started_cancels_it(scene: Scene) -> None:
    calling = scene.begin()
    await scene.settle()
    scene.call.leave()
    await scene.settle()
    assert scene.cancels == []
    scene.desk.answer.set_result(STARTED)
    with pytest.raises(Disconnected):
        await calling
    await scene.desk.cancelled.wait()
    assert scene.cancels == [CANCEL]


@pytest.mark.parametrize("started", [False, True])
async def test_the_caller_s_deadline_is_its_leaving(scene: Scene, started: bool) -> None:
    """A deadline ends the handler from outside; the client hangs up at the same moment, so both must mean the same."""
    if started:
        scene.desk.answer.set_result(STARTED)
    calling = scene.begin()
    await scene.settle()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    if not started:
        scene.desk.answer.set_result(STARTED)
    await scene.desk.cancelled.wait()
    assert scene.cancels == [CANCEL]


async def test_a_run_that_ended_just_before_is_left_alone(scene: Scene) -> None:
    scene.desk.answer.set_result(STARTED)
    calling = scene.begin()
    await scene.settle()
    # On disk already, and not yet heard of here.
    scene.desk.ended = True
    scene.call.leave()
    with pytest.raises(Disconnected):
        await calling
    await scene.desk.cancelled.wait()
    await scene.settle()
    assert scene.faults() == []


async def test_an_onlooker_who_leaves_cancels_nothing(scene: Scene) -> None:
    scene.desk.answer.set_result(Invocation(run_id="run_1", event_id="evt_1", started=False))
    calling = scene.begin(idempotency_key="k")
    await scene.settle()
    scene.call.leave()
    with pytest.raises(Disconnected):
        await calling
    await scene.settle()
    assert scene.cancels == []


async def test_leaving_a_call_that_is_refused_is_no_fault(scene: Scene) -> None:
    calling = scene.begin()
    await scene.settle()
    calling.cancel()
    scene.desk.answer.set_exception(NotFoundError("no function"))
    with pytest.raises(asyncio.CancelledError):
        await calling
    await scene.settle()
    assert scene.cancels == []
    assert scene.faults() == []


async def test_a_refusal_is_the_answer(scene: Scene) -> None:
    scene.desk.answer.set_exception(NotFoundError("no function"))
    with pytest.raises(NotFoundError):
        await scene.begin()


async def test_a_server_that_closes_answers_how_the_run_stands(scene: Scene) -> None:
    scene.desk.answer.set_result(STARTED)
    calling = scene.begin()
    await scene.settle()
    scene.closing.set()
    assert (await calling).result.wait_timed_out
    assert scene.cancels == []


async def test_a_run_that_is_gone_is_told(scene: Scene) -> None:
    scene.desk.answer.set_result(STARTED)
    scene.reads.status = ""
    with pytest.raises(NotFoundError, match="deleted"):
        await scene.begin(timeout_ms=1)


async def test_a_negative_wait_starts_nothing(scene: Scene) -> None:
    with pytest.raises(ApiError, match="timeoutMs"):
        await scene.begin(timeout_ms=-1)
    assert scene.desk.commands == []
