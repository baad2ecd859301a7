"""What happens by itself: waits ending, leases and execution times running out."""

from __future__ import annotations

from ironflow_lab.clock import Ids
from ironflow_lab.server.engine import waits
from ironflow_lab.server.engine.claims import requeue
from ironflow_lab.server.engine.commands import Lapse, Restart, WakeDue
from ironflow_lab.server.engine.outcome import Freed, Outcome, Wake, Write
from ironflow_lab.server.engine.records import Case, RunState
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


def wake_due(state: tuple[Case, ...], command: WakeDue, now: int, ids: Ids) -> Outcome:
    """End every wait whose time has come.

    A child and the parent that waits for it may both be due: what the state was read for one of them no
    longer holds after the other, so it is left to the next command.
    """
    writes, wakes, touched = list[Write](), list[Wake](), set[str]()
    for case in state:
        concerned = {case.run.id} | ({case.parent.run.id} if case.parent else set())
        if concerned & touched:
            continue
        touched |= concerned
        changes = waits.due(case, now, ids)
        writes += changes.writes
        wakes += changes.wakes
    return Outcome(None, tuple(writes), tuple(wakes))


def lapse(state: Case | None, command: Lapse, now: int, ids: Ids) -> Outcome:
    """Queue a run whose worker went silent, or fail one that ran too long; a newer segment is left alone."""
    if state is None or state.run.status != "running" or state.run.execution_seq != command.execution_seq:
        return Outcome()
    if command.timed_out:
        return timed_out(state, now, ids)
    run = state.run
    changes = requeue(run, now, ids, reason="worker_lost", until=command.at)
    return changes.outcome(None, Freed(run.id, run.execution_seq, run.worker_id, revoked=True))
