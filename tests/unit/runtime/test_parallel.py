"""Branches, in both colours: ids, failures, waits, misuse; what only one colour has is in its own module."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from ironflow_lab.errors import StepError
from ironflow_lab.models.workers import CompletedStep
from tests.unit.runtime.assignments import done
from tests.unit.runtime.colours import COLOURS, execute, fault, made, output, recorded, waits_for

pytestmark = pytest.mark.parametrize("colour", COLOURS)


def double(x: int) -> int:
    return 2 * x


def fails() -> None:
    raise ValueError("no")


async def test_steps_of_branches_have_ids_of_their_own(colour: str) -> None:
    handler = made(
        colour,
        lambda ctx: ctx.step.parallel(
            "fetch:all", [lambda branch: branch.run("x", double, 1), lambda branch: branch.run("x", double, 2)]
        ),
    )
    segment = await execute(handler)
    assert output(segment) == [2, 4]
    assert sorted(recorded(segment)) == [
        ("run_01:fetch\\:all:0:x:0", "completed"),
        ("run_01:fetch\\:all:1:x:0", "completed"),
    ]


async def test_map_gives_item_and_branch(colour: str) -> None:
    handler = made(
        colour,
        lambda ctx: ctx.step.map("m", (n for n in (5, 6)), lambda item, branch: branch.run("x", double, branch.index)),
    )
    segment = await execute(handler)
    assert output(segment) == [0, 2]
    assert sorted(recorded(segment)) == [("run_01:m:0:x:0", "completed"), ("run_01:m:1:x:0", "completed")]


async def test_no_branches_are_no_results(colour: str) -> None:
    assert output(await execute(made(colour, lambda ctx: ctx.step.parallel("none", [])))) == []


async def test_recorded_steps_of_branches_are_read_back(colour: str) -> None:
    handler = made(colour, lambda ctx: ctx.step.map("m", [1], lambda item, branch: branch.run("x", fails)))
    segment = await execute(handler, done("m:0:x", "kept"))
    assert (output(segment), recorded(segment)) == (["kept"], [])


async def test_a_branch_need_not_have_steps(colour: str) -> None:
    assert output(await execute(made(colour, lambda ctx: ctx.step.map("m", [1, 2], lambda item, _: item + 1)))) == [
        2,
        3,
    ]


async def test_the_error_of_the_lowest_index_is_raised_when_all_have_ended(colour: str) -> None:
    def branch(item: str, branch: Any) -> Any:
        return branch.run(item, fails if item != "b" else lambda: "kept")

    segment = await execute(made(colour, lambda ctx: ctx.step.map("m", ["a", "b", "c"], branch)))
    assert fault(segment.outcome) == ("STEP_FAILED", True, "ValueError: no")
    assert ("run_01:m:1:b:0", "completed") in recorded(segment)


async def test_collect_gives_errors_as_values(colour: str) -> None:
    found: list[Any] = []

    def branch(item: int, branch: Any) -> Any:
        return branch.run("x", fails if item else lambda: "fine")

    def body(ctx: Any) -> Any:
        return ctx.step.map("m", [0, 1, 0], branch, on_error="collect", concurrency=1)

    handler = made(colour, lambda ctx: _kept(found, body(ctx)))
    await execute(handler)
    assert (found[0], found[2]) == ("fine", "fine")
    assert isinstance(found[1], StepError)


def _kept(found: list[Any], results: Any) -> Any:
    if isinstance(results, list):
        found += results
        return None

    async def wait() -> None:
        found.extend(await results)

    return wait()


async def test_a_wait_beats_an_error_of_a_lower_index_and_nothing_finished_is_lost(colour: str) -> None:
    def body(ctx: Any) -> Any:
        return ctx.step.parallel(
            "p",
            [
                lambda branch: branch.run("x", fails),
                lambda branch: branch.run("x", double, 2),
                lambda branch: branch.sleep("nap", 5),
                lambda branch: branch.sleep("nap", 5),
            ],
        )

    segment = await execute(made(colour, body))
    assert waits_for(segment) == "run_01:p:2:nap:0"
    assert sorted(recorded(segment)) == [("run_01:p:0:x:0", "failed"), ("run_01:p:1:x:0", "completed")]


async def test_sleeps_of_several_branches_end_one_after_another(colour: str) -> None:
    handler = made(colour, lambda ctx: ctx.step.map("m", ["a", ""][:1] * 3, lambda _, branch: branch.sleep("n", 5)))
    rows: list[CompletedStep] = []
    for index in range(3):
        segment = await execute(handler, *rows)
        assert waits_for(segment) == f"run_01:m:{index}:n:0"
        rows.append(done(f"m:{index}:n"))
    assert output(await execute(handler, *rows)) == [None, None, None]


async def test_the_wait_of_an_inner_branch_is_the_outer_ones(colour: str) -> None:
    def inner(branch: Any) -> Any:
        return branch.parallel("in", [lambda one: one.run("x", double, 1), lambda one: one.sleep("nap", 5)])

    segment = await execute(made(colour, lambda ctx: ctx.step.parallel("out", [inner, inner])))
    assert waits_for(segment) == "run_01:out:0:in:1:nap:0"
    assert sorted(one for one, _ in recorded(segment)) == ["run_01:out:0:in:0:x:0", "run_01:out:1:in:0:x:0"]


async def test_a_thousand_branches(colour: str) -> None:
    handler = made(
        colour, lambda ctx: ctx.step.map("m", range(1000), lambda item, branch: branch.run("x", double, item))
    )
    segment = await execute(handler)
    assert output(segment) == [2 * item for item in range(1000)]
    assert len(set(recorded(segment))) == 1000


async def test_a_name_is_used_once_in_its_scope(colour: str) -> None:
    def body(ctx: Any) -> Any:
        first = ctx.step.map("batch", [], double)
        if colour == "async":
            first.close()
        return ctx.step.map("batch", [], double)

    segment = await execute(made(colour, body))
    code, retryable, message = fault(segment.outcome)
    assert (code, retryable) == ("NON_RETRYABLE", False)
    assert "'batch' was used before" in message
    assert "f'batch-{number}'" in message


async def test_the_same_name_in_different_branches_is_fine(colour: str) -> None:
    handler = made(
        colour,
        lambda ctx: ctx.step.map(
            "m", [1, 2], lambda _, branch: branch.map("m", [1], lambda _, one: one.run("m", double, 1))
        ),
    )
    assert output(await execute(handler)) == [[2], [2]]


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda step: step.parallel("p", [1]), "branch 0 of 'p' is int"),
        (lambda step: step.parallel("p", None), "takes a list of functions that take a branch"),
        (lambda step: step.map("m", {1}, double), "a set, whose order changes"),
        (lambda step: step.map("m", [1], 3), "instead of a function that takes an item and a branch"),
        (lambda step: step.map("", [1], double), "is not a step name"),
        (lambda step: step.map("publish:x", [1], double), "are reserved"),
        (lambda step: step.map("m", [1], double, concurrency=-1), "must be a whole number"),
        (lambda step: step.map("m", [1], double, on_error="ignore"), "must be 'fail_fast' or 'collect'"),
    ],
)
async def test_bad_arguments_are_refused_at_once(colour: str, call: Callable[[Any], Any], why: str) -> None:
    code, retryable, message = fault((await execute(made(colour, lambda ctx: call(ctx.step)))).outcome)
    assert (code, retryable) == ("NON_RETRYABLE", False)
    assert re.search(why, message)


async def test_the_handlers_own_steps_are_refused_in_a_branch(colour: str) -> None:
    handler = made(colour, lambda ctx: ctx.step.map("m", [1], lambda item, _: ctx.step.run("x", double, item)))
    segment = await execute(handler)
    code, retryable, message = fault(segment.outcome)
    assert (code, retryable) == ("WRONG_BRANCH", False)
    assert "use the steps that the branch is given" in message
    assert recorded(segment) == []


@pytest.mark.parametrize("call", ["run", "sleep", "map", "compensate"])
async def test_a_branch_used_after_its_end_is_refused(colour: str, call: str) -> None:
    kept: list[Any] = []

    def late(ctx: Any) -> Any:
        given = ("late", 5) if call == "sleep" else ("late", [], double) if call == "map" else ("late", double, 1)
        return getattr(kept[0], call)(*given)

    def plain(ctx: Any) -> Any:
        ctx.step.map("m", [1], lambda _, branch: kept.append(branch))
        return late(ctx)

    async def looped(ctx: Any) -> Any:
        await ctx.step.map("m", [1], lambda _, branch: kept.append(branch))
        value = late(ctx)
        return await value if value is not None else value

    segment = await execute(made(colour, plain if colour == "plain" else looped))
    assert fault(segment.outcome)[0] == "SCOPE_OVER"


async def test_another_branchs_steps_are_refused(colour: str) -> None:
    kept: list[Any] = []

    def branch(item: int, branch: Any) -> Any:
        kept.append(branch)
        return kept[0].run("x", double, item)

    def body(ctx: Any) -> Any:
        return ctx.step.map("m", [1, 2], branch, concurrency=1)

    # With one at a time the first has ended, which is told before.
    segment = await execute(made(colour, body))
    assert fault(segment.outcome)[0] == "WRONG_BRANCH"


async def test_a_step_in_a_body_of_a_branch_is_refused(colour: str) -> None:
    def branch(item: int, branch: Any) -> Any:
        return branch.run("outer", lambda: branch.run("inner", double, item))

    segment = await execute(made(colour, lambda ctx: ctx.step.map("m", [1], branch)))
    code, _, message = fault(segment.outcome)
    assert code == "STEP_FAILED"
    assert "was called inside the body of step 'outer'" in message or "another thread" in message
