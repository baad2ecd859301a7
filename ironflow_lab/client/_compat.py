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

    from ironflow_lab.client._fast import FastPool

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

    def __init__(self, endpoint: _seam.Endpoint) -> None:
        self._transport = endpoint.open_sync()

    def take(self) -> httpx.BaseTransport:
        """Return the transport for a call."""
        return self._transport

    def close(self) -> None:
        """Close every connection."""
        self._transport.close()


class AsyncPool:
    """The connections of an async client, which belong to the event loop of its first call.

    Calls take fast connections; streams, and everything through a proxy, httpx's transport.
    """

    def __init__(self, endpoint: _seam.Endpoint) -> None:
        self._endpoint = endpoint
        self._fast = endpoint.open_fast()
        self._transport: httpx.AsyncBaseTransport | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def fast(self) -> FastPool | None:
        """Return the fast connections, if there are any; raises `FailedPreconditionError` in another loop."""
        self._enter()
        return self._fast

    def take(self) -> httpx.AsyncBaseTransport:
        """Return httpx's transport; raises `FailedPreconditionError` in another loop."""
        self._enter()
        if self._transport is None:
            self._transport = self._endpoint.open_async()
        return self._transport

    async def aclose(self) -> None:
        """Close every connection; those of a loop that is closed went with it."""
        if self._loop is not None:
            if self._loop.is_closed():
                return
            self._enter()
        if self._transport is not None:
            await self._transport.aclose()
        if self._fast is not None:
            self._fast.close()

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
