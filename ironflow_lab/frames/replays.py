"""A frame of the step calls of a replay: one call a row."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pandas as pd

from ironflow_lab.debug.calls import Asked
from ironflow_lab.frames import schema, times
from ironflow_lab.frames.columns import Table
from ironflow_lab.frames.schema import Column
from ironflow_lab.history.acts import exact

KINDS = ("run", "sleep", "wait_for_event", "invoke", "invoke_async", "publish", "compensate")
SOURCES = ("recorded", "given", "stub", "ran", "stopped")

# What the code asked of its steps, in that order, and what each call got.
CALLS = (
    Column(name="order", dtype=schema.NUMBER, source="the order of the code's asking, from 1"),
    Column(name="name", dtype=schema.TEXT, source="stepName, made unique", repeated=True),
    Column(name="kind", dtype=schema.WORD, source="the verb of the step", words=KINDS),
    Column(name="got", dtype=schema.WORD, source="where its answer came from", words=SOURCES),
    Column(name="line", dtype=schema.NUMBER, source="line of the call", zero_is_missing=True),
    Column(name="wanted", dtype=schema.JSON, source="what the code asked for"),
    Column(name="output", dtype=schema.JSON, source="what the code was handed"),
    Column(name="error", dtype=schema.TEXT, source="error.message"),
    Column(name="duration", dtype=schema.SPAN, source="endedAt - startedAt as recorded"),
    Column(name="file", dtype=schema.TEXT, source="file of the call", repeated=True),
    Column(name="step_id", dtype=schema.TEXT, source="stepId"),
)


def calls_frame(asked: Sequence[Asked]) -> pd.DataFrame:
    """Return the calls in the order given, with `CALLS` as columns.

    Payloads are exact, but those nested deeper than JSON can be written: they are cut after 64 levels.
    """
    table = Table(CALLS)
    started = times.from_instants([one.started_at for one in asked])
    ended = times.from_instants([one.ended_at for one in asked])
    table.add(
        len(asked),
        {
            "order": [one.call.order for one in asked],
            "name": [one.call.label for one in asked],
            "kind": [one.call.kind for one in asked],
            "got": [one.source for one in asked],
            "line": [one.call.line for one in asked],
            "wanted": [_exact(one.call.wanted) for one in asked],
            "output": [_exact(one.output) for one in asked],
            "error": ["" if one.error is None else one.error.message for one in asked],
            "duration": ended - started,
            "file": [one.call.file for one in asked],
            "step_id": [one.call.step_id for one in asked],
        },
    )
    return table.frame()


def _exact(value: object) -> bytes | None:
    return None if value is msgspec.UNSET else exact(value)
