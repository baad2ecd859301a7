"""Starts, pauses and stops segments: `async def` handlers in the user loop, plain ones in threads."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
from collections.abc import Callable
from concurrent.futures import Future

from ironflow_lab.clock import Clock
from ironflow_lab.models.pubsub import PublishResponse
from ironflow_lab.models.workers import Assignment, JobFault
from ironflow_lab.runtime import execution
from ironflow_lab.runtime.capture import SegmentOutput
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.logs import LogStore
from ironflow_lab.runtime.mailbox import Mailbox
from ironflow_lab.runtime.outcome import Failed
from ironflow_lab.runtime.output import OutputSink
from ironflow_lab.runtime.pool import DaemonPool
from ironflow_lab.runtime.publishing import Message, Sending
from ironflow_lab.runtime.segment import Segment
from ironflow_lab.runtime.threads import LoopThread
from ironflow_lab.runtime.tools import Tools

log = logging.getLogger("ironflow_lab.runtime")

# How many plain step bodies of `async def` handlers may run at once.
BODIES = 32


class Runner:
    """The user's side of a worker; `deliver` is called in the io loop when a segment has news."""

    def __init__(
        self,
        *,
        io: LoopThread,
        user: LoopThread,
        sink: OutputSink,
        clock: Clock,
        deliver: Callable[[Segment], None],
        send: Sending,
        store: LogStore | None = None,
    ) -> None:
        self._io = io
        self._user = user
        self._sink = sink
        self._send = send
        self._store = store
        self._clock = clock
        self._news: Mailbox[Segment] = Mailbox(io, deliver)
        self._starts: Mailbox[Segment] = Mailbox(user, self._start_async)
        self._stops: Mailbox[Segment] = Mailbox(user, _cancel)
        self._calls: Mailbox[Callable[[], None]] = Mailbox(user, _call)
        self._handlers = DaemonPool("ironflow-handler")
        self._tools = Tools(
            pool=DaemonPool("ironflow-step", limit=BODIES),
            threads=DaemonPool("ironflow-branch"),
            clock=clock,
            publish=self._publish,
        )
        self._tasks: set[asyncio.Task[None]] = set()

    def segment(self, assignment: Assignment, function: DurableFunction) -> Segment:
        """Return a segment that is ready to start."""
        announce = self._announce_async if function.is_async else self._news.put
        output = SegmentOutput(assignment, function, sink=self._sink, store=self._store, clock=self._clock)
        return Segment(assignment, function, announce=announce, output=output)

    def start(self, segment: Segment) -> None:
        """Begin to execute the segment, from any thread."""
        if segment.function.is_async:
            self._starts.put(segment)
            return
        run = functools.partial(execution.run_plain, segment, self._tools)
        segment.work = self._handlers.submit(
            functools.partial(self._context(segment).run, run),
            lambda _, error: _settle(segment, error),
        )

    def abandon(self, segment: Segment) -> None:
        """Give a segment up: its handler is cancelled, and nothing it still does counts.

        A plain handler cannot be stopped from outside; it ends at its next step.
        """
        segment.abandoned = True
        if segment.outcome is None and segment.output is not None:
            segment.output.end("paused" if segment.boundary else "given up")
        segment.journal.closed = True
        segment.saved()
        if segment.function.is_async:
            self._stops.put(segment)
        elif segment.work is not None:
            self._handlers.disown(segment.work)
            if segment.core is not None:
                segment.core.abandon()

    def pause(self, segment: Segment) -> None:
        """Let no further step of the segment begin; it says when none is in flight."""
        if segment.function.is_async:
            self._calls.put(functools.partial(_pause, segment))
        else:
            _pause(segment)

    def proceed(self, segment: Segment) -> None:
        """Let a segment go on whose pause did not come about."""
        if segment.function.is_async:
            self._calls.put(segment.core.proceed)
        else:
            segment.core.proceed()

    def drain(self) -> None:
        """Deliver what has not been delivered; in the io loop."""
        self._news.drain()

    def ping(self, answer: Callable[[], None]) -> None:
        """Call `answer` in the user loop as soon as that turns."""
        self._user.loop.call_soon_threadsafe(answer)

    def _announce_async(self, segment: Segment) -> None:
        if self._user.owns():
            self._news.put_soon(segment, self._user.loop)
        else:
            self._news.put(segment)

    def _start_async(self, segment: Segment) -> None:
        if segment.abandoned:
            return
        run = execution.run_async(segment, self._tools)
        task = self._user.loop.create_task(run, context=self._context(segment))
        segment.work = task
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._ended, segment))

    def _ended(self, segment: Segment, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        _settle(segment, None if task.cancelled() else task.exception())

    def _context(self, segment: Segment) -> contextvars.Context:
        if segment.output is None:
            return contextvars.Context()
        segment.output.begin()
        return self._sink.context(segment.function.place, segment.output)

    def _publish(self, message: Message) -> Future[PublishResponse]:
        return asyncio.run_coroutine_threadsafe(self._send(message), self._io.loop)


def _cancel(segment: Segment) -> None:
    if segment.work is not None:
        segment.work.cancel()
    if segment.core is not None:
        segment.core.abandon()


def _pause(segment: Segment) -> None:
    # First the flag: a handler that starts in this moment sees it.
    segment.journal.pausing = True
    if segment.core is not None:
        segment.core.pause()


def _call(call: Callable[[], None]) -> None:
    call()


def _settle(segment: Segment, error: BaseException | None) -> None:
    """Give a segment an outcome where the execution itself broke down, so that its job can end."""
    if segment.outcome is None and not segment.abandoned:
        log.error("executing %s failed", segment.assignment.run_id, exc_info=error)
        message = f"the runtime could not execute the handler: {type(error).__name__}"
        segment.conclude(Failed(fault=JobFault(message=message, retryable=True)), error)
