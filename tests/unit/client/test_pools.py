"""Which connections an async client takes, and in which event loop."""

from __future__ import annotations

import asyncio
from typing import cast

import httpx
import pytest

from ironflow_lab.client import _seam
from ironflow_lab.client._compat import AsyncPool
from ironflow_lab.client.config import Settings
from ironflow_lab.errors import FailedPreconditionError


class Wire(httpx.AsyncBaseTransport):
    """A transport that only notes that it was closed."""

    closed = False

    async def aclose(self) -> None:
        self.closed = True


class Fast:
    """Fast connections that only note that they were closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


class Opener:
    """Stands where the endpoint stands."""

    def __init__(self) -> None:
        self.calm, self.fast = Wire(), Fast()
        self.opened = 0

    def open_async(self) -> Wire:
        self.opened += 1
        return self.calm

    def open_fast(self) -> Fast:
        return self.fast


@pytest.fixture
def opener() -> Opener:
    """What opened the pool's transports."""
    return Opener()


@pytest.fixture
def pool(opener: Opener) -> AsyncPool:
    """A pool over transports that do nothing."""
    return AsyncPool(cast("_seam.Endpoint", opener))


async def test_calls_take_the_fast_connections(pool: AsyncPool, opener: Opener) -> None:
    assert pool.fast() is cast("object", opener.fast)
    assert opener.opened == 0


async def test_streams_share_one_transport(pool: AsyncPool, opener: Opener) -> None:
    assert pool.take() is pool.take() is opener.calm
    assert opener.opened == 1


async def test_closing_closes_both(pool: AsyncPool, opener: Opener) -> None:
    pool.take()
    await pool.aclose()
    assert (opener.calm.closed, opener.fast.closed) == (True, True)


def test_another_loop_is_refused(pool: AsyncPool, opener: Opener) -> None:
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()

    async def take() -> None:
        pool.take()
        pool.fast()

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


def test_a_proxy_leaves_no_fast_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    far = _seam.Endpoint(Settings(server_url="https://ironflow.example"), timeout=1.0)
    near = _seam.Endpoint(Settings(server_url="http://localhost:9123"), timeout=1.0)
    assert far.open_fast() is None
    assert near.open_fast() is not None
