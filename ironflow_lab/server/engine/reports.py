"""What a worker reports of a segment (worker.md sections 3.6, 3.7, 4 and 9.3)."""

from __future__ import annotations

from typing import Any

import msgspec

from ironflow_lab.clock import MILLISECOND, Ids
from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.models.instant import Int64, parse_instant
from ironflow_lab.models.runs import Error
from ironflow_lab.models.workers import Fence, JobFault, JobUpdate, StepResult, WorkerStatus, Yield
from ironflow_lab.server.engine.claims import fenced
from ironflow_lab.server.engine.commands import Report, run_of_job
from ironflow_lab.server.engine.outcome import Ended, Freed, Outcome, Renewed
from ironflow_lab.server.engine.records import Case, ReportedRun, Timer
from ironflow_lab.server.engine.steps import NULL, step_row
from ironflow_lab.server.engine.waits import Refused, begin, end
from ironflow_lab.server.engine.writes import HELD, Changes
from ironflow_lab.wire import codec

MOST_STEPS = 500
# The status that makes a worker of another kind drop the job; the protocol turns it into that refusal.
STALE = "stale"
EXHAUSTED = "retries_exhausted"
_LONGEST = 2**63 - 1


def report(state: ReportedRun, command: Report, now: int, ids: Ids) -> Outcome:
    """Store the steps and apply the outcome, in this order, under the segment's fence."""
    update = command.update
    run_id, _ = run_of_job(command.job_id)
    fence = Fence(run_id=run_id, execution_seq=update.execution_seq, lease_token=update.lease_token)
    held = fenced(None if state.case is None else state.case.run, command.worker_id, fence)
    changes = Changes(held, now, ids, steps=state.steps)
    freed = Freed(held.id, held.execution_seq, held.worker_id)
    _save_steps(changes, update)
    if update.status != "progress":
        _end_segment(changes, state, update, now, ids)
        return changes.outcome(WorkerStatus(status="ok"), freed)
    if held.pause_requested and (update.boundary is True or not state.cooperative):
        changes.hold()
        # A worker that cannot be asked to stop is told that the run is no longer its own.
        status = "paused" if state.cooperative else STALE
        return changes.outcome(WorkerStatus(status=status), freed)
    if update.steps:
        changes.touch()
    status = "pausing" if held.pause_requested else "ok"
    return changes.outcome(WorkerStatus(status=status), Renewed(held.id, held.execution_seq, held.worker_id))


def timed_out(case: Case, now: int, ids: Ids) -> Outcome:
    """Fail a run whose function's execution time is used up (rulings.md 18)."""
    run = case.run
    changes = Changes(run, now, ids)
    seconds = run.timeout_ms / 1000
    error = Error(message=f"the function ran longer than its timeout of {seconds:g} s", code="TIMEOUT")
    end(changes, case.parent, "failed", "timeout", now, ids, error=codec.encode(error))
    return changes.outcome(None, Freed(run.id, run.execution_seq, run.worker_id, revoked=True))


def _end_segment(changes: Changes, state: ReportedRun, update: JobUpdate, now: int, ids: Ids) -> None:
    assert state.case is not None
    if update.status == "completed":
        output = NULL if update.output is msgspec.UNSET else codec.encode(update.output)
        end(changes, state.case.parent, "completed", "completed", now, ids, output=output)
    elif update.status == "failed":
        fault = update.error if isinstance(update.error, JobFault) else JobFault(message="no error was given")
        _fail(changes, state.case, fault, now, ids)
    elif update.status == "yielded" and isinstance(update.yield_, Yield):
        try:
            begin(changes, state, update, update.yield_, now, ids)
        except Refused as refused:
            fault = JobFault(message=str(refused), code=refused.code, retryable=False)
            _fail(changes, state.case, fault, now, ids)
    else:
        raise InvalidArgumentError(
            f"a report's status is progress, completed, failed or yielded (with a yield), not {update.status!r}"
        )


def _fail(changes: Changes, case: Case, fault: JobFault, now: int, ids: Ids) -> None:
    run, executed = changes.run, changes.executed()
    asked = fault.retry_after_ms if isinstance(fault.retry_after_ms, int) else None
    error = codec.encode(
        Error(message=fault.message, code=fault.code, retryable=fault.retryable, retry_after_ms=Int64(asked or 0))
    )
    left = fault.retryable and run.attempt < run.policy.max_attempts
    if left and run.pause_requested:
        changes.move("paused", HELD, executed_ns=executed, attempt=run.attempt + 1, error=error)
        changes.wake(Ended(run.id, False))
    elif left:
        due = changes.at + run.policy.delay_ms(run.attempt, asked) * MILLISECOND
        changes.wait_for(Timer(run_id=run.id, env=run.env, kind="retry", due_at=due))
        changes.move("waiting", "retry", executed_ns=executed, attempt=run.attempt + 1, error=error, due_at=due)
    elif fault.retryable and run.policy.on_exhausted == "pause":
        changes.move("paused", EXHAUSTED, executed_ns=executed, error=error)
        changes.wake(Ended(run.id, False))
    else:
        end(changes, case.parent, "failed", EXHAUSTED if fault.retryable else "failed", now, ids, error=error)


def _save_steps(changes: Changes, update: JobUpdate) -> None:
    if len(update.steps) > MOST_STEPS and update.status == "progress":
        raise InvalidArgumentError(f"a checkpoint holds at most {MOST_STEPS} steps, not {len(update.steps)}")
    if update.step_offset < 0:
        raise InvalidArgumentError("step_offset must not be negative")
    for index, result in enumerate(update.steps):
        changes.save(_result(changes, result, update.step_offset + index))


def _result(changes: Changes, result: StepResult, sequence: int) -> dict[str, Any]:
    if result.status not in ("completed", "failed") or result.type not in ("invoke", "compensate"):
        raise InvalidArgumentError(
            f"step {result.id!r}: status {result.status!r} or type {result.type!r} is not one a worker may report"
        )
    step = step_row(changes.run, result.id, result.name, sequence)
    # Reported again without times, a step keeps the ones it was given first.
    known = changes.known(result.id)
    same = known is not None and known.attempt == changes.run.attempt and known.status != "pending"
    step.update(
        type=result.type,
        status=result.status,
        started_at=_instant(result.started_at, known.started_at if known and same else changes.at),
        ended_at=_instant(result.ended_at, known.ended_at if known and same else changes.at),
        duration_ms=min(max(result.duration_ms or 0, 0), _LONGEST),
    )
    if result.status == "completed":
        step["output"] = NULL if result.output is msgspec.UNSET else codec.encode(result.output)
    else:
        step["error"] = codec.encode(_error(result.error))
    if isinstance(result.compensation_for, str):
        step["compensation_for"] = result.compensation_for
    return step


def _error(value: Any) -> Error:
    if isinstance(value, dict):
        retryable = value.get("retryable")
        return Error(
            message=str(value.get("message", "")),
            code=str(value.get("code") or ""),
            stack=str(value.get("stack") or ""),
            retryable=retryable is not False,
        )
    return Error(message=value if isinstance(value, str) else "the step failed", retryable=True)


def _instant(value: Any, otherwise: int) -> int:
    if not isinstance(value, str) or not value:
        return otherwise
    try:
        return int(parse_instant(value))
    except ValueError as error:
        raise InvalidArgumentError(f"a step's time cannot be read: {error}") from None
