"""What no act may do to the rows, by the rows before and after it; and who holds which segment until when."""

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

# Every change of a run's status there is (engine.md 4.2), and that a resumed run goes back to its wait.
LEGAL = {
    ("waiting_for_capacity", "running"),
    *(("running", after) for after in ("completed", "failed", "waiting", "paused", "waiting_for_capacity")),
    *(("waiting", after) for after in ("waiting_for_capacity", "failed", "paused")),
    ("waiting_for_capacity", "paused"),
    *(("paused", after) for after in ("waiting_for_capacity", "waiting")),
    ("failed", "waiting_for_capacity"),
    *((before, "cancelled") for before in ("waiting_for_capacity", "running", "waiting", "paused")),
}
# What may be told without a change that the fold shows: times, requests, and payloads replaced in place.
_SILENT = ("step.failed", "saga.compensation.failed", "run.redacted", "step.redacted")

_FIXED = (
    "env",
    "function_id",
    "function_version",
    "event_id",
    "max_attempts",
    "policy",
    "timeout_ms",
    "created_at",
    "recording",
    "parent_run_id",
    "parent_step_id",
    "lane",
    "lane_limit",
    "pause_holds",
)


@dataclass(frozen=True)
class Act:
    """One act and the runs it may change; `kind` tells those that may do what no other may."""

    kind: str = ""
    runs: frozenset[str] = frozenset()


Row = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """All runs and timers by run id, all steps by run and step id, and each run's audit events as written."""

    runs: dict[str, Row] = field(default_factory=dict)
    steps: dict[tuple[str, str], Row] = field(default_factory=dict)
    timers: dict[str, Row] = field(default_factory=dict)
    audit: dict[str, list[Row]] = field(default_factory=dict)

    def steps_of(self, run_id: str) -> dict[str, Row]:
        return {step_id: row for (owner, step_id), row in self.steps.items() if owner == run_id}


def read(db: sqlite3.Connection) -> Rows:
    """Return the committed rows."""
    audit: dict[str, list[Row]] = {}
    for row in _rows(db, "SELECT * FROM audit ORDER BY seq"):
        audit.setdefault(row["run_id"], []).append(row)
    return Rows(
        audit=audit,
        runs={row["id"]: row for row in _rows(db, "SELECT * FROM runs")},
        timers={row["run_id"]: row for row in _rows(db, "SELECT * FROM timers")},
        steps={(row["run_id"], row["step_id"]): row for row in _rows(db, "SELECT * FROM steps")},
    )


def _rows(db: sqlite3.Connection, sql: str) -> Iterator[Row]:
    cursor = db.execute(sql)
    names = [column[0] for column in cursor.description]
    return (dict(zip(names, row, strict=True)) for row in cursor)


def check(before: Rows, after: Rows, act: Act) -> None:
    """Fail unless the act may have made `after` out of `before`."""
    gone = before.runs.keys() - after.runs.keys()
    assert gone == (act.runs if act.kind == "delete" else set()), f"runs have vanished: {gone} by {act}"
    assert {run_id for run_id, _ in before.steps.keys() - after.steps.keys()} <= gone, "a step has vanished"
    left = {run_id for run_id, _ in after.steps} | after.timers.keys() | after.audit.keys()
    assert left <= after.runs.keys(), f"left behind: {left - after.runs.keys()}"
    for run_id, new in after.runs.items():
        old = before.runs.get(run_id)
        if old is None:
            assert (new["status"], new["attempt"], new["execution_seq"]) == ("waiting_for_capacity", 1, 0)
        elif old != new:
            _check_run(old, new, act)
        _check_wait(after, new)
        if not new["recording"]:
            assert run_id not in after.audit, f"{run_id} is not recorded, and has audit events"
        elif run_id in act.runs or old != new or before.audit[run_id] != after.audit[run_id]:
            _check_trail(before, after, new, act)
    for key, new in after.steps.items():
        if before.steps.get(key) != new:
            _check_step(before.steps.get(key), new, before.runs[key[0]], act)
    _check_lanes(after)


def _check_wait(after: Rows, run: Row) -> None:
    """A run that waits has a timer, a paused one may, and then it is held; nobody else has one."""
    timer = after.timers.get(run["id"])
    if run["status"] == "waiting":
        assert timer is not None, f"a wait without an end: {run}"
        assert not timer["held"]
    elif timer is not None:
        assert (run["status"], timer["held"], timer["kind"] == "retry") == ("paused", 1, False), f"left over: {timer}"
    if timer is not None and timer["step_id"]:
        status = after.steps[run["id"], timer["step_id"]]["status"]
        assert status == ("sleeping" if timer["kind"] == "sleep" else "waiting")


def _check_lanes(after: Rows) -> None:
    taken: dict[tuple[str, str], list[Row]] = {}
    for run in after.runs.values():
        if run["lane_limit"] and (run["status"] == "running" or run["holding"]):
            taken.setdefault((run["function_id"], run["lane"]), []).append(run)
    for lane, runs in taken.items():
        assert len(runs) <= runs[0]["lane_limit"], f"lane {lane} is over its limit: {[run['id'] for run in runs]}"
    for run in after.runs.values():
        assert not run["holding"] or run["status"] in ("paused", "waiting_for_capacity"), f"it holds a lane: {run}"


def _check_trail(before: Rows, after: Rows, run: Row, act: Act) -> None:
    """The trail only grows, in time's order, and exactly with the run; folded, it is the run."""
    old, new = before.audit.get(run["id"], []), after.audit[run["id"]]
    if act.kind == "redact" and run["id"] in act.runs:
        kept = ("id", "type", "step_id", "at", "seq")
        assert [[one[name] for name in kept] for one in old] == [
            [one[name] for name in kept] for one in new[: len(old)]
        ]
    else:
        assert new[: len(old)] == old, "the past has changed"
    assert all(one["at"] < two["at"] for one, two in pairwise(new)), "audit events out of order"
    assert new[0]["at"] == run["created_at"]
    assert len({row["id"] for row in new}) == len(new)
    for row in new[len(old) :]:
        assert (row["env"], row["function_id"]) == (run["env"], run["function_id"])
        assert msgspec.json.decode(row["payload"]).get("stepId", "") == row["step_id"]
    before_run = before.runs.get(run["id"])
    grew = len(new) > len(old)
    changed = _told(before, run["id"]) != _told(after, run["id"])
    assert grew == changed or act.kind == "redact", f"a change untold, or told without one: {new[len(old) :]}"
    if grew:
        assert run["updated_at"] == new[-1]["at"], "the run's row does not follow its trail"
        assert before_run is None or new[len(old)]["at"] > before_run["updated_at"]
    _check_fold(after, run, new)
    _check_news(new[: len(old)], new)


def _told(rows: Rows, run_id: str) -> Any:
    """What a trail tells of a run: all of it that anybody can see change."""
    if run_id not in rows.runs:
        return None
    run, steps, timer = rows.runs[run_id], [], None
    if run["recording"] != "run_lifecycle":
        timer = rows.timers.get(run_id)
        mine = sorted(rows.steps_of(run_id).items())
        steps = [
            {name: value for name, value in row.items() if name not in ("updated_at", "sequence")} for _, row in mine
        ]
    # A restart counts a running segment anew, which its event tells of.
    counted = run["executed_ns"] if run["status"] == "running" else 0
    names = (
        "status",
        "attempt",
        "output",
        "error",
        "execution_seq",
        "cancellation_cause",
        "pause_requested",
        "pause_reason",
    )
    return [run[name] for name in names], counted, run["claimed_at"], steps, timer


def _check_news(old: list[Row], new: list[Row]) -> None:
    """Every event tells something: a step reported again unchanged is told once."""
    fold = _folded(old)
    for row in new[len(old) :]:
        before = _state(fold)
        fold.feed(tell([_moment(row)]))
        reason = msgspec.json.decode(row["payload"]).get("reason", "")
        silent = row["type"] in _SILENT or reason in ("restarted", "pause_requested")
        assert silent or _state(fold) != before, f"an event without news: {row}"


def _state(fold: Fold) -> Any:
    steps = [msgspec.structs.astuple(one) for one in fold.steps.values()]
    return fold.status, fold.attempt, fold.output, fold.error, steps


def _folded(events: list[Row]) -> Fold:
    return Fold().feed(tell(map(_moment, events)))


def _moment(row: Row) -> tuple[str, str, int, bytes]:
    return row["type"], row["step_id"], row["at"], row["payload"]


def _check_fold(after: Rows, run: Row, events: list[Row]) -> None:
    fold = _folded(events)
    assert (fold.status, fold.attempt) == (run["status"], run["attempt"])
    assert fold.error == (run["error"] or b"")
    # A failed run that goes on has no output, and its trail never had one.
    assert fold.output == (run["output"] or b"")
    if run["recording"] == "run_lifecycle":
        assert {row["step_id"] for row in events} == {""}
        return
    steps = after.steps_of(run["id"])
    assert fold.steps.keys() == steps.keys()
    for step_id, row in steps.items():
        _check_step_fold(fold, step_id, row)


def _check_step_fold(fold: Fold, step_id: str, row: Row) -> None:
    step = fold.steps[step_id]
    assert (step.name, step.type, step.status) == (row["name"], row["type"], row["status"])
    assert (step.output, step.error) == (row["output"] or b"", row["error"] or b"")
    assert step.original_output == (row["original_output"] or b"")
    assert (step.patched, step.injected) == (bool(row["patched_at"]), bool(row["injected"]))
    assert (step.started_at, step.completed_at) == (_text(row["started_at"]), _text(row["ended_at"]))
    # What a failed step took is not in its event (engine.md section 13).
    if row["status"] == "completed" and not (row["patched_at"] or row["injected"]):
        assert step.duration_ms == min(row["duration_ms"], 2**31 - 1)


def _text(at: int) -> str:
    return format_instant(at) if at else ""


def _check_run(old: Row, new: Row, act: Act) -> None:
    what = f"{old['id']}: {old['status']} -> {new['status']} by {act}"
    assert old["id"] in act.runs, f"an act on another run: {what}"
    pair = (old["status"], new["status"])
    # Resumed into a wait whose time was up, all at once.
    at_once = act.kind == "resume" and pair == ("paused", "failed")
    assert pair[0] == pair[1] or pair in LEGAL or at_once, f"not legal: {what}"
    assert old["status"] != "failed" or new["status"] == "failed" or act.kind == "resume", f"an end undone: {what}"
    assert new["updated_at"] > old["updated_at"], f"time stands still: {what}"
    claimed = new["status"] == "running" and old["status"] != "running"
    assert new["execution_seq"] - old["execution_seq"] == claimed, f"dispatches: {what}"
    assert new["attempt"] <= new["max_attempts"], f"over its budget: {what}"
    assert bool(new["ended_at"]) == (new["status"] in TERMINAL), f"ended: {what}"
    assert bool(new["lease_token"]) == (new["status"] == "running"), f"a fence without a holder: {what}"
    assert bool(new["pause_reason"]) == (new["status"] == "paused"), f"held for no reason: {what}"
    assert not new["pause_requested"] or new["status"] == "running", f"a request left over: {what}"
    fresh = act.kind == "resume" and not at_once and (old["status"] == "failed" or old["pause_reason"] != "injection")
    if fresh:
        assert (new["attempt"], new["executed_ns"]) == (1, 0), f"a spent budget: {what}"
    else:
        assert new["executed_ns"] >= old["executed_ns"], f"time undone: {what}"
        assert new["attempt"] >= old["attempt"], f"an attempt undone: {what}"
    assert [old[name] for name in _FIXED] == [new[name] for name in _FIXED], what


def _check_step(old: Row | None, new: Row, run: Row, act: Act) -> None:
    what = f"step {new['step_id']} by {act}"
    assert run["id"] in act.runs, f"another run's step: {what}"
    assert run["status"] not in TERMINAL or act.kind in ("patch", "resume", "redact"), f"an ended run's step: {what}"
    if old is None:
        assert run["status"] == "running", f"nobody holds it: {what}"
        return
    fixed = ("id", "run_id", "step_id", "sequence", "created_at")
    assert [old[name] for name in fixed] == [new[name] for name in fixed], what
    assert new["updated_at"] > old["updated_at"] or act.kind == "redact", f"time stands still: {what}"
    corrected = act.kind in ("patch", "inject", "resume", "redact")
    assert old["status"] != "completed" or corrected, f"a memoised output has changed: {what}"
    if act.kind in ("patch", "inject") and (old["patched_at"] or old["injected"]):
        assert old["original_output"] == new["original_output"], f"the first output is lost: {what}"


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
    """Who holds what until when, by the words of the protocol; and when each worker was heard of last."""

    held: set[str] = field(default_factory=set)
    segments: dict[str, Segment] = field(default_factory=dict)
    heard: dict[str, int] = field(default_factory=dict)

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
        self.heard.clear()
        for run_id, segment in self.segments.items():
            left = max(runs[run_id]["timeout_ms"] * MILLISECOND - runs[run_id]["executed_ns"], 1)
            segment.known, segment.restored, segment.run_until = False, True, now + left
            segment.lease_until = now + (RECONNECT if segment.worker == ours else LEASE)

    def passed(self, now: int) -> dict[str, bool]:
        """Take away the segments whose time is over; return the runs, and whether they ran too long."""
        over: dict[str, bool] = {}
        for run_id, segment in list(self.segments.items()):
            if min(segment.lease_until, segment.run_until) <= now:
                over[run_id] = segment.run_until <= segment.lease_until
                del self.segments[run_id]
        return over

    def alive(self, worker: str, now: int) -> bool:
        return worker in self.held or (worker in self.heard and now - self.heard[worker] <= LEASE)

    def of(self, worker: str) -> list[Segment]:
        return [segment for segment in self.segments.values() if segment.worker == worker]
