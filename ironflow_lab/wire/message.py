"""An HTTP request and its answer as plain values, so that nothing below the client knows a library."""

from __future__ import annotations

import msgspec


class Private(bytes):
    """A body that no representation shows, not even a traceback that prints local variables."""

    def __repr__(self) -> str:
        """Return how long it is."""
        return f"<{len(self)} private bytes>"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What to send.

    `repeatable` says that sending it twice does no harm, and `wait` how long, in seconds, the server may
    hold the answer on purpose.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    repeatable: bool = False
    wait: float = 0.0


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """What came back; header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes
