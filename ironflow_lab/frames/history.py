"""Frames of what was recorded: audit events, the timeline of a run, what changed, and steps as they were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from ironflow_lab.frames import schema, times
from ironflow_lab.frames.collector import paused
from ironflow_lab.frames.columns import Table
from ironflow_lab.history import redaction
from ironflow_lab.history.acts import exact
from ironflow_lab.history.diff import Explained, redacted
from ironflow_lab.history.fold import History
from ironflow_lab.history.paths import path_text
from ironflow_lab.history.payloads import payload_of
from ironflow_lab.history.snapshot import StepState
from ironflow_lab.history.words import is_significant, sentence
from ironflow_lab.models.audit import AuditEvent, AuditRow
from ironflow_lab.wire.stepid import step_name


def audit_frame(events: Sequence[AuditEvent] | Sequence[AuditRow], *, first: int = 0) -> pd.DataFrame:
    """Return audit events in the order given, with `schema.AUDIT` as columns.

    `first` is the position of the first of them in the run's trail; 0 leaves positions missing.
    Payloads are those of the wire, unredacted, every digit kept.
    """
    table = Table(schema.AUDIT)
    with paused():
        names = {step_id: step_name(step_id) for step_id in {event.step_id for event in events}}
        count = len(events)
        table.add(
            count,
            {
                "position": range(first, first + count) if first else np.zeros(count, dtype=np.int64),
                "created_at": [event.created_at for event in events],
                "event_type": [event.event_type for event in events],
                "name": [names[event.step_id] for event in events],
                "payload": [exact(event.payload) for event in events],
                "run_id": [event.run_id for event in events],
                "function_id": [event.function_id for event in events],
                "step_id": [event.step_id for event in events],
                "event_id": [event.id for event in events],
                "metadata": [None if event.metadata is None else exact(event.metadata) for event in events],
                "environment_id": [event.environment_id for event in events],
            },
        )
    return table.frame()


def timeline_frame(history: History) -> pd.DataFrame:
    """Return every moment of a run, oldest first, with `schema.TIMELINE` as columns."""
    events, labels = history.events, ("", *history.labels)
    at = times.from_instants([history.time_of(position) for position in range(1, history.length + 1)])
    payloads = [payload_of(event) for event in events]
    named = [labels[delta.lane] for delta in history.deltas]
    table = Table(schema.TIMELINE)
    table.add(
        history.length,
        {
            "position": range(1, history.length + 1),
            "at": at,
            "since_start": at - at[:1],
            "event_type": [event.event_type for event in events],
            "name": named,
            "summary": [
                sentence(event.event_type, payload, name)
                for event, payload, name in zip(events, payloads, named, strict=True)
            ],
            "significant": [
                is_significant(event.event_type, payload) for event, payload in zip(events, payloads, strict=True)
            ],
            "step_id": [event.step_id for event in events],
            "event_id": [event.id for event in events],
        },
    )
    return table.frame()


def change_frame(changes: Sequence[Explained]) -> pd.DataFrame:
    """Return differences in the order given, with `schema.CHANGES` as columns.

    A value whose own place is a secret-looking key (`run.input.password`) is `[redacted]`: nothing in
    a cell would tell a display to hide it. All other values are exact.
    """
    table = Table(schema.CHANGES)
    shown = [redacted(one) for one in changes]
    table.add(
        len(changes),
        {
            "path": [path_text(one.path) for one in changes],
            "before": [_exact(one.before, fit.before) for one, fit in zip(changes, shown, strict=True)],
            "after": [_exact(one.after, fit.after) for one, fit in zip(changes, shown, strict=True)],
            "cause": [f"{one.cause.event_type} at {one.cause.position}" for one in changes],
            "actor": [one.actor for one in changes],
            "position": [one.cause.position for one in changes],
            "at": [one.cause.at for one in changes],
        },
    )
    return table.frame()


def state_frame(steps: Sequence[StepState]) -> pd.DataFrame:
    """Return steps as they were, with `schema.STATES` as columns."""
    started = times.from_instants([step.started_at for step in steps])
    ended = times.from_instants([step.completed_at for step in steps])
    errors = [_error(step.error) for step in steps]
    table = Table(schema.STATES)
    table.add(
        len(steps),
        {
            "sequence": [step.sequence for step in steps],
            "name": [step.label for step in steps],
            "type": [step.type for step in steps],
            "status": [step.status for step in steps],
            "attempt": [step.attempt for step in steps],
            "started_at": started,
            "ended_at": ended,
            "duration": _durations(steps, ended - started),
            "sleep_until": [step.until for step in steps],
            "output": [_text_or_none(step.output) for step in steps],
            "error": [message for message, _ in errors],
            "error_code": [code for _, code in errors],
            "patched": [step.patched for step in steps],
            "injected": [step.injected for step in steps],
            "original_output": [_text_or_none(step.original_output) for step in steps],
            "by": [step.by for step in steps],
            "reason": [step.reason for step in steps],
            "step_id": [step.step_id for step in steps],
        },
    )
    return table.frame()


def _exact(value: Any, shown: Any) -> bytes | None:
    if value is msgspec.UNSET:
        return None
    return exact(redaction.HIDDEN if shown == redaction.HIDDEN else value)


def _text_or_none(value: Any) -> bytes | None:
    return None if value is msgspec.UNSET else exact(value)


def _error(error: Any) -> tuple[str, str]:
    if error is msgspec.UNSET or error is None:
        return "", ""
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        code = error.get("code")
        return error["message"], code if isinstance(code, str) else ""
    return (error if isinstance(error, str) else exact(error).decode()), ""


def _durations(steps: Sequence[StepState], spans: np.ndarray) -> np.ndarray:
    known = ["NaT" if step.duration_ms is None else step.duration_ms for step in steps]
    told = np.array(known, dtype="timedelta64[ms]").astype("timedelta64[ns]")
    return np.where(np.isnat(spans), told, spans)
