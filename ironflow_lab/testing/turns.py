"""Threads that take turns, so that what they do has the same order each time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ironflow_lab.runtime.pool import DaemonPool, Ticket

T = TypeVar("T")


class Turns(DaemonPool):
    """A pool of threads of which one goes on at a time, the one that was asked for first."""

    def __init__(self, name: str, *, idle: float) -> None:
        super().__init__(name, idle=idle)
        self._turns: deque[object] = deque()
        self._turned = threading.Condition()
        self._mine = threading.local()

    def submit(self, call: Callable[[], T], done: Callable[[T | None, BaseException | None], None]) -> Ticket[T]:
        """Run `call` in a thread when it has its turn, and give its value or error to `done` in that turn."""
        turn = self._enqueue()

        def taken() -> T:
            self._take(turn)
            return call()

        def over(value: T | None, error: BaseException | None) -> None:
            try:
                done(value, error)
            finally:
                self._leave()

        return super().submit(taken, over)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let the others go on while this thread waits for some of them; a thread without a turn just goes on."""
        if getattr(self._mine, "turn", None) is None:
            yield
            return
        self._leave()
        try:
            yield
        finally:
            self._take(self._enqueue())

    def _enqueue(self) -> object:
        turn = object()
        with self._turned:
            self._turns.append(turn)
        return turn

    def _take(self, turn: object) -> None:
        self._mine.turn = turn
        with self._turned:
            self._turned.wait_for(lambda: self._turns[0] is turn)

    def _leave(self) -> None:
        with self._turned:
            self._turns.remove(self._mine.turn)
            self._turned.notify_all()
        self._mine.turn = None
