"""A pause from the server's wish to the last message, against a server with faults."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ironflow_lab.errors import AbortedError, InvalidArgumentError, StaleExecutionError
from ironflow_lab.models.workers import LeaseLine
from ironflow_lab.runtime import job
from ironflow_lab.runtime.function import function
from tests.unit.runtime.fakes import Fault, Run, gone
from tests.unit.runtime.faketime import settle
from tests.unit.runtime.handlers import Gates
from tests.unit.runtime.rig import Rig


async def pause(rig: Rig, run: Run) -> None:
    """Wish a pause and say so on the lease."""
    run.pausing = True
    rig.server.say(LeaseLine(type="pause", run_id=run.id, job_id=run.job_id))
    await settle()


def boundaries(rig: Rig) -> list[tuple[bool, int]]:
    """Return for each checkpoint whether it was a boundary and how many steps it had."""
    return [(one.boundary is True, len(one.steps)) for one in rig.server.sent("checkpoint")]


@pytest.mark.parametrize("durability", ["pipelined", "step"])
async def test_a_pause_ends_the_job_at_the_next_step_with_everything_saved(rig: Rig, durability: Any) -> None:
    steps = Gates(3, durability=durability)
    await rig.add(steps.function)
    run = await rig.run("f")
    await pause(rig, run)
    assert boundaries(rig) == []
    steps.open(0, 1, 2)
    await rig.grace()
    assert (run.status, run.outputs()) == ("paused", {"run_01:work:0": 0})
    assert steps.bodies == [0]
    assert boundaries(rig)[-1][0]
    assert rig.server.count("report") == 0
    counts = rig.worker.snapshot().counts
    assert (counts.paused, counts.dropped) == (1, 0)
    assert rig.worker.snapshot().jobs == ()
    await rig.pace.advance(60)
    assert rig.server.count("report") == 0


async def test_the_run_goes_on_where_it_stood(rig: Rig) -> None:
    steps = Gates(2)
    await rig.add(steps.function)
    run = await rig.run("f")
    await pause(rig, run)
    steps.open(0, 1)
    await settle()
    assert run.status == "paused"
    run.pausing = False
    rig.server.wake(run)
    await settle()
    assert (run.status, steps.bodies) == ("completed", [0, 1])


@pytest.mark.parametrize("call", ["ack", "checkpoint"])
async def test_an_answer_asks_for_it_too(make_rig: Callable[..., Rig], call: str) -> None:
    rig, steps = make_rig(lab=()), Gates(3)
    await rig.add(steps.function)
    run = rig.server.emit("f")
    run.pausing = call == "ack"
    await settle()
    if call == "ack":
        assert (run.status, steps.bodies, boundaries(rig)) == ("paused", [], [(True, 0)])
        return
    run.pausing = True
    steps.open(0)
    await rig.grace()
    assert (run.status, steps.bodies) == ("running", [0, 1])
    steps.open(1, 2)
    await settle()
    assert (run.status, steps.bodies) == ("paused", [0, 1])
    assert run.outputs() == {"run_01:work:0": 0, "run_01:work:1": 1}


async def test_a_boundary_too_big_for_one_message_is_split(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "MOST_STEPS", 2)
    gate = asyncio.Event()

    @function("f")
    async def f(ctx: Any) -> None:
        await asyncio.gather(*[ctx.step.run("x", gate.wait) for _ in range(5)])
        await ctx.step.run("late", gate.wait)

    await rig.add(f)
    run = await rig.run("f")
    await pause(rig, run)
    gate.set()
    await settle()
    assert boundaries(rig) == [(False, 2), (False, 2), (True, 1)]
    assert (run.status, len(run.outputs())) == ("paused", 5)


async def test_a_pause_that_was_taken_back_lets_the_run_go_on(rig: Rig) -> None:
    steps = Gates(2)
    await rig.add(steps.function)
    run = await rig.run("f")
    await pause(rig, run)
    run.pausing = False
    steps.open(0, 1)
    await settle()
    assert (run.status, steps.bodies) == ("completed", [0, 1])
    assert boundaries(rig) == [(True, 1)]


async def test_an_unreachable_server_is_told_when_it_is_back(rig: Rig) -> None:
    steps = Gates(2)
    await rig.add(steps.function)
    run = await rig.run("f")
    rig.server.fault("checkpoint", Fault(before=gone()), Fault(after=gone()))
    await pause(rig, run)
    steps.open(0, 1)
    await settle()
    assert (run.status, steps.bodies) == ("running", [0])
    await rig.pace.advance(10)
    # The second one arrived, and only its answer was lost: the run is not this worker's any more.
    assert (run.status, steps.bodies, rig.server.count("checkpoint")) == ("paused", [0], 3)
    assert rig.server.count("report") == 0


@pytest.mark.parametrize(
    "error", [StaleExecutionError("stale", status=409), AbortedError("the run is not running", status=409)]
)
async def test_a_conflict_ends_the_job(rig: Rig, error: Any) -> None:
    steps = Gates(2)
    await rig.add(steps.function)
    run = await rig.run("f")
    rig.server.fault("checkpoint", Fault(before=error))
    await pause(rig, run)
    steps.open(0, 1)
    await settle()
    assert (steps.bodies, rig.server.count("report"), rig.worker.snapshot().jobs) == ([0], 0, ())


async def test_a_server_that_refuses_the_boundary_gets_the_report(rig: Rig) -> None:
    steps = Gates(2)
    await rig.add(steps.function)
    run = await rig.run("f")
    rig.server.fault("checkpoint", Fault(before=InvalidArgumentError("no", status=400)))
    await pause(rig, run)
    steps.open(0, 1)
    await settle()
    assert (run.status, steps.bodies) == ("completed", [0, 1])


async def test_the_end_right_after_the_last_step_comes_after_the_resume(rig: Rig) -> None:
    steps = Gates(1)
    await rig.add(steps.function)
    run = await rig.run("f")
    await pause(rig, run)
    # The end of the last body is a boundary, and what follows it waits for the server's word.
    steps.open(0)
    await settle()
    assert (run.status, rig.server.count("report")) == ("paused", 0)
    run.pausing = False
    rig.server.wake(run)
    await settle()
    assert (run.status, steps.bodies) == ("completed", [0])


async def test_a_pause_of_a_run_that_is_not_here_changes_nothing(rig: Rig) -> None:
    steps = Gates(1)
    await rig.add(steps.function)
    run = await rig.run("f")
    rig.server.say(LeaseLine(type="pause", run_id="run_99", job_id="run_99.1"))
    steps.open(0)
    await settle()
    assert run.status == "completed"


async def test_a_wish_that_comes_twice_is_one(rig: Rig) -> None:
    steps = Gates(2)
    await rig.add(steps.function)
    run = await rig.run("f")
    await pause(rig, run)
    await pause(rig, run)
    steps.open(0, 1)
    await settle()
    assert (run.status, boundaries(rig)) == ("paused", [(True, 1)])
