"""The client object: where it points, what it shows, how it ends."""

from __future__ import annotations

import inspect
import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import DefinitionError, UnavailableError
from ironflow_lab.wire.retry import RetryPolicy

if TYPE_CHECKING:
    from tests.unit.client._async.conftest import AsyncScript

KEY = "ifkey_secret_1234"


def test_an_explicit_address_wins(monkeypatch: pytest.MonkeyPatch, script: AsyncScript) -> None:
    monkeypatch.setenv("IRONFLOW_SERVER_URL", "http://elsewhere:1")
    monkeypatch.setenv("IRONFLOW_ENV", "staging")
    client = AsyncClient("http://here:2/", transport=script)
    assert (client.server_url, client.environment) == ("http://here:2", "staging")


def test_the_key_is_in_no_representation(script: AsyncScript) -> None:
    client = AsyncClient("http://here:2", KEY, "prod", transport=script)
    assert repr(client) == "AsyncClient('http://here:2', environment='prod')"
    shown = io.StringIO()
    Console(file=shown).print(client, vars(client))
    assert KEY not in shown.getvalue()


def test_a_traceback_with_local_variables_hides_the_key(script: AsyncScript) -> None:
    with pytest.raises(DefinitionError) as caught:
        AsyncClient("ftp://here", KEY, transport=script)
    frames = inspect.getinnerframes(caught.value.__traceback__ or pytest.fail("no traceback"))
    shown = [frame.frame.f_locals for frame in frames if "/ironflow_lab/" in frame.filename]
    assert shown
    for variables in shown:
        assert KEY not in repr({name: value for name, value in variables.items() if name != "self"})
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("timeout", [0, -1, "soon", float("nan"), "30d"])
def test_a_timeout_must_be_a_time(script: AsyncScript, timeout: float | str) -> None:
    with pytest.raises(DefinitionError):
        AsyncClient("http://here:2", timeout=timeout, transport=script)


async def test_the_client_is_a_context_manager(script: AsyncScript) -> None:
    async with AsyncClient("http://here:2", transport=script) as client:
        assert client.server_url == "http://here:2"
    assert script.closed


@pytest.mark.parametrize("attempts", [1, 4])
async def test_a_read_is_sent_as_often_as_the_policy_says(script: AsyncScript, attempts: int) -> None:
    client = AsyncClient("http://here:2", retry=RetryPolicy(attempts=attempts, initial=0.0), transport=script)
    for _ in range(attempts):
        script.fail(UnavailableError("gone"))
    with pytest.raises(UnavailableError):
        await client.runs.get("run_1")
    assert len(script.requests) == attempts
