"""The state a decision is made on: rows as the store loads them, with instants in nanoseconds."""

from __future__ import annotations

from typing import Any

import msgspec

from ironflow_lab.models.functions import RegisterFunctionRequest
from ironflow_lab.models.workers import CompletedStep, JobContext


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A run's own retry policy, fixed when the run is created (engine.md section 8)."""

    max_attempts: int = 25
    initial_delay_ms: int = 1_000
    backoff_factor: float = 2.0
    max_delay_ms: int = 300_000
    on_exhausted: str = "pause"

    def delay_ms(self, attempt: int, asked_ms: int | None) -> int:
        """Return the wait after attempt `attempt` failed; a handler's own wish is capped too."""
        if asked_ms is not None:
            return min(max(asked_ms, 0), self.max_delay_ms)
        try:
            grown = self.initial_delay_ms * self.backoff_factor ** (attempt - 1)
        except OverflowError:
            return self.max_delay_ms
        return int(min(grown, self.max_delay_ms))


class FunctionState(msgspec.Struct, frozen=True, kw_only=True):
    """A registered function."""

    id: str
    version: int
    status: str
    definition: RegisterFunctionRequest
    created_at: int
    updated_at: int


class EventState(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded event; `data` and `metadata` are JSON text."""

    id: str
    name: str
    data: bytes
    metadata: bytes | None
    version: int
    source: str
    idempotency_key: str
    at: int
    emitted_by: str = ""
    run_id: str = ""


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """One run's row."""

    id: str
    env: str
    function_id: str
    event_id: str
    status: str
    attempt: int
    policy: RetryPolicy
    timeout_ms: int
    executed_ns: int
    execution_seq: int
    lease_token: str
    worker_id: str
    created_at: int
    updated_at: int
    started_at: int
    claimed_at: int
    recording: str = ""
    parent_run_id: str = ""
    parent_step_id: str = ""
    pause_requested: bool = False
    pause_reason: str = ""
    lane: str = ""
    lane_limit: int = 0
    pause_holds: bool = True
    holding: bool = False
    eligible_at: int = 0


class Timer(msgspec.Struct, frozen=True, kw_only=True):
    """What a run waits for: kind is sleep, retry, event or child; `due_at` is its end or its timeout.

    An event ends the wait when its name is `event` and, where `path` is not empty, its text at `path`
    is `value`. `child` is the run, of function `child_function`, whose end ends the wait.
    """

    run_id: str
    env: str
    kind: str
    due_at: int
    step_id: str = ""
    event: str = ""
    path: str = ""
    value: str = ""
    child: str = ""
    child_function: str = ""


class StepState(msgspec.Struct, frozen=True, kw_only=True):
    """A step's row, as far as the engine decides on it; payloads are JSON text."""

    name: str
    type: str
    status: str
    attempt: int
    output: bytes | None
    error: bytes | None
    started_at: int
    ended_at: int
    duration_ms: int
    sleep_until: int
    compensation_for: str
    sequence: int = 0
    original_output: bytes | None = None
    patched_at: int = 0
    injected: bool = False
    wait_event: str = ""
    wait_until: int = 0
    child_run_id: str = ""

    @classmethod
    def of(cls, row: dict[str, Any]) -> StepState:
        """Return the part of a row's parameters that makes it this step."""
        return cls(**{name: row[name] for name in cls.__struct_fields__})

    def same(self, other: StepState) -> bool:
        """Return whether a report of `other` tells nothing new."""
        return msgspec.structs.replace(other, sequence=self.sequence) == self

    def begins_as(self, other: StepState) -> bool:
        """Return whether both tell of the same beginning, and of the same kind of end."""
        return self._beginning() == other._beginning()

    def _beginning(self) -> tuple[Any, ...]:
        return (self.name, self.type, self.status, self.attempt, self.started_at, self.sleep_until)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One run and what a decision about it may touch.

    `timer` is what the run waits for, `step` the row of the step that waits, `parent` the run that waits
    for this one's end.
    """

    run: RunState
    timer: Timer | None = None
    step: StepState | None = None
    parent: Case | None = None


class ReportedRun(msgspec.Struct, frozen=True, kw_only=True):
    """The run a report is about, and what it needs to be applied.

    `steps` are rows by step id: of the step that yields, and where the run is recorded of all the report
    names. `event` started the run, `child` is the function it invokes and `next_sequence` is the first free
    place for a step, where a yield asks for them.
    `cooperative` says that the worker can be asked to stop at a boundary.
    """

    case: Case | None = None
    steps: dict[str, StepState] = {}
    event: EventState | None = None
    child: FunctionState | None = None
    next_sequence: int = 0
    cooperative: bool = False


class CorrectedStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step by its deterministic id and its run."""

    run: RunState | None = None
    step_id: str = ""
    step: StepState | None = None


class ResumedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run and, where it shall go on from a step, all its steps: step id, row id and row, by sequence."""

    case: Case | None = None
    steps: tuple[tuple[str, str, StepState], ...] = ()


class WorkerState(msgspec.Struct, frozen=True, kw_only=True):
    """A registered worker; `instance_id` is empty for workers that are not ours."""

    id: str
    function_ids: tuple[str, ...]
    instance_id: str


class QueuedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that may be handed out, with what its worker needs to know; `free` is the room in its lane.

    `context` holds the secrets that its function declares, as far as they are kept.
    """

    run: RunState
    event: EventState
    completed: tuple[CompletedStep, ...]
    next_sequence: int
    free: int = 0
    context: JobContext | msgspec.UnsetType = msgspec.UNSET
