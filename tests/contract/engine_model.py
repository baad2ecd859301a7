"""What the engine may do, told a second time and simply: by rows before and after one act."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import msgspec

from ironflow_lab.clock import MILLISECOND, SECOND
from ironflow_lab.models.instant import format_instant
from ironflow_lab.models.workers import Assignment
from ironflow_lab.server.engine.fold import Fold, tell

TERMINAL = {"completed", "failed", "cancelled"}
LEASE, ACK, RECONNECT, ABSENT = 90 * SECOND, 15 * SECOND, 5 * SECOND, SECOND
FOREVER = 1 << 62

# What one kind of act may do to a run it means; no other run may change at all.
LEGAL = {
    "poll": {("waiting_for_capacity", "running")},
    "checkpoint": {("running", "running")},
    "complete": {("running", "completed")},
    "fail": {("running", "waiting"), ("running", "paused"), ("running", "failed")},
    "give up": {("running", "failed")},
    "sleep": {("running", "waiting"), ("running", "waiting_for_capacity")},
    "take back": {("running", "waiting_for_capacity")},
    "cancel": {(one, "cancelled") for one in ("waiting_for_capacity", "running", "waiting", "paused")},
    "time": {("running", "waiting_for_capacity"), ("running", "failed"), ("waiting", "waiting_for_capacity")},
    "restart": {("running", "running"), ("waiting", "waiting_for_capacity")},
}


@dataclass(frozen=True)
class Act:
    """One act and the runs it may change: those named, with `None` all."""

    kind: str
    runs: frozenset[str] | None = frozenset()


Row = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """All runs by id, all steps by run and step id, and each run's audit events in order of writing."""

    runs: dict[str, Row]
    steps: dict[tuple[str, str], Row]
    audit: dict[str, list[Row]]


def read(db: sqlite3.Connection) -> Rows:
    """Return the committed rows."""
    audit: dict[str, list[Row]] = {}
    for row in _rows(db, "SELECT * FROM audit ORDER BY seq"):
        audit.setdefault(row["run_id"], []).append(row)
    return Rows(
        audit=audit,
        runs={row["id"]: row for row in _rows(db, "SELECT * FROM runs")},
        steps={(row["run_id"], row["step_id"]): row for row in _rows(db, "SELECT * FROM steps")},
    )


def _rows(db: sqlite3.Connection, sql: str) -> Iterator[Row]:
    cursor = db.execute(sql)
    names = [column[0] for column in cursor.description]
    return (dict(zip(names, row, strict=True)) for row in cursor)


def check(before: Rows, after: Rows, act: Act) -> None:
    """Fail unless the act may have made `after` out of `before`."""
    for run_id, new in after.runs.items():
        old = before.runs.get(run_id)
        if old is None:
            assert act.kind == "emit", f"a run out of nothing by {act}"
            assert (new["status"], new["attempt"], new["execution_seq"]) == ("waiting_for_capacity", 1, 0)
        elif old != new:
            _check_run(old, new, act)
    assert before.runs.keys() <= after.runs.keys(), "a run has vanished"
    assert before.steps.keys() <= after.steps.keys(), "a step has vanished"
    for key, new in after.steps.items():
        if before.steps.get(key) != new:
            _check_step(before.steps.get(key), new, before.runs[key[0]], act)
    for run_id, run in after.runs.items():
        if run["recording"]:
            _check_trail(before, after, run)
        else:
            assert run_id not in after.audit, f"{run_id} is not recorded, and has audit events"


def _check_trail(before: Rows, after: Rows, run: Row) -> None:
    """The trail only grows, in time's order, and exactly with the run; folded, it is the run."""
    old, new = before.audit.get(run["id"], []), after.audit[run["id"]]
    assert new[: len(old)] == old, "the past has changed"
    assert all(one["at"] < two["at"] for one, two in pairwise(new)), "audit events out of order"
    assert new[0]["at"] == run["created_at"]
    assert len({row["id"] for row in new}) == len(new)
    for row in new[len(old) :]:
        assert (row["env"], row["function_id"]) == (run["env"], run["function_id"])
        assert msgspec.json.decode(row["payload"]).get("stepId", "") == row["step_id"]
    before_run = before.runs.get(run["id"])
    grew = len(new) > len(old)
    assert grew == (_told(before, run["id"]) != _told(after, run["id"])), f"a change untold, or told without one: {new}"
    if grew:
        assert run["updated_at"] == new[-1]["at"], "the run's row does not follow its trail"
        assert before_run is None or new[len(old)]["at"] > before_run["updated_at"]
    _check_fold(after, run, new)
    _check_news(old, new)


def _told(rows: Rows, run_id: str) -> Any:
    """What a trail tells of a run: all of it that anybody can see change."""
    if run_id not in rows.runs:
        return None
    run = rows.runs[run_id]
    steps = [
        {name: value for name, value in row.items() if name not in ("updated_at", "sequence")}
        for (owner, _), row in sorted(rows.steps.items())
        if owner == run_id and run["recording"] != "run_lifecycle"
    ]
    # A restart counts a running segment anew, which its event tells of.
    counted = run["executed_ns"] if run["status"] == "running" else 0
    names = ("status", "attempt", "output", "error", "execution_seq", "due_at", "cancellation_cause")
    return [run[name] for name in names], counted, run["claimed_at"], steps


def _check_news(old: list[Row], new: list[Row]) -> None:
    """Every event tells something: a step reported again unchanged is told once.

    Only how long a failed step took is not in its event; and a restart tells of time alone.
    """
    fold = _folded(old)
    for row in new[len(old) :]:
        before = _state(fold)
        fold.feed(tell([_moment(row)]))
        silent = row["type"] == "step.failed" or b'"restarted"' in row["payload"]
        assert silent or _state(fold) != before, f"an event without news: {row}"


def _state(fold: Fold) -> Any:
    return (
        fold.status,
        fold.attempt,
        fold.output,
        fold.error,
        [msgspec.structs.astuple(one) for one in fold.steps.values()],
    )


def _folded(events: list[Row]) -> Fold:
    return Fold().feed(tell(map(_moment, events)))


def _moment(row: Row) -> tuple[str, str, int, bytes]:
    return row["type"], row["step_id"], row["at"], row["payload"]


def _check_fold(after: Rows, run: Row, events: list[Row]) -> None:
    fold = _folded(events)
    assert (fold.status, fold.attempt) == (run["status"], run["attempt"])
    assert (fold.output, fold.error) == (run["output"] or b"", run["error"] or b"")
    steps = {step_id: row for (run_id, step_id), row in after.steps.items() if run_id == run["id"]}
    if run["recording"] == "run_lifecycle":
        assert {row["step_id"] for row in events} == {""}
        return
    assert fold.steps.keys() == steps.keys()
    for step_id, row in steps.items():
        step = fold.steps[step_id]
        assert (step.name, step.type, step.status) == (row["name"], row["type"], row["status"])
        assert (step.output, step.error) == (row["output"] or b"", row["error"] or b"")
        ended = format_instant(row["ended_at"]) if row["ended_at"] else ""
        assert (step.started_at, step.completed_at) == (format_instant(row["started_at"]), ended)
        # What a failed step took is not in its event (engine.md section 13).
        assert step.duration_ms == (0 if row["status"] == "failed" else row["duration_ms"])


def _check_run(old: Row, new: Row, act: Act) -> None:
    what = f"{old['id']}: {old['status']} -> {new['status']} by {act}"
    assert old["status"] not in TERMINAL, f"an ended run changed: {what}"
    assert act.runs is None or old["id"] in act.runs, f"an act on another run: {what}"
    assert (old["status"], new["status"]) in LEGAL.get(act.kind, set()), f"not legal: {what}"
    assert new["updated_at"] > old["updated_at"], f"time stands still: {what}"
    assert new["execution_seq"] - old["execution_seq"] == (act.kind == "poll"), f"dispatches: {what}"
    retried = act.kind == "fail" and new["status"] == "waiting"
    assert new["attempt"] - old["attempt"] == retried, f"attempts: {what}"
    assert new["attempt"] <= new["max_attempts"], f"over its budget: {what}"
    assert bool(new["ended_at"]) == (new["status"] in TERMINAL), f"ended: {what}"
    assert bool(new["lease_token"]) == (new["status"] == "running"), f"a fence without a holder: {what}"
    assert (new["due_at"] is not None) == (new["status"] == "waiting"), f"a wait without an end: {what}"
    assert new["executed_ns"] >= old["executed_ns"], f"time undone: {what}"
    fixed = ("env", "function_id", "function_version", "event_id", "max_attempts", "policy", "timeout_ms", "created_at")
    assert [old[name] for name in fixed] == [new[name] for name in fixed], what


def _check_step(old: Row | None, new: Row, run: Row, act: Act) -> None:
    what = f"step {new['step_id']} by {act}"
    assert run["status"] not in TERMINAL, f"an ended run's step changed: {what}"
    if act.kind in ("time", "restart"):
        assert old is not None, f"a step out of nothing: {what}"
        assert (old["status"], new["status"], new["output"]) == ("sleeping", "completed", b"null"), what
    else:
        assert act.kind in ("checkpoint", "complete", "fail", "give up", "sleep"), f"not by its holder: {what}"
        assert run["id"] in (act.runs or ()), f"another run's step: {what}"
        assert run["status"] == "running", f"nobody holds it: {what}"
    if old is not None:
        fixed = ("id", "run_id", "step_id", "sequence", "created_at")
        assert [old[name] for name in fixed] == [new[name] for name in fixed], what
        assert new["updated_at"] > old["updated_at"], f"time stands still: {what}"


@dataclass
class Segment:
    """A segment in a worker's hands, and until when."""

    worker: str
    job: Assignment
    lease_until: int
    run_until: int
    known: bool = False
    restored: bool = False


@dataclass
class Hands:
    """Who holds what until when, by the words of the protocol."""

    held: set[str] = field(default_factory=set)
    segments: dict[str, Segment] = field(default_factory=dict)

    def claimed(self, worker: str, job: Assignment, run: Row, now: int) -> None:
        left = max(run["timeout_ms"] * MILLISECOND - run["executed_ns"], 1)
        self.segments[job.run_id] = Segment(worker, job, now + ACK, now + left)

    def holds(self, worker: str, job: Assignment) -> bool:
        segment = self.segments.get(job.run_id)
        return segment is not None and (segment.worker, segment.job.lease_token) == (worker, job.lease_token)

    def seen(self, job: Assignment, now: int) -> None:
        """The holder has shown that it knows of the job."""
        segment = self.segments[job.run_id]
        segment.known, segment.restored = True, False
        segment.lease_until = FOREVER if segment.worker in self.held else now + LEASE

    def beat(self, worker: str, job_ids: list[str], now: int) -> None:
        for segment in self.of(worker):
            if segment.job.job_id in job_ids:
                self.seen(segment.job, now)
            elif segment.restored:
                segment.lease_until = min(segment.lease_until, now + ABSENT)
            elif segment.lease_until == FOREVER:
                segment.known, segment.lease_until = False, now + LEASE

    def connected(self, worker: str, now: int) -> None:
        self.held.add(worker)
        for segment in self.of(worker):
            segment.lease_until = FOREVER if segment.known else now + LEASE

    def gone(self, worker: str) -> list[str]:
        """Forget what the worker holds; return the runs."""
        self.held.discard(worker)
        return [self.segments.pop(segment.job.run_id).job.run_id for segment in self.of(worker)]

    def restarted(self, ours: str, runs: dict[str, Row], now: int) -> None:
        self.held.clear()
        for run_id, segment in self.segments.items():
            left = max(runs[run_id]["timeout_ms"] * MILLISECOND - runs[run_id]["executed_ns"], 1)
            segment.known, segment.restored, segment.run_until = False, True, now + left
            segment.lease_until = now + (RECONNECT if segment.worker == ours else LEASE)

    def passed(self, now: int) -> dict[str, str]:
        """Return the status that time alone gives each run in somebody's hands."""
        due: dict[str, str] = {}
        for run_id, segment in list(self.segments.items()):
            due[run_id] = "running"
            if min(segment.lease_until, segment.run_until) <= now:
                due[run_id] = "failed" if segment.run_until <= segment.lease_until else "waiting_for_capacity"
                del self.segments[run_id]
        return due

    def of(self, worker: str) -> list[Segment]:
        return [segment for segment in self.segments.values() if segment.worker == worker]
