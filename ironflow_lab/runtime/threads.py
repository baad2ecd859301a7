"""Event loops in threads of their own.

They are daemons, so that nothing they do can hold up the end of a process.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import cache
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from ironflow_lab.errors import IronflowError, WaitTimeoutError

T = TypeVar("T")
log = logging.getLogger("ironflow_lab.runtime")

# A waiting thread looks up this often, so that the stop button is heard.
SLICE = 0.1


class LoopThread:
    """An event loop in a named daemon thread, started when first needed.

    Raises `IronflowError` when used after a fork (threads do not survive it), after `stop`, or when
    its own thread would wait for itself. With `drop_sockets_on_fork` a forked child does not keep
    the loop's connections open after its parent's end.
    """

    def __init__(self, name: str, *, drop_sockets_on_fork: bool = False) -> None:
        self.name = name
        self._drop = drop_sockets_on_fork
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._process = os.getpid()
        self._stopped = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop; starts the thread when it does not run yet."""
        if self._process != os.getpid():
            raise IronflowError(
                f"the thread {self.name!r} belongs to process {self._process} and did not survive the"
                " fork; call il.connect() again in this process"
            )
        if self._loop is None:
            self._start()
        if self._stopped or self._loop is None:
            raise IronflowError(f"the thread {self.name!r} has been stopped; call il.connect() again")
        return self._loop

    def owns(self) -> bool:
        """Return whether the caller is in this thread."""
        return self._thread is threading.current_thread()

    def call(self, make: Callable[[], Coroutine[Any, Any, T]], *, timeout: float | None = None) -> T:
        """Run the coroutine that `make` returns and return its value.

        The stop button (KeyboardInterrupt) ends the wait within 0.1 s and cancels the coroutine,
        never the thread. After `timeout` seconds the coroutine is cancelled and `WaitTimeoutError`
        raised.
        """
        if self.owns():
            raise IronflowError(f"the thread {self.name!r} cannot wait for itself; await the coroutine")
        loop, work = self.loop, _Work(make)
        deadline = None if timeout is None else time.monotonic() + timeout
        # The interrupt may come at any moment, so whatever begins can already be cancelled.
        try:
            loop.call_soon_threadsafe(work.begin)
            return self._wait(work.result, deadline)
        except BaseException:
            if not work.result.done():
                loop.call_soon_threadsafe(work.cancel)
            raise

    def stop(self, *, patience: float = 2.0) -> None:
        """End the loop after cancelling what runs in it; waits at most `patience` seconds."""
        with self._lock:
            thread, loop, self._stopped = self._thread, self._loop, True
        if thread is None or loop is None or self._process != os.getpid():
            return
        loop.call_soon_threadsafe(loop.stop)
        if not self.owns():
            thread.join(patience)

    def _wait(self, future: Future[T], deadline: float | None) -> T:
        while True:
            try:
                return future.result(SLICE)
            except TimeoutError:
                if future.done():
                    return future.result()
            if deadline is not None and time.monotonic() >= deadline:
                raise WaitTimeoutError("the wait ended before what was waited for")
            if self._thread is None or not self._thread.is_alive():
                raise IronflowError(f"the thread {self.name!r} has ended; call il.connect() again")

    def drop_sockets(self) -> None:
        """Let the loop's sockets refer to nothing; in a forked child."""
        selector = getattr(self._loop, "_selector", None)
        if selector is None:
            return
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in list(selector.get_map() or ()):
            os.dup2(nothing, descriptor, inheritable=False)
        os.close(nothing)

    def _start(self) -> None:
        with self._lock:
            if self._loop is None and not self._stopped:
                loop = asyncio.new_event_loop()
                loop.set_exception_handler(_report)
                thread = threading.Thread(target=self._main, args=(loop,), name=self.name, daemon=True)
                if self._drop:
                    _dropping.add(self)
                try:
                    thread.start()
                except BaseException:
                    # It may be started later: by code that is not replayed, or when there is memory again.
                    loop.close()
                    raise
                self._thread, self._loop = thread, loop

    def _main(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        while not self._stopped:
            try:
                loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as error:
                # A task of user code called sys.exit(): that ends the task, not everyone's loop.
                log.warning("%r was raised in the thread %s and stopped there", error, self.name)
        loop.run_until_complete(_cancel_all())
        loop.close()


class _Work(Generic[T]):
    """A coroutine handed to a loop; `begin` and `cancel` are called there, in this order or not."""

    def __init__(self, make: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self.result: Future[T] = Future()
        self._make = make
        self._task: asyncio.Task[T] | None = None
        self._cancelled = False

    def begin(self) -> None:
        if not self._cancelled:
            self._task = asyncio.get_running_loop().create_task(_made(self._make))
            self._task.add_done_callback(self._ended)

    def cancel(self) -> None:
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    def _ended(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.result.cancel()
        elif (error := task.exception()) is not None:
            self.result.set_exception(error)
        else:
            self.result.set_result(task.result())


def io_thread() -> LoopThread:
    """Return this process's `ironflow-io` thread: polls, heartbeats, reports and all waits of a lab."""
    return _shared("ironflow-io", os.getpid(), True)


def user_thread() -> LoopThread:
    """Return this process's `ironflow-user` thread, where `async def` handlers run."""
    return _shared("ironflow-user", os.getpid(), False)


@cache
def _shared(name: str, process: int, drop: bool) -> LoopThread:
    # Keyed by process: a forked child gets threads of its own.
    return LoopThread(name, drop_sockets_on_fork=drop)


def _forked() -> None:
    # An open lease connection says that a worker lives; a child must not say so for its parent.
    for thread in list(_dropping):
        thread.drop_sockets()


_dropping: WeakSet[LoopThread] = WeakSet()
os.register_at_fork(after_in_child=_forked)


async def _made(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return await make()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=1.0)
    await asyncio.get_running_loop().shutdown_asyncgens()


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    # Our signals end branches nobody awaits any more; that is no news.
    if isinstance(error, Exception) or error is None:
        log.error("in the thread %s: %s", threading.current_thread().name, context["message"], exc_info=error)
