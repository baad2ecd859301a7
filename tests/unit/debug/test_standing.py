"""Breakpoints and the gate in whole replays: of handlers with loops, branches, tasks and effects of their own."""

# The plain calls of a user's code are what is tested here.
# ruff: noqa: PTH123

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ironflow_lab.debug.answers import Recorded
from ironflow_lab.debug.breaks import stopper
from ironflow_lab.debug.replay import execute
from ironflow_lab.debug.replayed import Replayed
from ironflow_lab.errors import NonRetryableError
from ironflow_lab.runtime.function import function
from tests.unit.debug.lives import recorded

HERE = Path(__file__).read_text().splitlines()


class Stood:
    """A breakpoint hook that keeps where it was called: the text of the line, and the locals."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.locals: list[dict[str, Any]] = []

    def __call__(self, *_: object) -> None:
        caller = sys._getframe(1)
        assert caller.f_code.co_filename == __file__
        self.lines.append(HERE[caller.f_lineno - 1].strip())
        self.locals.append(dict(caller.f_locals))

    def each(self, name: str) -> list[Any]:
        return [found.get(name) for found in self.locals]


@pytest.fixture
def stood(monkeypatch: pytest.MonkeyPatch) -> Stood:
    found = Stood()
    monkeypatch.setattr(sys, "breakpointhook", found)
    return found


def replayed(handler: Callable[..., Any], *break_at: str, data: Any = None) -> Replayed:
    """Run a handler and replay the run."""
    made = function("orders", on="order.placed", retry=1)(handler)
    recording = recorded(made, data or {"n": 2})
    return execute(recording, made, Recorded(recording), at_step=stopper(break_at or None))


def test_a_loop_stands_in_each_turn_with_what_it_has_so_far(stood: Stood) -> None:
    async def handler(ctx: Any) -> Any:
        found: list[int] = []
        for number in range(3):
            output = await ctx.step.run("charge", lambda: number * 100)  # noqa: B023
            found = [*found, output]
        return found

    assert replayed(handler, "charge").output == [0, 100, 200]
    assert stood.each("number") == [0, 1, 2]
    assert stood.each("found") == [[], [0], [0, 100]]
    assert set(stood.lines) == {'output = await ctx.step.run("charge", lambda: number * 100)  # noqa: B023'}
    stood.lines.clear()
    replayed(handler, "charge:1")
    assert len(stood.lines) == 1


def test_a_branch_stands_in_its_own_frame(stood: Stood) -> None:
    async def branch(item: int, step: Any) -> Any:
        return await step.run("wrap", lambda: item * 10)

    async def handler(ctx: Any) -> Any:
        return await ctx.step.map("pack", [1, 2], branch)

    assert replayed(handler, "wrap").output == [10, 20]
    assert stood.lines == ['return await step.run("wrap", lambda: item * 10)'] * 2
    assert sorted(stood.each("item")) == [1, 2]


def test_a_plain_handler_and_its_branches_stand(stood: Stood) -> None:
    def branch(item: int, step: Any) -> Any:
        return step.run("wrap", lambda: item * 10)

    def handler(ctx: Any) -> Any:
        first = ctx.step.run("charge", lambda: 7)
        return first, ctx.step.map("pack", [1, 2], branch)

    assert replayed(handler, "wrap", "charge").output == [7, [10, 20]]
    assert stood.lines[0] == 'first = ctx.step.run("charge", lambda: 7)'
    assert stood.lines[1:] == ['return step.run("wrap", lambda: item * 10)'] * 2


def test_waits_stand_too(stood: Stood) -> None:
    async def handler(ctx: Any) -> Any:
        before = 1
        await ctx.step.sleep("rest", "5s")
        return before

    assert replayed(handler, "rest").output == 1
    assert stood.lines == ['await ctx.step.sleep("rest", "5s")']


def test_an_error_stands_at_its_line_with_its_locals(stood: Stood) -> None:
    async def handler(ctx: Any) -> Any:
        charged = await ctx.step.run("charge", lambda: 7)
        raise NonRetryableError(f"declined: {charged}")

    found = replayed(handler, "error")
    assert found.status == "failed"
    assert stood.lines == ['raise NonRetryableError(f"declined: {charged}")']
    assert stood.each("charged") == [7]


def test_what_was_not_met_is_in_the_notes(stood: Stood) -> None:
    async def handler(ctx: Any) -> Any:
        return await ctx.step.run("charge", lambda: 7)

    found = replayed(handler, "chrage")
    assert "it did not stop at 'chrage': the code asked for 'charge'" in found.notes
    assert found.status == "completed"


# ---- effects


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that handlers write between their steps: there after the run, and not made by its replay."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "planted"


def write() -> None:
    with open("planted", "a") as file:
        file.write("x")


async def awaited(ctx: Any) -> Any:
    write()
    return await ctx.step.run("charge", lambda: 7)


async def swallowed(ctx: Any) -> Any:
    with contextlib.suppress(Exception):
        write()
    return await ctx.step.run("charge", lambda: 7)


async def in_a_task(ctx: Any) -> Any:
    async def later() -> None:
        write()

    await asyncio.gather(later(), return_exceptions=True)
    return await ctx.step.run("charge", lambda: 7)


async def in_an_empty_context(ctx: Any) -> Any:
    contextvars.Context().run(write)
    return await ctx.step.run("charge", lambda: 7)


async def after_a_step(ctx: Any) -> Any:
    charged = await ctx.step.run("charge", lambda: 7)
    write()
    return charged


async def in_a_branch(ctx: Any) -> Any:
    async def branch(item: int, step: Any) -> Any:
        write()
        return await step.run("wrap", lambda: item)

    return await ctx.step.map("pack", [7], branch)


def plain(ctx: Any) -> Any:
    write()
    return ctx.step.run("charge", lambda: 7)


def plain_in_a_branch(ctx: Any) -> Any:
    def branch(item: int, step: Any) -> Any:
        write()
        return step.run("wrap", lambda: item)

    return ctx.step.map("pack", [7], branch)


async def in_a_thread(ctx: Any) -> Any:
    await asyncio.to_thread(write)
    return await ctx.step.run("charge", lambda: 7)


def in_a_thread_of_its_own(ctx: Any) -> Any:
    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    return ctx.step.run("charge", lambda: 7)


ACTING = [
    awaited, swallowed, in_a_task, in_an_empty_context, after_a_step, in_a_branch, plain, plain_in_a_branch,
    in_a_thread, in_a_thread_of_its_own,
]  # fmt: skip


@pytest.mark.parametrize("handler", ACTING, ids=lambda handler: handler.__name__)
def test_an_effect_between_steps_happens_once_and_is_told(handler: Any, planted: Path) -> None:
    found = replayed(handler)
    assert planted.read_text() == "x"
    assert len(found.violations) == 1
    what = "write the file 'planted'" if "thread" not in handler.__name__ else "thread"
    assert what in found.violations[0].what
    assert found.violations[0].file == __file__


def test_the_gate_does_not_outlive_the_replay(planted: Path) -> None:
    found = replayed(swallowed)
    assert len(found.violations) == 1
    write()
    assert planted.read_text() == "xx"
