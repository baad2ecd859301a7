"""Loading the state a command is decided on, by named query."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from ironflow_lab.models.events import TriggerResponse
from ironflow_lab.models.workers import CompletedStep, JobContext, Yield
from ironflow_lab.server.engine import commands
from ironflow_lab.server.engine.claims import MOST_JOBS, ClaimState, WorkerRuns
from ironflow_lab.server.engine.commands import run_of_job
from ironflow_lab.server.engine.events import EmitState
from ironflow_lab.server.engine.reasons import Situation
from ironflow_lab.server.engine.records import (
    Case,
    CorrectedStep,
    QueuedRun,
    ReportedRun,
    ResumedRun,
    RunState,
    StepState,
    Timer,
    WorkerState,
)
from ironflow_lab.server.engine.steps import run_of_step
from ironflow_lab.server.engine.waits import text_at
from ironflow_lab.server.store import load_erase, load_events, load_functions, load_secrets, queries
from ironflow_lab.server.store.rows import (
    definition_of,
    event_of,
    function_by_id,
    function_of,
    run_by_id,
    run_of,
    step_of,
    timer_of,
)

_SQL = queries.load("loads")
_RUNS, _TIMERS, _STEPS = (_SQL[name] + " " for name in ("runs", "timers", "steps"))
_names = lru_cache(maxsize=1_024)(msgspec.json.Decoder(tuple[str, ...]).decode)


def load(db: sqlite3.Connection, command: commands.Command, now: int) -> Any:
    """Return the state `decide` expects for the command."""
    return _LOADS[type(command)](db, command, now)


def case_of(db: sqlite3.Connection, run_id: str) -> Case | None:
    """Return one run with its wait, and with the run that waits for its end."""
    run = run_by_id(db, run_id)
    return None if run is None else _case(db, run)


def _case(db: sqlite3.Connection, run: RunState) -> Case:
    timer = step = None
    if run.status in ("waiting", "paused"):
        timer = _timer(db, run.id)
        step = None if timer is None else _step(db, run.id, timer.step_id)
    return Case(run=run, timer=timer, step=step, parent=_parent(db, run) if run.parent_run_id else None)


def _parent(db: sqlite3.Connection, run: RunState) -> Case | None:
    timer = _timer(db, run.parent_run_id)
    parent = run_by_id(db, run.parent_run_id) if timer is not None and timer.child == run.id else None
    if timer is None or parent is None:
        return None
    return Case(run=parent, timer=timer, step=_step(db, parent.id, timer.step_id))


def _timer(db: sqlite3.Connection, run_id: str) -> Timer | None:
    row = db.execute(_TIMERS + _SQL["timer_of_run"], {"run_id": run_id}).fetchone()
    return None if row is None else timer_of(row)


def _step(db: sqlite3.Connection, run_id: str, step_id: str) -> StepState | None:
    row = db.execute(_STEPS + _SQL["step"], {"run_id": run_id, "step_id": step_id}).fetchone()
    return None if row is None else step_of(row)


def _emit(db: sqlite3.Connection, command: commands.EmitEvent, now: int) -> EmitState:
    if command.idempotency_key:
        row = db.execute(_SQL["event_by_key"], {"env": command.env, "key": command.idempotency_key}).fetchone()
        if row is not None:
            started = db.execute(_SQL["run_ids_of_event"], {"event_id": row[0]}).fetchall()
            return EmitState(earlier=TriggerResponse(event_id=row[0], run_ids=tuple(run_id for (run_id,) in started)))
    rows = db.execute(_SQL["functions_of"], {"env": command.env}).fetchall()
    return EmitState(functions=tuple(function_of(row) for row in rows), waiting=_awaiting(db, command))


def _awaiting(db: sqlite3.Connection, command: commands.EmitEvent) -> tuple[Case, ...]:
    """Return the runs that wait for the event: by name, and by its text at each path that somebody looks at."""
    named = {"env": command.env, "event": command.name}
    paths = [path for (path,) in db.execute(_SQL["awaited_paths"], named)]
    if not paths:
        return ()
    fields: dict[str, Any] = {"name": command.name, "version": command.version, "source": command.source}
    fields["data"] = msgspec.json.decode(command.data)
    fields["metadata"] = None if command.metadata is None else msgspec.json.decode(command.metadata)
    found: list[Timer] = []
    for path in paths:
        value = text_at(fields, path) if path else ""
        if value is not None:
            rows = db.execute(_TIMERS + _SQL["awaiting"], {**named, "path": path, "value": value})
            found += map(timer_of, rows.fetchall())
    cases = (_waiting(db, timer) for timer in found)
    return tuple(case for case in cases if case is not None)


def _waiting(db: sqlite3.Connection, timer: Timer) -> Case | None:
    run = run_by_id(db, timer.run_id)
    if run is None:
        return None
    parent = _parent(db, run) if run.parent_run_id else None
    return Case(run=run, timer=timer, step=_step(db, run.id, timer.step_id), parent=parent)


def _worker(db: sqlite3.Connection, env: str, worker_id: str) -> WorkerState | None:
    row = db.execute(_SQL["worker"], {"env": env, "id": worker_id}).fetchone()
    return None if row is None else WorkerState(id=row[0], function_ids=_names(row[1]), instance_id=row[2])


def _worker_only(db: sqlite3.Connection, command: commands.Heartbeat | commands.Hold, now: int) -> WorkerRuns:
    return WorkerRuns(worker=_worker(db, command.env, command.worker_id))


def _worker_runs(db: sqlite3.Connection, command: commands.RegisterWorker | commands.Release, now: int) -> WorkerRuns:
    rows = db.execute(_RUNS + _SQL["in_hand"], {"env": command.env, "worker_id": command.worker_id}).fetchall()
    running = tuple(run_of(row) for row in rows)
    return WorkerRuns(worker=_worker(db, command.env, command.worker_id), running=running)


def _claim(db: sqlite3.Connection, command: commands.Claim, now: int) -> ClaimState:
    worker = _worker(db, command.env, command.worker_id)
    if worker is None:
        return ClaimState()
    rows, secrets = [], dict[str, tuple[str, ...]]()
    most = min(command.available, MOST_JOBS)
    for function_id in worker.function_ids:
        found = {"env": command.env, "function_id": function_id, "limit": most}
        function = db.execute(_SQL["hands_out"], found).fetchone()
        if function is not None:
            secrets[function_id] = definition_of(function[0]).secrets
            rows += db.execute(_RUNS + _SQL["queue"], found).fetchall()
            if db.execute(_SQL["has_lanes"], found).fetchone() is not None:
                rows += db.execute(_RUNS + _SQL["queue_of_lanes"], found).fetchall()
    runs = sorted((run_of(row) for row in rows), key=lambda run: (run.eligible_at, run.id))[:most]
    contexts = {
        function_id: load_secrets.handed_out(db, command.env, secrets[function_id])
        for function_id in {run.function_id for run in runs}
        if secrets[function_id]
    }
    queued = (_queued(db, run, contexts.get(run.function_id, msgspec.UNSET)) for run in runs)
    return ClaimState(worker=worker, queued=tuple(queued))


def _queued(db: sqlite3.Connection, run: RunState, context: JobContext | msgspec.UnsetType) -> QueuedRun:
    event = event_of(db.execute(_SQL["event_of_run"], {"id": run.id}).fetchone())
    free = run.lane_limit - len(_in_lane(db, run)) if run.lane_limit else 0
    if run.execution_seq == 0:
        return QueuedRun(run=run, event=event, completed=(), next_sequence=0, free=free, context=context)
    rows = db.execute(_SQL["done_steps"], {"run_id": run.id}).fetchall()
    (following,) = db.execute(_SQL["next_sequence"], {"run_id": run.id}).fetchone()
    done = tuple(map(_done, rows))
    return QueuedRun(run=run, event=event, completed=done, next_sequence=following, free=free, context=context)


def _done(row: tuple[str, str, bytes | None, bytes | None]) -> CompletedStep:
    step_id, name, output, error = row
    if error is not None:
        return CompletedStep(step_id=step_id, name=name, status="failed", error=msgspec.Raw(error))
    return CompletedStep(step_id=step_id, name=name, output=msgspec.Raw(output or b"null"))


def _in_lane(db: sqlite3.Connection, run: RunState) -> tuple[str, ...]:
    found = {"env": run.env, "function_id": run.function_id, "lane": run.lane}
    return tuple(run_id for (run_id,) in db.execute(_SQL["in_lane"], found))


def _unclaim(db: sqlite3.Connection, command: commands.Unclaim, now: int) -> tuple[RunState, ...]:
    found = (run_by_id(db, fence.run_id) for fence in command.fences)
    return tuple(run for run in found if run is not None)


def _running(db: sqlite3.Connection, command: commands.Restart, now: int) -> tuple[RunState, ...]:
    return tuple(run_of(row) for row in db.execute(_RUNS + _SQL["running"]).fetchall())


def _reported(db: sqlite3.Connection, command: commands.Report, now: int) -> ReportedRun:
    case, update = case_of(db, run_of_job(command.job_id)[0]), command.update
    if case is None:
        return ReportedRun()
    run, steps = case.run, dict[str, StepState]()
    wanted = update.yield_ if isinstance(update.yield_, Yield) else None
    named = [step.id for step in update.steps] if run.recording else []
    if wanted is not None:
        named.append(wanted.step_id)
    if named:
        asked = {"run_id": run.id, "step_ids": msgspec.json.encode(named).decode()}
        steps = {row[0]: step_of(row) for row in db.execute(_STEPS + _SQL["known_steps"], asked)}
    state = ReportedRun(case=case, steps=steps)
    if run.pause_requested:
        worker = _worker(db, run.env, run.worker_id)
        state = msgspec.structs.replace(state, cooperative=worker is not None and worker.instance_id != "")
    return state if wanted is None else _yielded(db, state, run, wanted)


def _yielded(db: sqlite3.Connection, state: ReportedRun, run: RunState, wanted: Yield) -> ReportedRun:
    (following,) = db.execute(_SQL["next_sequence"], {"run_id": run.id}).fetchone()
    state = msgspec.structs.replace(state, next_sequence=following)
    if wanted.type == "wait_for_event":
        row = db.execute(_SQL["event_of_run"], {"id": run.id}).fetchone()
        return msgspec.structs.replace(state, event=event_of(row))
    if isinstance(wanted.function_id, str):
        return msgspec.structs.replace(state, child=function_by_id(db, run.env, wanted.function_id))
    return state


def _due(db: sqlite3.Connection, command: commands.WakeDue, now: int) -> tuple[Case, ...]:
    rows = db.execute(_TIMERS + _SQL["due"], {"now": now, "limit": command.limit}).fetchall()
    cases = (_waiting(db, timer_of(row)) for row in rows)
    return tuple(case for case in cases if case is not None)


def _resumed(db: sqlite3.Connection, command: commands.ResumeRun, now: int) -> ResumedRun:
    case = case_of(db, command.run_id)
    if case is None or not (command.from_step or case.run.status == "failed"):
        return ResumedRun(case=case)
    rows = db.execute(_SQL["steps_with_rows"], {"run_id": case.run.id}).fetchall()
    return ResumedRun(case=case, steps=tuple((row[0], row[-1], step_of(row)) for row in rows))


def _injected(db: sqlite3.Connection, command: commands.InjectOutput, now: int) -> CorrectedStep:
    run = run_by_id(db, command.run_id)
    return CorrectedStep() if run is None else _step_named(db, run, command.step_id)


def _patched(db: sqlite3.Connection, command: commands.PatchStep, now: int) -> CorrectedStep:
    run = run_by_id(db, run_of_step(command.step_id))
    return CorrectedStep() if run is None else _step_named(db, run, command.step_id)


def _step_named(db: sqlite3.Connection, run: RunState, asked: str) -> CorrectedStep:
    """Return a step of the run by its deterministic id or by its row's."""
    row = db.execute(_STEPS + _SQL["step"], {"run_id": run.id, "step_id": asked}).fetchone()
    row = row or db.execute(_STEPS + _SQL["step_by_row"], {"run_id": run.id, "id": asked}).fetchone()
    return CorrectedStep(run=run) if row is None else CorrectedStep(run=run, step_id=row[0], step=step_of(row))


def _situation(db: sqlite3.Connection, command: commands.Explain, now: int) -> Situation:
    run = run_by_id(db, command.run_id)
    if run is None:
        return Situation()
    asked = {"env": run.env, "function_id": run.function_id}
    function = function_by_id(db, run.env, run.function_id)
    (error,) = db.execute(_SQL["run_error"], {"id": run.id}).fetchone()
    timer = _timer(db, run.id) if run.status in ("waiting", "paused") else None
    child = db.execute(_SQL["run_status"], {"id": timer.child}).fetchone() if timer and timer.child else None
    queued = run.status == "waiting_for_capacity"
    lane = _in_lane(db, run) if queued and run.lane_limit and not run.holding else ()
    return Situation(
        run=run,
        timer=timer,
        function_status="" if function is None else function.status,
        workers=tuple(worker_id for (worker_id,) in db.execute(_SQL["workers_of"], asked)),
        position=db.execute(_SQL["queue_position"], {"id": run.id}).fetchone()[0] if queued else 0,
        ahead=lane if len(lane) >= run.lane_limit else (),
        error="" if error is None else msgspec.json.decode(error).get("message", ""),
        child_status="" if child is None else child[0],
    )


def _acked(db: sqlite3.Connection, command: commands.Ack, now: int) -> RunState | None:
    return run_by_id(db, command.fence.run_id)


def _by_run(db: sqlite3.Connection, command: Any, now: int) -> Case | None:
    return case_of(db, command.run_id)


_LOADS: dict[type, Callable[[sqlite3.Connection, Any, int], Any]] = {
    **load_functions.LOADS,
    **load_events.LOADS,
    **load_erase.LOADS,
    **load_secrets.LOADS,
    commands.EmitEvent: _emit,
    commands.CancelRun: _by_run,
    commands.PauseRun: _by_run,
    commands.InjectOutput: _injected,
    commands.PatchStep: _patched,
    commands.ResumeRun: _resumed,
    commands.Explain: _situation,
    commands.RegisterWorker: _worker_runs,
    commands.Heartbeat: _worker_only,
    commands.Hold: _worker_only,
    commands.Release: _worker_runs,
    commands.Claim: _claim,
    commands.Unclaim: _unclaim,
    commands.Ack: _acked,
    commands.Report: _reported,
    commands.Restart: _running,
    commands.WakeDue: _due,
    commands.Lapse: _by_run,
}
