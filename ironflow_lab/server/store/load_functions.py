"""Loading the state that commands about what functions are are decided on."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from ironflow_lab.server.engine import commands
from ironflow_lab.server.engine.functions import Restored
from ironflow_lab.server.engine.records import FunctionState
from ironflow_lab.server.store import queries
from ironflow_lab.server.store.rows import function_of

_SQL = queries.load("functions")


def _function(db: sqlite3.Connection, env: str, function_id: str) -> FunctionState | None:
    row = db.execute(_SQL["function"], {"env": env, "id": function_id}).fetchone()
    return None if row is None else function_of(row)


def _registered(db: sqlite3.Connection, command: commands.RegisterFunction, now: int) -> FunctionState | None:
    return _function(db, command.env, command.request.id)


def _named(
    db: sqlite3.Connection, command: commands.SetFunctionStatus | commands.DeleteFunction, now: int
) -> FunctionState | None:
    return _function(db, command.env, command.function_id)


def _restored(db: sqlite3.Connection, command: commands.RollbackFunction, now: int) -> Restored:
    function = _function(db, command.env, command.function_id)
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
