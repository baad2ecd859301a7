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
SAGA_TYPES = frozenset({"saga.compensation.started", "saga.compensation.completed", "saga.compensation.failed"})
STEP_TYPES = SAGA_TYPES | {
    "step.started",
    "step.completed",
    "step.failed",
    "step.patched",
    "step.injected",
    "step.discarded",
}
PAUSE_REQUESTED, HELD = "pause_requested", "injection"
_UNDERWAY = {"sleep": "sleeping", "wait_for_event": "waiting", "invoke_function": "waiting"}


def run_after(run: RunState, event_type: str, payload: dict[str, Any], at: Instant) -> RunState:
    """Return the run's own state after an event of one of `RUN_TYPES`."""
    if event_type == "run.created":
        return RunState(
            status=text(payload, "status", "waiting_for_capacity"),
            attempt=number(payload, "attempt") or 1,
            input=value(payload, "input"),
            created_at=at,
            parent_run_id=text(payload, "parentRunId"),
            parent_step_id=text(payload, "parentStepId"),
        )
    status, reason = text(payload, "newStatus", run.status), text(payload, "reason")
    attempt, output, error = number(payload, "attempt"), value(payload, "output"), value(payload, "error")
    stays = status == run.status
    return replace(
        run,
        status=status,
        attempt=run.attempt if attempt is None else attempt,
        output=run.output if output is UNSET else output,
        error=UNSET if status == "completed" else run.error if error is UNSET else error,
        worker_id=text(payload, "workerId", run.worker_id if stays else "") if status == "running" else "",
        pause_requested=reason == PAUSE_REQUESTED or (stays and run.pause_requested),
        pause_reason=reason if status == "paused" else "",
    )


def step_after(step: StepState, event_type: str, payload: dict[str, Any], at: Instant) -> StepState:
    """Return a step's state after an event of one of `STEP_TYPES`; a new step comes in as `new_step`."""
    if event_type == "step.started":
        return _started(step, text(payload, "stepType", step.type or "invoke"), payload, at)
    if event_type == "saga.compensation.started":
        return _started(step, "compensate", payload, at)
    if not step.type:
        # It ended without having started: an old trail, or one cut short.
        kind = "compensate" if event_type in SAGA_TYPES else text(payload, "stepType", "invoke")
        name = text(payload, "stepName") or step_name(step.step_id)
        step = replace(step, name=name, type=kind, compensation_for=text(payload, "compensationTargetStep"))
    match event_type:
        case "step.completed":
            return _completed(step, value(payload, "output"), payload, at)
        case "saga.compensation.completed":
            return _completed(step, value(payload, "result"), payload, at)
        case "step.failed" | "saga.compensation.failed":
            return _failed(step, payload, at)
        case "step.discarded":
            return _discarded(step, payload)
    return _corrected(step, payload, patched=event_type == "step.patched")


def _started(step: StepState, kind: str, payload: dict[str, Any], at: Instant) -> StepState:
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
        event=text(payload, "event"),
        match=_match(payload),
        child_run_id=text(payload, "childRunId"),
        function_id=text(payload, "functionId"),
        input=value(payload, "input"),
        compensation_for=text(payload, "compensationTargetStep", step.compensation_for),
    )


def _match(payload: dict[str, Any]) -> Any:
    path = text(payload, "match")
    return {path: payload.get("value")} if path else UNSET


def _completed(step: StepState, output: Any, payload: dict[str, Any], at: Instant) -> StepState:
    return replace(
        step,
        status=text(payload, "rowStatus", "completed"),
        output=output,
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
    # The first correction tells the original one, which may be none.
    again = step.patched or step.injected
    return replace(
        step,
        status="completed",
        output=value(payload, latter),
        error=UNSET,
        original_output=step.original_output if again else value(payload, former),
        patched=step.patched or patched,
        injected=step.injected or not patched,
        by=text(payload, "patchedBy" if patched else "injectedBy"),
        reason=text(payload, "reason"),
    )


def _discarded(step: StepState, payload: dict[str, Any]) -> StepState:
    """Return the step as one that has not begun: of what it did, only the attempt is still known."""
    attempt = number(payload, "attempt")
    return StepState(
        step_id=step.step_id,
        label=step.label,
        name=step.name,
        type=step.type,
        sequence=step.sequence,
        status="pending",
        attempt=step.attempt if attempt is None else attempt,
        compensation_for=step.compensation_for,
    )


def new_step(step_id: str, sequence: int) -> StepState:
    """Return a step of which nothing is known yet."""
    return StepState(step_id=step_id, sequence=sequence)
