"""GetPausedState on a database in memory: what is finished, in order, and what comes next."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from ironflow_lab.errors import FailedPreconditionError, NotFoundError
from ironflow_lab.server.store import paused, queries
from tests.unit.server.store.test_runlist import ENV, inserted

RUN = f"run_{1:026d}"


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for _, script in queries.migrations():
        connection.executescript(script)
    inserted(connection, 1, function="f", event="e", status="paused", at=5, env=ENV)
    connection.execute("UPDATE runs SET pause_reason = 'injection'")
    yield connection
    connection.close()


def add(db: sqlite3.Connection, sequence: int, name: str, status: str, **fields: Any) -> None:
    row = {
        "run_id": RUN,
        "step_id": f"{RUN}:{name}:0",
        "id": f"step_{sequence}",
        "name": name,
        "type": "invoke",
        "sequence": sequence,
        "status": status,
        "attempt": 1,
        "started_at": 1,
        "ended_at": 2,
        "duration_ms": 0,
        "sleep_until": 0,
        "compensation_for": "",
        "created_at": 1,
        "updated_at": 3,
        **fields,
    }
    names = ", ".join(row)
    db.execute(f"INSERT INTO steps ({names}) VALUES ({', '.join(':' + name for name in row)})", row)


def test_finished_steps_by_sequence_with_their_payloads(db: sqlite3.Connection) -> None:
    add(db, 2, "late", "timed_out", error=b'{"message":"too late"}', type="wait_for_event")
    add(db, 0, "ok", "completed", output=b'{"n":1}', injected=1)
    add(db, 1, "bad", "failed", error=b'{"message":"no"}', ended_at=0)
    found = paused.state(db, ENV, RUN)
    assert [(step.id, step.name, step.status, step.step_type) for step in found.steps] == [
        (f"{RUN}:ok:0", "ok", "completed", "invoke"),
        (f"{RUN}:bad:0", "bad", "failed", "invoke"),
        (f"{RUN}:late:0", "late", "timed_out", "wait_for_event"),
    ]
    ok, bad, _ = found.steps
    assert (ok.output, ok.error, ok.injected, ok.completed_at) == (b'{"n":1}', b"", True, 2)
    assert (bad.output, bad.error, bad.injected, bad.completed_at) == (b"", b'{"message":"no"}', False, 3)
    assert (found.next_step_hint, found.pause_reason) == ("", "injection")


@pytest.mark.parametrize(
    ("rows", "hint"),
    [
        ([("completed", "a")], ""),
        ([("completed", "a"), ("pending", "b"), ("pending", "c")], "b"),
        ([("pending", "a"), ("sleeping", "b")], "b"),
        ([("running", "a"), ("waiting", "b")], "b"),
        ([("failed", "a"), ("running", "b")], "b"),
    ],
)
def test_what_comes_next_is_the_wait_else_the_first_unfinished(
    db: sqlite3.Connection, rows: list[tuple[str, str]], hint: str
) -> None:
    for sequence, (status, name) in enumerate(rows):
        add(db, sequence, name, status)
    assert paused.state(db, ENV, RUN).next_step_hint == hint


def test_only_a_paused_run_has_such_a_state(db: sqlite3.Connection) -> None:
    db.execute("UPDATE runs SET status = 'running'")
    with pytest.raises(FailedPreconditionError, match="is running, and only a paused run"):
        paused.state(db, ENV, RUN)
    for env, run_id in ((ENV, "run_none"), ("other", RUN)):
        with pytest.raises(NotFoundError, match=run_id):
            paused.state(db, env, run_id)
