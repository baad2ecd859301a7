"""The polling worker's REST dialect (worker.md section 3): plain snake_case JSON.

Optional fields are left out, never null (rulings.md 2): the official worker drops a job whose
optional field is null.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ironflow_lab.models.instant import Instant, Int32, Later

UNSET = msgspec.UNSET
UnsetType = msgspec.UnsetType


class WorkerVersion(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker runs on."""

    sdk: str = ""
    runtime: str = ""


class RegisterRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Announce a worker.

    `instance_id` is ours: a registration with the instance that is already registered keeps its
    leases, any other takes the worker id over and its runs go back to the queue. Other servers
    ignore the field.
    """

    worker_id: str = ""
    hostname: str = ""
    function_ids: tuple[str, ...] = ()
    max_concurrent_jobs: Int32 = 0
    labels: dict[str, str] = {}
    version: WorkerVersion = WorkerVersion()
    instance_id: str = ""


class HeartbeatJob(msgspec.Struct, frozen=True, kw_only=True):
    """One job a worker still has in hand."""

    job_id: str
    started_at: str = ""


class HeartbeatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Renew the leases of exactly the listed jobs."""

    worker_id: str = ""
    active_jobs: int = 0
    jobs: tuple[HeartbeatJob, ...] = ()


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to every worker call but the poll.

    `pausing` (to an ack or a checkpoint) asks a worker of ours to stop at the next step boundary and to
    say so by a checkpoint with `boundary`; `paused` is the answer to that: the job is over.
    """

    status: str = ""


class JobEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The event that started the run."""

    id: str
    name: str
    data: Any
    timestamp: Instant
    version: int = 1
    source: str | UnsetType = UNSET
    idempotency_key: str | UnsetType = UNSET
    metadata: dict[str, Any] | None = None


class CompletedStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step that is not to be run again; `status` is sent only for failed invokes."""

    step_id: str
    name: str
    output: Any = None
    status: str | UnsetType = UNSET
    error: Any = UNSET


class JobContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a job needs besides its event; the secrets' values show in no representation."""

    secrets: dict[str, str] = {}

    def __repr__(self) -> str:
        """Return the secrets' names."""
        return f"JobContext(secrets={sorted(self.secrets)!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return the secrets' names, for rich's printer."""
        return [("secrets", sorted(self.secrets))]


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """One segment of a run handed to a worker; the fence is `execution_seq` and `lease_token`."""

    job_id: str
    run_id: str
    function_id: str
    attempt: int
    event: JobEvent
    completed_steps: tuple[CompletedStep, ...]
    execution_seq: int
    lease_token: str
    max_attempts: int | UnsetType = UNSET
    on_exhausted: str | UnsetType = UNSET
    lease_expires_at: Instant | UnsetType = UNSET
    actor_id: str | UnsetType = UNSET
    step_sequence_base: int | UnsetType = UNSET
    context: JobContext | UnsetType = UNSET


class JobBatch(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a poll that found work."""

    jobs: tuple[Assignment, ...] = ()


class Poll(msgspec.Struct, frozen=True, kw_only=True):
    """What a poll brought.

    `held` says that the server held the poll, so that the next one may follow at once;
    `unreadable` counts jobs dropped because a required field was missing or wrong.
    """

    jobs: tuple[Assignment, ...] = ()
    held: bool = False
    unreadable: int = 0


class LeaseLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the lease connection: `type` is held, cancel or pause; the latter two name a run and a job."""

    type: str
    run_id: str = ""
    job_id: str = ""


class Fence(msgspec.Struct, frozen=True, kw_only=True):
    """Proof that a worker message belongs to the current segment; also the body of an ack."""

    run_id: str = ""
    execution_seq: int = 0
    lease_token: str = ""


class StepFault(msgspec.Struct, frozen=True, kw_only=True):
    """Why a step failed."""

    message: str
    retryable: bool = True
    stack: str | UnsetType = UNSET


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """One finished step; `type` is invoke or compensate, `status` completed or failed."""

    id: str
    name: str
    type: str = "invoke"
    status: str = "completed"
    started_at: str | UnsetType = UNSET
    ended_at: str | UnsetType = UNSET
    duration_ms: int | None = None
    output: Any = UNSET
    error: Any = UNSET
    compensation_for: str | UnsetType = UNSET


class JobFault(msgspec.Struct, frozen=True, kw_only=True):
    """Why a segment failed."""

    message: str
    code: str = "ERROR"
    retryable: bool = True
    retry_after_ms: int | UnsetType = UNSET


class Yield(msgspec.Struct, frozen=True, kw_only=True):
    """Why a segment ended without an outcome (worker.md section 4)."""

    step_id: str
    type: str
    step_name: str | UnsetType = UNSET
    until: Later | UnsetType = UNSET
    event_filter: Any = UNSET
    function_id: str | UnsetType = UNSET
    input: Any = UNSET
    invoke_timeout_ms: int | UnsetType = UNSET


class JobUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint (`status` progress) or the end of a segment (completed, failed, yielded).

    `boundary` is ours: no step is in flight, so a run that was asked to pause may stop here.
    """

    status: str
    execution_seq: int = 0
    lease_token: str = ""
    steps: tuple[StepResult, ...] = ()
    step_offset: Int32 = 0
    output: Any = UNSET
    error: JobFault | UnsetType | None = UNSET
    yield_: Yield | UnsetType | None = msgspec.field(default=UNSET, name="yield")
    boundary: bool | UnsetType = UNSET
