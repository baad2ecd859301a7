"""The one way a decision writes a run's row."""

from __future__ import annotations

from ironflow_lab.server.engine.outcome import Write
from ironflow_lab.server.engine.records import RunState


def later(run: RunState, now: int) -> int:
    """Return `now`, or just after the run's last change when the clock has not moved on."""
    return max(now, run.updated_at + 1)


def run_write(
    run: RunState,
    at: int,
    *,
    status: str,
    executed_ns: int | None = None,
    attempt: int | None = None,
    output: bytes | None = None,
    error: bytes | None = None,
    due_at: int | None = None,
    due_step: str = "",
    ended: bool = False,
    cause: str = "",
) -> Write:
    """Return the write that moves a run to `status` at `at` and takes it out of its worker's hands."""
    return Write(
        "move_run",
        {
            "id": run.id,
            "status": status,
            "executed_ns": run.executed_ns if executed_ns is None else executed_ns,
            "attempt": run.attempt if attempt is None else attempt,
            "output": output,
            "error": error,
            "due_at": due_at,
            "due_step": due_step,
            "ended_at": at if ended else 0,
            "cause": cause,
            "now": at,
        },
    )
