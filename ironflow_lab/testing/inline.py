"""A worker that executes one segment at a time, saves each step as it ends, and can be killed."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import math
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import msgspec
from msgspec import UNSET

from ironflow_lab.clock import Clock
from ironflow_lab.errors import ApiError, IronflowError
from ironflow_lab.kernel import output as kernel
from ironflow_lab.kernel.taps import Capture
from ironflow_lab.models.pubsub import PublishResponse
from ironflow_lab.models.workers import Assignment, JobUpdate, StepResult
from ironflow_lab.runtime import execution
from ironflow_lab.runtime.capture import SegmentOutput
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.logs import LogLine
from ironflow_lab.runtime.outcome import Completed, Failed, Outcome, Yielded
from ironflow_lab.runtime.output import show_logs
from ironflow_lab.runtime.pool import DaemonPool
from ironflow_lab.runtime.publishing import Message
from ironflow_lab.runtime.segment import Segment
from ironflow_lab.runtime.tools import Tools
from ironflow_lab.server.engine import commands
from ironflow_lab.testing.cores import Observer
from ironflow_lab.testing.engine import ENV, Engine
from ironflow_lab.testing.turns import Turns
from ironflow_lab.testing.watch import PATIENCE, Killed, Watch, close, line

# How long a thread without work stays, in seconds: each of many worlds has its own.
_IDLE = 0.1
# How often the loop turns for a handler that is to end, before it is left where it is.
_TURNS = 10


class Lines:
    """Where output goes (`runtime.output.OutputSink`): to the process's own streams, and into `lines`."""

    def __init__(self, *, shown: bool) -> None:
        self.lines: list[LogLine] = []
        self._room = math.inf if shown else 0.0

    def context(self, place: object, capture: Capture) -> contextvars.Context:
        """Return a fresh context that is seen by `capture`."""
        return kernel.capture(None, capture)

    def room(self, place: object) -> float:
        """Return whether it is shown, as infinity or nothing."""
        return self._room

    def line(self, place: object, line: LogLine, state: str) -> None:
        """Keep a line."""
        self.lines.append(line)

    def note(self, place: object, line: LogLine, state: str) -> None:
        """Keep a line of ours."""
        self.lines.append(line)

    def state(self, place: object, function_id: str, run_id: str, state: str) -> None:
        """Do nothing."""


class InlineWorker:
    """Executes assignments in the calling thread, plain handlers and bodies in threads of their own.

    After each kill it is made anew by `restart`. `messages` are those that handlers published.
    """

    def __init__(self, engine: Engine, watch: Watch, clock: Clock, *, shown: bool) -> None:
        self.output = Lines(shown=shown)
        self.messages: list[Message] = []
        self._engine, self._watch, self._clock = engine, watch, clock
        self._instance = 0
        # A loop holds its tasks weakly.
        self._dead: list[tuple[asyncio.AbstractEventLoop, set[asyncio.Task[Any]]]] = []
        self._handlers = DaemonPool("ironflow-test-handler", idle=_IDLE)
        self._tools = Tools(
            # One body and one branch after the other: what they do has the same order each time.
            pool=DaemonPool("ironflow-test-step", limit=1, idle=_IDLE),
            threads=Turns("ironflow-test-branch", idle=_IDLE),
            clock=clock,
            publish=self._publish,
        )
        self._lock = threading.RLock()
        self._loop = asyncio.new_event_loop()
        show_logs()

    def restart(self, function_ids: tuple[str, ...]) -> None:
        """Register as a new process; what a dead one had in hand is queued again."""
        self._instance += 1
        self._engine.join(function_ids, self._instance)

    def close(self) -> None:
        """End; the code of killed handlers is closed now, once nothing of it counts."""
        self._loop.run_until_complete(self._bury())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _bury(self) -> None:
        self._watch.dying = self._watch.buried = True
        for loop, tasks in self._dead:
            for task in tasks:
                close(task.get_coro())
            loop.close()

    def execute(self, job: Assignment, function: DurableFunction) -> None:
        """Execute a segment and report how it ended, unless the worker was killed."""
        observer = Observer(self._watch, job)
        watched = observer.observed(function)
        output = SegmentOutput(job, function, sink=self.output, store=None, clock=self._clock)
        saver = _Saver(self._engine, observer, lock=self._lock, pipelined=function.durability == "pipelined")
        segment = Segment(job, watched, announce=saver.news, output=output)
        output.begin()
        context = self.output.context(function.place, output)
        if function.is_async:
            self._run_async(segment, saver, context)
        else:
            self._run_plain(segment, saver, context)
        if self._watch.dying:
            self._watch.idle()
        elif saver.failure is not None:
            raise saver.failure

    def _run_async(self, segment: Segment, saver: _Saver, context: contextvars.Context) -> None:
        loop = self._loop
        self._watch.arm(functools.partial(_stop, loop))
        task = loop.create_task(execution.run_async(segment, self._tools), context=context)
        task.add_done_callback(lambda _: loop.stop())
        saver.ended = lambda: loop.call_soon(loop.stop)
        if not self._watch.dying:
            # Until its end, its outcome, or a kill.
            loop.run_forever()
        if not (task.done() or self._watch.dying):
            self._leave(segment, task)
        if not task.done():
            loop.set_exception_handler(_say_nothing)
            self._dead.append((loop, asyncio.all_tasks(loop)))
            self._loop = asyncio.new_event_loop()
        elif not task.cancelled() and task.exception() is not None:
            raise IronflowError("the runtime could not execute the handler") from task.exception()

    def _leave(self, segment: Segment, task: asyncio.Task[None]) -> None:
        """Let a handler end that has its outcome, and give it up when it goes on all the same."""
        for _ in range(_TURNS):
            self._loop.call_soon(self._loop.stop)
            self._loop.run_forever()
            if task.done():
                return
            if not segment.abandoned:
                segment.abandoned = True
                task.cancel()
                segment.core.abandon()

    def _run_plain(self, segment: Segment, saver: _Saver, context: contextvars.Context) -> None:
        over = threading.Event()
        left = threading.Event()
        self._watch.arm(over.set)
        saver.ended = over.set

        def done(_: object, error: BaseException | None) -> None:
            left.set()
            over.set()

        call = functools.partial(context.run, execution.run_plain, segment, self._tools)
        self._handlers.submit(call, done)
        over.wait()
        if self._watch.dying:
            segment.journal.closed = segment.abandoned = True
            if segment.core is not None:
                segment.core.abandon()
            left.wait(PATIENCE)

    def _publish(self, message: Message) -> Future[PublishResponse]:
        answer: Future[PublishResponse] = Future()
        command = commands.Publish(
            env=ENV,
            topic=message.topic,
            data=msgspec.json.encode(message.data),
            idempotency_key=message.idempotency_key,
            run_id=message.run_id,
        )
        try:
            found = self._engine.ask(command)
        except ApiError as error:
            answer.set_exception(error)
        else:
            if not found.duplicate:
                self.messages.append(message)
            answer.set_result(found)
        return answer


class _Saver:
    """Saves what one segment reports, at once; each save is a moment at which the worker can die."""

    def __init__(self, engine: Engine, observer: Observer, *, lock: threading.RLock, pipelined: bool) -> None:
        self._engine, self._observer, self._lock = engine, observer, lock
        self._pipelined = pipelined
        self._job = observer.job
        base = self._job.step_sequence_base
        self._offset = len(self._job.completed_steps) if base is UNSET else base
        self._saved = 0
        self._over = False
        self.ended: Callable[[], object] = lambda: None
        self.failure: Exception | None = None

    def news(self, segment: Segment) -> None:
        """Take the segment's results and its outcome; raises `Killed` in the thread of a plain handler."""
        with self._lock:
            for result in segment.collect():
                if self._observer.watch.dying:
                    break
                self._save(result)
                segment.saved(self._saved)
            if segment.outcome is not None and not self._over:
                self._over = True
                self._report(segment)
                self.ended()
        if self._observer.watch.dying:
            segment.saved()
            if not segment.function.is_async and segment.outcome is None:
                raise Killed

    def _save(self, result: StepResult) -> None:
        passes, at = self._observer.passes, line()
        if passes("unsaved", result.id, at):
            return
        self._saved += 1
        if self._pipelined and self._saved > 1 and passes("segment unsaved", result.id, at):
            return
        if not self._observer.watch.withholds(self._job.job_id):
            self._send(self._update("progress", steps=(result,)))
            self._offset += 1
        passes("saved", result.id, at)

    def _report(self, segment: Segment) -> None:
        outcome = segment.outcome
        waits_at = outcome.wanted.step_id if isinstance(outcome, Yielded) else ""
        if outcome is None or self._observer.passes("unreported", waits_at):
            return
        self._send(self._update(**_terms(outcome)))

    def _update(self, status: str, **fields: Any) -> JobUpdate:
        return JobUpdate(
            status=status,
            execution_seq=self._job.execution_seq,
            lease_token=self._job.lease_token,
            step_offset=self._offset,
            **fields,
        )

    def _send(self, update: JobUpdate) -> None:
        try:
            self._engine.report(self._job, update)
        except ApiError as error:
            # Told where the run was asked for, not to the handler.
            self.failure = self.failure or error


def _terms(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Completed(output=output):
            return {"status": "completed", "output": output}
        case Failed(fault=fault):
            return {"status": "failed", "error": fault}
        case Yielded(wanted=wanted):
            return {"status": "yielded", "yield_": wanted}


def _stop(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_soon_threadsafe(loop.stop)


def _say_nothing(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Let a dead worker's tasks be forgotten."""
