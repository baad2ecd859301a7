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
from ironflow_lab.server.engine.outcome import Ended, Freed, Outcome, Renewed, Runnable, Wake
from ironflow_lab.server.engine.records import ReportedRun, RunState
from ironflow_lab.server.engine.writes import Changes
from ironflow_lab.wire import codec
from ironflow_lab.wire.stepid import step_name

MOST_STEPS = 500
_NULL = b"null"
_LONGEST = 2**63 - 1


def report(state: ReportedRun, command: Report, now: int, ids: Ids) -> Outcome:
    """Store the steps and apply the outcome, in this order, under the segment's fence."""
    update = command.update
    run_id, _ = run_of_job(command.job_id)
    fence = Fence(run_id=run_id, execution_seq=update.execution_seq, lease_token=update.lease_token)
    held = fenced(state.run, command.worker_id, fence)
    changes = Changes(held, now, ids, steps=state.steps)
    _save_steps(changes, update, ids)
    if update.status == "progress":
        if update.steps:
            changes.touch()
        renewed = Renewed(held.id, held.execution_seq, held.worker_id)
        return Outcome(WorkerStatus(status="ok"), changes.writes, (renewed,))
    wakes = _end_segment(changes, update, ids)
    freed = Freed(held.id, held.execution_seq, held.worker_id)
    return Outcome(WorkerStatus(status="ok"), changes.writes, (freed, *wakes))


def timed_out(run: RunState, now: int, ids: Ids) -> Outcome:
    """Fail a run whose function's execution time is used up (rulings.md 18)."""
    changes = Changes(run, now, ids)
    seconds = run.timeout_ms / 1000
    error = Error(message=f"the function ran longer than its timeout of {seconds:g} s", code="TIMEOUT")
    changes.move("failed", "timeout", executed_ns=changes.executed(), error=codec.encode(error))
    freed = Freed(run.id, run.execution_seq, run.worker_id, revoked=True)
    return Outcome(None, changes.writes, (freed, Ended(run.id)))


def _end_segment(changes: Changes, update: JobUpdate, ids: Ids) -> tuple[Wake, ...]:
    if update.status == "completed":
        output = _NULL if update.output is msgspec.UNSET else codec.encode(update.output)
        changes.move("completed", "completed", executed_ns=changes.executed(), output=output)
        return (Ended(changes.run.id),)
    if update.status == "failed":
        fault = update.error if isinstance(update.error, JobFault) else JobFault(message="no error was given")
        return _fail(changes, fault)
    if update.status == "yielded" and isinstance(update.yield_, Yield):
        return _yield(changes, update, update.yield_, ids)
    raise InvalidArgumentError(
        f"a report's status is progress, completed, failed or yielded (with a yield), not {update.status!r}"
    )


def _fail(changes: Changes, fault: JobFault) -> tuple[Wake, ...]:
    run, executed = changes.run, changes.executed()
    asked = fault.retry_after_ms if isinstance(fault.retry_after_ms, int) else None
    error = codec.encode(
        Error(message=fault.message, code=fault.code, retryable=fault.retryable, retry_after_ms=Int64(asked or 0))
    )
    if fault.retryable and run.attempt < run.policy.max_attempts:
        due = changes.at + run.policy.delay_ms(run.attempt, asked) * MILLISECOND
        changes.move("waiting", "retry", executed_ns=executed, attempt=run.attempt + 1, error=error, due_at=due)
        return ()
    reason = "retries_exhausted" if fault.retryable else "failed"
    if fault.retryable and run.policy.on_exhausted == "pause":
        changes.move("paused", reason, executed_ns=executed, error=error)
        return (Ended(run.id, False),)
    changes.move("failed", reason, executed_ns=executed, error=error)
    return (Ended(run.id),)


def _yield(changes: Changes, update: JobUpdate, wanted: Yield, ids: Ids) -> tuple[Wake, ...]:
    if wanted.type != "sleep":
        fault = JobFault(
            message=f"step {wanted.step_id!r} asks for {wanted.type!r}, which this embedded server does not have",
            code="UNSUPPORTED",
            retryable=False,
        )
        return _fail(changes, fault)
    if not isinstance(wanted.until, int):
        raise InvalidArgumentError("a sleep needs `until`, an RFC 3339 time")
    at, until, executed = changes.at, int(wanted.until), changes.executed()
    step = _step(changes.run, wanted.step_id, step_name(wanted.step_id), update.step_offset + len(update.steps), ids)
    step.update(type="sleep", sleep_until=until, started_at=at)
    if until <= at:
        changes.save({**step, "status": "completed", "output": _NULL, "ended_at": at})
        changes.move("waiting_for_capacity", "woken", executed_ns=executed)
        return (Runnable(),)
    changes.save({**step, "status": "sleeping"})
    changes.move("waiting", "sleep", executed_ns=executed, due_at=until, due_step=wanted.step_id)
    return ()


def _save_steps(changes: Changes, update: JobUpdate, ids: Ids) -> None:
    if len(update.steps) > MOST_STEPS and update.status == "progress":
        raise InvalidArgumentError(f"a checkpoint holds at most {MOST_STEPS} steps, not {len(update.steps)}")
    if update.step_offset < 0:
        raise InvalidArgumentError("step_offset must not be negative")
    for index, result in enumerate(update.steps):
        changes.save(_result(changes, result, update.step_offset + index, ids))


def _result(changes: Changes, result: StepResult, sequence: int, ids: Ids) -> dict[str, Any]:
    if result.status not in ("completed", "failed") or result.type not in ("invoke", "compensate"):
        raise InvalidArgumentError(
            f"step {result.id!r}: status {result.status!r} or type {result.type!r} is not one a worker may report"
        )
    step = _step(changes.run, result.id, result.name, sequence, ids)
    # Reported again without times, a step keeps the ones it was given first.
    known = changes.known(result.id)
    same = known is not None and known.attempt == changes.run.attempt
    step.update(
        type=result.type,
        status=result.status,
        started_at=_instant(result.started_at, known.started_at if known and same else changes.at),
        ended_at=_instant(result.ended_at, known.ended_at if known and same else changes.at),
        duration_ms=min(max(result.duration_ms or 0, 0), _LONGEST),
    )
    if result.status == "completed":
        step["output"] = _NULL if result.output is msgspec.UNSET else codec.encode(result.output)
    else:
        step["error"] = codec.encode(_error(result.error))
    if isinstance(result.compensation_for, str):
        step["compensation_for"] = result.compensation_for
    return step


def _step(run: RunState, step_id: str, name: str, sequence: int, ids: Ids) -> dict[str, Any]:
    if not step_id.startswith(run.id + ":"):
        raise InvalidArgumentError(f"step id {step_id!r} does not belong to run {run.id!r}")
    return {
        "run_id": run.id,
        "step_id": step_id,
        "id": ids.new("step_"),
        "name": name,
        "sequence": sequence,
        "attempt": run.attempt,
        "output": None,
        "error": None,
        "started_at": 0,
        "ended_at": 0,
        "duration_ms": 0,
        "sleep_until": 0,
        "compensation_for": "",
    }


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
