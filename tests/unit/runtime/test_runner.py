"""Segments in real threads: where handlers run, and what a bad one cannot do to the others."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from ironflow_lab.models.pubsub import PublishResponse
from ironflow_lab.runtime import execution
from ironflow_lab.runtime.function import DurableFunction, function
from ironflow_lab.runtime.outcome import Completed, Failed
from ironflow_lab.runtime.output import PlainOutput
from ironflow_lab.runtime.publishing import Message
from ironflow_lab.runtime.runner import Runner
from ironflow_lab.runtime.segment import Segment
from ironflow_lab.runtime.threads import LoopThread
from tests.unit.runtime.assignments import assignment
from tests.unit.runtime.faketime import FakeClock

PLACE: contextvars.ContextVar[tuple[Any, Any] | None] = contextvars.ContextVar("place", default=None)


class Sink(PlainOutput):
    """Puts what it was given into the context."""

    def __init__(self) -> None:
        self.states: list[tuple[str, str]] = []

    def context(self, place: object, capture: Any) -> contextvars.Context:
        made = contextvars.Context()
        made.run(PLACE.set, (place, capture))
        return made

    def state(self, place: object, function_id: str, run_id: str, state: str) -> None:
        self.states.append((run_id, state))


@dataclass
class Stage:
    """A runner and its two threads."""

    io: LoopThread = field(default_factory=lambda: LoopThread("test-io"))
    user: LoopThread = field(default_factory=lambda: LoopThread("test-user"))
    ended: dict[str, threading.Event] = field(default_factory=dict)
    delivered: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.messages: list[Message] = []
        self.sink = Sink()
        self.runner = Runner(
            io=self.io, user=self.user, sink=self.sink, clock=FakeClock(), deliver=self.deliver, send=self.send
        )

    async def send(self, message: Message) -> PublishResponse:
        self.messages.append(message)
        return PublishResponse(event_id="evt_1")

    def deliver(self, segment: Segment) -> None:
        self.delivered.append(threading.current_thread().name)
        segment.collect()
        if segment.outcome is not None:
            self.ended[segment.assignment.run_id].set()

    def start(self, defined: DurableFunction, run_id: str = "run_01") -> Segment:
        segment = self.runner.segment(assignment(function_id=defined.id, run_id=run_id), defined)
        self.ended[run_id] = threading.Event()
        self.runner.start(segment)
        return segment

    def wait(self, segment: Segment) -> Any:
        assert self.ended[segment.assignment.run_id].wait(10)
        return segment.outcome

    def output(self, segment: Segment) -> bytes:
        outcome = self.wait(segment)
        assert isinstance(outcome, Completed), outcome
        return bytes(outcome.output)


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.user.stop()
    made.io.stop()


def test_async_handlers_share_a_loop_and_plain_ones_have_threads(stage: Stage) -> None:
    @function
    async def asynchronous(ctx: Any) -> str:
        return threading.current_thread().name

    @function
    def plain(ctx: Any) -> str:
        return threading.current_thread().name

    assert stage.output(stage.start(asynchronous)) == b'"test-user"'
    assert stage.output(stage.start(plain)).startswith(b'"ironflow-handler-')
    assert set(stage.delivered) == {"test-io"}


@pytest.mark.parametrize("kind", ["async", "plain"])
def test_a_handler_runs_in_the_context_of_its_place(stage: Stage, kind: str) -> None:
    seen: list[Any] = []

    @function
    async def asynchronous(ctx: Any) -> None:
        seen.append(PLACE.get())
        await ctx.step.run("a", lambda: seen.append(PLACE.get()))

    @function
    def plain(ctx: Any) -> None:
        seen.append(PLACE.get())
        ctx.step.run("a", lambda: seen.append(PLACE.get()))

    defined = asynchronous if kind == "async" else plain
    defined.place = "cell 7"  # type: ignore[assignment]  # any object will do
    stage.wait(stage.start(defined))
    assert [place for place, _ in seen] == ["cell 7", "cell 7"]
    capture = seen[0][1]
    assert (capture.run_id, capture.function) == ("run_01", defined)
    assert stage.sink.states == [("run_01", "executing"), ("run_01", "completed")]


def test_a_blocking_plain_handler_holds_up_nobody(stage: Stage) -> None:
    release = threading.Event()

    @function
    def blocks(ctx: Any) -> str:
        release.wait()
        return "late"

    @function
    def quick(ctx: Any) -> str:
        return "quick"

    slow = [stage.start(blocks, f"run_{n}") for n in range(3)]
    assert stage.output(stage.start(quick, "run_q")) == b'"quick"'
    release.set()
    assert [stage.output(one) for one in slow] == [b'"late"'] * 3


@pytest.mark.parametrize(("boundary", "state"), [(True, "paused"), (False, "given up")])
def test_a_segment_that_is_given_up_says_why(stage: Stage, boundary: bool, state: str) -> None:
    @function("bill")
    def bill(ctx: Any) -> None: ...

    segment = stage.runner.segment(assignment(run_id="run_01"), bill)
    segment.boundary = boundary
    stage.runner.abandon(segment)
    assert stage.sink.states == [("run_01", state)]
    ended = stage.runner.segment(assignment(run_id="run_02"), bill)
    ended.conclude(Completed(output=b"1"))  # type: ignore[arg-type]  # enough of an outcome
    stage.runner.abandon(ended)
    assert stage.sink.states[1:] == [("run_02", "completed")]


def test_an_abandoned_async_handler_is_cancelled(stage: Stage) -> None:
    started, cancelled = threading.Event(), threading.Event()

    @function
    async def f(ctx: Any) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    segment = stage.start(f)
    assert started.wait(10)
    stage.runner.abandon(segment)
    assert cancelled.wait(10)


def test_an_abandoned_plain_handler_ends_at_its_next_step(stage: Stage) -> None:
    started, release, ended = (threading.Event() for _ in range(3))
    ran: list[str] = []

    @function
    def f(ctx: Any) -> None:
        started.set()
        release.wait()
        try:
            ctx.step.run("a", ran.append, "a")
        finally:
            ended.set()

    segment = stage.start(f)
    assert started.wait(10)
    stage.runner.abandon(segment)
    release.set()
    assert ended.wait(10)
    assert ran == []


def test_a_segment_abandoned_before_its_start_does_not_run(stage: Stage) -> None:
    ran: list[str] = []

    @function
    async def f(ctx: Any) -> None:
        ran.append("f")

    @function
    async def after(ctx: Any) -> None: ...

    blocked = threading.Event()
    stage.user.loop.call_soon_threadsafe(blocked.wait)
    segment = stage.start(f)
    stage.runner.abandon(segment)
    blocked.set()
    stage.wait(stage.start(after, "run_02"))
    assert ran == []


def test_sys_exit_in_a_task_of_a_handler_ends_that_task_only(stage: Stage) -> None:
    @function
    async def f(ctx: Any) -> str:
        async def leave() -> None:
            sys.exit(1)

        task = asyncio.ensure_future(leave())
        await asyncio.wait({task})
        return type(task.exception()).__name__

    assert stage.output(stage.start(f)) == b'"SystemExit"'


@pytest.mark.parametrize("kind", ["async", "plain"])
def test_a_breakdown_of_the_execution_itself_is_a_failed_attempt(
    stage: Stage, kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(execution, "conclude", broken)

    @function
    async def asynchronous(ctx: Any) -> None: ...

    @function
    def plain(ctx: Any) -> None: ...

    outcome = stage.wait(stage.start(asynchronous if kind == "async" else plain))
    assert isinstance(outcome, Failed)
    assert outcome.fault.retryable
    assert "RuntimeError" in outcome.fault.message
    assert "a bug of ours" in caplog.text


def test_news_of_a_blocked_loop_can_be_fetched(stage: Stage) -> None:
    recorded, release = threading.Event(), threading.Event()

    @function
    async def f(ctx: Any) -> None:
        async def body() -> int:
            return 1

        await ctx.step.run("a", body)
        recorded.set()
        release.wait()

    segment = stage.start(f)
    assert recorded.wait(10)
    assert stage.delivered == []

    async def drain() -> None:
        stage.runner.drain()

    stage.io.call(drain)
    assert stage.delivered == ["test-io"]
    release.set()
    stage.wait(segment)


def test_ping_is_answered_by_the_handlers_loop(stage: Stage) -> None:
    answered: list[str] = []
    done = threading.Event()

    def answer() -> None:
        answered.append(threading.current_thread().name)
        done.set()

    stage.runner.ping(answer)
    assert done.wait(10)
    assert answered == ["test-user"]
