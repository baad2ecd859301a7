"""The writer: one thread, one connection, whole batches in one transaction (design D5).

Per command: load, decide, write under a savepoint. After the commit, and only then, answers and
wakes leave. Claims that found nothing stay parked here; when a command of a batch makes a run
ready, they are served inside the same transaction.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ironflow_lab.clock import MILLISECOND, SECOND, Clock, Ids
from ironflow_lab.errors import ApiError, FailedPreconditionError, InternalError, UnavailableError
from ironflow_lab.models.workers import JobBatch
from ironflow_lab.server.engine.commands import Command, WakeDue
from ironflow_lab.server.engine.decide import decide
from ironflow_lab.server.engine.outcome import Runnable, Wake, Write
from ironflow_lab.server.store import database, queries
from ironflow_lab.server.store.leases import Leases
from ironflow_lab.server.store.loads import load

log = logging.getLogger("ironflow_lab.server")

_WRITES = queries.load("writes")
_LOADS = queries.load("loads")
_LARGEST_BATCH = 256
_EMPTY = JobBatch()
# How long a worker of ours has, after the server's restart, to open its lease connection again.
RECONNECT_NS = 5 * SECOND


class Ticket:
    """One command on its way; `token` comes back with its answer, and `parks` lets a claim wait."""

    __slots__ = ("command", "parks", "token")

    def __init__(self, command: Command, token: Any, *, parks: bool = False) -> None:
        self.command = command
        self.token = token
        self.parks = parks


class Withdrawal:
    """Stop a parked claim's wait."""

    __slots__ = ("token",)

    def __init__(self, token: Any) -> None:
        self.token = token


Deliver = Callable[[list[tuple[Any, Any]], list[Wake]], None]


class _Batch:
    def __init__(self) -> None:
        self.answers: list[tuple[Any, Any]] = []
        self.wakes: list[Wake] = []
        self.parked: list[Ticket] = []
        self.served: list[Any] = []
        self.open = False


class Writer:
    """The engine's shell. `deliver(answers, wakes)` is called on the writer's thread after each commit."""

    def __init__(self, folder: Path, *, clock: Clock, ids: Ids, lease_ns: int, deliver: Deliver) -> None:
        self._db = database.open_writer(folder)
        self._clock, self._ids, self._deliver = clock, ids, deliver
        self._lease_ns = lease_ns
        self._leases = Leases(lease_ns)
        self._inbox: queue.SimpleQueue[Ticket | Withdrawal | None] = queue.SimpleQueue()
        self._parked: dict[Any, Ticket] = {}
        self._next_due: int | None = None
        self._thread = threading.Thread(target=self._run, name="ironflow-writer", daemon=True)

    def start(self) -> None:
        """Take up the leases the rows tell of, then begin to work."""
        self._restore()
        self._thread.start()

    def put(self, item: Ticket | Withdrawal) -> None:
        """Hand in a command or a withdrawal, from any thread."""
        self._inbox.put(item)

    def close(self) -> None:
        """Finish what has been handed in, then close the database."""
        self._inbox.put(None)
        self._thread.join()
        self._db.close()

    def _restore(self) -> None:
        now = self._clock.now()
        for run_id, sequence, worker_id, timeout_ms, executed, _, instance in self._db.execute(_LOADS["all_running"]):
            lease = RECONNECT_NS if instance else self._lease_ns
            left = max(timeout_ms * MILLISECOND - executed, 1)
            self._leases.restore(run_id, sequence, worker_id, now + lease, now + left)
        self._look_at_timers()

    def _run(self) -> None:
        while True:
            items = self._next_items()
            if None in items:
                self._work([item for item in items if item is not None])
                return
            self._work([item for item in items if item is not None])

    def _next_items(self) -> list[Ticket | Withdrawal | None]:
        try:
            items = [self._inbox.get(timeout=self._patience())]
        except queue.Empty:
            return []
        # What has queued meanwhile shares the commit; nothing waits for more to come.
        while len(items) < _LARGEST_BATCH:
            try:
                items.append(self._inbox.get_nowait())
            except queue.Empty:
                break
        return items

    def _patience(self) -> float | None:
        deadlines = [at for at in (self._next_due, self._leases.next_deadline()) if at is not None]
        if not deadlines:
            return None
        return max((min(deadlines) - self._clock.now()) / SECOND, 0.0)

    def _work(self, items: list[Ticket | Withdrawal]) -> None:
        batch = _Batch()
        for command in self._timers():
            self._one(batch, Ticket(command, None))
        for item in items:
            if isinstance(item, Withdrawal):
                self._withdraw(batch, item)
            else:
                self._one(batch, item)
        if any(isinstance(wake, Runnable) for wake in batch.wakes):
            self._serve_parked(batch)
        if batch.open and not self._commit(batch):
            return
        self._settle(batch)

    def _timers(self) -> list[Command]:
        now = self._clock.now()
        due: list[Command] = list(self._leases.lapsed(now))
        if self._next_due is not None and self._next_due <= now:
            due.append(WakeDue())
        return due

    def _one(self, batch: _Batch, ticket: Ticket) -> None:
        try:
            answer, wakes = self._decide(batch, ticket.command)
        except ApiError as error:
            batch.answers.append((ticket.token, error))
            return
        if ticket.parks and answer == _EMPTY:
            batch.parked.append(ticket)
            return
        batch.answers.append((ticket.token, answer))
        batch.wakes += wakes

    def _decide(self, batch: _Batch, command: Command) -> tuple[Any, tuple[Wake, ...]]:
        now = self._clock.now()
        try:
            outcome = decide(load(self._db, command, now), command, now, self._ids)
            self._write(batch, outcome.writes)
        except ApiError:
            raise
        except sqlite3.Error as error:
            raise _storage_error(error) from error
        except Exception as error:
            # The thread's edge: a fault in one command must not end the server for all others.
            log.exception("a command failed: %r", type(command).__name__)
            raise InternalError(f"the server could not decide {type(command).__name__}; see its log") from error
        return outcome.answer, outcome.wakes

    def _write(self, batch: _Batch, writes: tuple[Write, ...]) -> None:
        if not writes:
            return
        if not batch.open:
            self._db.execute("BEGIN IMMEDIATE")
            batch.open = True
        self._db.execute("SAVEPOINT command")
        try:
            for write in writes:
                self._db.execute(_WRITES[write.query], write.parameters)
        except BaseException:
            self._db.execute("ROLLBACK TO command")
            self._db.execute("RELEASE command")
            raise
        self._db.execute("RELEASE command")

    def _serve_parked(self, batch: _Batch) -> None:
        for ticket in (*self._parked.values(), *batch.parked):
            if ticket.token in batch.served:
                continue
            try:
                answer, wakes = self._decide(batch, ticket.command)
            except ApiError as error:
                answer, wakes = error, ()
            if answer != _EMPTY:
                batch.answers.append((ticket.token, answer))
                batch.served.append(ticket.token)
                batch.wakes += wakes

    def _withdraw(self, batch: _Batch, item: Withdrawal) -> None:
        waiting = item.token in self._parked or any(ticket.token is item.token for ticket in batch.parked)
        if waiting:
            batch.answers.append((item.token, _EMPTY))
            batch.served.append(item.token)

    def _commit(self, batch: _Batch) -> bool:
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            log.error("a commit failed: %s", error)
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            refusal = _storage_error(error)
            # Nothing of this batch is on disk: whoever asked is told so, and claims stay parked.
            answers = [(token, refusal) for token, _ in batch.answers if token not in self._parked]
            self._deliver(answers + [(ticket.token, refusal) for ticket in batch.parked], [])
            return False
        return True

    def _settle(self, batch: _Batch) -> None:
        now = self._clock.now()
        for wake in batch.wakes:
            self._leases.apply(wake, now)
        for ticket in batch.parked:
            self._parked[ticket.token] = ticket
        for token in batch.served:
            self._parked.pop(token, None)
        if batch.open:
            self._look_at_timers()
        self._deliver([answer for answer in batch.answers if answer[0] is not None], batch.wakes)

    def _look_at_timers(self) -> None:
        (self._next_due,) = self._db.execute(_LOADS["next_due"]).fetchone()


def _storage_error(error: sqlite3.Error) -> ApiError:
    if "full" in str(error):
        return FailedPreconditionError(f"the disk is full ({error}); free space, then try again")
    if isinstance(error, sqlite3.OperationalError):
        return UnavailableError(f"the change could not be stored ({error}); try again", retryable=True)
    return InternalError(f"the change could not be stored ({error})")
