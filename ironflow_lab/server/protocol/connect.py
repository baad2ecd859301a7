"""The unary Connect procedures this server has (rpc.md section 6): one table for all services."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from ironflow_lab.errors import DeadlineExceededError, InvalidArgumentError, UnimplementedError
from ironflow_lab.server.protocol import codecs
from ironflow_lab.server.protocol.exchange import BINARY, Exchange
from ironflow_lab.server.protocol.messages import read
from ironflow_lab.wire import codec
from ironflow_lab.wire.connect import SERVICE

Handler = Callable[[Exchange, Any], Awaitable[Any]]
# "Service/Method" to the record of its request and what answers it.
Procedures = Mapping[str, tuple[type, Handler]]


class Connect:
    """All procedures, whoever answers them."""

    def __init__(self, parts: Iterable[Procedures]) -> None:
        self._procedures: dict[str, tuple[type, Handler]] = {"IronflowService/Health": (dict, _health)}
        for part in parts:
            self._procedures.update(part)

    async def serve(self, exchange: Exchange) -> None:
        """Answer one call; raises `ApiError` for a refusal."""
        procedure = exchange.path.removeprefix(SERVICE)
        found = self._procedures.get(procedure)
        if found is None:
            raise UnimplementedError(f"this embedded server has no procedure {procedure}")
        if exchange.method != "POST":
            raise InvalidArgumentError(f"{procedure} is called with POST, not {exchange.method}")
        binary = exchange.is_binary()
        kind, handler = found
        body = await exchange.body()
        message = read(await codecs.to_json(procedure, body) if binary else body, kind)
        patience = _patience(exchange)
        working = handler(exchange, message)
        answer = codec.encode(await (working if patience is None else _within(patience, working)))
        if binary:
            await exchange.answer(200, await codecs.to_binary(procedure, answer), kind=BINARY)
        else:
            await exchange.answer(200, answer)


async def _health(exchange: Exchange, message: dict[str, Any]) -> Any:
    return {"status": "healthy"}


def _patience(exchange: Exchange) -> float | None:
    """Return the seconds the caller waits for the answer (rpc.md section 1, deadline); None for no limit."""
    text = exchange.headers.get("connect-timeout-ms")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise InvalidArgumentError(f"Connect-Timeout-Ms is up to ten digits, not {text!r}")
    return int(text) / 1000


async def _within(seconds: float, working: Awaitable[Any]) -> Any:
    try:
        async with asyncio.timeout(seconds):
            return await working
    except TimeoutError:
        raise DeadlineExceededError(
            f"not done within the {seconds:g} s that Connect-Timeout-Ms allows; what the call began goes on,"
            " except the run of InvokeFunctionSync, which is cancelled"
        ) from None
