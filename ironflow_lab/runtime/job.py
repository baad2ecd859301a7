"""The worker's side of one segment: ack, checkpoints as steps finish, and the report of its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from ironflow_lab.clock import Clock
from ironflow_lab.errors import ApiError, InvalidArgumentError, StaleExecutionError
from ironflow_lab.models.instant import format_instant
from ironflow_lab.models.workers import (
    Assignment,
    Fence,
    HeartbeatJob,
    JobFault,
    JobUpdate,
    StepResult,
    Yield,
)
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.outcome import Completed, Failed, Outcome, Yielded
from ironflow_lab.runtime.pace import Delays, Pace, Reach, Rules, Timer
from ironflow_lab.runtime.remote import WorkerCalls, accepted, fatal, passing, unreachable
from ironflow_lab.runtime.segment import Segment

MOST_STEPS = 500
MOST_BYTES = 4 * 1024 * 1024
_PER_STEP = 300


class End(Enum):
    """How a job ended, from the worker's point of view."""

    REPORTED = auto()
    PAUSED = auto()
    NOT_STARTED = auto()
    STALE = auto()
    REFUSED = auto()
    LOST = auto()


class Executor(Protocol):
    """What executes segments; `Runner` does."""

    def segment(self, assignment: Assignment, function: DurableFunction) -> Segment:
        """Return a segment that is ready to start."""
        ...

    def start(self, segment: Segment) -> None:
        """Begin to execute the segment."""
        ...

    def abandon(self, segment: Segment) -> None:
        """Give the segment up."""
        ...

    def pause(self, segment: Segment) -> None:
        """Let no further step of the segment begin."""
        ...

    def proceed(self, segment: Segment) -> None:
        """Let a segment go on whose pause did not come about."""
        ...

    def drain(self) -> None:
        """Deliver news that have not woken this loop yet."""
        ...

    def ping(self, answer: Callable[[], None]) -> None:
        """Call `answer` as soon as the loop of the handlers turns."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What all jobs of one worker use; `on_error` is told of each refusal and failure to send."""

    calls: WorkerCalls
    worker_id: str
    pace: Pace
    reach: Reach
    rules: Rules
    clock: Clock
    executor: Executor
    on_error: Callable[[ApiError], None]


class Job:
    """One assignment in hand. `run` is its whole life; `news` is told when its segment has some."""

    def __init__(self, segment: Segment, shared: Shared) -> None:
        self.segment = segment
        self.assignment: Assignment = segment.assignment
        self.started_at = shared.clock.now()
        self.steps = self.checkpoints = 0
        self._shared = shared
        self._bell = asyncio.Event()
        self._timer: Timer | None = None
        self._sending = False
        self._streaming = True
        self._reporting = False
        self._started = self.pausing = False
        self._reached = 0
        self._unsaved: list[StepResult] = []
        self._failures = self._refusals = 0
        self._refusal: ApiError | None = None
        base = self.assignment.step_sequence_base
        self._offset = len(self.assignment.completed_steps) if isinstance(base, UnsetType) else base
        self._eager = segment.function.durability == "step"
        segment.owner = self

    def beat(self) -> HeartbeatJob:
        """Return the job's line of a heartbeat."""
        return HeartbeatJob(job_id=self.assignment.job_id, started_at=format_instant(self.started_at))

    def news(self) -> None:
        """Note that the segment has new results or its outcome; in the worker's loop."""
        ended = self.segment.outcome is not None or self.segment.reached > self._reached
        if ended or (self._eager and not self._sending):
            self._bell.set()
        elif self._streaming and not self._sending and self._timer is None:
            # A run that ends within the grace needs no checkpoint: its report carries everything.
            self._timer = self._shared.pace.call_later(self._shared.rules.grace, self._bell.set)

    async def run(self) -> End:
        """Ack, execute, save and report; raises `ApiError` when the key is refused."""
        if not await self._ack():
            return End.NOT_STARTED
        if self.pausing and (end := await self._stop_here()) is not None:
            return end
        self._started = True
        self._shared.executor.start(self.segment)
        try:
            return await self._live()
        finally:
            self._silence()

    def pause(self) -> None:
        """Let the handler stop before its next step, and say so when no step is in flight."""
        if not self.pausing:
            self.pausing = True
            if self._started:
                self._shared.executor.pause(self.segment)

    async def flush(self) -> None:
        """Save what has finished, once and within the flush time, without reporting an end."""
        self._collect()
        self._failures = 0
        while self._streaming and self._unsaved and self._failures == 0:
            if not await self._checkpoint():
                return

    async def _live(self) -> End:
        while not await self._ended():
            if self.segment.reached > self._reached:
                self._reached = self.segment.reached
                if (end := await self._stop_here()) is not None:
                    return end
            elif self._streaming and self._unsaved and not await self._checkpoint():
                return End.STALE
        return await self._report()

    async def _stop_here(self) -> End | None:
        """Save everything and say that no step is in flight; None when the run is to go on."""
        status = ""
        saving = True
        while saving:
            batch = self._unsaved[: _fitting(self._unsaved)]
            saving = len(batch) < len(self._unsaved)
            try:
                status = await self._send(self._update("progress", tuple(batch), boundary=not saving))
            except ApiError as error:
                if fatal(error):
                    raise
                if isinstance(error, StaleExecutionError) or error.status == 409:
                    return End.STALE
                self._shared.on_error(error)
                if not passing(error):
                    break
                saving = True
                await self._retreat(error, self._shared.rules.checkpoint)
            else:
                self._saved(len(batch))
        if status == "paused":
            return End.PAUSED
        self.pausing = False
        if self._started:
            self._shared.executor.proceed(self.segment)
        if self.segment.announced:
            self._bell.set()
        return None

    async def _ack(self) -> bool:
        given = self.assignment
        fence = Fence(run_id=given.run_id, execution_seq=given.execution_seq, lease_token=given.lease_token)

        async def send() -> None:
            status = await self._shared.calls.ack(self._shared.worker_id, given.job_id, fence)
            self._heed(status.status)

        acked = await self._persist(send)
        self._failures = self._refusals = 0
        return acked is None

    async def _ended(self) -> bool:
        """Wait for news, and return whether it includes the outcome."""
        await self._bell.wait()
        self._bell.clear()
        self._silence()
        outcome = self.segment.outcome
        self._collect()
        return outcome is not None

    def _collect(self) -> None:
        taken = self.segment.collect()
        self.steps += len(taken)
        self._unsaved += taken

    def _silence(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _checkpoint(self) -> bool:
        """Send one batch of the unsaved steps; return False when the run is no longer ours."""
        batch = self._unsaved[: _fitting(self._unsaved)]
        self._sending = True
        try:
            self._heed(await self._send(self._update("progress", tuple(batch))))
        except StaleExecutionError:
            return False
        except ApiError as error:
            await self._not_saved(error)
        else:
            self._saved(len(batch))
        finally:
            self._sending = False
        reached = self.segment.reached > self._reached
        if self._unsaved or self.segment.outcome is not None or self.segment.announced or reached:
            self._bell.set()
        return True

    def _saved(self, count: int) -> None:
        del self._unsaved[:count]
        self._offset += count
        self.checkpoints += 1
        self._failures = self._refusals = 0
        self.segment.saved(self.steps - len(self._unsaved))

    async def _not_saved(self, error: ApiError) -> None:
        if fatal(error):
            raise error
        self._shared.on_error(error)
        if passing(error):
            # With the outcome known the report follows at once and carries everything.
            if self._reporting or self.segment.outcome is None:
                await self._retreat(error, self._shared.rules.checkpoint)
        else:
            # The server does not want checkpoints of this job: all goes with the report.
            self._streaming = False
            self.segment.saved()

    async def _retreat(self, error: ApiError, delays: Delays) -> None:
        """Wait before the same message is sent again; new results do not end it, the outcome does."""
        self._failures += 1
        self._refusals += not unreachable(error)
        wait = max(delays.after(self._failures), error.retry_after or 0.0)
        await self._shared.reach.pause(wait, self._bell, early=unreachable(error))

    async def _report(self) -> End:
        self._reporting = True
        self._failures = self._refusals = 0
        while self._streaming and self._unsaved and not self._fits():
            if not await self._checkpoint():
                return End.STALE
            if self._given_up():
                return End.LOST
        message = self._final()
        end = await self._persist(lambda: self._send(message))
        if end is End.REFUSED and isinstance(self._refusal, InvalidArgumentError):
            await self._persist(lambda: self._send(self._unreportable()))
        return end or End.REPORTED

    async def _persist(self, send: Callable[[], Awaitable[object]]) -> End | None:
        """Send until the server takes it (then return None), refuses it, or has failed too often."""
        while True:
            try:
                await send()
            except StaleExecutionError:
                return End.STALE
            except ApiError as error:
                if fatal(error):
                    raise
                if accepted(error):
                    return None
                self._shared.on_error(error)
                if not passing(error):
                    self._refusal = error
                    return End.REFUSED
                if self._given_up():
                    return End.LOST
                await self._retreat(error, self._shared.rules.report)
            else:
                return None

    def _given_up(self) -> bool:
        # An unreachable server has not refused: nothing else can happen to the run until it is back,
        # and the fence still guards it then.
        return self._refusals >= self._shared.rules.report_retries

    def _fits(self) -> bool:
        count = len(self._unsaved)
        room = MOST_BYTES - _size_of(self.segment.outcome)
        return count <= MOST_STEPS and sum(map(_size, self._unsaved)) <= room

    def _heed(self, status: str) -> None:
        if status == "pausing":
            self.pause()

    async def _send(self, message: JobUpdate) -> str:
        """Send a message and return the server's word on it, empty when its answer cannot be read."""
        status = ""
        try:
            status = (await self._shared.calls.update(self._shared.worker_id, self.assignment.job_id, message)).status
        except ApiError as error:
            if not accepted(error):
                raise
        self._shared.reach.up()
        return status

    def _update(self, status: str, steps: tuple[StepResult, ...], *, boundary: bool = False) -> JobUpdate:
        return JobUpdate(
            status=status,
            execution_seq=self.assignment.execution_seq,
            lease_token=self.assignment.lease_token,
            steps=steps,
            step_offset=self._offset,
            boundary=boundary or UNSET,
        )

    def _unreportable(self) -> JobUpdate:
        # Left alone, the run would come back at every lapse of its lease and be refused each time.
        message = f"the server refused this run's report: {self._refusal}"
        fault = JobFault(message=message, code="REPORT_REFUSED", retryable=False)
        return replace(self._update("failed", ()), error=fault)

    def _final(self) -> JobUpdate:
        assert self.segment.outcome is not None
        status, output, fault, wanted = _terms(self.segment.outcome)
        return JobUpdate(
            status=status,
            execution_seq=self.assignment.execution_seq,
            lease_token=self.assignment.lease_token,
            steps=tuple(self._unsaved),
            step_offset=self._offset,
            output=output,
            error=fault,
            yield_=wanted,
        )


def _terms(
    outcome: Outcome,
) -> tuple[str, Raw | UnsetType, JobFault | UnsetType, Yield | UnsetType]:
    match outcome:
        case Completed(output=output):
            return "completed", output, UNSET, UNSET
        case Failed(fault=fault):
            return "failed", UNSET, fault, UNSET
        case Yielded(wanted=wanted):
            return "yielded", UNSET, UNSET, wanted


def _fitting(steps: list[StepResult]) -> int:
    """Return how many of the first steps fit into one message, at least one."""
    total = 0
    for count, step in enumerate(steps[:MOST_STEPS]):
        total += _size(step)
        if total > MOST_BYTES and count:
            return count
    return min(len(steps), MOST_STEPS)


def _size(step: StepResult) -> int:
    return _PER_STEP + (memoryview(step.output).nbytes if isinstance(step.output, Raw) else 0)


def _size_of(outcome: Outcome | None) -> int:
    return memoryview(outcome.output).nbytes if isinstance(outcome, Completed) else 0
