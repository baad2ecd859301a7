"""One job against a server with faults: ack, checkpoints, report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ironflow_lab.errors import (
    AlreadyExistsError,
    InternalError,
    InvalidArgumentError,
    PermissionDeniedError,
    ResourceExhaustedError,
    StaleExecutionError,
)
from ironflow_lab.models.workers import JobUpdate
from ironflow_lab.runtime import job
from ironflow_lab.runtime.function import function
from tests.unit.runtime.fakes import Fault, broken, gone, plain
from tests.unit.runtime.faketime import settle
from tests.unit.runtime.handlers import Gates, quick
from tests.unit.runtime.rig import Rig


def batch(update: JobUpdate) -> tuple[int, list[str]]:
    """Return the offset and the steps of a message."""
    return update.step_offset, [step.id for step in update.steps]


def ids(*numbers: int) -> list[str]:
    return [f"run_01:work:{number}" for number in numbers]


# ---- a quick run


async def test_a_one_step_run_costs_a_poll_an_ack_and_a_report(rig: Rig) -> None:
    await rig.add(quick)
    before = len(rig.server.calls)
    run = await rig.run("quick")
    assert run.status == "completed"
    assert (run.output, run.outputs()) == (7, {"run_01:a:0": 7})
    names = [name for name, _ in rig.server.calls[before:]]
    assert sorted(names) == ["ack", "poll", "report"]
    assert names.index("ack") < names.index("report")


async def test_the_fence_travels_with_every_message(rig: Rig) -> None:
    await rig.add(quick)
    await rig.run("quick")
    [ack] = rig.server.sent("ack")
    assert (ack.run_id, ack.execution_seq, ack.lease_token) == ("run_01", 1, "lt_1")
    [report] = rig.server.sent("report")
    assert (report.status, report.execution_seq, report.lease_token, report.step_offset) == (
        "completed",
        1,
        "lt_1",
        0,
    )


# ---- ack


async def test_the_handler_starts_after_the_ack(rig: Rig) -> None:
    steps, gate = Gates(1), asyncio.Event()
    await rig.add(steps.function)
    rig.server.fault("ack", Fault(gate=gate))
    await rig.run("f")
    assert steps.bodies == []
    gate.set()
    await settle()
    assert steps.bodies == [0]


@pytest.mark.parametrize(
    "error", [StaleExecutionError("stale", status=409), InvalidArgumentError("no such job", status=400)]
)
async def test_without_an_ack_the_job_is_dropped_silently(rig: Rig, error: Any) -> None:
    steps = Gates(1)
    await rig.add(steps.function)
    rig.server.fault("ack", Fault(before=error))
    await rig.run("f")
    assert steps.bodies == []
    assert rig.server.count("report") == rig.server.count("checkpoint") == 0
    assert rig.worker.snapshot().counts.dropped == 1
    assert rig.worker.snapshot().jobs == ()


async def test_an_unreachable_server_is_asked_again_before_the_handler_starts(rig: Rig) -> None:
    steps = Gates(1)
    await rig.add(steps.function)
    rig.server.fault("ack", Fault(before=gone()), Fault(after=gone()), Fault(before=broken(503)))
    await rig.run("f")
    await rig.pace.advance(1 + 2 + 3.9)
    assert steps.bodies == []
    await rig.pace.advance(0.1)
    assert steps.bodies == [0]
    assert rig.server.count("ack") == 4


async def test_a_server_that_cannot_take_the_ack_loses_the_job(rig: Rig) -> None:
    steps = Gates(1)
    await rig.add(steps.function)
    rig.server.fault("ack", *[Fault(before=broken(500))] * 9)
    await rig.run("f")
    await rig.pace.advance(100)
    assert rig.server.count("ack") == 5
    assert steps.bodies == []
    assert rig.worker.snapshot().counts.dropped == 1


async def test_an_ack_whose_answer_cannot_be_read_counts(rig: Rig) -> None:
    await rig.add(quick)
    rig.server.fault("ack", Fault(after=InternalError("not JSON", status=200)))
    assert (await rig.run("quick")).status == "completed"


# ---- checkpoints


async def test_a_finished_step_is_saved_while_the_next_one_runs(rig: Rig) -> None:
    steps = Gates(3)
    await rig.add(steps.function)
    run = await rig.run("f")
    steps.open(0)
    await settle()
    assert run.outputs() == {}
    await rig.grace()
    assert run.outputs() == {"run_01:work:0": 0}
    steps.open(1, 2)
    await settle()
    assert run.status == "completed"
    assert [batch(one) for one in rig.server.sent("checkpoint")] == [(0, ids(0))]
    assert batch(rig.server.sent("report")[0]) == (1, ids(1, 2))


async def test_steps_that_finish_while_a_checkpoint_is_in_flight_go_together(rig: Rig) -> None:
    steps, gate = Gates(5), asyncio.Event()
    await rig.add(steps.function)
    rig.server.fault("checkpoint", Fault(reply_gate=gate))
    await rig.run("f")
    steps.open(0)
    await rig.grace()
    steps.open(1, 2, 3)
    await rig.pace.advance(60)
    assert rig.server.count("checkpoint") == 1, "one in flight at a time"
    gate.set()
    await settle()
    assert [batch(one) for one in rig.server.sent("checkpoint")] == [(0, ids(0)), (1, ids(1, 2, 3))]


async def test_a_checkpoint_has_at_most_500_steps(rig: Rig) -> None:
    steps, gate = Gates(702), asyncio.Event()
    await rig.add(steps.function)
    rig.server.fault("checkpoint", Fault(reply_gate=gate))
    await rig.run("f")
    steps.open(0)
    await rig.grace()
    steps.open(*range(1, 701))
    await settle(2000)
    gate.set()
    await settle()
    assert [len(one.steps) for one in rig.server.sent("checkpoint")] == [1, 500, 200]
    assert [one.step_offset for one in rig.server.sent("checkpoint")] == [0, 1, 501]


async def test_large_outputs_are_saved_in_several_messages(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "MOST_BYTES", 3_000)
    steps = Gates(4, size=1_500)
    await rig.add(steps.function)
    run = await rig.run("f")
    steps.open(*range(4))
    await settle()
    assert run.status == "completed"
    assert [batch(one) for one in rig.server.sent("checkpoint")] == [(0, ids(0)), (1, ids(1)), (2, ids(2))]
    assert batch(rig.server.sent("report")[0]) == (3, ids(3))


async def test_a_lost_reply_is_sent_again_and_nothing_is_doubled(rig: Rig) -> None:
    steps = Gates(3)
    await rig.add(steps.function)
    rig.server.fault("checkpoint", Fault(after=gone()))
    run = await rig.run("f")
    steps.open(0)
    await rig.grace()
    assert run.outputs() == {"run_01:work:0": 0}
    await rig.pace.advance(1)
    steps.open(1, 2)
    await settle()
    assert run.status == "completed"
    assert [batch(one) for one in rig.server.sent("checkpoint")] == [(0, ids(0)), (0, ids(0))]
    assert batch(rig.server.sent("report")[0]) == (1, ids(1, 2))


async def test_a_failing_checkpoint_is_tried_again_with_growing_pauses(rig: Rig) -> None:
    steps = Gates(2)
    await rig.add(steps.function)
    rig.server.fault("checkpoint", *[Fault(before=broken(503))] * 3)
    run = await rig.run("f")
    steps.open(0)
    await rig.grace()
    for pause, sent in ((1, 2), (2, 3), (4, 4)):
        await rig.pace.advance(pause - 0.01)
        assert rig.server.count("checkpoint") == sent - 1
        await rig.pace.advance(0.01)
        assert rig.server.count("checkpoint") == sent
    assert run.outputs() == {"run_01:work:0": 0}


async def test_the_outcome_ends_the_pause_and_carries_the_steps(rig: Rig) -> None:
    steps = Gates(2)
    await rig.add(steps.function)
    rig.server.fault("checkpoint", Fault(before=broken(503)))
    run = await rig.run("f")
    steps.open(0)
    await rig.grace()
    steps.open(1)
    await settle()
    assert run.status == "completed"
    assert rig.server.count("checkpoint") == 1
    assert batch(rig.server.sent("report")[0]) == (0, ids(0, 1))


async def test_the_outcome_during_a_failing_checkpoint_is_reported_at_once(rig: Rig) -> None:
    steps, gate = Gates(2), asyncio.Event()
    await rig.add(steps.function)
    rig.server.fault("checkpoint", Fault(gate=gate, before=gone()))
    run = await rig.run("f")
    steps.open(0)
    await rig.grace()
    steps.open(1)
    await settle()
    assert run.status == "running"
    gate.set()
    await settle()
    assert run.status == "completed"


async def test_a_server_that_wants_no_checkpoints_gets_all_with_the_report(rig: Rig) -> None:
    steps = Gates(3)
    await rig.add(steps.function)
    rig.server.fault("checkpoint", Fault(before=AlreadyExistsError("RUN_NOT_RUNNING", status=409)))
    run = await rig.run("f")
    steps.open(0)
    await rig.grace()
    steps.open(1)
    await rig.pace.advance(100)
    assert rig.server.count("checkpoint") == 1
    steps.open(2)
    await settle()
    assert run.status == "completed"
    assert batch(rig.server.sent("report")[0]) == (0, ids(0, 1, 2))


async def test_a_stale_checkpoint_cancels_the_handler_without_a_report(rig: Rig) -> None:
    steps = Gates(2)
    await rig.add(steps.function)
    rig.server.fault("checkpoint", Fault(before=StaleExecutionError("stale", status=409)))
    run = await rig.run("f")
    steps.open(0)
    await rig.grace()
    assert steps.cancelled == [1]
    assert rig.server.count("report") == 0
    assert rig.worker.snapshot().jobs == ()
    assert run.outputs() == {}


async def test_durability_step_saves_each_step_before_the_next(rig: Rig) -> None:
    steps, gate = Gates(3, durability="step"), asyncio.Event()
    await rig.add(steps.function)
    rig.server.fault("checkpoint", Fault(gate=gate))
    steps.open(0, 1, 2)
    run = await rig.run("f")
    assert steps.bodies == [0]
    gate.set()
    await settle()
    assert run.status == "completed"
    assert [batch(one) for one in rig.server.sent("checkpoint")] == [(0, ids(0)), (1, ids(1)), (2, ids(2))]
    assert batch(rig.server.sent("report")[0]) == (3, [])


async def test_durability_step_goes_on_where_the_server_wants_no_checkpoints(rig: Rig) -> None:
    steps = Gates(3, durability="step")
    await rig.add(steps.function)
    rig.server.fault("checkpoint", Fault(before=InvalidArgumentError("no", status=400)))
    steps.open(0, 1, 2)
    run = await rig.run("f")
    assert run.status == "completed"
    assert rig.server.count("checkpoint") == 1


async def test_a_refused_key_ends_the_worker(rig: Rig) -> None:
    steps = Gates(2)
    await rig.add(steps.function)
    rig.server.fault("checkpoint", Fault(before=PermissionDeniedError("key revoked", status=403)))
    await rig.run("f")
    steps.open(0)
    await rig.grace()
    assert steps.cancelled == [1]
    assert rig.worker.snapshot().state == "failed"
    assert rig.worker.snapshot().last_error.startswith("key revoked; join again with a key")


# ---- the report


async def test_a_report_is_sent_again_after_1_2_4_8_seconds_and_then_given_up(rig: Rig) -> None:
    await rig.add(quick)
    rig.server.fault("report", *[Fault(before=broken(502))] * 9)
    run = await rig.run("quick")
    for pause, sent in ((1, 2), (2, 3), (4, 4), (8, 5)):
        assert rig.server.count("report") == sent - 1
        await rig.pace.advance(pause)
    assert rig.server.count("report") == 5
    await rig.pace.advance(100)
    assert rig.server.count("report") == 5
    assert run.status == "running", "its lease has to run out"
    assert rig.worker.snapshot().counts.dropped == 1
    assert "502" in rig.worker.snapshot().last_error


async def test_an_unreachable_server_is_waited_for(rig: Rig) -> None:
    await rig.add(quick)
    rig.server.fault("report", *[Fault(before=gone())] * 20)
    run = await rig.run("quick")
    await rig.pace.advance(300)
    assert run.status == "completed"
    assert rig.server.count("report") == 21


async def test_an_answer_to_another_call_ends_the_wait(rig: Rig) -> None:
    await rig.add(quick)
    rig.server.fault("report", *[Fault(before=gone())] * 6)
    run = await rig.run("quick")
    await rig.pace.advance(29.5)
    assert rig.server.count("report") == 6, "the next try is due at 31 s"
    assert rig.server.count("heartbeat") == 0
    await rig.pace.advance(0.5)
    assert rig.server.count("heartbeat") == 1
    assert run.status == "completed"


async def test_a_busy_server_is_given_the_time_it_asks_for(rig: Rig) -> None:
    await rig.add(quick)
    rig.server.fault("report", Fault(before=ResourceExhaustedError("busy", status=429, retry_after=7)))
    run = await rig.run("quick")
    await rig.pace.advance(6.9)
    assert run.status == "running"
    await rig.pace.advance(0.1)
    assert run.status == "completed"


@pytest.mark.parametrize("error", [StaleExecutionError("stale", status=409), AlreadyExistsError("over", status=409)])
async def test_a_refused_report_is_not_sent_again(rig: Rig, error: Any) -> None:
    await rig.add(quick)
    rig.server.fault("report", Fault(before=error))
    await rig.run("quick")
    await rig.pace.advance(100)
    assert rig.server.count("report") == 1
    assert rig.worker.snapshot().counts.dropped == 1


async def test_a_report_refused_for_what_it_says_fails_the_run_with_the_reason(rig: Rig) -> None:
    await rig.add(quick)
    rig.server.fault("report", Fault(before=InvalidArgumentError("the body is too large", status=413)))
    run = await rig.run("quick")
    refused, plain_one = rig.server.sent("report")
    assert (refused.status, plain_one.status, plain_one.steps) == ("completed", "failed", ())
    assert (plain_one.error.code, plain_one.error.retryable) == ("REPORT_REFUSED", False)
    assert "the body is too large" in plain_one.error.message
    assert run.status == "failed"


async def test_a_report_whose_reply_is_lost_ends_as_stale(rig: Rig) -> None:
    await rig.add(quick)
    rig.server.fault("report", Fault(after=gone()))
    run = await rig.run("quick")
    assert run.status == "completed"
    await rig.pace.advance(10)
    assert rig.server.count("report") == 2
    assert run.execution_seq == 1
    assert rig.worker.snapshot().jobs == ()


async def test_a_large_tail_that_cannot_be_saved_is_given_up_in_the_end(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "MOST_BYTES", 3_000)
    steps = Gates(3, size=1_500)
    await rig.add(steps.function)
    rig.server.fault("checkpoint", *[Fault(before=broken(503))] * 20)
    steps.open(0, 1, 2)
    await rig.run("f")
    await rig.pace.advance(120)
    assert rig.worker.snapshot().counts.dropped == 1
    assert rig.server.count("report") == 0


async def test_a_failure_and_a_yield_travel_whole(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()

    @function("f")
    async def handler(ctx: Any) -> Any:
        async def charge() -> None:
            raise ValueError("declined")

        if ctx.run.attempt == 1:
            await ctx.step.run("charge", charge)
        await ctx.step.sleep("nap", "5s")
        return "end"

    rig.server.hand_out_wakes = False
    await rig.add(handler)
    run = await rig.run("f")
    failed, yielded = rig.server.sent("report")
    assert (failed.status, failed.error.code, failed.error.retryable) == ("failed", "STEP_FAILED", True)
    assert failed.error.message == "ValueError: declined"
    assert [(step.id, step.status) for step in failed.steps] == [("run_01:charge:0", "failed")]
    assert (yielded.status, yielded.yield_.type, yielded.yield_.step_id) == ("yielded", "sleep", "run_01:nap:0")
    assert run.status == "yielded"
    rig.server.wake(run)
    await settle()
    assert run.output == "end"
    assert plain(rig.server.sent("report")[-1].output) == "end"
    counts = rig.worker.snapshot().counts
    assert (counts.jobs, counts.completed, counts.failed, counts.yielded) == (3, 1, 1, 1)
