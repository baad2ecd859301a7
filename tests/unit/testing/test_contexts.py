"""A context without an engine: read what is memoised, do the rest in place, wait for nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.errors import DefinitionError, InvokeError, NonRetryableError, StepError
from ironflow_lab.testing import context

REQUEST = {
    "run_id": "run_01",
    "function_id": "process-order",
    "attempt": 2,
    "max_attempts": 25,
    "on_exhausted": "pause",
    "event": {
        "id": "evt_01",
        "name": "order.placed",
        "version": 3,
        "data": {"id": 7},
        "timestamp": "2026-01-02T03:04:05Z",
        "idempotency_key": "k",
        "source": "api",
        "metadata": {"m": 1},
    },
    "steps": [
        {"id": "run_01:validate:0", "name": "validate", "status": "completed", "output": {"ok": True}},
        {"id": "run_01:charge-card:0", "name": "charge-card", "status": "failed", "error": '{"message":"declined"}'},
    ],
    "resume": {"step_id": "run_01:wait:0", "type": "sleep", "data": None},
    "secrets": {"KEY": "value"},
}


def test_a_push_request_becomes_a_context() -> None:
    async def handler(ctx: Any) -> Any:
        with pytest.raises(InvokeError, match="declined"):
            await ctx.step.invoke("charge-card")
        return await ctx.step.run("validate", lambda: 1 / 0), ctx.secrets["KEY"]

    ctx = context(request=REQUEST)
    assert asyncio.run(handler(ctx)) == ({"ok": True}, "value")
    assert (ctx.run.id, ctx.run.function_id, ctx.run.attempt, ctx.run.max_attempts) == (
        "run_01",
        "process-order",
        2,
        25,
    )
    event = ctx.event
    assert (event.id, event.name, event.data, event.version) == ("evt_01", "order.placed", {"id": 7}, 3)
    assert (event.idempotency_key, event.source, event.metadata) == ("k", "api", {"m": 1})
    assert ctx.recorded == []


def test_everything_asked_of_the_steps_is_recorded() -> None:
    async def handler(ctx: Any) -> list[Any]:
        await ctx.step.run("a", lambda: 1)
        ctx.step.compensate("a", print, "a")
        await ctx.step.sleep("nap", "7d")
        found = await ctx.step.wait_for_event("answer", "approved")
        child = await ctx.step.invoke("child", {"n": 1})
        started = await ctx.step.invoke_async("other")
        sent = await ctx.step.publish("topic", {"t": 1})
        many = await ctx.step.map("m", [2, 3], lambda n, branch: branch.run("sq", lambda: n * n))
        return [found.data, child, started.run_id, sent.event_id, many]

    ctx = context(data={"id": 1}, events={"approved": {"by": "ann"}}, invokes={"child": 5})
    assert asyncio.run(handler(ctx)) == [{"by": "ann"}, 5, "test-run-1-other", "msg-1", [4, 9]]
    assert [(one.kind, one.name) for one in ctx.recorded] == [
        ("run", "a"),
        ("compensate", "a"),
        ("sleep", "nap"),
        ("wait_for_event", "answer"),
        ("invoke", "child"),
        ("invoke_async", "other"),
        ("publish", "topic"),
        ("run", "sq"),
        ("run", "sq"),
    ]
    assert str(ctx.recorded[2].data) == "2026-01-09T03:04:05Z"
    assert (ctx.recorded[4].data, ctx.recorded[4].output) == ({"n": 1}, 5)


@pytest.mark.parametrize("durability", ["step", "pipelined"])
def test_plain_handlers_call_their_steps(durability: Any) -> None:
    @il.function(durability=durability)
    def handler(ctx: Any) -> list[Any]:
        ctx.step.sleep("nap", 60)
        return [ctx.step.run("a", lambda: 1), ctx.step.wait_for_event("w", "e").data]

    ctx = context(handler, steps=[{"name": "a", "output": 9}], events={"e": 2})
    assert handler(ctx) == [9, 2]
    assert [one.kind for one in ctx.recorded] == ["sleep", "wait_for_event"]

    def loose(ctx: Any) -> Any:
        return ctx.step.run("a", lambda: 1)

    assert loose(context(plain=True)) == 1


def test_handlers_of_the_short_form_get_theirs() -> None:
    @dataclass
    class Order:
        id: int

    @il.handler("order.placed", schema=Order)
    async def on_order(event: Order, ctx: Any) -> int:
        return int(await ctx.step.run("id", lambda: event.id))

    ctx = context(on_order, data={"id": 3})
    assert ctx.event == Order(3)
    assert ctx.event_meta.name == "order.placed"
    assert asyncio.run(on_order(ctx.event, ctx)) == 3
    assert [one.name for one in ctx.recorded] == ["id"]
    with pytest.raises(NonRetryableError, match="id"):
        context(on_order, data={"id": "x"})


def test_what_is_missing_is_named_with_the_remedy() -> None:
    async def waits(ctx: Any) -> None:
        await ctx.step.wait_for_event("answer", "order.approved")

    async def invokes(ctx: Any) -> None:
        await ctx.step.invoke("child")

    with pytest.raises(DefinitionError, match=r"events=\{'order.approved': data\}"):
        asyncio.run(waits(context()))
    with pytest.raises(DefinitionError, match=r"invokes=\{'child': output\}"):
        asyncio.run(invokes(context()))


def test_failures_reach_the_handler_and_secrets_can_be_missing() -> None:
    async def handler(ctx: Any) -> None:
        await ctx.step.run("a", lambda: 1 / 0)

    with pytest.raises(StepError, match="ZeroDivisionError"):
        asyncio.run(handler(context()))
    with pytest.raises(NonRetryableError, match="KEY"):
        context().secrets.get("KEY")
    assert "hush" not in repr(context(secrets={"KEY": "hush"}).secrets)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"request": {"runId": "r"}}, "no 'runId'"),
        ({"request": {"event": {"nam": "x"}}}, "no 'nam'"),
        ({"steps": [{"output": 1}]}, "needs its name"),
    ],
)
def test_wrong_requests_are_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        context(**given)
