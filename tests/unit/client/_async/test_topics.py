"""What a published message looks like on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import InvalidArgumentError, UnavailableError

if TYPE_CHECKING:
    from tests.unit.client._async.conftest import AsyncScript


@pytest.mark.parametrize(
    ("data", "fields"), [(None, {}), ({"a": 1}, {"data": {"a": 1}}), ([1], {"dataValue": [1]}), (0, {"dataValue": 0})]
)
async def test_a_message_and_its_place(
    client: AsyncClient, script: AsyncScript, data: Any, fields: dict[str, Any]
) -> None:
    script.answer({"eventId": "msg_1", "sequence": "9007199254740993"})
    found = await client.topics.publish("prices.eur", data)
    assert (found.event_id, found.sequence, found.duplicate) == ("msg_1", 2**53 + 1, False)
    assert script.request.path == "/ironflow.v1.PubSubService/Publish"
    assert script.sent == {"topic": "prices.eur", **fields}
    assert "x-ironflow-run-id" not in dict(script.request.headers)


async def test_a_message_of_a_run(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"eventId": "msg_1", "sequence": "1", "duplicate": True})
    found = await client.topics.publish("prices.eur", run_id="run_7", idempotency_key="run_7:rates:0")
    assert found.duplicate
    assert dict(script.request.headers)["x-ironflow-run-id"] == "run_7"
    assert script.sent["idempotencyKey"] == "run_7:rates:0"


async def test_only_a_key_lets_it_be_sent_again(client: AsyncClient, script: AsyncScript) -> None:
    script.fail(UnavailableError("away"))
    with pytest.raises(UnavailableError):
        await client.topics.publish("prices.eur")
    script.fail(UnavailableError("away"))
    script.answer({"eventId": "msg_1", "sequence": "1"})
    assert (await client.topics.publish("prices.eur", idempotency_key="k")).event_id == "msg_1"


@pytest.mark.parametrize(
    ("topic", "fields"), [("", {}), (7, {}), ("a", {"data": float("nan")}), ("a", {"run_id": "run 7"})]
)
async def test_wrong_messages_are_not_sent(client: AsyncClient, topic: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError):
        await client.topics.publish(topic, **fields)
