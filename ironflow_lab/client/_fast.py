"""HTTP/1.1 over kept connections, one call at a time on each: what async calls that need no proxy take.

A call costs a fifth of the CPU of the next best client's, which is most of what a worker spends on a run.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

import httptools
import httpx

from ironflow_lab.wire.message import Response


class FastPool:
    """Connections to one address, at most `limit`, dropped after `idle` seconds without a call.

    It fails as httpx's transports do, with their errors, and sends everything once. To be used in one
    event loop; `tls` None means plain http.
    """

    def __init__(
        self, host: str, port: int, *, tls: ssl.SSLContext | None, limit: int, idle: float, largest: int
    ) -> None:
        self._host, self._port, self._tls = host, port, tls
        self._idle_seconds, self._largest = idle, largest
        self._room = asyncio.Semaphore(limit)
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()

    async def send(self, message: bytes, *, connect: float, read: float) -> Response:
        """Return the answer to a whole request.

        `connect` and `read` are the seconds for a connection and for the answer. Raises `httpx.HTTPError`,
        and `AnswerCut` for an answer that is too large.
        """
        await self._enter(connect)
        try:
            connection = self._kept() or await self._opened(connect)
            self._busy.add(connection)
            try:
                return await connection.exchange(message, read)
            finally:
                self._busy.discard(connection)
                if connection.usable:
                    connection.idle_since = asyncio.get_running_loop().time()
                    self._idle.append(connection)
        finally:
            self._room.release()

    def close(self) -> None:
        """Close every connection; calls under way fail."""
        for connection in (*self._idle, *self._busy):
            connection.close()
        self._idle.clear()

    async def _enter(self, seconds: float) -> None:
        if not self._room.locked():
            await self._room.acquire()
            return
        try:
            async with asyncio.timeout(seconds):
                await self._room.acquire()
        except TimeoutError:
            raise httpx.PoolTimeout("every connection is busy") from None

    def _kept(self) -> _Connection | None:
        oldest = asyncio.get_running_loop().time() - self._idle_seconds
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.idle_since >= oldest:
                return connection
            connection.close()
        return None

    async def _opened(self, seconds: float) -> _Connection:
        loop = asyncio.get_running_loop()
        name = self._host if self._tls is not None else None
        try:
            async with asyncio.timeout(seconds):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self._largest), self._host, self._port, ssl=self._tls, server_hostname=name
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout(f"no connection within {seconds:g} s") from error
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error
        return connection


class AnswerCut(Exception):
    """The answer is larger than it may be."""


class _Connection(asyncio.Protocol):
    """One connection; `usable` until something on it was not as it should be."""

    def __init__(self, largest: int) -> None:
        self.usable = True
        self.idle_since = 0.0
        self._largest = largest
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Response] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._begin()

    async def exchange(self, message: bytes, seconds: float) -> Response:
        """Send a request and return its answer; whatever ends this early ends the connection."""
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        self._begin()
        self._waiter = loop.create_future()
        timer = loop.call_later(seconds, self._fail, httpx.ReadTimeout(f"no answer within {seconds:g} s"))
        try:
            self._transport.write(message)
            return await self._waiter
        except BaseException:
            self.close()
            raise
        finally:
            timer.cancel()
            self._waiter = None

    def close(self) -> None:
        """End the connection now."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    # ---- called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        # Not asked for its class: those of other event loops do not inherit it.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse what came; anything nobody asked for ends the connection."""
        if self._waiter is None or self._waiter.done():
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(httpx.RemoteProtocolError(f"this is no HTTP answer: {error}"))

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the call, unless the end of the connection is the end of its answer."""
        if self._ends_with_connection and error is None:
            self._complete()
        self._fail(httpx.ReadError(str(error or "the server closed the connection")))

    # ---- called by the parser

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Find out how the body will end."""
        framed = "content-length" in self._headers or "transfer-encoding" in self._headers
        self._ends_with_connection = not framed and self._parser.get_status_code() not in (204, 304)

    def on_body(self, part: bytes) -> None:
        """Take a part of the body."""
        self._size += len(part)
        self._parts.append(part)
        if self._size > self._largest:
            self._fail(AnswerCut())

    def on_message_complete(self) -> None:
        """Answer the call; an interim answer is only followed by another."""
        if self._parser.get_status_code() < 200:
            self._begin()
        else:
            self._complete()

    def _begin(self) -> None:
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self._size = 0
        self._ends_with_connection = False

    def _complete(self) -> None:
        self._ends_with_connection = False
        self.usable = self.usable and self._parser.should_keep_alive()
        if self._headers.get("content-encoding", "identity") != "identity":
            self._fail(httpx.DecodingError(f"{self._headers['content-encoding']} was not asked for"))
        if self._waiter is not None and not self._waiter.done():
            status = self._parser.get_status_code()
            self._waiter.set_result(Response(status=status, headers=self._headers, body=b"".join(self._parts)))

    def _fail(self, error: Exception) -> None:
        self.usable = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
