"""What there is to say of one run, in words: how it stands, what comes next, how long things took."""

from __future__ import annotations

import msgspec

from ironflow_lab.models.functions import Function
from ironflow_lab.models.instant import format_instant
from ironflow_lab.models.runs import TERMINAL, Run, Step
from ironflow_lab.wire.stepid import step_name

_MILLISECOND = 1_000_000
_SECOND = 1_000 * _MILLISECOND
_PAUSES = {"injection": "injection: by an operator", "retries_exhausted": "its attempts are used up"}


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it was read at `at`, with its steps and, when they could be read, its function and its origin."""

    run: Run
    at: int
    steps: tuple[Step, ...] = ()
    function: Function | None = None
    origin: str = ""


def attempts(run: Run) -> str:
    """Return "1 of 25", or "1" when the server does not tell the budget."""
    return f"{run.attempt} of {run.max_attempts}" if run.max_attempts else str(run.attempt)


def policy(shown: Shown) -> str:
    """Return what happens when the attempts are used up; "" when it is not known.

    A run keeps the policy it began with, so a function of another version does not tell.
    """
    function = shown.function
    if function is None or function.version != shown.run.function_version:
        return ""
    chosen = function.retry.on_exhausted if function.retry else ""
    if not chosen:
        return "then it pauses (the server's default)"
    return "then it pauses" if chosen == "pause" else "then it fails"


def coming(shown: Shown) -> str:
    """Return what the run waits for, or "" when it has ended or is executing."""
    run = shown.run
    if run.status in TERMINAL:
        return ""
    if run.status == "running":
        return _pausing(shown) if run.pause_requested else ""
    if run.status == "paused":
        why = _PAUSES.get(run.pause_reason, run.pause_reason) or "held, or its attempts are used up"
        hold = f"; meanwhile {_waiting(shown)}" if held(shown) else ""
        return f"paused ({why}) until it is resumed; finished steps are kept{hold}"
    if run.status != "waiting":
        return f"ready, until a worker takes {run.function_id!r}"
    return _waiting(shown)


def span(nanoseconds: int) -> str:
    """Return a length of time for people: 0.4 ms, 12 ms, 1.25 s, 3 min 20 s, 2 h 5 min."""
    if nanoseconds < 10 * _MILLISECOND:
        return f"{nanoseconds / _MILLISECOND:.1f} ms"
    if nanoseconds < _SECOND:
        return f"{nanoseconds / _MILLISECOND:.0f} ms"
    seconds = nanoseconds / _SECOND
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def moment(instant: int) -> str:
    """Return an instant to the millisecond, in UTC."""
    text = format_instant(instant // _MILLISECOND * _MILLISECOND)
    return text.replace("T", " ").replace("Z", " UTC")


def elapsed(shown: Shown) -> str:
    """Return how long the run took, or has taken so far; "" when it has not started."""
    run = shown.run
    if not run.started_at:
        return ""
    if run.ended_at:
        return span(run.ended_at - run.started_at)
    return f"{span(max(0, shown.at - run.started_at))} so far"


def step_took(step: Step) -> str:
    """Return how long a step took, "" while it has not ended."""
    if step.started_at and step.ended_at:
        return span(step.ended_at - step.started_at)
    return span(step.duration_ms * _MILLISECOND) if step.duration_ms else ""


def headline(shown: Shown) -> str:
    """Return one line: function, status, attempt, time."""
    run = shown.run
    status = f"{run.status}, pausing" if run.status == "running" and run.pause_requested else run.status
    parts = [f"{run.function_id or 'run'} {status}", f"attempt {attempts(run)}"]
    if elapsed(shown):
        parts.append(elapsed(shown))
    return ", ".join(parts)


def error_line(run: Run) -> str:
    """Return the error with its code on one line, "" when there is none."""
    if run.error is None:
        return run.cancellation_cause and f"cancelled: {run.cancellation_cause}"
    first = run.error.message.strip().partition("\n")[0]
    return f"{run.error.code}: {first}" if run.error.code else first


def held(shown: Shown) -> Step | None:
    """Return the step that sleeps or waits; None when none does."""
    return next((step for step in reversed(shown.steps) if step.status in ("sleeping", "waiting")), None)


def marks(step: Step) -> str:
    """Return what was done to a step from outside: "patched by ann", "injected", or "" for nothing."""
    if step.patched_at:
        return f"patched by {step.patched_by}" if step.patched_by else "patched"
    # The wire does not say so: an output that replaced another, and is no patch, was injected.
    return "injected" if step.original_output is not None else ""


def parent(run: Run) -> str:
    """Return the run and the step that started this one, "" for a run that an event started."""
    if not run.parent_run_id:
        return ""
    step = f", step {step_name(run.parent_step_id)!r}" if run.parent_step_id else ""
    return f"child of {run.parent_run_id}{step}"


def _pausing(shown: Shown) -> str:
    now = [step_name(step.step_id) for step in shown.steps if step.status == "running"]
    where = f"; now in step {', '.join(map(repr, now))}" if now else ""
    return f"asked to pause: it stops at the next step boundary{where}"


def _waiting(shown: Shown) -> str:
    at = held(shown)
    if at is not None and at.sleep_until:
        return f"asleep in {step_name(at.step_id)!r} until {moment(at.sleep_until)}"
    if at is not None and at.wait_event_name:
        until = f", at the latest until {moment(at.wait_timeout)}" if at.wait_timeout else ""
        return f"waiting in {step_name(at.step_id)!r} for {at.wait_event_name!r}{until}"
    if at is not None and at.child_run_id:
        until = f", at the latest until {moment(at.wait_timeout)}" if at.wait_timeout else ""
        return f"waiting for its child {at.child_run_id}{until}"
    return "waiting for its next attempt" if _failed_before(shown) else "waiting"


def _failed_before(shown: Shown) -> bool:
    failed = any(step.status in ("failed", "retrying") for step in shown.steps)
    return failed or shown.run.error is not None or shown.run.attempt > 1
