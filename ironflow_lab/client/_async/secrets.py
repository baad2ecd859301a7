"""Secrets (rest.md section 4): written only; handlers get the values of those their function declares."""

from __future__ import annotations

from typing import Any

from ironflow_lab.client import arguments
from ironflow_lab.client._async.connection import AsyncConnection
from ironflow_lab.client.arguments import written
from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.models.secrets import (
    CreateSecretRequest,
    Hidden,
    PatchSecretRequest,
    SecretInfo,
    UpdateSecretRequest,
)
from ironflow_lab.wire import rest
from ironflow_lab.wire.message import Response


class AsyncSecrets:
    """`client.secrets`. No call returns a value: a function that declares `secrets=["NAME"]` gets it with the job.

    Every call holds for the client's environment, or for that of its key where the client names none.
    """

    def __init__(self, connection: AsyncConnection, environment: str) -> None:
        self._connection = connection
        # These calls name an environment always; one that the client has is sent with every call anyway.
        self._headers = () if environment else (rest.CURRENT_ENVIRONMENT,)

    async def create(self, name: str, value: str, *, description: str = "") -> SecretInfo:
        """Keep a new secret and return what can be known of it; raises `AlreadyExistsError` for a name that has one.

        `value` is a text that is not empty. The embedded server takes names of letters, digits, `_` and `-`,
        values of up to 64 KiB, and keeps them unencrypted.
        """
        value = Hidden(_value(value))
        message = CreateSecretRequest(
            name=arguments.identifier("the name", name), value=str(value), description=description
        )
        return await self._send("POST", "", message)

    async def get(self, name: str) -> SecretInfo:
        """Return what can be known of a secret, which is not its value; raises `NotFoundError`."""
        return await self._send("GET", arguments.identifier("the name", name))

    async def list(self) -> tuple[SecretInfo, ...]:
        """Return what can be known of every secret, by name."""
        request = rest.secret("GET", headers=self._headers)
        return await self._connection.call(request, lambda response: rest.read(response, tuple[SecretInfo, ...]))

    async def update(self, name: str, value: str, *, description: str | None = None) -> SecretInfo:
        """Set a new value, which counts the revision up; a `description` of None leaves the one there is.

        Runs get the new value with the next job that is handed out. Raises `NotFoundError`.
        """
        value = Hidden(_value(value))
        message = UpdateSecretRequest(value=str(value), description=description)
        return await self._send("PUT", arguments.identifier("the name", name), message)

    async def rename(self, name: str, new_name: str) -> SecretInfo:
        """Give a secret another name; functions that declare the old one go on without it.

        Raises `NotFoundError`, and `AlreadyExistsError` where the new name has a secret.
        """
        message = PatchSecretRequest(name=arguments.identifier("the new name", new_name))
        return await self._send("PATCH", arguments.identifier("the name", name), message)

    async def describe(self, name: str, description: str) -> SecretInfo:
        """Change the description, "" for none; value and revision stay. Raises `NotFoundError`."""
        message = PatchSecretRequest(description=description)
        return await self._send("PATCH", arguments.identifier("the name", name), message)

    async def delete(self, name: str) -> None:
        """Forget a secret; functions that declare it go on without. Raises `NotFoundError`."""
        request = rest.secret("DELETE", arguments.identifier("the name", name), headers=self._headers)
        await self._connection.call(request, rest.accepted)

    async def _send(self, method: str, name: str, message: Any = None) -> SecretInfo:
        request = written(rest.secret, method, name, message, headers=self._headers)
        return await self._connection.call(request, _read)


def _read(response: Response) -> SecretInfo:
    return rest.read(response, SecretInfo)


def _value(value: Any) -> str:
    if not isinstance(value, str) or not value:
        kind = "an empty text" if value == "" else f"a {type(value).__name__}"
        raise InvalidArgumentError(f"the value of a secret must be a text that is not empty, not {kind}")
    return value
