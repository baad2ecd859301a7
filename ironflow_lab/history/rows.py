"""A coarser history of a run that was not recorded, rebuilt from its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import msgspec

from ironflow_lab.history.rules import PAUSE_REQUESTED
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import TERMINAL, Error, Run, Step
from ironflow_lab.wire import codec
from ironflow_lab.wire.stepid import step_name

_Told: TypeAlias = tuple[int, str, str, dict[str, Any]]
_FAILED = frozenset({"failed", "timed_out", "dead"})
_ENDED = _FAILED | {"completed"}
_COMPENSATE = "compensate"
_QUEUED, _RUNNING = "waiting_for_capacity", "running"


def events_of(run: Run, steps: Sequence[Step]) -> tuple[AuditEvent, ...]:
    """Return audit events (ids `row-1`...) whose fold is the run as its rows tell it.

    Only last attempts are known, each step by its start and its end; what went before is lost.
    Steps begin in the order in which they started. Payloads must be settled (`wire.payload.settle`).
    """
    told = sorted((one for step in _ordered(steps) for one in _step(step)), key=lambda one: one[0])
    # The run begins before, and ends after, everything its steps did, whatever the clocks say.
    everything = (*_begun(run), *told, *_now(run))
    events, last = [], 0
    for number, (at, kind, step_id, payload) in enumerate(everything, 1):
        last = max(at, last)
        events.append(
            AuditEvent(
                id=f"row-{number}",
                run_id=run.id,
                function_id=run.function_id,
                step_id=step_id,
                event_type=kind,
                payload=payload,
                created_at=Instant(last),
                environment_id=run.environment_id,
            )
        )
    return tuple(events)


def _begun(run: Run) -> Iterator[_Told]:
    payload = {"runId": run.id, "functionId": run.function_id, "input": run.input, "eventId": run.event_id}
    parent = {"parentRunId": run.parent_run_id, "parentStepId": run.parent_step_id} if run.parent_run_id else {}
    yield run.created_at, "run.created", "", payload | {"eventName": run.event_name} | parent
    if run.started_at:
        running = {"oldStatus": _QUEUED, "newStatus": _RUNNING, "workerId": run.worker_id}
        yield run.started_at, "run.status_changed", "", running


def _now(run: Run) -> Iterator[_Told]:
    former = _RUNNING if run.started_at else _QUEUED
    asked = run.pause_requested and run.status == _RUNNING
    told = {"attempt": run.attempt} if run.attempt > 1 else {}
    if run.status == "completed" or run.output is not None:
        told["output"] = run.output
    if run.error is not None:
        told["error"] = _builtins(run.error)
    if run.status == former and not told and not asked:
        return
    payload = {
        "oldStatus": former,
        "newStatus": str(run.status),
        "reason": PAUSE_REQUESTED if asked else run.pause_reason,
        "cause": run.cancellation_cause,
    }
    if run.status == _RUNNING:
        payload["workerId"] = run.worker_id
    at = run.ended_at if run.status in TERMINAL and run.ended_at else run.updated_at
    yield at, "run.paused" if run.status == "paused" else "run.status_changed", "", payload | told


def _step(step: Step) -> Iterator[_Told]:
    if step.status == "pending" and not step.started_at:
        # It has not begun, or what it did was thrown away.
        yield step.updated_at, "step.discarded", step.step_id, _pending(step)
        return
    at = step.started_at or step.created_at
    yield at, *_told(step, "started", _started(step, at))
    end = max(at, step.ended_at)
    corrected = step.patched_at or step.original_output is not None
    if corrected or step.status in _ENDED or step.output is not None or step.error is not None:
        yield end, *_end(step, step.original_output if corrected else step.output)
    if step.patched_at:
        patch = {"originalOutput": step.original_output, "patchedOutput": step.output, "patchedBy": step.patched_by}
        yield max(end, step.patched_at), "step.patched", step.step_id, {"stepId": step.step_id} | patch
    elif corrected:
        # Only a step whose output was replaced has another original.
        change = {"previousOutput": step.original_output, "newOutput": step.output}
        yield max(end, step.updated_at), "step.injected", step.step_id, {"stepId": step.step_id} | change


def _pending(step: Step) -> dict[str, Any]:
    return {
        "stepId": step.step_id,
        "stepName": step_name(step.step_id),
        "stepType": str(step.step_type),
        "attempt": step.attempt,
        "compensationTargetStep": step.compensation_for,
        "rowStatus": "pending",
    }


def _started(step: Step, at: Instant) -> dict[str, Any]:
    payload = {
        "stepId": step.step_id,
        "stepName": step_name(step.step_id),
        "stepType": str(step.step_type),
        "attempt": step.attempt,
        "startedAt": str(at),
    }
    if step.status not in _ENDED:
        payload["rowStatus"] = str(step.status)
    until = step.sleep_until or step.wait_timeout
    told = {
        "until": str(until) if until else "",
        "event": step.wait_event_name,
        "childRunId": step.child_run_id,
    }
    payload |= {name: value for name, value in told.items() if value}
    return payload if step.input is None else payload | {"input": step.input}


def _end(step: Step, output: Any) -> tuple[str, str, dict[str, Any]]:
    payload: dict[str, Any] = {"stepId": step.step_id, "attempt": step.attempt, "rowStatus": str(step.status)}
    if step.ended_at:
        payload["endedAt"] = str(step.ended_at)
        payload["durationMs"] = step.duration_ms if step.duration_ms_full is None else int(step.duration_ms_full)
    if step.error is not None or step.status in _FAILED:
        error = {} if step.error is None else {"error": _builtins(step.error)}
        return _told(step, "failed", payload | error)
    return _told(step, "completed", payload | {"result" if step.step_type == _COMPENSATE else "output": output})


def _told(step: Step, verb: str, payload: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    if step.step_type != _COMPENSATE:
        return f"step.{verb}", step.step_id, payload
    return f"saga.compensation.{verb}", step.step_id, payload | {"compensationTargetStep": step.compensation_for}


def _ordered(steps: Sequence[Step]) -> list[Step]:
    return sorted(steps, key=lambda step: (step.started_at or step.created_at, step.sequence))


def _builtins(error: Error) -> Any:
    return msgspec.json.decode(codec.encode(error))
