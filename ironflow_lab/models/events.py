"""Emitting events (IronflowService Emit, Trigger, TriggerSync; rpc.md section 6), Connect dialect."""

from __future__ import annotations

from typing import Any

import msgspec

from ironflow_lab.models.instant import Int32
from ironflow_lab.models.runs import Error, RunStatus


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
