"""Compensations: when they run, in what order, what they leave behind, and what they may not do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from ironflow_lab.errors import NonRetryableError
from ironflow_lab.models.workers import JobFault, Yield
from ironflow_lab.runtime import compensation, execution
from ironflow_lab.runtime.compensation import Undos
from ironflow_lab.runtime.journal import Journal
from ironflow_lab.runtime.outcome import Completed, Failed, Yielded
from tests.unit.runtime.assignments import assignment, done, segment_of
from tests.unit.runtime.colours import COLOURS, execute, fault, made, recorded, waits_for
from tests.unit.runtime.fakes import tools

both = pytest.mark.parametrize("colour", COLOURS)


def undoing(*names: str, ran: list[str], end: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def body(ctx: Any) -> Any:
        for name in names:
            ctx.step.compensate(name, ran.append, name)
        return end(ctx)

    return body


def refuse(ctx: Any) -> None:
    raise NonRetryableError("no")


def stumble(ctx: Any) -> None:
    raise ValueError("no")


@both
async def test_they_run_newest_first_when_the_run_fails_for_good(colour: str) -> None:
    ran: list[str] = []
    segment = await execute(made(colour, undoing("a", "b:c", "a", ran=ran, end=refuse)))
    assert fault(segment.outcome) == ("NON_RETRYABLE", False, "no")
    assert ran == ["a", "b:c", "a"]
    results = segment.collect()
    assert [(one.id, one.name, one.type, one.compensation_for, one.status) for one in results] == [
        ("run_01:compensate:a:0", "compensate:a", "compensate", "a", "completed"),
        ("run_01:compensate:b\\:c:0", "compensate:b:c", "compensate", "b:c", "completed"),
        ("run_01:compensate:a:1", "compensate:a", "compensate", "a", "completed"),
    ]
    assert all(one.output is UNSET and one.error is UNSET for one in results)


@both
@pytest.mark.parametrize(
    ("changes", "runs"),
    [
        ({}, False),
        ({"max_attempts": 3, "attempt": 3}, False),
        ({"max_attempts": 3, "attempt": 3, "on_exhausted": "pause"}, False),
        ({"max_attempts": 3, "attempt": 2, "on_exhausted": "fail"}, False),
        ({"max_attempts": 0, "attempt": 2, "on_exhausted": "fail"}, False),
        ({"attempt": 2, "on_exhausted": "fail"}, False),
        ({"max_attempts": 3, "attempt": 3, "on_exhausted": "fail"}, True),
        ({"max_attempts": 3, "attempt": 4, "on_exhausted": "fail"}, True),
    ],
)
async def test_a_retryable_failure_undoes_only_when_it_is_the_last(
    colour: str, changes: dict[str, Any], runs: bool
) -> None:
    ran: list[str] = []
    await execute(made(colour, undoing("a", ran=ran, end=stumble)), **changes)
    assert ran == (["a"] if runs else [])


@both
async def test_nothing_is_undone_when_the_run_completes_or_waits(colour: str) -> None:
    ran: list[str] = []
    await execute(made(colour, undoing("a", ran=ran, end=lambda ctx: "fine")))
    segment = await execute(made(colour, undoing("a", ran=ran, end=lambda ctx: ctx.step.sleep("nap", 5))))
    assert waits_for(segment) == "run_01:nap:0"
    assert ran == []


@both
async def test_a_result_that_is_not_json_undoes(colour: str) -> None:
    ran: list[str] = []
    segment = await execute(made(colour, undoing("a", ran=ran, end=lambda ctx: {1})))
    assert fault(segment.outcome)[0] == "SERIALIZATION_ERROR"
    assert ran == ["a"]


@both
async def test_one_that_fails_is_recorded_and_the_rest_go_on(colour: str) -> None:
    ran: list[str] = []

    def end(ctx: Any) -> None:
        ctx.step.compensate("b", lambda: 1 // 0)
        ctx.step.compensate("c", exit, 3)
        raise NonRetryableError("no")

    segment = await execute(made(colour, undoing("a", ran=ran, end=end)))
    assert (ran, fault(segment.outcome)[2]) == (["a"], "no")
    first, second, last = segment.collect()
    assert [one.status for one in (first, second, last)] == ["failed", "failed", "completed"]
    assert (first.error.message, second.error.retryable) == ("SystemExit: 3", False)
    assert second.error.message.startswith("ZeroDivisionError")
    assert second.output is UNSET


@both
async def test_what_is_undone_already_is_not_undone_again(colour: str) -> None:
    ran: list[str] = []
    segment = await execute(made(colour, undoing("a", "b", ran=ran, end=refuse)), done("compensate:b"))
    assert ran == ["a"]
    assert recorded(segment) == [("run_01:compensate:a:0", "completed")]


@both
@pytest.mark.parametrize("call", ["sleep", "run", "publish", "map", "compensate"])
async def test_they_have_no_steps(colour: str, call: str) -> None:
    arguments: dict[str, tuple[Any, ...]] = {
        "sleep": ("n", 5),
        "run": ("n", len, []),
        "publish": ("t",),
        "map": ("m", [], len),
    }

    def end(ctx: Any) -> None:
        def undo() -> Any:
            return getattr(ctx.step, call)(*arguments.get(call, ("n", len, [])))

        async def undo_here() -> Any:
            return undo()

        ctx.step.compensate("a", undo_here if colour == "async" else undo)
        raise NonRetryableError("no")

    segment = await execute(made(colour, end))
    [one] = segment.collect()
    assert one.status == "failed"
    assert "was called inside the body of step 'compensate:a'" in one.error.message
    assert fault(segment.outcome)[2] == "no"


async def test_async_ones_are_awaited_and_refused_in_plain_handlers() -> None:
    ran: list[str] = []

    async def undo(name: str, *, mark: str) -> None:
        ran.append(name + mark)

    def body(ctx: Any) -> None:
        ctx.step.compensate("a", undo, "a", mark="!")
        raise NonRetryableError("no")

    await execute(made("async", body))
    assert ran == ["a!"]
    segment = await execute(made("plain", body))
    assert fault(segment.outcome)[0] == "ASYNC_STEP"
    assert ran == ["a!"]


@both
@pytest.mark.parametrize(
    ("name", "fn", "why"),
    [("", len, "is not a step name"), (7, len, "is not a step name"), ("a", None, "NoneType instead of a function")],
)
async def test_bad_arguments(colour: str, name: Any, fn: Any, why: str) -> None:
    segment = await execute(made(colour, lambda ctx: ctx.step.compensate(name, fn)))
    code, retryable, message = fault(segment.outcome)
    assert (code, retryable) == ("NON_RETRYABLE", False)
    assert why in message


@both
async def test_those_of_branches_run_by_place_and_not_by_time(colour: str) -> None:
    ran: list[str] = []

    def branch(item: int, branch: Any) -> None:
        branch.compensate("x", ran.append, f"branch {item}")

    def plain(ctx: Any) -> None:
        ctx.step.compensate("x", ran.append, "before")
        ctx.step.map("m", [0, 1, 2], branch)
        ctx.step.compensate("x", ran.append, "after")
        raise NonRetryableError("no")

    async def looped(ctx: Any) -> None:
        ctx.step.compensate("x", ran.append, "before")
        await ctx.step.map("m", [0, 1, 2], branch)
        ctx.step.compensate("x", ran.append, "after")
        raise NonRetryableError("no")

    segment = await execute(made(colour, plain if colour == "plain" else looped))
    assert ran == ["after", "branch 2", "branch 1", "branch 0", "before"]
    assert [one for one, _ in recorded(segment)] == [f"run_01:compensate:x:{n}" for n in range(5)]


@both
async def test_nothing_is_undone_in_a_run_that_was_given_up(colour: str) -> None:
    ran: list[str] = []
    given: list[Any] = []

    def end(ctx: Any) -> None:
        given[0].abandoned = given[0].journal.closed = True
        raise NonRetryableError("no")

    defined = made(colour, undoing("a", ran=ran, end=end))
    given.append(segment_of(defined))
    if colour == "async":
        await execution.run_async(given[0], tools())
    else:
        execution.run_plain(given[0], tools())
    assert ran == []


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=12), st.randoms())
def test_ids_and_order_do_not_depend_on_which_branch_is_faster(calls: list[tuple[str, int]], chance: Any) -> None:
    def due(order: list[int]) -> list[tuple[str, tuple[int, ...]]]:
        journal, undos = Journal("run_01"), Undos()
        scopes = journal.root.branch("p", 4)
        for branch in order:
            for name in [name for name, at in calls if at == branch]:
                undos.register(scopes[branch], name, len, (), {})
        return [(one.step_id, one.undo.place) for one in undos.due(journal)]

    order = list(range(4))
    expected = due(order)
    chance.shuffle(order)
    assert due(order) == expected
    assert len({step_id for step_id, _ in expected}) == len(calls)


def test_what_is_terminal() -> None:
    given = assignment(max_attempts=1, on_exhausted="fail")
    assert compensation.terminal(Failed(fault=JobFault(message="no")), given)
    assert not compensation.terminal(Completed(output=Raw(b"1")), given)
    assert not compensation.terminal(Yielded(wanted=Yield(step_id="s", type="sleep")), given)
