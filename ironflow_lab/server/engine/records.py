"""The state a decision is made on: rows as the store loads them, with instants in nanoseconds."""

from __future__ import annotations

from typing import Any

import msgspec

from ironflow_lab.models.functions import RegisterFunctionRequest
from ironflow_lab.models.workers import CompletedStep


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
    due_step: str
    recording: str = ""


class StepState(msgspec.Struct, frozen=True, kw_only=True):
    """A step's row, as far as a report can change it; `output` and `error` are JSON text."""

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

    @classmethod
    def of(cls, row: dict[str, Any]) -> StepState:
        """Return the part of a row's parameters that makes it this step."""
        return cls(**{name: row[name] for name in cls.__struct_fields__})

    def begins_as(self, other: StepState) -> bool:
        """Return whether both tell of the same beginning, and of the same kind of end."""
        return self._beginning() == other._beginning()

    def _beginning(self) -> tuple[Any, ...]:
        return (self.name, self.type, self.status, self.attempt, self.started_at, self.sleep_until)


class ReportedRun(msgspec.Struct, frozen=True, kw_only=True):
    """The run a report is about; the rows of the steps it names, by step id, only where it is recorded."""

    run: RunState | None
    steps: dict[str, StepState] = {}


class DueRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run whose time has come; `sleep_began` is set only where it is recorded and slept."""

    run: RunState
    sleep_began: int = 0


class WorkerState(msgspec.Struct, frozen=True, kw_only=True):
    """A registered worker; `instance_id` is empty for workers that are not ours."""

    id: str
    function_ids: tuple[str, ...]
    instance_id: str


class QueuedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that may be handed out, with what its worker needs to know."""

    run: RunState
    event: EventState
    completed: tuple[CompletedStep, ...]
    next_sequence: int
