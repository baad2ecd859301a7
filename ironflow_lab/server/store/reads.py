"""Reads of committed rows, in threads of their own (the law is engine.ports.Reads)."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ironflow_lab.clock import MILLISECOND
from ironflow_lab.errors import NotFoundError, UnavailableError
from ironflow_lab.models.audit import AuditFollow, AuditTrail, RunAuditResponse
from ironflow_lab.models.events import RunResult
from ironflow_lab.models.functions import Function, ListFunctionsRequest, ListFunctionsResponse
from ironflow_lab.models.instant import Instant, Int64
from ironflow_lab.models.runs import (
    Error,
    ExecutionMode,
    ListRunsRequest,
    ListRunsResponse,
    Run,
    RunStatus,
    Step,
    StepStatus,
    StepType,
)
from ironflow_lab.models.timetravel import GetRunTimelineResponse, StepOutput
from ironflow_lab.server.engine.fold import StateAnswer
from ironflow_lab.server.engine.functions import describe
from ironflow_lab.server.engine.ports import AuditAsked
from ironflow_lab.server.store import database, history, pages, queries
from ironflow_lab.server.store.loads import function_of
from ironflow_lab.wire import codec, duration, payload

T = TypeVar("T")

_SQL = queries.load("reads")
_FEW = 16
RUNS_PAGE, FUNCTIONS_PAGE = 50, 100


class Reader:
    """Answers reads by connections that cannot write: a few rows by key at once, pages in two threads.

    Handing a read by key to a thread costs several times the read itself.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._pasts = history.Pasts()
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="ironflow-reader")

    async def function(self, env: str, function_id: str) -> Function:
        """Return a function; raises `NotFoundError`."""
        return self._read_now(_function, env, function_id)

    async def functions(self, env: str, request: ListFunctionsRequest) -> ListFunctionsResponse:
        """Return a page of functions by id."""
        return await self._read(_functions, env, request)

    async def run(self, env: str, run_id: str) -> Run:
        """Return a run; raises `NotFoundError`."""
        return self._read_now(_run, env, run_id)

    async def runs(self, env: str, request: ListRunsRequest) -> ListRunsResponse:
        """Return a page of runs, newest first."""
        return await self._read(_runs, env, request)

    async def steps(self, env: str, run_id: str) -> tuple[Step, ...]:
        """Return a run's steps by sequence; raises `NotFoundError`."""
        return await self._read(_steps, env, run_id)

    async def results(self, env: str, run_ids: tuple[str, ...]) -> tuple[RunResult, ...]:
        """Return how the named runs stand, unknown ids left out."""
        if len(run_ids) <= _FEW:
            return self._read_now(_results, env, run_ids)
        return await self._read(_results, env, run_ids)

    async def audit_trail(self, env: str, asked: AuditAsked) -> AuditTrail:
        """Return a page of a run's audit events, oldest first; raises `NotFoundError`."""
        return await self._read(history.trail, env, asked)

    async def audit_search(self, env: str, asked: AuditAsked) -> RunAuditResponse:
        """Return a page of audit events across runs, newest first."""
        return await self._read(history.search, env, asked)

    async def audit_after(self, env: str, asked: AuditAsked) -> AuditFollow:
        """Return a run's audit events after the cursor, and whether that is the end; raises `NotFoundError`."""
        return await self._read(history.after, env, asked)

    async def state_at(self, env: str, run_id: str, at: int) -> StateAnswer:
        """Return how a recorded run was; raises `NotFoundError` or `FailedPreconditionError`."""
        return await self._read(history.state_at, self._pasts, env, run_id, at)

    async def timeline(self, env: str, run_id: str) -> GetRunTimelineResponse:
        """Return every moment of a recorded run; raises `NotFoundError` or `FailedPreconditionError`."""
        return await self._read(history.timeline, env, run_id)

    async def step_output_at(self, env: str, run_id: str, step_id: str, at: int) -> StepOutput:
        """Return a step of a recorded run as it was; raises `NotFoundError` or `FailedPreconditionError`."""
        return self._read_now(history.step_output_at, env, run_id, step_id, at)

    def close(self) -> None:
        """Finish the reads under way and close the connections."""
        self._pool.shutdown()
        for connection in self._opened:
            connection.close()

    async def _read(self, read: Callable[..., T], *arguments: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: self._read_now(read, *arguments))

    def _read_now(self, read: Callable[..., T], *arguments: Any) -> T:
        try:
            return read(self._connection(), *arguments)
        except sqlite3.OperationalError as error:
            raise UnavailableError(f"the database could not be read ({error}); try again", retryable=True) from error

    def _connection(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = self._local.connection = database.open_reader(self._folder)
            self._opened.append(found)
        return found


def _function(db: sqlite3.Connection, env: str, function_id: str) -> Function:
    row = db.execute(_SQL["function"], {"env": env, "id": function_id}).fetchone()
    if row is None:
        raise NotFoundError(f"no function {function_id!r} is registered in this environment")
    return describe(function_of(row))


def _functions(db: sqlite3.Connection, env: str, request: ListFunctionsRequest) -> ListFunctionsResponse:
    if request.mode not in ("", "pull"):
        return ListFunctionsResponse()
    limit = pages.limit(request.limit, FUNCTIONS_PAGE)
    wanted = {"env": env, "status": _known(request.status), "name": request.name}
    page = {**wanted, "after": pages.read(request.cursor), "limit": limit + 1}
    page["offset"] = 0 if request.cursor else pages.offset(request.offset)
    found = [describe(function_of(row)) for row in db.execute(_SQL["function_page"], page)]
    (total,) = db.execute(_SQL["function_count"], wanted).fetchone()
    following = pages.write(found[limit - 1].id) if len(found) > limit else ""
    return ListFunctionsResponse(functions=tuple(found[:limit]), next_cursor=following, total_count=total)


def _run(db: sqlite3.Connection, env: str, run_id: str) -> Run:
    sql = f"{_SQL['run_columns']} WHERE {_SQL['where_env']} AND {_SQL['where_id']}"
    row = db.execute(sql, {"env": env, "id": run_id}).fetchone()
    if row is None:
        raise NotFoundError(f"no run {run_id!r} in this environment")
    return _run_of(row)


def _runs(db: sqlite3.Connection, env: str, request: ListRunsRequest) -> ListRunsResponse:
    limit = pages.limit(request.limit, RUNS_PAGE)
    parameters, parts = _filters(env, request)
    where = " AND ".join(_SQL[part] for part in parts)
    counted = _SQL["run_count_with_events" if "where_search" in parts else "run_count"]
    (total,) = db.execute(f"{counted} WHERE {where}", parameters).fetchone()
    offset = pages.offset(request.offset)
    if request.cursor:
        where += f" AND {_SQL['where_before']}"
        parameters["before"], offset = pages.number(request.cursor), 0
    sql = f"{_SQL['run_columns']} WHERE {where} {_SQL['newest_first']}"
    rows = db.execute(sql, {**parameters, "limit": limit + 1, "offset": offset}).fetchall()
    following = pages.write(str(rows[limit - 1][-1])) if len(rows) > limit else ""
    return ListRunsResponse(runs=tuple(map(_run_of, rows[:limit])), next_cursor=following, total_count=total)


def _filters(env: str, request: ListRunsRequest) -> tuple[dict[str, Any], list[str]]:
    statuses = [known for known in (_known(one) for one in (request.status, *request.statuses)) if known]
    given = {
        "function_id": ("where_function", request.function_id),
        "event_id": ("where_event", request.event_id),
        "statuses": ("where_statuses", msgspec.json.encode(statuses).decode() if statuses else ""),
        "since": ("where_since", int(request.since)),
        "until": ("where_until", int(request.until)),
        "search": ("where_search", request.search.strip()),
    }
    used = {name: found for name, found in given.items() if found[1]}
    parameters: dict[str, Any] = {"env": env, **{name: value for name, (_, value) in used.items()}}
    return parameters, ["where_env", *(part for part, _ in used.values())]


def _steps(db: sqlite3.Connection, env: str, run_id: str) -> tuple[Step, ...]:
    if db.execute(_SQL["run_exists"], {"env": env, "id": run_id}).fetchone() is None:
        raise NotFoundError(f"no run {run_id!r} in this environment")
    return tuple(_step_of(row) for row in db.execute(_SQL["steps"], {"run_id": run_id}))


def _results(db: sqlite3.Connection, env: str, run_ids: tuple[str, ...]) -> tuple[RunResult, ...]:
    rows = db.execute(_SQL["results"], {"env": env, "ids": msgspec.json.encode(run_ids).decode()})
    return tuple(
        RunResult(
            run_id=run_id,
            function_id=function_id,
            status=RunStatus(status),
            error=_error(error),
            duration_ms=duration.in_field(max(ended - created, 0) // MILLISECOND),
            **_payload("output", output),
        )
        for run_id, function_id, status, output, error, created, ended in rows
    )


def _run_of(row: tuple[Any, ...]) -> Run:
    remaining = row[20] * MILLISECOND - row[21]
    return Run(
        id=row[0],
        function_id=row[1],
        event_id=row[2],
        event_name=row[3],
        execution_mode=ExecutionMode("pull"),
        worker_id=row[4],
        error=_error(row[7]),
        status=RunStatus(row[8]),
        attempt=row[9],
        max_attempts=row[10],
        started_at=Instant(row[11]),
        ended_at=Instant(row[12]),
        created_at=Instant(row[13]),
        updated_at=Instant(row[14]),
        function_version=row[15],
        environment_id=row[16],
        version=row[17],
        claimed_by=row[4] if row[18] else "",
        claimed_at=Instant(row[18]),
        timeout_at=Instant(row[18] + remaining if row[18] else 0),
        pause_reason=_reason(status=row[8], due_step=row[22]),
        cancellation_cause=row[19],
        **_payload("input", row[5]),
        **_payload("output", row[6]),
    )


def _step_of(row: tuple[Any, ...]) -> Step:
    return Step(
        id=row[0],
        run_id=row[1],
        step_id=row[2],
        step_type=StepType(row[3]),
        sequence=row[4],
        status=StepStatus(row[5]),
        error=_error(row[7]),
        attempt=row[8],
        duration_ms=duration.in_field(row[9]),
        duration_ms_full=Int64(row[9]),
        started_at=Instant(row[10]),
        ended_at=Instant(row[11]),
        sleep_until=Instant(row[12]),
        compensation_for=row[13],
        created_at=Instant(row[14]),
        updated_at=Instant(row[15]),
        **_payload("output", row[6]),
    )


def _reason(*, status: str, due_step: str) -> str:
    """Return why a run does not go on by itself (engine.md section 4.1); empty for a retry's delay."""
    if status == "paused":
        return "retries_exhausted"
    return "sleep" if status == "waiting" and due_step else ""


def _payload(name: str, value: bytes | None) -> dict[str, Any]:
    return {} if value is None else payload.split(name, msgspec.Raw(value))


def _error(value: bytes | None) -> Error | None:
    return None if value is None else codec.decode(value, Error)


def _known(word: RunStatus | Any) -> str:
    """Return the word, or nothing for one this server does not know: that means no filter (rpc.md 2.5)."""
    return str(word) if word in type(word).numbers.values() else ""
