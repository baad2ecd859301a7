"""A run as it was, as HTML and as text: escaped, redacted, capped, readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import msgspec

from ironflow_lab.history import redaction
from ironflow_lab.history.payloads import payload_of
from ironflow_lab.history.snapshot import Snapshot, StepState
from ironflow_lab.history.words import sentence
from ironflow_lab.lab import card, summary
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.instant import Instant
from ironflow_lab.wire.stepid import step_name

_LONGEST_NAME = 120
_LONGEST_RESULT = 80
_MOST_LATER = 10
_MILLISECOND = 1_000_000


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a card shows: the state at a moment, the event that led to it, and the steps that came later."""

    state: Snapshot
    at: Instant
    event: AuditEvent | None
    length: int
    later: Sequence[str]
    source: str
    note: str


def html(shown: Shown) -> str:
    """Return the card: status, position and time, what had just happened, error, steps and payloads."""
    state = shown.state
    title = f"<strong>{escape(state.function_id)}</strong> {card.badge(_status(state))}"
    parts = [
        f'<div class="ironflow-snapshot" style="{card.TEXT};font-size:13px;line-height:1.5;max-width:60em">',
        f"<div>{title} <code>{escape(state.run_id)}</code></div>",
        f'<div style="{card.FAINT}">{escape(_facts(shown))}</div>',
        card.error(line) if (line := error_line(state.error)) else "",
        card.table(map(_row, state.steps[: card.MOST_STEPS]), _more(state)) if state.steps else "",
        *(f'<div style="{card.FAINT}">{escape(line)}</div>' for line in _notes(shown)),
        card.payload("input", _or_none(state.input)),
        card.payload("output", _or_none(state.output)),
        "</div>",
    ]
    return "".join(parts)


def text(shown: Shown) -> str:
    """Return the card as plain text, one fact a line."""
    state = shown.state
    lines = [f"{state.run_id}: {headline(shown)}", f"  {_facts(shown)}"]
    if line := error_line(state.error):
        lines.append(f"  error   {redaction.clip(line, limit=card.LONGEST_ERROR)}")
    if state.input is not msgspec.UNSET:
        lines.append(f"  input   {redaction.show(state.input, limit=100)}")
    if state.output is not msgspec.UNSET:
        lines.append(f"  output  {redaction.show(state.output, limit=100)}")
    lines += [f"  {_line(step)}" for step in state.steps[: card.MOST_STEPS]]
    return "\n".join([*lines, *(f"  {line}" for line in (*_more(state), *_notes(shown)))])


def headline(shown: Shown) -> str:
    """Return one line: function, status, position."""
    state = shown.state
    return f"{state.function_id or 'run'} {_status(state)} at position {state.position} of {shown.length}"


def error_line(error: Any) -> str:
    """Return an error with its code on one line, "" when there is none."""
    if error is msgspec.UNSET or error is None:
        return ""
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return redaction.show(error, limit=card.LONGEST_ERROR)
    first = error["message"].strip().partition("\n")[0]
    return f"{error['code']}: {first}" if isinstance(error.get("code"), str) and error["code"] else first


def _status(state: Snapshot) -> str:
    return state.status or "not created"


def _facts(shown: Shown) -> str:
    state = shown.state
    facts = [f"position {state.position} of {shown.length}"]
    if state.attempt:
        facts.append(f"attempt {state.attempt}")
    if state.run.pause_requested:
        facts.append("to be held at its next step boundary")
    if state.run.pause_reason:
        facts.append(f"paused: {redaction.clip(state.run.pause_reason, limit=_LONGEST_NAME)}")
    if state.run.parent_run_id:
        facts.append(f"child of {redaction.clip(state.run.parent_run_id, limit=_LONGEST_NAME)}")
    if shown.at:
        facts += [summary.moment(shown.at), f"{summary.span(max(0, shown.at - state.t0))} after the run was created"]
    if shown.event is not None:
        facts.append(_happened(shown.event))
    return " · ".join(facts)


def _happened(event: AuditEvent) -> str:
    name = redaction.clip(step_name(event.step_id), limit=_LONGEST_NAME)
    return redaction.clip(sentence(event.event_type, payload_of(event), name), limit=2 * _LONGEST_NAME)


def _row(step: StepState) -> Sequence[str]:
    result = _result(step)
    return (
        escape(_name(step)),
        card.badge(step.status),
        str(step.attempt or ""),
        escape(_took(step)),
        f"<code>{escape(result)}</code>" if result else "",
    )


def _line(step: StepState) -> str:
    return f"{_name(step):<20} {step.status:<10} {_took(step):>9}  {_result(step)}".rstrip()


def _name(step: StepState) -> str:
    marks = [word for word, on in (("patched", step.patched), ("injected", step.injected)) if on]
    name = redaction.clip(step.label, limit=_LONGEST_NAME)
    return f"{name} ({', '.join(marks)})" if marks else name


def _took(step: StepState) -> str:
    if step.started_at and step.completed_at > step.started_at:
        return summary.span(step.completed_at - step.started_at)
    return summary.span(step.duration_ms * _MILLISECOND) if step.duration_ms else ""


def _result(step: StepState) -> str:
    if step.status in ("sleeping", "waiting"):
        return redaction.clip(_waits(step), limit=2 * _LONGEST_RESULT)
    if step.status != "completed":
        return redaction.clip(error_line(step.error), limit=_LONGEST_RESULT)
    if step.output is msgspec.UNSET or step.type == "sleep":
        return ""
    return redaction.show(step.output, limit=_LONGEST_RESULT)


def _waits(step: StepState) -> str:
    """Return what the step waits for, as far as it is known."""
    parts = []
    if step.event:
        parts.append(f"for {redaction.clip(step.event, limit=_LONGEST_RESULT)}")
    if step.match is not msgspec.UNSET:
        parts.append(f"with {redaction.show(step.match, limit=_LONGEST_RESULT)}")
    if step.child_run_id:
        parts.append(f"for {redaction.clip(step.child_run_id, limit=_LONGEST_RESULT)}")
    if step.function_id:
        parts.append(f"of {redaction.clip(step.function_id, limit=_LONGEST_RESULT)}")
    if step.until:
        parts.append(f"until {summary.moment(step.until)}")
    return " ".join(parts)


def _more(state: Snapshot) -> list[str]:
    hidden = len(state.steps) - card.MOST_STEPS
    return [f"and {hidden:,} more steps; see .steps"] if hidden > 0 else []


def _notes(shown: Shown) -> list[str]:
    notes = []
    if shown.later:
        names = ", ".join(redaction.clip(label, limit=_LONGEST_NAME) for label in shown.later[:_MOST_LATER])
        more = f" and {len(shown.later) - _MOST_LATER:,} more" if len(shown.later) > _MOST_LATER else ""
        notes.append(f"not started yet: {names}{more}")
    if shown.source == "server":
        notes.append(f"as the server tells it: {shown.note}")
    elif shown.note:
        notes.append(f"{shown.source}: {shown.note}")
    return notes


def _or_none(value: Any) -> Any:
    return None if value is msgspec.UNSET else value
