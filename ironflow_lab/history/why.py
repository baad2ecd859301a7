"""Why a run ended as it did, and what befell it on the way: out of its rows, and its events where it was recorded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from ironflow_lab.history import redaction
from ironflow_lab.history.actors import actor_of
from ironflow_lab.history.fold import History
from ironflow_lab.history.payloads import payload_of, text
from ironflow_lab.history.rules import HELD, PAUSE_REQUESTED
from ironflow_lab.history.words import has_failed, is_retry
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import Error, Run, Step
from ironflow_lab.wire import stepid

RESUME = "resume it to try again"
# The ways in which a run ends.
CAUSES = ("completed", "cancelled", "step_failed", "child_failed", "handler_failed", "timeout", "wait_timeout")
_FAILED = frozenset({"failed", "timed_out", "dead"})
_OF_A_STEP = frozenset({"STEP_FAILED", "STEP_TIMEOUT", "INVOKE_FAILED"})
_FRAME = re.compile(r'^\s*File "([^"\n]*)", line (\d+), in (.*)$')
# As `runtime.faults.told` writes it: the function, the line, its text, the error.
_LOGGED = re.compile(r", line (\d+)(?: \((.*?)\))?: (.*)", re.DOTALL)
_CELL = re.compile(r"ipykernel_\d+|<ipython-input|<cell")
_LONGEST = 200
_LONGEST_LINE, _LONGEST_NAME = 120, 60


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run ended: `cause` is one of `CAUSES`, empty for a run that has not ended.

    `step` is the label of the step that failed, or that was under way, and `place` where its code raised.
    `exhausted` says whether the attempts were used up; None where nothing failed, or where it is not known.
    """

    cause: str = ""
    message: str = ""
    step: str = ""
    step_id: str = ""
    place: str = ""
    child_run_id: str = ""
    exhausted: bool | None = None


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a run, or has asked for it, and since when; `asked` while the run still executes."""

    by: str
    at: Instant
    asked: bool = False


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that was lost with the run in its hands."""

    worker_id: str
    at: Instant


def ending(run: Run, steps: Sequence[Step], history: History | None = None, *, logged: str = "") -> Ending:
    """Return why the run ended; `history` is its recorded one, None for a run that was not recorded.

    A run that its policy holds since its attempts were used up has failed but for its status: what failed is told,
    and `cause` is empty. Of one that waits for its next attempt the step and the place are. `logged` is the line
    in which its worker told of its last failure, "" where none is at hand.
    """
    if run.status == "completed":
        return _completed(run, steps)
    if run.status == "cancelled":
        return _cancelled(run, steps, history)
    if run.status == "failed":
        return _failed(run, steps, logged)
    if run.status == "paused" and run.pause_reason == "retries_exhausted":
        found = _failed(run, steps, logged)
        return msgspec.structs.replace(found, cause="", message=f"{found.message}, and its policy holds it: {RESUME}")
    if run.status == "waiting" and all(step.status not in ("sleeping", "waiting") for step in steps):
        return _stumbled(run, steps, logged)
    return Ending()


def failing(run: Run, steps: Sequence[Step]) -> Step | None:
    """Return the step whose failure the run's error tells of; None when it failed outside its steps."""
    error = run.error
    if error is None:
        return None
    failed = sorted((step for step in steps if _has_failed(step)), key=lambda step: (step.ended_at, step.sequence))
    for step in reversed(failed):
        own = step.error.message if step.error is not None else ""
        if own and own == error.message:
            return step
    # Other workers may word the run's error in their own way.
    named = [step for step in failed if step.attempt in (0, run.attempt)]
    return named[-1] if named and error.code in _OF_A_STEP else None


def place(error: Error | None) -> str:
    """Return where an error was raised, by its stack: the file's name, the line, its text; "" when unknown."""
    lines = (error.stack if error is not None else "").splitlines()
    for index in range(len(lines) - 1, -1, -1):
        found = _FRAME.match(lines[index])
        if found is None:
            continue
        file, line, function = found.groups()
        where = "a cell" if _CELL.search(file) else file.replace("\\", "/").rpartition("/")[2]
        inside = f", in {redaction.clip(function, limit=_LONGEST_NAME)}" if function != "<module>" else ""
        # Below it stands its text, where that could be found, else another frame or the error.
        following = next((line.strip() for line in lines[index + 1 : index + 2] if line.startswith("    ")), "")
        code = f" ({redaction.clip(following, limit=_LONGEST_LINE)})" if following else ""
        return f"line {line} of {redaction.clip(where, limit=_LONGEST_LINE)}{inside}{code}"
    return ""


def hold(history: History) -> Hold | None:
    """Return who holds the run, or has asked for it; None when nobody does."""
    state = history.run_at(history.length)
    if not state.pause_requested and state.status != "paused":
        return None
    for position in range(history.length, 0, -1):
        event = history.events[position - 1]
        payload = payload_of(event)
        reason = text(payload, "reason")
        asked = reason == PAUSE_REQUESTED
        if asked or (event.event_type == "run.paused" and reason == HELD):
            by = event.platform_user_id or actor_of(event, history.run_at(position - 1))
            return Hold(by=by, at=history.time_of(position), asked=state.status != "paused")
        if event.event_type == "run.resumed":
            break
    return None


def losses(history: History) -> tuple[Loss, ...]:
    """Return the workers that were lost with the run in their hands, oldest first."""
    return tuple(
        Loss(worker_id=history.run_at(position - 1).worker_id, at=history.time_of(position))
        for position, event in enumerate(history.events, 1)
        if event.event_type == "run.status_changed" and text(payload_of(event), "reason") == "worker_lost"
    )


def failures(history: History) -> tuple[int, str]:
    """Return how many attempts failed since the run began or was resumed, and the message of the last."""
    count, last = 0, ""
    for event in history.events:
        payload = payload_of(event)
        if event.event_type == "run.resumed":
            count, last = 0, ""
        elif event.event_type in ("run.status_changed", "run.paused") and (has_failed(payload) or is_retry(payload)):
            error = payload.get("error")
            count, last = count + 1, text(error, "message") if isinstance(error, dict) else ""
    return count, last


def label(step: Step) -> str:
    """Return what the step is called in the run."""
    return stepid.label(step.run_id, step.step_id)


def _completed(run: Run, steps: Sequence[Step]) -> Ending:
    done = sum(step.status == "completed" for step in steps)
    told = f"it completed in attempt {_attempt(run)}, after {done:,} step{'' if done == 1 else 's'}"
    return Ending(cause="completed", message=told)


def _cancelled(run: Run, steps: Sequence[Step], history: History | None) -> Ending:
    by, was = "it was", ""
    for position, event in reversed(list(enumerate(history.events if history else (), 1))):
        payload = payload_of(event)
        if history is not None and text(payload, "newStatus") == "cancelled":
            by = f"{event.platform_user_id or 'an ' + actor_of(event, history.run_at(position - 1))}"
            was = text(payload, "oldStatus", history.run_at(position - 1).status).replace("_", " ")
            break
    told = f"{by} cancelled" if by == "it was" else f"{by} cancelled it"
    told += f": {run.cancellation_cause}" if run.cancellation_cause else ""
    held = next((step for step in reversed(steps) if step.status in ("sleeping", "waiting")), None)
    if was:
        told += f"; it was {was} then" + (f", in step {_named(held)}" if held is not None else "")
    step, step_id = ("", "") if held is None else (label(held), held.step_id)
    return Ending(cause="cancelled", message=told, step=step, step_id=step_id)


def _failed(run: Run, steps: Sequence[Step], logged: str) -> Ending:
    code = run.error.code if run.error is not None else ""
    if code == "TIMEOUT":
        return _timeout(run, steps)
    step = failing(run, steps)
    if step is None:
        return _outside(run, steps, place(run.error) or _logged_place(run, logged))
    own = step.error or run.error
    message = redaction.clip(own.message if own is not None else "", limit=_LONGEST)
    named: dict[str, str] = {"step": label(step), "step_id": step.step_id}
    if step.status == "timed_out" or code == "WAIT_TIMEOUT":
        told = f"step {_named(step)} waited in vain: {message}; a wait whose time is up is not tried again"
        return Ending(cause="wait_timeout", message=told, exhausted=False, **named)
    if step.child_run_id or step.step_type == "invoke_function":
        child = f"its child {step.child_run_id}" if step.child_run_id else "no child was started"
        told = f"step {_named(step)} failed, {child}: {message}; {_why_no_more(run)}"
        return Ending(
            cause="child_failed", message=told, child_run_id=step.child_run_id, exhausted=_exhausted(run), **named
        )
    where = place(step.error)
    at = f", at {where}" if where else ""
    told = f"step {_named(step)} failed in attempt {_attempt(run)}: {message}{at}; {_why_no_more(run)}"
    return Ending(cause="step_failed", message=told, place=where, exhausted=_exhausted(run), **named)


def _stumbled(run: Run, steps: Sequence[Step], logged: str) -> Ending:
    step = failing(run, steps)
    if step is None:
        return Ending(place=place(run.error) or _logged_place(run, logged))
    return Ending(step=label(step), step_id=step.step_id, place=place(step.error))


def _timeout(run: Run, steps: Sequence[Step]) -> Ending:
    last = _last(steps)
    after = f"after step {_named(last)} had ended" if last else "before its first step had ended"
    message = redaction.clip(run.error.message if run.error else "", limit=_LONGEST)
    told = f"{message}, {after}; only the time it executes counts, and a timeout is not tried again"
    return Ending(cause="timeout", message=told, exhausted=False)


def _outside(run: Run, steps: Sequence[Step], where: str) -> Ending:
    last, error = _last(steps), run.error
    after = f", after step {_named(last)}" + ("" if last.status == "completed" else " had failed") if last else ""
    message = redaction.clip(error.message if error is not None else "no error was told", limit=_LONGEST)
    at = f", at {where}" if where else ""
    told = f"the handler failed outside its steps{after}, in attempt {_attempt(run)}: {message}{at}"
    return Ending(
        cause="handler_failed", message=f"{told}; {_why_no_more(run)}", place=where, exhausted=_exhausted(run)
    )


def _logged_place(run: Run, logged: str) -> str:
    """Return where the handler raised, by the line its worker logged; "" where that tells of something else."""
    found = _LOGGED.match(logged.removeprefix(run.function_id))
    error = " ".join((run.error.message if run.error is not None else "").split())
    # The line is cut as all of a run's lines are, and an error's message may be the shorter one.
    if found is None or not error or not " ".join(found[3].split()).startswith(error[:_LONGEST_LINE]):
        return ""
    code = f" ({redaction.clip(found[2], limit=_LONGEST_LINE)})" if found[2] else ""
    return f"line {found[1]} of its file or cell{code}"


def _exhausted(run: Run) -> bool | None:
    if run.error is None:
        return None
    return run.error.retryable and (not run.max_attempts or run.attempt >= run.max_attempts)


def _why_no_more(run: Run) -> str:
    exhausted = _exhausted(run)
    if exhausted is None:
        return "why it is not tried again is not known"
    if exhausted:
        return "its attempts are used up"
    if run.error is not None and run.error.retryable:
        return "it was ended before its attempts were used up"
    return "the error allows no other attempt"


def _attempt(run: Run) -> str:
    return f"{run.attempt} of {run.max_attempts}" if run.max_attempts else str(run.attempt)


def _last(steps: Sequence[Step]) -> Step | None:
    ended: Iterator[Step] = (step for step in steps if step.ended_at)
    return max(ended, key=lambda step: (step.ended_at, step.sequence), default=None)


def _has_failed(step: Step) -> bool:
    return str(step.status) in _FAILED


def _named(step: Step) -> str:
    return repr(redaction.clip(label(step), limit=_LONGEST_NAME))
