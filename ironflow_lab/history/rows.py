"""A coarser history of a run that was not recorded, rebuilt from its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import msgspec

from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import TERMINAL, Error, Run, Step
from ironflow_lab.wire import codec
from ironflow_lab.wire.stepid import step_name

_Told: TypeAlias = tuple[int, str, str, dict[str, Any]]
_FAILED = frozenset({"failed", "timed_out", "dead"})
_ENDED = _FAILED | {"completed"}
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
    yield run.created_at, "run.created", "", payload | {"eventName": run.event_name}
    if run.started_at:
        running = {"oldStatus": _QUEUED, "newStatus": _RUNNING, "workerId": run.worker_id}
        yield run.started_at, "run.status_changed", "", running


def _now(run: Run) -> Iterator[_Told]:
    former = _RUNNING if run.started_at else _QUEUED
    told = {"attempt": run.attempt} if run.attempt > 1 else {}
    if run.status == "completed" or run.output is not None:
        told["output"] = run.output
    if run.error is not None:
        told["error"] = _builtins(run.error)
    if run.status == former and not told:
        return
    payload = {
        "oldStatus": former,
        "newStatus": str(run.status),
        "reason": run.pause_reason,
        "cause": run.cancellation_cause,
    }
    if run.status == _RUNNING:
        payload["workerId"] = run.worker_id
    at = run.ended_at if run.status in TERMINAL and run.ended_at else run.updated_at
    yield at, "run.paused" if run.status == "paused" else "run.status_changed", "", payload | told


def _step(step: Step) -> Iterator[_Told]:
    at = step.started_at or step.created_at
    yield at, "step.started", step.step_id, _started(step, at)
    end = max(at, step.ended_at)
    if step.status in _ENDED or step.output is not None or step.error is not None:
        yield end, *_end(step)
    if step.patched_at:
        patch = {"originalOutput": step.original_output, "patchedOutput": step.output, "patchedBy": step.patched_by}
        yield max(end, step.patched_at), "step.patched", step.step_id, {"stepId": step.step_id} | patch


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
    return payload | {"until": str(until)} if until else payload


def _end(step: Step) -> tuple[str, str, dict[str, Any]]:
    payload: dict[str, Any] = {"stepId": step.step_id, "attempt": step.attempt, "rowStatus": str(step.status)}
    if step.ended_at:
        payload["endedAt"] = str(step.ended_at)
        payload["durationMs"] = step.duration_ms if step.duration_ms_full is None else int(step.duration_ms_full)
    if step.error is not None or step.status in _FAILED:
        error = {} if step.error is None else {"error": _builtins(step.error)}
        return "step.failed", step.step_id, payload | error
    return (
        "step.completed",
        step.step_id,
        payload | {"output": step.original_output if step.patched_at else step.output},
    )


def _ordered(steps: Sequence[Step]) -> list[Step]:
    return sorted(steps, key=lambda step: (step.started_at or step.created_at, step.sequence))


def _builtins(error: Error) -> Any:
    return msgspec.json.decode(codec.encode(error))
