"""Loop threads that can be waited for and interrupted, and that survive what runs in them."""

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

import pytest

from ironflow_lab.errors import IronflowError, WaitTimeoutError
from ironflow_lab.runtime import threads
from ironflow_lab.runtime.threads import LoopThread, io_thread, user_thread


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    thread = LoopThread("ironflow-test")
    yield thread
    thread.stop()


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
    began, ended = threading.Event(), threading.Event()

    async def forever() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    # On a busy machine the time may be over before the thread has begun.
    while not began.is_set():
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
        "from ironflow_lab.runtime.pool import DaemonPool\n"
        "from ironflow_lab.runtime.threads import LoopThread\n"
        "LoopThread('x').loop.call_soon_threadsafe(time.sleep, 600)\n"
        "DaemonPool('y').submit(lambda: time.sleep(600), lambda *_: None)\n"
        "print('end')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert (ended.stdout, ended.stderr) == ("end\n", "")


def test_a_thread_that_could_not_be_started_is_started_by_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    thread = LoopThread("late")
    with monkeypatch.context() as patched, pytest.raises(RuntimeError, match="can't start"):
        patched.setattr(threading.Thread, "start", refuse)
        thread.call(answer)
    try:
        assert thread.call(answer) == 42
    finally:
        thread.stop()


async def answer() -> int:
    return 42
