"""Killed everywhere: what a kill repeats is said, and nothing else is."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.errors import DefinitionError, IronflowError
from ironflow_lab.models.workers import JobUpdate
from ironflow_lab.runtime.journal import Journal
from ironflow_lab.testing import CrashReport, crash_everywhere
from ironflow_lab.testing.engine import Engine
from ironflow_lab.testing.watch import Watch


def moments(report: CrashReport) -> list[str]:
    return [str(crash.point) for crash in report.crashes]


def repeats(report: CrashReport) -> list[tuple[str, ...]]:
    return [crash.twice for crash in report.crashes]


def test_each_moment_of_a_step_is_tried() -> None:
    @il.function(durability="step")
    async def buy(ctx: Any) -> str:
        await ctx.step.run("charge", lambda: 1)
        await ctx.step.sleep("nap", "1d")
        return str(await ctx.step.run("mail", lambda: "sent"))

    report = crash_everywhere(buy)
    assert list(zip(moments(report), repeats(report), strict=True)) == [
        ("charge done, not saved", ("charge",)),
        ("charge saved", ()),
        ("waiting at nap, not reported", ()),
        ("mail done, not saved", ("mail",)),
        ("mail saved", ()),
        ("the end not reported", ()),
    ]
    assert (report.lost, report.differences, report.outside) == ((), (), True)


def test_a_pipelined_function_may_repeat_all_since_its_last_wait() -> None:
    async def buy(ctx: Any) -> None:
        await ctx.step.run("a", lambda: 1)
        await ctx.step.run("b", lambda: 1)
        await ctx.step.sleep("nap", 1)
        await ctx.step.run("c", lambda: 1)

    report = crash_everywhere(buy)
    assert ("b done, none saved since the run last waited", ("a", "b")) in zip(
        moments(report), repeats(report), strict=True
    )
    assert all(not {"a", "b"} & set(crash.twice) for crash in report.crashes if crash.point.step == "c")


def test_awaits_of_bodies_and_of_the_handler_are_moments_with_their_line() -> None:
    async def body() -> int:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return 1

    async def buy(ctx: Any) -> None:
        await asyncio.sleep(0)
        await ctx.step.run("charge", body)

    report = crash_everywhere(buy)
    assert moments(report)[:3] == ["an await outside steps", "inside charge", "inside charge"]
    first = buy.__code__.co_firstlineno
    assert [crash.point.line - first for crash in report.crashes[:1]] == [1]
    assert report.crashes[3].point.line - first == 2
    assert repeats(report)[:3] == [(), ("charge",), ("charge",)]


def test_real_effects_agree_with_the_report() -> None:
    effects: list[str] = []

    async def charge() -> None:
        await asyncio.sleep(0)
        effects.append("charge")
        await asyncio.sleep(0)

    @il.function(durability="step")
    async def buy(ctx: Any) -> None:
        await ctx.step.run("charge", charge)
        await ctx.step.run("mail", lambda: effects.append("mail"))

    lives: list[list[str]] = []

    def reset() -> None:
        if effects:
            lives.append(list(effects))
        effects.clear()

    report = crash_everywhere(buy, reset=reset)
    reset()
    assert lives[0] == ["charge", "mail"]
    # Killed at its first await, the body has begun twice and has had its effect once.
    assert [life.count("charge") for life in lives[1:]] == [1, 2, 2, 1, 1, 1, 1]
    assert [crash.twice for crash in report.crashes] == [("charge",)] * 3 + [(), ("mail",), (), ()]


def test_no_code_goes_on_after_a_kill() -> None:
    after: list[str] = []

    async def buy(ctx: Any) -> None:
        try:
            await ctx.step.run("charge", lambda: 1)
        finally:
            after.append("finally")
        after.append("after")

    counts: list[list[str]] = []

    def reset() -> None:
        counts.append(list(after))
        after.clear()

    crash_everywhere(buy, reset=reset)
    # Killed when the charge was done: nothing goes on, and only the second life's code and the closing follow.
    assert counts[2] == ["finally", "after", "finally"]


def test_chance_and_the_outside_are_differences() -> None:
    numbers = itertools.count()

    async def lucky(ctx: Any) -> int:
        await ctx.step.run("a", lambda: 1)
        return next(numbers)

    report = crash_everywhere(lucky)
    assert report.differences == report.crashes
    with pytest.raises(AssertionError, match=r"(?s)'lucky' is not safe.*DIFFERENT: completed"):
        report.assert_safe(idempotent=("a",))


def test_other_steps_than_before_are_differences() -> None:
    lives = itertools.count()

    async def wandering(ctx: Any) -> None:
        await ctx.step.run(f"step-{next(lives)}", lambda: 1)

    report = crash_everywhere(wandering)
    assert report.differences == report.crashes
    assert any("OTHER STEPS" in crash.end or "NOT REACHED" in crash.end for crash in report.crashes)


def test_safe_is_what_repeats_only_what_is_idempotent() -> None:
    async def buy(ctx: Any) -> None:
        await ctx.step.run("charge", lambda: 1)
        await ctx.step.run("mail", lambda: 1)

    report = crash_everywhere(buy)
    report.assert_safe(idempotent=("charge", "mail"))
    with pytest.raises(AssertionError) as caught:
        report.assert_safe(idempotent=("charge",))
    assert "may run twice: mail." in str(caught.value)
    assert "mail done, not saved" in str(caught.value)
    with pytest.raises(DefinitionError, match="names of steps"):
        report.assert_safe(idempotent="charge")


def test_a_planted_second_execution_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    @il.function(durability="step")
    async def buy(ctx: Any) -> None:
        await ctx.step.run("charge", lambda: 1)
        await ctx.step.run("mail", lambda: 1)

    def forget(self: Journal, step_id: str) -> Any:
        found = real(self, step_id)
        return None if found is not None and found.name == "charge" else found

    real = Journal.recall
    monkeypatch.setattr(Journal, "recall", forget)
    report = crash_everywhere(buy)
    assert report.crashes[-1].twice == ("charge",)
    with pytest.raises(AssertionError, match="charge"):
        report.assert_safe(idempotent=("mail",))


def test_a_run_that_never_ends_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    async def buy(ctx: Any) -> None:
        await ctx.step.run("charge", lambda: 1)

    joined = Engine.join

    def forget(self: Engine, function_ids: tuple[str, ...], instance: int) -> None:
        # The worker comes back as the same process: nothing of the dead one is queued again.
        joined(self, function_ids, 1)

    monkeypatch.setattr(Engine, "join", forget)
    report = crash_everywhere(buy)
    assert report.lost == report.crashes
    assert "LOST: run_000001 never ended" in repr(report)
    with pytest.raises(AssertionError, match="LOST"):
        report.assert_safe(idempotent=("charge",))


def test_a_kill_that_kills_nobody_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    async def buy(ctx: Any) -> None:
        await ctx.step.run("charge", lambda: 1)

    monkeypatch.setattr(Watch, "passes", lambda self, point: bool(self.points.append(point)))
    report = crash_everywhere(buy)
    assert not any(crash.reached for crash in report.crashes)
    assert report.differences == report.crashes


def test_what_is_said_to_be_saved_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    @il.function(durability="step")
    async def buy(ctx: Any) -> None:
        await ctx.step.run("charge", lambda: 1)

    def report(self: Engine, job: Any, update: JobUpdate) -> None:
        if update.status != "progress":
            told(self, job, update)

    told = Engine.report
    monkeypatch.setattr(Engine, "report", report)
    assert [crash.twice for crash in crash_everywhere(buy).crashes] == [("charge",)] * 3


@pytest.mark.parametrize("plain", [False, True])
def test_branches_children_waits_and_sagas_survive(plain: bool) -> None:
    @il.function
    def child(ctx: Any) -> int:
        return int(ctx.step.run("double", lambda: ctx.event.data["n"] * 2))

    def work(ctx: Any) -> Any:
        squares = ctx.step.map("squares", [1, 2], lambda n, branch: branch.run("square", lambda: n * n))
        doubled = ctx.step.invoke(child, {"n": 4})
        answer = ctx.step.wait_for_event("answer", "approved")
        ctx.step.publish("topic", 1)
        ctx.step.compensate("book", lambda: None)
        ctx.step.run("book", lambda: 1)
        return [squares, doubled, answer.data]

    async def async_work(ctx: Any) -> Any:
        squares = await ctx.step.map("squares", [1, 2], lambda n, branch: branch.run("square", lambda: n * n))
        doubled = await ctx.step.invoke(child, {"n": 4})
        answer = await ctx.step.wait_for_event("answer", "approved")
        await ctx.step.publish("topic", 1)
        ctx.step.compensate("book", lambda: None)
        await ctx.step.run("book", lambda: 1)
        raise il.NonRetryableError(f"{squares} {doubled} {answer.data}")

    work_of: Callable[..., Any] = work if plain else async_work
    report = crash_everywhere(work_of, functions=[child], emit=[("approved", {"by": "ann"})])
    report.assert_safe(idempotent=("square", "double", "book", "compensate:book"))
    assert set(report.twice) >= {"square", "double", "book"}
    assert report.whole.status == ("completed" if plain else "failed")
    assert {crash.point.function_id for crash in report.crashes} == {work_of.__name__.replace("_", "-"), "child"}


def test_a_handler_that_awaits_in_its_finally_is_buried_in_silence(recwarn: pytest.WarningsRecorder) -> None:
    async def buy(ctx: Any) -> None:
        try:
            await ctx.step.run("charge", lambda: 1)
        finally:
            await asyncio.sleep(0)
            await ctx.step.run("clean", lambda: 1)

    crash_everywhere(buy).assert_safe(idempotent=("charge", "clean"))
    assert [str(warning.message) for warning in recwarn] == []


def test_many_moments_are_spread_and_the_rest_is_told() -> None:
    async def buy(ctx: Any) -> None:
        for number in range(10):
            await ctx.step.run(f"s{number}", lambda: 1)

    report = crash_everywhere(buy, most=4)
    assert (len(report.crashes), report.left_out) == (4, 26)
    assert "26 moments left out" in repr(report)
    assert (report.crashes[0].point.step, str(report.crashes[-1].point)) == ("s0", "the end not reported")
    with pytest.raises(DefinitionError, match="most"):
        crash_everywhere(buy, most=0)


def test_what_does_not_end_by_itself_cannot_be_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "due", lambda self: None)

    async def buy(ctx: Any) -> None:
        await ctx.step.sleep("nap", 1)

    with pytest.raises(IronflowError, match="nothing to compare with"):
        crash_everywhere(buy)


def test_the_report_is_a_table_and_a_frame() -> None:
    async def buy(ctx: Any) -> None:
        await ctx.step.run("<i>charge", lambda: 1)

    report = crash_everywhere(buy)
    frame = report.frame()
    assert list(frame["moment"]) == ["unsaved", "saved", "unreported"]
    assert list(frame["twice"]) == [["<i>charge"], [], []]
    assert "<i>charge done" not in report._repr_html_()
    assert repr(report).splitlines()[0].startswith("buy: killed at 3 moments, always the same end")
