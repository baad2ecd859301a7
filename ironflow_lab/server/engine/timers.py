"""What happens by itself: sleeps and retry delays ending, leases and execution times running out."""

from __future__ import annotations

from ironflow_lab.clock import Ids
from ironflow_lab.server.engine.claims import requeue
from ironflow_lab.server.engine.commands import Lapse, Restart, WakeDue
from ironflow_lab.server.engine.outcome import Freed, Outcome, Runnable, Write
from ironflow_lab.server.engine.records import DueRun, RunState
from ironflow_lab.server.engine.reports import timed_out
from ironflow_lab.server.engine.writes import Changes


def restart(state: tuple[RunState, ...], command: Restart, now: int, ids: Ids) -> Outcome:
    """Count the execution time of segments in workers' hands anew from their last sign of life.

    While the server was away nobody knows who executed: a laptop's night in a bag is no execution.
    """
    writes: list[Write] = []
    for run in state:
        changes = Changes(run, now, ids)
        changes.recount(changes.executed(until=run.updated_at))
        writes += changes.writes
    return Outcome(None, tuple(writes))


def wake_due(state: tuple[DueRun, ...], command: WakeDue, now: int, ids: Ids) -> Outcome:
    """Queue every run whose time has come; a finished sleep becomes a completed step."""
    writes: list[Write] = []
    for due in state:
        changes = Changes(due.run, now, ids)
        if due.run.due_step:
            changes.finish_sleep(due.run.due_step, due.sleep_began)
        changes.move("waiting_for_capacity", "woken")
        writes += changes.writes
    return Outcome(None, tuple(writes), (Runnable(),) if state else ())


def lapse(run: RunState | None, command: Lapse, now: int, ids: Ids) -> Outcome:
    """Queue a run whose worker went silent, or fail one that ran too long; a newer segment is left alone."""
    if run is None or run.status != "running" or run.execution_seq != command.execution_seq:
        return Outcome()
    if command.timed_out:
        return timed_out(run, now, ids)
    freed = Freed(run.id, run.execution_seq, run.worker_id, revoked=True)
    return Outcome(None, requeue(run, now, ids, reason="worker_lost", until=command.at), (freed, Runnable()))
