"""Where the two colours differ besides their keywords, under paired names (design D2)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from ironflow_lab.client import _seam
from ironflow_lab.errors import FailedPreconditionError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterable, Iterable

    import httpx

    from ironflow_lab.wire.message import Request

# From so many calls in flight on, the fast transport is worth the loading: at 32, httpx's own takes
# ten times the CPU of it.
_MANY = 4

sleep = time.sleep


async def async_sleep(seconds: float) -> None:
    """Wait without blocking the loop."""
    import asyncio

    await asyncio.sleep(seconds)


def unpacked(answer: httpx.Response) -> Iterable[bytes]:
    """Return a body's parts, unpacked; httpx is asked only when there is something to unpack."""
    if "content-encoding" in answer.headers:
        return answer.iter_bytes()
    return cast("httpx.SyncByteStream", answer.stream)


def async_unpacked(answer: httpx.Response) -> AsyncIterable[bytes]:
    """Return a body's parts, unpacked; httpx is asked only when there is something to unpack."""
    if "content-encoding" in answer.headers:
        return answer.aiter_bytes()
    return cast("httpx.AsyncByteStream", answer.stream)


class Pool:
    """The connections of a blocking client: usable in any thread, inside a running loop or not."""

    failures = _seam.FAILURES

    def __init__(self, endpoint: _seam.Endpoint) -> None:
        self._transport = endpoint.open_sync()

    def take(self, request: Request) -> httpx.BaseTransport:
        """Return the transport for a call."""
        return self._transport

    def give(self) -> None:
        """End what `take` began."""

    def close(self) -> None:
        """Close every connection."""
        self._transport.close()


class AsyncPool:
    """The connections of an async client, which belong to the event loop of its first call.

    It changes to the fast transport, for good, at the first call that says it is frequent or when
    several calls are in flight.
    """

    def __init__(self, endpoint: _seam.Endpoint) -> None:
        self.failures = _seam.FAILURES
        self._endpoint = endpoint
        self._transport = endpoint.open_async()
        self._fast: httpx.AsyncBaseTransport | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._in_flight = 0

    def take(self, request: Request) -> httpx.AsyncBaseTransport:
        """Return the transport for a call; raises `FailedPreconditionError` in another loop."""
        self._enter()
        self._in_flight += 1
        if self._fast is None and (request.frequent or self._in_flight > _MANY):
            self._fast = self._endpoint.open_fast()
            self.failures += _seam.fast_failures()
        return self._fast or self._transport

    def give(self) -> None:
        """End what `take` began."""
        self._in_flight -= 1

    async def aclose(self) -> None:
        """Close every connection; those of a loop that is closed went with it."""
        if self._loop is not None:
            if self._loop.is_closed():
                return
            self._enter()
        await self._transport.aclose()
        if self._fast is not None:
            await self._fast.aclose()

    def _enter(self) -> None:
        import asyncio

        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise FailedPreconditionError(
                "this AsyncClient was first used in another event loop and its connections belong"
                " there; make one client per loop, or use Client, which works in any"
            )
