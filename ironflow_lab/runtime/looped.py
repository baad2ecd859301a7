"""How the steps of an `async def` handler are executed, in its event loop."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from ironflow_lab.errors import InvalidArgumentError, IronflowWarning, NonRetryableError
from ironflow_lab.models.workers import CompletedStep, Yield
from ironflow_lab.runtime import publishing, teaching, waits
from ironflow_lab.runtime.attempt import FAILURES, Attempt, check_place, timed_out, within
from ironflow_lab.runtime.branches import Fork
from ironflow_lab.runtime.compensation import Undos
from ironflow_lab.runtime.function import is_async
from ironflow_lab.runtime.journal import Scope
from ironflow_lab.runtime.outcome import Yielded
from ironflow_lab.runtime.segment import Segment
from ironflow_lab.runtime.signals import Abandoned, Suspended, penalty
from ironflow_lab.runtime.tools import Tools

T = TypeVar("T")


class LoopedCore:
    """What the steps of one `async def` handler and of its branches share; in its event loop only.

    A strand is a task that calls steps: the handler, a branch, or a task the handler made.
    """

    __slots__ = ("_held", "_idle", "_overrules", "_strays", "_thread", "_told", "segment", "tools", "unbegun", "undos")

    def __init__(self, segment: Segment, tools: Tools) -> None:
        self.segment = segment
        self.tools = tools
        self.undos = Undos()
        self.unbegun: dict[object, teaching.Call] = {}
        self._thread = threading.get_ident()
        self._idle: list[tuple[Scope, asyncio.Future[None]]] = []
        self._held: list[asyncio.Future[None]] = []
        self._told: dict[asyncio.Task[Any] | None, int] = {}
        self._overrules: dict[Scope, Callable[[], None]] = {}
        self._strays: set[asyncio.Task[Any]] = set()
        segment.core = self
        if segment.journal.pausing:
            self._look()

    def check(self, scope: Scope, name: object) -> None:
        """Raise `NonRetryableError` where a step of this scope cannot be called from."""
        if threading.get_ident() != self._thread:
            raise NonRetryableError(
                f"step {name!r:.60} was called from another thread than its handler's event loop; await"
                " steps in the `async def` handler itself, or make the handler a plain `def`",
                code="WRONG_THREAD",
            )
        check_place(self.segment, scope, name)

    async def run(
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
        self.unbegun.pop(step_id, None)
        journal = self.segment.journal
        done = journal.recall(step_id)
        if done is not None:
            return done.output
        if journal.closed or journal.pausing or scope.waiting:
            await self._gate(scope)
        attempt = Attempt(self.segment, step_id, name, self.tools.clock)
        scope.enter()
        try:
            value = await self._execute(name, fn, args, kwargs, limit)
        except FAILURES as error:
            attempt.fail(error)
        else:
            output = attempt.succeed(value)
        finally:
            scope.leave()
            attempt.leave()
            self._stir()
        if self.segment.function.durability == "step":
            await self._saved()
        return output

    async def wait(self, scope: Scope, wanted: Yield) -> CompletedStep:
        """Return the record of what the run has waited for; without one, the segment ends here."""
        self.unbegun.pop(wanted.step_id, None)
        journal = self.segment.journal
        done = journal.settled(wanted.step_id)
        if done is not None:
            return done
        # Branches that are ready start their steps first: no further one starts after the yield.
        await asyncio.sleep(0)
        if journal.pausing:
            await self._gate(scope)
        journal.suspend(scope, waits.placed(self.segment.function.namespace, wanted))
        return await self._end(scope)

    async def publish(self, scope: Scope, step_id: str, name: str, message: publishing.Message) -> Any:
        """Return the output of a step that publishes a message."""
        message = publishing.placed(self.segment.function.namespace, message)

        async def send() -> dict[str, Any]:
            try:
                answer = await asyncio.wrap_future(self.tools.publish(message))
            except InvalidArgumentError as error:
                raise publishing.refused(error) from error
            return publishing.output(answer)

        return await self.run(scope, step_id, name, send, (), {}, None)

    async def fork(self, scope: Scope, fork: Fork, call: Callable[[int], Any]) -> list[Any]:
        """Return the values of branches; `call` begins the code of one."""
        self.unbegun.pop(fork, None)
        journal = self.segment.journal
        if journal.ending(scope):
            await self._end(scope)
        await _Branches(self, fork, call).over()
        teaching.idle(self.segment, fork)
        if fork.wanted is not None:
            journal.suspend(scope, fork.wanted)
        if journal.ending(scope):
            await self._end(scope)
        return fork.results()

    async def strand(self, scope: Scope, call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
        """Execute the code of a branch and return its value or error, once its bodies have settled."""
        value: Any = None
        failure: BaseException | None = None
        try:
            value = call()
            if inspect.isawaitable(value):
                value = await value
        except BaseException as error:  # noqa: BLE001 - a branch may raise anything; it becomes its result
            failure = error
        if scope.busy:
            await self.settled(scope)
        return value, failure

    def overrule(self, scope: Scope, settle: Callable[[], None]) -> None:
        """Have `settle` called when a branch goes on past its end, so that nobody waits for it."""
        self._overrules[scope] = settle

    def stray(self, task: asyncio.Task[Any]) -> None:
        """Remember a branch nobody waits for any more."""
        self._strays.add(task)

    async def unwind(self) -> None:
        """Run the compensations that are due, the newest first; one that fails does not stop the rest."""
        for step_id, name, undo in self.undos.due(self.segment.journal):
            attempt = Attempt(self.segment, step_id, name, self.tools.clock, undoes=undo.step_name)
            failure: BaseException | None = None
            try:
                await self._execute(name, undo.fn, undo.args, undo.kwargs, None)
            except FAILURES as error:
                failure = error
            finally:
                attempt.leave()
            attempt.undone(failure)
            if self.segment.function.durability == "step":
                await self._saved()

    def review(self, value: Any, failure: BaseException | None) -> BaseException | None:
        """Return the handler's failure, having told of steps that were called and never awaited."""
        if not self.unbegun:
            return failure
        lost, self.unbegun = list(self.unbegun.values()), {}
        waits = self.segment.journal.closed or self.segment.journal.yielded is not None
        try:
            teaching.unawaited(self.segment, lost, value, failure, waits=waits)
        except IronflowWarning as told:
            # Whoever turns warnings into errors wants the run to fail by them.
            return failure or told
        return failure

    async def finish(self) -> None:
        """Return when the handler's end may count: bodies have settled and no pause is being decided."""
        journal = self.segment.journal
        while self.segment.boundary and not journal.closed:
            await self._hold()
        journal.ended = True
        if journal.root.busy:
            await self.settled(journal.root)

    def close(self) -> None:
        """End what the handler has left behind."""
        for task in self._strays:
            task.cancel()

    def pause(self) -> None:
        """Let no further step begin; the boundary is reached when no body is in flight."""
        self.segment.journal.pausing = True
        self._look()

    def proceed(self) -> None:
        """Go on after a pause that did not come about."""
        self.segment.journal.pausing = self.segment.boundary = False
        self._release()

    def abandon(self) -> None:
        """End the waits of strands whose segment was given up; its handler is cancelled already."""
        self._release()
        waiters, self._idle = self._idle, []
        for _, waiter in waiters:
            _resolve(waiter, None)

    async def settled(self, scope: Scope) -> None:
        """Return once no step body is in flight in this scope."""
        while scope.busy and not self.segment.abandoned:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append((scope, waiter))
            await waiter

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
        ticket = self.tools.pool.submit(functools.partial(context.run, fn, *args, **kwargs), done)
        try:
            value, error = await ended
        except asyncio.CancelledError:
            self.tools.pool.disown(ticket)
            raise
        if error is not None:
            raise error
        return await value if inspect.isawaitable(value) else value

    async def _saved(self) -> None:
        loop = asyncio.get_running_loop()
        saved: asyncio.Future[None] = loop.create_future()

        def done() -> None:
            loop.call_soon_threadsafe(_resolve, saved, None)

        self.segment.when_saved(done)
        await saved

    async def _gate(self, scope: Scope) -> None:
        """Return when a step may begin here; it does not return where the segment ends."""
        journal = self.segment.journal
        while journal.pausing and not journal.ending(scope):
            await self._hold()
        if journal.ending(scope):
            await self._end(scope)

    async def _hold(self) -> None:
        held: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held.append(held)
        await held

    async def _end(self, scope: Scope) -> NoReturn:
        """End the strand from inside a step call, once the bodies beside it have settled."""
        segment, task = self.segment, asyncio.current_task()
        swallowed = self._told.get(task, 0)
        if swallowed:
            if segment.journal.yielded is not None:
                segment.conclude(Yielded(wanted=segment.journal.yielded))
            elif scope in self._overrules:
                self._overrules[scope]()
            await asyncio.sleep(penalty(swallowed))
        await self.settled(scope)
        self._told[task] = swallowed + 1
        raise Abandoned if segment.journal.closed else Suspended

    def _stir(self) -> None:
        if self._idle:
            ready = [waiter for scope, waiter in self._idle if not scope.busy]
            self._idle = [one for one in self._idle if one[0].busy]
            for waiter in ready:
                _resolve(waiter, None)
        if self.segment.journal.pausing:
            self._look()

    def _look(self) -> None:
        """Reach the boundary where a pause is wanted and nothing of the handler's end is under way."""
        journal = self.segment.journal
        if not (journal.root.busy or journal.ended or journal.closed or journal.yielded):
            self.segment.reach()

    def _release(self) -> None:
        held, self._held = self._held, []
        for one in held:
            _resolve(one, None)


class _Branches:
    """The tasks of one fork; a new one begins when another has ended."""

    def __init__(self, core: LoopedCore, fork: Fork, call: Callable[[int], Any]) -> None:
        self._core = core
        self._fork = fork
        self._call = call
        self._context = contextvars.copy_context()
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._tasks: dict[int, asyncio.Task[tuple[Any, BaseException | None]]] = {}

    async def over(self) -> None:
        """Return when every branch that began has settled."""
        self._launch()
        try:
            await self._over
        except asyncio.CancelledError:
            self._fork.stop()
            for task in self._tasks.values():
                task.cancel()
            while self._tasks:
                await asyncio.wait(self._tasks.values())
            raise

    def _launch(self) -> None:
        while (index := self._fork.start()) is not None:
            scope = self._fork.scopes[index]
            strand = self._core.strand(scope, functools.partial(self._call, index))
            task = self._loop.create_task(strand, context=within(scope, self._context))
            self._tasks[index] = task
            self._core.overrule(scope, functools.partial(self._overrule, index))
            task.add_done_callback(functools.partial(self._ended, index))
        if not self._fork.running:
            _resolve(self._over, None)

    def _ended(self, index: int, task: asyncio.Task[tuple[Any, BaseException | None]]) -> None:
        if self._tasks.pop(index, None) is not None:
            value, error = (None, asyncio.CancelledError()) if task.cancelled() else task.result()
            self._fork.settle(index, value, error)
            self._launch()

    def _overrule(self, index: int) -> None:
        task = self._tasks.pop(index, None)
        if task is not None:
            self._core.stray(task)
            self._fork.overrule(index)
            self._launch()


def _resolve(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)
