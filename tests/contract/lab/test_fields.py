"""What a client and a handler read and send, field by field, over one real server and worker."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.errors import NotFoundError, StepTimeoutError
from ironflow_lab.models.functions import ConcurrencyConfig, RegisterFunctionRequest, Trigger
from ironflow_lab.models.runs import Run
from ironflow_lab.runtime.service import CONCURRENCY, Worker
from ironflow_lab.runtime.threads import LoopThread


def outcome(lab: il.Lab, run_id: str) -> Run:
    """Return a run once it has ended."""
    assert lab.client.runs.wait([run_id], timeout="30s").ended == (run_id,)
    return lab.client.runs.get(run_id)


def test_a_handler_sees_its_event_and_its_run(lab: il.Lab) -> None:
    @lab.function("facts", on="fact.*")
    async def facts(ctx: Any) -> Any:
        event, run = ctx.event, ctx.run
        told = (event.id, event.name, event.data, event.version, event.source, event.metadata, event.idempotency_key)
        return [*told, run.id, run.function_id, run.attempt]

    emit = lab.client.events.emit
    emitted = emit("fact.asked", {"n": 1}, idempotency_key="k-1", version=3, metadata={"trace": "t"})
    assert emit("fact.asked", {"n": 2}, idempotency_key="k-1") == emitted
    (run_id,) = emitted.run_ids
    event = [emitted.event_id, "fact.asked", {"n": 1}, 3, "api", {"trace": "t"}, "k-1"]
    assert outcome(lab, run_id).output == [*event, run_id, "facts", 1]


def test_emit_sync_tells_status_output_and_duration(lab: il.Lab) -> None:
    @lab.function("brief", on="brief.asked")
    async def brief(ctx: Any) -> Any:
        return ctx.event.data * 2

    (result,) = lab.client.events.emit_sync("brief.asked", 21, timeout="30s").results
    run = lab.client.runs.get(result.run_id)
    assert (result.function_id, result.status, result.output) == ("brief", "completed", 42)
    took = (run.ended_at - run.started_at) / 1_000_000
    assert abs(result.duration_ms - took) <= 1


def test_the_server_tells_what_it_is(lab: il.Lab) -> None:
    server = lab.client.server
    found = server.capabilities()
    assert found.version == server.health().version != ""
    assert found.transports == ("polling",)
    assert "steps" in found.features


def test_lanes_and_expressions_are_stored_as_they_were_defined(lab: il.Lab) -> None:
    @lab.function("lanes", concurrency={"limit": 3, "key": "data.customer.id"}, pause_behavior="release")
    async def lanes(ctx: Any) -> None: ...

    @lab.function("one-lane", concurrency=1)
    async def one_lane(ctx: Any) -> None: ...

    stored = lab.client.functions.get("lanes")
    assert stored.concurrency == ConcurrencyConfig(limit=3, key="customer.id")
    assert stored.pause_behavior == "release"
    assert (stored.metadata or {})["__ironflow_pause_behavior"] == "release"
    stored = lab.client.functions.get("one-lane")
    assert (stored.concurrency, stored.pause_behavior) == (ConcurrencyConfig(limit=1), "")


def test_an_expression_decides_what_starts_a_function(lab: il.Lab) -> None:
    @lab.function("large", on=il.Trigger(event="size.told", expression="data.total > 100"))
    async def large(ctx: Any) -> Any:
        return ctx.event.data["total"]

    emitted = [lab.client.events.emit("size.told", {"total": total}) for total in (150, 100, 100.5)]
    assert [len(one.run_ids) for one in emitted] == [1, 0, 1]
    assert [outcome(lab, one.run_ids[0]).output for one in emitted if one.run_ids] == [150, 100.5]


def test_functions_are_listed_as_they_were_registered(lab: il.Lab) -> None:
    register = lab.client.functions.register
    register(RegisterFunctionRequest(id="list-a", name="The first", triggers=(Trigger(event="list.asked"),)))
    register(RegisterFunctionRequest(id="list-b", name="The second"))
    found = lab.client.functions.list(name="The ").functions
    assert [(one.id, one.name, one.status) for one in found] == [
        ("list-a", "The first", "active"),
        ("list-b", "The second", "active"),
    ]
    assert [trigger.event for trigger in found[0].triggers] == ["list.asked"]


def test_runs_are_listed_by_function_and_status_page_by_page(lab: il.Lab) -> None:
    client = lab.client
    client.functions.register(
        RegisterFunctionRequest(id="paged", name="paged", triggers=(Trigger(event="page.asked"),))
    )
    ids = [client.events.emit("page.asked", number).run_ids[0] for number in range(3)]
    assert client.runs.cancel(ids[1], reason="no longer wanted").status == "cancelled"
    first = client.runs.list(function_id="paged", limit=2)
    assert [run.id for run in first.runs] == [ids[2], ids[1]]
    assert first.next_cursor
    rest = client.runs.list(function_id="paged", limit=2, cursor=first.next_cursor)
    assert ([run.id for run in rest.runs], rest.next_cursor) == ([ids[0]], "")
    cancelled = client.runs.list(function_id="paged", status="cancelled")
    assert [(run.id, run.status) for run in cancelled.runs] == [(ids[1], "cancelled")]


def test_a_sleep_until_a_time_ends_then_and_not_before(lab: il.Lab) -> None:
    until = datetime.now(UTC) + timedelta(seconds=0.3)

    @lab.function("early", on="early.asked")
    async def early(ctx: Any) -> Any:
        await ctx.step.sleep_until("dawn", until)
        return "up"

    run = outcome(lab, lab.client.events.emit("early.asked").run_ids[0])
    assert run.output == "up"
    assert run.ended_at / 1e9 >= until.timestamp()


def test_a_step_that_takes_too_long_fails_with_its_own_error(lab: il.Lab) -> None:
    seen: list[BaseException] = []

    @lab.function("late", on="late.asked", retry={"max_attempts": 1, "on_exhausted": "fail"})
    async def late(ctx: Any) -> Any:
        try:
            await ctx.step.run("hang", asyncio.Event().wait, timeout="20ms")
        except StepTimeoutError as error:
            seen.append(error)
            raise

    run = outcome(lab, lab.client.events.emit("late.asked").run_ids[0])
    assert run.error is not None
    assert (run.status, run.error.code) == ("failed", "STEP_TIMEOUT")
    (error,) = seen
    assert "hang" in str(error)
    assert run.error.message == str(error)


def test_a_function_that_runs_longer_than_its_timeout_fails(lab: il.Lab) -> None:
    @lab.function("endless", on="endless.asked", timeout="50ms")
    async def endless(ctx: Any) -> Any:
        await asyncio.Event().wait()

    run = outcome(lab, lab.client.events.emit("endless.asked").run_ids[0])
    assert run.error is not None
    assert (run.status, run.error.code) == ("failed", "TIMEOUT")


def test_an_unknown_function_and_an_unknown_run_are_one_kind_of_error(lab: il.Lab) -> None:
    for call in (lab.client.functions.get, lab.client.runs.get):
        with pytest.raises(NotFoundError, match="never-was"):
            call("never-was")


def test_an_error_wrapped_as_final_ends_the_run_at_once(lab: il.Lab) -> None:
    @lab.function("final", on="final.asked", retry=5)
    def final(ctx: Any) -> None:
        def check() -> None:
            try:
                raise KeyError("card")
            except KeyError as error:
                raise il.NonRetryableError("invalid data") from error

        ctx.step.run("check", check)

    run = outcome(lab, lab.client.events.emit("final.asked").run_ids[0])
    assert run.error is not None
    assert (run.status, run.attempt) == ("failed", 1)
    assert "invalid data" in run.error.message
    (step,) = lab.client.runs.steps(run.id)
    assert step.error is not None
    assert "KeyError" in step.error.stack


def test_a_function_is_stored_as_it_was_defined(lab: il.Lab) -> None:
    retry = {"max_attempts": 4, "initial_delay": "2s", "backoff_factor": 3.0, "max_delay": "1m"}

    @lab.function("stored", on=["stored.a", "stored.*.b"], name="Stored", retry=retry, timeout="90s")
    async def stored(ctx: Any) -> None: ...

    found = lab.client.functions.get("stored")
    assert (found.id, found.name, found.timeout_ms, found.preferred_mode) == ("stored", "Stored", 90_000, "pull")
    assert found.triggers == (Trigger(event="stored.a"), Trigger(event="stored.*.b"))
    assert found.retry is not None
    assert (found.retry.max_attempts, found.retry.backoff_factor) == (4, 3.0)
    assert (found.retry.initial_delay_ms, found.retry.max_delay_ms) == (2_000, 60_000)


def test_a_worker_serves_the_server_of_its_client_within_its_concurrency(lab: il.Lab, tmp_path: Path) -> None:
    release, started = threading.Event(), threading.Event()

    @il.function("narrow", on="narrow.asked")
    def narrow(ctx: Any) -> str:
        started.set()
        release.wait()
        return "through"

    async def client() -> il.AsyncClient:
        return il.AsyncClient(lab.client.server_url)

    io, user = LoopThread("narrow-io"), LoopThread("narrow-user")
    remote = io.call(client)
    worker = Worker(remote, data_folder=tmp_path, owner="narrow", concurrency=1, io=io, user=user)
    worker.add(narrow)
    ids = [lab.client.events.emit("narrow.asked").run_ids[0] for _ in range(2)]
    assert started.wait(30)
    assert [lab.client.runs.get(run_id).status for run_id in ids] == ["running", "waiting_for_capacity"]
    release.set()
    assert [outcome(lab, run_id).output for run_id in ids] == ["through"] * 2
    worker.close()
    user.stop()
    io.call(remote.aclose)
    io.stop()
    assert lab.worker.status().concurrency == CONCURRENCY == 10
