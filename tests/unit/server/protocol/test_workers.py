"""Polls and lease connections whose client or server leaves: nothing is handed to nobody, nothing held for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from ironflow_lab.errors import ApiError, StaleExecutionError, UnavailableError
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.workers import Assignment, JobBatch, JobEvent, WorkerStatus
from ironflow_lab.server.engine.commands import Claim, Command, Hold, Release, Report, Unclaim
from ironflow_lab.server.engine.outcome import Held
from ironflow_lab.server.engine.reports import STALE
from ironflow_lab.server.protocol import workers
from ironflow_lab.server.protocol.exchange import Exchange
from ironflow_lab.server.protocol.waiting import Waiting
from ironflow_lab.server.protocol.workers import Workers
from tests.unit.server.protocol.calls import Call

POLL = "/api/v1/workers/a%2Fb/jobs?available=2&wait=20"
LEASE = "/lab/v1/workers/w/lease?instance=one"
JOB = Assignment(
    job_id="run_1.4",
    run_id="run_1",
    function_id="f",
    attempt=1,
    event=JobEvent(id="evt_1", name="a", data={}, timestamp=Instant(1)),
    completed_steps=(),
    execution_seq=4,
    lease_token="token",
)


class Desk:
    """Keeps what is handed in; a claim is answered when the test says so."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.refusals: list[ApiError] = []
        self.answer: Any = None
        self.claim: asyncio.Future[JobBatch] = asyncio.get_running_loop().create_future()
        self.came = asyncio.Condition()
        # What happens in the very turn of the loop in which a poll gets its jobs.
        self.meanwhile: Callable[[], object] = str

    async def submit(self, command: Command) -> Any:
        async with self.came:
            self.commands.append(command)
            self.came.notify_all()
        if self.refusals:
            raise self.refusals.pop(0)
        return self.answer

    async def has(self, kind: type[Any], times: int = 1) -> None:
        def enough() -> bool:
            return sum(isinstance(command, kind) for command in self.commands) >= times

        async with self.came:
            await self.came.wait_for(enough)

    def park(self, command: Claim) -> Parked:
        self.commands.append(command)
        return Parked(self)


class Parked:
    """A claim as the law of the port has it."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._claim = desk, desk.claim

    async def jobs(self, timeout: float, *, unless: Iterable[Any]) -> JobBatch:
        await asyncio.wait({self._claim, *unless}, return_when=asyncio.FIRST_COMPLETED)
        self._desk.meanwhile()
        return self._claim.result() if self._claim.done() else JobBatch()


class Stage:
    """The routes, their desk and hub, and calls under way."""

    def __init__(self) -> None:
        self.desk, self.closing = Desk(), asyncio.Event()
        self.waiting = Waiting(self.closing)
        self.workers = Workers(self.desk, self.waiting, lease_seconds=90, closing=self.closing)

    def poll(self) -> tuple[Call, asyncio.Task[None]]:
        call = Call("GET", POLL)
        return call, asyncio.ensure_future(self.workers.serve(Exchange(call.scope, call.receive, call.send)))

    def lease(self) -> tuple[Call, asyncio.Task[None]]:
        call = Call("GET", LEASE)
        exchange = Exchange(call.scope, call.receive, call.send)
        return call, asyncio.ensure_future(self.workers.lease(exchange, "w"))


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(workers, "_AGAIN_SECONDS", 0)
    return Stage()


async def turns(count: int = 10) -> None:
    """Let everything that can go on go on."""
    for _ in range(count):
        await asyncio.sleep(0)


class TestPoll:
    async def test_jobs_are_delivered(self, stage: Stage) -> None:
        call, task = stage.poll()
        stage.desk.claim.set_result(JobBatch(jobs=(JOB,)))
        await task
        assert (call.status, call.json["jobs"][0]["job_id"]) == (200, "run_1.4")
        (claim,) = stage.desk.commands
        assert isinstance(claim, Claim)
        assert (claim.worker_id, claim.available, claim.lease_ns) == ("a/b", 2, 90_000_000_000)

    async def test_none_is_204_with_the_time_it_was_held(self, stage: Stage) -> None:
        call, task = stage.poll()
        stage.desk.claim.set_result(JobBatch())
        await task
        assert (call.status, call.body, call.headers["ironflow-poll-wait"]) == (204, b"", "20")

    async def test_a_client_that_left_first_gets_no_job(self, stage: Stage) -> None:
        call, task = stage.poll()
        await turns()
        call.leave()
        await task
        assert [type(command) for command in stage.desk.commands] == [Claim]

    @pytest.mark.parametrize("when", ["before", "in the same turn"])
    async def test_jobs_claimed_for_a_client_that_has_left_are_taken_back(self, stage: Stage, when: str) -> None:
        call, task = stage.poll()
        await turns()
        if when == "before":
            call.leave()
        else:
            stage.desk.meanwhile = call.leave
        stage.desk.claim.set_result(JobBatch(jobs=(JOB,)))
        await task
        assert call.sent[0]["status"] == 204
        unclaim = stage.desk.commands[-1]
        assert isinstance(unclaim, Unclaim)
        assert [(fence.run_id, fence.execution_seq, fence.lease_token) for fence in unclaim.fences] == [
            ("run_1", 4, "token")
        ]

    async def test_a_closing_server_answers_at_once(self, stage: Stage) -> None:
        call, task = stage.poll()
        await turns()
        stage.closing.set()
        await task
        assert call.status == 204

    async def test_a_refusal_is_raised(self, stage: Stage) -> None:
        _, task = stage.poll()
        stage.desk.claim.set_exception(UnavailableError("busy"))
        with pytest.raises(UnavailableError):
            await task


class TestLease:
    async def test_it_holds_then_releases_once_closed(self, stage: Stage) -> None:
        call, task = stage.lease()
        await turns()
        assert call.body == b'{"type":"held"}\n'
        assert stage.desk.commands == [Hold(env="env_default", worker_id="w", instance_id="one")]
        call.leave()
        await task
        assert stage.desk.commands[1:] == [Release(env="env_default", worker_id="w", instance_id="one")]

    async def test_only_the_last_connection_of_an_instance_releases(self, stage: Stage) -> None:
        first, one = stage.lease()
        second, two = stage.lease()
        await turns()
        first.leave()
        await one
        assert not [command for command in stage.desk.commands if isinstance(command, Release)]
        second.leave()
        await two
        assert len([command for command in stage.desk.commands if isinstance(command, Release)]) == 1

    async def test_a_take_over_ends_it(self, stage: Stage) -> None:
        call, task = stage.lease()
        await turns()
        stage.waiting.heard([Held("w", False)])
        await task
        assert call.sent[-1].get("more_body") is None

    async def test_a_take_over_right_after_the_hold_is_heard(self, stage: Stage) -> None:
        _, task = stage.lease()
        await stage.desk.has(Hold)
        stage.waiting.heard([Held("w", False)])
        await task

    async def test_a_closing_server_releases_nothing(self, stage: Stage) -> None:
        _, task = stage.lease()
        await turns()
        stage.closing.set()
        await task
        assert [type(command) for command in stage.desk.commands] == [Hold]

    async def test_a_refused_hold_releases_nothing(self, stage: Stage) -> None:
        stage.desk.refusals.append(StaleExecutionError("another instance", code="STALE_EXECUTION"))
        call, task = stage.lease()
        with pytest.raises(StaleExecutionError):
            await task
        assert call.sent == []
        assert [type(command) for command in stage.desk.commands] == [Hold]
        assert not stage.waiting._leases

    async def test_a_release_that_cannot_be_stored_is_tried_again(
        self, stage: Stage, caplog: pytest.LogCaptureFixture
    ) -> None:
        call, task = stage.lease()
        await turns()
        stage.desk.refusals += [UnavailableError("disk full"), UnavailableError("disk full")]
        call.leave()
        await task
        assert [type(command) for command in stage.desk.commands] == [Hold, Release, Release, Release]
        assert caplog.text.count("disk full") == 2

    async def test_it_is_not_tried_again_once_a_new_connection_holds(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(workers, "_AGAIN_SECONDS", 60)
        call, task = stage.lease()
        await turns()
        stage.desk.refusals.append(UnavailableError("disk full"))
        call.leave()
        await stage.desk.has(Release)
        stage.lease()
        await stage.desk.has(Hold, times=2)
        stage.closing.set()
        await task
        assert len([command for command in stage.desk.commands if isinstance(command, Release)]) == 1


async def test_a_foreign_worker_is_told_that_its_run_was_paused_as_a_lost_fence(stage: Stage) -> None:
    """It drops the job without a report; its steps are on disk by then."""
    call = Call("PUT", "/api/v1/workers/w/jobs/run_1.4", body=b'{"status":"progress"}', content_type="application/json")
    stage.desk.answer = WorkerStatus(status=STALE)
    with pytest.raises(StaleExecutionError, match="paused"):
        await stage.workers.serve(Exchange(call.scope, call.receive, call.send))
    assert [type(command) for command in stage.desk.commands] == [Report]
