"""How an execution ends: yields, swallowed signals, branches that settle."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec import Raw, json

from ironflow_lab.models.workers import CompletedStep
from ironflow_lab.runtime import execution, signals
from ironflow_lab.runtime.function import DurableFunction, function
from ironflow_lab.runtime.outcome import Completed, Failed, Outcome, Yielded
from ironflow_lab.runtime.segment import Segment
from tests.unit.runtime.assignments import done, segment_of
from tests.unit.runtime.fakes import tools
from tests.unit.runtime.faketime import settle


async def run(defined: DurableFunction, *completed: CompletedStep, data: Any = None) -> Segment:
    """Execute a handler once."""
    segment = segment_of(defined, *completed, data=data)
    await execution.run_async(segment, tools())
    return segment


def output(outcome: Outcome | None) -> Any:
    assert isinstance(outcome, Completed), outcome
    return json.decode(outcome.output)


def fault(outcome: Outcome | None) -> tuple[str, bool, str]:
    assert isinstance(outcome, Failed), outcome
    return outcome.fault.code, outcome.fault.retryable, outcome.fault.message


def waits_for(outcome: Outcome | None) -> str:
    assert isinstance(outcome, Yielded), outcome
    return outcome.wanted.step_id


async def double(x: int) -> int:
    return 2 * x


# ---- yields


async def test_a_sleep_ends_the_segment_and_is_over_when_recorded() -> None:
    @function
    async def f(ctx: Any) -> str:
        await ctx.step.run("a", double, 1)
        await ctx.step.sleep("nap", "5s")
        return "slept"

    segment = await run(f)
    assert waits_for(segment.outcome) == "run_01:nap:0"
    assert isinstance(segment.outcome, Yielded)
    assert (segment.outcome.wanted.type, str(segment.outcome.wanted.until)) == (
        "sleep",
        "2026-01-02T03:04:10.004Z",
    )
    assert [one.id for one in segment.collect()] == ["run_01:a:0"]
    assert output((await run(f, done("a", 2), done("nap"))).outcome) == "slept"


async def test_sleep_until_a_past_instant_yields_all_the_same() -> None:
    @function
    async def f(ctx: Any) -> None:
        await ctx.step.sleep_until("start", "2020-01-01T00:00:00Z")

    assert waits_for((await run(f)).outcome) == "run_01:start:0"


async def test_except_exception_does_not_catch_a_yield() -> None:
    @function
    async def f(ctx: Any) -> str:
        try:
            await ctx.step.sleep("nap", 5)
        except Exception:  # noqa: BLE001 - what notebooks are full of
            return "caught"
        return "slept"

    assert waits_for((await run(f)).outcome) == "run_01:nap:0"


async def test_a_handler_that_swallows_everything_still_yields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "PENALTY", 0.0)
    ran: list[str] = []

    @function
    async def f(ctx: Any) -> str:
        for name in ("a", "b"):
            try:
                await ctx.step.sleep(name, 5)
                await ctx.step.run(name, ran.append, name)
            except BaseException:  # noqa: BLE001, S110 - the sin under test
                pass
        return "finished"

    segment = await run(f)
    assert waits_for(segment.outcome) == "run_01:a:0"
    assert ran == []
    assert segment.collect() == []


async def test_a_handler_that_swallows_in_a_loop_does_not_spin() -> None:
    rounds, last = 0, False

    @function
    async def f(ctx: Any) -> None:
        nonlocal rounds
        while not last:
            rounds += 1
            try:
                await ctx.step.sleep("nap", 5)
            except BaseException:  # noqa: BLE001, S112 - the sin under test
                continue

    segment = segment_of(f)
    work = asyncio.ensure_future(execution.run_async(segment, tools()))
    await settle()
    assert waits_for(segment.outcome) == "run_01:nap:0"
    assert rounds == 3
    last = True
    work.cancel()
    await work


async def test_code_after_the_signal_records_nothing() -> None:
    @function
    async def f(ctx: Any) -> None:
        try:
            await ctx.step.sleep("nap", 5)
        finally:
            await ctx.step.run("cleanup", double, 1)

    segment = await run(f)
    assert waits_for(segment.outcome) == "run_01:nap:0"
    assert segment.collect() == []


# ---- branches


async def test_branches_yield_once_and_finished_steps_are_kept() -> None:
    @function
    async def f(ctx: Any) -> Any:
        async def branch(name: str) -> Any:
            value = await ctx.step.run(f"work-{name}", double, 1)
            await ctx.step.sleep(f"nap-{name}", 5)
            return value

        return await asyncio.gather(branch("a"), branch("b"))

    segment = await run(f)
    assert waits_for(segment.outcome) == "run_01:nap-a:0"
    assert {one.id for one in segment.collect()} == {"run_01:work-a:0", "run_01:work-b:0"}


@pytest.mark.parametrize("style", ["gather", "group"])
async def test_a_yield_lets_bodies_in_flight_settle(style: str) -> None:
    gate = asyncio.Event()

    @function
    async def f(ctx: Any) -> None:
        async def slow() -> str:
            await gate.wait()
            return "kept"

        if style == "gather":
            await asyncio.gather(ctx.step.run("slow", slow), ctx.step.sleep("nap", 5))
        else:
            async with asyncio.TaskGroup() as group:
                group.create_task(ctx.step.run("slow", slow))
                group.create_task(ctx.step.sleep("nap", 5))

    segment = segment_of(f)
    work = asyncio.ensure_future(execution.run_async(segment, tools()))
    await settle()
    assert segment.outcome is None
    gate.set()
    await work
    assert waits_for(segment.outcome) == "run_01:nap:0"
    assert [(one.id, one.output) for one in segment.collect()] == [("run_01:slow:0", Raw(b'"kept"'))]


async def test_after_a_yield_no_further_step_starts() -> None:
    gate = asyncio.Event()
    ran: list[str] = []

    @function
    async def f(ctx: Any) -> None:
        async def late() -> None:
            await gate.wait()
            await ctx.step.run("late", ran.append, "late")

        await asyncio.gather(ctx.step.sleep("nap", 5), late())

    segment = await run(f)
    gate.set()
    await settle()
    assert waits_for(segment.outcome) == "run_01:nap:0"
    assert ran == []
    assert segment.collect() == []


async def test_a_failure_waits_for_the_other_branches_bodies() -> None:
    gate = asyncio.Event()

    @function
    async def f(ctx: Any) -> None:
        async def slow() -> None:
            await gate.wait()

        async def fails() -> None:
            raise ValueError("no")

        await asyncio.gather(ctx.step.run("slow", slow), ctx.step.run("fails", fails))

    segment = segment_of(f)
    work = asyncio.ensure_future(execution.run_async(segment, tools()))
    await settle()
    assert segment.outcome is None
    gate.set()
    await work
    assert fault(segment.outcome)[0] == "STEP_FAILED"
    assert {one.id: one.status for one in segment.collect()} == {
        "run_01:fails:0": "failed",
        "run_01:slow:0": "completed",
    }
