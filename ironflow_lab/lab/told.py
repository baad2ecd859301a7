"""How a server itself says a run was, as a snapshot: for runs whose audit trail does not tell all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from ironflow_lab.history import redaction
from ironflow_lab.history.snapshot import RunState, Snapshot, StepState
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.timetravel import RunSnapshot, StepSnapshot
from ironflow_lab.wire import codec
from ironflow_lab.wire.stepid import step_name


def snapshot_of(told: RunSnapshot, *, position: int, at: Instant, t0: Instant) -> Snapshot:
    """Return the answer of GetRunStateAt as a snapshot, its payloads decoded.

    What that answer has no field for (attempts, the run's own output and error) is absent.
    """
    return Snapshot(
        run_id=told.run_id,
        function_id=told.function_id,
        position=position,
        at=at,
        t0=t0,
        run=RunState(status=told.status, input=value_of(told.input), created_at=told.created_at),
        steps=tuple(_steps(told.steps)),
    )


def value_of(text: bytes) -> Any:
    """Return the value of a payload's JSON text; `UNSET` for empty bytes, the text itself when it is no JSON."""
    if not text:
        return msgspec.UNSET
    if not codec.is_deep(text, redaction.DEEPEST):
        for decode in (msgspec.json.decode, json.loads):
            # Only the slower one takes numbers such as 1e400.
            with suppress(ValueError):
                return decode(text)
    return text.decode("utf-8", "replace")


def _steps(told: Sequence[StepSnapshot]) -> Iterator[StepState]:
    taken: set[str] = set()
    for sequence, step in enumerate(sorted(told, key=lambda one: one.sequence)):
        name = step.name or step_name(step.step_id)
        label = name if name not in taken else step.step_id
        taken.add(label)
        yield StepState(
            step_id=step.step_id,
            label=label,
            name=name,
            type=step.type,
            sequence=sequence,
            status=step.status,
            output=value_of(step.output),
            error=value_of(step.error),
            original_output=value_of(step.original_output),
            patched=step.patched,
            injected=step.injected,
            started_at=step.started_at,
            completed_at=step.completed_at,
            duration_ms=step.duration_ms if step.completed_at else None,
        )
