"""Pages one after the other, for every resource that lists."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Protocol, TypeVar

import msgspec

from ironflow_lab.client._async.connection import AsyncConnection
from ironflow_lab.client._seam import AnswerTooLargeError
from ironflow_lab.client.arguments import written
from ironflow_lab.errors import InternalError
from ironflow_lab.wire import connect
from ironflow_lab.wire.message import Request, Response


class Page(Protocol):
    """An answer with the place where the next one begins; "" is the end."""

    @property
    def next_cursor(self) -> str:
        """The cursor of the next page."""
        ...


T = TypeVar("T")
P = TypeVar("P", bound=Page)


def pages(
    connection: AsyncConnection,
    procedure: str,
    message: msgspec.Struct,
    kind: type[P],
    *,
    page_size: int,
) -> AsyncIterator[P]:
    """Yield every page of a Connect listing; see `walk`."""

    def write(cursor: str, limit: int) -> Request:
        asked = msgspec.structs.replace(message, cursor=cursor, limit=limit)
        return written(connect.request, procedure, asked)

    return walk(connection, write, lambda response: connect.read(response, kind), page_size=page_size)


async def walk(
    connection: AsyncConnection,
    write: Callable[[str, int], Request],
    read: Callable[[Response], P],
    *,
    page_size: int,
) -> AsyncIterator[P]:
    """Yield every page of a listing; `write` makes the request for the page at a cursor, of a size.

    A page too large for this client is asked for again at half the size. Raises `InternalError` when
    the server repeats itself.
    """
    cursor, limit = "", page_size
    while True:
        try:
            page = await connection.call(write(cursor, limit), read)
        except AnswerTooLargeError:
            if limit == 1:
                raise
            limit = max(1, limit // 2)
            continue
        yield page
        if not page.next_cursor:
            return
        if page.next_cursor == cursor:
            raise InternalError(f"the server gave cursor {cursor!r} twice in a row; it would loop")
        cursor = page.next_cursor


async def items(found: AsyncIterator[P], read: Callable[[P], Iterable[T]]) -> AsyncIterator[T]:
    """Yield what `read` takes from each page."""
    async for page in found:
        for item in read(page):
            yield item
