"""States of a run at past instants (TimeTravelService of rpc.md section 6), Connect dialect.

Payloads travel as `bytes` that hold JSON text (base64 in Connect JSON): empty bytes are no payload.
"""

from __future__ import annotations

import msgspec

from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import NOT_SET


class StepSnapshot(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A step as it was; steps that had not started are absent from a snapshot."""

    step_id: str = ""
    name: str = ""
    type: str = ""
    sequence: int = 0
    status: str = ""
    output: bytes = b""
    error: bytes = b""
    original_output: bytes = b""
    started_at: Instant = NOT_SET
    completed_at: Instant = NOT_SET
    duration_ms: int = 0
    injected: bool = False
    patched: bool = False


class RunSnapshot(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A run as it was at `timestamp`."""

    run_id: str = ""
    function_id: str = ""
    status: str = ""
    input: bytes = b""
    steps: tuple[StepSnapshot, ...] = ()
    timestamp: Instant = NOT_SET
    created_at: Instant = NOT_SET


class GetRunStateAtRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Ask how a run was at an instant."""

    run_id: str = ""
    timestamp: Instant = NOT_SET


class GetRunStateAtResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The run as it was."""

    snapshot: RunSnapshot = RunSnapshot()


class GetRunTimelineRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Ask for all that happened to a run."""

    run_id: str = ""


class TimelineEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One moment of a run; `significant` ones are worth a tick on a scrubber."""

    id: str = ""
    event_type: str = ""
    step_id: str = ""
    step_name: str = ""
    summary: str = ""
    significant: bool = False
    timestamp: Instant = NOT_SET


class GetRunTimelineResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Every moment, oldest first."""

    events: tuple[TimelineEvent, ...] = ()


class GetStepOutputAtRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Ask for one step's output at an instant; `step_id` is the deterministic id or the row's."""

    run_id: str = ""
    step_id: str = ""
    timestamp: Instant = NOT_SET


class StepOutput(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A step's output as it was."""

    step_id: str = ""
    status: str = ""
    output: bytes = b""
    original_output: bytes = b""
    patched: bool = False
    injected: bool = False
