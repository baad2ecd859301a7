"""Both clients against the embedded server: every call of the slice, one story."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing
from typing import Any, cast

import pytest

from ironflow_lab.client import AsyncClient, Client
from ironflow_lab.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    StaleExecutionError,
    UnimplementedError,
)
from ironflow_lab.models.functions import RegisterFunctionRequest, ThrottleConfig, Trigger
from ironflow_lab.models.workers import (
    Assignment,
    Fence,
    HeartbeatJob,
    HeartbeatRequest,
    JobUpdate,
    RegisterRequest,
    StepResult,
)
from ironflow_lab.testing import LocalServer

FUNCTION = RegisterFunctionRequest(id="ship", name="ship", triggers=(Trigger(event="order.placed"),))


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    """One embedded server for this module."""
    with LocalServer() as running:
        yield running


def fence(job: Assignment) -> Fence:
    """Return the fence of a job."""
    return Fence(run_id=job.run_id, execution_seq=job.execution_seq, lease_token=job.lease_token)


def report(job: Assignment, status: str, **more: Any) -> JobUpdate:
    """Return a message about a job, with its fence."""
    return JobUpdate(status=status, execution_seq=job.execution_seq, lease_token=job.lease_token, **more)


def test_the_blocking_client_from_registration_to_result(server: LocalServer) -> None:
    with Client(server.url) as client:
        assert client.server.health().instance == "testing"
        assert client.server.ready().status == "ready"
        assert set(client.server.capabilities().lab) >= {"runs/wait", "workers/lease"}

        created = client.functions.register(FUNCTION)
        again = client.functions.register(FUNCTION)
        assert (created.created, again.created) == (True, False)
        assert client.functions.get("ship").version == again.function.version
        assert [one.id for one in client.functions.iterate()] == ["ship"]

        client.workers.register("w-1", RegisterRequest(worker_id="w-1", function_ids=("ship",)))
        emitted = client.events.emit("order.placed", {"id": "A-1"}, idempotency_key="k-1")
        assert client.events.trigger("order.placed", idempotency_key="k-1") == emitted
        (run_id,) = emitted.run_ids

        (job,) = client.workers.poll("w-1", available=5).jobs
        assert (job.run_id, job.event.data) == (run_id, {"id": "A-1"})
        client.workers.ack("w-1", job.job_id, fence(job))
        beat = HeartbeatRequest(active_jobs=1, jobs=(HeartbeatJob(job_id=job.job_id),))
        client.workers.heartbeat("w-1", beat)
        step = StepResult(id=f"{run_id}:pack:0", name="pack", output=[1, 2])
        client.workers.update("w-1", job.job_id, report(job, "progress", steps=(step,)))
        assert client.runs.wait([run_id, "run_x"], timeout=0.05).unknown == ("run_x",)
        client.workers.update("w-1", job.job_id, report(job, "completed", step_offset=1, output="done"))
        with pytest.raises(StaleExecutionError):
            client.workers.update("w-1", job.job_id, report(job, "progress"))

        assert client.runs.wait([run_id], timeout="5s").ended == (run_id,)
        run = client.runs.get(run_id)
        assert (run.status, run.input, run.output) == ("completed", {"id": "A-1"}, "done")
        assert [step.output for step in client.runs.steps(run_id)] == [[1, 2]]
        assert [bytes(row.output_value) for row in client.runs.step_rows(run_id)] == [b"[1,2]"]
        with pytest.raises(FailedPreconditionError):
            client.runs.cancel(run_id)


def test_listing_pages_filters_and_rows(server: LocalServer) -> None:
    with Client(server.url) as client:
        client.functions.register(RegisterFunctionRequest(id="count", name="count", triggers=(Trigger(event="n.*"),)))
        ids = [client.events.emit("n.x", number).run_ids[0] for number in range(7)]
        page = client.runs.list(function_id="count", limit=3)
        assert (page.total_count, len(page.runs)) == (7, 3)
        newest_first = list(reversed(ids))
        found = [run.id for run in client.runs.iterate(function_id="count", page_size=2)]
        assert found == newest_first
        pages = list(client.runs.row_pages(function_id="count", page_size=3, since="1h"))
        assert [len(page.runs) for page in pages] == [3, 3, 1]
        assert [row.id for page in pages for row in page.runs] == newest_first
        assert bytes(pages[0].runs[0].input_value) == b"6"
        cancelled = client.runs.cancel(ids[0], reason="tired")
        assert cancelled.status == "cancelled"
        assert [run.id for run in client.runs.list(status="cancelled").runs] == [ids[0]]
        assert client.runs.list(function_id="count", until="1h").runs == ()


async def test_the_awaited_client_holds_its_lease(server: LocalServer) -> None:
    async with AsyncClient(server.url) as client:
        await client.functions.register(
            RegisterFunctionRequest(id="hold", name="hold", triggers=(Trigger(event="h.x"),))
        )
        registration = RegisterRequest(worker_id="w-2", function_ids=("hold",), instance_id="i-1")
        await client.workers.register("w-2", registration)
        lines = cast("Any", client.workers.lease("w-2", "i-1"))
        async with aclosing(lines):
            assert (await anext(lines)).type == "held"
            (run_id,) = (await client.events.emit("h.x")).run_ids
            (job,) = (await client.workers.poll("w-2", available=1)).jobs
            await client.workers.ack("w-2", job.job_id, fence(job))
            await client.runs.cancel(run_id)
            cancel = await anext(lines)
            assert (cancel.type, cancel.run_id) == ("cancel", run_id)


async def test_a_wait_that_runs_out_says_so(server: LocalServer) -> None:
    async with AsyncClient(server.url) as client:
        await client.functions.register(
            RegisterFunctionRequest(id="idle", name="idle", triggers=(Trigger(event="i.x"),))
        )
        answer = await client.events.emit_sync("i.x", [1], timeout=0.05)
        assert [result.wait_timed_out for result in answer.results] == [True]


def test_a_function_from_its_first_version_to_its_deletion(server: LocalServer) -> None:
    with Client(server.url) as client:
        functions = client.functions
        first = functions.register(RegisterFunctionRequest(id="life", description="one", change_reason="begun"))
        functions.register(RegisterFunctionRequest(id="life", description="two", pause_behavior="release"))
        assert functions.set_status("life", "paused").status == "paused"
        back = functions.rollback("life", 1, reason="it was better")
        assert (back.description, back.status, back.version) == ("one", "active", first.function.version + 2)
        functions.delete("life")
        with pytest.raises(NotFoundError, match="'life'"):
            functions.get("life")
        told = [(entry.entity_version, entry.change_type) for entry in functions.history_iterate("life", page_size=2)]
        assert told == [(5, "delete"), (4, "rollback"), (3, "status_change"), (2, "update"), (1, "create")]
        page = functions.history("life", limit=1, from_version=3)
        assert ([entry.change_type for entry in page.entries], page.has_more) == (["update"], True)
        (update,) = page.entries
        assert functions.at_version("life", 2) == update
        assert update.function_snapshot is not None
        assert update.function_snapshot.pause_behavior == "release"
        assert functions.at_version("life", 1).change_reason == "begun"
        with pytest.raises(NotFoundError, match="no version 6"):
            functions.at_version("life", 6)
        with pytest.raises(NotFoundError, match="ever registered"):
            functions.history("life-none")


async def test_the_awaited_client_reads_a_history_too(server: LocalServer) -> None:
    async with AsyncClient(server.url) as client:
        await client.functions.register(RegisterFunctionRequest(id="aio-life"))
        await client.functions.set_status("aio-life", "archived")
        kinds = [entry.change_type async for entry in client.functions.history_iterate("aio-life", page_size=1)]
        assert kinds == ["status_change", "create"]
        assert (await client.functions.rollback("aio-life", 1)).status == "active"
        await client.functions.delete("aio-life")


def test_what_the_server_refuses(server: LocalServer) -> None:
    with Client(server.url) as client:
        for call in (client.runs.get, client.runs.steps, client.runs.cancel):
            with pytest.raises(NotFoundError):
                call("run_nope")
        with pytest.raises(NotFoundError):
            client.functions.get("nope")
        with pytest.raises(NotFoundError):
            client.workers.poll("w-unknown", available=1, wait=0)
        with pytest.raises(UnimplementedError):
            client.functions.register(
                RegisterFunctionRequest(id="slow", triggers=(Trigger(event="x"),), throttle=ThrottleConfig(limit=1))
            )
        with pytest.raises(InvalidArgumentError, match="8 MiB"):
            client.events.emit("order.big", "x" * 9_000_000)
        with pytest.raises(InvalidArgumentError):
            client.functions.register(RegisterFunctionRequest(id="a b"))
    with Client(server.url, environment="elsewhere") as client, pytest.raises(NotFoundError):
        client.runs.list()
