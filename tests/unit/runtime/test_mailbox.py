"""Many puts, one wake, nothing lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ironflow_lab.runtime.mailbox import Mailbox
from ironflow_lab.runtime.threads import LoopThread


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    thread = LoopThread("ironflow-test")
    yield thread
    thread.stop()


class Hand:
    """A loop that runs callbacks when told, in place of a thread's."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    @property
    def loop(self) -> Hand:
        return self

    def call_soon_threadsafe(self, call: Any) -> None:
        self.calls.append(call)

    call_soon = call_soon_threadsafe

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()


def test_many_puts_are_one_wake() -> None:
    io, got = Hand(), list[int]()
    box: Mailbox[int] = Mailbox(io, got.append)  # type: ignore[arg-type]  # enough of a thread
    for n in range(5):
        box.put(n)
    assert len(io.calls) == 1
    io.turn()
    assert got == [0, 1, 2, 3, 4]
    box.put(5)
    assert len(io.calls) == 1


def test_what_is_put_soon_crosses_when_the_turn_ends() -> None:
    io, user, got = Hand(), Hand(), list[int]()
    box: Mailbox[int] = Mailbox(io, got.append)  # type: ignore[arg-type]  # enough of a thread
    box.put_soon(1, user)  # type: ignore[arg-type]  # enough of a loop
    box.put_soon(2, user)  # type: ignore[arg-type]  # enough of a loop
    assert (len(user.calls), io.calls) == (1, [])
    user.turn()
    assert len(io.calls) == 1
    io.turn()
    assert got == [1, 2]
    box.put_soon(3, user)  # type: ignore[arg-type]  # enough of a loop
    box.drain()
    user.turn()
    assert (got, io.calls) == ([1, 2, 3], []), "nothing is left to wake for"


def test_nothing_put_from_many_threads_is_lost(loop: LoopThread) -> None:
    got: list[int] = []
    all_of_it = threading.Event()

    def receive(n: int) -> None:
        got.append(n)
        if len(got) == 8_000:
            all_of_it.set()

    box: Mailbox[int] = Mailbox(loop, receive)

    def put(first: int) -> None:
        for n in range(first, first + 1_000):
            box.put(n)

    senders = [threading.Thread(target=put, args=(k * 1_000,)) for k in range(8)]
    for sender in senders:
        sender.start()
    assert all_of_it.wait(30)
    assert sorted(got) == list(range(8_000))
