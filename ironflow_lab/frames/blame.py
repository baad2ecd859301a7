"""A frame of what put a value in its place: one event a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pandas as pd

from ironflow_lab.frames import schema
from ironflow_lab.frames.columns import Table
from ironflow_lab.frames.schema import Column
from ironflow_lab.history import redaction
from ironflow_lab.history.acts import exact
from ironflow_lab.history.blame import Put
from ironflow_lab.history.paths import Path, shown_at

# The events that changed what stands in one place of a run, oldest first; no position where only rows tell.
BLAME = (
    Column(name="position", dtype=schema.NUMBER, source="place in the run's trail", zero_is_missing=True),
    Column(name="at", dtype=schema.TIME, source="createdAt of the event"),
    Column(name="event_type", dtype=schema.TEXT, source="eventType", repeated=True),
    Column(name="name", dtype=schema.TEXT, source="stepName, made unique", repeated=True),
    Column(name="attempt", dtype=schema.NUMBER, source="attempt", zero_is_missing=True),
    Column(name="actor", dtype=schema.TEXT, source="payload", repeated=True),
    Column(name="reason", dtype=schema.TEXT, source="payload.reason, payload.cause"),
    Column(name="before", dtype=schema.JSON, source="the value before"),
    Column(name="after", dtype=schema.JSON, source="the value after"),
    Column(name="event_id", dtype=schema.TEXT, source="id"),
)


def blame_frame(puts: Sequence[Put], path: Path) -> pd.DataFrame:
    """Return what changed a place, in the order given, with `BLAME` as columns.

    A value that stands under a secret-looking key is `[redacted]`, all other values are exact. `path` is the way
    into the payload, by which its keys are judged.
    """
    table = Table(BLAME)
    table.add(
        len(puts),
        {
            "position": [one.position for one in puts],
            "at": [one.at for one in puts],
            "event_type": [one.event_type for one in puts],
            "name": [one.step for one in puts],
            "attempt": [one.attempt for one in puts],
            "actor": [one.actor for one in puts],
            "reason": [one.reason for one in puts],
            "before": [_exact(one.before, path) for one in puts],
            "after": [_exact(one.after, path) for one in puts],
            "event_id": [one.event_id for one in puts],
        },
    )
    return table.frame()


def _exact(value: Any, path: Path) -> bytes | None:
    if value is msgspec.UNSET:
        return None
    return exact(redaction.HIDDEN if shown_at(path, value) == redaction.HIDDEN else value)
