"""How the steps of a plain `def` handler are executed, in its thread and in those of its branches."""

from __future__ import annotations

import contextvars
import functools
import inspect
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

from ironflow_lab.errors import InvalidArgumentError, NonRetryableError
from ironflow_lab.models.workers import CompletedStep, Yield
from ironflow_lab.runtime import publishing, teaching, waits
from ironflow_lab.runtime.attempt import FAILURES, Attempt, check_place, timed_out, within
from ironflow_lab.runtime.branches import Fork
from ironflow_lab.runtime.compensation import Undos
from ironflow_lab.runtime.journal import Scope
from ironflow_lab.runtime.outcome import Yielded
from ironflow_lab.runtime.segment import Segment
from ironflow_lab.runtime.signals import Abandoned, Suspended, penalty
from ironflow_lab.runtime.tools import Tools

# How often a thread that waits looks whether its segment was given up, in seconds.
LOOK = 1.0


class ThreadedCore:
    """What the steps of one plain handler and of its branches share; from any thread.

    Such a handler cannot be stopped from outside, so a pause is reached only when one of its
    threads asks for a step: its code never goes on in a run that is paused.
    """

    __slots__ = ("_changed", "_held", "_overrules", "_told", "segment", "tools", "undos")

    def __init__(self, segment: Segment, tools: Tools) -> None:
        self.segment = segment
        self.tools = tools
        self.undos = Undos()
        self._changed = threading.Condition(threading.RLock())
        self._held = 0
        self._told: dict[int, int] = {}
        self._overrules: dict[Scope, Callable[[], None]] = {}
        segment.core = self

    def claim(self, scope: Scope, name: str, prefix: str = "") -> str:
        """Return the id of the next step of this name."""
        check_place(self.segment, scope, name)
        with self._changed:
            return scope.claim(name, prefix)

    def branch(self, scope: Scope, name: str, count: int) -> list[Scope]:
        """Return the scopes of that many branches."""
        check_place(self.segment, scope, name)
        with self._changed:
            return scope.branch(name, count)

    def register(self, scope: Scope, name: str, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Remember what undoes a step."""
        check_place(self.segment, scope, name)
        with self._changed:
            self.undos.register(scope, name, fn, args, kwargs)

    def run(
        self,
        scope: Scope,
        step_id: str,
        name: str,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        limit: float | None,
    ) -> Any:
        """Return a step's output, executing its body unless that is recorded."""
        done = self.segment.journal.recall(step_id)
        if done is not None:
            return done.output
        self._begin(scope)
        attempt = Attempt(self.segment, step_id, name, self.tools.clock)
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
                scope.leave()
                self._look()
                self._changed.notify_all()
        self._save()
        return output

    def wait(self, scope: Scope, wanted: Yield) -> CompletedStep:
        """Return the record of what the run has waited for; without one, the segment ends here."""
        journal = self.segment.journal
        done = journal.settled(wanted.step_id)
        if done is not None:
            return done
        with self._changed:
            self._gate(scope)
            journal.suspend(scope, waits.placed(self.segment.function.namespace, wanted))
        return self._end(scope)

    def publish(self, scope: Scope, step_id: str, name: str, message: publishing.Message) -> Any:
        """Return the output of a step that publishes a message."""
        message = publishing.placed(self.segment.function.namespace, message)

        def send() -> dict[str, Any]:
            sending = self.tools.publish(message)
            try:
                while True:
                    try:
                        return publishing.output(sending.result(LOOK))
                    except TimeoutError:
                        if sending.done():
                            raise
                        self._check_abandoned()
            except InvalidArgumentError as error:
                raise publishing.refused(error) from error
            finally:
                # Of a segment that was given up nothing is sent any more.
                sending.cancel()

        return self.run(scope, step_id, name, send, (), {}, None)

    def fork(self, scope: Scope, fork: Fork, call: Callable[[int], Any]) -> list[Any]:
        """Return the values of branches; `call` is the code of one."""
        journal = self.segment.journal
        branches = _Branches(self, self._changed, fork, call)
        with self._changed:
            if not journal.ending(scope):
                branches.launch()
            while fork.running and not self.segment.abandoned:
                self._changed.wait(LOOK)
            fork.stop()
            if fork.wanted is not None:
                journal.suspend(scope, fork.wanted)
            ending = journal.ending(scope)
        teaching.idle(self.segment, fork)
        if ending:
            self._end(scope)
        return fork.results()

    def strand(self, scope: Scope, call: Callable[[], Any]) -> Any:
        """Execute the code of a branch and return its value, once its bodies have settled."""
        try:
            value = call()
            _refuse_coroutine(scope.id, value, "branch")
            return value
        finally:
            self.settled(scope)

    def overrule(self, scope: Scope, settle: Callable[[], None]) -> None:
        """Have `settle` called when a branch goes on past its end, so that nobody waits for it."""
        self._overrules[scope] = settle

    def unwind(self) -> None:
        """Run the compensations that are due, the newest first; one that fails does not stop the rest."""
        for step_id, name, undo in self.undos.due(self.segment.journal):
            if self.segment.abandoned:
                return
            attempt = Attempt(self.segment, step_id, name, self.tools.clock, undoes=undo.step_name)
            failure: BaseException | None = None
            try:
                _refuse_coroutine(name, undo.fn(*undo.args, **undo.kwargs))
            except FAILURES as error:
                failure = error
            finally:
                attempt.leave()
            attempt.undone(failure)
            self._save()

    def finish(self) -> None:
        """Return when the handler's end may count: bodies have settled and no pause is being decided."""
        journal = self.segment.journal
        with self._changed:
            while self.segment.boundary and not journal.closed:
                self._changed.wait(LOOK)
            journal.ended = True
        self.settled(journal.root)

    def pause(self) -> None:
        """Let no further step begin; the boundary is reached when one is asked for and none is in flight."""
        with self._changed:
            self.segment.journal.pausing = True
            self._look()

    def proceed(self) -> None:
        """Go on after a pause that did not come about."""
        with self._changed:
            self.segment.journal.pausing = self.segment.boundary = False
            self._changed.notify_all()

    def abandon(self) -> None:
        """End the waits of threads whose segment was given up."""
        with self._changed:
            self._changed.notify_all()

    def settled(self, scope: Scope) -> None:
        """Return once no step body is in flight in this scope."""
        with self._changed:
            while scope.busy and not self.segment.abandoned:
                self._changed.wait(LOOK)

    def _begin(self, scope: Scope) -> None:
        with self._changed:
            self._gate(scope)
            if not self.segment.journal.ending(scope):
                scope.enter()
                return
        self._end(scope)

    def _gate(self, scope: Scope) -> None:
        """Return when no pause is wanted or the scope ends; the lock is held."""
        journal = self.segment.journal
        while journal.pausing and not journal.ending(scope):
            self._held += 1
            self._look()
            self._changed.wait(LOOK)
            self._held -= 1

    def _in_thread(
        self, name: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], limit: float
    ) -> Any:
        ended: list[tuple[Any, BaseException | None]] = []
        woken = threading.Event()

        def done(value: Any, error: BaseException | None) -> None:
            ended.append((value, error))
            woken.set()

        context = contextvars.copy_context()
        ticket = self.tools.pool.submit(functools.partial(context.run, fn, *args, **kwargs), done)
        if not woken.wait(limit):
            self.tools.pool.disown(ticket)
            raise timed_out(name, limit, thread=True)
        value, error = ended[0]
        if error is not None:
            raise error
        return value

    def _save(self) -> None:
        if self.segment.function.durability == "step":
            saved = threading.Event()
            self.segment.when_saved(saved.set)
            saved.wait()

    def _end(self, scope: Scope) -> NoReturn:
        """End the thread's part from inside a step call, once the bodies in other threads have settled."""
        segment, thread = self.segment, threading.get_ident()
        swallowed = self._told.get(thread, 0)
        if swallowed:
            if segment.journal.yielded is not None:
                segment.conclude(Yielded(wanted=segment.journal.yielded))
            elif scope in self._overrules:
                self._overrules[scope]()
            time.sleep(penalty(swallowed))
        self.settled(scope)
        self._told[thread] = swallowed + 1
        raise Abandoned if segment.journal.closed else Suspended

    def _look(self) -> None:
        """Reach the boundary where a pause is wanted and nothing else is under way; the lock is held."""
        journal = self.segment.journal
        over = journal.ended or journal.closed or journal.yielded is not None
        if journal.pausing and self._held and not journal.root.busy and not over:
            self.segment.reach()

    def _check_abandoned(self) -> None:
        if self.segment.abandoned:
            raise Abandoned


class _Branches:
    """The threads of one fork; another branch begins when one has ended. `changed` guards it."""

    def __init__(
        self, core: ThreadedCore, changed: threading.Condition, fork: Fork, call: Callable[[int], Any]
    ) -> None:
        self._core = core
        self._changed = changed
        self._fork = fork
        self._call = call
        self._context = contextvars.copy_context()
        self._open: set[int] = set()

    def launch(self) -> None:
        """Begin as many branches as may; the lock is held."""
        while (index := self._fork.start()) is not None:
            scope = self._fork.scopes[index]
            strand = functools.partial(self._core.strand, scope, functools.partial(self._call, index))
            self._open.add(index)
            self._core.overrule(scope, functools.partial(self._overrule, index))
            context = within(scope, self._context)
            self._core.tools.threads.submit(
                functools.partial(context.run, strand), functools.partial(self._settle, index)
            )

    def _settle(self, index: int, value: Any, error: BaseException | None) -> None:
        with self._changed:
            if index in self._open:
                self._open.discard(index)
                self._fork.settle(index, value, error)
                self.launch()
                self._changed.notify_all()

    def _overrule(self, index: int) -> None:
        with self._changed:
            if index in self._open:
                self._open.discard(index)
                self._fork.overrule(index)
                self.launch()
                self._changed.notify_all()


def _refuse_coroutine(name: str, value: Any, what: str = "step") -> None:
    if inspect.iscoroutine(value):
        value.close()
        raise NonRetryableError(needs_async(name, what), code="ASYNC_STEP")


def needs_async(name: str, what: str = "step") -> str:
    """Return what is said of an `async def` body in a plain handler."""
    return (
        f"{what} {name!r:.60} has an `async def` body, which a plain handler cannot await; make the handler"
        " `async def` and await its steps"
    )
