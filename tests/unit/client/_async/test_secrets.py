"""What the calls about secrets look like on the wire, and that nothing else shows a value."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

import pytest

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError, UnavailableError
from ironflow_lab.models.instant import parse_instant
from ironflow_lab.models.secrets import SecretInfo

if TYPE_CHECKING:
    from tests.unit.client._async.conftest import AsyncScript

T5 = "2026-01-02T03:04:05Z"
ANSWER = {"name": "KEY", "revision": 2, "description": "d", "created_at": T5, "updated_at": T5}
INFO = SecretInfo(name="KEY", revision=2, description="d", created_at=parse_instant(T5), updated_at=parse_instant(T5))
VALUE = "sk_live_1234"


async def test_create(client: AsyncClient, script: AsyncScript) -> None:
    script.answer(ANSWER, status=201)
    assert await client.secrets.create("KEY", VALUE, description="d") == INFO
    assert (script.request.method, script.request.path) == ("POST", "/api/v1/secrets")
    assert script.sent == {"name": "KEY", "value": VALUE, "description": "d"}
    assert dict(script.request.headers)["content-type"] == "application/json"


@pytest.mark.parametrize(("given", "sent"), [({}, {}), ({"description": ""}, {"description": ""})])
async def test_update(client: AsyncClient, script: AsyncScript, given: dict[str, str], sent: dict[str, str]) -> None:
    script.answer(ANSWER)
    assert await client.secrets.update("KEY", VALUE, **given) == INFO
    assert (script.request.method, script.request.path) == ("PUT", "/api/v1/secrets/KEY")
    assert script.sent == {"value": VALUE, **sent}


async def test_rename_and_describe(client: AsyncClient, script: AsyncScript) -> None:
    for _ in range(2):
        script.answer(ANSWER)
    await client.secrets.rename("a/b", "KEY")
    await client.secrets.describe("KEY", "")
    assert [(one.method, one.path) for one in script.requests] == [
        ("PATCH", "/api/v1/secrets/a%2Fb"),
        ("PATCH", "/api/v1/secrets/KEY"),
    ]
    assert script.all_sent == [{"name": "KEY"}, {"description": ""}]


async def test_get_list_and_delete(client: AsyncClient, script: AsyncScript) -> None:
    script.answer(ANSWER)
    script.answer([ANSWER])
    script.answer(b"", status=204)
    assert await client.secrets.get("KEY") == INFO
    assert await client.secrets.list() == (INFO,)
    await client.secrets.delete("KEY")
    assert [(one.method, one.path, one.repeatable) for one in script.requests] == [
        ("GET", "/api/v1/secrets/KEY", True),
        ("GET", "/api/v1/secrets", True),
        ("DELETE", "/api/v1/secrets/KEY", False),
    ]


async def test_a_server_that_says_less(client: AsyncClient, script: AsyncScript) -> None:
    script.answer({"name": "KEY", "revision": 1})
    assert await client.secrets.get("KEY") == SecretInfo(name="KEY")


@pytest.mark.parametrize(("environment", "headers"), [(None, [("x-ironflow-environment", "current")]), ("dev", [])])
async def test_the_environment_is_named(
    script: AsyncScript, environment: str | None, headers: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's own goes with every call; without one it is that of the key."""
    monkeypatch.delenv("IRONFLOW_ENV", raising=False)
    client = AsyncClient("http://127.0.0.1:9123", environment=environment, transport=script)
    script.answer([])
    script.answer(ANSWER)
    script.answer({})
    await client.secrets.list()
    await client.secrets.create("KEY", VALUE)
    await client.secrets.delete("KEY")
    for request in script.requests:
        assert [header for header in request.headers if "environment" in header[0]] == headers


async def test_a_change_is_sent_once(client: AsyncClient, script: AsyncScript) -> None:
    script.fail(UnavailableError("away"))
    with pytest.raises(UnavailableError):
        await client.secrets.update("KEY", VALUE)
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("name", "value"), [("", VALUE), (7, VALUE), ("..", VALUE), ("KEY", ""), ("KEY", None), ("KEY", b"v")]
)
async def test_wrong_arguments_are_not_sent(client: AsyncClient, name: Any, value: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        await client.secrets.create(name, value)
    with pytest.raises(InvalidArgumentError):
        await client.secrets.update(name, value)


@pytest.mark.parametrize("error", [AlreadyExistsError("taken"), NotFoundError("gone"), UnavailableError("away")])
@pytest.mark.parametrize("call", ["create", "update"])
async def test_no_traceback_shows_a_value(
    client: AsyncClient, script: AsyncScript, error: Exception, call: str
) -> None:
    """Not even one that prints local variables."""
    script.fail(error)
    with pytest.raises(type(error)) as caught:
        await getattr(client.secrets, call)("KEY", "sk_live" + "_1234")
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in shown.stack if "ironflow_lab" in frame.filename]
    assert len(ours) > 2
    assert not [frame for frame in ours if VALUE in repr(frame.locals)]


async def test_an_error_about_a_value_does_not_show_it(client: AsyncClient) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        await client.secrets.create("KEY", VALUE.encode())  # type: ignore[arg-type]
    assert "sk_live" not in str(caught.value)
