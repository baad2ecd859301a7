"""Reads of the audit trail and of past states: SQL in, answers out (the law is engine.ports.Reads)."""

from __future__ import annotations

import sqlite3
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from ironflow_lab.errors import FailedPreconditionError, NotFoundError
from ironflow_lab.models.audit import AuditEvent, AuditFollow, AuditRow, AuditTrail, RunAuditResponse
from ironflow_lab.models.instant import Instant, format_instant
from ironflow_lab.models.runs import TERMINAL
from ironflow_lab.models.timetravel import GetRunTimelineResponse, StepOutput
from ironflow_lab.server.engine.fold import Fold, Moment, RunThen, StateAnswer, Told, tell
from ironflow_lab.server.engine.ports import AuditAsked
from ironflow_lab.server.engine.timeline import Narrator
from ironflow_lab.server.engine.trail import covers
from ironflow_lab.server.store import pages, queries

_SQL = queries.load("audit")
AUDIT_PAGE = 100
# Payloads may be megabytes each: a page ends early rather than filling the memory of both sides.
_LARGEST_PAGE_BYTES = 8 * 1024 * 1024


class Pasts:
    """The audit events of the runs looked at last, so that scrubbing a run reads only what is new.

    Events are changed by a redaction and removed with their run only: `forget` has to be told of both.
    """

    def __init__(self, *, most: int = 32 * 1024 * 1024) -> None:
        self._most = most
        self._kept: OrderedDict[str, _Past] = OrderedDict()
        self._lock = threading.Lock()
        self._forgotten = 0

    def of(self, db: sqlite3.Connection, run_id: str) -> list[Told]:
        """Return all events of the run, oldest first; the list must not be changed."""
        with self._lock:
            known, then = self._kept.get(run_id, _NO_PAST), self._forgotten
        new: list[Moment] = db.execute(_SQL["moments"], {"run_id": run_id, "after": known.until}).fetchall()
        if new:
            size = known.size + sum(len(payload) for *_, payload in new)
            known = _Past([*known.events, *tell(new)], new[-1][2], size)
        self._keep(run_id, known, then)
        return known.events

    def forget(self, run_ids: Iterable[str]) -> None:
        """Drop what is known of these runs, and whatever is being read of any run at this moment."""
        with self._lock:
            self._forgotten += 1
            for run_id in run_ids:
                self._kept.pop(run_id, None)

    def _keep(self, run_id: str, past: _Past, then: int) -> None:
        with self._lock:
            if then != self._forgotten:
                # It may have been read before the rows were changed.
                return
            self._kept[run_id] = past
            self._kept.move_to_end(run_id)
            total = sum(one.size for one in self._kept.values())
            while total > self._most:
                total -= self._kept.popitem(last=False)[1].size


class _Past(NamedTuple):
    events: list[Told]
    until: int
    size: int


_NO_PAST = _Past([], 0, 0)


class _Run(NamedTuple):
    function_id: str
    status: str
    recording: str
    created_at: int


def trail(db: sqlite3.Connection, env: str, asked: AuditAsked) -> AuditTrail:
    """Return a page of a run's events, oldest first; empty for a run that is not recorded."""
    _run(db, env, asked.run_id)
    rows, total, more = _page(db, env, asked, oldest_first=True)
    following = pages.write(str(rows[-1][7])) if more else ""
    return AuditTrail(events=tuple(map(_event, rows)), total_count=total, next_cursor=following)


def search(db: sqlite3.Connection, env: str, asked: AuditAsked) -> RunAuditResponse:
    """Return a page of events across runs, newest first."""
    rows, total, more = _page(db, env, asked, oldest_first=False)
    following = pages.write(str(rows[-1][8])) if more else ""
    return RunAuditResponse(events=tuple(map(_row, rows)), total_count=total, next_cursor=following)


def after(db: sqlite3.Connection, env: str, asked: AuditAsked) -> AuditFollow:
    """Return a run's events after the cursor, and where to go on."""
    # The status first: what it says ended has no event that the page could miss.
    run = _run(db, env, asked.run_id)
    rows, total, more = _page(db, env, asked, oldest_first=True)
    return AuditFollow(
        events=tuple(map(_event, rows)),
        total_count=total,
        next_cursor=pages.write(str(rows[-1][7])) if rows else asked.cursor or pages.write("0"),
        ended=run.status in TERMINAL and not more,
    )


def state_at(db: sqlite3.Connection, pasts: Pasts, env: str, run_id: str, at: int) -> StateAnswer:
    """Return the run after every event up to `at`; raises `NotFoundError` for a time before its creation."""
    run = _recorded(db, env, run_id)
    if at < run.created_at:
        raise NotFoundError(
            f"run {run_id!r} did not exist at {format_instant(at)}; it was created at {format_instant(run.created_at)}"
        )
    known = pasts.of(db, run_id)
    fold = Fold().feed(known[: bisect_right(known, at, key=lambda told: told[2])])
    return StateAnswer(
        snapshot=RunThen(
            run_id=run_id,
            function_id=run.function_id,
            status=fold.status,
            input=fold.input,
            steps=tuple(fold.steps.values()),
            timestamp=Instant(at),
            created_at=Instant(run.created_at),
        )
    )


def timeline(db: sqlite3.Connection, env: str, run_id: str) -> GetRunTimelineResponse:
    """Return every event of the run in words."""
    _recorded(db, env, run_id)
    narrator = Narrator()
    rows = db.execute(_SQL["told"], {"run_id": run_id}).fetchall()
    return GetRunTimelineResponse(events=tuple(narrator.tell(*row) for row in rows))


def step_output_at(db: sqlite3.Connection, env: str, run_id: str, step_id: str, at: int) -> StepOutput:
    """Return the step after every event up to `at`; raises `NotFoundError` when it had not begun."""
    run = _recorded(db, env, run_id)
    if not covers(run.recording, "step."):
        raise FailedPreconditionError(
            f"run {run_id!r} was recorded with the profile {run.recording!r}, which keeps no steps;"
            " register its function with the profile 'all', and run it again"
        )
    step = Fold().feed(tell(_step_moments(db, run_id, step_id, at))).steps.popitem()[1]
    return StepOutput(
        step_id=step.step_id,
        status=step.status,
        output=step.output,
        original_output=step.original_output,
        patched=step.patched,
        injected=step.injected,
    )


def _step_moments(db: sqlite3.Connection, run_id: str, step_id: str, at: int) -> list[Moment]:
    wanted = {"run_id": run_id, "step_id": step_id, "until": at}
    found: list[Moment] = db.execute(_SQL["moments_of_step"], wanted).fetchall()
    if not found:
        row = db.execute(_SQL["step_id_of_row"], {"run_id": run_id, "id": step_id}).fetchone()
        found = [] if row is None else db.execute(_SQL["moments_of_step"], {**wanted, "step_id": row[0]}).fetchall()
    if not found:
        raise NotFoundError(f"run {run_id!r} had no step {step_id!r} at {format_instant(at)}")
    return found


def _run(db: sqlite3.Connection, env: str, run_id: str) -> _Run:
    row = db.execute(_SQL["run"], {"env": env, "run_id": run_id}).fetchone()
    if row is None:
        raise NotFoundError(f"no run {run_id!r} in this environment")
    return _Run(*row)


def _recorded(db: sqlite3.Connection, env: str, run_id: str) -> _Run:
    run = _run(db, env, run_id)
    if not run.recording:
        raise FailedPreconditionError(
            f"run {run_id!r} was not recorded, so its past is not known; register function {run.function_id!r} with"
            " recording on (recording=True, the default of functions defined through a lab), and run it again"
        )
    return run


def _page(
    db: sqlite3.Connection, env: str, asked: AuditAsked, *, oldest_first: bool
) -> tuple[list[tuple[Any, ...]], int, bool]:
    """Return the rows of a page, how many there are in all, and whether more follow."""
    limit = pages.limit(asked.limit, AUDIT_PAGE)
    given = {
        "run_id": ("where_run", asked.run_id),
        "function_id": ("where_function", asked.function_id),
        "event_type": ("where_type", asked.event_type),
        "since": ("where_since", asked.since),
        "until": ("where_until", asked.until),
    }
    used = {name: found for name, found in given.items() if found[1]}
    parameters: dict[str, Any] = {"env": env, "limit": limit + 1, **{name: value for name, (_, value) in used.items()}}
    # A page in a run's own order is of a run known to be in this environment: the count reads the index alone.
    parts = (*(() if oldest_first else ("where_env",)), *(part for part, _ in used.values()))
    where = " AND ".join(_SQL[part] for part in parts)
    (total,) = db.execute(f"{_SQL['count']} WHERE {where}", parameters).fetchone()
    order = "oldest_first" if oldest_first else "newest_first"
    if asked.cursor:
        where += " AND " + _SQL["where_after" if oldest_first else "where_before"]
        parameters["after" if oldest_first else "before"] = pages.number(asked.cursor)
    rows: list[tuple[Any, ...]] = []
    size = 0
    for row in db.execute(f"{_SQL['events']} WHERE {where} {_SQL[order]}", parameters):
        if len(rows) == limit or size > _LARGEST_PAGE_BYTES:
            return rows, total, True
        rows.append(row)
        size += len(row[5])
    return rows, total, False


def _event(row: tuple[Any, ...]) -> AuditEvent:
    return AuditEvent(
        id=row[0],
        run_id=row[1],
        function_id=row[2],
        step_id=row[3],
        event_type=row[4],
        payload=msgspec.Raw(row[5]),
        environment_id=row[6],
        created_at=Instant(row[7]),
    )


def _row(row: tuple[Any, ...]) -> AuditRow:
    return AuditRow(
        id=row[0],
        run_id=row[1],
        function_id=row[2],
        step_id=row[3],
        event_type=row[4],
        payload=msgspec.Raw(row[5]),
        environment_id=row[6],
        created_at=Instant(row[7]),
    )
