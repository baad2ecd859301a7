"""What operators do to runs (engine.md section 12): so far, cancel."""

from __future__ import annotations

from ironflow_lab.clock import Ids
from ironflow_lab.errors import FailedPreconditionError, NotFoundError
from ironflow_lab.models.runs import TERMINAL
from ironflow_lab.server.engine.commands import CancelRun
from ironflow_lab.server.engine.outcome import Ended, Freed, Outcome
from ironflow_lab.server.engine.records import RunState
from ironflow_lab.server.engine.writes import Changes


def cancel(run: RunState | None, command: CancelRun, now: int, ids: Ids) -> Outcome:
    """End a run as cancelled; its worker is fenced out and told. A terminal run is refused."""
    if run is None or run.env != command.env:
        raise NotFoundError(f"no run {command.run_id!r} in this environment")
    if run.status in TERMINAL:
        raise FailedPreconditionError(f"run {run.id} has already {_ended(run.status)}; it cannot be cancelled")
    changes = Changes(run, now, ids)
    running = run.status == "running"
    executed = changes.executed() if running else run.executed_ns
    changes.move("cancelled", "cancelled", executed_ns=executed, cause=command.reason or "cancelled by request")
    freed = (Freed(run.id, run.execution_seq, run.worker_id, revoked=True),) if running else ()
    return Outcome(run.id, changes.writes, (*freed, Ended(run.id)))


def _ended(status: str) -> str:
    return {"completed": "completed", "failed": "failed", "cancelled": "been cancelled"}[status]
