"""Health, readiness and capabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import UnavailableError

if TYPE_CHECKING:
    from tests.unit.client._async.conftest import AsyncScript


async def test_health_tells_the_start_token(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"status": "ok", "version": "0.1.0", "instance": "tok", "more": 1})
    health = await client.server.health()
    assert (health.status, health.version, health.instance) == ("ok", "0.1.0", "tok")
    assert (script.request.method, script.request.path) == ("GET", "/health")


@pytest.mark.parametrize("status", [200, 500, 503])
async def test_not_ready_is_an_answer(client: AsyncClient, script: AsyncScript, status: int) -> None:
    script.answer({"status": "not_ready", "issues": {"db": "locked"}}, status=status)
    ready = await client.server.ready()
    assert (ready.status, ready.issues) == ("not_ready", {"db": "locked"})


@pytest.mark.parametrize("body", [{"code": "unavailable", "message": "x"}, b"<html>bad gateway"])
async def test_a_refusal_that_says_nothing_of_readiness_is_an_error(
    client: AsyncClient, script: AsyncScript, body: object
) -> None:
    for _ in range(3):
        script.answer(body, status=503)
    with pytest.raises(UnavailableError):
        await client.server.ready()


async def test_capabilities_tell_the_extra_routes(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"transports": ["polling"], "lab": ["runs/wait"], "auth_required": True})
    found = await client.server.capabilities()
    assert (found.lab, found.auth_required) == (("runs/wait",), True)
    assert script.request.path == "/api/v1/capabilities"
