"""An event loop that does not wait: what sleeps in it is woken at once, in the order of its time."""

from __future__ import annotations

import asyncio
import math
import selectors
import time
from collections.abc import Callable
from typing import Any


class _Selector(selectors.DefaultSelector):
    """Moves the time of its loop on instead of waiting, unless the loop executes something real."""

    loop: Loop

    def select(self, timeout: float | None = None) -> Any:
        loop = self.loop
        if timeout is not None and timeout <= 0:
            # Far from the beginning the loop's own resolution vanishes in the time: what is due would stay due.
            loop.skip(0)
            return super().select(0)
        if loop.real:
            began = time.monotonic()
            found = super().select(timeout)
            loop.skip(time.monotonic() - began)
            return found
        if timeout is None:
            found = super().select(loop.patience)
            if not found:
                loop.idle()
            return found
        found = super().select(0)
        if not found:
            loop.skip(timeout)
        return found


class Loop(asyncio.SelectorEventLoop):
    """A loop whose time moves only when nothing else is to be done.

    `began` is the instant of its beginning, `main` the task of the handler itself. `real` counts bodies that
    are executed for real: while there is one, time is real too. `idle` is called when nothing is left that
    could go on, after `patience` seconds in which no other thread has woken it.
    """

    def __init__(self, idle: Callable[[], None], *, began: int, patience: float) -> None:
        self.real = 0
        self.began = began
        self.main: asyncio.Task[Any] | None = None
        self.patience = patience
        self.idle = idle
        self._passed = 0.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)
        self.set_exception_handler(_say_nothing)

    def time(self) -> float:
        """Return the time that has passed in it, in seconds."""
        return self._passed

    def skip(self, seconds: float) -> None:
        """Let time pass: at least so much that it is seen, however late it is."""
        self._passed = max(self._passed + seconds, math.nextafter(self._passed, math.inf))


def _say_nothing(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Let tasks that were stopped be forgotten."""
