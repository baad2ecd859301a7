"""Frames of a what-if: what it would do with every step, and what its code asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pandas as pd

from ironflow_lab.debug.calls import Asked
from ironflow_lab.debug.fork import Planned, has_effects
from ironflow_lab.frames import schema
from ironflow_lab.frames.columns import Table
from ironflow_lab.frames.schema import Column
from ironflow_lab.history.values import json_text
from ironflow_lab.models.runs import Error

DECISIONS = ("recorded", "given", "stub", "run", "stop")
SOURCES = ("recorded", "given", "stub", "ran", "stopped")
KINDS = ("run", "sleep", "wait_for_event", "invoke", "invoke_async", "publish", "compensate")

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
# What the code asked for, in order.
CALLS = (
    Column(name="order", dtype=schema.NUMBER, source="order of the call"),
    Column(name="step", dtype=schema.TEXT, source="label of the step"),
    Column(name="kind", dtype=schema.WORD, source="what was called", words=KINDS),
    Column(name="source", dtype=schema.WORD, source="where its outcome came from", words=SOURCES),
    Column(name="output", dtype=schema.JSON, source="what the code was handed"),
    Column(name="error", dtype=schema.TEXT, source="what the code saw raised"),
    Column(name="wanted", dtype=schema.JSON, source="what the code asked for"),
    Column(name="effects", dtype=schema.FLAG, source="whether its kind acts on the world"),
    Column(name="file", dtype=schema.TEXT, source="file of the call", repeated=True),
    Column(name="line", dtype=schema.NUMBER, source="line of the call", zero_is_missing=True),
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
            "output": [_json(row.output) for row in rows],
            "error": [_error(row.error) for row in rows],
            "effects": [row.effects for row in rows],
            "step_id": [row.step_id for row in rows],
        },
    )
    return table.frame()


def calls_frame(asked: Sequence[Asked]) -> pd.DataFrame:
    """Return what the code asked for and got, with `CALLS` as columns."""
    table = Table(CALLS)
    table.add(
        len(asked),
        {
            "order": [one.call.order for one in asked],
            "step": [one.call.label for one in asked],
            "kind": [one.call.kind for one in asked],
            "source": [one.source for one in asked],
            "output": [_json(one.output) for one in asked],
            "error": [_error(one.error) for one in asked],
            "wanted": [_json(one.call.wanted) for one in asked],
            "effects": [has_effects(one.call.kind) for one in asked],
            "file": [one.call.file for one in asked],
            "line": [one.call.line for one in asked],
            "step_id": [one.call.step_id for one in asked],
        },
    )
    return table.frame()


def _json(value: Any) -> bytes | None:
    return None if value is msgspec.UNSET else json_text(value)


def _error(error: Error | None) -> str:
    if error is None:
        return ""
    return f"{error.code}: {error.message}" if error.code else error.message
