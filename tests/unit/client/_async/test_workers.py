"""The polling worker's calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import (
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    StaleExecutionError,
    UnauthenticatedError,
    UnavailableError,
)
from ironflow_lab.models.workers import (
    Fence,
    HeartbeatJob,
    HeartbeatRequest,
    JobUpdate,
    RegisterRequest,
    StepResult,
)

if TYPE_CHECKING:
    from tests.unit.client._async.conftest import AsyncScript

JOB: dict[str, Any] = {
    "job_id": "run_1.3",
    "run_id": "run_1",
    "function_id": "f",
    "attempt": 1,
    "event": {"id": "evt_1", "name": "a.b", "data": None, "timestamp": "2026-01-02T03:04:05Z"},
    "completed_steps": [{"step_id": "run_1:a:0", "name": "a", "output": {"ok": True}}],
    "execution_seq": 3,
    "lease_token": "lt",
}


async def test_register(client: AsyncClient, script: AsyncScript) -> None:
    script.answer(b"", status=204)
    message = RegisterRequest(worker_id="w/1", function_ids=("f",), instance_id="i-1")
    await client.workers.register("w/1", message)
    assert (script.request.method, script.request.path) == ("POST", "/api/v1/workers/w%2F1/register")
    assert (script.sent["function_ids"], script.sent["instance_id"]) == (["f"], "i-1")


async def test_heartbeat_of_an_unknown_worker(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"error": "worker not registered"}, status=404)
    message = HeartbeatRequest(worker_id="w", active_jobs=1, jobs=(HeartbeatJob(job_id="run_1.3"),))
    with pytest.raises(NotFoundError, match="not registered"):
        await client.workers.heartbeat("w", message)
    assert script.sent["jobs"] == [{"job_id": "run_1.3", "started_at": ""}]


async def test_a_poll_brings_jobs(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"jobs": [JOB]})
    poll = await client.workers.poll("w", available=2, wait=99)
    (job,) = poll.jobs
    assert (job.run_id, job.execution_seq, job.completed_steps[0].output) == ("run_1", 3, {"ok": True})
    assert script.request.query == (("available", "2"), ("wait", "25"))
    assert script.request.wait == 25.0


@pytest.mark.parametrize(("headers", "held"), [({"ironflow_poll_wait": "20"}, True), ({}, False)])
async def test_an_empty_poll_says_whether_it_was_held(
    client: AsyncClient, script: AsyncScript, headers: dict[str, str], held: bool
) -> None:
    script.answer(b"", status=204, **headers)
    poll = await client.workers.poll("w", available=1, wait=0)
    assert (poll.jobs, poll.held) == ((), held)
    assert script.request.query == (("available", "1"),)


async def test_a_job_without_its_fence_is_dropped_alone(
    client: AsyncClient, script: AsyncScript, caplog: pytest.LogCaptureFixture
) -> None:
    script.answer({"jobs": [{"job_id": "run_0.1"}, JOB]})
    poll = await client.workers.poll("w", available=2)
    assert ([job.job_id for job in poll.jobs], poll.unreadable) == (["run_1.3"], 1)
    assert "dropped 1 jobs" in caplog.text


async def test_ack_and_update(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"status": "ok"})
    script.answer(b"")
    await client.workers.ack("w", "run_1.3", Fence(run_id="run_1", execution_seq=3, lease_token="lt"))
    step = StepResult(id="run_1:a:0", name="a", output=[1])
    await client.workers.update(
        "w", "run_1.3", JobUpdate(status="progress", execution_seq=3, lease_token="lt", steps=(step,))
    )
    ack, update = script.requests
    assert (ack.method, ack.path) == ("PUT", "/api/v1/workers/w/jobs/run_1.3/ack")
    assert (update.method, update.path) == ("PUT", "/api/v1/workers/w/jobs/run_1.3")
    sent = script.all_sent[1]
    assert sent["steps"][0]["output"] == [1]
    assert "error" not in sent
    assert "yield" not in sent


async def test_a_lost_fence(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"error": "STALE_EXECUTION", "code": "aborted", "message": "moved on"}, status=409)
    with pytest.raises(StaleExecutionError, match="moved on"):
        await client.workers.update("w", "run_1.3", JobUpdate(status="completed", output=1))


async def test_a_failed_report_is_for_the_worker_to_repeat(client: AsyncClient, script: AsyncScript) -> None:
    script.fail(UnavailableError("gone"))
    with pytest.raises(UnavailableError):
        await client.workers.update("w", "run_1.3", JobUpdate(status="completed", output=1))


async def test_a_revoked_key_stops_the_worker(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"code": "key_revoked", "message": "revoked"}, status=401)
    with pytest.raises(UnauthenticatedError, match="revoked"):
        await client.workers.poll("w", available=1)


async def test_wrong_arguments_are_not_sent(client: AsyncClient) -> None:
    with pytest.raises(InvalidArgumentError, match="worker id"):
        await client.workers.poll("", available=1)
    with pytest.raises(InvalidArgumentError, match="path"):
        await client.workers.ack("w", "..", Fence())
    with pytest.raises(InvalidArgumentError, match="available"):
        await client.workers.poll("w", available=0)
    with pytest.raises(InvalidArgumentError, match="JSON"):
        await client.workers.update("w", "j", JobUpdate(status="completed", output=object()))


# async only: begin
async def test_the_lease_yields_what_the_server_says(client: AsyncClient, script: AsyncScript) -> None:
    script.answer(b'{"type":"held"}\n{"type":"cancel","run_id":"run_1","job_id":"run_1.3","x":1}\n')
    held, cancel = [line async for line in client.workers.lease("w", "i 1")]
    assert held.type == "held"
    assert (cancel.type, cancel.run_id, cancel.job_id) == ("cancel", "run_1", "run_1.3")
    assert script.request.path == "/lab/v1/workers/w/lease"
    assert script.request.query == (("instance", "i 1"),)


async def test_a_lease_line_that_is_no_record(client: AsyncClient, script: AsyncScript) -> None:
    script.answer(b"<html>")
    with pytest.raises(InternalError, match="could not be read"):
        _ = [line async for line in client.workers.lease("w", "i")]


# async only: end
