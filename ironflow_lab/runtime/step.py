"""The durable operations of an `async def` handler: `ctx.step`."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar, overload

from ironflow_lab.models.runs import Invoked
from ironflow_lab.models.workers import Yield
from ironflow_lab.runtime import branches as forks
from ironflow_lab.runtime import events, publishing, teaching, waits
from ironflow_lab.runtime.branches import Fork, OnError
from ironflow_lab.runtime.events import Event
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.journal import PUBLISH, Scope, no_function
from ironflow_lab.runtime.looped import LoopedCore
from ironflow_lab.runtime.publishing import Published
from ironflow_lab.wire.duration import Duration

T = TypeVar("T")


class Step:
    """Steps of one run: each is executed once, recorded, and on later executions read back.

    To be used in the handler's own event loop and never inside the body of a step.
    """

    __slots__ = ("_core", "_scope")

    def __init__(self, core: LoopedCore, scope: Scope | None = None) -> None:
        self._core = core
        self._scope = core.segment.journal.root if scope is None else scope

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
            raise no_function(name, fn)
        limit = waits.seconds(name, timeout, self._core.segment.function.step_timeout)
        return self._named(step_id, name, self._core.run(self._scope, step_id, name, fn, args, kwargs, limit))

    def sleep(self, name: str, duration: Duration, /) -> Coroutine[Any, Any, None]:
        """Suspend the run for `duration` (seconds, a timedelta, "5s"); it needs no worker meanwhile."""
        step_id = self._claim(name)
        wanted = waits.sleep(step_id, name, duration, self._core.tools.clock.now())
        return self._named(step_id, name, self._wait(wanted))

    def sleep_until(self, name: str, instant: waits.When, /) -> Coroutine[Any, Any, None]:
        """Suspend the run until an instant (an aware datetime or RFC 3339 text); a past one is now."""
        step_id = self._claim(name)
        return self._named(step_id, name, self._wait(waits.sleep_until(step_id, name, instant)))

    def wait_for_event(
        self,
        name: str,
        event: str,
        *,
        match: str | None = None,
        match_value: str | float | None = None,
        timeout: Duration = "7d",
        payload: Any = None,
    ) -> Coroutine[Any, Any, Event]:
        """Suspend the run until an event of this exact name is emitted, and return it.

        With `match`, a path such as "data.orderId", only an event counts that has the same value
        there as the event that started the run, or as `match_value`. Events emitted before the run
        waits do not count. After `timeout` the run fails. `payload` is kept with the step, for
        whoever decides on it. Raises `DefinitionError` and `PayloadError`.
        """
        step_id = self._claim(name)
        wanted = waits.event(
            step_id, name, event, match=match, match_value=match_value, timeout=timeout, payload=payload
        )
        if match is not None:
            frame = sys._getframe(1)
            teaching.unmatched(self._core.segment, name, wanted, (frame.f_code, frame.f_lasti))
        return self._named(step_id, name, self._event(name, wanted))

    def invoke(
        self, function: str | DurableFunction, data: Any = None, /, *, timeout: Duration = "30s"
    ) -> Coroutine[Any, Any, Any]:
        """Run another function with `data` as its event's data, and return its output.

        The step is named by the function's id. Awaiting raises `InvokeError` when its run fails, is
        cancelled or takes longer than `timeout`: it is not started again.
        """
        called = waits.function_id(function)
        step_id = self._claim(called)
        return self._called(step_id, called, self._child_output(called, waits.invoke(step_id, called, data, timeout)))

    def invoke_async(self, function: str | DurableFunction, data: Any = None, /) -> Coroutine[Any, Any, Invoked]:
        """Start another function with `data` as its event's data, and return its run's id at once."""
        called = waits.function_id(function)
        step_id = self._claim(called)
        return self._called(step_id, called, self._child_run(called, waits.invoke_async(step_id, called, data)))

    def publish(self, topic: str, data: Any = None, /, *, idempotency_key: str = "") -> Coroutine[Any, Any, Published]:
        """Publish a message to a topic, once per run, and return its id and place.

        The key that keeps it from being published twice is made of the step's id unless one is
        given. Raises `DefinitionError`, `PayloadError`, and `StepError` when the server refuses it.
        """
        name, key = publishing.check_topic(topic), publishing.check_key(idempotency_key)
        step_id = self._claim(topic, PUBLISH)
        message = publishing.message(step_id, topic, data, key, self._core.segment.assignment.run_id)
        return self._called(step_id, topic, self._publish(step_id, name, message))

    def parallel(
        self,
        name: str,
        branches: Iterable[Callable[[Branch], Any]],
        /,
        *,
        concurrency: int = 0,
        on_error: OnError = "fail_fast",
    ) -> Coroutine[Any, Any, list[Any]]:
        """Return what the branches return, by index; each is a task and is given its own steps.

        A branch is an `async def`, or a plain function that returns what is to be awaited or the
        value itself. At most `concurrency` run at once (0: all). With `on_error="fail_fast"` no
        further branch begins after a failure and, when those under way have ended, the error of the
        lowest index is raised; with "collect" errors are in the list. Branches that wait do so one
        after another. The name must be used once only. Raises `DefinitionError` for bad arguments.
        """
        forks.check_options(name, concurrency, on_error)
        given = forks.functions(name, branches)
        fork = self._forked(name, len(given), concurrency, on_error, lambda index: (given[index], 0))
        return self._called(fork, name, self._fork(fork, lambda index, branch: given[index](branch)))

    def map(
        self,
        name: str,
        items: Iterable[T],
        fn: Callable[[T, Branch], Any],
        /,
        *,
        concurrency: int = 0,
        on_error: OnError = "fail_fast",
    ) -> Coroutine[Any, Any, list[Any]]:
        """Return `fn(item, branch)` of every item, by index; the rest is as in `parallel`.

        `items` is read once, and must have the same order on every execution.
        """
        forks.check_options(name, concurrency, on_error)
        call, given = forks.item_function(name, fn), forks.listed(name, items)
        fork = self._forked(name, len(given), concurrency, on_error, lambda index: (call, 1))
        return self._called(fork, name, self._fork(fork, lambda index, branch: call(given[index], branch)))

    def compensate(self, step_name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        """Have `fn(*args, **kwargs)` undo a step, should the run fail for good. Not awaited.

        Compensations run then, the newest first, each as a step of its own: after an error that
        forbids another attempt, and after the last attempt where the function's `on_exhausted` is
        "fail". A run that pauses, is cancelled or times out undoes nothing. One that fails does not
        stop the others. They cannot call steps.
        """
        self._core.check(self._scope, step_name)
        self._core.undos.register(self._scope, step_name, fn, args, kwargs)

    def _claim(self, name: str, prefix: str = "") -> str:
        self._core.check(self._scope, name)
        return self._scope.claim(name, prefix)

    def _named(self, step_id: str, name: str, waited: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        """Return what a step gives, noting where it was called by a name of the caller's choice."""
        frame = sys._getframe(2)
        place = frame.f_code, frame.f_lasti
        self._core.unbegun[step_id] = waited, name, place
        first = self._scope.places.setdefault(name, place)
        if first is not place and first != place:
            teaching.repeated(self._core.segment, name, first, place)
        return waited

    def _called(self, key: object, name: str, waited: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        """Return what a step gives, noting where it was called; its name is given by what it does."""
        frame = sys._getframe(2)
        self._core.unbegun[key] = waited, name, (frame.f_code, frame.f_lasti)
        return waited

    def _forked(
        self, name: str, count: int, concurrency: int, on_error: OnError, code: Callable[[int], forks.Code]
    ) -> Fork:
        self._core.check(self._scope, name)
        return Fork(name, self._scope.branch(name, count), concurrency, on_error, code)

    def _fork(self, fork: Fork, call: Callable[[int, Branch], Any]) -> Coroutine[Any, Any, list[Any]]:
        return self._core.fork(
            self._scope, fork, lambda index: call(index, Branch(self._core, fork.scopes[index], index))
        )

    async def _wait(self, wanted: Yield) -> None:
        await self._core.wait(self._scope, wanted)

    async def _event(self, name: str, wanted: Yield) -> Event:
        row = await self._core.wait(self._scope, wanted)
        return events.of_output(name, row.output, namespace=self._core.segment.function.namespace)

    async def _child_output(self, function_id: str, wanted: Yield) -> Any:
        return waits.child_output(await self._core.wait(self._scope, wanted), function_id)

    async def _child_run(self, function_id: str, wanted: Yield) -> Invoked:
        return waits.child_run(await self._core.wait(self._scope, wanted), function_id)

    async def _publish(self, step_id: str, name: str, message: publishing.Message) -> Published:
        recorded = await self._core.publish(self._scope, step_id, name, message)
        return publishing.of_output(message.topic, recorded)


class Branch(Step):
    """The steps of one branch, to be used in it only; `index` is its number, from 0."""

    __slots__ = ("index",)

    def __init__(self, core: LoopedCore, scope: Scope, index: int) -> None:
        super().__init__(core, scope)
        self.index = index
