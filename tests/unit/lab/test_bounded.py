"""Bounded concurrency: order kept, the bound kept, the first error alone."""

from __future__ import annotations

import asyncio

import pytest

from ironflow_lab.lab.bounded import each


async def test_results_come_in_order_and_never_more_at_once_than_the_bound() -> None:
    running, most = 0, 0

    async def work(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(number % 3 + 1):
            await asyncio.sleep(0)
        running -= 1
        return number * 10

    assert await each(work, range(20), in_flight=4) == [number * 10 for number in range(20)]
    assert most == 4


async def test_nothing_to_do() -> None:
    async def work(number: int) -> int:
        return number

    assert await each(work, [], in_flight=4) == []


async def test_the_first_error_is_raised_bare_and_the_rest_is_cancelled() -> None:
    ended: list[str] = []

    async def work(name: str) -> None:
        if name == "bad":
            raise ConnectionError(name)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    with pytest.raises(ConnectionError, match="bad"):
        await each(work, ["hangs", "bad", "never begun"], in_flight=2)
    assert ended == ["hangs"]


async def test_cancelling_cancels_what_is_in_flight() -> None:
    begun, ended = asyncio.Event(), []

    async def work(number: int) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    task = asyncio.create_task(each(work, [1, 2], in_flight=2))
    await begun.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == [1, 2]
