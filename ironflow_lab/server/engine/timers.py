"""What happens by itself: sleeps and retry delays ending, leases and execution times running out."""

from __future__ import annotations

from ironflow_lab.clock import Ids
from ironflow_lab.server.engine.claims import requeue
from ironflow_lab.server.engine.commands import Lapse, Restart, WakeDue
from ironflow_lab.server.engine.outcome import Freed, Outcome, Runnable, Write
from ironflow_lab.server.engine.records import RunState
from ironflow_lab.server.engine.reports import timed_out
from ironflow_lab.server.engine.writes import later, run_write


def restart(state: tuple[RunState, ...], command: Restart, now: int, ids: Ids) -> Outcome:
    """Count the execution time of segments in workers' hands anew from their last sign of life.

    While the server was away nobody knows who executed: a laptop's night in a bag is no execution.
    """
    writes = []
    for run in state:
        executed = run.executed_ns + max(run.updated_at - run.claimed_at, 0)
        writes.append(Write("recount_run", {"id": run.id, "executed_ns": executed, "now": later(run, now)}))
    return Outcome(None, tuple(writes))


def wake_due(state: tuple[RunState, ...], command: WakeDue, now: int, ids: Ids) -> Outcome:
    """Queue every run whose time has come; a finished sleep becomes a completed step."""
    writes: list[Write] = []
    for run in state:
        at = later(run, now)
        if run.due_step:
            writes.append(Write("finish_sleep", {"run_id": run.id, "step_id": run.due_step, "now": at}))
        writes.append(run_write(run, at, status="waiting_for_capacity"))
    return Outcome(None, tuple(writes), (Runnable(),) if state else ())


def lapse(run: RunState | None, command: Lapse, now: int, ids: Ids) -> Outcome:
    """Queue a run whose worker went silent, or fail one that ran too long; a newer segment is left alone."""
    if run is None or run.status != "running" or run.execution_seq != command.execution_seq:
        return Outcome()
    if command.timed_out:
        return timed_out(run, now)
    freed = Freed(run.id, run.execution_seq, run.worker_id, revoked=True)
    return Outcome(None, (requeue(run, now, until=command.at),), (freed, Runnable()))
