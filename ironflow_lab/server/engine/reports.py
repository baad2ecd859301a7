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
from ironflow_lab.server.engine.outcome import Ended, Freed, Outcome, Renewed, Runnable, Wake, Write
from ironflow_lab.server.engine.records import RunState
from ironflow_lab.server.engine.writes import later, run_write
from ironflow_lab.wire import codec
from ironflow_lab.wire.stepid import step_name

MOST_STEPS = 500
_NULL = b"null"
_LONGEST = 2**63 - 1


def report(run: RunState | None, command: Report, now: int, ids: Ids) -> Outcome:
    """Store the steps and apply the outcome, in this order, under the segment's fence."""
    update = command.update
    run_id, _ = run_of_job(command.job_id)
    fence = Fence(run_id=run_id, execution_seq=update.execution_seq, lease_token=update.lease_token)
    held = fenced(run, command.worker_id, fence)
    at = later(held, now)
    steps = _step_writes(held, update, at, ids)
    if update.status == "progress":
        touched = (Write("touch_run", {"id": held.id, "now": at}),) if steps else ()
        renewed = Renewed(held.id, held.execution_seq, held.worker_id)
        return Outcome(WorkerStatus(status="ok"), (*steps, *touched), (renewed,))
    writes, wakes = _ended_segment(held, update, at, ids)
    freed = Freed(held.id, held.execution_seq, held.worker_id)
    return Outcome(WorkerStatus(status="ok"), (*steps, *writes), (freed, *wakes))


def timed_out(run: RunState, now: int) -> Outcome:
    """Fail a run whose function's execution time is used up (rulings.md 18)."""
    at = later(run, now)
    seconds = run.timeout_ms / 1000
    error = Error(message=f"the function ran longer than its timeout of {seconds:g} s", code="TIMEOUT")
    write = run_write(run, at, status="failed", executed_ns=_executed(run, at), error=codec.encode(error), ended=True)
    freed = Freed(run.id, run.execution_seq, run.worker_id, revoked=True)
    return Outcome(None, (write,), (freed, Ended(run.id)))


def _ended_segment(run: RunState, update: JobUpdate, at: int, ids: Ids) -> tuple[tuple[Write, ...], tuple[Wake, ...]]:
    if update.status == "completed":
        output = _NULL if update.output is msgspec.UNSET else codec.encode(update.output)
        write = run_write(run, at, status="completed", executed_ns=_executed(run, at), output=output, ended=True)
        return (write,), (Ended(run.id),)
    if update.status == "failed":
        fault = update.error if isinstance(update.error, JobFault) else JobFault(message="no error was given")
        return _failed(run, fault, at)
    if update.status == "yielded" and isinstance(update.yield_, Yield):
        return _yielded(run, update, update.yield_, at, ids)
    raise InvalidArgumentError(
        f"a report's status is progress, completed, failed or yielded (with a yield), not {update.status!r}"
    )


def _failed(run: RunState, fault: JobFault, at: int) -> tuple[tuple[Write, ...], tuple[Wake, ...]]:
    asked = fault.retry_after_ms if isinstance(fault.retry_after_ms, int) else None
    error = codec.encode(
        Error(message=fault.message, code=fault.code, retryable=fault.retryable, retry_after_ms=Int64(asked or 0))
    )
    executed = _executed(run, at)
    if fault.retryable and run.attempt < run.policy.max_attempts:
        due = at + run.policy.delay_ms(run.attempt, asked) * MILLISECOND
        write = run_write(
            run, at, status="waiting", executed_ns=executed, attempt=run.attempt + 1, error=error, due_at=due
        )
        return (write,), ()
    if fault.retryable and run.policy.on_exhausted == "pause":
        return (run_write(run, at, status="paused", executed_ns=executed, error=error),), (Ended(run.id, False),)
    write = run_write(run, at, status="failed", executed_ns=executed, error=error, ended=True)
    return (write,), (Ended(run.id),)


def _yielded(
    run: RunState, update: JobUpdate, wanted: Yield, at: int, ids: Ids
) -> tuple[tuple[Write, ...], tuple[Wake, ...]]:
    if wanted.type != "sleep":
        fault = JobFault(
            message=f"step {wanted.step_id!r} asks for {wanted.type!r}, which this embedded server does not have",
            code="UNSUPPORTED",
            retryable=False,
        )
        return _failed(run, fault, at)
    if not isinstance(wanted.until, int):
        raise InvalidArgumentError("a sleep needs `until`, an RFC 3339 time")
    over = wanted.until <= at
    step = _step(run, wanted.step_id, step_name(wanted.step_id), update.step_offset + len(update.steps), at, ids)
    step.update(type="sleep", status="completed" if over else "sleeping", sleep_until=int(wanted.until), started_at=at)
    if over:
        step.update(output=_NULL, ended_at=at, duration_ms=0)
    if over:
        moved = run_write(run, at, status="waiting_for_capacity", executed_ns=_executed(run, at))
        return (Write("save_step", step), moved), (Runnable(),)
    moved = run_write(
        run, at, status="waiting", executed_ns=_executed(run, at), due_at=int(wanted.until), due_step=wanted.step_id
    )
    return (Write("save_step", step), moved), ()


def _step_writes(run: RunState, update: JobUpdate, at: int, ids: Ids) -> tuple[Write, ...]:
    if len(update.steps) > MOST_STEPS and update.status == "progress":
        raise InvalidArgumentError(f"a checkpoint holds at most {MOST_STEPS} steps, not {len(update.steps)}")
    if update.step_offset < 0:
        raise InvalidArgumentError("step_offset must not be negative")
    return tuple(
        Write("save_step", _result(run, result, update.step_offset + index, at, ids))
        for index, result in enumerate(update.steps)
    )


def _result(run: RunState, result: StepResult, sequence: int, at: int, ids: Ids) -> dict[str, Any]:
    if result.status not in ("completed", "failed") or result.type not in ("invoke", "compensate"):
        raise InvalidArgumentError(
            f"step {result.id!r}: status {result.status!r} or type {result.type!r} is not one a worker may report"
        )
    step = _step(run, result.id, result.name, sequence, at, ids)
    step.update(
        type=result.type,
        status=result.status,
        started_at=_instant(result.started_at, at),
        ended_at=_instant(result.ended_at, at),
        duration_ms=min(max(result.duration_ms or 0, 0), _LONGEST),
    )
    if result.status == "completed":
        step["output"] = _NULL if result.output is msgspec.UNSET else codec.encode(result.output)
    else:
        step["error"] = codec.encode(_error(result.error))
    if isinstance(result.compensation_for, str):
        step["compensation_for"] = result.compensation_for
    return step


def _step(run: RunState, step_id: str, name: str, sequence: int, at: int, ids: Ids) -> dict[str, Any]:
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
        "now": at,
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


def _executed(run: RunState, at: int) -> int:
    return run.executed_ns + max(at - run.claimed_at, 0)
