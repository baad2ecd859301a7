"""The state a decision is made on: rows as the store loads them, with instants in nanoseconds."""

from __future__ import annotations

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
