"""The real writer on a real file, asked from the test's thread, with a clock that stands still."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from ironflow_lab.clock import SECOND
from ironflow_lab.models.functions import RegisterFunctionRequest
from ironflow_lab.models.workers import Assignment, Fence, JobBatch, JobUpdate
from ironflow_lab.server.engine.commands import (
    Ack,
    Claim,
    Command,
    EmitEvent,
    RegisterFunction,
    RegisterWorker,
    Report,
)
from ironflow_lab.server.engine.outcome import Wake
from ironflow_lab.server.store.database import FILE
from ironflow_lab.server.store.writer import Ticket, Withdrawal, Writer
from ironflow_lab.testing import CountingIds, FakeClock
from ironflow_lab.wire import codec

ENV = "env_default"
LEASE = 90 * SECOND
# Far longer than anything here takes: only a test that would hang gets that far.
PATIENCE = 30


class Room:
    """A writer and everything it has delivered; use it as a context manager."""

    def __init__(self, folder: Path, *, clock: FakeClock | None = None) -> None:
        self.folder = folder
        self.clock = clock or FakeClock()
        self.ids = CountingIds()
        self.statements: list[str] = []
        self.deliveries: list[tuple[list[tuple[Any, Any]], list[Wake]]] = []
        self._answers: dict[int, Any] = {}
        self._tokens = itertools.count(1)
        self._changed = threading.Condition()
        self._gate = threading.Event()
        self._gate.set()
        # Called on the writer's thread before an answer can be seen.
        self.on_delivery: Callable[[], object] = str
        # Called there before each statement.
        self.on_statement: Callable[[str], object] = str
        self._open()

    def __enter__(self) -> Room:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> None:
        self.writer = Writer(self.folder, clock=self.clock, ids=self.ids, lease_ns=LEASE, deliver=self._deliver)
        # Set before the writer's thread begins: later it would wait for a lock that waits for it.
        self.writer._db.set_trace_callback(self._traced)
        self.writer.start()

    def _traced(self, statement: str) -> None:
        self.statements.append(statement)
        self.on_statement(statement)

    def _deliver(self, answers: list[tuple[Any, Any]], wakes: list[Wake]) -> None:
        self.on_delivery()
        with self._changed:
            self.deliveries.append((answers, wakes))
            for token, answer in answers:
                assert token not in self._answers, f"answered twice: {answer}"
                self._answers[token] = answer
            self._changed.notify_all()
        self._gate.wait(PATIENCE)

    # ---- asking

    def send(self, command: Command, *, parks: bool = False) -> int:
        """Hand a command in; return its token."""
        token = next(self._tokens)
        self.writer.put(Ticket(command, token, parks=parks))
        return token

    def withdraw(self, token: int) -> None:
        self.writer.put(Withdrawal(token))

    def answer(self, token: int) -> Any:
        """Return the answer, an error included, once it is there."""
        with self._changed:
            assert self._changed.wait_for(lambda: token in self._answers, PATIENCE), "the writer does not answer"
            return self._answers[token]

    def answered(self, token: int) -> bool:
        with self._changed:
            return token in self._answers

    def ask(self, command: Command) -> Any:
        """Return the answer; raises the refusal."""
        answer = self.answer(self.send(command))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def settle(self) -> None:
        """Let everything that is due happen."""
        before = None
        while before != (before := self.rows("SELECT id, status, updated_at FROM runs")):
            # A poll of nobody decides nothing, and brings the timers along.
            self.answer(self.send(Claim(env=ENV, worker_id="nobody", available=1, lease_ns=LEASE)))

    def pass_time(self, seconds: float) -> None:
        """Move the clock forward, and let everything that is due happen."""
        self.clock.advance(seconds=seconds)
        self.settle()

    @contextmanager
    def one_batch(self) -> Iterator[None]:
        """Make everything handed in inside the block one batch: the writer is busy until its end."""
        self._gate.clear()
        # The writer waits at the gate with this one's answer.
        self.answer(self.send(Claim(env=ENV, worker_id="nobody", available=1, lease_ns=LEASE)))
        try:
            yield
        finally:
            self._gate.set()

    # ---- the usual commands

    def function(self, function_id: str = "f", *events: str, triggered: bool = True, **fields: Any) -> None:
        triggers = [{"event": event} for event in events or (("go",) if triggered else ())]
        given = {"id": function_id, "triggers": triggers, **fields}
        self.ask(RegisterFunction(env=ENV, request=codec.decode(msgspec.json.encode(given), RegisterFunctionRequest)))

    def worker(self, worker_id: str = "w", *functions: str, instance: str = "") -> None:
        self.ask(
            RegisterWorker(
                env=ENV, worker_id=worker_id, function_ids=functions or ("f",), instance_id=instance, max_concurrent=10
            )
        )

    def emit(self, name: str = "go", **fields: Any) -> str:
        """Emit and return the id of the one run that starts."""
        (run_id,) = self.ask(emit(name, **fields)).run_ids
        return str(run_id)

    def poll(self, worker_id: str = "w", available: int = 10) -> tuple[Assignment, ...]:
        batch: JobBatch = self.ask(claim(worker_id, available))
        return batch.jobs

    def ack(self, job: Assignment, worker_id: str = "w") -> None:
        self.ask(acknowledge(job, worker_id))

    def report(self, job: Assignment, worker_id: str = "w", **fields: Any) -> None:
        self.ask(report(job, worker_id, **fields))

    # ---- looking

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return committed rows, read on another connection."""
        with connected(self.folder) as db:
            return db.execute(sql, parameters).fetchall()

    def status(self, run_id: str) -> str:
        ((status,),) = self.rows("SELECT status FROM runs WHERE id = ?", run_id)
        return str(status)

    @property
    def commits(self) -> int:
        return self.statements.count("COMMIT")

    # ---- ending

    def close(self) -> None:
        self.writer.close()

    def restart(self, *, away: float = 0) -> None:
        """End cleanly and start again on the same folder, `away` seconds later."""
        self.close()
        self.clock.advance(seconds=away)
        self._open()

    def crash(self, elsewhere: Path, *, away: float = 0) -> None:
        """Start again on what the disk holds at this moment, as after a kill."""
        shutil.copytree(self.folder, elsewhere)
        self.close()
        self.folder = elsewhere
        self.clock.advance(seconds=away)
        self._open()


@contextmanager
def connected(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open the database beside the writer."""
    db = sqlite3.connect(folder / FILE, isolation_level=None)
    try:
        yield db
    finally:
        db.close()


def emit(name: str = "go", *, key: str = "", data: bytes = b"{}") -> EmitEvent:
    return EmitEvent(env=ENV, name=name, data=data, idempotency_key=key)


def claim(worker_id: str = "w", available: int = 10) -> Claim:
    return Claim(env=ENV, worker_id=worker_id, available=available, lease_ns=LEASE)


def fence_of(job: Assignment) -> Fence:
    return Fence(run_id=job.run_id, execution_seq=job.execution_seq, lease_token=job.lease_token)


def acknowledge(job: Assignment, worker_id: str = "w") -> Ack:
    return Ack(env=ENV, worker_id=worker_id, fence=fence_of(job))


def report(job: Assignment, worker_id: str = "w", **fields: Any) -> Report:
    """Return a report under the job's fence; `fields` are written as they travel."""
    given = {"status": "completed", "execution_seq": job.execution_seq, "lease_token": job.lease_token, **fields}
    spelled = {name.removesuffix("_"): value for name, value in given.items()}
    update = codec.decode(msgspec.json.encode(spelled), JobUpdate)
    return Report(env=ENV, worker_id=worker_id, job_id=job.job_id, update=update)


def step(job: Assignment, name: str = "a", **fields: Any) -> dict[str, Any]:
    return {"id": f"{job.run_id}:{name}:0", "name": name, "status": "completed", "output": 1, **fields}
