"""Waiting for events and for other functions, in both colours: the yields, and how they come back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import UNSET, json

from ironflow_lab.errors import InvokeError
from ironflow_lab.models.workers import CompletedStep, Yield
from ironflow_lab.runtime.function import function
from ironflow_lab.runtime.outcome import Yielded
from ironflow_lab.runtime.segment import Segment
from tests.unit.runtime.assignments import done
from tests.unit.runtime.colours import COLOURS, execute, fault, made, output, waits_for

pytestmark = pytest.mark.parametrize("colour", COLOURS)
EVENT = {"id": "evt_2", "name": "order.approved", "data": {"ok": True}, "timestamp": "2026-01-02T03:04:05Z"}


@function("charge-card")
async def charge_card(ctx: Any) -> None: ...


def wanted(segment: Segment) -> Any:
    """Return the yield as it goes on the wire."""
    assert isinstance(segment.outcome, Yielded), segment.outcome
    return json.decode(json.encode(segment.outcome.wanted))


async def test_a_wait_says_what_it_waits_for(colour: str) -> None:
    handler = made(
        colour, lambda ctx: ctx.step.wait_for_event("appr", " order.approved ", match="data.orderId", timeout="24h")
    )
    assert wanted(await execute(handler, data={"orderId": "A-1"})) == {
        "step_id": "run_01:appr:0",
        "type": "wait_for_event",
        "event_filter": {"event": "order.approved", "timeout": "1d", "match": "data.orderId"},
    }


@pytest.mark.parametrize(("value", "text"), [("A-1", "A-1"), (7, "7"), (True, "true"), (1.5, "1.5"), ("", "")])
async def test_a_value_and_a_payload_travel_with_it(colour: str, value: Any, text: str) -> None:
    handler = made(
        colour,
        lambda ctx: ctx.step.wait_for_event("w", "e", match="data.x", match_value=value, payload={"ask": [1]}),
    )
    assert wanted(await execute(handler))["event_filter"] == {
        "event": "e",
        "timeout": "7d",
        "match": "data.x",
        "match_value": text,
        "payload": {"ask": [1]},
    }


async def test_the_event_comes_back(colour: str) -> None:
    found: list[Any] = []

    def plain(ctx: Any) -> None:
        found.append(ctx.step.wait_for_event("w", "order.approved"))

    async def looped(ctx: Any) -> None:
        found.append(await ctx.step.wait_for_event("w", "order.approved"))

    await execute(made(colour, plain if colour == "plain" else looped), done("w", EVENT))
    assert (found[0].id, found[0].name, found[0].data) == ("evt_2", "order.approved", {"ok": True})


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"event": ""}, "must not be empty"),
        ({"event": "order.*"}, "has a wildcard"),
        ({"event": 7}, "instead of an event's name"),
        ({"timeout": 0}, "must be longer than zero"),
        ({"timeout": "-5s"}, "is not a duration"),
        ({"timeout": "soon"}, "is not a duration"),
        ({"match": ""}, "is not a path"),
        ({"match": "data..x"}, "is not a path"),
        ({"match": 7}, "is not a path"),
        ({"match_value": "x"}, "match_value and no match"),
        ({"match": "data.x", "match_value": ["x"]}, "must be text, a number or a boolean"),
    ],
)
async def test_bad_waits(colour: str, options: dict[str, Any], why: str) -> None:
    given = {"event": "order.approved", **options}
    handler = made(colour, lambda ctx: ctx.step.wait_for_event("w", given.pop("event"), **given))
    code, retryable, message = fault((await execute(handler)).outcome)
    assert (code, retryable) == ("NON_RETRYABLE", False)
    assert why in message


async def test_a_payload_that_is_not_json(colour: str) -> None:
    handler = made(colour, lambda ctx: ctx.step.wait_for_event("w", "e", payload={"frame": object()}))
    code, _, message = fault((await execute(handler)).outcome)
    assert code == "SERIALIZATION_ERROR"
    assert message.startswith("wait_for_event 'w' was given something that is not JSON: $.frame is a object; pass")


async def test_an_invoke_asks_for_a_run_of_the_function(colour: str) -> None:
    handler = made(colour, lambda ctx: ctx.step.invoke(charge_card, {"n": 2**60}, timeout="1m"))
    segment = await execute(handler)
    assert wanted(segment) == {
        "step_id": "run_01:charge-card:0",
        "type": "invoke_function",
        "function_id": "charge-card",
        "input": {"n": 2**60},
        "invoke_timeout_ms": 60_000,
    }


async def test_an_invoke_without_data_has_the_default_timeout(colour: str) -> None:
    asked = wanted(await execute(made(colour, lambda ctx: ctx.step.invoke("charge-card"))))
    assert (asked["input"], asked["invoke_timeout_ms"]) == (None, 30_000)


async def test_the_output_of_the_child_comes_back(colour: str) -> None:
    handler = made(colour, lambda ctx: ctx.step.invoke("charge-card"))
    assert output(await execute(handler, done("charge-card", {"paid": 5}))) == {"paid": 5}


async def test_invokes_and_steps_share_the_count_of_their_name(colour: str) -> None:
    def plain(ctx: Any) -> None:
        ctx.step.run("charge-card", len, [])
        ctx.step.invoke("charge-card")

    async def looped(ctx: Any) -> None:
        await ctx.step.run("charge-card", len, [])
        await ctx.step.invoke("charge-card")

    assert waits_for(await execute(made(colour, plain if colour == "plain" else looped))) == "run_01:charge-card:1"


@pytest.mark.parametrize(
    ("error", "message", "child"),
    [
        (
            {"message": "declined", "function_id": "charge-card", "child_run_id": "run_02", "cause": "declined"},
            "charge-card: declined",
            "run_02",
        ),
        ({"cause": "it was cancelled", "child_run_id": "run_02"}, "charge-card: it was cancelled", "run_02"),
        ("invoke timed out", "charge-card: invoke timed out", ""),
        ('{"message": "declined", "child_run_id": "run_02"}', "charge-card: declined", "run_02"),
        ("{no json", "charge-card: {no json", ""),
        (UNSET, "charge-card: it failed and no reason was told", ""),
        ({"message": 7, "child_run_id": 7}, "charge-card: it failed and no reason was told", ""),
    ],
)
@pytest.mark.parametrize("call", ["invoke", "invoke_async"])
async def test_a_failed_child_is_an_error_that_is_not_tried_again(
    colour: str, call: str, error: Any, message: str, child: str
) -> None:
    caught: list[InvokeError] = []

    def plain(ctx: Any) -> None:
        try:
            getattr(ctx.step, call)("charge-card")
        except InvokeError as failure:
            caught.append(failure)
            raise

    async def looped(ctx: Any) -> None:
        try:
            await getattr(ctx.step, call)("charge-card")
        except InvokeError as failure:
            caught.append(failure)
            raise

    row = CompletedStep(step_id="run_01:charge-card:0", name="charge-card", status="failed", error=error)
    segment = await execute(made(colour, plain if colour == "plain" else looped), row)
    assert fault(segment.outcome) == ("INVOKE_FAILED", False, message)
    assert (caught[0].function_id, caught[0].child_run_id) == ("charge-card", child)


async def test_a_failed_row_of_a_plain_step_is_run_again(colour: str) -> None:
    row = CompletedStep(step_id="run_01:a:0", name="a", status="failed", error="no")
    assert output(await execute(made(colour, lambda ctx: ctx.step.run("a", len, [])), row)) == 0


async def test_an_invoke_that_is_not_waited_for(colour: str) -> None:
    asked = await execute(made(colour, lambda ctx: ctx.step.invoke_async("charge-card", [1])))
    assert wanted(asked) == {
        "step_id": "run_01:charge-card:0",
        "type": "invoke_function_async",
        "function_id": "charge-card",
        "input": [1],
    }
    found: list[Any] = []

    def plain(ctx: Any) -> None:
        found.append(ctx.step.invoke_async("charge-card"))

    async def looped(ctx: Any) -> None:
        found.append(await ctx.step.invoke_async("charge-card"))

    handler = made(colour, plain if colour == "plain" else looped)
    await execute(handler, done("charge-card", {"run_id": "run_02"}))
    assert found[0].run_id == "run_02"
    segment = await execute(handler, done("charge-card", {}))
    assert fault(segment.outcome)[0] == "INVOKE_FAILED"


@pytest.mark.parametrize(
    ("call", "code", "why"),
    [
        (lambda step: step.invoke(7), "NON_RETRYABLE", "int cannot be invoked; pass a function's id"),
        (lambda step: step.invoke(""), "NON_RETRYABLE", "str cannot be invoked"),
        (lambda step: step.invoke_async(len), "NON_RETRYABLE", "cannot be invoked"),
        (lambda step: step.invoke("f", timeout=0), "NON_RETRYABLE", "must be longer than zero"),
        (lambda step: step.invoke("f", {1}), "SERIALIZATION_ERROR", "invoke 'f' was given something that is not JSON"),
        (lambda step: step.invoke_async("f", {1}), "SERIALIZATION_ERROR", "pass a sorted list"),
    ],
)
async def test_bad_invokes(colour: str, call: Callable[[Any], Any], code: str, why: str) -> None:
    found = fault((await execute(made(colour, lambda ctx: call(ctx.step)))).outcome)
    assert found[:2] == (code, False)
    assert why in found[2]


async def test_a_timeout_beyond_the_field_is_the_longest_it_holds(colour: str) -> None:
    segment = await execute(made(colour, lambda ctx: ctx.step.invoke("f", timeout="60d")))
    assert isinstance(segment.outcome, Yielded)
    asked: Yield = segment.outcome.wanted
    assert asked.invoke_timeout_ms == 2**31 - 1
