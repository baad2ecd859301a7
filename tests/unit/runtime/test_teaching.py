"""Warnings that teach: told once at the right line, and never of a program that is right."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import random
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironflow_lab.errors import IronflowWarning, StepError
from ironflow_lab.runtime import execution, teaching
from ironflow_lab.runtime.function import DurableFunction, function
from ironflow_lab.runtime.outcome import Completed, Failed, Yielded
from ironflow_lab.runtime.segment import Segment
from tests.unit.runtime.assignments import done, segment_of
from tests.unit.runtime.colours import COLOURS, execute, fault, made, output
from tests.unit.runtime.fakes import tools
from tests.unit.runtime.programs import PROGRAMS, Op, World, looped, names, threaded


@pytest.fixture(params=COLOURS)
def colour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def told(defined: DurableFunction, *completed: Any, **changes: Any) -> tuple[Segment, list[str]]:
    """Execute a handler once; return its segment and what it was told."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        segment = await execute(defined, *completed, **changes)
    assert {one.category for one in caught} <= {IronflowWarning}, [str(one.message) for one in caught]
    return segment, [str(one.message) for one in caught]


def line_of(defined: DurableFunction, offset: int) -> int:
    """Return the line so many below the `def` of a handler, which follows its decorator."""
    return int(defined.handler.__code__.co_firstlineno) + 1 + offset


async def body(value: Any = None) -> Any:
    return value


# ---- steps of one name


async def test_one_name_on_two_lines_is_told_with_both_lines() -> None:
    @function("order")
    async def order(ctx: Any) -> None:
        await ctx.step.run("charge", body)
        await ctx.step.sleep("rest", "5s")
        await ctx.step.run("charge", body)

    first, nothing = await told(order)
    assert nothing == []
    assert isinstance(first.outcome, Yielded)
    _, (text,) = await told(order, done("charge"), done("rest"))
    assert text.startswith(f"order, lines {line_of(order, 1)} and {line_of(order, 3)}: two steps are named 'charge'.")
    assert "'charge-2'" in text
    assert (await told(order, done("charge"), done("rest")))[1] == []


async def test_it_is_told_once_a_definition_and_again_when_the_cell_is_run_again() -> None:
    def define() -> DurableFunction:
        def plain(ctx: Any) -> None:
            ctx.step.run("a", int)
            ctx.step.run("a", int)

        return function("f")(plain)

    first, second = define(), define()
    assert [len((await told(one))[1]) for one in (first, first, second)] == [1, 0, 1]


async def test_a_loop_a_helper_and_one_line_are_no_collision(colour: str) -> None:
    def charge(step: Any, number: int) -> Any:
        return step.run("charge", int, number)

    async def both(ctx: Any) -> list[Any]:
        found = [await charge(ctx.step, number) for number in range(3)]
        for number in range(3):
            found += [await ctx.step.run("pack", int, number)]
        return [*found, await charge(ctx.step, 9), await ctx.step.run("x", int), await ctx.step.run("x", int)]

    def plain(ctx: Any) -> list[Any]:
        found = [charge(ctx.step, number) for number in range(3)]
        for number in range(3):
            found += [ctx.step.run("pack", int, number)]
        return [*found, charge(ctx.step, 9), ctx.step.run("x", int), ctx.step.run("x", int)]

    segment, texts = await told(function("f")(both if colour == "async" else plain))
    assert output(segment) == [0, 1, 2, 0, 1, 2, 9, 0, 0]
    assert texts == []


async def test_the_scopes_of_branches_are_apart(colour: str) -> None:
    def first(branch: Any) -> Any:
        return branch.run("x", int)

    def second(branch: Any) -> Any:
        return branch.run("x", int)

    segment, texts = await told(made(colour, lambda ctx: ctx.step.parallel("p", [first, second])))
    assert output(segment) == [0, 0]
    assert texts == []


async def test_what_is_named_by_what_it_calls_is_no_collision() -> None:
    @function("f")
    async def f(ctx: Any) -> None:
        await ctx.step.publish("topic", 1)
        await ctx.step.publish("topic", 2)
        await ctx.step.invoke("other", 1)
        await ctx.step.invoke("other", 2)

    assert (await told(f, done("other", 1, 0), done("other", 2, 1)))[1] == []


# ---- branches that record nothing


def spend(number: int) -> int:
    return number * 2


@pytest.mark.parametrize("form", ["parallel", "map"])
async def test_a_branch_that_ignores_its_steps_is_told(colour: str, form: str) -> None:
    def parallel(ctx: Any) -> Any:
        return ctx.step.parallel("p", [lambda branch: spend(1), lambda branch: branch.run("x", spend, 2)])

    def mapped(ctx: Any) -> Any:
        return ctx.step.map("p", [1, 2], lambda item, branch: spend(item))

    segment, (text,) = await told(made(colour, parallel if form == "parallel" else mapped))
    assert output(segment) == [2, 4]
    line = (parallel if form == "parallel" else mapped).__code__.co_firstlineno + 1
    assert text.startswith(f"f, line {line}")
    assert "a branch of 'p' does not use the steps it is given ('branch')" in text


@pytest.mark.parametrize(
    "branch",
    [
        lambda branch: 5,
        lambda branch: len("abc") + max(1, 2),
        lambda _: spend(1),
        lambda _branch: spend(1),
        lambda branch: spend(1) if branch.index > 99 else spend(2),
        lambda branch: [spend(branch.index) for _ in range(0)],
        lambda branch: spend(len([branch.index for _ in range(0)])),
        lambda *branches: spend(1),
    ],
)
async def test_a_branch_that_may_mean_it_is_left_alone(branch: Callable[..., Any]) -> None:
    _, texts = await told(made("plain", lambda ctx: ctx.step.parallel("p", [branch]) and None))
    assert texts == []


async def test_methods_and_async_branches_are_looked_into() -> None:
    class Shop:
        async def settle(self, item: int, branch: Any) -> int:
            return spend(item)

        async def pack(self, item: int, branch: Any) -> Any:
            return await branch.run("pack", spend, item)

    shop = Shop()
    ignored = await told(made("async", lambda ctx: ctx.step.map("settle", [1], shop.settle)))
    used = await told(made("async", lambda ctx: ctx.step.map("pack", [1], shop.pack)))
    assert [len(ignored[1]), len(used[1])] == [1, 0]


async def test_a_branch_that_failed_or_waits_is_not_told_of(colour: str) -> None:
    def fails(branch: Any) -> Any:
        raise ValueError("no")

    _, texts = await told(made(colour, lambda ctx: ctx.step.parallel("p", [fails, lambda b: b.sleep("s", 5)])))
    assert texts == []


# ---- waits


@pytest.mark.parametrize(
    ("path", "missing"),
    [("data.orderId", True), ("data.id", False), ("id", False), ("$.data.no", True), ("data.none", True)],
)
async def test_a_match_path_that_the_event_lacks_is_told(colour: str, path: str, missing: bool) -> None:
    defined = made(colour, lambda ctx: ctx.step.wait_for_event("approved", "order.approved", match=path))
    segment, texts = await told(defined, data={"id": 1, "none": None, "secret": "s3cret"})
    assert isinstance(segment.outcome, Yielded)
    assert len(texts) == missing
    for text in texts:
        assert "the wait 'approved' is for an event with the same" in text
        assert "'order.placed', has nothing there" in text
        assert "match_value=" in text
        assert "s3cret" not in text


async def test_a_wait_with_a_value_or_that_is_over_is_not_told_of(colour: str) -> None:
    found = {"id": "evt_2", "name": "e", "data": 1, "timestamp": "2026-01-02T03:04:05Z"}
    valued = made(colour, lambda ctx: ctx.step.wait_for_event("w", "e", match="data.no", match_value=1))
    over = made(colour, lambda ctx: ctx.step.wait_for_event("w", "e", match="data.no").data)
    looped_over = made("async", lambda ctx: _data(ctx.step.wait_for_event("w", "e", match="data.no")))
    assert (await told(valued))[1] == []
    assert (await told(over if colour == "plain" else looped_over, done("w", found)))[1] == []


async def _data(waited: Any) -> Any:
    return (await waited).data


# ---- steps that were never awaited


async def test_a_dropped_step_is_named_with_its_line_and_its_verb() -> None:
    @function("order")
    async def order(ctx: Any) -> int:
        ctx.step.run("charge", body)
        ctx.step.sleep("rest", "5s")
        ctx.step.parallel("pack", [])
        ctx.step.publish("topic")
        return 1

    segment, texts = await told(order)
    assert output(segment) == 1
    assert segment.collect() == []
    assert [text.partition(":")[0] for text in texts] == [f"order, line {line_of(order, n)}" for n in (1, 2, 3, 4)]
    assert "the step 'charge' was called without await and did not run" in texts[0]
    assert "await ctx.step.run('charge', ...)" in texts[0]
    assert [verb in text for verb, text in zip(("sleep", "parallel", "publish"), texts[1:], strict=True)] == [True] * 3


async def test_a_step_that_is_returned_is_told_of_as_such() -> None:
    @function("order")
    async def order(ctx: Any) -> Any:
        return ctx.step.run("charge", body)

    segment, (text,) = await told(order)
    assert "return await ctx.step.run('charge', ...)" in text
    assert isinstance(segment.outcome, Failed)
    assert "coroutine" in segment.outcome.fault.message


async def test_a_result_that_is_used_as_if_it_were_awaited_is_told_of() -> None:
    @function("order")
    async def order(ctx: Any) -> Any:
        total = ctx.step.run("charge", body)
        return total["amount"]

    segment, (text,) = await told(order)
    assert isinstance(segment.outcome, Failed)
    assert text.startswith(f"order, line {line_of(order, 1)}: the step 'charge' was called without await")


async def test_a_coroutine_in_place_of_a_function_is_refused_and_ended(colour: str) -> None:
    segment, texts = await told(made(colour, lambda ctx: ctx.step.run("charge", body(1))))
    assert texts == []
    assert "got coroutine instead of a function" in fault(segment.outcome)[2]
    gc.collect()


async def test_a_loop_of_dropped_steps_is_told_once() -> None:
    @function("order")
    async def order(ctx: Any) -> None:
        for _ in range(100):
            ctx.step.run("charge", body)

    assert len((await told(order))[1]) == 1


async def test_what_would_have_been_awaited_later_is_not_told_of() -> None:
    @function("f")
    async def waits(ctx: Any) -> None:
        later = ctx.step.run("later", body)
        await ctx.step.sleep("rest", "5s")
        await later

    @function("g")
    async def fails(ctx: Any) -> None:
        def broken() -> None:
            raise TypeError("no coroutine's fault, one may say")

        later = ctx.step.run("later", body)
        await ctx.step.run("now", broken)
        await later

    @function("h")
    async def tasks(ctx: Any) -> Any:
        one = asyncio.create_task(ctx.step.run("one", body, 1))
        two, three = await asyncio.gather(ctx.step.run("two", body, 2), asyncio.wait_for(ctx.step.run("3", body, 3), 5))
        cancelled = asyncio.create_task(ctx.step.run("never", body))
        cancelled.cancel()
        return [await one, two, three]

    @function("i")
    async def swallows(ctx: Any) -> None:
        later = ctx.step.run("later", body)
        with contextlib.suppress(BaseException):
            await ctx.step.sleep("rest", "5s")
            await later

    segments = [await told(one) for one in (waits, fails, tasks, swallows)]
    assert [texts for _, texts in segments] == [[], [], [], []]
    assert [type(segment.outcome) for segment, _ in segments] == [Yielded, Failed, Completed, Yielded]


async def test_a_failure_tells_of_steps_that_nobody_holds() -> None:
    @function("f")
    async def f(ctx: Any) -> None:
        ctx.step.run("charge", body)
        await asyncio.sleep(0)
        raise ValueError("no")

    _, (text,) = await told(f)
    assert "'charge' was called without await" in text


async def test_whoever_makes_errors_of_warnings_fails_the_run_by_them() -> None:
    @function("f")
    async def f(ctx: Any) -> None:
        ctx.step.run("charge", body)

    segment = await execute(f)
    assert isinstance(segment.outcome, Failed)
    assert "IronflowWarning: f, line" in segment.outcome.fault.message


async def test_a_filter_silences_them() -> None:
    @function("f")
    async def f(ctx: Any) -> None:
        ctx.step.run("charge", body)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore", IronflowWarning)
        await execute(f)
    assert caught == []


async def test_a_task_that_outlives_its_run_is_left_to_itself() -> None:
    seen: list[str] = []

    @function("f")
    async def f(ctx: Any) -> None:
        async def beside() -> None:
            try:
                await ctx.step.run("beside", body)
            except StepError:
                seen.append("StepError")
            except BaseException as error:
                seen.append(type(error).__name__)
                raise

        async def waiting() -> None:
            await ctx.step.parallel("p", [lambda branch: branch.run("x", gate.wait)])

        tasks.append(asyncio.create_task(waiting()))
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(beside()))
        tasks.append(asyncio.create_task(ctx.step.run("task", body)))
        asyncio.get_running_loop().call_later(0, gate.set)

    gate = asyncio.Event()
    tasks: list[asyncio.Task[Any]] = []
    segment, texts = await told(f)
    await asyncio.wait(tasks)
    assert texts == []
    assert seen == ["Abandoned"]
    assert [type(task.exception()).__name__ for task in tasks[1:]] == ["Abandoned", "Abandoned"]
    assert isinstance(segment.outcome, Completed)


# ---- no program that is right is told anything


def kinds(ops: list[Op]) -> bool:
    """Return whether a name is used on two lines of the made-up handlers, in one scope."""
    lines: dict[str, set[str]] = {}
    for op in ops:
        if len(op) == 4:
            if any(kinds(branch) for branch in op[3]):
                return True
        elif op[0] in ("run", "sleep", "wait"):
            lines.setdefault(op[1], set()).add(op[0])
    return any(len(found) > 1 for found in lines.values())


@settings(max_examples=120, deadline=None)
@given(PROGRAMS, st.integers(0, 2**16))
def test_made_up_programs_are_told_of_collisions_and_of_nothing_else(program: list[Op], seed: int) -> None:
    ops = names(program)

    async def scenario(make: Callable[[list[Op], World], DurableFunction]) -> None:
        chance = random.Random(seed)
        world = World(chance.randrange(4) for _ in itertools.count())
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert isinstance(await world.finish(make(ops, world)), Completed)
        texts = [str(one.message) for one in caught]
        assert all("two steps are named" in text for text in texts), texts
        assert bool(texts) == kinds(ops)

    for make in (looped, threaded):
        asyncio.run(scenario(make))


# ---- bounds


async def test_a_function_is_told_fifty_things_and_no_more() -> None:
    @function("f")
    def f(ctx: Any) -> None: ...

    assert sum(teaching.first_time(f, "kind", number) for number in range(2 * teaching.MOST)) == teaching.MOST


async def test_steps_that_have_begun_are_not_held() -> None:
    @function("f")
    async def f(ctx: Any) -> int:
        await asyncio.gather(*(ctx.step.run("x", body) for _ in range(50)))
        return len(ctx.step._core.unbegun)

    segment = segment_of(f)
    await execution.run_async(segment, tools())
    assert output(segment) == 0
