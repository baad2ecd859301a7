"""Frames of a what-if: what it would do with every step, and its steps as those of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pandas as pd

from ironflow_lab.debug.fork import Planned
from ironflow_lab.frames import schema
from ironflow_lab.frames.columns import Table
from ironflow_lab.frames.replays import KINDS
from ironflow_lab.frames.runs import step_frame
from ironflow_lab.frames.schema import Column
from ironflow_lab.history.acts import exact
from ironflow_lab.models.runs import Error, Step, StepRow
from ironflow_lab.wire import codec

DECISIONS = ("recorded", "given", "stub", "run", "stop")

# What a fork would do, decided before anything is executed; `effects` is missing where a body decides it.
PLAN = (
    Column(name="step", dtype=schema.TEXT, source="label of the step"),
    Column(name="kind", dtype=schema.WORD, source="stepType", words=KINDS),
    Column(name="decision", dtype=schema.WORD, source="what the step gets", words=DECISIONS),
    Column(name="why", dtype=schema.TEXT, source="why it does", repeated=True),
    Column(name="output", dtype=schema.JSON, source="what it would return"),
    Column(name="error", dtype=schema.TEXT, source="what it would raise, or failed with"),
    Column(name="effects", dtype=schema.FLAG, source="whether its kind acts on the world"),
    Column(name="step_id", dtype=schema.TEXT, source="stepId"),
)


def plan_frame(rows: Sequence[Planned]) -> pd.DataFrame:
    """Return what a fork would do, with `PLAN` as columns."""
    table = Table(PLAN)
    table.add(
        len(rows),
        {
            "step": [row.label for row in rows],
            "kind": [row.kind for row in rows],
            "decision": [row.decision for row in rows],
            "why": [row.why for row in rows],
            "output": [_exact(row.output) for row in rows],
            "error": [_error(row.error) for row in rows],
            "effects": [row.effects for row in rows],
            "step_id": [row.step_id for row in rows],
        },
    )
    return table.frame()


def steps_frame(steps: Sequence[Step]) -> pd.DataFrame:
    """Return steps at rest with `schema.STEPS` and their payloads as columns, whatever is in their outputs."""
    bare = [msgspec.structs.replace(step, input=None, output=None, original_output=None) for step in steps]
    rows = [codec.decode(codec.encode(step), StepRow) for step in bare]
    told = [
        row if step.output is None else msgspec.structs.replace(row, output=msgspec.Raw(_exact(step.output) or b""))
        for row, step in zip(rows, steps, strict=True)
    ]
    return step_frame([told])


def _exact(value: Any) -> bytes | None:
    return None if value is msgspec.UNSET else exact(value)


def _error(error: Error | None) -> str:
    if error is None:
        return ""
    return f"{error.code}: {error.message}" if error.code else error.message
