"""What an emitted event looks like on the wire."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from ironflow_lab.client import AsyncClient
from ironflow_lab.client.batches import EventToEmit
from ironflow_lab.errors import (
    DefinitionError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
)
from ironflow_lab.models.events import Event

if TYPE_CHECKING:
    from tests.unit.client._async.conftest import AsyncScript

EMITTED = {"runIds": ["run_1", "run_2"], "eventId": "evt_1"}


@dataclasses.dataclass
class Order:
    id: str
    total: float


class Line(msgspec.Struct):
    sku: str


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (None, {}),
        ({}, {"data": {}}),
        ({"a": 1}, {"data": {"a": 1}}),
        (Order("A-1", 2.5), {"data": {"id": "A-1", "total": 2.5}}),
        ([Line("x")], {"dataValue": [{"sku": "x"}]}),
        ("text", {"dataValue": "text"}),
        (0, {"dataValue": 0}),
        (False, {"dataValue": False}),
        ([], {"dataValue": []}),
    ],
)
async def test_objects_and_other_values_travel_apart(
    client: AsyncClient, script: AsyncScript, data: Any, fields: dict[str, Any]
) -> None:
    script.answer(EMITTED)
    emitted = await client.events.emit("order.placed", data)
    assert (emitted.event_id, emitted.run_ids) == ("evt_1", ("run_1", "run_2"))
    assert script.request.path == "/ironflow.v1.IronflowService/Emit"
    assert script.sent == {"event": "order.placed", **fields}


async def test_trigger_sends_every_option(client: AsyncClient, script: AsyncScript) -> None:
    script.answer(EMITTED)
    await client.events.trigger("order.placed", {"a": 1}, idempotency_key="k", version=2, metadata={"traceId": "t"})
    assert script.request.path == "/ironflow.v1.IronflowService/Trigger"
    assert script.sent == {
        "event": "order.placed",
        "data": {"a": 1},
        "idempotencyKey": "k",
        "version": 2,
        "metadata": {"traceId": "t"},
    }


async def test_emit_sync_holds_the_connection_for_the_wait(client: AsyncClient, script: AsyncScript) -> None:
    script.answer(
        {
            "eventId": "evt_1",
            "results": [
                {"runId": "run_1", "status": "RUN_STATUS_COMPLETED", "outputValue": [1]},
                {"runId": "run_2", "status": "RUN_STATUS_WAITING", "waitTimedOut": True},
            ],
        }
    )
    answer = await client.events.emit_sync("order.placed", timeout="1m")
    done, going = answer.results
    assert (done.status, done.output, done.wait_timed_out) == ("completed", [1], False)
    assert (going.status, going.output, going.wait_timed_out) == ("waiting", None, True)
    assert script.sent == {"event": "order.placed", "timeoutMs": 60_000}
    assert script.request.wait == 60.0


@pytest.mark.parametrize("timeout", [0, -1, "0s", "soon", "25d", None])
async def test_a_wait_must_be_a_time(client: AsyncClient, timeout: Any) -> None:
    with pytest.raises(DefinitionError):
        await client.events.emit_sync("order.placed", timeout=timeout)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"event": ""}, "event name"),
        ({"event": "order.*"}, "pattern"),
        ({"event": "order..x"}, "empty part"),
        ({"event": "a b"}, "blanks"),
        ({"event": 7}, "event name"),
        ({"data": {"x": float("nan")}}, r"data\['x'\] is nan"),
        ({"data": {1, 2}, "metadata": [1]}, "metadata must be a dict"),
        ({"data": object()}, "object has no JSON form"),
        ({"data": {("a", 1): 2}}, "data is not JSON"),
        ({"data": "\ud800"}, "surrogate"),
        ({"idempotency_key": "\ud800"}, "surrogate"),
        ({"version": -1}, "version"),
        ({"version": 1.5}, "version"),
    ],
)
async def test_wrong_events_are_not_sent(client: AsyncClient, wrong: dict[str, Any], says: str) -> None:
    given: dict[str, Any] = {"event": "order.placed", **wrong}
    with pytest.raises(InvalidArgumentError, match=says):
        await client.events.emit(given.pop("event"), given.pop("data", None), **given)


async def test_an_integer_a_double_cannot_hold_is_sent_with_a_warning(client: AsyncClient, script: AsyncScript) -> None:
    script.answer(EMITTED)
    with pytest.warns(UserWarning, match=r"data\['id'\] = 9007199254740993") as seen:
        await client.events.emit("order.placed", {"id": 2**53 + 1})
    assert script.sent["data"] == {"id": 2**53 + 1}
    assert seen[0].filename == __file__


async def test_a_debounced_function_cannot_be_waited_for(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"code": "failed_precondition", "message": "debounced"}, status=400)
    with pytest.raises(FailedPreconditionError, match="debounced"):
        await client.events.emit_sync("order.placed")


async def test_an_event_emitted_in_a_run_says_so(client: AsyncClient, script: AsyncScript) -> None:
    script.answer(EMITTED)
    await client.events.emit("order.placed", run_id="run_7")
    assert ("x-ironflow-run-id", "run_7") in script.request.headers


@pytest.mark.parametrize("run_id", ["run 7", "run\n7", "größe", 7, None])
async def test_what_no_header_can_hold_is_not_sent(client: AsyncClient, run_id: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="run_id"):
        await client.events.emit("order.placed", run_id=run_id)


# ---- batches


BATCH: list[EventToEmit] = [
    {"event": "order.placed", "data": Order("A-1", 2.5), "idempotency_key": "k", "version": 2, "metadata": {"t": 1}},
    {"event": "order.counted", "data": [1]},
    {"event": "order.seen"},
]


async def test_a_batch_is_one_call(client: AsyncClient, script: AsyncScript) -> None:
    refused = {"error": {"message": "no", "code": "invalid_argument"}}
    script.answer({"results": [EMITTED, refused, {"eventId": "evt_3"}]})
    first, second, third = await client.events.emit_batch(BATCH)
    assert (first.event_id, first.run_ids, first.error) == ("evt_1", ("run_1", "run_2"), None)
    assert second.error is not None
    assert (second.event_id, second.error.code) == ("", "invalid_argument")
    assert third.event_id == "evt_3"
    assert script.request.path == "/ironflow.v1.IronflowService/TriggerBatch"
    assert script.sent == {
        "events": [
            {
                "event": "order.placed",
                "data": {"id": "A-1", "total": 2.5},
                "idempotencyKey": "k",
                "version": 2,
                "metadata": {"t": 1},
            },
            {"event": "order.counted", "dataValue": [1]},
            {"event": "order.seen"},
        ]
    }


async def test_a_batch_is_sent_again_only_when_every_event_has_a_key(client: AsyncClient, script: AsyncScript) -> None:
    script.fail(UnavailableError("away"))
    with pytest.raises(UnavailableError):
        await client.events.emit_batch(BATCH)
    script.fail(UnavailableError("away"))
    script.answer({"results": [EMITTED]})
    assert len(await client.events.emit_batch(BATCH[:1])) == 1


async def test_no_events_are_no_call(client: AsyncClient) -> None:
    assert await client.events.emit_batch([]) == ()


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ("order.placed", r"events\[1\] must be a dict"),
        ({"data": 1}, r"events\[1\] must be a dict with the key 'event'"),
        ({"event": "a", "idempotencyKey": "k"}, r"events\[1\] has 'idempotencyKey'"),
        ({"event": "a..b"}, r"events\[1\]: 'a..b'"),
        ({"event": "a", "data": float("inf")}, r"events\[1\]: data is inf"),
    ],
)
async def test_a_wrong_event_of_a_batch_is_named(client: AsyncClient, event: Any, says: str) -> None:
    with pytest.raises(InvalidArgumentError, match=says):
        await client.events.emit_batch([{"event": "a"}, event])


# ---- reading and redacting


EVENT = {"id": "evt_1", "name": "order.placed", "data": {"a": [1]}, "timestamp": "2026-01-02T03:04:05Z"}


async def test_one_event(client: AsyncClient, script: AsyncScript) -> None:
    script.answer(EVENT | {"entity_id": "order-1"})
    event = await client.events.get("evt/1")
    assert (event.id, event.data, event.version, str(event.timestamp)) == (
        "evt_1",
        {"a": [1]},
        1,
        "2026-01-02T03:04:05Z",
    )
    assert (script.request.method, script.request.path) == ("GET", "/api/v1/events/evt%2F1")


async def test_an_unknown_event(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"code": "not_found", "message": "no event"}, status=404)
    with pytest.raises(NotFoundError, match="no event"):
        await client.events.get("evt_1")


async def test_a_page_with_every_filter(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"events": [EVENT], "count": 1, "limit": 5, "has_next": True, "next_cursor": "c", "has_prev": False})
    page = await client.events.list(
        name="order.placed", names=("a", "b"), source="api", since="2h", search="x y", limit=5, before="p"
    )
    assert (page.events[0].id, page.has_next, page.next_cursor, page.approx_total) == ("evt_1", True, "c", None)
    assert script.request.path == "/api/v1/events"
    assert dict(script.request.query) == {
        "name": "order.placed",
        "names": "a,b",
        "source": "api",
        "since": "2026-01-02T01:04:05Z",
        "search": "x y",
        "limit": "5",
        "before": "p",
    }


async def test_every_event_page_by_page(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"events": [EVENT], "next_cursor": "c", "has_next": True})
    script.answer({"events": [], "next_cursor": "d", "has_next": True})
    script.answer({"events": [EVENT | {"id": "evt_0"}]})
    found: list[Event] = [event async for event in client.events.iterate(source=("api", "cron"), page_size=1)]
    assert [event.id for event in found] == ["evt_1", "evt_0"], "an empty page of a search is not the end"
    assert [dict(request.query).get("cursor") for request in script.requests] == [None, "c", "d"]
    assert {dict(request.query)["source"] for request in script.requests} == {"api,cron"}


async def test_names(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"names": [{"name": "a", "count": 3}], "scan_cap": 10, "scanned": 3, "truncated": False})
    found = await client.events.names(since="1h")
    assert [(one.name, one.count) for one in found.names] == [("a", 3)]
    assert script.request.path == "/api/v1/events/names"
    assert dict(script.request.query) == {"since": "2026-01-02T02:04:05Z"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"cursor": "a", "before": "b"},
        {"names": ["a,b"]},
        {"source": [""]},
        {"limit": -1},
        {"since": "1h", "until": "2h"},
    ],
    ids=str,
)
async def test_wrong_filters_are_not_sent(client: AsyncClient, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError):
        await client.events.list(**wrong)


async def test_redacting(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({})
    await client.events.redact("evt_1")
    assert script.request.path == "/ironflow.v1.IronflowService/RedactEvent"
    assert script.sent == {"eventId": "evt_1"}
