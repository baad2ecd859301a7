"""Waiting at a notebook's top level."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ironflow_lab.kernel import waiting
from ironflow_lab.kernel.waiting import friendly


async def test_it_gives_the_value_and_the_error() -> None:
    async def value() -> int:
        await asyncio.sleep(0)
        return 42

    async def error() -> None:
        raise KeyError("x")

    assert await friendly(value()) == 42
    with pytest.raises(KeyError):
        await friendly(error())


async def test_the_loop_wakes_up_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel hears an interrupt only when its loop turns."""
    monkeypatch.setattr(waiting, "HEARTBEAT", 0.0)
    turns, wait = 0, asyncio.wait
    gate = asyncio.Event()

    async def counted(*given: Any, **options: Any) -> Any:
        nonlocal turns
        turns += 1
        if turns == 3:
            gate.set()
        return await wait(*given, **options)

    monkeypatch.setattr(asyncio, "wait", counted)
    await friendly(gate.wait())
    assert turns >= 3


async def test_cancelling_the_wait_cancels_the_work() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    task = asyncio.ensure_future(friendly(work()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert ended == ["cancelled"]
