"""The short form: one event, its data as it is typed, and a context for those who want it."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import pytest
from msgspec import json

from ironflow_lab.errors import DefinitionError
from ironflow_lab.models.functions import ConcurrencyConfig, RetryConfig, Trigger
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.workers import JobContext, JobEvent
from ironflow_lab.runtime import codehash, execution
from ironflow_lab.runtime.function import DurableFunction, function
from ironflow_lab.runtime.handler import HandlerContext, TypedFunction, handler
from ironflow_lab.runtime.outcome import Completed, Failed, Yielded
from tests.unit.runtime.assignments import segment_of
from tests.unit.runtime.fakes import tools
from tests.unit.runtime.faketime import START


@dataclasses.dataclass
class Order:
    id: str
    total: float


DATA = {"id": "A-1", "total": 5}
EVENT = JobEvent(id="evt_9", name="order.placed", data=DATA, timestamp=Instant(START), version=3, source="api")


async def run(defined: DurableFunction, event: JobEvent = EVENT, **changes: Any) -> Any:
    """Execute a handler once and return its output."""
    segment = segment_of(defined, event=event, **changes)
    if defined.is_async:
        await execution.run_async(segment, tools())
    else:
        execution.run_plain(segment, tools())
    assert isinstance(segment.outcome, Completed), segment.outcome
    return json.decode(segment.outcome.output)


async def test_the_data_is_what_the_annotation_says() -> None:
    @handler("order.placed")
    async def asynchronous(event: Order) -> Any:
        return [type(event).__name__, event.total]

    @handler("order.placed")
    def plain(event: Order, ctx: HandlerContext[Order, Any]) -> Any:
        return [type(event).__name__, ctx.event is event]

    @handler("order.placed", schema=Order)
    def given(event: Any) -> Any:
        return event.total

    @handler("order.placed")
    def untyped(event, ctx=None):  # type: ignore[no-untyped-def]  # what it is about
        return [event, ctx is not None]

    assert (asynchronous.is_async, plain.is_async) == (True, False)
    assert await run(asynchronous) == ["Order", 5.0]
    assert await run(plain) == ["Order", True]
    assert await run(given) == 5.0
    assert await run(untyped) == [DATA, True]


async def test_the_context_has_the_event_the_run_the_steps_and_the_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    @handler("order.placed", secrets=["KEY"])
    async def every(event: Order, ctx: Any) -> Any:
        meta, run = ctx.event_meta, ctx.run
        ctx.logger.info("working on %s", event.id)
        step = await ctx.step.run("double", lambda: event.total * 2)
        told = [meta.id, meta.name, meta.version, str(meta.timestamp), meta.source]
        return [*told, run.id, run.function_id, run.attempt, str(run.started_at), step, ctx.secrets["KEY"], repr(ctx)]

    found = await run(every, context=JobContext(secrets={"KEY": "v"}), attempt=2)
    assert found[:5] == ["evt_9", "order.placed", 3, "2026-01-02T03:04:05Z", "api"]
    assert found[5:8] == ["run_01", "order-placed-handler", 2]
    assert found[8:11] == ["2026-01-02T03:04:05.001Z", 10.0, "v"]
    assert found[11] == "<handler context of run_01, attempt 2, event 'order.placed'>"
    assert caplog.messages == ["working on A-1"]


def test_a_plain_handler_has_plain_steps() -> None:
    @handler("order.placed")
    def every(event: Order, ctx: Any) -> Any:
        undone: list[str] = []
        ctx.step.compensate("a", undone.append, "a")
        return [ctx.step.map("m", [1, 2], lambda item, branch: branch.run("x", lambda: item)), ctx.step.run("a", int)]

    segment = segment_of(every, event=EVENT)
    execution.run_plain(segment, tools())
    assert isinstance(segment.outcome, Completed), segment.outcome
    assert json.decode(segment.outcome.output) == [[1, 2], 0]


@pytest.mark.parametrize(
    ("wait", "id"),
    [
        (lambda step: step.sleep("nap", "5s"), "run_01:nap:0"),
        (lambda step: step.sleep_until("day", "2026-01-03T00:00:00Z"), "run_01:day:0"),
        (lambda step: step.wait_for_event("paid", "order.paid"), "run_01:paid:0"),
        (lambda step: step.parallel("both", [lambda branch: branch.sleep("nap", "5s")]), "run_01:both:0:nap:0"),
    ],
)
async def test_a_handler_waits_as_any_other(wait: Any, id: str) -> None:
    @handler("order.placed")
    async def waits(event: Order, ctx: Any) -> Any:
        return await wait(ctx.step)

    segment = segment_of(waits, event=EVENT)
    await execution.run_async(segment, tools())
    assert isinstance(segment.outcome, Yielded), segment.outcome
    assert segment.outcome.wanted.step_id == id


async def test_data_that_does_not_fit_fails_the_run_for_good() -> None:
    @handler("order.placed")
    async def never(event: Order) -> Any:
        raise AssertionError("not reached")

    segment = segment_of(never, event=JobEvent(id="e", name="order.placed", data={"id": 7}, timestamp=Instant(START)))
    await execution.run_async(segment, tools())
    assert isinstance(segment.outcome, Failed)
    fault = segment.outcome.fault
    assert (fault.code, fault.retryable) == ("VALIDATION_ERROR", False)
    assert "'order-placed-handler' takes Order" in fault.message
    assert "'order.placed' is not: $.id is int and should be str" in fault.message


@pytest.mark.parametrize(
    ("event", "id"),
    [
        ("order.placed", "order-placed-handler"),
        ("Order__Placed.v2", "Order-Placed-v2-handler"),
        ("order.*", "order-handler"),
    ],
)
def test_the_id_is_made_of_the_event(event: str, id: str) -> None:
    assert handler(event)(lambda event: None).id == id


def test_every_option_is_registered() -> None:
    @handler(
        "order.placed",
        id="high-value",
        filter="data.total > 1000",
        retry={"max_attempts": 5},
        concurrency={"limit": 10, "key": "event.data.customerId"},
        timeout="1m",
        metadata={"team": "ops"},
    )
    def high(event: Order) -> None: ...

    request = high.request()
    assert isinstance(high, TypedFunction)
    assert request.id == "high-value"
    assert request.triggers == (Trigger(event="order.placed", expression="data.total > 1000"),)
    assert request.retry == RetryConfig(max_attempts=5)
    assert request.concurrency == ConcurrencyConfig(limit=10, key="customerId")
    assert (request.timeout_ms, (request.metadata or {})["team"]) == (60_000, "ops")
    assert handler("order.placed")(lambda event: None).request().retry is None


async def test_calling_it_calls_the_handler() -> None:
    def plain(event: Order, ctx: Any = None) -> Any:
        return event.total

    made = handler("order.placed")(plain)
    assert made(Order("a", 3.0)) == 3.0
    assert made(event=Order("a", 4.0)) == 4.0
    assert made.code_hash == codehash.of(plain), "the hash is that of the user's code"


async def test_keyword_arguments_are_the_handlers_own() -> None:
    def alone(event: Order, *, rate: float = 2.0) -> Any:
        return event.total * rate

    def rest(event: Order, *more: Any) -> Any:
        return len(more)

    assert await run(handler("order.placed")(alone)) == 10.0
    assert await run(handler("order.placed")(rest)) == 1


def none_at_all() -> None: ...


def three(event: Any, ctx: Any, more: Any) -> None: ...


def keyword(event: Any, *, rate: float) -> None: ...


@function("f")
def durable(ctx: Any) -> None: ...


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (none_at_all, "must take the event and, if it wants it, the context: def none_at_all"),
        (three, "must take the event"),
        (keyword, "must take the event"),
        (Order, "is not a function"),
        (durable, "is durable already"),
        ("text", "is not a function"),
    ],
)
def test_what_cannot_be_a_handler(wrong: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        handler("order.placed")(wrong)


@pytest.mark.parametrize(
    ("given", "options", "why"),
    [
        (three, {}, r"needs the event's name first: @handler\('order.placed'\)"),
        (None, {}, "needs the event's name first"),
        ("a..b", {}, "on='a..b': 'a..b' has an empty part"),
        ("", {}, r"event '' gives no id; write @handler\('', id='some-id'\)"),
        (">", {}, "event '>' gives no id"),
        ("a", {"id": "a b"}, "'a b' cannot be a function's id"),
        ("a", {"filter": " "}, "filter=' ' must be a CEL expression"),
        ("a", {"filter": "data.x = 1"}, "single '='; write '=='"),
        ("a", {"on": "b"}, "handler has no 'on': its event starts it"),
        ("a", {"cron": "* * * * *"}, "handler has no 'cron'"),
        ("a", {"retry": 0}, "max_attempts=0"),
    ],
)
def test_a_wrong_option_is_named(given: Any, options: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        handler(given, **options)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'retries'"):
        handler("a", retries=1)  # type: ignore[call-arg]  # wrong on purpose


def test_a_wrong_schema_is_told_when_the_function_is_defined() -> None:
    with pytest.raises(DefinitionError, match="schema=5"):
        handler("a", schema=5)(lambda event: None)
