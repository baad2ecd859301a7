"""Calling a function as one run, and what else the clients do with events and messages, against a real server."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.errors import IronflowError, NotFoundError, RunFailedError, WaitTimeoutError
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.testing import LocalServer
from tests.conformance.plain import until


@pytest.fixture(scope="module")
def add(lab: il.Lab) -> DurableFunction:
    @lab.function("add")
    def add(ctx: Any) -> Any:
        return ctx.event.data["a"] + ctx.event.data["b"]

    return add


@pytest.fixture(scope="module")
def naps(lab: il.Lab) -> str:
    @lab.function("naps")
    async def naps(ctx: Any) -> str:
        await ctx.step.sleep("long", "1h")
        return "rested"

    return "naps"


def test_a_call_returns_what_the_function_returned(lab: il.Lab, add: DurableFunction) -> None:
    assert lab.invoke("add", {"a": 1, "b": 2}) == 3
    assert lab.invoke(add, {"a": "ü", "b": "!"}) == "ü!"


def test_a_key_gives_the_first_run_s_output(lab: il.Lab, add: DurableFunction) -> None:
    assert lab.invoke(add, {"a": 1, "b": 2}, idempotency_key="sum") == 3
    assert lab.invoke(add, {"a": 5, "b": 5}, idempotency_key="sum") == 3


def test_a_failed_run_is_an_error(lab: il.Lab) -> None:
    @lab.function("declines")
    def declines(ctx: Any) -> None:
        raise il.NonRetryableError("no funds", code="DECLINED")

    with pytest.raises(RunFailedError, match="of 'declines' is failed: DECLINED: no funds"):
        lab.invoke("declines")


def test_an_unknown_function_is_an_error(lab: il.Lab) -> None:
    with pytest.raises(NotFoundError, match="nobody"):
        lab.invoke("nobody")


def test_a_wait_that_is_too_short_lets_the_run_go_on(lab: il.Lab, naps: str) -> None:
    with pytest.raises(WaitTimeoutError, match="They go on") as late:
        lab.invoke(naps, timeout="200ms")
    (run,) = lab.client.runs.list(function_id=naps, limit=1).runs
    assert run.id in str(late.value)
    assert lab.run(run.id).status == "waiting"
    lab.cancel(run.id)


def newest(server: LocalServer, function_id: str, *, but: str) -> str | None:
    """The id of the newest run of the function once it sleeps, another one than `but`."""
    with il.Client(server.url) as client:
        found = client.runs.list(function_id=function_id, limit=1).runs
    return found[0].id if found and found[0].id != but and found[0].status == "waiting" else None


@pytest.mark.parametrize(("key", "status"), [("", "cancelled"), ("mine", "waiting")])
def test_the_stop_button_cancels_the_run_unless_its_key_is_the_caller_s(
    lab: il.Lab, naps: str, server: LocalServer, key: str, status: str
) -> None:
    before = lab.client.runs.list(function_id=naps, limit=1).runs
    known = before[0].id if before else ""
    with ThreadPoolExecutor(1) as pool:

        def stop() -> str:
            run_id = until(lambda: newest(server, naps, but=known), "the run to sleep")
            os.kill(os.getpid(), signal.SIGINT)
            return run_id

        stopping = pool.submit(stop)
        with pytest.raises(KeyboardInterrupt):
            lab.invoke(naps, idempotency_key=key)
        run_id = stopping.result()
    if status == "cancelled":
        (run,) = lab.wait(run_id)
        assert (run.status, run.record.cancellation_cause) == ("cancelled", "its caller was interrupted")
    else:
        assert lab.run(run_id).status == "waiting"
        lab.cancel(run_id)


def test_an_async_handler_cannot_wait_in_its_own_thread(lab: il.Lab, add: DurableFunction) -> None:
    @lab.function("nested")
    async def nested(ctx: Any) -> str:
        try:
            lab.invoke(add, {"a": 1, "b": 1})
        except IronflowError as error:
            return str(error)
        return "waited"

    assert "would hold up every other handler" in lab.invoke("nested")


# ---- the clients beside it


def test_a_message_is_published(lab: il.Lab) -> None:
    first = lab.client.topics.publish("prices.eur", {"rate": 1.5}, idempotency_key="today")
    again = lab.client.topics.publish("prices.eur", {"rate": 2.5}, idempotency_key="today")
    assert first.event_id
    assert (again.event_id, again.sequence, again.duplicate) == (first.event_id, first.sequence, True)
    assert lab.client.topics.publish("prices.eur", [1]).sequence > first.sequence


def test_an_invocation_from_the_blocking_client(lab: il.Lab, add: DurableFunction) -> None:
    result = lab.client.functions.invoke_sync("add", {"a": 20, "b": 22}, timeout="20s")
    assert (result.status, result.output, result.function_id) == ("completed", 42, "add")


def test_a_batch_and_its_events(lab: il.Lab) -> None:
    first, second = lab.client.events.emit_batch(
        [{"event": "batch.one", "data": {"größe": [1, None]}}, {"event": "batch.two", "data": 7}]
    )
    listed = list(lab.client.events.iterate(names=("batch.one", "batch.two"), page_size=1))
    assert [(event.id, event.data) for event in listed] == [
        (second.event_id, 7),
        (first.event_id, {"größe": [1, None]}),
    ]
    assert lab.client.events.get(first.event_id) == listed[1]
    counts = {one.name: one.count for one in lab.client.events.names().names}
    assert (counts["batch.one"], counts["batch.two"]) == (1, 1)
    lab.client.events.redact(first.event_id)
    assert lab.client.events.get(first.event_id).data["$redacted"] is True
    with pytest.raises(NotFoundError):
        lab.client.events.get("evt_never")
