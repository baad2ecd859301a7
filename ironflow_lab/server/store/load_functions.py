"""Loading the state that commands about functions are decided on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from ironflow_lab.server.engine import commands
from ironflow_lab.server.engine.functions import Restored
from ironflow_lab.server.engine.records import FunctionState
from ironflow_lab.server.store import queries
from ironflow_lab.server.store.rows import function_by_id, function_of

_SQL = queries.load("functions")


def _registered(db: sqlite3.Connection, command: commands.RegisterFunction, now: int) -> FunctionState | None:
    return function_by_id(db, command.env, command.request.id)


def _named(
    db: sqlite3.Connection, command: commands.SetFunctionStatus | commands.DeleteFunction, now: int
) -> FunctionState | None:
    return function_by_id(db, command.env, command.function_id)


def _restored(db: sqlite3.Connection, command: commands.RollbackFunction, now: int) -> Restored:
    function = function_by_id(db, command.env, command.function_id)
    wanted = {"env": command.env, "id": command.function_id, "entity_version": command.entity_version}
    row = db.execute(f"{_SQL['changes']} {_SQL['at_version']}", wanted).fetchone()
    if row is None:
        return Restored(function=function)
    return Restored(function=function, snapshot=function_of(row), change_type=row[8])


LOADS: dict[type, Callable[[sqlite3.Connection, Any, int], Any]] = {
    commands.RegisterFunction: _registered,
    commands.SetFunctionStatus: _named,
    commands.DeleteFunction: _named,
    commands.RollbackFunction: _restored,
}
