"""Named statements: each one compiles against the newest schema, and each is used."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from ironflow_lab.server import store
from ironflow_lab.server.store import queries

FILES = ("audit", "erase", "events", "loads", "reads", "runs", "writes", "writes_erase", "writes_events")
# Conditions of the loads, by the columns they are put behind.
CONDITIONS = {
    "runs": ("of_run", "queue", "queue_of_lanes", "in_hand", "running"),
    "timers": ("timer_of_run", "due", "awaiting"),
    "steps": ("step", "step_by_row", "known_steps"),
}
SOURCES = "".join(path.read_text() for path in Path(store.__file__).parent.glob("*.py"))


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    for _, script in queries.migrations():
        connection.executescript(script)
    yield connection
    connection.close()


@pytest.mark.parametrize(
    ("file", "name"),
    [(file, name) for file in ("loads", "writes", "writes_erase", "writes_events") for name in queries.load(file)],
)
def test_it_compiles(database: sqlite3.Connection, file: str, name: str) -> None:
    statement = whole(file, name)
    database.execute("EXPLAIN " + statement, dict.fromkeys(re.findall(r":(\w+)", statement)))


def whole(file: str, name: str) -> str:
    """Return the statement, a condition with the columns it selects."""
    found = queries.load(file)
    columns = [base for base, conditions in CONDITIONS.items() if file == "loads" and name in conditions]
    return " ".join([*(found[base] for base in columns), found[name]])


@pytest.mark.parametrize("file", ["audit", "erase", "events", "loads", "reads", "runs"])
def test_it_is_used(file: str) -> None:
    named = set(re.findall(r"[\"'](\w+)[\"']", SOURCES))
    assert set(queries.load(file)) - named == set()


@pytest.mark.parametrize("file", FILES)
def test_no_name_is_given_twice(file: str) -> None:
    text = Path(store.__file__).with_name("sql").joinpath(file + ".sql").read_text()
    assert len(queries.load(file)) == text.count("-- name: ")


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [number for number, _ in queries.migrations()] == list(range(1, len(queries.migrations()) + 1))


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("queue", "INDEX runs_queue"),
        ("has_lanes", "INDEX runs_lanes"),
        ("in_lane", "INDEX runs_in_lane"),
        ("in_hand", "INDEX runs_in_hand"),
        ("running", "INDEX runs_in_hand"),
        ("of_run", "INDEX sqlite_autoindex_runs_1"),
        ("due", "INDEX timers_due"),
        ("next_due", "INDEX timers_due"),
        ("awaiting", "INDEX timers_by_event"),
        ("timer_of_run", "PRIMARY KEY"),
        ("step", "PRIMARY KEY"),
        ("known_steps", "PRIMARY KEY"),
        ("event_by_key", "INDEX events_by_key"),
        ("run_ids_of_event", "INDEX runs_by_event"),
    ],
)
def test_decisions_are_loaded_by_the_index_made_for_them(database: sqlite3.Connection, name: str, index: str) -> None:
    """Any index will not do: one over all runs reads all of them."""
    statement = whole("loads", name)
    found = database.execute("EXPLAIN QUERY PLAN " + statement, dict.fromkeys(re.findall(r":(\w+)", statement)))
    plan = [row[3] for row in found]
    assert f"USING {index}" in plan[0], plan
    assert not any("TEMP" in step for step in plan), plan


def test_a_full_lane_and_other_waits_are_passed_over_by_index(database: sqlite3.Connection) -> None:
    for name, scans in (("queue_of_lanes", ("runs", "first")), ("awaited_paths", ("timers",))):
        statement = whole("loads", name)
        rows = database.execute("EXPLAIN QUERY PLAN " + statement, dict.fromkeys(re.findall(r":(\w+)", statement)))
        plan = [row[3] for row in rows]
        assert not any(re.match(rf"SCAN ({'|'.join(scans)})\b", step) for step in plan), (name, plan)


@pytest.mark.parametrize(
    ("order", "parts", "index"),
    [
        ("oldest_first", ("where_run", "where_after"), "audit_by_run"),
        ("oldest_first", ("where_run", "where_since", "where_until"), "audit_by_run"),
        ("newest_first", ("where_env", "where_function", "where_before"), "audit_by_function"),
        ("newest_first", ("where_env", "where_type"), "audit_by_type"),
    ],
)
def test_a_page_of_the_audit_trail_is_read_in_order(
    database: sqlite3.Connection, order: str, parts: tuple[str, ...], index: str
) -> None:
    sql = queries.load("audit")
    statement = f"{sql['events']} WHERE {' AND '.join(sql[part] for part in parts)} {sql[order]}"
    assert uses(database, statement, index)


@pytest.mark.parametrize(
    ("name", "index"),
    [("moments", "audit_by_run"), ("moments_of_step", "audit_by_step"), ("told", "audit_by_run")],
)
def test_the_past_of_a_run_is_looked_up_by_index(database: sqlite3.Connection, name: str, index: str) -> None:
    assert uses(database, queries.load("audit")[name], index)


def uses(database: sqlite3.Connection, statement: str, index: str) -> bool:
    """Return whether SQLite reads by this index, without sorting."""
    found = database.execute("EXPLAIN QUERY PLAN " + statement, dict.fromkeys(re.findall(r":(\w+)", statement)))
    plan = " ".join(row[3] for row in found)
    return f"USING INDEX {index}" in plan and "TEMP" not in plan


def test_deletions_and_steps_by_their_row_are_looked_up_by_index(database: sqlite3.Connection) -> None:
    for file, name in [
        ("erase", "ended_runs"),
        ("erase", "step_by_row"),
        ("writes_erase", "delete_audit"),
        ("writes_erase", "delete_steps"),
        ("writes_erase", "delete_timers"),
        ("writes_erase", "delete_runs"),
    ]:
        statement = queries.load(file)[name]
        rows = database.execute("EXPLAIN QUERY PLAN " + statement, dict.fromkeys(re.findall(r":(\w+)", statement)))
        plan = [row[3] for row in rows]
        assert not any(re.match(r"SCAN (runs|r|steps|audit|timers)\b", step) for step in plan), (name, plan)
