"""Audit events: which change of a recorded run is which event, with its payload (engine.md section 13)."""

from __future__ import annotations

from typing import Any

import msgspec

from ironflow_lab.models.instant import format_instant
from ironflow_lab.server.engine.outcome import Write

# What a run's snapshot of its function's profile may be; the empty one is "not recorded".
PROFILES = ("", "all", "run_lifecycle", "steps")
# What a step waits for, by the payload's key: the column of its row.
_WAITS = {
    "event": "wait_event",
    "match": "wait_match",
    "value": "wait_value",
    "childRunId": "child_run_id",
    "functionId": "child_function",
}


def profile_of(recording: bool, profile: str) -> str:
    """Return the profile a new run of the function is recorded with, empty for none."""
    return profile or "all" if recording else ""


def covers(profile: str, event_type: str) -> bool:
    """Return whether a run with this profile keeps events of this type."""
    return profile != "" and (profile != "run_lifecycle" or event_type.startswith("run."))


def recorded(writes: tuple[Write, ...]) -> tuple[str, ...]:
    """Return the runs that these writes give audit events, each once."""
    return tuple(dict.fromkeys(write.parameters["run_id"] for write in writes if write.query == "insert_audit"))


def created(
    *,
    run_id: str,
    function_id: str,
    event_id: str,
    event_name: str,
    data: bytes,
    parent_run_id: str = "",
    parent_step_id: str = "",
) -> dict[str, Any]:
    """Return the payload of `run.created`; `data` is JSON text, and a child tells of its parent."""
    payload = {
        "runId": run_id,
        "functionId": function_id,
        "input": msgspec.Raw(data),
        "eventId": event_id,
        "status": "waiting_for_capacity",
        "eventName": event_name,
        "attempt": 1,
    }
    if not parent_run_id:
        return payload
    return payload | {"parentRunId": parent_run_id, "parentStepId": parent_step_id}


def moved(
    *,
    run_id: str,
    old: str,
    new: str,
    reason: str,
    attempt: int,
    output: bytes | None = None,
    error: bytes | None = None,
    due_at: int | None = None,
    worker_id: str = "",
    cause: str = "",
) -> tuple[str, dict[str, Any]]:
    """Return type and payload of a run's change of status; `output` and `error` are JSON text."""
    payload: dict[str, Any] = {
        "runId": run_id,
        "oldStatus": old,
        "newStatus": new,
        "reason": reason,
        "attempt": attempt,
    }
    given = {
        "output": None if output is None else msgspec.Raw(output),
        "error": None if error is None else msgspec.Raw(error),
        "dueAt": None if due_at is None else format_instant(due_at),
        "workerId": worker_id or None,
        "cause": cause or None,
    }
    payload.update((name, value) for name, value in given.items() if value is not None)
    return "run.paused" if new == "paused" else "run.status_changed", payload


def resumed(run_id: str, old: str, new: str, attempt: int, from_step: str) -> dict[str, Any]:
    """Return the payload of `run.resumed`; `from_step` is empty for the point where the run stood."""
    payload = {"runId": run_id, "oldStatus": old, "newStatus": new, "reason": "resumed", "attempt": attempt}
    return payload | {"fromStep": from_step} if from_step else payload


def begin(step: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return type and payload of the event for a step's row that has begun."""
    if step["type"] != "compensate":
        return "step.started", started(step)
    return "saga.compensation.started", _beginning(step) | _target(step)


def end(step: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return type and payload of the event for a step's row that has completed, failed or timed out."""
    kind, payload = ended(step)
    if step["type"] != "compensate":
        return kind, payload
    if "output" in payload:
        payload["result"] = payload.pop("output")
    return kind.replace("step.", "saga.compensation."), payload | _target(step)


def started(step: dict[str, Any]) -> dict[str, Any]:
    """Return the payload of `step.started` for a step's row, with what the step waits for."""
    payload = _beginning(step)
    until = step.get("sleep_until") or step.get("wait_until")
    if until:
        payload["until"] = format_instant(until)
    payload.update((key, step[column]) for key, column in _WAITS.items() if step.get(column))
    if step.get("input") is not None:
        payload["input"] = msgspec.Raw(step["input"])
    return payload


def _beginning(step: dict[str, Any]) -> dict[str, Any]:
    return {
        "stepId": step["step_id"],
        "stepName": step["name"],
        "stepType": step["type"],
        "attempt": step["attempt"],
        "startedAt": format_instant(step["started_at"]),
    }


def ended(step: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return type and payload of the `step.` event for a step's row that has completed, failed or timed out."""
    ended_at = format_instant(step["ended_at"])
    if step["status"] == "completed":
        return "step.completed", completed(step["step_id"], step["output"], step["duration_ms"], ended_at)
    payload = {
        "stepId": step["step_id"],
        "error": msgspec.Raw(step["error"]),
        "attempt": step["attempt"],
        "endedAt": ended_at,
    }
    if step["status"] != "failed":
        payload["rowStatus"] = step["status"]
    return "step.failed", payload


def completed(step_id: str, output: bytes, duration_ms: int, ended_at: str) -> dict[str, Any]:
    """Return the payload of `step.completed`; `output` is JSON text, `ended_at` RFC 3339."""
    return {"stepId": step_id, "output": msgspec.Raw(output), "durationMs": duration_ms, "endedAt": ended_at}


def patched(step_id: str, original: bytes | None, output: bytes, by: str, reason: str) -> dict[str, Any]:
    """Return the payload of `step.patched`; `original` is the output the step had (JSON text, None for none)."""
    return {
        "stepId": step_id,
        **_output("originalOutput", original),
        "patchedOutput": msgspec.Raw(output),
        "patchedBy": by,
        "reason": reason,
    }


def injected(step_id: str, previous: bytes | None, output: bytes, by: str, reason: str) -> dict[str, Any]:
    """Return the payload of `step.injected`; `previous` is the output the step had (JSON text, None for none)."""
    return {
        "stepId": step_id,
        **_output("previousOutput", previous),
        "newOutput": msgspec.Raw(output),
        "reason": reason,
        "injectedBy": by,
    }


def discarded(step_id: str, reason: str) -> dict[str, Any]:
    """Return the payload of `step.discarded`: the step's result is thrown away, and it will run again."""
    return {"stepId": step_id, "reason": reason}


def _target(step: dict[str, Any]) -> dict[str, Any]:
    return {"compensationTargetStep": step.get("compensation_for", "")}


def _output(name: str, payload: bytes | None) -> dict[str, Any]:
    # A step that failed had no output, which is another thing than one of null.
    return {} if payload is None else {name: msgspec.Raw(payload)}


def write(
    event_id: str,
    event_type: str,
    payload: dict[str, Any],
    *,
    env: str,
    run_id: str,
    function_id: str,
    at: int,
    step_id: str = "",
) -> Write:
    """Return the write that appends an event."""
    return Write(
        "insert_audit",
        {
            "env": env,
            "id": event_id,
            "run_id": run_id,
            "function_id": function_id,
            "step_id": step_id,
            "type": event_type,
            "payload": msgspec.json.encode(payload),
            "at": at,
        },
    )
