"""The server's fold: the state of a run out of its audit events (engine.md section 14).

Payloads stay JSON text and times stay the text they were written with: nothing is decoded that an
answer only passes on, which is what makes the state of a run of 1,000 steps a matter of 2 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ironflow_lab.models.instant import Instant, format_instant
from ironflow_lab.models.runs import NOT_SET
from ironflow_lab.wire.duration import in_field
from ironflow_lab.wire.stepid import step_name

# Type, step id, instant and payload of one audit event: as it is stored, and once its payload is read.
Moment = tuple[str, str, int, bytes]
Told = tuple[str, str, int, Any]

_COMPENSATE = "compensate"
_NO_TEXT = msgspec.Raw()
_ASLEEP = {"sleep": "sleeping", "wait_for_event": "waiting", "invoke_function": "waiting"}


class StepThen(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True, gc=False):
    """A step as it was, as `models.timetravel.StepSnapshot` travels; grows while events are folded."""

    step_id: str = ""
    name: str = ""
    type: str = ""
    sequence: int = 0
    status: str = ""
    output: bytes = b""
    error: bytes = b""
    original_output: bytes = b""
    started_at: str = ""
    completed_at: str = ""
    duration_ms: int = 0
    injected: bool = False
    patched: bool = False


class RunThen(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A run as it was, as `models.timetravel.RunSnapshot` travels."""

    run_id: str = ""
    function_id: str = ""
    status: str = ""
    input: bytes = b""
    steps: tuple[StepThen, ...] = ()
    timestamp: Instant = NOT_SET
    created_at: Instant = NOT_SET


class StateAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`GetRunStateAtResponse` out of a fold."""

    snapshot: RunThen


class Fold:
    """A run after the events fed so far; payloads are JSON text, empty for none."""

    def __init__(self) -> None:
        self.status = ""
        self.attempt = 0
        self.input = self.output = self.error = b""
        self.steps: dict[str, StepThen] = {}

    def feed(self, events: Iterable[Told]) -> Fold:
        """Follow the events that `tell` has read, oldest first."""
        for event_type, step_id, at, given in events:
            _RULES[event_type][1](self, step_id, at, given)
        return self

    def step(self, step_id: str, kind: str = "invoke") -> StepThen:
        """Return the step; one that no event has told of before appears as a step of this type."""
        found = self.steps.get(step_id)
        if found is None:
            found = StepThen(step_id=step_id, name=step_name(step_id), type=kind, sequence=len(self.steps))
            self.steps[step_id] = found
        return found


def tell(moments: Iterable[Moment]) -> list[Told]:
    """Return the events with their payloads read; those of unknown types, which change nothing, are left out.

    Reading costs as much as folding, and a run that is looked at once is looked at again.
    """
    return [
        (event_type, step_id, at, _RULES[event_type][0].decode(payload))
        for event_type, step_id, at, payload in moments
        if event_type in _RULES
    ]


class _Created(msgspec.Struct, frozen=True, gc=False):
    input: msgspec.Raw = _NO_TEXT
    status: str = "waiting_for_capacity"
    attempt: int = 1


class _Moved(msgspec.Struct, frozen=True, rename="camel", gc=False):
    new_status: str = ""
    attempt: int = 0
    output: msgspec.Raw = _NO_TEXT
    error: msgspec.Raw = _NO_TEXT


class _Started(msgspec.Struct, frozen=True, rename="camel", gc=False):
    step_name: str = ""
    step_type: str = "invoke"
    started_at: str = ""


class _Ended(msgspec.Struct, frozen=True, rename="camel", gc=False):
    output: msgspec.Raw = _NO_TEXT
    result: msgspec.Raw = _NO_TEXT
    error: msgspec.Raw = _NO_TEXT
    duration_ms: int = 0
    ended_at: str = ""
    row_status: str = ""


class _Corrected(msgspec.Struct, frozen=True, rename="camel", gc=False):
    original_output: msgspec.Raw = _NO_TEXT
    patched_output: msgspec.Raw = _NO_TEXT
    previous_output: msgspec.Raw = _NO_TEXT
    new_output: msgspec.Raw = _NO_TEXT


def _created(fold: Fold, step_id: str, at: int, given: _Created) -> None:
    fold.status, fold.attempt, fold.input = given.status, given.attempt, bytes(given.input)


def _moved(fold: Fold, step_id: str, at: int, given: _Moved) -> None:
    fold.status = given.new_status or fold.status
    fold.attempt = given.attempt or fold.attempt
    fold.output = bytes(given.output) or fold.output
    fold.error = b"" if fold.status == "completed" else bytes(given.error) or fold.error


def _started(fold: Fold, step_id: str, at: int, given: _Started) -> None:
    _begin(fold, step_id, at, given, given.step_type)


def _undoing(fold: Fold, step_id: str, at: int, given: _Started) -> None:
    _begin(fold, step_id, at, given, _COMPENSATE)


def _begin(fold: Fold, step_id: str, at: int, given: _Started, kind: str) -> None:
    known = fold.steps.get(step_id)
    fold.steps[step_id] = StepThen(
        step_id=step_id,
        name=given.step_name or step_name(step_id),
        type=kind,
        sequence=len(fold.steps) if known is None else known.sequence,
        status=_ASLEEP.get(kind, "running"),
        original_output=b"" if known is None else known.original_output,
        started_at=given.started_at or format_instant(at),
        injected=known is not None and known.injected,
        patched=known is not None and known.patched,
    )


def _completed(fold: Fold, step_id: str, at: int, given: _Ended) -> None:
    _complete(fold.step(step_id), at, given, given.output)


def _undone(fold: Fold, step_id: str, at: int, given: _Ended) -> None:
    _complete(fold.step(step_id, _COMPENSATE), at, given, given.result)


def _complete(step: StepThen, at: int, given: _Ended, output: msgspec.Raw) -> None:
    step.status, step.output, step.error = "completed", bytes(output), b""
    step.completed_at, step.duration_ms = given.ended_at or format_instant(at), in_field(given.duration_ms)


def _failed(fold: Fold, step_id: str, at: int, given: _Ended) -> None:
    _fail(fold.step(step_id), at, given)


def _not_undone(fold: Fold, step_id: str, at: int, given: _Ended) -> None:
    _fail(fold.step(step_id, _COMPENSATE), at, given)


def _fail(step: StepThen, at: int, given: _Ended) -> None:
    step.status, step.error = given.row_status or "failed", bytes(given.error)
    step.completed_at = given.ended_at or format_instant(at)


def _discarded(fold: Fold, step_id: str, at: int, given: Any) -> None:
    step = fold.step(step_id)
    fold.steps[step_id] = StepThen(
        step_id=step_id, name=step.name, type=step.type, sequence=step.sequence, status="pending"
    )


def _keep(step: StepThen, output: msgspec.Raw) -> None:
    """Keep the output from before the first correction, which may be none."""
    if not step.patched and not step.injected:
        step.original_output = bytes(output)


def _patched(fold: Fold, step_id: str, at: int, given: _Corrected) -> None:
    step = fold.step(step_id)
    _keep(step, given.original_output)
    step.status, step.output, step.error, step.patched = "completed", bytes(given.patched_output), b"", True


def _injected(fold: Fold, step_id: str, at: int, given: _Corrected) -> None:
    step = fold.step(step_id)
    _keep(step, given.previous_output)
    step.status, step.output, step.error, step.injected = "completed", bytes(given.new_output), b"", True


_CREATED, _MOVED = msgspec.json.Decoder(_Created), msgspec.json.Decoder(_Moved)
_STARTED, _ENDED = msgspec.json.Decoder(_Started), msgspec.json.Decoder(_Ended)
_CORRECTED = msgspec.json.Decoder(_Corrected)
_RULES: dict[str, tuple[msgspec.json.Decoder[Any], Callable[[Fold, str, int, Any], None]]] = {
    "run.created": (_CREATED, _created),
    "run.status_changed": (_MOVED, _moved),
    "run.paused": (_MOVED, _moved),
    "run.resumed": (_MOVED, _moved),
    "step.started": (_STARTED, _started),
    "step.completed": (_ENDED, _completed),
    "step.failed": (_ENDED, _failed),
    "step.patched": (_CORRECTED, _patched),
    "step.injected": (_CORRECTED, _injected),
    "step.discarded": (msgspec.json.Decoder(dict[str, Any]), _discarded),
    "saga.compensation.started": (_STARTED, _undoing),
    "saga.compensation.completed": (_ENDED, _undone),
    "saga.compensation.failed": (_ENDED, _not_undone),
}
