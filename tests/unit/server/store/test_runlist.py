"""ListRuns on a database in memory: the same pages, by whatever branches, as a plain filter of all rows gives."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import ListRunsRequest, ListRunsResponse, RunStatus
from ironflow_lab.server.store import queries, runlist

ENV = "env_default"
STATUSES = ("waiting_for_capacity", "running", "waiting", "paused", "completed", "failed", "cancelled")
FUNCTIONS = ("order", "order-mail", "Refund")
EVENTS = ("order.placed", "refund.asked", "Mail.sent")


def inserted(db: sqlite3.Connection, number: int, *, function: str, event: str, status: str, at: int, env: str) -> str:
    run_id, event_id = f"run_{number:026d}", f"evt_{number:026d}"
    db.execute(
        "INSERT INTO events (env, id, name, data, version, source, idempotency_key, at)"
        " VALUES (?, ?, ?, '{}', 1, '', '', ?)",
        (env, event_id, event, at),
    )
    columns = "env, id, function_id, function_version, event_id, status, max_attempts, policy, timeout_ms"
    db.execute(
        f"INSERT INTO runs ({columns}, created_at, updated_at, eligible_at) VALUES (?,?,?,1,?,?,1,'{{}}',1,?,?,?)",
        (env, run_id, function, event_id, status, at, at, at),
    )
    return run_id


@pytest.fixture(scope="module")
def db() -> Iterator[sqlite3.Connection]:
    """Runs of every function, event and status, several at one instant, one created before its elder, one elsewhere."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for _, script in queries.migrations():
        connection.executescript(script)
    for number in range(63):
        inserted(
            connection,
            number,
            function=FUNCTIONS[number % 3],
            event=EVENTS[number // 3 % 3],
            status=STATUSES[number % 7],
            at=1_000 + number // 2 - (5 if number == 40 else 0),
            env=ENV,
        )
    inserted(connection, 99, function="order", event="order.placed", status="failed", at=1_010, env="other")
    yield connection
    connection.close()


def expected(db: sqlite3.Connection, request: ListRunsRequest) -> list[str]:
    """Return what the request means, by a look at every row."""
    rows = db.execute(
        "SELECT r.id, r.function_id, e.name, r.status, r.created_at, e.id"
        " FROM runs r JOIN events e ON e.id = r.event_id WHERE r.env = ? ORDER BY r.created_at DESC, r.seq DESC",
        (ENV,),
    )
    words = {str(word) for word in (request.status, *request.statuses) if word in STATUSES}
    text = request.search.strip().lower()
    return [
        run_id
        for run_id, function, event, status, at, event_id in rows
        if request.function_id in ("", function)
        and (not words or status in words)
        and (not request.since or at >= request.since)
        and (not request.until or at < request.until)
        and request.event_id in ("", event_id)
        and (text in function.lower() or text in event.lower() or run_id.startswith(text))
    ]


def walked(db: sqlite3.Connection, request: ListRunsRequest) -> tuple[list[str], set[int]]:
    found: list[str] = []
    totals, cursor = set(), ""
    while True:
        page = listed(db, request, cursor=cursor)
        assert len(page.runs) <= request.limit
        found += (run.id for run in page.runs)
        assert len(found) == len(set(found)), "a page gave a run again"
        totals.add(page.total_count)
        cursor = page.next_cursor
        if not cursor:
            return found, totals


def listed(db: sqlite3.Connection, request: ListRunsRequest, **changes: Any) -> ListRunsResponse:
    return runlist.page(db, ENV, replace(request, **changes))


requests = st.builds(
    ListRunsRequest,
    function_id=st.sampled_from(("", "", *FUNCTIONS, "none")),
    status=st.sampled_from([RunStatus(word) for word in ("", "", *STATUSES, "bogus")]),
    statuses=st.lists(st.sampled_from([RunStatus(word) for word in STATUSES]), max_size=2).map(tuple),
    since=st.sampled_from([Instant(at) for at in (0, 0, 1_000, 1_012, 1_040)]),
    until=st.sampled_from([Instant(at) for at in (0, 0, 1_020, 1_031, 5)]),
    search=st.sampled_from(("", "", "order", "ORDER.p", "mail", "refund", "run_", f"run_{7:026d}", "%", " ", "'\0")),
    event_id=st.sampled_from(("", "", "", f"evt_{9:026d}", "evt_none")),
    limit=st.sampled_from((1, 4, 50)),
)


@given(request=requests)
def test_every_filter_finds_what_it_means_page_by_page(db: sqlite3.Connection, request: ListRunsRequest) -> None:
    wanted = expected(db, request)
    found, totals = walked(db, request)
    assert found == wanted
    assert totals == {len(wanted)}


@given(request=requests, offset=st.integers(0, 70))
def test_an_offset_passes_over_as_many(db: sqlite3.Connection, request: ListRunsRequest, offset: int) -> None:
    page = listed(db, request, offset=offset)
    assert [run.id for run in page.runs] == expected(db, request)[offset:][: request.limit]


def test_a_cursor_wins_over_an_offset(db: sqlite3.Connection) -> None:
    first = listed(db, ListRunsRequest(limit=3))
    assert listed(db, ListRunsRequest(limit=3, cursor=first.next_cursor, offset=50)) == listed(
        db, ListRunsRequest(limit=3, cursor=first.next_cursor)
    )


def test_a_page_stays_what_it_was_while_newer_runs_arrive() -> None:
    fresh = sqlite3.connect(":memory:", isolation_level=None)
    for _, script in queries.migrations():
        fresh.executescript(script)
    for number in range(6):
        inserted(fresh, number, function="f", event="e", status="failed", at=number, env=ENV)
    first = listed(fresh, ListRunsRequest(limit=2))
    inserted(fresh, 6, function="f", event="e", status="failed", at=9, env=ENV)
    following = listed(fresh, ListRunsRequest(limit=2, cursor=first.next_cursor))
    assert [run.id[-1] for run in (*first.runs, *following.runs)] == ["5", "4", "3", "2"]
    fresh.close()


@pytest.mark.parametrize("cursor", ["?", "MQ==", "eC4x"])
def test_foreign_cursors_are_refused(db: sqlite3.Connection, cursor: str) -> None:
    with pytest.raises(InvalidArgumentError, match="start again without it"):
        listed(db, ListRunsRequest(cursor=cursor))


def test_the_counts_follow_every_change_of_a_run() -> None:
    fresh = sqlite3.connect(":memory:", isolation_level=None)
    for _, script in queries.migrations():
        fresh.executescript(script)

    def counts() -> dict[str, int]:
        return dict(fresh.execute("SELECT status, n FROM run_counts WHERE n > 0"))

    for number in range(3):
        inserted(fresh, number, function="f", event="e", status="waiting", at=number, env=ENV)
    assert counts() == {"waiting": 3}
    fresh.execute("UPDATE runs SET status = 'failed' WHERE seq < 3")
    fresh.execute("UPDATE runs SET status = 'failed', updated_at = 9")
    assert counts() == {"failed": 3}
    fresh.execute("DELETE FROM runs WHERE seq = 1")
    assert counts() == {"failed": 2}
    fresh.close()


@pytest.mark.parametrize(
    ("names", "index"),
    [
        (("newest",), "runs_by_time"),
        (("newest_of_function",), "runs_by_function"),
        (("columns", "of_event"), "runs_by_event"),
        (("newest_of_event",), "events_by_name"),
        (("event_names",), "events_by_name"),
        (("newest_of_id",), "sqlite_autoindex_runs_1"),
        (("columns", "these"), "INTEGER PRIMARY KEY"),
    ],
)
def test_no_list_looks_at_every_run(db: sqlite3.Connection, names: tuple[str, ...], index: str) -> None:
    sql = " ".join(queries.load("runs")[name] for name in names)
    plan = [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + sql, dict.fromkeys(re.findall(r":(\w+)", sql)))]
    assert any(index in step for step in plan), plan
    assert not any(re.fullmatch(r"SCAN (runs|events)", step) for step in plan), plan
