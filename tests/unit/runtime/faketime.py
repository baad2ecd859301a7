"""Time that a test decides: a clock, a pace, and letting a loop come to rest."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

START = 1_767_323_045_000_000_000  # 2026-01-02T03:04:05Z


class FakeClock:
    """A wall clock that stands still until `now` is called: each call is a millisecond later."""

    def __init__(self, start: int = START) -> None:
        self.time = start

    def now(self) -> int:
        self.time += 1_000_000
        return self.time


class FakeTimer:
    """A call a `FakePace` will make."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class FakePace:
    """Time that passes only by `advance`."""

    def __init__(self) -> None:
        self.now = 0.0
        self._order = itertools.count()
        self._timers: list[tuple[float, int, FakeTimer]] = []

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        ended = asyncio.Event()
        timer = self.call_later(seconds, ended.set)
        try:
            await ended.wait()
        finally:
            timer.cancel()

    def call_later(self, seconds: float, call: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(call)
        heapq.heappush(self._timers, (self.now + seconds, next(self._order), timer))
        return timer

    def due(self) -> list[float]:
        """Return in how many seconds each live timer is due."""
        return [round(at - self.now, 6) for at, _, timer in sorted(self._timers) if timer.call]

    async def advance(self, seconds: float) -> None:
        """Let that many seconds pass, timer by timer, with the loop settled after each."""
        end = self.now + seconds
        await settle()
        while self._timers and self._timers[0][0] <= end:
            self.now, _, timer = heapq.heappop(self._timers)
            if timer.call is not None:
                timer.call()
                await settle()
        self.now = end


async def settle(turns: int = 60) -> None:
    """Let everything that is ready in this loop run."""
    for _ in range(turns):
        await asyncio.sleep(0)
