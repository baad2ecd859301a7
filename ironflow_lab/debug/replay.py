"""One execution of a handler with answers instead of its steps: replay, check and fork are made of it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import ctypes
import functools
import threading
from typing import Any

from ironflow_lab.debug import gate as gates
from ironflow_lab.debug import standins
from ironflow_lab.debug import world as worlds
from ironflow_lab.debug.answers import hidden
from ironflow_lab.debug.calls import Answers, Stop
from ironflow_lab.debug.cores import AsyncCore, Changed, PlainCore, Turns
from ironflow_lab.debug.given import assignment
from ironflow_lab.debug.loop import Loop
from ironflow_lab.debug.player import AtStep, Halted, Player, forever, lifted
from ironflow_lab.debug.replayed import Replayed, conclude
from ironflow_lab.debug.world import World
from ironflow_lab.errors import IronflowError
from ironflow_lab.history.recording import Recording
from ironflow_lab.models.workers import JobEvent
from ironflow_lab.runtime import execution, teaching
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.outcome import Outcome
from ironflow_lab.runtime.plainstep import PlainStep
from ironflow_lab.runtime.pool import DaemonPool
from ironflow_lab.runtime.publishing import Message
from ironflow_lab.runtime.segment import Segment
from ironflow_lab.runtime.step import Step
from ironflow_lab.runtime.tools import Tools

# In seconds: how long another thread may take to wake a handler that waits for nothing we know, and how
# often one that is to end is told so before it is left where it is.
_IDLE = 0.5
_LOOK = 0.5
_SLICE = 0.2
_TURNS = 10
_TELLS = 4


def execute(
    recording: Recording,
    function: DurableFunction,
    answers: Answers,
    *,
    gate: gates.Gate | bool = True,
    at_step: AtStep | None = None,
    until: str = "",
    patience: float | None = None,
    event: JobEvent | None = None,
) -> Replayed:
    """Return how the function's handler ends when its steps get these answers; nothing of it leaves this process.

    The handler is executed once, in a thread of its own, as the last attempt of the recorded run: behind
    the gate, with the recorded time and with chance seeded by the run's id. What it waits for passes at once.
    It ends at the first answer that says so, at the next step call after `until` (a label or a name), or after
    `patience` seconds of real time without the time at breakpoints (None: never; the stop button ends it).
    `at_step` is called in the handler's thread for each step call, before its answer is handed over, with the
    user's frame where that stands on the stack. `event` is the one that started the run, where it is at hand;
    without it, what is not known of it is noted.
    """
    path = hidden(recording.run.input)
    held = gates.Gate(f"the replay of {recording.run.id}") if gate is True else gate or None
    one = _Execution(recording, function, answers, gate=held, at_step=at_step, until=until, event=event)
    if path:
        one.player.end(
            Stop(
                reason=f"the input of the run is redacted at {path}: the code cannot be handed it. Replay it from"
                " where it is not redacted"
            )
        )
    else:
        one.run(patience)
    one.player.later = tuple(getattr(at_step, "notes", ()))
    return conclude(one.player, one.segment, recording, function, held)


class _Segment(Segment):
    """A segment that keeps the error it failed with."""

    __slots__ = ("error",)
    error: BaseException | None

    def conclude(self, outcome: Outcome, error: BaseException | None = None) -> None:
        """Set how the segment ended."""
        if self.outcome is None:
            self.error = error
        super().conclude(outcome, error)


class _Execution:
    """One handler under way in its own thread."""

    def __init__(
        self,
        recording: Recording,
        function: DurableFunction,
        answers: Answers,
        *,
        gate: gates.Gate | None,
        at_step: AtStep | None,
        until: str,
        event: JobEvent | None,
    ) -> None:
        run = recording.run
        self.world = World(run.id, run.started_at or run.created_at)
        self.player = Player(run.id, answers, self.world, at_step=at_step, until=until)
        self._function = function
        self._gate = gate
        self.segment = _Segment(
            assignment(recording, function, self.world, event), self._watched(function), announce=lambda _: None
        )
        self.segment.error = None
        self.player.segment, self.player.stubborn = self.segment, self._leave
        self._turns = Turns()
        self._tools = Tools(pool=_bodies(), threads=self._turns, clock=self.world, publish=_publish)
        self._over = threading.Event()
        self._left = False
        self._failure: BaseException | None = None

    def run(self, patience: float | None) -> None:
        """Execute the handler and return when it has ended, or was left."""
        with standins.placed(self._function.handler):
            self._begin(patience)
        if self._failure is not None:
            raise IronflowError("the handler could not be executed again") from self._failure

    def _begin(self, patience: float | None) -> None:
        context = contextvars.copy_context()
        call = self._async if self._function.is_async else self._plain
        thread = threading.Thread(target=context.run, args=(self._held, call), name="ironflow-replay", daemon=True)
        try:
            # The stop button may be pressed before this returns, and the handler has begun then.
            thread.start()
            self._wait(patience)
        except BaseException:
            self._interrupt(thread, "interrupted")
            raise
        if not self._over.is_set():
            self._interrupt(thread, f"its code took longer than {patience:g} s")

    def _wait(self, patience: float | None) -> None:
        if patience is None:
            # In slices: an interrupt right before a wait without an end would not be seen.
            while not self._over.wait(_SLICE):
                pass
            return
        stood = 0.0
        while not self._over.wait(patience):
            # A breakpoint takes as long as it takes.
            now = getattr(self.player.at_step, "seconds", 0.0)
            if now <= stood:
                return
            stood, patience = now, now - stood

    def _interrupt(self, thread: threading.Thread, why: str) -> None:
        self.player.end(Stop(reason=why))
        for _ in range(_TELLS):
            if self._over.wait(0.0) or thread.ident is None or not thread.is_alive():
                break
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Halted))
            self._over.wait(_LOOK)
        if thread.ident is not None and not self._left:
            thread.join(_LOOK)
        if thread.is_alive():
            self.world.note("its thread could not be ended and is left as it is")

    def _held(self, call: Any) -> None:
        try:
            call()
        except Halted:
            pass
        except BaseException as error:  # noqa: BLE001 - told where the replay was asked for
            self._failure = error
        finally:
            self._over.set()

    def _entered(self) -> contextlib.ExitStack:
        stack = contextlib.ExitStack()
        stack.enter_context(worlds.inside(self.world))
        if self._gate is not None:
            stack.enter_context(gates.enter(self._gate))
        return stack

    def _plain(self) -> None:
        with self._entered():
            execution.run_plain(self.segment, self._tools)

    def _leave(self) -> None:
        self._left = True
        self._over.set()
        forever()

    def _async(self) -> None:
        loop = Loop(self._idle, began=self.world.reached, patience=_IDLE)
        try:
            with self._entered():
                task = loop.main = loop.create_task(execution.run_async(self.segment, self._tools))
                task.add_done_callback(lambda _: loop.stop())
                loop.run_forever()
                if task.done() and not task.cancelled() and not isinstance(task.exception(), Halted | None):
                    self._failure = task.exception()
                self._clear(loop)
        finally:
            loop.close()

    def _idle(self) -> None:
        loop = asyncio.get_running_loop()
        self.player.end(Stop(reason="the code waits, outside its steps, for something that does not come in a replay"))
        loop.stop()

    def _clear(self, loop: Loop) -> None:
        """Let what is left in the loop end."""
        loop.idle = loop.stop
        loop.patience = 0.0
        for _ in range(_TURNS):
            left = asyncio.all_tasks(loop)
            if not left:
                break
            for task in left:
                task.cancel()
            loop.call_soon(loop.stop)
            loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())

    def _watched(self, function: DurableFunction) -> DurableFunction:
        """Return the function, its steps answered."""
        call, found = function.call, copy.copy(function)

        def begin(ctx: Any) -> Any:
            core = ctx.step._core
            if function.is_async:
                ctx.step = Step(AsyncCore(core, self.player), ctx.step._scope)  # type: ignore[arg-type]
            else:
                core._changed = Changed(self._turns)
                ctx.step = PlainStep(PlainCore(core, self.player), ctx.step._scope)  # type: ignore[arg-type]
            return call(ctx)

        def begin_plain(ctx: Any) -> Any:
            try:
                return begin(ctx)
            except Exception as error:
                self._failed(error)
                raise

        async def begin_async(ctx: Any) -> Any:
            try:
                return await begin(ctx)
            except Exception as error:
                self._failed(error)
                raise

        found.call = begin_async if function.is_async else begin_plain  # type: ignore[method-assign]
        teaching.hush(found)
        return found

    def _failed(self, error: BaseException) -> None:
        told = getattr(self.player.at_step, "failed", None)
        if told is not None and self.player.stop is None:
            with lifted():
                told(error)


@functools.cache
def _bodies() -> DaemonPool:
    """Return the threads of bodies that are executed for real."""
    return DaemonPool("ironflow-fork-step")


def _publish(message: Message) -> Any:
    raise IronflowError(f"nothing is published from here: {message.topic!r:.60}")
