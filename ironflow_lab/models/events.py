"""Emitting events (IronflowService Emit, Trigger, TriggerSync; rpc.md section 6), Connect dialect."""

from __future__ import annotations

from typing import Any

import msgspec

from ironflow_lab.models.instant import Instant, Int32
from ironflow_lab.models.runs import NOT_SET, Error, RunStatus


class TriggerRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Record an event and start every function that matches it."""

    event: str = ""
    data: Any = None
    data_value: Any = msgspec.UNSET
    idempotency_key: str = ""
    metadata: dict[str, Any] | None = None
    version: Int32 = 0


class TriggerResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The event's id and the runs it started."""

    run_ids: tuple[str, ...] = ()
    event_id: str = ""
    error: Error | None = None


class TriggerSyncRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`TriggerRequest` that also waits; `timeout_ms` 0 means 30,000."""

    event: str = ""
    data: Any = None
    data_value: Any = msgspec.UNSET
    idempotency_key: str = ""
    timeout_ms: Int32 = 0
    metadata: dict[str, Any] | None = None
    version: Int32 = 0


class RunResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How one run stood when the wait ended; `wait_timed_out` means it still goes on."""

    run_id: str = ""
    function_id: str = ""
    status: RunStatus = RunStatus("")
    output: Any = None
    output_value: Any = msgspec.UNSET
    error: Error | None = None
    duration_ms: int = 0
    wait_timed_out: bool = False


class TriggerSyncResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One result per run the event started."""

    results: tuple[RunResult, ...] = ()
    event_id: str = ""


class TriggerBatchRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Several events in one call."""

    events: tuple[TriggerRequest, ...] = ()


class TriggerBatchResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One result per event, in order; one that was refused has its `error` and no event id."""

    results: tuple[TriggerResponse, ...] = ()


class InvokeFunctionRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Start one run of the named function, without matching any trigger."""

    function_id: str = ""
    data: Any = None
    data_value: Any = msgspec.UNSET
    idempotency_key: str = ""


class InvokeFunctionResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The run, and the event that was recorded as its input."""

    run_id: str = ""
    event_id: str = ""


class InvokeFunctionSyncRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`InvokeFunctionRequest` that also waits; `timeout_ms` 0 means 30,000."""

    function_id: str = ""
    data: Any = None
    timeout_ms: Int32 = 0
    idempotency_key: str = ""
    metadata: dict[str, Any] | None = None
    data_value: Any = msgspec.UNSET


class InvokeFunctionSyncResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How the run stood when the wait ended."""

    result: RunResult = RunResult()


class RedactEventRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Replace an event's payload by a marker, for good."""

    event_id: str = ""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded event as REST tells it (rest.md section 3): plain snake_case JSON."""

    id: str = ""
    name: str = ""
    data: Any = None
    version: int = 1
    source: str = ""
    idempotency_key: str = ""
    metadata: dict[str, Any] | None = None
    timestamp: Instant = NOT_SET
    created_at: Instant = NOT_SET
    run_id: str = ""
    emitted_by: str = ""
    processed: bool = True
    environment_id: str = ""


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of events, newest first; `approx_total` is None where the server does not count."""

    events: tuple[Event, ...] = ()
    count: int = 0
    limit: int = 0
    has_next: bool = False
    has_prev: bool = False
    next_cursor: str = ""
    prev_cursor: str = ""
    approx_total: int | None = None
    approx_total_capped: bool = False


class EventName(msgspec.Struct, frozen=True, kw_only=True):
    """An event name and how many of the scanned events bear it."""

    name: str = ""
    count: int = 0


class EventNames(msgspec.Struct, frozen=True, kw_only=True):
    """Which names the scanned events bear; `truncated` when older events were not scanned."""

    names: tuple[EventName, ...] = ()
    scan_cap: int = 0
    scanned: int = 0
    truncated: bool = False
