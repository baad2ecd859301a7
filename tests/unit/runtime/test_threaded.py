"""Branches as threads: how many, in which context, and pauses of a plain handler."""

from __future__ import annotations

import contextvars
import functools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ironflow_lab.errors import NonRetryableError
from ironflow_lab.runtime import execution, plainstep, signals
from ironflow_lab.runtime.function import DurableFunction, function
from ironflow_lab.runtime.segment import Segment
from tests.unit.runtime.assignments import assignment
from tests.unit.runtime.colours import execute, fault, output, recorded, waits_for
from tests.unit.runtime.fakes import tools

PATIENCE = 10


class Stage:
    """A plain handler in a thread of its own."""

    def __init__(self, defined: DurableFunction) -> None:
        self.reached = threading.Event()
        self.segment = Segment(assignment(function_id="f"), defined, announce=self.announce)
        self.thread = threading.Thread(target=execution.run_plain, args=(self.segment, tools()), daemon=True)
        self.thread.start()

    def announce(self, segment: Segment) -> None:
        if segment.boundary:
            self.reached.set()

    def join(self) -> Segment:
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        return self.segment


async def test_branches_run_in_threads_with_the_handlers_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    together = threading.Barrier(3)

    @function("f")
    def f(ctx: Any) -> Any:
        variable.set("set")

        def branch(item: int, branch: Any) -> Any:
            together.wait(PATIENCE)
            return branch.run("x", variable.get)

        return ctx.step.map("m", range(3), branch)

    assert output(await execute(f)) == ["set"] * 3


@pytest.mark.parametrize(("concurrency", "most"), [(2, 2), (0, 4)])
async def test_at_most_so_many_threads(monkeypatch: pytest.MonkeyPatch, concurrency: int, most: int) -> None:
    monkeypatch.setattr(plainstep, "AT_ONCE", 4)
    lock, busy, peak = threading.Lock(), 0, 0

    @function("f")
    def f(ctx: Any) -> Any:
        def body() -> None:
            nonlocal busy, peak
            with lock:
                busy += 1
                peak = max(peak, busy)
            together.wait(PATIENCE)
            with lock:
                busy -= 1

        ctx.step.map("m", range(12), lambda _, branch: branch.run("x", body), concurrency=concurrency)

    together = threading.Barrier(most)
    assert output(await execute(f)) is None
    assert peak == most


async def test_deep_forks_need_no_free_thread_of_a_pool() -> None:
    def deep(branch: Any, depth: int) -> int:
        if depth == 0:
            return branch.run("leaf", lambda: 1)  # type: ignore[no-any-return]
        return sum(branch.map("m", range(3), lambda _, inner: deep(inner, depth - 1)))

    @function("f")
    def f(ctx: Any) -> Any:
        return deep(ctx.step, 4)

    assert output(await execute(f)) == 81


@pytest.mark.parametrize("make", ["async def", "coroutine"])
async def test_an_async_branch_is_explained(make: str) -> None:
    async def branch(branch: Any) -> None: ...

    @function("f")
    def f(ctx: Any) -> Any:
        ctx.step.parallel("p", [branch if make == "async def" else functools.partial(branch)])

    code, _, message = fault((await execute(f)).outcome)
    assert code == "ASYNC_STEP"
    assert "make the handler `async def`" in message


async def test_a_branch_that_swallows_the_wait_still_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "PENALTY", 0.0)
    ran: list[str] = []

    @function("f")
    def f(ctx: Any) -> Any:
        def branch(item: int, branch: Any) -> None:
            for name in ("a", "b", "c"):
                try:
                    branch.sleep(name, 5)
                    branch.run(name, ran.append, name)
                except BaseException:  # noqa: BLE001, S110 - the sin under test
                    pass

        ctx.step.map("m", [1, 2], branch)
        ctx.step.run("late", ran.append, "late")

    segment = await execute(f)
    assert waits_for(segment) == "run_01:m:0:a:0"
    assert (ran, recorded(segment)) == ([], [])


async def test_a_branch_that_swallows_in_a_loop_holds_nothing_up() -> None:
    stop, rounds = threading.Event(), 0

    @function("f")
    def f(ctx: Any) -> Any:
        def branch(item: int, branch: Any) -> None:
            nonlocal rounds
            while not stop.is_set():
                rounds += 1
                try:
                    branch.sleep("nap", 5)
                except BaseException:  # noqa: BLE001, S112 - the sin under test
                    continue

        ctx.step.map("m", [1], branch)

    segment = await execute(f)
    stop.set()
    assert waits_for(segment) == "run_01:m:0:nap:0"
    assert rounds < 10


# ---- pauses


@pytest.mark.parametrize("shape", ["handler", "branches"])
def test_a_pause_lets_the_body_in_flight_end_and_starts_no_other(shape: str) -> None:
    begun, release = threading.Semaphore(0), threading.Event()

    def body() -> None:
        begun.release()
        release.wait(PATIENCE)

    @function("f")
    def f(ctx: Any) -> Any:
        def work(step: Any) -> str:
            step.run("a", body)
            return step.run("b", lambda: "end")  # type: ignore[no-any-return]

        return work(ctx.step) if shape == "handler" else ctx.step.parallel("p", [work, work])[0]

    stage = Stage(f)
    for _ in range(1 if shape == "handler" else 2):
        assert begun.acquire(timeout=PATIENCE)
    stage.segment.core.pause()
    assert not stage.segment.boundary
    release.set()
    assert stage.reached.wait(PATIENCE)
    assert {one.rpartition(":")[0].rpartition(":")[2] for one, _ in recorded(stage.segment)} == {"a"}
    stage.segment.core.proceed()
    assert output(stage.join()) == "end"
    assert stage.segment.reached == 1


def test_a_handler_that_asks_for_no_step_is_not_paused() -> None:
    begun, release = threading.Event(), threading.Event()

    @function("f")
    def f(ctx: Any) -> str:
        begun.set()
        release.wait(PATIENCE)
        return "end"

    stage = Stage(f)
    assert begun.wait(PATIENCE)
    stage.segment.core.pause()
    assert not stage.segment.boundary
    release.set()
    assert output(stage.join()) == "end"


@pytest.mark.parametrize(
    "ask",
    [
        lambda step: step.run("x", len, []),
        lambda step: step.sleep("nap", 5),
        lambda step: step.invoke("g"),
        lambda step: step.publish("t"),
    ],
)
def test_a_paused_handler_ends_at_its_step_once(ask: Callable[[Any], Any]) -> None:
    ends: list[str] = []

    @function("f")
    def f(ctx: Any) -> None:
        ctx.step.compensate("a", ends.append, "undone")
        try:
            ask(ctx.step)
        finally:
            ends.append("end")

    segment = Segment(assignment(function_id="f"), f, announce=lambda segment: reached.set())
    reached = threading.Event()
    segment.journal.pausing = True
    thread = threading.Thread(target=execution.run_plain, args=(segment, tools()), daemon=True)
    thread.start()
    assert reached.wait(PATIENCE)
    assert segment.boundary
    segment.abandoned = segment.journal.closed = True
    segment.core.abandon()
    thread.join(PATIENCE)
    assert (ends, recorded(segment)) == (["end"], [])


async def test_a_parallel_of_a_run_that_was_given_up_is_not_waited_for() -> None:
    begun, release = threading.Event(), threading.Event()

    @function("f")
    def f(ctx: Any) -> None:
        def branch(item: int, branch: Any) -> None:
            begun.set()
            release.wait(PATIENCE)
            branch.run("late", len, [])
            raise NonRetryableError("not reached")

        ctx.step.map("m", [1], branch)

    stage = Stage(f)
    assert begun.wait(PATIENCE)
    stage.segment.abandoned = stage.segment.journal.closed = True
    stage.segment.core.abandon()
    assert recorded(stage.join()) == []
    release.set()


def test_a_thread_that_is_held_is_no_boundary_while_a_body_is_in_flight() -> None:
    begun, ask, release = threading.Event(), threading.Event(), threading.Event()

    @function("f")
    def f(ctx: Any) -> Any:
        def body() -> bool:
            begun.set()
            return release.wait(PATIENCE)

        def works(branch: Any) -> Any:
            return branch.run("a", body)

        def asks(branch: Any) -> Any:
            ask.wait(PATIENCE)
            return branch.run("b", lambda: "late")

        return ctx.step.parallel("p", [works, asks])

    stage = Stage(f)
    assert begun.wait(PATIENCE)
    stage.segment.core.pause()
    ask.set()
    while not stage.segment.core._held:
        threading.Event().wait(0.001)
    assert not stage.segment.boundary
    release.set()
    assert stage.reached.wait(PATIENCE)
    assert recorded(stage.segment) == [("run_01:p:0:a:0", "completed")]
    stage.segment.core.proceed()
    assert output(stage.join()) == [True, "late"]
