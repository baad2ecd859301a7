"""What an emitted event looks like on the wire."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import DefinitionError, FailedPreconditionError, InvalidArgumentError

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
