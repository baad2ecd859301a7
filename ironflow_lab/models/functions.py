"""Function registration and reads (worker.md section 2, rpc.md section 6), Connect dialect."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from ironflow_lab.models.instant import Instant, Int32, Int64, Word
from ironflow_lab.models.runs import NOT_SET, ExecutionMode


class FunctionStatus(Word):
    """One of active, paused, archived."""

    prefix: ClassVar[str] = "FUNCTION_STATUS_"
    numbers: ClassVar[dict[int, str]] = {1: "active", 2: "paused", 3: "archived"}


class Trigger(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What starts a function: exactly one of `event` (wildcards allowed) and `cron`.

    `expression` is CEL that has to be true of the event: `data.total > 100 && name != "order.tested"`.
    """

    event: str = ""
    expression: str = ""
    cron: str = ""


class RetryConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A retry policy; zero or empty means the server's default (25 attempts, 1 s, x2, 300 s, pause)."""

    max_attempts: Int32 = 0
    initial_delay_ms: Int32 = 0
    backoff_factor: float = 0.0
    max_delay_ms: Int32 = 0
    on_exhausted: str = ""


class ConcurrencyConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """At most `limit` runs at once, per value of `key` when given."""

    limit: Int32 = 0
    key: str = ""


class DebounceConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Start one run with the last event, once none came for `period_ms`, or after `max_wait_ms`; per value of `key`."""

    period_ms: Int32 = 0
    key: str = ""
    max_wait_ms: Int64 = Int64(0)


class ThrottleConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Start at most `limit` runs in each `period_ms`, per value of `key` when given; the others wait."""

    limit: Int32 = 0
    period_ms: Int32 = 0
    key: str = ""


class CircuitBreakerConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Stop calling a push endpoint after `failure_threshold` failures, for `open_duration_ms` at first."""

    failure_threshold: Int32 = 0
    open_duration_ms: Int32 = 0
    max_open_duration_ms: Int32 = 0


class CancelOn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Cancel a run when an event of this name has the same value at `match`, a path in its data, as the run's own."""

    event: str = ""
    match: str = ""


class RegisterFunctionRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Create or update one function.

    `pause_behavior` is hold or release: whether a paused run keeps its place in its concurrency lane.
    """

    id: str = ""
    name: str = ""
    description: str = ""
    triggers: tuple[Trigger, ...] = ()
    retry: RetryConfig | None = None
    timeout_ms: Int32 = 0
    concurrency: ConcurrencyConfig | None = None
    preferred_mode: ExecutionMode = ExecutionMode("")
    endpoint_url: str = ""
    actor_key: str = ""
    secrets: tuple[str, ...] = ()
    recording: bool = False
    recording_profile: str = ""
    metadata: dict[str, Any] | None = None
    change_reason: str = ""
    debounce: DebounceConfig | None = None
    throttle: ThrottleConfig | None = None
    circuit_breaker: CircuitBreakerConfig | None = None
    cancel_on: tuple[CancelOn, ...] = ()
    pause_behavior: str = ""


class Function(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A registered function."""

    id: str
    name: str = ""
    description: str = ""
    triggers: tuple[Trigger, ...] = ()
    retry: RetryConfig | None = None
    timeout_ms: int = 0
    concurrency: ConcurrencyConfig | None = None
    preferred_mode: ExecutionMode = ExecutionMode("")
    endpoint_url: str = ""
    actor_key: str = ""
    status: FunctionStatus = FunctionStatus("")
    version: int = 0
    created_at: Instant = NOT_SET
    updated_at: Instant = NOT_SET
    recording: bool = False
    recording_profile: str = ""
    metadata: dict[str, Any] | None = None
    pause_behavior: str = ""


class RegisterFunctionResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The function as stored; `created` is False for an update or an unchanged definition."""

    function: Function
    created: bool = False


class GetFunctionRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Ask for one function."""

    id: str = ""


class ListFunctionsRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Ask for a page of functions; `name` matches a part of the name, `mode` is push or pull."""

    status: FunctionStatus = FunctionStatus("")
    limit: Int32 = 0
    cursor: str = ""
    name: str = ""
    mode: str = ""
    offset: Int32 = 0


class ListFunctionsResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A page of functions by id; an empty `next_cursor` means the end."""

    functions: tuple[Function, ...] = ()
    next_cursor: str = ""
    total_count: int = 0


class UpdateFunctionStatusRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Make a function active, paused or archived."""

    id: str = ""
    status: FunctionStatus = FunctionStatus("")


class DeleteFunctionRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Remove a function; its history and its runs stay."""

    id: str = ""


class FunctionHistoryEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One change of a function; the snapshot is the function after it (before it for a deletion).

    `change_type` is create, update, status_change, rollback or delete; `entity_version` counts changes.
    """

    event_id: str = ""
    entity_version: Int64 = Int64(0)
    function_id: str = ""
    function_snapshot: Function | None = None
    actor_id: str = ""
    change_reason: str = ""
    change_type: str = ""
    recorded_at: Instant = NOT_SET


class ListFunctionHistoryRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Ask for a page of changes, newest first; `from_version` is excluded, 0 begins with the newest."""

    function_id: str = ""
    limit: Int32 = 0
    from_version: Int64 = Int64(0)


class ListFunctionHistoryResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A page of changes, newest first."""

    entries: tuple[FunctionHistoryEntry, ...] = ()
    has_more: bool = False


class GetFunctionAtVersionRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Ask for one change by its `entity_version`."""

    function_id: str = ""
    version: Int64 = Int64(0)


class GetFunctionAtVersionResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The change."""

    entry: FunctionHistoryEntry = FunctionHistoryEntry()


class RollbackFunctionRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Make the snapshot of an `entity_version` current again, as a new change."""

    function_id: str = ""
    version: Int64 = Int64(0)
    change_reason: str = ""


class RollbackFunctionResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The function after the rollback."""

    function: Function
