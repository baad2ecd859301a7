"""Daemon threads: used again, limited, disowned, idle ones gone."""

from __future__ import annotations

import threading
from typing import Any

from ironflow_lab.runtime.pool import DaemonPool


class Call:
    """A call that blocks until released, and its result."""

    def __init__(self) -> None:
        self.started, self.release, self.ended = (threading.Event() for _ in range(3))
        self.result: tuple[Any, BaseException | None] | None = None
        self.thread = ""

    def __call__(self) -> int:
        self.thread = threading.current_thread().name
        self.started.set()
        self.release.wait()
        return 42

    def done(self, value: Any, error: BaseException | None) -> None:
        self.result = (value, error)
        self.ended.set()


def test_a_pool_hands_value_and_error_to_done() -> None:
    pool, call = DaemonPool("pool"), Call()
    call.release.set()
    pool.submit(call, call.done)
    assert call.ended.wait(5)
    assert call.result == (42, None)
    failing, error = Call(), SystemExit(3)

    def fail() -> None:
        raise error

    pool.submit(fail, failing.done)
    assert failing.ended.wait(5)
    assert failing.result == (None, error)


def test_idle_threads_are_used_again_and_the_limit_holds() -> None:
    pool = DaemonPool("pool", limit=2)
    calls = [Call() for _ in range(4)]
    for call in calls:
        pool.submit(call, call.done)
    assert calls[0].started.wait(5)
    assert calls[1].started.wait(5)
    assert pool.busy == 2
    for call in calls:
        call.release.set()
    assert all(call.ended.wait(5) for call in calls)
    assert {call.thread for call in calls} <= {"pool-1", "pool-2"}


def test_a_disowned_call_makes_room_and_its_result_is_dropped() -> None:
    pool = DaemonPool("pool", limit=1)
    hung, queued, after = Call(), Call(), Call()
    ticket = pool.submit(hung, hung.done)
    skipped = pool.submit(queued, queued.done)
    pool.submit(after, after.done)
    assert hung.started.wait(5)
    pool.disown(skipped)
    pool.disown(ticket)
    after.release.set()
    assert after.ended.wait(5), "another thread took over"
    assert not queued.started.is_set()
    hung.release.set()
    assert hung.result is None


def test_an_idle_thread_ends_after_a_while() -> None:
    pool, first, second = DaemonPool("shortly-idle", idle=0.001), Call(), Call()
    for call in (first, second):
        call.release.set()
        pool.submit(call, call.done)
        assert call.ended.wait(5)
        worker = next((t for t in threading.enumerate() if t.name == call.thread), None)
        if worker is not None:
            worker.join(5)
            assert not worker.is_alive()
    assert (first.thread, second.thread) == ("shortly-idle-1", "shortly-idle-2")
