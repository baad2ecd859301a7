"""One HTTP exchange over ASGI: the request as values, limits on its body, and the ways to answer."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from ironflow_lab.errors import ApiError, InvalidArgumentError, NotFoundError
from ironflow_lab.wire import problem

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LARGEST_BODY = 8 * 1024 * 1024
_ENVIRONMENTS = ("", "default", "env_default", "current")
ENVIRONMENT = "env_default"
_JSON = (b"content-type", b"application/json")


class PayloadTooLarge(InvalidArgumentError):
    """The body is over the limit; answered with 413."""


class UnsupportedMedia(InvalidArgumentError):
    """The body is not in a form this server reads; answered with 415."""


_STATUS_OF: dict[type[ApiError], int] = {PayloadTooLarge: 413, UnsupportedMedia: 415}


class Exchange:
    """A request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[str, str] = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        self._query: bytes = scope.get("query_string", b"")

    @property
    def query(self) -> dict[str, str]:
        """The query parameters; of a repeated one the last."""
        return dict(parse_qsl(self._query.decode("latin-1")))

    @property
    def env(self) -> str:
        """The environment asked for; raises `NotFoundError` for one that is not here."""
        asked = self.headers.get("x-ironflow-environment-id") or self.headers.get("x-ironflow-environment", "")
        if asked not in _ENVIRONMENTS:
            raise NotFoundError(f"no environment {asked!r} here: the embedded server has only 'default'")
        return ENVIRONMENT

    async def body(self) -> bytes:
        """Return the body, unpacked; raises for one too large, or packed in an unknown way."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            part = message.get("body", b"")
            size += len(part)
            if size > LARGEST_BODY:
                raise _too_large()
            parts.append(part)
            if not message.get("more_body"):
                break
        return self._unpacked(b"".join(parts))

    async def gone(self) -> None:
        """Return when the client has closed the connection."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def answer(self, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        """Send a whole answer; a body is JSON."""
        length = (b"content-length", str(len(body)).encode())
        given = (_JSON, length, *headers) if body else (length, *headers)
        await self._send({"type": "http.response.start", "status": status, "headers": list(given)})
        await self._send({"type": "http.response.body", "body": body})

    async def refuse(self, error: ApiError) -> None:
        """Send an error in the shape every client reads."""
        # Close rather than read on: what is left of an oversized body is of no use.
        close = ((b"connection", b"close"),) if isinstance(error, PayloadTooLarge) else ()
        status = _STATUS_OF.get(type(error)) or problem.STATUS.get(error.code, 409)
        await self.answer(status, problem.body(error.code, error.message), close)

    async def begin_lines(self) -> None:
        """Start an answer of JSON lines that stays open."""
        headers = [(b"content-type", b"application/x-ndjson"), (b"cache-control", b"no-store")]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def line(self, line: bytes) -> None:
        """Send one line of such an answer."""
        await self._send({"type": "http.response.body", "body": line + b"\n", "more_body": True})

    async def end_lines(self) -> None:
        """End such an answer."""
        await self._send({"type": "http.response.body", "body": b""})

    def require_json(self) -> None:
        """Raise unless the body is declared as JSON.

        Requiring the type also keeps pages in a browser from posting here: without it a form could.
        """
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise UnsupportedMedia(f"send Content-Type: application/json; {kind or 'no type'!r} is not read here")

    def _unpacked(self, body: bytes) -> bytes:
        packing = self.headers.get("content-encoding", "identity").strip().lower()
        if packing in ("identity", ""):
            return body
        if packing != "gzip":
            raise UnsupportedMedia(f"Content-Encoding {packing!r} is not read here; send gzip or none")
        unpacker = zlib.decompressobj(wbits=31)
        try:
            plain = unpacker.decompress(body, LARGEST_BODY + 1)
        except zlib.error as error:
            raise InvalidArgumentError(f"the gzip body cannot be unpacked ({error})") from None
        if len(plain) > LARGEST_BODY:
            raise _too_large()
        if not unpacker.eof:
            raise InvalidArgumentError("the gzip body is cut off")
        return plain


class Disconnected(Exception):
    """The client left before its request was whole."""


async def first(*waits: Awaitable[Any]) -> None:
    """Return when any of the waits is over; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _too_large() -> PayloadTooLarge:
    return PayloadTooLarge(f"the body is larger than {LARGEST_BODY // 1024 // 1024} MiB; send less at once")
