"""The jobs a worker has in hand: begun, told of news, given up, counted."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Iterable

from ironflow_lab.errors import ApiError
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.workers import Assignment, HeartbeatJob, JobFault, JobUpdate
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.job import End, Job, Shared
from ironflow_lab.runtime.outcome import Completed, Failed
from ironflow_lab.runtime.pace import Timer
from ironflow_lab.runtime.registry import Registry
from ironflow_lab.runtime.remote import fatal
from ironflow_lab.runtime.segment import Segment
from ironflow_lab.runtime.status import Counts, JobStatus

log = logging.getLogger("ironflow_lab.runtime")

# After this many seconds a loop that does not turn is worth a warning.
BLOCKED = 5.0


class Desk:
    """Jobs by id, each with the task that lives its life; all of it in the worker's loop.

    `on_fatal` is told when the server refuses the worker's key.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        shared: Shared,
        on_fatal: Callable[[ApiError], None],
    ) -> None:
        self.jobs: dict[str, Job] = {}
        self.counts = Counts()
        self.freed = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[End]] = {}
        self._strays: set[asyncio.Task[None]] = set()
        self._registry = registry
        self._executor = shared.executor
        self._shared = shared
        self._on_fatal = on_fatal
        self._ticker: Timer | None = None
        self._pinged: float | None = None
        self._warned = False

    def take(self, assignments: Iterable[Assignment]) -> None:
        """Begin the assigned jobs; one that is in hand already is ignored."""
        for assignment in assignments:
            if assignment.job_id in self.jobs:
                continue
            self._supersede(assignment.run_id)
            function = self._registry.resolve(assignment.run_id, assignment.function_id)
            if function is None:
                self._refuse(assignment)
            else:
                self._begin(assignment, function)

    def deliver(self, segment: Segment) -> None:
        """Tell the segment's job that there is news."""
        if segment.outcome is not None:
            # Before the report leaves: the run's next segment may arrive before its answer.
            self._registry.pin(segment.assignment.run_id, segment.function)
        segment.owner.news()

    def beats(self) -> tuple[HeartbeatJob, ...]:
        """Return the heartbeat lines of the jobs in hand."""
        return tuple(job.beat() for job in self.jobs.values())

    def cancel(self, run_id: str, job_id: str) -> None:
        """Stop the job of that id, or of that run when no job is named."""
        for job in self._matching(run_id, job_id):
            self._abandon(job)

    def pause(self, run_id: str, job_id: str) -> None:
        """Let the job of that id, or of that run when no job is named, stop before its next step."""
        for job in self._matching(run_id, job_id):
            job.pause()

    def abandon_all(self) -> None:
        """Give every job up without a report; their leases run out."""
        for job in list(self.jobs.values()):
            self._abandon(job)

    async def idle(self) -> None:
        """Return once no job is in hand."""
        while self._tasks:
            await asyncio.wait(set(self._tasks.values()))

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
                ending=job.segment.outcome is not None,
                pausing=job.pausing,
            )
            for job in list(self.jobs.values())
        )

    def blocked_for(self) -> float:
        """Return for how many seconds the loop of the `async def` handlers has not turned."""
        pinged = self._pinged
        return 0.0 if pinged is None else max(0.0, self._shared.pace.monotonic() - pinged)

    def _begin(self, assignment: Assignment, function: DurableFunction) -> None:
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
        if isinstance(outcome, Completed) or (isinstance(outcome, Failed) and not outcome.fault.retryable):
            self._registry.unpin(job.assignment.run_id)

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

    def _matching(self, run_id: str, job_id: str) -> list[Job]:
        if job_id:
            return [self.jobs[job_id]] if job_id in self.jobs else []
        return [job for job in self.jobs.values() if job.assignment.run_id == run_id]

    def _refuse(self, assignment: Assignment) -> None:
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
            names = ", ".join(sorted({job.assignment.function_id for job in running}))
            log.warning(
                "an `async def` handler has blocked all others for %.0f s (running: %s); await what"
                " waits, or make the handler a plain `def`: those have threads of their own",
                self.blocked_for(),
                names,
            )

    def _answer(self) -> None:
        self._pinged, self._warned = None, False
