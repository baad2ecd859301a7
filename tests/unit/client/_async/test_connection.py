"""When a call is sent again, what its errors are, and what closing does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import (
    AbortedError,
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
    UnimplementedError,
)

if TYPE_CHECKING:
    from tests.unit.client._async.conftest import AsyncScript

RUN = {"id": "run_1"}
EMITTED = {"eventId": "evt_1"}


async def test_a_read_is_sent_again_while_the_server_is_away(client: AsyncClient, script: AsyncScript) -> None:
    script.fail(UnavailableError("gone"))
    script.answer({"code": "unavailable", "message": "starting"}, status=503)
    script.answer(RUN)
    assert (await client.runs.get("run_1")).id == "run_1"
    assert len(script.requests) == 3


async def test_the_third_failure_is_raised(client: AsyncClient, script: AsyncScript) -> None:
    for number in range(3):
        script.fail(UnavailableError(f"gone {number}"))
    with pytest.raises(UnavailableError, match="gone 2"):
        await client.runs.get("run_1")


async def test_a_change_is_sent_once(client: AsyncClient, script: AsyncScript) -> None:
    script.fail(UnavailableError("gone"))
    with pytest.raises(UnavailableError):
        await client.events.emit("order.placed")
    script.fail(UnavailableError("gone"))
    with pytest.raises(UnavailableError):
        await client.runs.cancel("run_1")


async def test_a_change_with_an_idempotency_key_is_sent_again(client: AsyncClient, script: AsyncScript) -> None:
    script.fail(UnavailableError("gone"))
    script.answer(EMITTED)
    await client.events.emit("order.placed", idempotency_key="k-1")
    first, second = script.requests
    assert first == second


@pytest.mark.parametrize("call", ["emit", "trigger", "emit_sync"])
async def test_what_was_refused_for_its_rate_is_sent_again(client: AsyncClient, script: AsyncScript, call: str) -> None:
    script.answer({"code": "resource_exhausted", "message": "slow down"}, status=429)
    script.answer(EMITTED)
    assert (await getattr(client.events, call)("order.placed")).event_id == "evt_1"


async def test_the_wait_a_server_names_is_kept(
    client: AsyncClient, script: AsyncScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    async def note(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("ironflow_lab.client._async.connection.async_sleep", note)
    script.answer({"code": "resource_exhausted"}, status=429, retry_after="2")
    script.answer({"code": "resource_exhausted"}, status=429, retry_after="3600")
    script.answer(RUN)
    await client.runs.get("run_1")
    assert waited == [2.0, 10.0]


@pytest.mark.parametrize(
    "error",
    [
        DeadlineExceededError("slow"),
        InternalError("broken"),
        NotFoundError("who"),
        AbortedError("lost"),
    ],
)
async def test_other_errors_are_raised_at_once(client: AsyncClient, script: AsyncScript, error: Exception) -> None:
    script.fail(error)
    with pytest.raises(type(error)):
        await client.runs.get("run_1")


async def test_worker_calls_are_never_sent_again(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"code": "resource_exhausted"}, status=429)
    with pytest.raises(ResourceExhaustedError):
        await client.workers.poll("w-1", available=1)


async def test_a_bare_404_of_a_procedure_means_an_older_server(client: AsyncClient, script: AsyncScript) -> None:
    script.answer(b"404 page not found", status=404)
    with pytest.raises(UnimplementedError):
        await client.runs.get("run_1")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"id": 7', b'{"attempt": "x"}'])
async def test_an_answer_that_is_no_answer_says_so(client: AsyncClient, script: AsyncScript, body: bytes) -> None:
    script.answer(body)
    with pytest.raises(InternalError, match="Ironflow server"):
        await client.runs.get("run_1")


async def test_a_redirect_is_refused_with_its_target(client: AsyncClient, script: AsyncScript) -> None:
    script.answer(b"", status=308, location="https://elsewhere.example/")
    with pytest.raises(FailedPreconditionError, match=r"https://elsewhere\.example/"):
        await client.runs.get("run_1")


async def test_a_closed_client_refuses_calls(client: AsyncClient, script: AsyncScript) -> None:
    await client.aclose()
    assert script.closed
    with pytest.raises(FailedPreconditionError, match="closed"):
        await client.runs.get("run_1")
