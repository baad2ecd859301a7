"""One ASGI call by hand: what the client sends, and what it gets."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from ironflow_lab.server.protocol.exchange import Message, Scope


class Call:
    """A request whose client may leave, and the answer so far."""

    def __init__(
        self, method: str = "GET", path: str = "/", *, body: bytes | list[bytes] = b"", **headers: str
    ) -> None:
        target, _, query = path.partition("?")
        self.scope: Scope = {
            "type": "http",
            "method": method,
            "path": target,
            "raw_path": target.encode(),
            "query_string": query.encode(),
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        }
        parts = body if isinstance(body, list) else [body]
        self._parts = [{"type": "http.request", "body": part, "more_body": part is not parts[-1]} for part in parts]
        self._left = asyncio.Event()
        self.read = 0
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        if self._parts:
            self.read += 1
            return self._parts.pop(0)
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    def leave(self) -> None:
        """Close the connection, as the client."""
        self._parts.clear()
        self._left.set()

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)
