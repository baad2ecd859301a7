"""The jobs in hand: which code they run, what supersedes them, what a blocked loop costs."""

from __future__ import annotations

import asyncio
import linecache
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from ironflow_lab.errors import NonRetryableError, PermissionDeniedError
from ironflow_lab.models.workers import LeaseLine
from ironflow_lab.runtime import output
from ironflow_lab.runtime.begun import Begun
from ironflow_lab.runtime.function import DurableFunction, function
from ironflow_lab.runtime.registry import Registry
from ironflow_lab.runtime.sourcestore import SourceStore
from tests.unit.runtime.fakes import FakeReply, FakeServer, Fault, broken, gone
from tests.unit.runtime.faketime import settle
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
    """Return a version whose handler its text alone makes."""
    text = f"""async def handler(ctx):
    SEEN.append({number})
    await ctx.step.sleep("nap", 5)
    return {number}
"""
    name = f"<cell {number}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    names: dict[str, Any] = {"SEEN": seen}
    exec(compile(text, name, "exec"), names)  # noqa: S102 - as a cell does
    return function("f")(names["handler"])


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
    assert rig.registry.pinned() == (), "ended runs are forgotten"


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


# ---- a run that began before a restart


def house(folder: Path, server: FakeServer | None = None) -> Rig:
    """Return a worker of this data folder, as after a restart."""
    return Rig(registry=Registry(store=SourceStore(folder), begun=Begun(folder)), server=server)


class Restarted:
    """A run that began on version 1 elsewhere, and a worker that has defined version 2 since."""

    def __init__(self, folder: Path) -> None:
        self.seen: list[int] = []
        self.server = FakeServer()
        self.old, self.new = version(1, self.seen), version(2, self.seen)
        self.server.define(self.old.request())
        self.run = self.server.emit("f")
        self.run.execution_seq = 1
        self.rig = house(folder, self.server)
        self.rig.registry.keep(self.old)

    def jobs(self) -> list[str]:
        return [job.job_id for job in self.rig.worker.snapshot().jobs]


@pytest.fixture
async def restarted(tmp_path: Path) -> AsyncIterator[Restarted]:
    found = Restarted(tmp_path)
    yield found
    await found.rig.worker.drain(0)


async def test_it_finishes_on_the_code_it_began_with(restarted: Restarted) -> None:
    restarted.server.hand_out_wakes = False
    await restarted.rig.add(restarted.new)
    asked = restarted.server.count("get_run")
    await restarted.rig.add(version(3, restarted.seen))
    restarted.server.wake(restarted.run)
    await settle()
    assert restarted.run.output == 1
    assert asked == restarted.server.count("get_run") == 1, "asked once"


async def test_a_run_that_is_told_by_the_data_folder_needs_no_question(restarted: Restarted) -> None:
    restarted.rig.registry.begin(restarted.run.id, restarted.old, first=True)
    await restarted.rig.add(restarted.new)
    assert restarted.run.output == 1
    assert restarted.server.count("get_run") == 0


async def test_while_the_question_is_open_the_job_is_in_hand_and_others_go_on(restarted: Restarted) -> None:
    gate = asyncio.Event()
    restarted.server.fault("get_run", Fault(gate=gate))
    await restarted.rig.add(restarted.new, quick)
    assert restarted.jobs() == ["run_01.2"]
    assert (await restarted.rig.run("quick")).status == "completed"
    assert restarted.server.sent("poll")[-2:] == [9, 8], "its slot is counted"
    await restarted.rig.pace.advance(30)
    assert [job.job_id for job in restarted.server.sent("heartbeat")[-1].jobs] == ["run_01.2"]
    assert restarted.seen == []
    gate.set()
    await settle()
    assert restarted.run.output == 1


async def test_a_server_that_is_away_is_asked_again(restarted: Restarted) -> None:
    restarted.server.fault("get_run", Fault(before=gone()), Fault(before=broken()))
    restarted.server.fault("history", Fault(before=broken()))
    await restarted.rig.add(restarted.new)
    assert restarted.jobs() == ["run_01.2"]
    await restarted.rig.pace.advance(20)
    assert restarted.run.output == 1


async def test_a_server_that_does_not_know_leaves_the_newest_and_says_so(
    restarted: Restarted, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(output, "note", lambda where, text, **_: said.append(text))
    restarted.run.function_version = 0
    await restarted.rig.add(restarted.new)
    assert restarted.run.output == 2
    assert len(said) == 1


async def test_an_edit_while_the_question_is_open_is_the_newest_then(restarted: Restarted) -> None:
    gate = asyncio.Event()
    restarted.server.fault("get_run", Fault(gate=gate))
    await restarted.rig.add(restarted.new)
    again = version(1, restarted.seen)
    await restarted.rig.add(again)
    gate.set()
    await settle()
    assert restarted.run.output == 1
    assert restarted.seen, "the newest object prints under the cell as it is now"


async def test_handed_out_again_while_the_question_is_open_it_begins_once(restarted: Restarted) -> None:
    gate = asyncio.Event()
    restarted.server.fault("get_run", Fault(gate=gate))
    restarted.server.hand_out_wakes = False
    await restarted.rig.add(restarted.new)
    restarted.server.lose_lease(restarted.run)
    await settle()
    gate.set()
    await settle()
    assert restarted.seen == [1]
    assert [ack.execution_seq for ack in restarted.server.sent("ack")] == [4]
    assert restarted.rig.worker.snapshot().counts.dropped == 1


async def test_dropped_in_the_moment_of_the_answer_it_does_not_begin(restarted: Restarted) -> None:
    gate = asyncio.Event()
    restarted.server.fault("get_run", Fault(gate=gate))
    await restarted.rig.add(restarted.new)
    (inquiry,) = restarted.rig.worker._desk.inquiries.values()
    gate.set()
    while not inquiry.task.done():  # noqa: ASYNC110 - one turn of the loop at a time
        await asyncio.sleep(0)
    # Its task has ended, and the desk has not been told yet.
    assert restarted.rig.worker._desk.inquiries
    restarted.rig.worker._desk.cancel(restarted.run.id, "")
    await settle()
    assert (restarted.seen, restarted.server.count("ack")) == ([], 0)


async def test_the_same_job_twice_while_the_question_is_open_is_one(restarted: Restarted) -> None:
    gate = asyncio.Event()
    restarted.server.fault("get_run", Fault(gate=gate))
    restarted.server.hand_out_wakes = False
    await restarted.rig.add(restarted.new)
    desk = restarted.rig.worker._desk
    (inquiry,) = desk.inquiries.values()
    desk.take([inquiry.assignment])
    assert list(desk.inquiries.values()) == [inquiry]
    gate.set()
    await settle()
    assert restarted.seen == [1]


@pytest.mark.parametrize(
    "line", [LeaseLine(type="cancel", run_id="run_01"), LeaseLine(type="cancel", job_id="run_01.2")]
)
async def test_cancelled_while_the_question_is_open_it_does_not_begin(restarted: Restarted, line: LeaseLine) -> None:
    gate = asyncio.Event()
    restarted.server.fault("get_run", Fault(gate=gate))
    await restarted.rig.add(restarted.new)
    restarted.server.say(line)
    await settle()
    gate.set()
    await settle()
    assert (restarted.seen, restarted.jobs()) == ([], [])


async def test_paused_while_the_question_is_open_it_stops_before_its_first_step(restarted: Restarted) -> None:
    gate = asyncio.Event()
    restarted.server.fault("get_run", Fault(gate=gate))
    restarted.server.hand_out_wakes = False
    await restarted.rig.add(restarted.new)
    restarted.server.say(LeaseLine(type="pause", run_id="run_01"))
    await settle()
    assert [job.pausing for job in restarted.rig.worker.snapshot().jobs] == [True]
    gate.set()
    await settle()
    # The server has changed its mind since: it says go on.
    assert [message.boundary for message in restarted.server.sent("checkpoint")] == [True]
    assert restarted.seen == [1]


async def test_a_drain_waits_for_it_and_its_end_gives_it_up(restarted: Restarted) -> None:
    gate = asyncio.Event()
    restarted.server.fault("get_run", Fault(gate=gate))
    restarted.server.hand_out_wakes = False
    await restarted.rig.add(restarted.new)
    drain = asyncio.ensure_future(restarted.rig.worker.drain(5))
    await settle()
    assert not drain.done()
    gate.set()
    await settle()
    await drain
    assert (restarted.run.status, restarted.seen) == ("yielded", [1])


async def test_a_drain_without_patience_gives_it_up(restarted: Restarted) -> None:
    restarted.server.fault("get_run", Fault(gate=asyncio.Event()))
    await restarted.rig.add(restarted.new)
    await restarted.rig.worker.drain(0)
    await settle()
    assert (restarted.run.status, restarted.seen, restarted.jobs()) == ("running", [], [])
    assert restarted.server.count("report") == 0


async def test_a_key_refused_at_the_question_ends_the_worker(restarted: Restarted) -> None:
    restarted.server.fault("get_run", Fault(before=PermissionDeniedError("no", status=403)))
    await restarted.rig.add(restarted.new)
    assert restarted.rig.worker.state == "failed"
    assert restarted.run.status == "running", "nothing was reported"


async def test_a_function_removed_while_the_question_is_open_fails_nothing(restarted: Restarted) -> None:
    gate = asyncio.Event()
    restarted.server.fault("get_run", Fault(gate=gate))
    await restarted.rig.add(restarted.new)
    restarted.rig.registry.remove("f")
    gate.set()
    await settle()
    assert (restarted.server.count("report"), restarted.run.status) == (0, "running")


async def test_a_run_that_waits_for_its_cell_is_not_failed(tmp_path: Path) -> None:
    server = FakeServer()
    rig = house(tmp_path, server)
    await rig.add(quick)
    rig.registry.keep(version(1, []))
    assert server.registered["w1"].function_ids == ("quick",), "only what this process has defined"
    run = server.emit("f")
    rig.worker._desk.take([server.assign(run)])
    await settle()
    assert (server.count("report"), server.count("ack"), run.status) == (0, 0, "running")
    await rig.worker.drain(0)


async def test_a_run_that_failed_for_good_is_tried_again_on_the_newest_code(rig: Rig) -> None:
    @function("f")
    async def bad(ctx: Any) -> str:
        raise NonRetryableError("never")

    await rig.add(bad)
    run = await rig.run("f")
    assert run.status == "failed"
    await rig.add(version(2, []))
    rig.server.wake(run)
    await settle()
    assert run.output == 2


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
