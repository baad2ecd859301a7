"""The embedded server's engine on a database in memory, asked directly: no thread, no socket, no file."""

from __future__ import annotations

import threading
from typing import Any, TypeVar

from ironflow_lab.clock import SECOND, Clock, Ids
from ironflow_lab.models.functions import RegisterFunctionRequest
from ironflow_lab.models.runs import ListRunsRequest, Run, Step
from ironflow_lab.models.workers import Assignment, JobUpdate
from ironflow_lab.server.engine import commands
from ironflow_lab.server.engine.decide import decide
from ironflow_lab.server.engine.outcome import Write
from ironflow_lab.server.store import database, queries, runlist, runs
from ironflow_lab.server.store.loads import load
from ironflow_lab.wire import codec, payload

T = TypeVar("T")

ENV = "env_default"
WORKER = "testing"

_WRITES = queries.load_all("writes")
_LOADS = queries.load("loads")
# Nobody waits for a lease here: whoever holds one either reports or is said to be dead.
_LEASE = 90 * SECOND
_MOST_RUNS = 500


class Engine:
    """Decisions, statements and reads of the embedded server; may be asked from any thread, one at a time."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock, self._ids = clock, ids
        self._db = database.open_memory()
        self._lock = threading.RLock()

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._db.close()

    def ask(self, command: commands.Command) -> Any:
        """Return the answer to a command, carried out whole or not at all; raises its refusal."""
        with self._lock:
            now = self._clock.now()
            outcome = decide(load(self._db, command, now), command, now, self._ids)
            self._write(outcome.writes)
            return outcome.answer

    def register(self, request: RegisterFunctionRequest) -> None:
        """Register a function as it would have travelled."""
        self.ask(commands.RegisterFunction(env=ENV, request=codec.decode(codec.encode(request), type(request))))

    def join(self, function_ids: tuple[str, ...], instance: int) -> None:
        """Register the worker; another instance than before is a restart, and what the old one had is queued."""
        self.ask(
            commands.RegisterWorker(env=ENV, worker_id=WORKER, function_ids=function_ids, instance_id=str(instance))
        )

    def claim(self) -> Assignment | None:
        """Return the next segment as it would have travelled, None when no run is ready."""
        jobs = self.ask(commands.Claim(env=ENV, worker_id=WORKER, available=1, lease_ns=_LEASE)).jobs
        return codec.decode(codec.encode(jobs[0]), Assignment) if jobs else None

    def report(self, job: Assignment, update: JobUpdate) -> None:
        """Take a checkpoint or the end of a segment."""
        given = codec.decode(codec.encode(update), JobUpdate)
        self.ask(commands.Report(env=ENV, worker_id=WORKER, job_id=job.job_id, update=given))

    def emit(self, name: str, data: bytes) -> tuple[str, ...]:
        """Record an event and return the runs that it starts; raises `InvalidArgumentError`."""
        answer = self.ask(commands.EmitEvent(env=ENV, name=name, data=data))
        return tuple(answer.run_ids)

    def invoke(self, function_id: str, data: bytes) -> str:
        """Start one run of a function and return its id."""
        return str(self.ask(commands.InvokeFunction(env=ENV, function_id=function_id, data=data)).run_id)

    def due(self) -> int | None:
        """Return the instant at which something happens by itself next, None when nothing will."""
        with self._lock:
            (at,) = self._db.execute(_LOADS["next_due"]).fetchone()
        return None if at is None else int(at)

    def wake(self) -> None:
        """Let everything happen that is due now."""
        while (at := self.due()) is not None and at <= self._clock.now():
            self.ask(commands.WakeDue())

    def run(self, run_id: str) -> Run:
        """Return a run as clients read it."""
        with self._lock:
            return _travelled(runs.one(self._db, ENV, run_id))

    def steps(self, run_id: str) -> tuple[Step, ...]:
        """Return a run's steps by sequence, as clients read them."""
        with self._lock:
            return tuple(map(_travelled, runs.steps(self._db, ENV, run_id)))

    def runs(self) -> tuple[Run, ...]:
        """Return all runs in the order in which they were started."""
        found: list[Run] = []
        cursor = ""
        while True:
            with self._lock:
                page = runlist.page(self._db, ENV, ListRunsRequest(limit=_MOST_RUNS, cursor=cursor))
            found += map(_travelled, page.runs)
            cursor = page.next_cursor
            if not cursor:
                return tuple(reversed(found))

    def _write(self, writes: tuple[Write, ...]) -> None:
        if not writes:
            return
        self._db.execute("BEGIN")
        try:
            for write in writes:
                self._db.execute(_WRITES[write.query], write.parameters)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _travelled(record: T) -> T:
    return payload.settle(codec.decode(codec.encode(record), type(record)))
