"""What stands between a handler's steps and the runtime that executes them, to look on."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

from ironflow_lab.models.workers import Assignment, Yield
from ironflow_lab.runtime.function import DurableFunction, is_async
from ironflow_lab.runtime.plainstep import PlainStep
from ironflow_lab.runtime.step import Step
from ironflow_lab.testing.watch import Driven, Killed, Moment, Point, Watch, line_of
from ironflow_lab.wire import stepid


class Observer:
    """The watch of one segment: it knows whose points these are."""

    def __init__(self, watch: Watch, assignment: Assignment) -> None:
        self.watch = watch
        self.job = assignment
        self.handler: Any = None

    def passes(self, moment: Moment, step_id: str = "", at: int = 0) -> bool:
        """Note a point of this segment, and return whether the worker is dead."""
        return self.watch.passes(
            Point(
                moment=moment,
                function_id=self.job.function_id,
                run_id=self.job.run_id,
                job_id=self.job.job_id,
                step_id=step_id,
                line=at,
            )
        )

    def outside(self) -> None:
        """Note that the handler waits outside its steps."""
        self.passes("awaiting", at=line_of(self.handler))

    def inside(self, step_id: str) -> Callable[[], None]:
        """Return what notes that the body of a step waits."""

        def note() -> None:
            self.passes("inside", step_id)

        return note

    def seen(self) -> None:
        """Say nothing of a wait that has points of its own."""

    def counted(self, step_id: str, fn: Any) -> Any:
        """Return a body that is counted."""
        wrap = self.watch.async_body if is_async(fn) else self.watch.body
        return wrap(step_id, fn, self.inside(step_id))

    def observed(self, function: DurableFunction) -> DurableFunction:
        """Return the function, its handler counted and with steps that are looked at."""
        call, found = function.call, copy.copy(function)

        def begin(ctx: Any) -> Any:
            self.watch.handlers[self.job.run_id] += 1
            kind: Any = Step if function.is_async else PlainStep
            core: Any = AsyncCore if function.is_async else PlainCore
            ctx.step = kind(core(ctx.step._core, self), ctx.step._scope)
            return call(ctx)

        async def begin_async(ctx: Any) -> Any:
            self.handler = begin(ctx)
            return await Driven(self.handler, self.watch, self.outside)

        found.call = begin_async if function.is_async else begin  # type: ignore[method-assign]
        return found


class _Core:
    """The core it is made of, but for what is looked at."""

    def __init__(self, core: Any, observer: Observer) -> None:
        self._core = core
        self._observer = observer
        self._watch = observer.watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)


class AsyncCore(_Core):
    """Steps of an `async def` handler: once its worker is dead, none of them returns."""

    @property
    def undos(self) -> _Undos:
        """The compensations, counted when they run."""
        return _Undos(self._core.undos, self._observer)

    def run(self, scope: Any, step_id: str, name: str, fn: Any, args: Any, kwargs: Any, limit: Any) -> Any:
        """Execute a step."""
        body = self._observer.counted(step_id, fn)
        return self._quiet(self._core.run, scope, step_id, name, body, args, kwargs, limit)

    def wait(self, scope: Any, wanted: Yield) -> Any:
        """Wait as a step."""
        return self._quiet(self._core.wait, scope, wanted)

    def publish(self, scope: Any, step_id: str, name: str, message: Any) -> Any:
        """Publish as a step."""
        return self._quiet(self._core.publish, scope, step_id, name, message)

    def fork(self, scope: Any, fork: Any, call: Callable[[int], Any]) -> Any:
        """Execute branches, each of them watched."""

        def branch(index: int) -> Any:
            value = call(index)
            # A task of its own: the handler's waits do not show it.
            return Driven(value, self._watch, self._observer.outside) if inspect.isawaitable(value) else value

        return self._quiet(self._core.fork, scope, fork, branch)

    async def _quiet(self, call: Callable[..., Any], *args: Any) -> Any:
        # The runtime's own waits: the bodies inside have points of their own.
        return await Driven(call(*args), self._watch, self._observer.seen)


class PlainCore(_Core):
    """Steps of a plain handler: once its worker is dead, each of them ends its thread."""

    def register(self, scope: Any, name: str, fn: Any, args: Any, kwargs: Any) -> None:
        """Remember what undoes a step, counted when it runs."""
        step_id = _undoing(self._observer, name)
        self._core.register(scope, name, self._observer.counted(step_id, fn) if callable(fn) else fn, args, kwargs)

    def run(self, scope: Any, step_id: str, name: str, fn: Any, args: Any, kwargs: Any, limit: Any) -> Any:
        """Execute a step."""
        return self._alive(
            self._core.run(scope, step_id, name, self._observer.counted(step_id, fn), args, kwargs, limit)
        )

    def wait(self, scope: Any, wanted: Yield) -> Any:
        """Wait as a step."""
        self._alive(None)
        return self._core.wait(scope, wanted)

    def publish(self, scope: Any, step_id: str, name: str, message: Any) -> Any:
        """Publish as a step."""
        return self._alive(self._core.publish(scope, step_id, name, message))

    def fork(self, scope: Any, fork: Any, call: Callable[[int], Any]) -> Any:
        """Execute branches, one after the other."""
        with self._core.tools.threads.paused():
            return self._core.fork(scope, fork, call)

    def _alive(self, value: Any) -> Any:
        if self._watch.dying:
            raise Killed
        return value


class _Undos:
    """The compensations of an `async def` handler."""

    def __init__(self, undos: Any, observer: Observer) -> None:
        self._undos = undos
        self._observer = observer

    def register(self, scope: Any, name: Any, fn: Any, args: Any, kwargs: Any) -> None:
        """Remember what undoes a step."""
        step_id = _undoing(self._observer, name)
        counted = self._observer.counted(step_id, fn) if callable(fn) else fn
        self._undos.register(scope, name, counted, args, kwargs)


def _undoing(observer: Observer, name: Any) -> str:
    # Its number is known only when it is due; of several of one name the counts are those of all.
    return stepid.step_id(observer.job.run_id, f"compensate:{name}", 0)
