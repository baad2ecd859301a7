"""Calls: request records to answers, sent again where that is safe."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import msgspec

from ironflow_lab.client._async.transport import AsyncTransport
from ironflow_lab.client._compat import async_sleep
from ironflow_lab.client.arguments import written
from ironflow_lab.clock import Clock
from ironflow_lab.errors import ApiError, FailedPreconditionError
from ironflow_lab.wire import connect
from ironflow_lab.wire.message import Request, Response
from ironflow_lab.wire.retry import NO_RETRY, RetryPolicy

T = TypeVar("T")


class AsyncConnection:
    """What the resources of one client share."""

    def __init__(self, transport: AsyncTransport, *, retry: RetryPolicy, clock: Clock) -> None:
        self.clock = clock
        self._transport = transport
        self._retry = retry
        self._closed = False

    async def unary(
        self,
        procedure: str,
        message: msgspec.Struct,
        kind: type[T],
        *,
        wait: float = 0.0,
        keyed: bool = False,
        run_id: str = "",
    ) -> T:
        """Return the answer of a Connect procedure; raises `ApiError`."""
        request = written(connect.request, procedure, message, wait=wait, keyed=keyed, run_id=run_id)
        return await self.call(request, lambda response: connect.read(response, kind))

    async def call(self, request: Request, read: Callable[[Response], T]) -> T:
        """Return what `read` makes of the answer; the client's retry policy holds."""
        return await self._call(request, read, self._retry)

    async def once(self, request: Request, read: Callable[[Response], T]) -> T:
        """Return what `read` makes of the answer to the one and only sending."""
        return await self._call(request, read, NO_RETRY)

    # async only: begin
    def lines(self, request: Request) -> AsyncIterator[bytes]:
        """Yield the lines of an answer that stays open."""
        self._check_open()
        return self._transport.lines(request)

    # async only: end
    async def aclose(self) -> None:
        """Close every connection; calls raise `FailedPreconditionError` from now on."""
        self._closed = True
        await self._transport.aclose()

    async def _call(self, request: Request, read: Callable[[Response], T], retry: RetryPolicy) -> T:
        attempt = 1
        while True:
            self._check_open()
            try:
                return read(await self._transport.send(request))
            except ApiError as error:
                delay = retry.delay(attempt, error, repeatable=request.repeatable)
                if delay is None:
                    raise
            await async_sleep(delay)
            attempt += 1

    def _check_open(self) -> None:
        if self._closed:
            raise FailedPreconditionError("this client is closed; make a new one")
