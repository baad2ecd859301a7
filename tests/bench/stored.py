"""A database of any number of runs, made quickly: one run goes through the engine, and SQL copies its rows.

What is copied was written by the server itself, so the rows are as they are whatever the schema is.
"""

from __future__ import annotations

import itertools
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from ironflow_lab.clock import SECOND, SystemClock, SystemIds
from ironflow_lab.models.functions import ConcurrencyConfig, RegisterFunctionRequest, RetryConfig, Trigger
from ironflow_lab.models.instant import Later
from ironflow_lab.models.workers import Assignment, JobFault, JobUpdate, StepResult, Yield
from ironflow_lab.server.engine.commands import (
    Claim,
    Command,
    EmitEvent,
    RegisterFunction,
    RegisterWorker,
    Report,
)
from ironflow_lab.server.store import database
from ironflow_lab.server.store.writer import Ticket, Writer
from ironflow_lab.wire import codec

ENV = "env_default"
WORKER = "worker_bench"
FUNCTIONS = ("bench-0", "bench-1", "bench-2", "bench-3")
LANED = "bench-laned"
AWAITED = "bench.paid"
STEPS = 3
PATIENCE = 120.0
# So much time lies between a copy and the next.
APART = 1_000_000
_TABLES = ("events", "runs", "steps", "audit", "timers")
_COPIED = "WITH RECURSIVE copies (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM copies WHERE n < :last)"


def registration(function_id: str) -> RegisterFunctionRequest:
    """Return the definition of a function of the bench; the laned one has one lane for one run."""
    return RegisterFunctionRequest(
        id=function_id,
        triggers=(Trigger(event=f"bench.{function_id}"),),
        retry=RetryConfig(max_attempts=1, on_exhausted="fail"),
        recording=True,
        concurrency=ConcurrencyConfig(limit=1) if function_id == LANED else None,
    )


class Room:
    """The engine and its store in a folder, asked one command at a time from this thread; no sockets."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._tokens = itertools.count(1)
        self._answers: dict[int, Any] = {}
        self._changed = threading.Condition()
        self._writer = Writer(folder, clock=SystemClock(), ids=SystemIds(), lease_ns=90 * SECOND, deliver=self._deliver)
        self._writer.start()
        self.reader = database.open_reader(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self.reader.close()
        self._writer.close()

    def ask(self, command: Command) -> Any:
        """Return the answer to a command once it is committed; raises what it was refused with."""
        token = next(self._tokens)
        self._writer.put(Ticket(command, token))
        with self._changed:
            if not self._changed.wait_for(lambda: token in self._answers, PATIENCE):
                raise TimeoutError(f"waited {PATIENCE:.0f} s for {type(command).__name__}")
            answer = self._answers.pop(token)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _deliver(self, answers: list[tuple[Any, Any]], _: object) -> None:
        with self._changed:
            self._answers.update({token: answer for token, answer in answers if token is not None})
            self._changed.notify_all()

    def open(self) -> None:
        """Register the functions, and a worker for all of them."""
        names = (*FUNCTIONS, LANED)
        for name in names:
            self.ask(RegisterFunction(env=ENV, request=registration(name)))
        self.ask(RegisterWorker(env=ENV, worker_id=WORKER, function_ids=names, max_concurrent=100))

    def emit(self, name: str, data: Any = None) -> Any:
        """Emit an event."""
        return self.ask(EmitEvent(env=ENV, name=name, data=codec.encode(data or {"id": "none"})))

    def claim(self, most: int = 1) -> tuple[Assignment, ...]:
        """Claim runs."""
        found = self.ask(Claim(env=ENV, worker_id=WORKER, available=most, lease_ns=90 * SECOND))
        jobs: tuple[Assignment, ...] = found.jobs
        return jobs

    def report(self, job: Assignment, status: str, **fields: Any) -> None:
        """Report the end of a segment."""
        update = JobUpdate(status=status, execution_seq=job.execution_seq, lease_token=job.lease_token, **fields)
        self.ask(Report(env=ENV, worker_id=WORKER, job_id=job.job_id, update=update))

    def whole(self, function_id: str, *, good: bool = True) -> str:
        """Take a run of three steps from its event to its end, and return its id."""
        self.emit(f"bench.{function_id}", {"order": "A-17", "amount": 12.5})
        (job,) = self.claim()
        self.finish(job, good=good)
        return job.run_id

    def finish(self, job: Assignment, *, good: bool = True) -> None:
        """End a claimed run of three steps."""
        steps = tuple(
            StepResult(id=f"{job.run_id}:s{place}:0", name=f"s{place}", output={"place": place, "of": "the bench"})
            for place in range(STEPS)
        )
        if good:
            self.report(job, "completed", steps=steps, output={"ok": True})
        else:
            self.report(job, "failed", steps=steps, error=JobFault(message="it failed", retryable=False))

    def asleep(self) -> str:
        """Take a run into a sleep of a day, and return its id."""
        until = Later(time.time_ns() + 86_400 * SECOND)
        return self._yielding(lambda run_id: Yield(step_id=f"{run_id}:nap:0", type="sleep", until=until))

    def awaiting(self) -> str:
        """Take a run into a wait for an event with an id that nobody emits, and return its id."""
        wanted = {"event": AWAITED, "match": "data.id", "match_value": "key-0", "timeout": "7d"}
        return self._yielding(
            lambda run_id: Yield(step_id=f"{run_id}:paid:0", type="wait_for_event", event_filter=wanted)
        )

    def queued(self, function_id: str) -> str:
        """Let a run queue, and return its id."""
        (run_id,) = self.emit(f"bench.{function_id}").run_ids
        return str(run_id)

    def _yielding(self, wanted: Callable[[str], Yield]) -> str:
        self.emit(f"bench.{FUNCTIONS[0]}")
        (job,) = self.claim()
        self.report(job, "yielded", yield_=wanted(job.run_id))
        return job.run_id


def copy(folder: Path, run_id: str, count: int, *, first: int = 1, distinct: bool = False) -> None:
    """Store `count` copies of a run and all that belongs to it, older than it, each newer than the one before.

    `first` numbers them: copies of one run, or of several, must have different numbers. With `distinct`
    each waits for a value of its own.
    """
    db = sqlite3.connect(folder / database.FILE, isolation_level=None)
    try:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN IMMEDIATE")
        (event_id,) = db.execute("SELECT event_id FROM runs WHERE id = ?", (run_id,)).fetchone()
        for table in _TABLES:
            key = {"events": "id = :event", "runs": "id = :run"}.get(table, "run_id = :run")
            names, values = _columns(db, table)
            db.execute(
                f"{_COPIED} INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)}"
                f" FROM {table}, copies WHERE {key}",
                {
                    "first": first,
                    "last": first + count - 1,
                    "run": run_id,
                    "event": event_id,
                    "run_suffix": run_id.partition("_")[2],
                    "event_suffix": event_id.partition("_")[2],
                },
            )
        if distinct:
            db.execute("UPDATE timers SET value = value || run_id WHERE kind = 'event'")
        db.execute("COMMIT")
    finally:
        db.close()


def _columns(db: sqlite3.Connection, table: str) -> tuple[list[str], list[str]]:
    names, values = [], []
    for _, name, kind, *_ in db.execute(f"PRAGMA table_info({table})"):
        if name == "seq":
            continue
        if kind == "TEXT" and name == "id" and table == "audit":
            value = f"{name} || '_' || n"
        elif kind == "TEXT":
            value = _renamed(name)
        elif kind == "BLOB":
            value = f"CAST({_renamed(f'CAST({name} AS TEXT)')} AS BLOB)"
        elif name == "at" or name.endswith("_at"):
            value = f"CASE {name} WHEN 0 THEN 0 ELSE {name} - (:last + 1 - n) * {APART} END"
        else:
            value = name
        names.append(name)
        values.append(value)
    return names, values


def _renamed(text: str) -> str:
    """Return the SQL of a text in which the ids of the run and its event are those of the copy."""
    inner = f"replace({text}, :run_suffix, printf('%026d', n))"
    return f"replace({inner}, :event_suffix, printf('%026d', n))"
