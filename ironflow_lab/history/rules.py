"""The fold rules: what one audit event makes of the run's own state and of one step's."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from ironflow_lab.history.payloads import instant, number, text, value
from ironflow_lab.history.snapshot import RunState, StepState
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import NOT_SET
from ironflow_lab.wire.stepid import step_name

RUN_TYPES = frozenset({"run.created", "run.status_changed", "run.paused", "run.resumed"})
STEP_TYPES = frozenset({"step.started", "step.completed", "step.failed", "step.patched", "step.injected"})
_UNDERWAY = {"sleep": "sleeping", "wait_for_event": "waiting"}


def run_after(run: RunState, event_type: str, payload: dict[str, Any], at: Instant) -> RunState:
    """Return the run's own state after an event of one of `RUN_TYPES`."""
    if event_type == "run.created":
        return RunState(
            status=text(payload, "status", "waiting_for_capacity"),
            attempt=number(payload, "attempt") or 1,
            input=value(payload, "input"),
            created_at=at,
        )
    status = text(payload, "newStatus", run.status)
    attempt, output, error = number(payload, "attempt"), value(payload, "output"), value(payload, "error")
    return replace(
        run,
        status=status,
        attempt=run.attempt if attempt is None else attempt,
        output=run.output if output is UNSET else output,
        error=UNSET if status == "completed" else run.error if error is UNSET else error,
        worker_id=text(payload, "workerId") if status == "running" else "",
    )


def step_after(step: StepState, event_type: str, payload: dict[str, Any], at: Instant) -> StepState:
    """Return a step's state after an event of one of `STEP_TYPES`; a new step comes in as `new_step`."""
    if event_type == "step.started":
        return _started(step, payload, at)
    if not step.type:
        # It ended without having started: an old trail, or one cut short.
        step = replace(step, name=step_name(step.step_id), type="invoke")
    if event_type == "step.completed":
        return _completed(step, payload, at)
    if event_type == "step.failed":
        return _failed(step, payload, at)
    return _corrected(step, payload, patched=event_type == "step.patched")


def _started(step: StepState, payload: dict[str, Any], at: Instant) -> StepState:
    kind = text(payload, "stepType", step.type or "invoke")
    attempt = number(payload, "attempt")
    # What the attempt before left is gone; a correction stays one.
    return replace(
        step,
        name=text(payload, "stepName") or step.name or step_name(step.step_id),
        type=kind,
        status=text(payload, "rowStatus", _UNDERWAY.get(kind, "running")),
        attempt=step.attempt + 1 if attempt is None else attempt,
        output=UNSET,
        error=UNSET,
        started_at=instant(payload, "startedAt", at),
        completed_at=NOT_SET,
        duration_ms=None,
        until=instant(payload, "until"),
    )


def _completed(step: StepState, payload: dict[str, Any], at: Instant) -> StepState:
    return replace(
        step,
        status=text(payload, "rowStatus", "completed"),
        output=value(payload, "output"),
        error=UNSET,
        **_end(step, payload, at),
        duration_ms=number(payload, "durationMs"),
    )


def _failed(step: StepState, payload: dict[str, Any], at: Instant) -> StepState:
    duration = number(payload, "durationMs")
    return replace(
        step,
        status=text(payload, "rowStatus", "failed"),
        error=value(payload, "error"),
        **_end(step, payload, at),
        duration_ms=step.duration_ms if duration is None else duration,
    )


def _end(step: StepState, payload: dict[str, Any], at: Instant) -> dict[str, Any]:
    attempt = number(payload, "attempt")
    return {
        "attempt": step.attempt if attempt is None else attempt,
        "completed_at": instant(payload, "endedAt", at),
    }


def _corrected(step: StepState, payload: dict[str, Any], *, patched: bool) -> StepState:
    former, latter = ("originalOutput", "patchedOutput") if patched else ("previousOutput", "newOutput")
    kept = step.original_output
    return replace(
        step,
        status="completed",
        output=value(payload, latter),
        original_output=value(payload, former) if kept is UNSET else kept,
        patched=step.patched or patched,
        injected=step.injected or not patched,
        by=text(payload, "patchedBy" if patched else "injectedBy"),
        reason=text(payload, "reason"),
    )


def new_step(step_id: str, sequence: int) -> StepState:
    """Return a step of which nothing is known yet."""
    return StepState(step_id=step_id, sequence=sequence)
