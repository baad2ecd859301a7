"""The durable operations of a plain `def` handler: `ctx.step` without await."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from ironflow_lab.errors import NonRetryableError
from ironflow_lab.models.runs import Invoked
from ironflow_lab.runtime import branches as forks
from ironflow_lab.runtime import events, publishing, teaching, waits
from ironflow_lab.runtime.branches import Fork, OnError
from ironflow_lab.runtime.events import Event
from ironflow_lab.runtime.function import DurableFunction, is_async
from ironflow_lab.runtime.journal import PUBLISH, Scope, no_function
from ironflow_lab.runtime.publishing import Published
from ironflow_lab.runtime.threaded import ThreadedCore, needs_async
from ironflow_lab.wire.duration import Duration

T = TypeVar("T")

# How many branches of a plain handler run at once where nothing is said: each takes a thread.
AT_ONCE = 64


class PlainStep:
    """Steps of one run: each is executed once, recorded, and on later executions read back.

    May be called from threads the handler starts; never inside the body of a step.
    """

    __slots__ = ("_core", "_scope")

    def __init__(self, core: ThreadedCore, scope: Scope | None = None) -> None:
        self._core = core
        self._scope = core.segment.journal.root if scope is None else scope

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
        limit = waits.seconds(name, timeout, self._core.segment.function.step_timeout)
        step_id = self._named(name)
        _check_body(name, fn)
        output: T = self._core.run(self._scope, step_id, name, fn, args, kwargs, limit)
        return output

    def sleep(self, name: str, duration: Duration, /) -> None:
        """Suspend the run for `duration` (seconds, a timedelta, "5s"); it needs no worker meanwhile."""
        step_id = self._named(name)
        self._core.wait(self._scope, waits.sleep(step_id, name, duration, self._core.tools.clock.now()))

    def sleep_until(self, name: str, instant: waits.When, /) -> None:
        """Suspend the run until an instant (an aware datetime or RFC 3339 text); a past one is now."""
        step_id = self._named(name)
        self._core.wait(self._scope, waits.sleep_until(step_id, name, instant))

    def wait_for_event(
        self,
        name: str,
        event: str,
        *,
        match: str | None = None,
        match_value: str | float | None = None,
        timeout: Duration = "7d",
        payload: Any = None,
    ) -> Event:
        """Suspend the run until an event of this exact name is emitted, and return it.

        With `match`, a path such as "data.orderId", only an event counts that has the same value
        there as the event that started the run, or as `match_value`. Events emitted before the run
        waits do not count. After `timeout` the run fails. `payload` is kept with the step, for
        whoever decides on it. Raises `DefinitionError` and `PayloadError`.
        """
        step_id = self._named(name)
        wanted = waits.event(
            step_id, name, event, match=match, match_value=match_value, timeout=timeout, payload=payload
        )
        if match is not None:
            frame = sys._getframe(1)
            teaching.unmatched(self._core.segment, name, wanted, (frame.f_code, frame.f_lasti))
        row = self._core.wait(self._scope, wanted)
        return events.of_output(name, row.output, namespace=self._core.segment.function.namespace)

    def invoke(self, function: str | DurableFunction, data: Any = None, /, *, timeout: Duration = "30s") -> Any:
        """Run another function with `data` as its event's data, and return its output.

        The step is named by the function's id. Raises `InvokeError` when its run fails, is
        cancelled or takes longer than `timeout`: it is not started again.
        """
        called = waits.function_id(function)
        step_id = self._core.claim(self._scope, called)
        row = self._core.wait(self._scope, waits.invoke(step_id, called, data, timeout))
        return waits.child_output(row, called)

    def invoke_async(self, function: str | DurableFunction, data: Any = None, /) -> Invoked:
        """Start another function with `data` as its event's data, and return its run's id at once."""
        called = waits.function_id(function)
        step_id = self._core.claim(self._scope, called)
        row = self._core.wait(self._scope, waits.invoke_async(step_id, called, data))
        return waits.child_run(row, called)

    def publish(self, topic: str, data: Any = None, /, *, idempotency_key: str = "") -> Published:
        """Publish a message to a topic, once per run, and return its id and place.

        The key that keeps it from being published twice is made of the step's id unless one is
        given. Raises `DefinitionError`, `PayloadError`, and `StepError` when the server refuses it.
        """
        name, key = publishing.check_topic(topic), publishing.check_key(idempotency_key)
        step_id = self._core.claim(self._scope, topic, PUBLISH)
        message = publishing.message(step_id, topic, data, key, self._core.segment.assignment.run_id)
        return publishing.of_output(topic, self._core.publish(self._scope, step_id, name, message))

    def parallel(
        self,
        name: str,
        branches: Iterable[Callable[[PlainBranch], Any]],
        /,
        *,
        concurrency: int = 0,
        on_error: OnError = "fail_fast",
    ) -> list[Any]:
        """Return what the branches return, by index; each runs in a thread and is given its own steps.

        At most `concurrency` run at once (0: 64). With `on_error="fail_fast"` no further branch
        begins after a failure and, when those under way have ended, the error of the lowest index
        is raised; with "collect" errors are in the list. Branches that wait do so one after
        another. The name must be used once only. Raises `DefinitionError` for bad arguments.
        """
        forks.check_options(name, concurrency, on_error)
        given = forks.functions(name, branches)
        fork = self._forked(name, len(given), concurrency, on_error, lambda index: (given[index], 0))
        return self._fork(fork, lambda index, branch: given[index](branch))

    def map(
        self,
        name: str,
        items: Iterable[T],
        fn: Callable[[T, PlainBranch], Any],
        /,
        *,
        concurrency: int = 0,
        on_error: OnError = "fail_fast",
    ) -> list[Any]:
        """Return `fn(item, branch)` of every item, by index; the rest is as in `parallel`.

        `items` is read once, and must have the same order on every execution.
        """
        forks.check_options(name, concurrency, on_error)
        call, given = forks.item_function(name, fn), forks.listed(name, items)
        fork = self._forked(name, len(given), concurrency, on_error, lambda index: (call, 1))
        return self._fork(fork, lambda index, branch: call(given[index], branch))

    def compensate(self, step_name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        """Have `fn(*args, **kwargs)` undo a step, should the run fail for good.

        Compensations run then, the newest first, each as a step of its own: after an error that
        forbids another attempt, and after the last attempt where the function's `on_exhausted` is
        "fail". A run that pauses, is cancelled or times out undoes nothing. One that fails does not
        stop the others. They cannot call steps.
        """
        if is_async(fn):
            raise NonRetryableError(needs_async(str(step_name), "the compensation of"), code="ASYNC_STEP")
        self._core.register(self._scope, step_name, fn, args, kwargs)

    def _named(self, name: str) -> str:
        """Return the id of the next step of this name, noting where it is called."""
        step_id = self._core.claim(self._scope, name)
        frame = sys._getframe(2)
        teaching.named(self._core.segment, self._scope, name, (frame.f_code, frame.f_lasti))
        return step_id

    def _forked(
        self, name: str, count: int, concurrency: int, on_error: OnError, code: Callable[[int], forks.Code]
    ) -> Fork:
        return Fork(name, self._core.branch(self._scope, name, count), concurrency or AT_ONCE, on_error, code)

    def _fork(self, fork: Fork, call: Callable[[int, PlainBranch], Any]) -> list[Any]:
        return self._core.fork(
            self._scope, fork, lambda index: call(index, PlainBranch(self._core, fork.scopes[index], index))
        )


class PlainBranch(PlainStep):
    """The steps of one branch, to be used in it only; `index` is its number, from 0."""

    __slots__ = ("index",)

    def __init__(self, core: ThreadedCore, scope: Scope, index: int) -> None:
        super().__init__(core, scope)
        self.index = index


def _check_body(name: str, fn: object) -> None:
    if not callable(fn):
        raise no_function(name, fn)
    if is_async(fn):
        raise NonRetryableError(needs_async(name), code="ASYNC_STEP")
