"""The answers of a plain replay: what the recording has, and where the code leaves it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import UNSET

from ironflow_lab.clock import SECOND
from ironflow_lab.debug.calls import Answer, Call, Divergence, Fail, Give, Stop
from ironflow_lab.history import equality, redaction
from ironflow_lab.history.recording import Recording
from ironflow_lab.history.snapshot import Snapshot, StepState
from ironflow_lab.models.runs import TERMINAL, Error, Step
from ironflow_lab.wire import codec, stepid

# The kinds of calls that a recorded step of a type may come from.
_TYPES = {
    "": ("run", "publish"),
    "invoke": ("run", "publish"),
    "sleep": ("sleep",),
    "wait_for_event": ("wait_for_event",),
    "invoke_function": ("invoke", "invoke_async"),
    "compensate": ("compensate",),
}
_ENDED = frozenset({"completed", "failed", "timed_out", "dead", "retrying"})
# Errors by which a server ends a run between two steps of its code.
_FROM_OUTSIDE = frozenset({"TIMEOUT", "WAIT_TIMEOUT", "WORKER_LOST", "LEASE_EXPIRED", "CANCELLED"})
# A sleep is measured by the worker and kept by the server: their clocks differ, and reports take time.
_TOLERANCE = 2.0
_DEEPEST = 64
_SHOWN = 60


class Recorded:
    """The answers of a recording: what each of its steps came to when the run ended, or so far.

    A failed step raises the error of its last attempt. A call that was not recorded stops the handler.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.notes: list[str] = []
        self._steps = {step.step_id: step for step in self._seen() if step.status != "pending"}
        self._left = dict.fromkeys(self._steps)
        self._before: Step | None = None

    @property
    def order(self) -> tuple[Step, ...]:
        """The recorded steps, by sequence, as the run saw them."""
        return tuple(self._steps.values())

    def step(self, step_id: str) -> Step | None:
        """Return a step as the run saw it, None for one that was not recorded."""
        return self._steps.get(step_id)

    def left(self) -> tuple[Step, ...]:
        """Return the steps that nobody has asked for yet, by sequence."""
        return tuple(self._steps[step_id] for step_id in self._left)

    def answer(self, call: Call) -> Answer:
        """Return what the recording has for a call."""
        step = self.step(call.step_id)
        if step is None:
            return self._unrecorded(call)
        self._left.pop(call.step_id, None)
        self._look(call, step)
        changed = differs(call, step)
        if changed:
            divergence = Divergence(kind="changed", label=call.label, expected=call.label, message=changed)
            return Stop(reason=changed, status="diverged", divergence=divergence)
        return answer_of(step, call)

    def _look(self, call: Call, step: Step) -> None:
        """Note a step of the handler itself that is asked for after one that had begun later."""
        if call.label != call.name and call.label != f"{call.name}:{_number(step)}":
            return
        before, self._before = self._before, step
        if before is None or before.attempt != step.attempt or not before.started_at or not step.ended_at:
            return
        if step.ended_at <= before.started_at and step.sequence < before.sequence:
            run_id = self.recording.run.id
            first, then = (redaction.clip(stepid.label(run_id, one.step_id), limit=_SHOWN) for one in (before, step))
            self.notes.append(f"the code asks for step {first!r} before {then!r}, and the run had them the other way")

    def _unrecorded(self, call: Call) -> Stop:
        run = self.recording.run
        label = redaction.clip(call.label, limit=_SHOWN)
        following = next(iter(self._left), "")
        if not following and self.may_go_on():
            how = "goes on" if run.status not in TERMINAL else f"was {run.status} before it went on"
            return Stop(reason=f"the recording ends here: the run {how} with step {label!r}", status="stopped")
        expected = stepid.label(run.id, following) if following else ""
        message = f"the code asks for step {label!r} ({call.kind}), which was not recorded; "
        shown = redaction.clip(expected, limit=_SHOWN)
        message += f"the recording has {shown!r} next" if following else f"the recorded run {run.status} without it"
        divergence = Divergence(kind="unrecorded", label=call.label, expected=expected, message=message)
        return Stop(reason=message, status="diverged", divergence=divergence)

    def may_go_on(self) -> bool:
        """Return whether the run did not end by its code, so that its code goes on past the recording."""
        run = self.recording.run
        if run.status not in TERMINAL or run.status == "cancelled":
            return True
        return run.status == "failed" and run.error is not None and run.error.code in _FROM_OUTSIDE

    def _seen(self) -> Iterable[Step]:
        """Yield the steps as the run saw them: a patch after its end is not part of it."""
        recording = self.recording
        steps = sorted(recording.steps, key=lambda step: step.sequence)
        late = [step for step in steps if _corrected_late(recording, step)]
        if not late:
            return steps
        ended = _end_of(recording)
        states = {state.step_id: state for state in ended.steps} if ended is not None else {}
        for step in late:
            label = redaction.clip(stepid.label(recording.run.id, step.step_id), limit=_SHOWN)
            self.notes.append(f"step {label!r} was patched after the run had ended: the replay gives what the run saw")
        found = {step.step_id: _before(step, states.get(step.step_id)) for step in late}
        return [found.get(step.step_id, step) for step in steps]


def answer_of(step: Step, call: Call) -> Answer:
    """Return what a recorded step gives to the call that it was."""
    if step.status == "completed":
        path = hidden(step.output)
        if path:
            label = redaction.clip(call.label, limit=_SHOWN)
            return Stop(
                reason=f"the recorded output of step {label!r} is redacted at {path}: the code cannot be handed it."
                " Give the step's output in a fork, or replay the run from where it is not redacted"
            )
        return Give(output=step.output, started_at=step.started_at, ended_at=step.ended_at)
    label = redaction.clip(call.label, limit=_SHOWN)
    if step.status not in _ENDED:
        return Stop(reason=f"the run stands in step {label!r} ({step.status})", status="waiting")
    error = step.error or Error(message="it failed and no reason was recorded", retryable=True)
    if call.kind in ("sleep", "wait_for_event"):
        return Stop(reason=error.message, status="failed", error=error)
    if step.child_run_id:
        told = error.details if isinstance(error.details, dict) else {}
        error = msgspec.structs.replace(error, details={"child_run_id": step.child_run_id, **told})
    return Fail(error=error, started_at=step.started_at, ended_at=step.ended_at)


def differs(call: Call, step: Step) -> str:
    """Return in words how a call asks for something else than its step recorded; "" where nothing is known to."""
    label = redaction.clip(call.label, limit=_SHOWN)
    if call.kind not in _TYPES.get(step.step_type, (call.kind,)):
        return f"step {label!r} is a {call.kind} now and was recorded as {step.step_type}"
    wanted = call.wanted if isinstance(call.wanted, dict) else {}
    if call.kind == "wait_for_event" and step.wait_event_name and wanted.get("event") != step.wait_event_name:
        return f"step {label!r} waits for {wanted.get('event')!r:.80} and was recorded for {step.wait_event_name!r:.80}"
    if call.kind == "sleep" and step.sleep_until and not _same_sleep(wanted, step):
        slept = (step.sleep_until - (step.started_at or step.created_at)) / SECOND
        return f"step {label!r} sleeps {wanted.get('seconds', 0.0):g} s and was recorded with {slept:g} s"
    if call.kind in ("invoke", "invoke_async") and step.input is not None:
        given, was = wanted.get("input"), step.input
        if not hidden(was) and not equality.agree(given, was):
            before, after = redaction.show(was, limit=_SHOWN), redaction.show(given, limit=_SHOWN)
            return f"step {label!r} is given {after} and was recorded with {before}"
    return ""


def hidden(value: Any) -> str:
    """Return the path of the first redacted place of a payload, "" for none."""
    text = _text(value)
    if text is not None and b"redacted" not in text:
        # Of most a look at the bytes tells it, in C.
        return ""
    open_: list[tuple[str, Any]] = [("$", value)]
    while open_:
        path, one = open_.pop()
        if isinstance(one, dict):
            if one.get("$redacted") is True:
                return path
            open_ += [(f"{path}.{key}"[:200], member) for key, member in reversed(one.items())]
        elif isinstance(one, list):
            open_ += [(f"{path}[{at}]"[:200], member) for at, member in reversed(list(enumerate(one)))]
        elif isinstance(one, str) and one == redaction.HIDDEN:
            return path
    return ""


def fresh(value: Any) -> Any:
    """Return a copy of a JSON value that shares nothing with it that can change."""
    if value is None or isinstance(value, str | int | float):
        return value
    text = _text(value)
    if text is not None and not codec.is_deep(text, _DEEPEST):
        return msgspec.json.decode(text)
    return _copied(value)


def _text(value: Any) -> bytes | None:
    try:
        text = msgspec.json.encode(value)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
        return None
    return text


def _copied(value: Any) -> Any:
    """Copy without recursion, whatever is in it: deep values, numbers beyond 64 bits, lone surrogates."""
    top: list[Any] = [value]
    open_: list[Any] = [top]
    while open_:
        one = open_.pop()
        for key, member in list(one.items() if isinstance(one, dict) else enumerate(one)):
            if isinstance(member, dict | list):
                one[key] = member.copy()
                open_.append(one[key])
    return top[0]


def _number(step: Step) -> str:
    return step.step_id.rpartition(":")[2]


def _same_sleep(wanted: dict[str, Any], step: Step) -> bool:
    if wanted.get("until") == str(step.sleep_until):
        return True
    seconds = float(wanted.get("seconds", 0.0))
    # The time before it is that of the last recorded event, which may be long gone: it is the length that counts.
    slept = (step.sleep_until - (step.started_at or step.created_at)) / SECOND
    return abs(slept - seconds) <= max(_TOLERANCE, 0.02 * max(slept, seconds))


def _corrected_late(recording: Recording, step: Step) -> bool:
    run = recording.run
    return bool(run.status in TERMINAL and step.patched_at and run.ended_at and step.patched_at > run.ended_at)


def _end_of(recording: Recording) -> Snapshot | None:
    if not recording.recorded:
        return None
    history = recording.history()
    return history.at_time(recording.run.ended_at)


def _before(step: Step, state: StepState | None) -> Step:
    """Return a step as it was before it was corrected."""
    if state is None:
        return msgspec.structs.replace(step, output=step.original_output, status="completed")
    output = None if state.output is UNSET else state.output
    error = msgspec.convert(state.error, Error) if isinstance(state.error, dict) else None
    return msgspec.structs.replace(step, output=output, error=error, status=type(step.status)(state.status))
