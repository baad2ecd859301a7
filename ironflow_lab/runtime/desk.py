"""The jobs a worker has in hand: asked about, begun, told of news, given up, counted."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from ironflow_lab.errors import ApiError
from ironflow_lab.models.instant import Instant, format_instant
from ironflow_lab.models.workers import Assignment, HeartbeatJob, JobFault, JobUpdate
from ironflow_lab.runtime import output
from ironflow_lab.runtime.compensation import terminal
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.job import End, Job, Shared
from ironflow_lab.runtime.outcome import Completed, Failed
from ironflow_lab.runtime.pace import Timer
from ironflow_lab.runtime.registry import Open, Registry
from ironflow_lab.runtime.remote import fatal, passing, unreachable
from ironflow_lab.runtime.revival import resumed
from ironflow_lab.runtime.segment import Segment
from ironflow_lab.runtime.status import Counts, JobStatus

log = logging.getLogger("ironflow_lab.runtime")

# After this many seconds a loop that does not turn is worth a warning.
BLOCKED = 5.0


class Inquiry:
    """A job that begins once the server has said with which code its run began."""

    def __init__(self, assignment: Assignment, task: asyncio.Task[str], started_at: int) -> None:
        self.assignment, self.task, self.started_at = assignment, task, started_at
        self.pausing = self.dropped = False

    def drop(self) -> None:
        """Let the job not begin."""
        # Kept apart from the task, which may have ended in this moment.
        self.dropped = True
        self.task.cancel()

    def beat(self) -> HeartbeatJob:
        """Return the job's line of a heartbeat."""
        return HeartbeatJob(job_id=self.assignment.job_id, started_at=format_instant(self.started_at))

    def status(self) -> JobStatus:
        """Return how the job stands."""
        given = self.assignment
        return JobStatus(
            job_id=given.job_id,
            run_id=given.run_id,
            function_id=given.function_id,
            attempt=given.attempt,
            started_at=Instant(self.started_at),
            pausing=self.pausing,
        )


class Desk:
    """Jobs by id, each with the task that lives its life; all of it in the worker's loop.

    A job whose run began with code that is not known here is in hand too while the server is asked for
    it (`ask`, which raises `ApiError`): its slot is counted, its lease renewed. `on_fatal` is told when the
    server refuses the worker's key.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        shared: Shared,
        ask: Callable[[Assignment], Coroutine[Any, Any, str]],
        on_fatal: Callable[[ApiError], None],
    ) -> None:
        self.jobs: dict[str, Job] = {}
        self.inquiries: dict[str, Inquiry] = {}
        self.counts = Counts()
        self.freed = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[End]] = {}
        self._strays: set[asyncio.Task[None]] = set()
        self._registry = registry
        self._executor = shared.executor
        self._shared = shared
        self._ask = ask
        self._on_fatal = on_fatal
        self._ticker: Timer | None = None
        self._pinged: float | None = None
        self._warned = False

    def take(self, assignments: Iterable[Assignment]) -> None:
        """Begin the assigned jobs; one that is in hand already is ignored."""
        for assignment in assignments:
            if assignment.job_id in self.jobs or assignment.job_id in self.inquiries:
                continue
            self._supersede(assignment.run_id)
            chosen = self._registry.choose(assignment)
            if chosen is None:
                self._refuse(assignment)
            elif isinstance(chosen, Open):
                self._inquire(assignment)
            else:
                self._begin(assignment, chosen)

    def deliver(self, segment: Segment) -> None:
        """Tell the segment's job that there is news."""
        if segment.outcome is not None:
            # Before the report leaves: the run's next segment may arrive before its answer.
            self._registry.pin(segment.assignment.run_id, segment.function)
        segment.owner.news()

    def beats(self) -> tuple[HeartbeatJob, ...]:
        """Return the heartbeat lines of the jobs in hand."""
        asked = (inquiry.beat() for inquiry in self.inquiries.values())
        return (*(job.beat() for job in self.jobs.values()), *asked)

    @property
    def load(self) -> int:
        """How many jobs are in hand."""
        return len(self.jobs) + len(self.inquiries)

    def cancel(self, run_id: str, job_id: str) -> None:
        """Stop the job of that id, or of that run when no job is named."""
        for job in self._matching(run_id, job_id):
            self._abandon(job)
        for inquiry in self._asked(run_id, job_id):
            inquiry.drop()

    def pause(self, run_id: str, job_id: str) -> None:
        """Let the job of that id, or of that run when no job is named, stop before its next step."""
        for job in self._matching(run_id, job_id):
            job.pause()
        for inquiry in self._asked(run_id, job_id):
            inquiry.pausing = True

    def abandon_all(self) -> None:
        """Give every job up without a report; their leases run out."""
        for job in list(self.jobs.values()):
            self._abandon(job)
        for inquiry in list(self.inquiries.values()):
            inquiry.drop()

    async def idle(self) -> None:
        """Return once no job is in hand."""
        while self.load:
            await asyncio.wait({*self._tasks.values(), *(inquiry.task for inquiry in self.inquiries.values())})

    async def flush_all(self, seconds: float) -> None:
        """Give every job up, saving first what it has finished, for at most that many seconds."""
        jobs, tasks = list(self.jobs.values()), list(self._tasks.values())
        self.abandon_all()
        if tasks:
            await asyncio.wait(tasks)
            flushes = [asyncio.ensure_future(job.flush()) for job in jobs]
            limit = asyncio.ensure_future(self._shared.pace.sleep(seconds))
            pending = {*flushes, limit}
            while limit in pending and len(pending) > 1:
                _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()

    def status(self) -> tuple[JobStatus, ...]:
        """Return the jobs in hand; from any thread."""
        return tuple(
            JobStatus(
                job_id=job.assignment.job_id,
                run_id=job.assignment.run_id,
                function_id=job.assignment.function_id,
                attempt=job.assignment.attempt,
                started_at=Instant(job.started_at),
                steps=job.segment.recorded,
                doing=tuple(job.segment.doing.copy().values()),
                ending=job.segment.outcome is not None,
                pausing=job.pausing,
            )
            for job in list(self.jobs.values())
        ) + tuple(inquiry.status() for inquiry in list(self.inquiries.values()))

    def blocked_for(self) -> float:
        """Return for how many seconds the loop of the `async def` handlers has not turned."""
        pinged = self._pinged
        return 0.0 if pinged is None else max(0.0, self._shared.pace.monotonic() - pinged)

    def _inquire(self, assignment: Assignment) -> None:
        task = asyncio.get_running_loop().create_task(self._until_told(assignment))
        self.inquiries[assignment.job_id] = Inquiry(assignment, task, self._shared.clock.now())
        task.add_done_callback(functools.partial(self._answered, assignment))

    def _answered(self, assignment: Assignment, task: asyncio.Task[str]) -> None:
        inquiry = self.inquiries.pop(assignment.job_id)
        self.freed.set()
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or inquiry.dropped:
            self.counts.dropped += 1
        elif isinstance(error, ApiError):
            self._on_fatal(error)
        elif error is not None:
            log.error("job %s broke down before it began", assignment.job_id, exc_info=error)
        elif (function := self._registry.answered(assignment, task.result())) is None:
            self._refuse(assignment)
        else:
            self._begin(assignment, function)
            if inquiry.pausing:
                self.jobs[assignment.job_id].pause()

    async def _until_told(self, assignment: Assignment) -> str:
        """Ask until the server says; raises `ApiError` when it refuses the key."""
        failures = 0
        while True:
            try:
                return await self._ask(assignment)
            except ApiError as error:
                if not passing(error):
                    raise
                failures += 1
                self._shared.on_error(error)
                wait = max(self._shared.rules.report.after(failures), error.retry_after or 0.0)
                await self._shared.reach.pause(wait, asyncio.Event(), early=unreachable(error))

    def _begin(self, assignment: Assignment, function: DurableFunction) -> None:
        self._registry.begin(assignment.run_id, function, first=not resumed(assignment))
        segment = self._executor.segment(assignment, function)
        job = Job(segment, self._shared)
        self.jobs[assignment.job_id] = job
        self.counts.jobs += 1
        task = asyncio.get_running_loop().create_task(job.run())
        self._tasks[assignment.job_id] = task
        task.add_done_callback(functools.partial(self._finished, job))
        if self._ticker is None:
            self._ticker = self._shared.pace.call_later(self._shared.rules.tick, self._tick)

    def _finished(self, job: Job, task: asyncio.Task[End]) -> None:
        self.jobs.pop(job.assignment.job_id, None)
        self._tasks.pop(job.assignment.job_id, None)
        self.freed.set()
        self.counts.steps += job.steps
        self.counts.checkpoints += job.checkpoints
        error = None if task.cancelled() else task.exception()
        if error is None and not task.cancelled() and task.result() is End.REPORTED:
            self._settle(job)
            return
        if error is None and not task.cancelled() and task.result() is End.PAUSED:
            self.counts.paused += 1
        else:
            self.counts.dropped += 1
        if job.segment.outcome is None and not job.segment.abandoned:
            self._give_up(job.segment)
        if isinstance(error, ApiError) and fatal(error):
            self._on_fatal(error)
        elif error is not None:
            log.error("job %s broke down", job.assignment.job_id, exc_info=error)

    def _settle(self, job: Job) -> None:
        """Count a reported segment, and forget the code of a run that has ended."""
        outcome = job.segment.outcome
        if isinstance(outcome, Completed):
            self.counts.completed += 1
        elif isinstance(outcome, Failed):
            self.counts.failed += 1
        else:
            self.counts.yielded += 1
        if isinstance(outcome, Completed):
            self._registry.unpin(job.assignment.run_id)
        elif outcome is not None and terminal(outcome, job.assignment):
            self._registry.release(job.assignment.run_id)

    def _abandon(self, job: Job) -> None:
        task = self._tasks.get(job.assignment.job_id)
        if job.segment.outcome is None:
            self._give_up(job.segment)
        if task is not None:
            task.cancel()

    def _give_up(self, segment: Segment) -> None:
        # Its run may be handed out again at once, and then begins with the code it began with.
        self._registry.pin(segment.assignment.run_id, segment.function)
        self._executor.abandon(segment)

    def _supersede(self, run_id: str) -> None:
        """A run that is handed out again has a new fence: what still executes of it is stale."""
        for job in self._matching(run_id, ""):
            if job.segment.outcome is None:
                self._abandon(job)
        for inquiry in self._asked(run_id, ""):
            inquiry.drop()

    def _asked(self, run_id: str, job_id: str) -> list[Inquiry]:
        if job_id:
            return [self.inquiries[job_id]] if job_id in self.inquiries else []
        return [one for one in self.inquiries.values() if one.assignment.run_id == run_id]

    def _matching(self, run_id: str, job_id: str) -> list[Job]:
        if job_id:
            return [self.jobs[job_id]] if job_id in self.jobs else []
        return [job for job in self.jobs.values() if job.assignment.run_id == run_id]

    def _refuse(self, assignment: Assignment) -> None:
        if self._registry.waits(assignment.function_id):
            # It waits for its cell to be executed again: not to be failed, its lease runs out.
            log.warning("%s came before its function %r was defined", assignment.run_id, assignment.function_id)
            self.counts.dropped += 1
            return
        task = asyncio.get_running_loop().create_task(self._report_unknown(assignment))
        self._strays.add(task)
        task.add_done_callback(self._strays.discard)

    async def _report_unknown(self, assignment: Assignment) -> None:
        message = f"this worker has no function {assignment.function_id!r}; run the cell that defines it again"
        fault = JobFault(message=message, code="FUNCTION_NOT_FOUND", retryable=False)
        update = JobUpdate(
            status="failed",
            error=fault,
            execution_seq=assignment.execution_seq,
            lease_token=assignment.lease_token,
            step_offset=assignment.step_sequence_base or 0,
        )
        try:
            await self._shared.calls.update(self._shared.worker_id, assignment.job_id, update)
        except ApiError as error:
            self._shared.on_error(error)

    def _tick(self) -> None:
        self._ticker = None
        if not self.jobs:
            self._pinged, self._warned = None, False
            return
        # Results are normally delivered when the handlers' loop turns; a blocked one does not turn.
        self._executor.drain()
        self._look()
        self._ticker = self._shared.pace.call_later(self._shared.rules.tick, self._tick)

    def _look(self) -> None:
        running = [job for job in self.jobs.values() if job.segment.function.is_async]
        if self._pinged is None and running:
            self._pinged = self._shared.pace.monotonic()
            self._executor.ping(self._answer)
        elif self.blocked_for() > BLOCKED and not self._warned:
            self._warned = True
            functions = {job.assignment.function_id: job.segment for job in running}
            text = (
                f"an `async def` handler has blocked all others for {self.blocked_for():.0f} s (running:"
                f" {', '.join(sorted(functions))}); await what waits, or make the handler a plain `def`: those have"
                " threads of their own"
            )
            for segment in functions.values():
                output.note(segment, text)

    def _answer(self) -> None:
        self._pinged, self._warned = None, False
