"""One coroutine an item, a bounded number at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def each(work: Callable[[T], Awaitable[R]], items: Sequence[T], *, in_flight: int) -> list[R]:
    """Return `await work(item)` for every item, in order, with at most `in_flight` at once.

    The first error is raised as it is, after the others in flight have been cancelled.
    """
    results: dict[int, R] = {}
    rest = iter(enumerate(items))

    async def serve() -> None:
        for position, item in rest:
            results[position] = await work(item)

    tasks = [asyncio.ensure_future(serve()) for _ in range(min(in_flight, len(items)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [results[position] for position in range(len(items))]
