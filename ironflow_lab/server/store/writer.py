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

from msgspec.structs import replace

from ironflow_lab.clock import MILLISECOND, SECOND, Clock, Ids
from ironflow_lab.errors import ApiError, FailedPreconditionError, InternalError, UnavailableError
from ironflow_lab.models.workers import JobBatch
from ironflow_lab.server.engine.commands import (
    Ack,
    Claim,
    Command,
    Explain,
    Heartbeat,
    Hold,
    RegisterWorker,
    Release,
    Report,
    Restart,
    WakeDue,
)
from ironflow_lab.server.engine.decide import decide
from ironflow_lab.server.engine.outcome import Held, Runnable, Wake, Write
from ironflow_lab.server.engine.reasons import Presence
from ironflow_lab.server.store import database, queries
from ironflow_lab.server.store.leases import Leases
from ironflow_lab.server.store.loads import load

log = logging.getLogger("ironflow_lab.server")

_WRITES = queries.load_all("writes")
_LOADS = queries.load("loads")
_LARGEST_BATCH = 256
_EMPTY = JobBatch()
# What a worker that lives sends.
_SIGNS = (Ack, Claim, Heartbeat, Hold, RegisterWorker, Report)
# How long a worker of ours has, after the server's restart, to open its lease connection again.
RECONNECT_NS = 5 * SECOND
# How long timers rest after one could not be stored: a full disk does not get better by asking.
_REST_NS = SECOND
# The wall clock may jump and the machine may sleep: deadlines are looked at this often at least.
_LONGEST_NAP = 10.0


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
    """What one transaction decides: `lost` is why nothing of it will be on disk."""

    def __init__(self) -> None:
        self.answers: list[tuple[Any, Any]] = []
        self.wakes: list[Wake] = []
        self.parked: dict[Any, Ticket] = {}
        self.served: dict[Any, Any] = {}
        self.withdrawn: set[Any] = set()
        self.open = False
        self.lost: ApiError | None = None


class Writer:
    """The engine's shell. `deliver(answers, wakes)` is called on the writer's thread after each commit."""

    def __init__(self, folder: Path, *, clock: Clock, ids: Ids, lease_ns: int, deliver: Deliver) -> None:
        self._db = database.open_writer(folder)
        self._clock, self._ids, self._deliver = clock, ids, deliver
        self._lease_ns = lease_ns
        self._leases = Leases(lease_ns)
        self._inbox: queue.SimpleQueue[Ticket | Withdrawal | None] = queue.SimpleQueue()
        self._parked: dict[Any, Ticket] = {}
        # When each worker was heard of last, by anything it sends.
        self._seen: dict[str, int] = {}
        self._next_due: int | None = None
        self._resting_until = 0
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
        self._work([Ticket(Restart(), None)])
        now = self._clock.now()
        for run_id, sequence, worker_id, timeout_ms, executed, instance in self._db.execute(_LOADS["all_running"]):
            lease = RECONNECT_NS if instance else self._lease_ns
            left = max(timeout_ms * MILLISECOND - executed, 1)
            self._leases.restore(run_id, sequence, worker_id, now + lease, now + left)
        self._look_at_timers()

    def _run(self) -> None:
        going = True
        while going:
            items = self._next_items()
            going = None not in items
            self._work([item for item in items if item is not None])
        self._turn_away()

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
        left = max(min(deadlines), self._resting_until) - self._clock.now()
        return min(max(left / SECOND, 0.0), _LONGEST_NAP)

    def _work(self, items: list[Ticket | Withdrawal]) -> None:
        batch = _Batch()
        try:
            self._decide_all(batch, items)
            if self._commit(batch):
                self._settle(batch)
            else:
                self._refuse(batch)
        except Exception:
            # The thread's last edge: whoever waits must hear, and the next batch finds no open transaction.
            log.exception("the writer failed on a batch of %s", len(items))
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            batch.answers += ((item.token, None) for item in items if isinstance(item, Ticket))
            batch.withdrawn |= {item.token for item in items if isinstance(item, Withdrawal)}
            batch.lost = InternalError("the server's writer failed; its log says more")
            self._refuse(batch)

    def _decide_all(self, batch: _Batch, items: list[Ticket | Withdrawal]) -> None:
        for command in self._timers():
            self._one(batch, Ticket(command, None))
        for item in items:
            if isinstance(item, Withdrawal):
                self._withdraw(batch, item.token)
            else:
                self._one(batch, item)
        if self._parked or batch.parked:
            self._serve_parked(batch)

    def _timers(self) -> list[Command]:
        now = self._clock.now()
        if now < self._resting_until:
            return []
        due: list[Command] = list(self._leases.lapsed(now))
        if self._next_due is not None and self._next_due <= now:
            due.append(WakeDue())
        return due

    def _one(self, batch: _Batch, ticket: Ticket) -> None:
        try:
            answer, wakes = self._decide(batch, ticket.command)
        except ApiError as error:
            batch.answers.append((ticket.token, error))
            if ticket.token is None:
                self._rest()
            return
        if ticket.parks and answer == _EMPTY:
            batch.parked[ticket.token] = ticket
            return
        batch.answers.append((ticket.token, answer))
        batch.wakes += wakes

    def _decide(self, batch: _Batch, command: Command) -> tuple[Any, tuple[Wake, ...]]:
        if batch.lost is not None:
            raise batch.lost
        now = self._clock.now()
        try:
            state = load(self._db, command, now)
            if isinstance(command, Explain):
                state = replace(state, presence=self._presence(command.run_id, now))
            outcome = decide(state, command, now, self._ids)
            if isinstance(command, _SIGNS):
                self._seen[command.worker_id] = now
            elif isinstance(command, Release) and outcome.wakes:
                self._seen.pop(command.worker_id, None)
            self._write(batch, outcome.writes)
        except ApiError:
            raise
        except sqlite3.Error as error:
            raise _storage_error(error) from error
        except Exception as error:
            # A fault in one command must not end the server for all others.
            log.exception("a command failed: %r", type(command).__name__)
            raise InternalError(f"the server could not decide {type(command).__name__}; see its log") from error
        return outcome.answer, outcome.wakes

    def _presence(self, run_id: str, now: int) -> Presence:
        polling = (ticket.command.worker_id for ticket in self._parked.values() if isinstance(ticket.command, Claim))
        heard = {worker_id for worker_id, at in self._seen.items() if now - at <= self._lease_ns}
        waiting = frozenset(polling)
        alive = waiting | self._leases.holders | heard
        return Presence(alive=alive, polling=waiting, lease=self._leases.of(run_id))

    def _write(self, batch: _Batch, writes: tuple[Write, ...]) -> None:
        if not writes:
            return
        # What stands alone needs no savepoint: one statement is undone by SQLite itself, and the first
        # command of a batch with its whole transaction.
        alone, first = len(writes) == 1, not batch.open
        if first:
            self._db.execute("BEGIN IMMEDIATE")
            batch.open = True
        guarded = not (alone or first)
        if guarded:
            self._db.execute("SAVEPOINT command")
        try:
            for write in writes:
                self._db.execute(_WRITES[write.query], write.parameters)
            if guarded:
                self._db.execute("RELEASE command")
        except Exception as error:
            self._undo(batch, error, first=first, guarded=guarded)
            raise

    def _undo(self, batch: _Batch, cause: Exception, *, first: bool, guarded: bool) -> None:
        if first:
            batch.open = False
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            return
        try:
            if guarded:
                self._db.execute("ROLLBACK TO command")
                self._db.execute("RELEASE command")
        except sqlite3.Error:
            batch.lost = _storage_error(cause)
        if not self._db.in_transaction:
            # A full disk makes SQLite roll the whole transaction back, the commands before this one included.
            batch.lost = _storage_error(cause)

    def _serve_parked(self, batch: _Batch) -> None:
        gone = {wake.worker_id for wake in batch.wakes if isinstance(wake, Held) and not wake.held}
        runnable = any(isinstance(wake, Runnable) for wake in batch.wakes)
        if not runnable and not gone:
            return
        for token, ticket in (self._parked | batch.parked).items():
            if isinstance(ticket.command, Claim) and ticket.command.worker_id in gone:
                # It was asked by a process that has been replaced or has left.
                batch.withdrawn.add(token)
            if token in batch.withdrawn:
                continue
            try:
                answer, wakes = self._decide(batch, ticket.command)
            except ApiError as error:
                answer, wakes = error, ()
            if answer != _EMPTY:
                batch.served[token] = answer
                batch.wakes += wakes

    def _withdraw(self, batch: _Batch, token: Any) -> None:
        if token in self._parked or token in batch.parked:
            batch.withdrawn.add(token)

    def _commit(self, batch: _Batch) -> bool:
        if batch.open and batch.lost is None:
            try:
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                batch.lost = _storage_error(error)
        if batch.lost is None:
            return True
        log.error("nothing of a transaction was stored: %s", batch.lost)
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        return False

    def _refuse(self, batch: _Batch) -> None:
        """Tell whoever asked that nothing is on disk; claims that were parked before stay parked."""
        self._rest()
        answers: dict[Any, Any] = dict.fromkeys((*(token for token, _ in batch.answers), *batch.parked), batch.lost)
        answers |= dict.fromkeys(batch.withdrawn, _EMPTY)
        for token in batch.withdrawn:
            self._parked.pop(token, None)
        self._tell(list(answers.items()), [])

    def _settle(self, batch: _Batch) -> None:
        now = self._clock.now()
        for wake in batch.wakes:
            self._leases.apply(wake, now)
        self._parked |= batch.parked
        answers = [*batch.answers, *batch.served.items(), *((token, _EMPTY) for token in batch.withdrawn)]
        for token in (*batch.served, *batch.withdrawn):
            self._parked.pop(token, None)
        self._tell(answers, batch.wakes)
        if batch.open:
            self._look_at_timers()

    def _tell(self, answers: list[tuple[Any, Any]], wakes: list[Wake]) -> None:
        given = [answer for answer in answers if answer[0] is not None]
        if given or wakes:
            self._deliver(given, wakes)

    def _turn_away(self) -> None:
        answers: list[tuple[Any, Any]] = [(token, _EMPTY) for token in self._parked]
        while not self._inbox.empty():
            item = self._inbox.get_nowait()
            if isinstance(item, Ticket):
                answers.append((item.token, UnavailableError("the server is closing; try again once it is back")))
        self._tell(answers, [])

    def _rest(self) -> None:
        self._resting_until = self._clock.now() + _REST_NS

    def _look_at_timers(self) -> None:
        (self._next_due,) = self._db.execute(_LOADS["next_due"]).fetchone()


def _storage_error(error: Exception) -> ApiError:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return FailedPreconditionError(f"the disk is full ({error}); free space, then try again", status=507)
    if isinstance(error, sqlite3.OperationalError):
        return UnavailableError(f"the change could not be stored ({error}); try again", retryable=True)
    return InternalError(f"the change could not be stored ({error})")
