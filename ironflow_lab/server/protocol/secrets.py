"""Secrets over REST (rest.md section 4, Secrets): written only, and never without an environment named."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import unquote

from ironflow_lab.errors import InvalidArgumentError, NotFoundError
from ironflow_lab.models.secrets import CreateSecretRequest, PatchSecretRequest, UpdateSecretRequest
from ironflow_lab.server.engine.commands import CreateSecret, DeleteSecret, PatchSecret, UpdateSecret
from ironflow_lab.server.engine.ports import Desk, Reads
from ironflow_lab.server.protocol.exchange import Exchange
from ironflow_lab.server.protocol.messages import read
from ironflow_lab.wire import codec
from ironflow_lab.wire.rest import SECRETS

log = logging.getLogger("ironflow_lab.server")

PLAIN = (
    "secrets are kept as they are, not encrypted, in this server's database file, which only its owner can read:"
    " this server is for development"
)


class Secrets:
    """What is kept for functions that declare it."""

    def __init__(self, desk: Desk, reads: Reads) -> None:
        self._desk, self._reads = desk, reads
        self._warned = False

    async def serve(self, exchange: Exchange) -> None:
        """Answer a call about secrets; raises `ApiError` for a refusal."""
        env = _named_environment(exchange)
        name = unquote(exchange.path.removeprefix(SECRETS).removeprefix("/"))
        answer: Any
        match exchange.method, bool(name):
            case "GET", False:
                answer = await self._reads.secrets(env)
            case "GET", True:
                answer = await self._reads.secret(env, name)
            case "POST", False:
                created = CreateSecret(env=env, request=await _message(exchange, CreateSecretRequest))
                answer = await self._keep(created)
            case "PUT", True:
                renewed = UpdateSecret(env=env, name=name, request=await _message(exchange, UpdateSecretRequest))
                answer = await self._keep(renewed)
            case "PATCH", True:
                patched = PatchSecret(env=env, name=name, request=await _message(exchange, PatchSecretRequest))
                answer = await self._desk.submit(patched)
            case "DELETE", True:
                answer = await self._desk.submit(DeleteSecret(env=env, name=name))
            case _:
                raise NotFoundError(f"no route {exchange.method} {exchange.path} on this embedded server")
        await exchange.answer(201 if exchange.method == "POST" else 200, codec.encode(answer))

    async def _keep(self, command: CreateSecret | UpdateSecret) -> Any:
        answer = await self._desk.submit(command)
        if not self._warned:
            self._warned = True
            log.warning(PLAIN)
        return answer


def _named_environment(exchange: Exchange) -> str:
    """Return the environment; raises `InvalidArgumentError` where the call names none: there is no default here."""
    named = ("x-ironflow-environment-id", "x-ironflow-environment")
    if not any(exchange.headers.get(header) for header in named):
        raise InvalidArgumentError(
            "a call about secrets names its environment: send X-Ironflow-Environment-ID, or X-Ironflow-Environment"
            " with the word current"
        )
    return exchange.env


async def _message(exchange: Exchange, kind: type[Any]) -> Any:
    exchange.require_json()
    return read(await exchange.body(), kind)
