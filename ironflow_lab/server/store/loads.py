"""Loading the state a command is decided on, by named query."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import msgspec

from ironflow_lab.models.events import TriggerResponse
from ironflow_lab.models.functions import RegisterFunctionRequest
from ironflow_lab.models.workers import CompletedStep
from ironflow_lab.server.engine import commands
from ironflow_lab.server.engine.claims import MOST_JOBS, ClaimState, WorkerRuns
from ironflow_lab.server.engine.commands import run_of_job
from ironflow_lab.server.engine.events import EmitState
from ironflow_lab.server.engine.records import (
    DueRun,
    EventState,
    FunctionState,
    QueuedRun,
    ReportedRun,
    RetryPolicy,
    RunState,
    StepState,
    WorkerState,
)
from ironflow_lab.server.store import queries
from ironflow_lab.wire import codec

_SQL = queries.load("loads")

# Every emit reads every function: the same few texts, decoded over and over again without these.
_definition = lru_cache(maxsize=1_024)(partial(codec.decode, kind=RegisterFunctionRequest))
_policy = lru_cache(maxsize=1_024)(msgspec.json.Decoder(RetryPolicy).decode)
_names = lru_cache(maxsize=1_024)(msgspec.json.Decoder(tuple[str, ...]).decode)


def load(db: sqlite3.Connection, command: commands.Command, now: int) -> Any:
    """Return the state `decide` expects for the command."""
    return _LOADS[type(command)](db, command, now)


def function_of(row: Any) -> FunctionState:
    """Return a function's row as a record."""
    return FunctionState(
        id=row[0],
        version=row[1],
        status=row[2],
        definition=_definition(row[3]),
        created_at=row[4],
        updated_at=row[5],
    )


def _function(db: sqlite3.Connection, command: commands.RegisterFunction, now: int) -> FunctionState | None:
    row = db.execute(_SQL["function"], {"env": command.env, "id": command.request.id}).fetchone()
    return None if row is None else function_of(row)


def _emit(db: sqlite3.Connection, command: commands.EmitEvent, now: int) -> EmitState:
    if command.idempotency_key:
        row = db.execute(_SQL["event_by_key"], {"env": command.env, "key": command.idempotency_key}).fetchone()
        if row is not None:
            started = db.execute(_SQL["run_ids_of_event"], {"event_id": row[0]}).fetchall()
            return EmitState(earlier=TriggerResponse(event_id=row[0], run_ids=tuple(run_id for (run_id,) in started)))
    rows = db.execute(_SQL["functions_of"], {"env": command.env}).fetchall()
    return EmitState(functions=tuple(function_of(row) for row in rows))


def _run(db: sqlite3.Connection, run_id: str) -> RunState | None:
    row = db.execute(_SQL["run"], {"id": run_id}).fetchone()
    return None if row is None else _run_of(row)


def _worker(db: sqlite3.Connection, env: str, worker_id: str) -> WorkerState | None:
    row = db.execute(_SQL["worker"], {"env": env, "id": worker_id}).fetchone()
    return None if row is None else WorkerState(id=row[0], function_ids=_names(row[1]), instance_id=row[2])


def _worker_only(db: sqlite3.Connection, command: commands.Heartbeat | commands.Hold, now: int) -> WorkerRuns:
    return WorkerRuns(worker=_worker(db, command.env, command.worker_id))


def _worker_runs(db: sqlite3.Connection, command: commands.RegisterWorker | commands.Release, now: int) -> WorkerRuns:
    rows = db.execute(_SQL["in_hand"], {"env": command.env, "worker_id": command.worker_id}).fetchall()
    running = tuple(_run_of(row) for row in rows)
    return WorkerRuns(worker=_worker(db, command.env, command.worker_id), running=running)


def _claim(db: sqlite3.Connection, command: commands.Claim, now: int) -> ClaimState:
    worker = _worker(db, command.env, command.worker_id)
    if worker is None:
        return ClaimState()
    rows = []
    most = min(command.available, MOST_JOBS)
    for function_id in worker.function_ids:
        found = {"env": command.env, "function_id": function_id, "limit": most}
        rows += db.execute(_SQL["queue"], found).fetchall()
    runs = sorted((_run_of(row) for row in rows), key=lambda run: (run.updated_at, run.id))
    return ClaimState(worker=worker, queued=tuple(_queued(db, run) for run in runs[:most]))


def _queued(db: sqlite3.Connection, run: RunState) -> QueuedRun:
    event = _event_of(db.execute(_SQL["event"], {"id": run.event_id}).fetchone())
    if run.execution_seq == 0:
        return QueuedRun(run=run, event=event, completed=(), next_sequence=0)
    rows = db.execute(_SQL["completed_steps"], {"run_id": run.id}).fetchall()
    completed = tuple(
        CompletedStep(step_id=step_id, name=name, output=msgspec.Raw(output)) for step_id, name, output in rows
    )
    (following,) = db.execute(_SQL["next_sequence"], {"run_id": run.id}).fetchone()
    return QueuedRun(run=run, event=event, completed=completed, next_sequence=following)


def _unclaim(db: sqlite3.Connection, command: commands.Unclaim, now: int) -> tuple[RunState, ...]:
    found = (_run(db, fence.run_id) for fence in command.fences)
    return tuple(run for run in found if run is not None)


def _running(db: sqlite3.Connection, command: commands.Restart, now: int) -> tuple[RunState, ...]:
    return tuple(_run_of(row) for row in db.execute(_SQL["running"]).fetchall())


def _reported(db: sqlite3.Connection, command: commands.Report, now: int) -> ReportedRun:
    run = _run(db, run_of_job(command.job_id)[0])
    if run is None or not run.recording or not command.update.steps:
        return ReportedRun(run=run)
    step_ids = msgspec.json.encode([step.id for step in command.update.steps]).decode()
    rows = db.execute(_SQL["known_steps"], {"run_id": run.id, "step_ids": step_ids})
    return ReportedRun(run=run, steps={row[0]: _step_of(row) for row in rows})


def _due(db: sqlite3.Connection, command: commands.WakeDue, now: int) -> tuple[DueRun, ...]:
    rows = db.execute(_SQL["due"], {"now": now, "limit": command.limit}).fetchall()
    return tuple(_due_run(db, _run_of(row)) for row in rows)


def _due_run(db: sqlite3.Connection, run: RunState) -> DueRun:
    if not (run.recording and run.due_step):
        return DueRun(run=run)
    (began,) = db.execute(_SQL["sleep_began"], {"run_id": run.id, "step_id": run.due_step}).fetchone()
    return DueRun(run=run, sleep_began=began)


def _step_of(row: tuple[Any, ...]) -> StepState:
    return StepState(
        name=row[1],
        type=row[2],
        status=row[3],
        attempt=row[4],
        output=row[5],
        error=row[6],
        started_at=row[7],
        ended_at=row[8],
        duration_ms=row[9],
        sleep_until=row[10],
        compensation_for=row[11],
    )


def _event_of(row: tuple[Any, ...]) -> EventState:
    return EventState(
        id=row[0],
        name=row[1],
        data=row[2],
        metadata=row[3],
        version=row[4],
        source=row[5],
        idempotency_key=row[6],
        at=row[7],
    )


def _run_of(row: tuple[Any, ...]) -> RunState:
    return RunState(
        id=row[0],
        env=row[1],
        function_id=row[2],
        event_id=row[3],
        status=row[4],
        attempt=row[5],
        policy=_policy(row[6]),
        timeout_ms=row[7],
        executed_ns=row[8],
        execution_seq=row[9],
        lease_token=row[10],
        worker_id=row[11],
        created_at=row[12],
        updated_at=row[13],
        started_at=row[14],
        claimed_at=row[15],
        due_step=row[16],
        recording=row[17],
    )


_LOADS: dict[type, Callable[[sqlite3.Connection, Any, int], Any]] = {
    commands.RegisterFunction: _function,
    commands.EmitEvent: _emit,
    commands.CancelRun: lambda db, command, now: _run(db, command.run_id),
    commands.RegisterWorker: _worker_runs,
    commands.Heartbeat: _worker_only,
    commands.Hold: _worker_only,
    commands.Release: _worker_runs,
    commands.Claim: _claim,
    commands.Unclaim: _unclaim,
    commands.Ack: lambda db, command, now: _run(db, command.fence.run_id),
    commands.Report: _reported,
    commands.Restart: _running,
    commands.WakeDue: _due,
    commands.Lapse: lambda db, command, now: _run(db, command.run_id),
}
