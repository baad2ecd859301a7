"""The jobs in hand: which code they run, what supersedes them, what a blocked loop costs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ironflow_lab.runtime.function import DurableFunction, function
from tests.unit.runtime.fakes import FakeReply, Fault, settle
from tests.unit.runtime.handlers import Gates, other, quick
from tests.unit.runtime.rig import Rig

MakeRig = Callable[..., Rig]


# ---- assignments


async def test_an_unknown_function_is_reported_without_an_ack(rig: Rig) -> None:
    await rig.add(quick, other())
    rig.registry.remove("other")
    run = await rig.run("other")
    [report] = rig.server.sent("report")
    assert (report.status, report.error.code, report.error.retryable) == ("failed", "FUNCTION_NOT_FOUND", False)
    assert "run the cell that defines it again" in report.error.message
    assert rig.server.count("ack") == 0
    assert run.status == "failed"
    assert (await rig.run("quick")).status == "completed"


async def test_a_run_handed_out_again_supersedes_what_still_executes_of_it(rig: Rig) -> None:
    steps = Gates(1)
    await rig.add(steps.function)
    run = await rig.run("f")
    rig.server.lose_lease(run)
    await settle()
    assert steps.cancelled == [0]
    assert steps.bodies == [0, 0]
    assert [job.job_id for job in rig.worker.snapshot().jobs] == ["run_01.3"]
    steps.open(0)
    await settle()
    assert run.status == "completed"


async def test_the_next_segment_may_arrive_before_the_report_is_answered(rig: Rig) -> None:
    @function("f")
    async def handler(ctx: Any) -> str:
        await ctx.step.sleep("nap", 5)
        return "woken"

    gate = asyncio.Event()
    await rig.add(handler)
    rig.server.fault("report", Fault(reply_gate=gate))
    run = await rig.run("f")
    assert run.output == "woken"
    assert [(job.job_id, job.ending) for job in rig.worker.snapshot().jobs] == [("run_01.1", True)]
    gate.set()
    await settle()
    assert rig.worker.snapshot().counts.yielded == 1
    assert rig.worker.snapshot().counts.completed == 1


# ---- hot swap


def version(number: int, seen: list[int]) -> DurableFunction:
    if number == 1:

        @function("f")
        async def one(ctx: Any) -> int:
            seen.append(1)
            await ctx.step.sleep("nap", 5)
            return 1

        return one

    @function("f")
    async def two(ctx: Any) -> int:
        seen.append(2)
        await ctx.step.sleep("nap", 5)
        return 2

    return two


async def test_a_run_in_flight_finishes_on_the_code_it_began_with(rig: Rig) -> None:
    seen: list[int] = []
    rig.server.hand_out_wakes = False
    await rig.add(version(1, seen))
    old = await rig.run("f")
    await rig.add(version(2, seen))
    new = await rig.run("f")
    for run in (old, new):
        rig.server.wake(run)
        await settle()
    assert (old.output, new.output) == (1, 2)
    assert seen == [1, 2, 1, 2]
    assert rig.registry.resolve(old.id, "f") is rig.registry.newest()[0], "ended runs are forgotten"


async def test_a_failed_attempt_is_retried_on_the_code_it_began_with(rig: Rig) -> None:
    def failing(word: str, fails: bool) -> DurableFunction:
        if fails:

            @function("f")
            async def bad(ctx: Any) -> str:
                if ctx.run.attempt == 1:
                    raise ValueError("try again")
                return word

            return bad

        @function("f")
        async def good(ctx: Any) -> str:
            return word

        return good

    rig.server.retries = False
    await rig.add(failing("old", True))
    run = await rig.run("f")
    assert run.status == "failed"
    await rig.add(failing("new", False))
    run.attempt = 2
    rig.server.wake(run)
    await settle()
    assert run.output == "old"
    assert (await rig.run("f")).output == "new"


async def test_an_abandoned_run_keeps_its_code_too(rig: Rig) -> None:
    seen: list[int] = []
    steps = Gates(1)
    await rig.add(steps.function)
    run = await rig.run("f")
    await rig.add(version(2, seen))
    rig.server.lose_lease(run)
    steps.open(0)
    await settle()
    assert run.output == "end"


# ---- watching the handlers' loop


async def test_a_blocked_loop_is_noticed_and_its_results_are_fetched(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    steps = Gates(1)
    await rig.add(steps.function)
    rig.executor.blocked = True
    await rig.run("f")
    assert rig.worker.snapshot().blocked_for == 0
    await rig.pace.advance(4)
    assert rig.executor.drained >= 39
    assert round(rig.worker.snapshot().blocked_for, 1) == 3.9
    assert caplog.records == []
    await rig.pace.advance(3)
    assert len(caplog.records) == 1
    assert "has blocked all others for 5 s (running: f)" in caplog.text
    rig.executor.blocked = False
    for answer in rig.executor.unanswered:
        answer()
    assert rig.worker.snapshot().blocked_for == 0
    steps.open(0)
    await rig.pace.advance(1)
    drained = rig.executor.drained
    await rig.pace.advance(10)
    assert rig.executor.drained == drained, "without jobs nothing ticks"


# ---- what it shows


async def test_the_snapshot_tells_the_truth(rig: Rig) -> None:
    steps = Gates(3)
    await rig.add(steps.function, other())
    await rig.run("f")
    steps.open(0, 1)
    await settle()
    now = rig.worker.snapshot()
    assert (now.worker_id, now.instance_id, now.server_url) == ("w1", "i1", "http://127.0.0.1:9123")
    assert [(one.id, one.triggers) for one in now.functions] == [("f", ()), ("other", ("other.event",))]
    [job] = now.jobs
    assert (job.run_id, job.function_id, job.attempt, job.steps, job.ending) == ("run_01", "f", 1, 2, False)
    steps.open(2)
    await settle()
    later = rig.worker.snapshot()
    assert later.jobs == ()
    assert (later.counts.jobs, later.counts.steps, later.counts.completed) == (1, 3, 1)
    assert now.counts.completed == 0, "a snapshot stands still"


def test_a_reply_of_the_fake_has_what_the_worker_reads() -> None:
    assert FakeReply((), True).held
