"""What a client and a handler read and send, field by field, over one real server and worker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.errors import NotFoundError, StepTimeoutError
from ironflow_lab.models.functions import RegisterFunctionRequest, Trigger


def outcome(lab: il.Lab, run_id: str) -> Any:
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
    client.functions.register(RegisterFunctionRequest(id="paged", name="paged", triggers=(Trigger(event="page.asked"),)))
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
        import asyncio

        try:
            await ctx.step.run("hang", asyncio.Event().wait, timeout="20ms")
        except StepTimeoutError as error:
            seen.append(error)
            raise

    run = outcome(lab, lab.client.events.emit("late.asked").run_ids[0])
    assert (run.status, run.error.code) == ("failed", "STEP_TIMEOUT")
    (error,) = seen
    assert "hang" in str(error)
    assert run.error.message == str(error)


def test_a_function_has_its_timeout_over_all_attempts(lab: il.Lab) -> None:
    @lab.function("endless", on="endless.asked", timeout="50ms")
    async def endless(ctx: Any) -> Any:
        import asyncio

        await asyncio.Event().wait()

    run = outcome(lab, lab.client.events.emit("endless.asked").run_ids[0])
    assert (run.status, run.error.code) == ("failed", "FUNCTION_TIMEOUT")


def test_an_unknown_function_and_an_unknown_run_are_one_kind_of_error(lab: il.Lab) -> None:
    for call in (lab.client.functions.get, lab.client.runs.get):
        with pytest.raises(NotFoundError, match="never-was"):
            call("never-was")


def test_an_error_wrapped_as_final_ends_the_run_at_once(lab: il.Lab) -> None:
    @lab.function("final", on="final.asked", retry=5)
    def final(ctx: Any) -> None:
        try:
            raise KeyError("card")
        except KeyError as error:
            raise il.NonRetryableError("invalid data") from error

    run = outcome(lab, lab.client.events.emit("final.asked").run_ids[0])
    assert (run.status, run.attempt, run.error.code) == ("failed", 1, "NON_RETRYABLE")
    assert "invalid data" in run.error.message
    assert "KeyError" in run.error.stack
