"""How a request gets its response: the protocol every transport obeys, and the one over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import httpx

from ironflow_lab.client import _seam
from ironflow_lab.client._compat import AsyncPool, async_unpacked
from ironflow_lab.client._fast import AnswerCut, FastPool
from ironflow_lab.client.config import Settings
from ironflow_lab.wire import problem
from ironflow_lab.wire.message import Request, Response


class AsyncTransport(Protocol):
    """What a client needs of the outside; give another one to inject faults."""

    async def send(self, request: Request) -> Response:
        """Return the response; raises `ApiError` when none arrived."""
        ...

    # async only: begin
    def lines(self, request: Request) -> AsyncIterator[bytes]:
        """Yield the lines of an answer that stays open; raises `ApiError` for a refusal."""
        ...

    # async only: end
    async def aclose(self) -> None:
        """Close every connection."""
        ...


class AsyncHttpTransport:
    """HTTP/1.1 with kept connections; refuses redirects and answers over 32 MiB."""

    def __init__(self, settings: Settings, *, timeout: float) -> None:
        self._endpoint = _seam.Endpoint(settings, timeout=timeout)
        self._pool = AsyncPool(self._endpoint)

    async def send(self, request: Request) -> Response:
        """Return the response; raises `ApiError` when none arrived."""
        # async only: begin
        fast = self._pool.fast()
        if fast is not None:
            return await self._send_fast(fast, request)
        # async only: end
        transport = self._pool.take()
        try:
            answer = await transport.handle_async_request(self._endpoint.message(request))
            try:
                body = await self._body(answer, request)
            finally:
                await answer.aclose()
        except _seam.FAILURES as error:
            raise self._endpoint.explain(error, request) from None
        return Response(status=answer.status_code, headers=_seam.head(answer), body=body)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()

    async def _body(self, answer: httpx.Response, request: Request) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in async_unpacked(answer):
            size += len(part)
            if size > _seam.LARGEST_ANSWER:
                raise self._endpoint.too_large(request)
            parts.append(part)
        return b"".join(parts)

    # async only: begin
    async def _send_fast(self, fast: FastPool, request: Request) -> Response:
        try:
            return await fast.send(self._endpoint.text(request), **self._endpoint.patience(request))
        except AnswerCut:
            raise self._endpoint.too_large(request) from None
        except _seam.FAILURES as error:
            raise self._endpoint.explain(error, request) from None

    async def lines(self, request: Request) -> AsyncIterator[bytes]:
        """Yield the lines of an answer that stays open, empty ones left out.

        Raises `ApiError` for a refusal and when the connection breaks.
        """
        transport = self._pool.take()
        try:
            message = self._endpoint.stream_message(request)
            answer = await transport.handle_async_request(message)
            try:
                await self._accept(answer, request)
                rest = b""
                async for part in async_unpacked(answer):
                    *whole, rest = (rest + part).split(b"\n")
                    if len(rest) > _seam.LARGEST_ANSWER:
                        raise self._endpoint.too_large(request)
                    for line in filter(None, whole):
                        yield line
            finally:
                await answer.aclose()
        except _seam.FAILURES as error:
            raise self._endpoint.explain(error, request) from None

    async def _accept(self, answer: httpx.Response, request: Request) -> None:
        if answer.status_code != 200:
            body = await self._body(answer, request)
            headers = _seam.head(answer)
            refusal = Response(status=answer.status_code, headers=headers, body=body)
            raise problem.from_response(refusal)

    # async only: end
