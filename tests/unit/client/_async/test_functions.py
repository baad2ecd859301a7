"""Registering, reading and listing functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.models.functions import (
    ConcurrencyConfig,
    FunctionStatus,
    RegisterFunctionRequest,
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
            throttle={"limit": 1, "periodMs": 1000, "key": "$.data.region"},
            cancel_on=({"event": "order.cancelled", "match": "data.orderId"},),
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
