"""Waiting, as the worker does it: a port for time, growing delays, and one signal that ends them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import msgspec


class Timer(Protocol):
    """A call that will happen later."""

    def cancel(self) -> None:
        """Let it not happen."""
        ...


class Pace(Protocol):
    """The passing of time in one event loop."""

    def monotonic(self) -> float:
        """Return seconds since some fixed point."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""
        ...

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call `call` after that many seconds."""
        ...


class LoopPace:
    """The running event loop's own time."""

    def monotonic(self) -> float:
        """Return seconds since some fixed point."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call `call` after that many seconds."""
        return asyncio.get_running_loop().call_later(seconds, call)


class Delays(msgspec.Struct, frozen=True, kw_only=True):
    """Waits in seconds that grow from `first` by `factor` up to `longest`."""

    first: float
    factor: float
    longest: float

    def after(self, failures: int) -> float:
        """Return the wait after that many failures in a row (1 or more)."""
        return min(self.first * self.factor ** min(failures - 1, 64), self.longest)


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How the worker paces itself, in seconds (worker.md section 3, conventions.md section 5)."""

    heartbeat: float = 30.0
    poll_wait: int = 20
    unheld_pause: float = 1.0
    grace: float = 0.002
    tick: float = 0.1
    reconnect: Delays = Delays(first=5.0, factor=2.0, longest=60.0)
    checkpoint: Delays = Delays(first=1.0, factor=2.0, longest=30.0)
    report: Delays = Delays(first=1.0, factor=2.0, longest=8.0)
    report_retries: int = 4
    flush: float = 5.0


# A loopback server that does not answer is being restarted: find it fast.
LOCAL_RULES = Rules(
    reconnect=Delays(first=0.2, factor=1.3, longest=2.0),
    checkpoint=Delays(first=0.2, factor=1.5, longest=2.0),
    report=Delays(first=0.2, factor=1.5, longest=2.0),
    report_retries=12,
)


class Reach:
    """Whether the server answers: a call that gets through ends the waits of all that did not."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._listeners: set[Callable[[], None]] = set()

    async def pause(self, seconds: float, bell: asyncio.Event, *, early: bool) -> None:
        """Return after that many seconds, when `bell` rings, or if `early` when the server answers."""
        bell.clear()
        timer = self._pace.call_later(seconds, bell.set)
        if early:
            self._listeners.add(bell.set)
        try:
            await bell.wait()
        finally:
            timer.cancel()
            self._listeners.discard(bell.set)

    def up(self) -> None:
        """Note that the server has answered."""
        for listener in self._listeners:
            listener()
