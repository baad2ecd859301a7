"""Runs and steps of IronflowService (rpc.md section 6), Connect dialect.

A payload travels in two fields (rpc.md section 2, rule 8): objects in `input`, anything else in
`input_value`. Readers call `wire.payload.settle`, after which `input` holds the value either way.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from ironflow_lab.models.instant import Instant, Int32, Int64, Word

NOT_SET = Instant(0)


class RunStatus(Word):
    """One of waiting_for_capacity, running, waiting, paused, completed, failed, cancelled."""

    prefix: ClassVar[str] = "RUN_STATUS_"
    numbers: ClassVar[dict[int, str]] = {
        1: "pending",
        2: "running",
        3: "completed",
        4: "failed",
        5: "cancelled",
        6: "paused",
        7: "waiting_for_capacity",
        8: "waiting",
    }


TERMINAL = frozenset({"completed", "failed", "cancelled"})


class StepStatus(Word):
    """One of pending, running, completed, failed, sleeping, waiting, timed_out, retrying, dead."""

    prefix: ClassVar[str] = "STEP_STATUS_"
    numbers: ClassVar[dict[int, str]] = {
        1: "pending",
        2: "running",
        3: "completed",
        4: "failed",
        5: "sleeping",
        6: "waiting",
        7: "timed_out",
        8: "retrying",
        9: "dead",
    }


class StepType(Word):
    """One of invoke (a plain step), sleep, wait_for_event, compensate, invoke_function."""

    prefix: ClassVar[str] = "STEP_TYPE_"
    numbers: ClassVar[dict[int, str]] = {
        1: "invoke",
        2: "sleep",
        3: "wait_for_event",
        4: "compensate",
        5: "invoke_function",
    }


class ExecutionMode(Word):
    """`push` (the server calls an endpoint) or `pull` (a worker asks for jobs)."""

    prefix: ClassVar[str] = "EXECUTION_MODE_"
    numbers: ClassVar[dict[int, str]] = {1: "push", 2: "pull"}


class Error(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Why a run or a step failed."""

    message: str = ""
    code: str = ""
    stack: str = ""
    retryable: bool = False
    details: Any = None
    retry_after_ms: Int64 = Int64(0)


class Run(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One execution of one function for one event."""

    id: str
    function_id: str = ""
    event_id: str = ""
    event_name: str = ""
    execution_mode: ExecutionMode = ExecutionMode("")
    worker_id: str = ""
    actor_id: str = ""
    input: Any = None
    input_value: Any = msgspec.UNSET
    output: Any = None
    output_value: Any = msgspec.UNSET
    error: Error | None = None
    error_value: Any = msgspec.UNSET
    status: RunStatus = RunStatus("")
    attempt: int = 0
    max_attempts: int = 0
    started_at: Instant = NOT_SET
    ended_at: Instant = NOT_SET
    created_at: Instant = NOT_SET
    updated_at: Instant = NOT_SET
    pause_requested: bool = False
    pause_reason: str = ""
    function_version: int = 0
    resume_from_step: str = ""
    parent_run_id: str = ""
    parent_step_id: str = ""
    timeout_at: Instant = NOT_SET
    environment_id: str = ""
    version: int = 0
    claimed_by: str = ""
    claimed_at: Instant = NOT_SET
    cancellation_cause: str = ""


class Step(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One recorded step of a run; `id` is the row, `step_id` the deterministic key."""

    id: str
    run_id: str = ""
    step_id: str = ""
    step_type: StepType = StepType("")
    sequence: int = 0
    status: StepStatus = StepStatus("")
    input: Any = None
    input_value: Any = msgspec.UNSET
    input_hash: str = ""
    output: Any = None
    output_value: Any = msgspec.UNSET
    error: Error | None = None
    error_value: Any = msgspec.UNSET
    attempt: int = 0
    duration_ms: int = 0
    duration_ms_full: Int64 | None = None
    started_at: Instant = NOT_SET
    ended_at: Instant = NOT_SET
    original_output: Any = None
    original_output_value: Any = msgspec.UNSET
    patched_at: Instant = NOT_SET
    patched_by: str = ""
    compensation_for: str = ""
    sleep_until: Instant = NOT_SET
    wait_event_name: str = ""
    wait_timeout: Instant = NOT_SET
    created_at: Instant = NOT_SET
    updated_at: Instant = NOT_SET
    stored_status: str = ""
    child_run_id: str = ""


class RunRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`Run` for bulk reads: payloads stay JSON text and times stay text until a column needs them.

    Decoding 100,000 runs into columns costs a third of building `Run` records first
    (tests/bench/bench_decode.py), which is the only reason for a second view of the message.
    """

    id: str
    function_id: str = ""
    event_id: str = ""
    event_name: str = ""
    worker_id: str = ""
    input: msgspec.Raw = msgspec.Raw()
    input_value: msgspec.Raw = msgspec.Raw()
    output: msgspec.Raw = msgspec.Raw()
    output_value: msgspec.Raw = msgspec.Raw()
    error: Error | None = None
    status: str = ""
    attempt: int = 0
    max_attempts: int = 0
    started_at: str = ""
    ended_at: str = ""
    created_at: str = ""
    updated_at: str = ""
    pause_reason: str = ""
    function_version: int = 0
    parent_run_id: str = ""
    cancellation_cause: str = ""


class StepRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`Step` for bulk reads, as `RunRow` is for runs."""

    id: str
    run_id: str = ""
    step_id: str = ""
    step_type: str = ""
    sequence: int = 0
    status: str = ""
    output: msgspec.Raw = msgspec.Raw()
    output_value: msgspec.Raw = msgspec.Raw()
    error: Error | None = None
    attempt: int = 0
    duration_ms: int = 0
    started_at: str = ""
    ended_at: str = ""
    sleep_until: str = ""
    created_at: str = ""
    updated_at: str = ""


class GetRunRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Ask for one run."""

    id: str = ""


class ListRunsRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Ask for a page of runs, newest first; `cursor` wins over `offset`."""

    function_id: str = ""
    status: RunStatus = RunStatus("")
    since: Instant = NOT_SET
    until: Instant = NOT_SET
    limit: Int32 = 0
    cursor: str = ""
    offset: Int32 = 0
    search: str = ""
    event_id: str = ""
    statuses: tuple[RunStatus, ...] = ()


class ListRunsResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A page of runs; an empty `next_cursor` means the end."""

    runs: tuple[Run, ...] = ()
    next_cursor: str = ""
    total_count: int = 0


class RunRowPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`ListRunsResponse` for bulk reads."""

    runs: list[RunRow] = []
    next_cursor: str = ""
    total_count: int = 0


class GetRunStepsRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Ask for the steps of one run."""

    run_id: str = ""


class GetRunStepsResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The steps of one run, by sequence."""

    steps: tuple[Step, ...] = ()


class StepRowPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`GetRunStepsResponse` for bulk reads."""

    steps: list[StepRow] = []


class CancelRunRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """End a run that has not ended."""

    id: str = ""
    reason: str = ""


class DeleteRunRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Remove a run that has ended, and its steps."""

    id: str = ""


class DeleteRunsRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Remove runs that have ended, at most 10,000 a call; at least one filter, `until` bounds the creation."""

    function_id: str = ""
    status: RunStatus = RunStatus("")
    until: Instant = NOT_SET


class DeleteRunsResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How many runs this call removed; ask again until it is none."""

    deleted: Int64 = Int64(0)


class RedactStepRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Replace a step's payloads by a marker, for good; `step_id` is the step's row id."""

    step_id: str = ""


class RedactRunRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Replace the payloads of a run and of its steps by a marker, for good."""

    run_id: str = ""


class PatchStepRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Correct a step's output; `step_id` is the step's row id, its deterministic id is understood too."""

    step_id: str = ""
    output: Any = None
    reason: str = ""
    output_value: Any = msgspec.UNSET


class PauseRunRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Ask a run to stop at its next step boundary."""

    run_id: str = ""


class PauseRunResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`status` is `paused` when the run stands, `pause_requested` while a worker still executes it."""

    status: str = ""


class GetPausedStateRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Ask what a paused run has done and what comes next."""

    run_id: str = ""


class PausedStep(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A finished step of a paused run; `output` and `error` are JSON text, empty for none."""

    id: str = ""
    name: str = ""
    output: bytes = b""
    injected: bool = False
    completed_at: Instant = NOT_SET
    step_type: str = ""
    status: str = ""
    error: bytes = b""


class PausedState(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`GetPausedStateResponse`: the completed and failed steps in order, and what is known of the next one."""

    steps: tuple[PausedStep, ...] = ()
    next_step_hint: str = ""
    pause_reason: str = ""


class InjectStepOutputRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Replace a step's output while its run is paused; `new_output` is JSON text."""

    run_id: str = ""
    step_id: str = ""
    new_output: bytes = b""
    reason: str = ""


class InjectStepOutputResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The step and the output it had, as JSON text."""

    step_id: str = ""
    previous_output: bytes = b""


class ResumeRunRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Let a paused run go on, or retry a failed one; an empty `from_step` keeps all that is memoised."""

    run_id: str = ""
    from_step: str = ""


class Invoked(msgspec.Struct, frozen=True, kw_only=True):
    """What `step.invoke_async` returns: the run it started."""

    run_id: str
