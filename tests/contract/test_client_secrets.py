"""`client.secrets` against the embedded server, blocking and async."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ironflow_lab.client import AsyncClient, Client
from ironflow_lab.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from ironflow_lab.testing import LocalServer


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer() as started:
        yield started


@pytest.mark.parametrize("environment", ["", "default"])
def test_a_secret_s_life(server: LocalServer, environment: str) -> None:
    client = Client(server.url, environment=environment)
    secrets = client.secrets
    made = secrets.create("KEY", "v1", description="d")
    assert (made.name, made.revision, made.description) == ("KEY", 1, "d")
    assert made.created_at == made.updated_at
    with pytest.raises(AlreadyExistsError):
        secrets.create("KEY", "v2")
    assert (secrets.update("KEY", "v2").revision, secrets.get("KEY").description) == (2, "d")
    assert secrets.describe("KEY", "").description == ""
    renamed = secrets.rename("KEY", "OTHER")
    assert secrets.list() == (renamed,)
    assert renamed.created_at == made.created_at < renamed.updated_at
    with pytest.raises(NotFoundError):
        secrets.update("KEY", "v3")
    with pytest.raises(InvalidArgumentError, match="cannot name a secret"):
        secrets.rename("OTHER", "a.b")
    secrets.delete("OTHER")
    assert secrets.list() == ()
    client.close()


async def test_a_secret_s_life_awaited(server: LocalServer) -> None:
    async with AsyncClient(server.url) as client:
        made = await client.secrets.create("KEY", "größe\x00\n")
        assert await client.secrets.list() == (made,)
        await client.secrets.delete("KEY")
        with pytest.raises(NotFoundError):
            await client.secrets.get("KEY")
