"""Awaited calls that the stop button ends: a kernel hears it only when its event loop wakes up."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ironflow_lab.client._async.transport import AsyncTransport
from ironflow_lab.kernel.waiting import friendly
from ironflow_lab.wire.message import Request, Response


class InterruptibleTransport:
    """Another transport whose answers are waited for in slices of 50 ms."""

    def __init__(self, inner: AsyncTransport) -> None:
        self._inner = inner

    async def send(self, request: Request) -> Response:
        """Return the response; raises `ApiError` when none arrived."""
        return await friendly(self._inner.send(request))

    def lines(self, request: Request) -> AsyncIterator[bytes]:
        """Yield the lines of an answer that stays open."""
        return self._inner.lines(request)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._inner.aclose()
