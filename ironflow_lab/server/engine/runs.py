"""What operators do to runs (engine.md section 12, rulings.md 17)."""

from __future__ import annotations

from ironflow_lab.clock import Ids
from ironflow_lab.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from ironflow_lab.models.runs import TERMINAL, InjectStepOutputResponse, PauseRunResponse
from ironflow_lab.server.engine.commands import CancelRun, InjectOutput, PatchStep, PauseRun, ResumeRun
from ironflow_lab.server.engine.outcome import Freed, Outcome, Pausing
from ironflow_lab.server.engine.records import Case, CorrectedStep, ResumedRun, RunState, StepState
from ironflow_lab.server.engine.steps import NULL
from ironflow_lab.server.engine.waits import end
from ironflow_lab.server.engine.writes import HELD, Changes
from ironflow_lab.wire.stepid import step_name

# Without credentials nobody has a name.
BY = "operator"
_FINISHED = ("completed", "failed", "timed_out")
_WORDS = {"completed": "already completed", "failed": "already failed", "cancelled": "already been cancelled"}
Steps = tuple[tuple[str, str, StepState], ...]


def cancel(state: Case | None, command: CancelRun, now: int, ids: Ids) -> Outcome:
    """End a run as cancelled; its worker is fenced out and told. A terminal run is refused."""
    run = _mine(None if state is None else state.run, command.env, command.run_id)
    if run.status in TERMINAL:
        raise FailedPreconditionError(f"run {run.id} has {_WORDS[run.status]}; it cannot be cancelled")
    changes = Changes(run, now, ids)
    assert state is not None
    end(changes, state.parent, "cancelled", "cancelled", now, ids, cause=command.reason or "cancelled by request")
    if run.status != "running":
        return changes.outcome(run.id)
    return changes.outcome(run.id, Freed(run.id, run.execution_seq, run.worker_id, revoked=True))


def pause(state: Case | None, command: PauseRun, now: int, ids: Ids) -> Outcome:
    """Hold a run: at once, or at the next boundary that its worker reports. A terminal run is refused."""
    run = _mine(None if state is None else state.run, command.env, command.run_id)
    if run.status in TERMINAL:
        raise FailedPreconditionError(f"run {run.id} has {_WORDS[run.status]}; there is nothing to pause")
    if run.status == "paused":
        return Outcome(PauseRunResponse(status="paused"))
    if run.pause_requested:
        return Outcome(PauseRunResponse(status="pause_requested"))
    changes = Changes(run, now, ids)
    if run.status == "running":
        changes.ask_to_pause()
        asked = Pausing(run.id, run.execution_seq, run.worker_id)
        return changes.outcome(PauseRunResponse(status="pause_requested"), asked)
    assert state is not None
    if state.timer is not None and state.timer.kind == "retry":
        changes.wait_over()
    elif state.timer is not None:
        changes.hold_timer(True)
    changes.hold()
    return changes.outcome(PauseRunResponse(status="paused"))


def inject(state: CorrectedStep, command: InjectOutput, now: int, ids: Ids) -> Outcome:
    """Replace a finished step's output while its run is paused; answers with the output it had."""
    run = _mine(state.run, command.env, command.run_id)
    step = _finished(state, command.step_id)
    if run.status != "paused":
        raise FailedPreconditionError(
            f"run {run.id} is {run.status}, and an output can be injected only while it is paused; pause it first,"
            " or patch the step"
        )
    changes = Changes(run, now, ids)
    changes.correct(state.step_id, step, command.output, by=BY, reason=command.reason, patched=False)
    changes.touch()
    previous = NULL if step.output is None else step.output
    return changes.outcome(InjectStepOutputResponse(step_id=state.step_id, previous_output=previous))


def patch(state: CorrectedStep, command: PatchStep, now: int, ids: Ids) -> Outcome:
    """Replace a finished step's output, whatever its run does; answers with the run and the step id."""
    if state.run is None or state.run.env != command.env:
        raise NotFoundError(f"no step {command.step_id!r} in this environment")
    step = _finished(state, command.step_id)
    changes = Changes(state.run, now, ids)
    changes.correct(state.step_id, step, command.output, by=BY, reason=command.reason, patched=True)
    changes.touch()
    return changes.outcome((state.run.id, state.step_id))


def resume(state: ResumedRun, command: ResumeRun, now: int, ids: Ids) -> Outcome:
    """Let a paused run go on, or a failed one again (rulings.md 17); any other run is refused."""
    case = state.case
    run = _mine(None if case is None else case.run, command.env, command.run_id)
    if run.status not in ("paused", "failed"):
        words = f"has {_WORDS[run.status]}" if run.status in _WORDS else f"is {run.status.replace('_', ' ')}"
        raise FailedPreconditionError(f"run {run.id} {words}; only a paused or a failed run can be resumed")
    changes = Changes(run, now, ids)
    assert case is not None
    timer, first = case.timer, ""
    if command.from_step:
        first, discarded = _from(state.steps, command.from_step, run)
    else:
        discarded = _failed_invoke(state.steps) if run.status == "failed" else []
    if timer is not None and timer.step_id in discarded:
        changes.wait_over()
        timer = None
    for step_id in discarded:
        changes.discard(step_id, f"resumed from {command.from_step or 'the point of failure'}")
    fresh = run.status == "failed" or run.pause_reason != HELD
    if timer is not None:
        changes.hold_timer(False)
    changes.resume("waiting" if timer is not None else "waiting_for_capacity", fresh=fresh, from_step=first)
    return changes.outcome(run.id)


def _from(steps: Steps, wanted: str, run: RunState) -> tuple[str, list[str]]:
    """Return the id of the step to go on from, and the ids of those whose results are thrown away."""
    found = [one for one in steps if wanted in (one[0], one[1])]
    found = found or [one for one in steps if wanted == one[2].name]
    if not found:
        raise NotFoundError(f"run {run.id} has no step {wanted!r} to resume from")
    if len(found) > 1:
        ids = ", ".join(step_id for step_id, _, _ in found[:5])
        raise InvalidArgumentError(f"run {run.id} has {len(found)} steps named {wanted!r}; name one by its id: {ids}")
    step_id, _, first = found[0]
    kept = first.status == "completed" and (first.patched_at or first.injected)
    later = [
        one_id
        for one_id, _, step in steps
        if step.status != "pending" and (step.sequence > first.sequence or (one_id == step_id and not kept))
    ]
    return step_id, later


def _failed_invoke(steps: Steps) -> list[str]:
    """Return the invoked function that the run failed on: it is replayed as failed for as long as it is there."""
    own = [(step_id, step) for step_id, _, step in steps if step.type != "compensate" and step.status != "pending"]
    failed = own and own[-1][1].type == "invoke_function" and own[-1][1].status == "failed"
    return [own[-1][0]] if failed else []


def _finished(state: CorrectedStep, asked: str) -> StepState:
    if state.step is None:
        raise NotFoundError(f"no step {asked!r} in this run")
    if state.step.status not in _FINISHED:
        name = step_name(state.step_id)
        raise FailedPreconditionError(
            f"step {name!r} is {state.step.status}; only a completed or a failed step has an output to replace"
        )
    return state.step


def _mine(run: RunState | None, env: str, asked: str) -> RunState:
    if run is None or run.env != env:
        raise NotFoundError(f"no run {asked!r} in this environment")
    return run
