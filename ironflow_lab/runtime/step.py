"""The durable operations of an `async def` handler: `ctx.step`."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn, TypeVar, overload

from ironflow_lab.clock import Clock
from ironflow_lab.errors import DefinitionError, NonRetryableError
from ironflow_lab.models.workers import Yield
from ironflow_lab.runtime import waits
from ironflow_lab.runtime.attempt import FAILURES, Attempt, refuse_nesting, timed_out
from ironflow_lab.runtime.function import is_async
from ironflow_lab.runtime.outcome import Yielded
from ironflow_lab.runtime.pool import DaemonPool
from ironflow_lab.runtime.segment import Segment
from ironflow_lab.runtime.signals import Abandoned, Suspended, penalty
from ironflow_lab.wire.duration import Duration

T = TypeVar("T")


class Step:
    """Steps of one run: each is executed once, recorded, and on later executions read back.

    To be used in the handler's own event loop and never inside the body of a step.
    """

    __slots__ = ("_clock", "_idle", "_pool", "_segment", "_thread", "_told")

    def __init__(self, segment: Segment, *, pool: DaemonPool, clock: Clock) -> None:
        self._segment = segment
        self._pool = pool
        self._clock = clock
        self._thread = threading.get_ident()
        self._idle: list[asyncio.Future[None]] = []
        self._told: dict[asyncio.Task[Any] | None, int] = {}

    @overload
    def run(
        self,
        name: str,
        fn: Callable[..., Awaitable[T]],
        /,
        *args: Any,
        timeout: Duration | None = None,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def run(
        self,
        name: str,
        fn: Callable[..., T],
        /,
        *args: Any,
        timeout: Duration | None = None,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, T]: ...
    def run(
        self,
        name: str,
        fn: Callable[..., Any],
        /,
        *args: Any,
        timeout: Duration | None = None,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, Any]:
        """Return the output of `fn(*args, **kwargs)`, executed only if this step is not recorded yet.

        An `async def` body runs in this event loop, a plain one in a thread. The output must be
        JSON and comes back as JSON reads it. Awaiting raises `StepError` when the body fails,
        `StepTimeoutError` when it takes longer than `timeout`, and `PayloadError`.
        """
        step_id = self._claim(name)
        if not callable(fn):
            raise DefinitionError(
                f"step {name!r:.60} got {type(fn).__name__} instead of a function; pass the function and"
                " its arguments apart: step.run('charge', charge, order)"
            )
        return self._run(step_id, name, fn, args, kwargs, waits.seconds(name, timeout))

    def sleep(self, name: str, duration: Duration, /) -> Coroutine[Any, Any, None]:
        """Suspend the run for `duration` (seconds, a timedelta, "5s"); it needs no worker meanwhile."""
        step_id = self._claim(name)
        return self._wait(waits.sleep(step_id, name, duration, self._clock.now()))

    def sleep_until(self, name: str, instant: waits.When, /) -> Coroutine[Any, Any, None]:
        """Suspend the run until an instant (an aware datetime or RFC 3339 text); a past one is now."""
        step_id = self._claim(name)
        return self._wait(waits.sleep_until(step_id, name, instant))

    async def settled(self) -> None:
        """Return once no step body of this segment is in flight."""
        while self._segment.journal.running and not self._segment.abandoned:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(waiter)
            await waiter

    def _claim(self, name: str) -> str:
        if threading.get_ident() != self._thread:
            raise NonRetryableError(
                f"step {name!r:.60} was called from another thread than its handler's event loop; await"
                " steps in the `async def` handler itself, or make the handler a plain `def`",
                code="WRONG_THREAD",
            )
        refuse_nesting(self._segment, name)
        return self._segment.journal.claim(name)

    async def _run(
        self,
        step_id: str,
        name: str,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        limit: float | None,
    ) -> Any:
        journal = self._segment.journal
        done = journal.recall(step_id)
        if done is not None:
            return done.output
        if journal.ending:
            await self._end()
        attempt = Attempt(self._segment, step_id, name, self._clock)
        journal.running += 1
        try:
            value = await self._execute(name, fn, args, kwargs, limit)
        except FAILURES as error:
            attempt.fail(error)
        else:
            output = attempt.succeed(value)
        finally:
            journal.running -= 1
            attempt.leave()
            self._stir()
        if self._segment.function.durability == "step":
            await self._saved()
        return output

    async def _execute(
        self,
        name: str,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        limit: float | None,
    ) -> Any:
        direct = is_async(fn)
        body = fn(*args, **kwargs) if direct else self._in_thread(fn, args, kwargs)
        if limit is None:
            return await body
        scope = asyncio.timeout(limit)
        try:
            async with scope:
                return await body
        except TimeoutError:
            if scope.expired():
                raise timed_out(name, limit, thread=not direct) from None
            raise

    async def _in_thread(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

        def done(value: Any, error: BaseException | None) -> None:
            loop.call_soon_threadsafe(_resolve, ended, (value, error))

        context = contextvars.copy_context()
        ticket = self._pool.submit(functools.partial(context.run, fn, *args, **kwargs), done)
        try:
            value, error = await ended
        except asyncio.CancelledError:
            self._pool.disown(ticket)
            raise
        if error is not None:
            raise error
        return await value if inspect.isawaitable(value) else value

    async def _saved(self) -> None:
        loop = asyncio.get_running_loop()
        saved: asyncio.Future[None] = loop.create_future()

        def done() -> None:
            loop.call_soon_threadsafe(_resolve, saved, None)

        self._segment.when_saved(done)
        await saved

    async def _wait(self, wanted: Yield) -> None:
        journal = self._segment.journal
        if journal.recall(wanted.step_id) is None:
            # Branches that are ready start their steps first: no further one starts after the yield.
            await asyncio.sleep(0)
            journal.suspend(wanted)
            await self._end()

    async def _end(self) -> NoReturn:
        """End the segment from inside a step call, once the other branches' bodies have settled."""
        segment, task = self._segment, asyncio.current_task()
        swallowed = self._told.get(task, 0)
        if swallowed:
            if segment.journal.yielded is not None:
                segment.conclude(Yielded(wanted=segment.journal.yielded))
            await asyncio.sleep(penalty(swallowed))
        await self.settled()
        self._told[task] = swallowed + 1
        raise Abandoned if segment.journal.closed else Suspended

    def _stir(self) -> None:
        if self._idle and not self._segment.journal.running:
            waiters, self._idle = self._idle, []
            for waiter in waiters:
                _resolve(waiter, None)


def _resolve(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)
