"""Handing runs to workers and taking them back (engine.md section 6, worker.md section 3)."""

from __future__ import annotations

from collections import Counter

import msgspec

from ironflow_lab.clock import MILLISECOND, Ids
from ironflow_lab.errors import InvalidArgumentError, NotFoundError, StaleExecutionError
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.workers import Assignment, Fence, JobBatch, JobEvent, WorkerStatus
from ironflow_lab.server.engine.commands import (
    Ack,
    Claim,
    Heartbeat,
    Hold,
    RegisterWorker,
    Release,
    Unclaim,
    run_of_job,
)
from ironflow_lab.server.engine.outcome import Beat, Freed, Held, Leased, Outcome, Renewed, Runnable, Wake, Write
from ironflow_lab.server.engine.records import EventState, QueuedRun, RunState, WorkerState
from ironflow_lab.server.engine.writes import Changes

# What one poll may get: handing out a whole backlog would hold up everybody else.
MOST_JOBS = 500


class ClaimState(msgspec.Struct, frozen=True, kw_only=True):
    """The worker and the runs it may get, oldest first, those of full lanes left out."""

    worker: WorkerState | None = None
    queued: tuple[QueuedRun, ...] = ()


class WorkerRuns(msgspec.Struct, frozen=True, kw_only=True):
    """A worker and the runs it holds."""

    worker: WorkerState | None = None
    running: tuple[RunState, ...] = ()


def register(state: WorkerRuns, command: RegisterWorker, now: int, ids: Ids) -> Outcome:
    """Store the registration; unless it is the same instance, its former runs are queued again."""
    if not command.function_ids:
        raise InvalidArgumentError("a worker must name at least one function in function_ids")
    if command.max_concurrent < 1:
        raise InvalidArgumentError("max_concurrent_jobs must be 1 or more")
    known = state.worker
    same = known is not None and known.instance_id != "" and known.instance_id == command.instance_id
    write = Write(
        "save_worker",
        {
            "env": command.env,
            "id": command.worker_id,
            # A function named twice would hand out each of its runs twice.
            "function_ids": msgspec.json.encode(tuple(dict.fromkeys(command.function_ids))),
            "instance_id": command.instance_id,
            "max_concurrent": command.max_concurrent,
            "hostname": command.hostname,
            "labels": command.labels,
            "version": command.version,
            "now": now,
        },
    )
    writes, wakes = [write], list[Wake]()
    if not same:
        lost = _requeue_all(state.running, now, ids, reason="worker_lost", revoked=True)
        writes += lost.writes
        wakes += (*lost.wakes, Held(command.worker_id, False))
    # A worker that can now do more may take runs that were waiting for it.
    return Outcome(WorkerStatus(status="registered"), tuple(writes), (*wakes, Runnable()))


def heartbeat(state: WorkerRuns, command: Heartbeat, now: int, ids: Ids) -> Outcome:
    """Renew the leases of the listed jobs; raises `NotFoundError` for an unknown worker."""
    _known(state.worker, command.worker_id)
    segments = frozenset(map(run_of_job, command.job_ids))
    return Outcome(WorkerStatus(status="ok"), (), (Beat(command.worker_id, segments),))


def hold(state: WorkerRuns, command: Hold, now: int, ids: Ids) -> Outcome:
    """Let the worker's open connection hold its leases; only the registered instance may."""
    worker = _known(state.worker, command.worker_id)
    if worker.instance_id != command.instance_id:
        raise StaleExecutionError(
            f"another instance has registered as worker {command.worker_id!r}; this one must stop",
            code="STALE_EXECUTION",
        )
    return Outcome(WorkerStatus(status="held"), (), (Held(command.worker_id, True),))


def release(state: WorkerRuns, command: Release, now: int, ids: Ids) -> Outcome:
    """Queue the worker's runs again at once: its connection is gone."""
    if state.worker is None or state.worker.instance_id != command.instance_id:
        return Outcome(WorkerStatus(status="gone"))
    lost = _requeue_all(state.running, now, ids, reason="worker_lost", revoked=False)
    return Outcome(WorkerStatus(status="released"), lost.writes, (Held(command.worker_id, False), *lost.wakes))


def claim(state: ClaimState, command: Claim, now: int, ids: Ids) -> Outcome:
    """Hand out the oldest ready runs, at most `MOST_JOBS`, each under a new fence."""
    _known(state.worker, command.worker_id)
    jobs, writes, wakes = [], list[Write](), []
    taken: Counter[tuple[str, str]] = Counter()
    for queued in state.queued[: command.available]:
        run = queued.run
        if run.lane_limit and not run.holding:
            lane = (run.function_id, run.lane)
            if taken[lane] >= queued.free:
                continue
            taken[lane] += 1
        changes = Changes(run, now, ids)
        sequence, token = run.execution_seq + 1, ids.token()
        changes.claim(sequence, token, command.worker_id)
        writes += changes.writes
        wakes.append(Leased(run.id, sequence, command.worker_id, _time_left(run)))
        jobs.append(_assignment(queued, sequence, token, Instant(changes.at + command.lease_ns)))
    return Outcome(JobBatch(jobs=tuple(jobs)), tuple(writes), tuple(wakes))


def unclaim(state: tuple[RunState, ...], command: Unclaim, now: int, ids: Ids) -> Outcome:
    """Queue again the jobs that never reached their worker, where the fence still holds."""
    fences = {fence.run_id: fence for fence in command.fences}
    mine = tuple(run for run in state if _holds(run, command.worker_id, fences[run.id]))
    return _requeue_all(mine, now, ids, reason="unclaimed", revoked=False)


def ack(run: RunState | None, command: Ack, now: int, ids: Ids) -> Outcome:
    """Say whether the job may start; writes nothing."""
    held = fenced(run, command.worker_id, command.fence)
    status = "pausing" if held.pause_requested else "acknowledged"
    return Outcome(WorkerStatus(status=status), (), (Renewed(held.id, held.execution_seq, command.worker_id),))


def fenced(run: RunState | None, worker_id: str, fence: Fence) -> RunState:
    """Return the run if the fence is its current one; raises `StaleExecutionError` otherwise."""
    if run is None or not _holds(run, worker_id, fence):
        raise StaleExecutionError(
            f"run {fence.run_id!r} is no longer in the hands of worker {worker_id!r}; drop the job",
            code="STALE_EXECUTION",
        )
    return run


def requeue(run: RunState, now: int, ids: Ids, *, reason: str, until: int | None = None) -> Changes:
    """End a segment without an outcome: the run is queued again, or held where that was asked for.

    Its execution time counts to `until`, where the worker is known to have been gone since then.
    """
    changes = Changes(run, now, ids)
    if run.pause_requested:
        changes.hold(until=until)
    else:
        changes.move("waiting_for_capacity", reason, executed_ns=changes.executed(until))
    return changes


def _requeue_all(runs: tuple[RunState, ...], now: int, ids: Ids, *, reason: str, revoked: bool) -> Outcome:
    """Queue the runs again; whose segments ended is told before that there is work."""
    changed = [requeue(run, now, ids, reason=reason) for run in runs]
    freed = tuple(Freed(run.id, run.execution_seq, run.worker_id, revoked) for run in runs)
    writes = tuple(write for changes in changed for write in changes.writes)
    return Outcome(None, writes, (*freed, *(wake for changes in changed for wake in changes.wakes)))


def _holds(run: RunState, worker_id: str, fence: Fence) -> bool:
    return (
        run.status == "running"
        and run.worker_id == worker_id
        and run.execution_seq == fence.execution_seq
        and run.lease_token == fence.lease_token
    )


def _known(worker: WorkerState | None, worker_id: str) -> WorkerState:
    if worker is None:
        raise NotFoundError(f"worker {worker_id!r} is not registered here; register again", code="not_found")
    return worker


def _time_left(run: RunState) -> int:
    return max(run.timeout_ms * MILLISECOND - run.executed_ns, 1)


def _assignment(queued: QueuedRun, sequence: int, token: str, expires: Instant) -> Assignment:
    run = queued.run
    return Assignment(
        job_id=f"{run.id}.{sequence}",
        run_id=run.id,
        function_id=run.function_id,
        attempt=run.attempt,
        max_attempts=run.policy.max_attempts,
        on_exhausted=run.policy.on_exhausted,
        execution_seq=sequence,
        lease_token=token,
        lease_expires_at=expires,
        event=_event(queued.event),
        completed_steps=queued.completed,
        step_sequence_base=queued.next_sequence,
        context=queued.context,
    )


def _event(event: EventState) -> JobEvent:
    return JobEvent(
        id=event.id,
        name=event.name,
        data=msgspec.Raw(event.data),
        timestamp=Instant(event.at),
        version=event.version,
        source=event.source or msgspec.UNSET,
        idempotency_key=event.idempotency_key or msgspec.UNSET,
        metadata=None if event.metadata is None else msgspec.json.decode(event.metadata),
    )
