"""Branches as tasks: what settles, what swallows, what is cancelled, and pauses in an event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from ironflow_lab.errors import NonRetryableError
from ironflow_lab.runtime import execution, signals
from ironflow_lab.runtime.branches import OnError
from ironflow_lab.runtime.function import DurableFunction, function
from ironflow_lab.runtime.segment import Segment
from tests.unit.runtime.assignments import done, segment_of
from tests.unit.runtime.colours import execute, fault, output, recorded, waits_for
from tests.unit.runtime.fakes import tools
from tests.unit.runtime.faketime import settle


async def begin(defined: DurableFunction) -> tuple[Segment, asyncio.Task[None]]:
    """Execute a handler as far as it goes by itself."""
    segment = segment_of(defined)
    work = asyncio.create_task(execution.run_async(segment, tools()))
    segment.work = work
    await settle()
    return segment, work


class Bodies:
    """Step bodies that end when the test lets them."""

    def __init__(self, count: int) -> None:
        self.gates = [asyncio.Event() for _ in range(count)]
        self.begun: list[int] = []

    async def body(self, number: int) -> int:
        self.begun.append(number)
        await self.gates[number].wait()
        return number

    def mapped(self, **options: Any) -> DurableFunction:
        @function("f")
        async def handler(ctx: Any) -> Any:
            items = range(len(self.gates))
            return await ctx.step.map("m", items, lambda item, branch: branch.run("x", self.body, item), **options)

        return handler


async def test_at_most_so_many_run_at_once_and_the_next_begins_when_one_ends() -> None:
    bodies = Bodies(4)
    segment, work = await begin(bodies.mapped(concurrency=2))
    assert bodies.begun == [0, 1]
    bodies.gates[1].set()
    await settle()
    assert bodies.begun == [0, 1, 2]
    for gate in bodies.gates:
        gate.set()
    await work
    assert output(segment) == [0, 1, 2, 3]


@pytest.mark.parametrize(("on_error", "begun"), [("fail_fast", [0, 1]), ("collect", [0, 1, 2])])
async def test_after_a_failure_those_under_way_end_first(on_error: OnError, begun: list[int]) -> None:
    gate = asyncio.Event()
    ran: list[int] = []

    @function("f")
    async def f(ctx: Any) -> Any:
        async def branch(item: int, branch: Any) -> Any:
            ran.append(item)
            if item == 0:
                raise ValueError("no")
            await branch.run("x", gate.wait)
            return await branch.run("y", gate.wait)

        found = await ctx.step.map("m", range(3), branch, concurrency=2, on_error=on_error)
        return len(found)

    segment, work = await begin(f)
    assert segment.outcome is None
    gate.set()
    await work
    assert ran == begun
    assert ("run_01:m:1:y:0", "completed") in recorded(segment)
    if on_error == "fail_fast":
        assert fault(segment.outcome) == ("ERROR", True, "ValueError: no")


async def test_a_wait_lets_the_other_branches_go_on_to_their_end() -> None:
    gate = asyncio.Event()

    @function("f")
    async def f(ctx: Any) -> Any:
        async def works(branch: Any) -> Any:
            await branch.run("x", gate.wait)
            return await branch.run("y", gate.wait)

        return await ctx.step.parallel("p", [lambda branch: branch.sleep("nap", 5), works])

    segment, work = await begin(f)
    assert segment.outcome is None
    gate.set()
    await work
    assert waits_for(segment) == "run_01:p:0:nap:0"
    assert [one for one, _ in recorded(segment)] == ["run_01:p:1:x:0", "run_01:p:1:y:0"]


async def test_a_task_a_branch_has_started_ends_with_the_branch() -> None:
    gate = asyncio.Event()
    kept: list[Any] = []

    @function("f")
    async def f(ctx: Any) -> Any:
        async def branch(item: int, branch: Any) -> str:
            kept.append(asyncio.ensure_future(branch.run("x", gate.wait)))
            await asyncio.sleep(0)
            return "left it"

        return await ctx.step.map("m", [1], branch)

    segment, work = await begin(f)
    assert segment.outcome is None
    gate.set()
    await work
    assert (output(segment), recorded(segment)) == (["left it"], [("run_01:m:0:x:0", "completed")])


@pytest.mark.parametrize("late", [True, False])
async def test_a_branch_that_swallows_the_wait_still_waits(monkeypatch: pytest.MonkeyPatch, late: bool) -> None:
    monkeypatch.setattr(signals, "PENALTY", 0.0)
    ran: list[str] = []

    @function("f")
    async def f(ctx: Any) -> Any:
        async def branch(item: int, branch: Any) -> str:
            for name in ("a", "b", "c"):
                try:
                    await branch.sleep(name, 5)
                    await branch.run(name, ran.append, name)
                except BaseException:  # noqa: BLE001, S110 - the sin under test
                    pass
            return "finished"

        found = await ctx.step.map("m", [1, 2], branch)
        return found if not late else await ctx.step.run("late", ran.append, "late")

    segment = await execute(f)
    assert waits_for(segment) == "run_01:m:0:a:0"
    assert (ran, recorded(segment)) == ([], [])


async def test_a_branch_that_swallows_in_a_loop_holds_nothing_up() -> None:
    rounds = 0

    @function("f")
    async def f(ctx: Any) -> Any:
        async def branch(item: int, branch: Any) -> None:
            nonlocal rounds
            while rounds < 1000:
                rounds += 1
                try:
                    await branch.sleep("nap", 5)
                except BaseException:  # noqa: BLE001, S112 - the sin under test
                    continue

        return await ctx.step.map("m", [1], branch)

    segment, work = await begin(f)
    await work
    assert waits_for(segment) == "run_01:m:0:nap:0"
    assert rounds < 10
    rounds = 1000
    await settle()


async def test_a_cancelled_parallel_cancels_its_branches_and_the_handler_goes_on() -> None:
    ended: list[int] = []

    @function("f")
    async def f(ctx: Any) -> Any:
        async def branch(item: int, branch: Any) -> None:
            try:
                await branch.run("x", asyncio.Event().wait)
            finally:
                ended.append(item)

        parallel = asyncio.ensure_future(ctx.step.map("m", range(5), branch, concurrency=2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        parallel.cancel()
        try:
            await parallel
        except asyncio.CancelledError:
            return await ctx.step.run("after", lambda: "went on")

    segment = await execute(f)
    assert (output(segment), sorted(ended)) == ("went on", [0, 1])


async def test_code_of_branches_is_cancelled_with_a_run_that_is_given_up() -> None:
    ended: list[int] = []

    @function("f")
    async def f(ctx: Any) -> Any:
        async def branch(item: int, branch: Any) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(item)

        await ctx.step.map("m", range(3), branch)

    segment, work = await begin(f)
    segment.abandoned = segment.journal.closed = True
    work.cancel()
    await asyncio.wait({work})
    assert ended == [0, 1, 2]
    assert recorded(segment) == []


async def test_a_parallel_beside_a_sleep_of_the_handler_stops_at_its_next_step() -> None:
    gate = asyncio.Event()

    @function("f")
    async def f(ctx: Any) -> Any:
        async def branch(item: int, branch: Any) -> None:
            await branch.run("x", gate.wait)
            await branch.run("y", gate.wait)

        await asyncio.gather(ctx.step.map("m", [1], branch), ctx.step.sleep("nap", 5))

    segment, work = await begin(f)
    gate.set()
    await work
    assert waits_for(segment) == "run_01:nap:0"
    assert recorded(segment) == [("run_01:m:0:x:0", "completed")]


# ---- pauses


def paused_at(segment: Segment) -> bool:
    return segment.boundary and not segment.journal.closed


@pytest.mark.parametrize("shape", ["handler", "branches"])
async def test_a_pause_lets_the_body_in_flight_end_and_starts_no_other(shape: str) -> None:
    first, second = asyncio.Event(), asyncio.Event()
    ran: list[str] = []

    @function("f")
    async def f(ctx: Any) -> Any:
        async def work(step: Any) -> str:
            await step.run("a", first.wait)
            await step.run("b", second.wait)
            return await step.run("c", lambda: "end")  # type: ignore[no-any-return]

        if shape == "handler":
            return await work(ctx.step)
        return (await ctx.step.parallel("p", [work, work]))[0]

    segment, work = await begin(f)
    segment.core.pause()
    assert not segment.boundary
    second.set()
    first.set()
    await settle()
    assert (segment.boundary, segment.reached, segment.outcome) == (True, 1, None)
    assert {one.rpartition(":")[0].rpartition(":")[2] for one, _ in recorded(segment)} == {"a"}
    segment.core.proceed()
    await work
    assert (output(segment), segment.boundary) == ("end", False)
    assert ran == []


async def test_a_pause_between_steps_is_reached_at_once_and_the_end_waits_for_the_verdict() -> None:
    gate = asyncio.Event()
    undone: list[str] = []

    @function("f")
    async def f(ctx: Any) -> Any:
        ctx.step.compensate("a", undone.append, "a")
        await gate.wait()
        raise NonRetryableError("no")

    segment, work = await begin(f)
    segment.core.pause()
    assert segment.boundary
    gate.set()
    await settle()
    assert (segment.outcome, undone) == (None, [])
    segment.core.proceed()
    await work
    assert (fault(segment.outcome)[2], undone) == ("no", ["a"])


async def test_a_paused_handler_is_cancelled_once_and_its_end_runs_once() -> None:
    ends: list[str] = []
    gate = asyncio.Event()

    @function("f")
    async def f(ctx: Any) -> Any:
        try:
            await ctx.step.run("a", gate.wait)
            await ctx.step.run("b", gate.wait)
        finally:
            ends.append("begun")
            await asyncio.sleep(0)
            ends.append("done")

    segment, work = await begin(f)
    segment.core.pause()
    gate.set()
    await settle()
    segment.abandoned = segment.journal.closed = True
    work.cancel()
    segment.core.abandon()
    await asyncio.wait({work})
    assert ends == ["begun", "done"]
    assert recorded(segment) == [("run_01:a:0", "completed")]


async def test_a_handler_that_swallows_a_pause_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "PENALTY", 0.0)
    ran: list[str] = []

    @function("f")
    async def f(ctx: Any) -> None:
        for name in "abc":
            with contextlib.suppress(BaseException):
                await ctx.step.run(name, ran.append, name)

    segment = segment_of(f)
    segment.journal.pausing = True
    work = asyncio.create_task(execution.run_async(segment, tools()))
    await settle()
    assert (segment.boundary, ran) == (True, [])
    segment.abandoned = segment.journal.closed = True
    work.cancel()
    segment.core.abandon()
    await asyncio.wait({work})
    assert (ran, recorded(segment)) == ([], [])


@pytest.mark.parametrize(
    "ask", [lambda step: step.sleep("nap", 5), lambda step: step.invoke("g"), lambda step: step.publish("t")]
)
async def test_a_pause_holds_every_kind_of_step(ask: Callable[[Any], Any]) -> None:
    @function("f")
    async def f(ctx: Any) -> Any:
        await asyncio.sleep(0)
        return await ask(ctx.step)

    segment = segment_of(f)
    segment.journal.pausing = True
    work = asyncio.create_task(execution.run_async(segment, tools()))
    await settle()
    assert (segment.boundary, segment.outcome, recorded(segment)) == (True, None, [])
    segment.core.proceed()
    await work
    assert segment.outcome is not None


async def test_recorded_steps_are_read_back_while_a_pause_is_wanted() -> None:
    @function("f")
    async def f(ctx: Any) -> Any:
        return await ctx.step.run("a", lambda: 1)

    segment = segment_of(f, done("a", 7))
    work = asyncio.create_task(execution.run_async(segment, tools()))
    segment.journal.pausing = True
    await settle()
    segment.core.proceed()
    await work
    assert output(segment) == 7


async def test_a_run_that_waits_already_is_not_at_a_boundary() -> None:
    gate = asyncio.Event()

    @function("f")
    async def f(ctx: Any) -> Any:
        await asyncio.gather(ctx.step.run("a", gate.wait), ctx.step.sleep("nap", 5))

    segment, work = await begin(f)
    segment.core.pause()
    gate.set()
    await work
    assert (segment.boundary, waits_for(segment)) == (False, "run_01:nap:0")
