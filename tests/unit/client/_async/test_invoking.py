"""What an invocation looks like on the wire, and when it is sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import DefinitionError, InvalidArgumentError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from tests.unit.client._async.conftest import AsyncScript

STARTED = {"runId": "run_1", "eventId": "evt_1"}


@pytest.mark.parametrize(
    ("data", "fields"), [(None, {}), ({"a": 1}, {"data": {"a": 1}}), ([1], {"dataValue": [1]}), (0, {"dataValue": 0})]
)
async def test_one_run_of_one_function(
    client: AsyncClient, script: AsyncScript, data: Any, fields: dict[str, Any]
) -> None:
    script.answer(STARTED)
    started = await client.functions.invoke("process-order", data)
    assert (started.run_id, started.event_id) == ("run_1", "evt_1")
    assert script.request.path == "/ironflow.v1.IronflowService/InvokeFunction"
    assert script.sent == {"functionId": "process-order", **fields}


async def test_a_key_lets_it_be_sent_again(client: AsyncClient, script: AsyncScript) -> None:
    script.fail(UnavailableError("away"))
    with pytest.raises(UnavailableError):
        await client.functions.invoke("process-order")
    script.fail(UnavailableError("away"))
    script.answer(STARTED)
    await client.functions.invoke("process-order", idempotency_key="k")
    assert script.all_sent[1:] == [{"functionId": "process-order", "idempotencyKey": "k"}] * 2


async def test_the_outcome_of_one_run(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"result": {"runId": "run_1", "status": "RUN_STATUS_COMPLETED", "outputValue": [1], "durationMs": 3}})
    result = await client.functions.invoke_sync(
        "process-order", {"a": 1}, timeout="1m", idempotency_key="k", metadata={"t": 1}
    )
    assert (result.run_id, result.status, result.output, result.duration_ms) == ("run_1", "completed", [1], 3)
    assert script.request.path == "/ironflow.v1.IronflowService/InvokeFunctionSync"
    assert script.sent == {
        "functionId": "process-order",
        "data": {"a": 1},
        "timeoutMs": 60_000,
        "idempotencyKey": "k",
        "metadata": {"t": 1},
    }
    assert script.request.wait == 60.0


async def test_a_lost_connection_has_cancelled_the_run_so_it_is_not_sent_again(
    client: AsyncClient, script: AsyncScript
) -> None:
    script.fail(UnavailableError("the connection was lost"))
    with pytest.raises(UnavailableError):
        await client.functions.invoke_sync("process-order", idempotency_key="k")


async def test_a_run_that_goes_on(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"result": {"runId": "run_1", "status": "RUN_STATUS_WAITING", "waitTimedOut": True}})
    result = await client.functions.invoke_sync("process-order")
    assert (result.status, result.wait_timed_out) == ("waiting", True)
    assert script.sent == {"functionId": "process-order", "timeoutMs": 30_000}


async def test_an_unknown_function(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"code": "not_found", "message": "no function"}, status=404)
    with pytest.raises(NotFoundError, match="no function"):
        await client.functions.invoke("none")


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"function_id": ""}, InvalidArgumentError),
        ({"function_id": None}, InvalidArgumentError),
        ({"data": float("nan")}, InvalidArgumentError),
        ({"metadata": [1]}, InvalidArgumentError),
        ({"timeout": 0}, DefinitionError),
        ({"timeout": "soon"}, DefinitionError),
    ],
    ids=str,
)
async def test_wrong_invocations_are_not_sent(
    client: AsyncClient, wrong: dict[str, Any], error: type[Exception]
) -> None:
    given = {"function_id": "process-order", **wrong}
    with pytest.raises(error):
        await client.functions.invoke_sync(given.pop("function_id"), given.pop("data", None), **given)
