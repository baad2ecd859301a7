"""Runs and steps as clients read them: rows in, records of the protocol out (the law is engine.ports.Reads)."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from ironflow_lab.clock import MILLISECOND
from ironflow_lab.errors import NotFoundError
from ironflow_lab.models.events import RunResult
from ironflow_lab.models.instant import Instant, Int64
from ironflow_lab.models.runs import Error, ExecutionMode, Run, RunStatus, Step, StepStatus, StepType
from ironflow_lab.server.store import queries
from ironflow_lab.wire import codec, duration, payload

_SQL = queries.load("runs")
# Why a run waits, where the protocol has a word for it (engine.md section 4.1).
_WAITS = {"sleep": "sleep", "event": "wait_event"}


def one(db: sqlite3.Connection, env: str, run_id: str) -> Run:
    """Return a run; raises `NotFoundError`."""
    row = db.execute(f"{_SQL['columns']} {_SQL['one']}", {"env": env, "id": run_id}).fetchone()
    if row is None:
        raise unknown(run_id)
    return run_of(row)


def steps(db: sqlite3.Connection, env: str, run_id: str) -> tuple[Step, ...]:
    """Return a run's steps by sequence; raises `NotFoundError`."""
    if db.execute(_SQL["exists"], {"env": env, "id": run_id}).fetchone() is None:
        raise unknown(run_id)
    rows = db.execute(f"{_SQL['steps']} {_SQL['by_sequence']}", {"run_id": run_id})
    return tuple(map(_step_of, rows))


def step(db: sqlite3.Connection, env: str, run_id: str, step_id: str) -> Step:
    """Return one step by its deterministic id; raises `NotFoundError`."""
    wanted = {"run_id": run_id, "step_id": step_id}
    row = db.execute(f"{_SQL['steps']} {_SQL['that_step']}", wanted).fetchone()
    if row is None or db.execute(_SQL["exists"], {"env": env, "id": run_id}).fetchone() is None:
        raise NotFoundError(f"no step {step_id!r} in this environment")
    return _step_of(row)


def results(db: sqlite3.Connection, env: str, run_ids: tuple[str, ...]) -> tuple[RunResult, ...]:
    """Return how the named runs stand, unknown ids left out."""
    rows = db.execute(_SQL["results"], {"env": env, "ids": msgspec.json.encode(run_ids).decode()})
    return tuple(
        RunResult(
            run_id=run_id,
            function_id=function_id,
            status=RunStatus(status),
            error=_error(error),
            duration_ms=duration.in_field(max(ended - created, 0) // MILLISECOND),
            **_payload("output", output),
        )
        for run_id, function_id, status, output, error, created, ended in rows
    )


def run_of(row: tuple[Any, ...]) -> Run:
    """Return a row of `columns` as a run."""
    remaining = row[20] * MILLISECOND - row[21]
    return Run(
        id=row[0],
        function_id=row[1],
        event_id=row[2],
        event_name=row[3],
        execution_mode=ExecutionMode("pull"),
        worker_id=row[4],
        error=_error(row[7]),
        status=RunStatus(row[8]),
        attempt=row[9],
        max_attempts=row[10],
        started_at=Instant(row[11]),
        ended_at=Instant(row[12]),
        created_at=Instant(row[13]),
        updated_at=Instant(row[14]),
        function_version=row[15],
        environment_id=row[16],
        version=row[17],
        claimed_by=row[4] if row[18] else "",
        claimed_at=Instant(row[18]),
        timeout_at=Instant(row[18] + remaining if row[18] else 0),
        cancellation_cause=row[19],
        pause_reason=row[22] if row[8] == "paused" else _WAITS.get(row[27], "") if row[8] == "waiting" else "",
        pause_requested=bool(row[23]),
        parent_run_id=row[24],
        parent_step_id=row[25],
        resume_from_step=row[26],
        **_payload("input", row[5]),
        **_payload("output", row[6]),
    )


def unknown(run_id: str) -> NotFoundError:
    """Return the error for a run that is not there."""
    return NotFoundError(f"no run {run_id!r} in this environment")


def _step_of(row: tuple[Any, ...]) -> Step:
    return Step(
        id=row[0],
        run_id=row[1],
        step_id=row[2],
        step_type=StepType(row[3]),
        sequence=row[4],
        status=StepStatus(row[5]),
        stored_status=row[5],
        error=_step_error(row[7]) if row[3] == "invoke_function" else _error(row[7]),
        attempt=row[8],
        duration_ms=duration.in_field(row[9]),
        duration_ms_full=Int64(row[9]),
        started_at=Instant(row[10]),
        ended_at=Instant(row[11]),
        sleep_until=Instant(row[12]),
        compensation_for=row[13],
        created_at=Instant(row[14]),
        updated_at=Instant(row[15]),
        patched_at=Instant(row[18]),
        patched_by=row[19],
        wait_event_name=row[20],
        wait_timeout=Instant(row[21]),
        child_run_id=row[22],
        **_payload("output", row[6]),
        **_payload("input", row[16]),
        **_payload("original_output", row[17]),
    )


def _payload(name: str, value: bytes | None) -> dict[str, Any]:
    return {} if value is None else payload.split(name, msgspec.Raw(value))


def _error(value: bytes | None) -> Error | None:
    return None if value is None else codec.decode(value, Error)


class _Child(msgspec.Struct, frozen=True):
    message: str
    function_id: str
    child_run_id: str
    cause: str


def _step_error(value: bytes | None) -> Error | None:
    """Return why a step failed; a failed call of another function tells which run that was, as details."""
    if value is None or b'"child_run_id"' not in value:
        return _error(value)
    child = msgspec.json.decode(value, type=_Child)
    details = {"function_id": child.function_id, "child_run_id": child.child_run_id, "cause": child.cause}
    return Error(message=child.message, code="INVOKE_FAILED", details=details)
