"""Reading what became of functions: their history outlives them (engine.md section 2)."""

from __future__ import annotations

import sqlite3
from typing import Any

from ironflow_lab.errors import InvalidArgumentError, NotFoundError
from ironflow_lab.models.functions import FunctionHistoryEntry, ListFunctionHistoryRequest, ListFunctionHistoryResponse
from ironflow_lab.models.instant import Instant, Int64
from ironflow_lab.server.engine.functions import check_entity_version, describe, no_change
from ironflow_lab.server.store import pages, queries
from ironflow_lab.server.store.rows import function_of

_SQL = queries.load("functions")
HISTORY_PAGE, LARGEST_HISTORY_PAGE = 50, 200
_LARGEST_PAGE_BYTES = 8 * 1024 * 1024


def history(db: sqlite3.Connection, env: str, request: ListFunctionHistoryRequest) -> ListFunctionHistoryResponse:
    """Return a page of a function's changes, newest first; raises `NotFoundError` where there never was one."""
    if request.from_version < 0:
        raise InvalidArgumentError(f"from_version must not be negative, and {request.from_version} is")
    limit = min(pages.limit(request.limit, HISTORY_PAGE), LARGEST_HISTORY_PAGE)
    asked = {"env": env, "id": request.function_id, "before": request.from_version, "limit": limit + 1}
    entries: list[FunctionHistoryEntry] = []
    size = 0
    for row in db.execute(f"{_SQL['changes']} {_SQL['before_version']}", asked):
        if len(entries) == limit or size > _LARGEST_PAGE_BYTES:
            return ListFunctionHistoryResponse(entries=tuple(entries), has_more=True)
        entries.append(_entry(row))
        size += len(row[3])
    if not entries and not request.from_version:
        raise NotFoundError(f"no function {request.function_id!r} was ever registered in this environment")
    return ListFunctionHistoryResponse(entries=tuple(entries))


def at_version(db: sqlite3.Connection, env: str, function_id: str, entity_version: int) -> FunctionHistoryEntry:
    """Return one change of a function; raises `NotFoundError`."""
    check_entity_version(entity_version)
    asked = {"env": env, "id": function_id, "entity_version": entity_version}
    row = db.execute(f"{_SQL['changes']} {_SQL['at_version']}", asked).fetchone()
    if row is None:
        raise NotFoundError(no_change(function_id, entity_version))
    return _entry(row)


def _entry(row: tuple[Any, ...]) -> FunctionHistoryEntry:
    return FunctionHistoryEntry(
        event_id=row[7],
        entity_version=Int64(row[6]),
        function_id=row[0],
        function_snapshot=describe(function_of(row)),
        actor_id=row[10],
        change_reason=row[9],
        change_type=row[8],
        recorded_at=Instant(row[11]),
    )
