"""Daemon threads for calls that block: plain handlers, and plain bodies of async ones."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Ticket(Generic[T]):
    """A call given to a `DaemonPool`."""

    def __init__(self, call: Callable[[], T], done: Callable[[T | None, BaseException | None], None]) -> None:
        self.call = call
        self.done = done
        self.disowned = False
        self.running = False


class DaemonPool:
    """Daemon threads for calls that block: at most `limit` busy, idle ones used again.

    The standard pool joins its threads when the interpreter ends; a step that hangs must not hold
    up the end of a kernel.
    """

    def __init__(self, name: str, *, limit: int | None = None, idle: float = 30.0) -> None:
        self._name = name
        self._limit = limit
        self._idle_seconds = idle
        self._state = threading.Condition()
        self._queue: deque[Ticket[Any]] = deque()
        self._idle = 0
        self._busy = 0
        self._made = 0

    @property
    def busy(self) -> int:
        """How many threads are in a call that somebody still waits for."""
        return self._busy

    def submit(self, call: Callable[[], T], done: Callable[[T | None, BaseException | None], None]) -> Ticket[T]:
        """Run `call` in a thread and give its value or error to `done`, in that thread."""
        ticket = Ticket(call, done)
        with self._state:
            self._queue.append(ticket)
            self._staff()
        return ticket

    def disown(self, ticket: Ticket[Any]) -> None:
        """Forget a call: skip it if it waits; let its thread end after it, uncounted, if it runs."""
        with self._state:
            ticket.disowned = True
            if ticket.running:
                self._busy -= 1
                self._staff()

    def _staff(self) -> None:
        waiting = len(self._queue)
        if self._idle:
            self._state.notify(min(waiting, self._idle))
        room = waiting if self._limit is None else self._limit - self._busy - self._idle
        for _ in range(min(waiting - self._idle, room)):
            self._idle += 1
            self._made += 1
            threading.Thread(target=self._serve, name=f"{self._name}-{self._made}", daemon=True).start()

    def _serve(self) -> None:
        while True:
            ticket = self._next()
            if ticket is None:
                return
            value, failure = None, None
            try:
                value = ticket.call()
            except BaseException as error:  # noqa: BLE001 - it is handed to `done`, whatever it is
                failure = error
            with self._state:
                ticket.running = False
                if ticket.disowned:
                    return
                self._busy -= 1
                self._idle += 1
            ticket.done(value, failure)
            del ticket, value, failure

    def _next(self) -> Ticket[Any] | None:
        with self._state:
            while True:
                while self._queue:
                    ticket = self._queue.popleft()
                    if not ticket.disowned:
                        self._idle -= 1
                        self._busy += 1
                        ticket.running = True
                        return ticket
                if not self._state.wait(self._idle_seconds) and not self._queue:
                    self._idle -= 1
                    return None
