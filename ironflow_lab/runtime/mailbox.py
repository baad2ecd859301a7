"""One-way, coalesced traffic from any thread into an event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from ironflow_lab.runtime.threads import LoopThread

T = TypeVar("T")


class Mailbox(Generic[T]):
    """One-way traffic into an event loop: however many items are put, one wake until it drains."""

    def __init__(self, thread: LoopThread, receive: Callable[[T], None]) -> None:
        self._thread = thread
        self._receive = receive
        self._items: deque[T] = deque()
        self._woken = False
        self._soon = False

    def put(self, item: T) -> None:
        """Hand over an item, from any thread."""
        self._items.append(item)
        self._wake()

    def put_soon(self, item: T, here: asyncio.AbstractEventLoop) -> None:
        """Hand over an item from the loop `here`, waking the receiver only when this turn of it ends.

        What follows in the same turn, often all the rest of a run, then crosses with it.
        """
        self._items.append(item)
        if not self._soon:
            self._soon = True
            here.call_soon(self._turn_ended)

    def drain(self) -> None:
        """Receive all that has come; in the receiving loop."""
        # In this order: what is put from here on wakes again.
        self._woken = False
        while self._items:
            self._receive(self._items.popleft())

    def _turn_ended(self) -> None:
        self._soon = False
        self._wake()

    def _wake(self) -> None:
        if not self._woken and self._items:
            self._woken = True
            self._thread.loop.call_soon_threadsafe(self.drain)
