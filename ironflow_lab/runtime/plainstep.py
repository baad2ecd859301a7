"""The durable operations of a plain `def` handler: `ctx.step` without await."""

from __future__ import annotations

import contextvars
import functools
import inspect
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

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


class PlainStep:
    """Steps of one run: each is executed once, recorded, and on later executions read back.

    May be called from threads the handler starts; never inside the body of a step.
    """

    __slots__ = ("_changed", "_clock", "_pool", "_segment", "_told")

    def __init__(self, segment: Segment, *, pool: DaemonPool, clock: Clock) -> None:
        self._segment = segment
        self._pool = pool
        self._clock = clock
        self._changed = threading.Condition()
        self._told: dict[int, int] = {}

    def run(
        self,
        name: str,
        fn: Callable[..., T],
        /,
        *args: Any,
        timeout: Duration | None = None,
        **kwargs: Any,
    ) -> T:
        """Return the output of `fn(*args, **kwargs)`, executed only if this step is not recorded yet.

        The body runs in the calling thread, or in one of its own when it has a `timeout`. The
        output must be JSON and comes back as JSON reads it. Raises `StepError` when the body fails,
        `StepTimeoutError` when it takes longer than `timeout`, and `PayloadError`.
        """
        limit = waits.seconds(name, timeout)
        step_id = self._claim(name)
        _check_body(name, fn)
        done = self._segment.journal.recall(step_id)
        output: T = self._run(step_id, name, fn, args, kwargs, limit) if done is None else done.output
        return output

    def sleep(self, name: str, duration: Duration, /) -> None:
        """Suspend the run for `duration` (seconds, a timedelta, "5s"); it needs no worker meanwhile."""
        step_id = self._claim(name)
        self._wait(waits.sleep(step_id, name, duration, self._clock.now()))

    def sleep_until(self, name: str, instant: waits.When, /) -> None:
        """Suspend the run until an instant (an aware datetime or RFC 3339 text); a past one is now."""
        step_id = self._claim(name)
        self._wait(waits.sleep_until(step_id, name, instant))

    def settled(self) -> None:
        """Return once no step body of this segment is in flight."""
        with self._changed:
            while self._segment.journal.running and not self._segment.abandoned:
                self._changed.wait(1.0)

    def _claim(self, name: str) -> str:
        refuse_nesting(self._segment, name)
        with self._changed:
            return self._segment.journal.claim(name)

    def _run(
        self,
        step_id: str,
        name: str,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        limit: float | None,
    ) -> Any:
        self._begin()
        attempt = Attempt(self._segment, step_id, name, self._clock)
        try:
            value = self._in_thread(name, fn, args, kwargs, limit) if limit else fn(*args, **kwargs)
            _refuse_coroutine(name, value)
        except FAILURES as error:
            attempt.fail(error)
        else:
            output = attempt.succeed(value)
        finally:
            attempt.leave()
            with self._changed:
                self._segment.journal.running -= 1
                self._changed.notify_all()
        if self._segment.function.durability == "step":
            saved = threading.Event()
            self._segment.when_saved(saved.set)
            saved.wait()
        return output

    def _begin(self) -> None:
        with self._changed:
            if not self._segment.journal.ending:
                self._segment.journal.running += 1
                return
        self._end()

    def _in_thread(
        self, name: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], limit: float
    ) -> Any:
        ended: list[tuple[Any, BaseException | None]] = []
        woken = threading.Event()

        def done(value: Any, error: BaseException | None) -> None:
            ended.append((value, error))
            woken.set()

        context = contextvars.copy_context()
        ticket = self._pool.submit(functools.partial(context.run, fn, *args, **kwargs), done)
        if not woken.wait(limit):
            self._pool.disown(ticket)
            raise timed_out(name, limit, thread=True)
        value, error = ended[0]
        if error is not None:
            raise error
        return value

    def _wait(self, wanted: Yield) -> None:
        journal = self._segment.journal
        if journal.recall(wanted.step_id) is None:
            with self._changed:
                journal.suspend(wanted)
            self._end()

    def _end(self) -> NoReturn:
        """End the segment from inside a step call, once the bodies in other threads have settled."""
        segment, thread = self._segment, threading.get_ident()
        swallowed = self._told.get(thread, 0)
        if swallowed:
            if segment.journal.yielded is not None:
                segment.conclude(Yielded(wanted=segment.journal.yielded))
            time.sleep(penalty(swallowed))
        self.settled()
        self._told[thread] = swallowed + 1
        raise Abandoned if segment.journal.closed else Suspended


def _check_body(name: str, fn: object) -> None:
    if not callable(fn):
        raise DefinitionError(
            f"step {name!r:.60} got {type(fn).__name__} instead of a function; pass the function and its"
            " arguments apart: step.run('charge', charge, order)"
        )
    if is_async(fn):
        raise NonRetryableError(_needs_async(name), code="ASYNC_STEP")


def _refuse_coroutine(name: str, value: Any) -> None:
    if inspect.iscoroutine(value):
        value.close()
        raise NonRetryableError(_needs_async(name), code="ASYNC_STEP")


def _needs_async(name: str) -> str:
    return (
        f"step {name!r:.60} has an `async def` body, which a plain handler cannot await; make the handler"
        " `async def` and await its steps"
    )
