"""Registering, reading and listing functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ironflow_lab.client import AsyncClient
from ironflow_lab.client.arguments import PAUSE_BEHAVIOR
from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.models.functions import (
    CancelOn,
    ConcurrencyConfig,
    FunctionStatus,
    RegisterFunctionRequest,
    ThrottleConfig,
    Trigger,
)

if TYPE_CHECKING:
    from tests.unit.client._async.conftest import AsyncScript


async def test_register_sends_what_is_set_and_bare_paths(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"function": {"id": "f", "version": 2}})
    registered = await client.functions.register(
        RegisterFunctionRequest(
            id="f",
            triggers=(Trigger(event="order.placed"),),
            concurrency=ConcurrencyConfig(limit=2, key="event.data.customerId"),
            throttle=ThrottleConfig(limit=1, period_ms=1000, key="$.data.region"),
            cancel_on=(CancelOn(event="order.cancelled", match="data.orderId"),),
            metadata={"team": "ops"},
        )
    )
    assert (registered.function.version, registered.created) == (2, False)
    assert script.request.path == "/ironflow.v1.IronflowService/RegisterFunction"
    assert script.sent == {
        "id": "f",
        "triggers": [{"event": "order.placed"}],
        "concurrency": {"limit": 2, "key": "customerId"},
        "throttle": {"limit": 1, "periodMs": 1000, "key": "region"},
        "cancelOn": [{"event": "order.cancelled", "match": "orderId"}],
        "metadata": {"team": "ops"},
    }


async def test_a_registration_without_an_id_is_not_sent(client: AsyncClient) -> None:
    with pytest.raises(InvalidArgumentError, match="function id"):
        await client.functions.register(RegisterFunctionRequest())


async def test_get(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"id": "f", "status": "FUNCTION_STATUS_ACTIVE"})
    assert (await client.functions.get("f")).status == FunctionStatus("active")
    assert script.sent == {"id": "f"}


async def test_list_sends_only_what_was_asked(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"functions": [{"id": "f"}], "nextCursor": "c", "totalCount": 3})
    page = await client.functions.list(status="paused", name="ord", mode="pull", limit=1)
    assert (page.functions[0].id, page.next_cursor, page.total_count) == ("f", "c", 3)
    assert script.sent == {
        "status": "FUNCTION_STATUS_PAUSED",
        "name": "ord",
        "mode": "pull",
        "limit": 1,
    }


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"status": "actve"}, "active, paused, archived"),
        ({"mode": "both"}, "push, pull"),
        ({"limit": -1}, "limit"),
        ({"limit": True}, "limit"),
        ({"offset": 2**31}, "offset"),
        ({"cursor": "c", "offset": 1}, "cursor or offset"),
    ],
)
async def test_wrong_filters_are_not_sent(client: AsyncClient, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidArgumentError, match=says):
        await client.functions.list(**wrong)


async def test_iterate_goes_through_the_pages(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"functions": [{"id": "a"}, {"id": "b"}], "nextCursor": "2"})
    script.answer({"functions": [{"id": "c"}]})
    found = [function.id async for function in client.functions.iterate(page_size=2)]
    assert found == ["a", "b", "c"]
    assert script.all_sent == [{"limit": 2}, {"limit": 2, "cursor": "2"}]


async def test_a_pause_behavior_is_mirrored_in_the_metadata(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"function": {"id": "f"}})
    script.answer({"function": {"id": "f"}})
    await client.functions.register(RegisterFunctionRequest(id="f", pause_behavior="release"))
    await client.functions.register(
        RegisterFunctionRequest(id="f", pause_behavior="hold", metadata={"team": "ops", PAUSE_BEHAVIOR: "release"})
    )
    assert [(sent["pauseBehavior"], sent["metadata"]) for sent in script.all_sent] == [
        ("release", {PAUSE_BEHAVIOR: "release"}),
        ("hold", {"team": "ops", PAUSE_BEHAVIOR: "hold"}),
    ]


async def test_set_status(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"id": "f", "status": "FUNCTION_STATUS_PAUSED"})
    assert (await client.functions.set_status("f", "paused")).status == "paused"
    assert script.request.path == "/ironflow.v1.IronflowService/UpdateFunctionStatus"
    assert script.sent == {"id": "f", "status": "FUNCTION_STATUS_PAUSED"}


async def test_delete(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({})
    await client.functions.delete("f")
    assert script.request.path == "/ironflow.v1.IronflowService/DeleteFunction"
    assert script.sent == {"id": "f"}


async def test_history(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"entries": [{"entityVersion": "3", "changeType": "rollback"}], "hasMore": True})
    page = await client.functions.history("f", limit=1, from_version=4)
    assert ([(one.entity_version, one.change_type) for one in page.entries], page.has_more) == ([(3, "rollback")], True)
    assert script.request.path == "/ironflow.v1.IronflowService/ListFunctionHistory"
    assert script.sent == {"functionId": "f", "limit": 1, "fromVersion": "4"}


async def test_history_is_gone_through_page_by_page(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"entries": [{"entityVersion": "3"}, {"entityVersion": "2"}], "hasMore": True})
    script.answer({"entries": [{"entityVersion": "1"}]})
    found = [entry.entity_version async for entry in client.functions.history_iterate("f", page_size=2)]
    assert found == [3, 2, 1]
    assert script.all_sent == [{"functionId": "f", "limit": 2}, {"functionId": "f", "limit": 2, "fromVersion": "2"}]


async def test_a_history_that_says_more_and_shows_nothing_ends(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"hasMore": True})
    assert [entry async for entry in client.functions.history_iterate("f")] == []


async def test_at_version(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"entry": {"entityVersion": "2", "functionSnapshot": {"id": "f", "version": 1}}})
    entry = await client.functions.at_version("f", 2)
    assert entry.function_snapshot is not None
    assert (entry.entity_version, entry.function_snapshot.version) == (2, 1)
    assert script.request.path == "/ironflow.v1.IronflowService/GetFunctionAtVersion"
    assert script.sent == {"functionId": "f", "version": "2"}


async def test_rollback(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"function": {"id": "f", "version": 4}})
    assert (await client.functions.rollback("f", 2, reason="it was better")).version == 4
    assert script.request.path == "/ironflow.v1.IronflowService/RollbackFunction"
    assert script.sent == {"functionId": "f", "version": "2", "changeReason": "it was better"}


async def test_wrong_changes_are_not_sent(client: AsyncClient) -> None:
    functions = client.functions
    for call, says in (
        (lambda: functions.set_status("f", "stopped"), "not one of active, paused, archived"),
        (lambda: functions.set_status("f", ""), "status is needed: one of active"),
        (lambda: functions.set_status("", "paused"), "function id"),
        (lambda: functions.delete(" "), "function id"),
        (lambda: functions.history("f", from_version=-1), "from_version"),
        (lambda: functions.at_version("f", 0), "version must be 1 or more"),
        (lambda: functions.rollback("f", 0), "version must be 1 or more"),
        (lambda: functions.register(RegisterFunctionRequest(id="f", pause_behavior="keep")), "hold, release"),
    ):
        with pytest.raises(InvalidArgumentError, match=says):
            await call()
