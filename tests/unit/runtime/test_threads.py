"""Loop threads that can be waited for and interrupted, the coalescing mailbox, and the daemon pool."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ironflow_lab.errors import IronflowError, WaitTimeoutError
from ironflow_lab.runtime import threads
from ironflow_lab.runtime.threads import DaemonPool, LoopThread, Mailbox, io_thread, user_thread


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    thread = LoopThread("ironflow-test")
    yield thread
    thread.stop()


# ---- loop threads


def test_a_call_runs_in_the_named_daemon_thread(loop: LoopThread) -> None:
    async def who() -> tuple[str, bool]:
        thread = threading.current_thread()
        return thread.name, thread.daemon

    assert loop.call(who) == ("ironflow-test", True)
    assert not loop.owns()


def test_an_error_comes_back_as_it_was_raised(loop: LoopThread) -> None:
    async def fails() -> None:
        raise KeyError("x")

    async def own_timeout() -> None:
        raise TimeoutError("mine")

    with pytest.raises(KeyError, match="x"):
        loop.call(fails)
    with pytest.raises(TimeoutError, match="mine"):
        loop.call(own_timeout)


def test_a_wait_that_takes_too_long_is_cancelled(loop: LoopThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "SLICE", 0.001)
    ended = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(WaitTimeoutError):
        loop.call(forever, timeout=0.002)
    assert ended.wait(5)


def test_the_stop_button_ends_the_wait_and_the_work_but_not_the_thread(loop: LoopThread) -> None:
    """A real SIGINT to the main thread, which is in `call`."""
    ended = threading.Event()

    async def forever() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(KeyboardInterrupt):
        loop.call(forever)
    assert ended.wait(5)

    async def alive() -> bool:
        return True

    assert loop.call(alive)


def test_a_thread_cannot_wait_for_itself(loop: LoopThread) -> None:
    async def nested() -> None:
        async def inner() -> None: ...

        loop.call(inner)

    with pytest.raises(IronflowError, match="cannot wait for itself; await the coroutine"):
        loop.call(nested)


def test_a_stopped_thread_says_so() -> None:
    thread = LoopThread("ironflow-test")
    ended = threading.Event()

    async def background() -> None:
        async def forever() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        thread.task = asyncio.ensure_future(forever())  # type: ignore[attr-defined]  # kept alive
        await asyncio.sleep(0)

    thread.call(background)
    thread.stop()
    assert ended.is_set(), "what ran in it is cancelled"
    with pytest.raises(IronflowError, match=r"has been stopped; call il\.connect"):
        thread.call(background)
    LoopThread("never started").stop()


def test_sys_exit_in_a_task_does_not_end_the_thread(loop: LoopThread, caplog: pytest.LogCaptureFixture) -> None:
    async def spawn() -> None:
        async def leave() -> None:
            sys.exit(3)

        task = asyncio.ensure_future(leave())
        await asyncio.wait({task})
        task.exception()

    loop.call(spawn)
    assert "SystemExit(3) was raised in the thread ironflow-test" in caplog.text


def test_our_signals_in_stray_tasks_are_no_news(loop: LoopThread, caplog: pytest.LogCaptureFixture) -> None:
    def report() -> list[str]:
        for error in (SystemExit(), ValueError("real")):
            loop.loop.call_exception_handler({"message": "never retrieved", "exception": error})
        return [record.getMessage() for record in caplog.records]

    async def reported() -> list[str]:
        return report()

    assert loop.call(reported) == ["in the thread ironflow-test: never retrieved"]


def test_the_shared_threads_are_two_and_stay() -> None:
    assert io_thread() is io_thread()
    assert (io_thread().name, user_thread().name) == ("ironflow-io", "ironflow-user")


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_after_a_fork_the_child_is_told_and_drops_the_connections() -> None:
    thread = LoopThread("ironflow-test", drop_sockets_on_fork=True)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)

    async def watch() -> None:
        asyncio.get_running_loop().add_reader(ours, lambda: None)

    thread.call(watch)
    context = multiprocessing.get_context("fork")
    told, keep = context.SimpleQueue(), context.Event()

    def child() -> None:
        try:
            thread.call(watch)
        except IronflowError as error:
            told.put(str(error))
        keep.wait()

    process = context.Process(target=child)
    process.start()
    try:
        assert "did not survive the fork" in told.get()
        thread.stop()
        ours.close()
        # The child lives, and yet the other end sees the connection closed.
        assert theirs.recv(1) == b""
    finally:
        keep.set()
        process.join()
        theirs.close()


def test_a_busy_thread_does_not_hold_up_the_end_of_the_process() -> None:
    program = (
        "import time, threading\n"
        "from ironflow_lab.runtime.threads import DaemonPool, LoopThread\n"
        "LoopThread('x').loop.call_soon_threadsafe(time.sleep, 600)\n"
        "DaemonPool('y').submit(lambda: time.sleep(600), lambda *_: None)\n"
        "print('end')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert (ended.stdout, ended.stderr) == ("end\n", "")


# ---- mailbox


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


# ---- pool


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
