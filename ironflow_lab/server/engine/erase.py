"""Removing runs that have ended, and removing what they hold (engine.md section 12, conventions.md section 11)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from ironflow_lab.clock import Ids
from ironflow_lab.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from ironflow_lab.models.runs import TERMINAL
from ironflow_lab.server.engine import trail
from ironflow_lab.server.engine.commands import DeleteRun, DeleteRuns, RedactRun, RedactStep
from ironflow_lab.server.engine.outcome import Erased, Outcome, Write
from ironflow_lab.server.engine.records import RunState
from ironflow_lab.server.engine.redaction import marker

# How many runs one call removes at most.
MOST_DELETED = 10_000
# Where audit events hold payloads; a wait's expected value is a part of one, and is text.
_PAYLOADS = frozenset({"input", "output", "originalOutput", "patchedOutput", "previousOutput", "newOutput", "result"})
_PARTS = frozenset({"value"})
_HIDDEN = "[redacted]"


class HeldStep(msgspec.Struct, frozen=True, kw_only=True):
    """The payloads of a step's row, as JSON text."""

    step_id: str
    input: bytes | None = None
    output: bytes | None = None
    original_output: bytes | None = None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An audit event by its sequence, with its payload as JSON text."""

    seq: int
    payload: bytes


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """All that a run holds, or that one step of it does; `input` is the data of the run's event."""

    run: RunState | None = None
    input: bytes | None = None
    output: bytes | None = None
    steps: tuple[HeldStep, ...] = ()
    events: tuple[Told, ...] = ()


def delete_run(run: RunState | None, command: DeleteRun, now: int, ids: Ids) -> Outcome:
    """Remove a run that has ended; its parent, its children and its event stay."""
    found = _ended(run, command.env, command.run_id, "deleted")
    return Outcome(None, _deletion((found.id,)), (Erased((found.id,)),))


def delete_runs(run_ids: tuple[str, ...], command: DeleteRuns, now: int, ids: Ids) -> Outcome:
    """Remove the runs that the store found to match, and answer how many."""
    if not is_narrow(command):
        raise InvalidArgumentError(
            "DeleteRuns needs at least one of functionId, status and until: it would remove every run otherwise"
        )
    if command.status and command.status not in TERMINAL:
        raise InvalidArgumentError(
            f"runs that are {command.status} have not ended, and only ended ones can be deleted; give status"
            " completed, failed or cancelled, or cancel the runs first"
        )
    if not run_ids:
        return Outcome(0)
    return Outcome(len(run_ids), _deletion(run_ids), (Erased(run_ids),))


def is_narrow(command: DeleteRuns) -> bool:
    """Return whether the command names which runs it means."""
    return bool(command.function_id or command.status or command.until)


def redact_run(held: Held, command: RedactRun, now: int, ids: Ids) -> Outcome:
    """Replace the payloads of an ended run, of its steps and of its audit events; doing so again changes nothing.

    The event that started it stays as it is, for other runs and for its own redaction.
    """
    run = _ended(held.run, command.env, command.run_id, "redacted")
    at = max(now, run.updated_at + 1)
    new = {"input": _replaced(held.input, at), "output": _replaced(held.output, at)}
    writes = [*_steps(run.id, held.steps, at), *_events(held.events, at)]
    if new != {"input": held.input, "output": held.output}:
        writes.append(Write("redact_run", {"id": run.id, **new}))
    return _noted(run, "run.redacted", {"runId": run.id}, writes, at, ids)


def redact_step(held: Held, command: RedactStep, now: int, ids: Ids) -> Outcome:
    """Replace the payloads of one step of an ended run and of its audit events, as `redact_run` does."""
    if held.run is None or not held.steps:
        raise NotFoundError(f"no step {command.step_id!r} in this environment")
    run = _ended(held.run, command.env, held.run.id, "redacted")
    at, (step,) = max(now, run.updated_at + 1), held.steps
    writes = [*_steps(run.id, held.steps, at), *_events(held.events, at)]
    return _noted(run, "step.redacted", {"stepId": step.step_id}, writes, at, ids, step_id=step.step_id)


def _noted(
    run: RunState, kind: str, payload: dict[str, Any], writes: list[Write], at: int, ids: Ids, *, step_id: str = ""
) -> Outcome:
    """Return the outcome, with its own audit event unless nothing was left to redact."""
    if not writes:
        return Outcome(None)
    writes.append(Write("touch_run", {"id": run.id, "now": at}))
    if trail.covers(run.recording, kind):
        writes.append(
            trail.write(
                ids.new("aud_"),
                kind,
                payload,
                env=run.env,
                run_id=run.id,
                function_id=run.function_id,
                at=at,
                step_id=step_id,
            )
        )
    return Outcome(None, tuple(writes), (Erased((run.id,)),))


def _steps(run_id: str, steps: Iterable[HeldStep], at: int) -> list[Write]:
    writes = []
    for step in steps:
        new = HeldStep(
            step_id=step.step_id,
            input=_replaced(step.input, at),
            output=_replaced(step.output, at),
            original_output=_replaced(step.original_output, at),
        )
        if new != step:
            writes.append(Write("redact_step", {"run_id": run_id, **msgspec.structs.asdict(new)}))
    return writes


def _events(events: Iterable[Told], at: int) -> list[Write]:
    redacted = ((event, _redacted(event.payload, at)) for event in events)
    return [
        Write("redact_audit", {"seq": event.seq, "payload": payload})
        for event, payload in redacted
        if payload != event.payload
    ]


def _redacted(payload: bytes, at: int) -> bytes:
    facts = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
    if not facts.keys() & (_PAYLOADS | _PARTS):
        return payload
    return msgspec.json.encode({name: _hidden(name, value, at) for name, value in facts.items()})


def _hidden(name: str, value: msgspec.Raw, at: int) -> Any:
    if name in _PAYLOADS:
        return msgspec.Raw(marker(bytes(value), at))
    return _HIDDEN if name in _PARTS else value


def _replaced(text: bytes | None, at: int) -> bytes | None:
    return None if text is None else marker(text, at)


def _deletion(run_ids: tuple[str, ...]) -> tuple[Write, ...]:
    named = {"ids": msgspec.json.encode(run_ids).decode()}
    return tuple(Write(query, named) for query in ("delete_audit", "delete_steps", "delete_timers", "delete_runs"))


def _ended(run: RunState | None, env: str, run_id: str, verb: str) -> RunState:
    if run is None or run.env != env:
        raise NotFoundError(f"no run {run_id!r} in this environment")
    if run.status not in TERMINAL:
        raise FailedPreconditionError(
            f"run {run.id} is {run.status}, and only a run that has ended can be {verb}; wait for its end, or cancel it"
        )
    return run
