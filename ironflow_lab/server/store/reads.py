"""Reads of committed rows, in threads of their own (the law is engine.ports.Reads)."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from ironflow_lab.errors import NotFoundError, UnavailableError
from ironflow_lab.models.audit import AuditFollow, AuditTrail, RunAuditResponse
from ironflow_lab.models.events import Event, EventNames, EventPage, RunResult
from ironflow_lab.models.functions import (
    Function,
    FunctionHistoryEntry,
    ListFunctionHistoryRequest,
    ListFunctionHistoryResponse,
    ListFunctionsRequest,
    ListFunctionsResponse,
)
from ironflow_lab.models.runs import ListRunsRequest, ListRunsResponse, PausedState, Run, Step
from ironflow_lab.models.secrets import SecretInfo
from ironflow_lab.models.timetravel import GetRunTimelineResponse, StepOutput
from ironflow_lab.server.engine.fold import StateAnswer
from ironflow_lab.server.engine.functions import describe
from ironflow_lab.server.engine.outcome import Erased, Wake
from ironflow_lab.server.engine.ports import AuditAsked, EventsAsked
from ironflow_lab.server.store import (
    database,
    events,
    functions,
    history,
    load_secrets,
    pages,
    paused,
    queries,
    runlist,
    runs,
)
from ironflow_lab.server.store.rows import function_by_id, function_of

T = TypeVar("T")

_SQL = queries.load("reads")
_FEW = 16
FUNCTIONS_PAGE = 100


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

    async def function_history(self, env: str, request: ListFunctionHistoryRequest) -> ListFunctionHistoryResponse:
        """Return a page of a function's changes, newest first; raises `NotFoundError` where there never was one."""
        return await self._read(functions.history, env, request)

    async def function_at_version(self, env: str, function_id: str, entity_version: int) -> FunctionHistoryEntry:
        """Return one change of a function; raises `NotFoundError`."""
        return self._read_now(functions.at_version, env, function_id, entity_version)

    async def run(self, env: str, run_id: str) -> Run:
        """Return a run; raises `NotFoundError`."""
        return self._read_now(runs.one, env, run_id)

    async def runs(self, env: str, request: ListRunsRequest) -> ListRunsResponse:
        """Return a page of runs, newest first."""
        return await self._read(runlist.page, env, request)

    async def steps(self, env: str, run_id: str) -> tuple[Step, ...]:
        """Return a run's steps by sequence; raises `NotFoundError`."""
        return await self._read(runs.steps, env, run_id)

    async def step(self, env: str, run_id: str, step_id: str) -> Step:
        """Return one step by its deterministic id; raises `NotFoundError`."""
        return self._read_now(runs.step, env, run_id, step_id)

    async def paused_state(self, env: str, run_id: str) -> PausedState:
        """Return what a paused run has done; raises `NotFoundError` or `FailedPreconditionError`."""
        return await self._read(paused.state, env, run_id)

    async def results(self, env: str, run_ids: tuple[str, ...]) -> tuple[RunResult, ...]:
        """Return how the named runs stand, unknown ids left out."""
        if len(run_ids) <= _FEW:
            return self._read_now(runs.results, env, run_ids)
        return await self._read(runs.results, env, run_ids)

    async def event(self, env: str, event_id: str) -> Event:
        """Return an event; raises `NotFoundError`."""
        return self._read_now(events.one, env, event_id)

    async def events(self, env: str, asked: EventsAsked) -> EventPage:
        """Return a page of events, newest first."""
        return await self._read(events.page, env, asked)

    async def event_names(self, env: str, asked: EventsAsked) -> EventNames:
        """Return which names the newest events bear, and how often."""
        return await self._read(events.names, env, asked)

    async def secret(self, env: str, name: str) -> SecretInfo:
        """Return what is known of a secret; raises `NotFoundError`."""
        return self._read_now(load_secrets.one, env, name)

    async def secrets(self, env: str) -> tuple[SecretInfo, ...]:
        """Return what is known of every secret, by name."""
        return await self._read(load_secrets.listed, env)

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

    def heard(self, wakes: list[Wake]) -> None:
        """Forget the past of runs that were deleted or redacted; called on the event loop after the commit."""
        for wake in wakes:
            if isinstance(wake, Erased):
                self._pasts.forget(wake.run_ids)

    def close(self) -> None:
        """Finish the reads under way and close the connections."""
        self._pool.shutdown()
        for connection in self._opened:
            connection.close()

    async def _read(self, read: Callable[..., T], *arguments: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: self._read_now(read, *arguments))

    def _read_now(self, read: Callable[..., T], *arguments: Any) -> T:
        db = self._connection()
        try:
            # One snapshot: between two statements the writer commits, and a run would be in neither of two lists.
            db.execute("BEGIN")
            try:
                return read(db, *arguments)
            finally:
                db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise UnavailableError(f"the database could not be read ({error}); try again", retryable=True) from error

    def _connection(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = self._local.connection = database.open_reader(self._folder)
            self._opened.append(found)
        return found


def _function(db: sqlite3.Connection, env: str, function_id: str) -> Function:
    found = function_by_id(db, env, function_id)
    if found is None:
        raise NotFoundError(f"no function {function_id!r} is registered in this environment")
    return describe(found)


def _functions(db: sqlite3.Connection, env: str, request: ListFunctionsRequest) -> ListFunctionsResponse:
    if request.mode not in ("", "pull"):
        return ListFunctionsResponse()
    limit = pages.limit(request.limit, FUNCTIONS_PAGE)
    wanted = {"env": env, "status": pages.known(request.status), "name": request.name}
    page = {**wanted, "after": pages.read(request.cursor), "limit": limit + 1}
    page["offset"] = 0 if request.cursor else pages.offset(request.offset)
    found = [describe(function_of(row)) for row in db.execute(_SQL["function_page"], page)]
    (total,) = db.execute(_SQL["function_count"], wanted).fetchone()
    following = pages.write(found[limit - 1].id) if len(found) > limit else ""
    return ListFunctionsResponse(functions=tuple(found[:limit]), next_cursor=following, total_count=total)
