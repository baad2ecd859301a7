"""Loading the state that commands about deletions and redactions are decided on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from ironflow_lab.server.engine import commands
from ironflow_lab.server.engine.erase import MOST_DELETED, Held, HeldStep, Told, is_narrow
from ironflow_lab.server.engine.records import RunState
from ironflow_lab.server.engine.steps import run_of_step
from ironflow_lab.server.store import queries
from ironflow_lab.server.store.rows import run_by_id

_SQL = queries.load("erase")
_FOREVER = 2**63 - 1


def _delete(db: sqlite3.Connection, command: commands.DeleteRun, now: int) -> RunState | None:
    return run_by_id(db, command.run_id)


def _delete_many(db: sqlite3.Connection, command: commands.DeleteRuns, now: int) -> tuple[str, ...]:
    if not is_narrow(command):
        return ()
    asked = {
        "env": command.env,
        "function_id": command.function_id,
        "status": command.status,
        "until": command.until or _FOREVER,
        "most": MOST_DELETED,
    }
    return tuple(run_id for (run_id,) in db.execute(_SQL["ended_runs"], asked))


def _redact_run(db: sqlite3.Connection, command: commands.RedactRun, now: int) -> Held:
    run, asked = run_by_id(db, command.run_id), {"run_id": command.run_id}
    if run is None:
        return Held()
    given, output = db.execute(_SQL["run_payloads"], asked).fetchone()
    return Held(
        run=run,
        input=given,
        output=output,
        steps=_steps(db.execute(_SQL["step_payloads"], asked)),
        events=_events(db.execute(_SQL["audit_payloads"], asked)),
    )


def _redact_step(db: sqlite3.Connection, command: commands.RedactStep, now: int) -> Held:
    named = {"id": command.step_id, "run_id": run_of_step(command.step_id)}
    found = db.execute(_SQL["step_by_id"], named).fetchone() or db.execute(_SQL["step_by_row"], named).fetchone()
    if found is None:
        return Held()
    run = run_by_id(db, found[0])
    if run is None or run.env != command.env:
        return Held()
    asked = {"run_id": found[0], "step_id": found[1]}
    return Held(
        run=run,
        steps=_steps(db.execute(f"{_SQL['step_payloads']} {_SQL['that_step']}", asked)),
        events=_events(db.execute(f"{_SQL['audit_payloads']} {_SQL['audit_of_step']}", asked)),
    )


def _steps(rows: sqlite3.Cursor) -> tuple[HeldStep, ...]:
    return tuple(
        HeldStep(step_id=step_id, input=given, output=output, original_output=original)
        for step_id, given, output, original in rows
    )


def _events(rows: sqlite3.Cursor) -> tuple[Told, ...]:
    return tuple(Told(seq=seq, payload=payload) for seq, payload in rows)


LOADS: dict[type, Callable[[sqlite3.Connection, Any, int], Any]] = {
    commands.DeleteRun: _delete,
    commands.DeleteRuns: _delete_many,
    commands.RedactRun: _redact_run,
    commands.RedactStep: _redact_step,
}
