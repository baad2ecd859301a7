"""One HTTP exchange over ASGI: the request as values, limits on its body, and the ways to answer."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

from ironflow_lab.errors import ApiError, InvalidArgumentError, NotFoundError
from ironflow_lab.wire import problem

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LARGEST_BODY = 8 * 1024 * 1024
_LONGEST_MESSAGE = 2_000
_ENVIRONMENTS = ("", "default", "env_default", "current")
ENVIRONMENT = "env_default"
JSON, BINARY = b"application/json", b"application/proto"


class Exchange:
    """A request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._answering = False
        self.method: str = scope["method"]
        # As it was sent: an escaped slash in a worker's id is no separator.
        self.path: str = scope["raw_path"].decode("latin-1")
        self.headers: dict[str, str] = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        self._query: bytes = scope.get("query_string", b"")

    @cached_property
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

    def number(self, name: str, otherwise: int) -> int:
        """Return a query parameter that is a whole number; raises `InvalidArgumentError` for anything else."""
        text = self.query.get(name)
        if text is None:
            return otherwise
        if not (text.isascii() and text.isdigit() and len(text) < 7):
            raise InvalidArgumentError(f"{name} must be a whole number, not {text!r}")
        return int(text)

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

    async def answer(
        self, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...] = (), *, kind: bytes = JSON
    ) -> None:
        """Send a whole answer; no bytes at all are a message in binary, but not in JSON."""
        length = (b"content-length", str(len(body)).encode())
        given = ((b"content-type", kind), length, *headers) if body or kind == BINARY else (length, *headers)
        self._answering = True
        await self._send({"type": "http.response.start", "status": status, "headers": list(given)})
        await self._send({"type": "http.response.body", "body": body})

    async def refuse(self, error: ApiError) -> None:
        """Send an error in the shape every client reads; an answer that has begun is only ended."""
        if self._answering:
            return
        status = error.status or problem.STATUS.get(error.code, 409)
        await self.answer(status, problem.body(error.code, _shortened(error.message)))

    async def begin_lines(self) -> None:
        """Start an answer of JSON lines that stays open."""
        headers = [(b"content-type", b"application/x-ndjson"), (b"cache-control", b"no-store")]
        self._answering = True
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
        if self._kind() != "application/json":
            raise self._unread("application/json")

    def is_binary(self) -> bool:
        """Return whether a Connect call is in binary protobuf; raises unless it is declared as that or as JSON."""
        if self.headers.get("content-type") == "application/json":
            return False
        kind = self._kind()
        if kind not in ("application/json", "application/proto"):
            raise self._unread("application/json or application/proto")
        return kind == "application/proto"

    def _kind(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def _unread(self, kinds: str) -> InvalidArgumentError:
        return _unsupported(f"send Content-Type: {kinds}; {self._kind() or 'no type'!r} is not read here")

    def _unpacked(self, body: bytes) -> bytes:
        packing = self.headers.get("content-encoding", "identity").strip().lower()
        if packing in ("identity", ""):
            return body
        if packing != "gzip":
            raise _unsupported(f"Content-Encoding {packing!r} is not read here; send gzip or none")
        unpacker = zlib.decompressobj(wbits=31)
        try:
            plain = unpacker.decompress(body, LARGEST_BODY + 1)
        except zlib.error as error:
            raise InvalidArgumentError(f"the gzip body cannot be unpacked ({error})") from None
        if len(plain) > LARGEST_BODY:
            raise _too_large()
        if not unpacker.eof or unpacker.unused_data:
            raise InvalidArgumentError("the gzip body is cut off, or something follows it; send one whole gzip member")
        return plain


class Disconnected(Exception):
    """The client left before its request was whole."""


async def first(*waits: Awaitable[Any], timeout: float | None = None) -> None:
    """Return when any of the waits is over, or after `timeout` seconds; the others are cancelled.

    Raises what a wait that is over raised.
    """
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()


def _shortened(message: str) -> str:
    """Return the message with its middle left out where a name of the client's own makes it long."""
    half = _LONGEST_MESSAGE // 2
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[:half]} ... {message[-half:]}"


def _too_large() -> InvalidArgumentError:
    limit = f"{LARGEST_BODY // 1024 // 1024} MiB"
    return InvalidArgumentError(f"the body is larger than {limit}; send less at once", status=413)


def _unsupported(message: str) -> InvalidArgumentError:
    return InvalidArgumentError(message, status=415)
