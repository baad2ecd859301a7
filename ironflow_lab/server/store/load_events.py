"""Loading the state that commands about events, invocations and messages are decided on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from ironflow_lab.models.instant import Int64
from ironflow_lab.models.pubsub import PublishResponse
from ironflow_lab.server.engine import commands
from ironflow_lab.server.engine.invoking import EarlierInvocation, InvokeState
from ironflow_lab.server.engine.publishing import PublishState
from ironflow_lab.server.engine.redaction import EventToRedact, StartedRun
from ironflow_lab.server.store import queries
from ironflow_lab.server.store.rows import function_by_id

_SQL = queries.load("events")


def _invoke(db: sqlite3.Connection, command: commands.InvokeFunction, now: int) -> InvokeState:
    if command.idempotency_key:
        found = {"env": command.env, "key": command.idempotency_key}
        row = db.execute(_SQL["invocation_by_key"], found).fetchone()
        if row is not None:
            event_id, source, run_id, function_id = row
            return InvokeState(
                earlier=EarlierInvocation(event_id=event_id, source=source, run_id=run_id, function_id=function_id)
            )
    return InvokeState(function=function_by_id(db, command.env, command.function_id))


def _publish(db: sqlite3.Connection, command: commands.Publish, now: int) -> PublishState:
    if command.idempotency_key:
        found = {"env": command.env, "topic": command.topic, "key": command.idempotency_key}
        row = db.execute(_SQL["message_by_key"], found).fetchone()
        if row is not None:
            return PublishState(earlier=PublishResponse(event_id=row[0], sequence=Int64(row[1])))
    (last,) = db.execute(_SQL["last_message"]).fetchone()
    return PublishState(last=last)


def _redact(db: sqlite3.Connection, command: commands.RedactEvent, now: int) -> EventToRedact:
    row = db.execute(_SQL["event_data"], {"env": command.env, "id": command.event_id}).fetchone()
    if row is None:
        return EventToRedact()
    rows = db.execute(_SQL["recorded_runs"], {"event_id": command.event_id}).fetchall()
    runs = (
        StartedRun(id=run_id, function_id=function_id, created_at=created_at, updated_at=updated_at, created=payload)
        for run_id, function_id, created_at, updated_at, payload in rows
    )
    return EventToRedact(data=row[0], runs=tuple(runs))


LOADS: dict[type, Callable[[sqlite3.Connection, Any, int], Any]] = {
    commands.InvokeFunction: _invoke,
    commands.Publish: _publish,
    commands.RedactEvent: _redact,
}
