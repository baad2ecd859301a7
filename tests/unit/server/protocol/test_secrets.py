"""The routes of secrets: an environment is named, and the first one kept brings a warning."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from ironflow_lab.errors import ApiError, InvalidArgumentError, NotFoundError
from ironflow_lab.models.secrets import CreateSecretRequest, PatchSecretRequest, SecretInfo, UpdateSecretRequest
from ironflow_lab.server.engine.commands import Command, CreateSecret, DeleteSecret, PatchSecret, UpdateSecret
from ironflow_lab.server.protocol.exchange import ENVIRONMENT, Exchange
from ironflow_lab.server.protocol.secrets import Secrets
from tests.unit.server.protocol.calls import Call

INFO = SecretInfo(name="KEY", revision=2)
ROUTE = "/api/v1/secrets"
HERE = {"x_ironflow_environment_id": "default"}


class Desk:
    """Keeps what is handed in."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.refusal: ApiError | None = None

    async def submit(self, command: Command) -> Any:
        self.commands.append(command)
        if self.refusal is not None:
            raise self.refusal
        return {} if isinstance(command, DeleteSecret) else INFO


class Reads:
    async def secret(self, env: str, name: str) -> SecretInfo:
        assert (env, name) == (ENVIRONMENT, "KEY")
        return INFO

    async def secrets(self, env: str) -> tuple[SecretInfo, ...]:
        assert env == ENVIRONMENT
        return (INFO,)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def routes(desk: Desk) -> Secrets:
    return Secrets(desk, Reads())  # type: ignore[arg-type]


async def served(routes: Secrets, method: str, path: str = ROUTE, body: bytes = b"", **headers: str) -> Call:
    given = {"content_type": "application/json", **HERE, **headers} if body else {**HERE, **headers}
    call = Call(method, path, body=body, **{name: value for name, value in given.items() if value})
    await routes.serve(Exchange(call.scope, call.receive, call.send))
    return call


@pytest.mark.parametrize(
    ("method", "path", "body", "command"),
    [
        (
            "POST",
            ROUTE,
            b'{"name":"KEY","value":"v"}',
            CreateSecret(env=ENVIRONMENT, request=CreateSecretRequest(name="KEY", value="v")),
        ),
        (
            "PUT",
            ROUTE + "/a%2Fb",
            b'{"value":"v","description":null}',
            UpdateSecret(env=ENVIRONMENT, name="a/b", request=UpdateSecretRequest(value="v")),
        ),
        (
            "PATCH",
            ROUTE + "/KEY",
            b'{"name":null,"description":""}',
            PatchSecret(env=ENVIRONMENT, name="KEY", request=PatchSecretRequest(description="")),
        ),
        ("DELETE", ROUTE + "/KEY", b"", DeleteSecret(env=ENVIRONMENT, name="KEY")),
    ],
)
async def test_changes(routes: Secrets, desk: Desk, method: str, path: str, body: bytes, command: Command) -> None:
    call = await served(routes, method, path, body)
    assert desk.commands == [command]
    assert call.status == (201 if method == "POST" else 200)
    assert call.json == ({} if method == "DELETE" else SHOWN)


SHOWN = {
    "name": "KEY",
    "revision": 2,
    "description": "",
    "created_at": "1970-01-01T00:00:00Z",
    "updated_at": "1970-01-01T00:00:00Z",
}


async def test_reads(routes: Secrets) -> None:
    assert (await served(routes, "GET")).json == [SHOWN]
    assert (await served(routes, "GET", ROUTE + "/KEY")).json == SHOWN


@pytest.mark.parametrize(("method", "path"), [("PUT", ROUTE), ("POST", ROUTE + "/KEY"), ("DELETE", ROUTE)])
async def test_no_other_route(routes: Secrets, method: str, path: str) -> None:
    with pytest.raises(NotFoundError, match="no route"):
        await served(routes, method, path)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("name", [{}, {"x_ironflow_environment": ""}])
async def test_the_environment_is_always_named(routes: Secrets, desk: Desk, method: str, name: dict[str, str]) -> None:
    with pytest.raises(InvalidArgumentError, match="X-Ironflow-Environment-ID"):
        await served(routes, method, ROUTE, b"", **{**dict.fromkeys(HERE, ""), **name})
    assert desk.commands == []


@pytest.mark.parametrize(
    "headers",
    [
        {"x_ironflow_environment_id": "", "x_ironflow_environment": "current"},
        {"x_ironflow_environment_id": "", "x_ironflow_environment": "default"},
        {"x_ironflow_environment_id": "env_default", "x_ironflow_environment": "elsewhere"},
    ],
)
async def test_either_header_names_it_and_the_id_wins(routes: Secrets, headers: dict[str, str]) -> None:
    assert (await served(routes, "GET", ROUTE, b"", **headers)).status == 200


async def test_another_environment_is_unknown(routes: Secrets) -> None:
    with pytest.raises(NotFoundError, match="no environment 'elsewhere'"):
        await served(routes, "GET", x_ironflow_environment_id="elsewhere", x_ironflow_environment="current")


async def test_one_warning_and_no_value_in_it(routes: Secrets, desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        await served(routes, "GET")
        desk.refusal = InvalidArgumentError("no")
        with pytest.raises(InvalidArgumentError):
            await served(routes, "POST", body=b'{"name":"KEY","value":"sk_live"}')
        assert caplog.text == "", "nothing is kept yet"
        desk.refusal = None
        for method, path in (("PUT", ROUTE + "/KEY"), ("POST", ROUTE)):
            await served(routes, method, path, b'{"name":"KEY","value":"sk_live"}')
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "not encrypted" in record.getMessage()
    assert "sk_live" not in caplog.text


async def test_a_body_that_cannot_be_read_is_not_shown(routes: Secrets) -> None:
    for body in (b'{"name":"KEY","value":["sk_live"]}', b'{"name":"KEY","value":"sk_live"'):
        with pytest.raises(InvalidArgumentError) as refusal:
            await served(routes, "POST", ROUTE, body)
        assert "sk_live" not in str(refusal.value)
        assert refusal.value.__cause__ is None
