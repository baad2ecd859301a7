"""Which transport an async client takes, and in which event loop."""

from __future__ import annotations

import asyncio
from typing import cast

import httpx
import pytest

from ironflow_lab.client import _seam
from ironflow_lab.client._compat import AsyncPool
from ironflow_lab.errors import FailedPreconditionError
from ironflow_lab.wire.message import Request

PLAIN = Request(method="GET", path="/health")
FREQUENT = Request(method="GET", path="/api/v1/workers/w/jobs", frequent=True)


class Wire(httpx.AsyncBaseTransport):
    """A transport that only notes that it was closed."""

    closed = False

    async def aclose(self) -> None:
        self.closed = True


class Opener:
    """Stands where the endpoint stands."""

    def __init__(self) -> None:
        self.calm, self.fast = Wire(), Wire()
        self.opened = 0

    def open_async(self) -> Wire:
        return self.calm

    def open_fast(self) -> Wire:
        self.opened += 1
        return self.fast


@pytest.fixture
def opener() -> Opener:
    """What opened the pool's transports."""
    return Opener()


@pytest.fixture
def pool(opener: Opener) -> AsyncPool:
    """A pool over transports that do nothing."""
    return AsyncPool(cast("_seam.Endpoint", opener))


async def test_few_calls_at_once_take_the_transport_that_loads_nothing(pool: AsyncPool, opener: Opener) -> None:
    for _ in range(4):
        assert pool.take(PLAIN) is opener.calm
    for _ in range(4):
        pool.give()
    for _ in range(9):
        assert pool.take(PLAIN) is opener.calm
        pool.give()
    assert opener.opened == 0


async def test_many_calls_at_once_take_the_fast_one_for_good(pool: AsyncPool, opener: Opener) -> None:
    taken = [pool.take(PLAIN) for _ in range(5)]
    assert taken == [*[opener.calm] * 4, opener.fast]
    for _ in taken:
        pool.give()
    assert pool.take(PLAIN) is opener.fast
    assert opener.opened == 1


async def test_a_frequent_call_takes_the_fast_one(pool: AsyncPool, opener: Opener) -> None:
    import aiohttp

    assert aiohttp.ClientError not in pool.failures
    assert pool.take(FREQUENT) is opener.fast
    assert aiohttp.ClientError in pool.failures


async def test_closing_closes_both(pool: AsyncPool, opener: Opener) -> None:
    pool.take(FREQUENT)
    await pool.aclose()
    assert (opener.calm.closed, opener.fast.closed) == (True, True)


def test_another_loop_is_refused(pool: AsyncPool, opener: Opener) -> None:
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()

    async def take() -> None:
        pool.take(PLAIN)

    try:
        first.run_until_complete(take())
        with pytest.raises(FailedPreconditionError, match="one client per loop"):
            second.run_until_complete(take())
        with pytest.raises(FailedPreconditionError):
            second.run_until_complete(pool.aclose())
        first.close()
        second.run_until_complete(pool.aclose())
        assert not opener.calm.closed
    finally:
        first.close()
        second.close()
