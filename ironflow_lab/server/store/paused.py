"""GetPausedState: what a paused run has done, and what comes next (engine.md section 12)."""

from __future__ import annotations

import sqlite3
from typing import Any

from ironflow_lab.errors import FailedPreconditionError
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import PausedState, PausedStep
from ironflow_lab.server.store import queries
from ironflow_lab.server.store.runs import unknown

_SQL = queries.load("runs")
_FINISHED = frozenset({"completed", "failed", "timed_out"})
_HELD = frozenset({"sleeping", "waiting"})


def state(db: sqlite3.Connection, env: str, run_id: str) -> PausedState:
    """Return the finished steps by sequence and what comes next; raises unless the run is paused.

    The hint names the step the run waits in, else the first that has not finished, else the last one where
    that failed: it is executed again. No other can be named: what a handler does next is not known before.
    """
    found = db.execute(_SQL["stopped"], {"env": env, "id": run_id}).fetchone()
    if found is None:
        raise unknown(run_id)
    status, reason = found
    if status != "paused":
        raise FailedPreconditionError(
            f"run {run_id} is {status}, and only a paused run has a paused state; pause it first with PauseRun,"
            " or read its steps with GetRunSteps"
        )
    rows = db.execute(_SQL["stopped_steps"], {"run_id": run_id}).fetchall()
    steps = tuple(
        PausedStep(
            id=step_id,
            name=name,
            output=output or b"",
            injected=bool(injected),
            completed_at=Instant(ended_at or updated_at),
            step_type=kind,
            status=status,
            error=error or b"",
        )
        for step_id, name, kind, status, output, error, injected, ended_at, updated_at in rows
        if status in _FINISHED
    )
    return PausedState(steps=steps, next_step_hint=_next(rows), pause_reason=reason)


def _next(rows: list[tuple[Any, ...]]) -> str:
    held = [name for _, name, _, status, *_ in rows if status in _HELD]
    unfinished = [name for _, name, _, status, *_ in rows if status not in _FINISHED]
    failed = [name for _, name, kind, status, *_ in rows[-1:] if (kind, status) == ("invoke", "failed")]
    return next(iter((*held, *unfinished, *failed)), "")
