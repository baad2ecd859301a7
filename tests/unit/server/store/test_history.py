"""Reading the past on a database in memory: what is kept of it, and how little is read again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import pytest

from ironflow_lab.errors import NotFoundError
from ironflow_lab.server.engine.ports import AuditAsked
from ironflow_lab.server.store import history, queries

ENV = "env_default"


class Past:
    """A database in memory, the statements it has run, and runs with as many events as a test likes."""

    def __init__(self) -> None:
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        for _, script in queries.migrations():
            self.db.executescript(script)
        self.statements: list[str] = []
        self.db.set_trace_callback(self.statements.append)

    def run(self, run_id: str, *, recording: str = "all", status: str = "running") -> None:
        columns = "env, id, function_id, function_version, event_id, status, max_attempts, policy, timeout_ms"
        self.db.execute(
            f"INSERT INTO runs ({columns}, created_at, updated_at, eligible_at, recording)"
            " VALUES (?, ?, 'f', 1, 'e', ?, 1, '{}', 1, 100, 100, 100, ?)",
            (ENV, run_id, status, recording),
        )

    def tell(self, run_id: str, at: int, kind: str = "run.status_changed", payload: bytes = b"{}") -> None:
        parameters = {
            "env": ENV,
            "id": f"aud_{at}",
            "run_id": run_id,
            "function_id": "f",
            "step_id": "",
            "type": kind,
            "payload": payload,
            "at": at,
        }
        self.db.execute(queries.load("writes")["insert_audit"], parameters)


@pytest.fixture
def past() -> Iterator[Past]:
    past = Past()
    yield past
    past.db.close()


class TestPasts:
    def test_a_forgotten_run_is_read_anew(self, past: Past) -> None:
        pasts = history.Pasts()
        past.tell("r", 100)
        past.tell("other", 100)
        pasts.of(past.db, "r"), pasts.of(past.db, "other")
        past.db.execute("DELETE FROM audit WHERE run_id = 'r'")
        assert len(pasts.of(past.db, "r")) == 1
        pasts.forget(["r"])
        assert pasts.of(past.db, "r") == []
        past.db.execute("DELETE FROM audit")
        assert len(pasts.of(past.db, "other")) == 1, "others stay"

    def test_what_was_read_while_a_run_was_forgotten_is_not_kept(self, past: Past) -> None:
        pasts = history.Pasts()
        past.tell("r", 100)

        class Meanwhile:
            """A connection whose reader is overtaken by a deletion after its rows were read."""

            def execute(self, *arguments: Any) -> Any:
                rows = past.db.execute(*arguments).fetchall()
                past.db.execute("DELETE FROM audit")
                pasts.forget(["r"])
                return self.Rows(rows)

            class Rows(NamedTuple):
                rows: list[Any]

                def fetchall(self) -> list[Any]:
                    return self.rows

        assert len(pasts.of(cast(sqlite3.Connection, Meanwhile()), "r")) == 1
        assert pasts.of(past.db, "r") == []

    def test_only_what_is_new_is_read_again(self, past: Past) -> None:
        pasts = history.Pasts()
        past.tell("r", 100, payload=b'{"a":1}')
        assert [told[:3] for told in pasts.of(past.db, "r")] == [("run.status_changed", "", 100)]
        past.tell("r", 101)
        past.tell("other", 102)
        first = pasts.of(past.db, "r")
        assert [at for *_, at, _ in first] == [100, 101]
        assert "at > 100" in past.statements[-1]
        # Nothing new: the very same list, so that many readers share it.
        assert pasts.of(past.db, "r") is first

    def test_what_was_looked_at_longest_ago_is_forgotten_first(self, past: Past) -> None:
        pasts = history.Pasts(most=250)
        for name in "abc":
            past.tell(name, 100, payload=b'{"reason":"%s"}' % (b"x" * 87))
        for name in "abac":
            pasts.of(past.db, name)
        since = len(past.statements)
        for name in "acb":
            pasts.of(past.db, name)
        read = [statement.partition("at > ")[2].partition(" ")[0] for statement in past.statements[since:]]
        assert read == ["100", "100", "0"]

    def test_a_run_too_large_to_keep_is_read_each_time(self, past: Past) -> None:
        pasts = history.Pasts(most=10)
        past.tell("r", 100, payload=b'{"reason":"%s"}' % (b"x" * 87))
        assert pasts.of(past.db, "r") == pasts.of(past.db, "r")
        assert "at > 0" in past.statements[-1]


class TestAfter:
    def test_ended_is_said_only_with_the_last_event(self, past: Past) -> None:
        past.run("r", status="completed")
        for at in (100, 101, 102):
            past.tell("r", at)
        first = history.after(past.db, ENV, AuditAsked(run_id="r", limit=2))
        assert (len(first.events), first.ended, first.total_count) == (2, False, 3)
        last = history.after(past.db, ENV, AuditAsked(run_id="r", limit=2, cursor=first.next_cursor))
        assert (len(last.events), last.ended) == (1, True)
        again = history.after(past.db, ENV, AuditAsked(run_id="r", cursor=last.next_cursor))
        assert (again.events, again.next_cursor, again.ended) == ((), last.next_cursor, True)

    def test_the_status_is_read_before_the_events(self, past: Past) -> None:
        """The other way round, an end between the two reads would be told without its event."""
        past.run("r")
        history.after(past.db, ENV, AuditAsked(run_id="r"))
        assert ["FROM runs" in text for text in past.statements if text.startswith("SELECT")][:2] == [True, False]

    def test_a_run_nobody_has_told_of_has_a_cursor_too(self, past: Past) -> None:
        past.run("r", recording="")
        page = history.after(past.db, ENV, AuditAsked(run_id="r"))
        assert (page.events, page.ended) == ((), False)
        past.tell("r", 1)
        assert len(history.after(past.db, ENV, AuditAsked(run_id="r", cursor=page.next_cursor)).events) == 1


def test_a_page_of_large_payloads_ends_early_and_goes_on(past: Past) -> None:
    past.run("r", status="completed")
    for at in range(100, 105):
        past.tell("r", at, payload=b'{"output":"%s"}' % (b"x" * 3 * 1024 * 1024))
    asked, sizes = AuditAsked(run_id="r", limit=5), []
    while True:
        page = history.trail(past.db, ENV, asked)
        sizes.append(len(page.events))
        if not page.next_cursor:
            break
        asked = AuditAsked(run_id="r", limit=5, cursor=page.next_cursor)
    assert sizes == [3, 2]
    newest = history.search(past.db, ENV, AuditAsked(run_id="r"))
    assert ([one.created_at for one in newest.events], newest.next_cursor != "") == ([104, 103, 102], True)
    assert history.after(past.db, ENV, AuditAsked(run_id="r")).ended is False


def test_another_environments_run_is_unknown(past: Past) -> None:
    past.run("r")
    for read in (history.trail, history.after):
        with pytest.raises(NotFoundError):
            read(past.db, "env_other", AuditAsked(run_id="r"))
    with pytest.raises(NotFoundError):
        history.state_at(past.db, history.Pasts(), "env_other", "r", 200)


@pytest.mark.parametrize("at", [100, 101, 150])
def test_a_state_counts_events_up_to_its_instant(past: Past, at: int) -> None:
    past.run("r")
    past.tell("r", 100, "run.created")
    past.tell("r", 101, payload=b'{"newStatus":"running"}')
    past.tell("r", 151, payload=b'{"newStatus":"completed"}')
    found = history.state_at(past.db, history.Pasts(), ENV, "r", at)
    assert found.snapshot.status == ("waiting_for_capacity" if at == 100 else "running")
