"""The file itself: made, opened again, refused with a reason, and what survives a restart and a kill."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ironflow_lab.clock import SECOND
from ironflow_lab.errors import ServerStartError, StaleExecutionError
from ironflow_lab.models.instant import format_instant
from ironflow_lab.server.engine.commands import Heartbeat, Hold
from ironflow_lab.server.store import database, queries
from ironflow_lab.server.store.database import FILE, open_reader, open_writer
from ironflow_lab.server.store.writer import RECONNECT_NS
from ironflow_lab.testing import FakeClock
from tests.contract.engine_room import ENV, LEASE, Room, emit, step

NEWEST = queries.migrations()[-1][0]
LEASE_SECONDS = LEASE / SECOND
RECONNECT = RECONNECT_NS / SECOND


def schema(folder: Path) -> list[tuple[Any, ...]]:
    db = sqlite3.connect(folder / FILE)
    try:
        return db.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    finally:
        db.close()


def made(folder: Path, *statements: str) -> Path:
    """Make a database that another program, or version, has written."""
    db = sqlite3.connect(folder / FILE)
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()
    return folder / FILE


def refused(folder: Path) -> str:
    with pytest.raises(ServerStartError) as caught:
        open_writer(folder)
    return str(caught.value)


class TestOpening:
    def test_a_new_file_gets_the_newest_schema_and_full_durability(self, tmp_path: Path) -> None:
        db = open_writer(tmp_path)
        settings = {
            name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "journal_mode", "synchronous")
        }
        db.close()
        assert settings == {"user_version": NEWEST, "journal_mode": "wal", "synchronous": 2}

    def test_opened_again_it_stays_as_it_is(self, tmp_path: Path) -> None:
        open_writer(tmp_path).close()
        before = schema(tmp_path)
        open_writer(tmp_path).close()
        assert schema(tmp_path) == before

    def test_an_empty_file_is_a_new_one(self, tmp_path: Path) -> None:
        (tmp_path / FILE).touch()
        open_writer(tmp_path).close()
        assert schema(tmp_path)

    def test_a_newer_schema_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        file = made(tmp_path, "CREATE TABLE later (x)", f"PRAGMA user_version = {NEWEST + 1}")
        before = file.read_bytes()
        assert "newer ironflow-lab" in refused(tmp_path)
        assert "upgrade" in refused(tmp_path)
        assert file.read_bytes() == before

    def test_another_programs_database_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        file = made(tmp_path, "CREATE TABLE functions (name)")
        before = file.read_bytes()
        assert "another program" in refused(tmp_path)
        assert file.read_bytes() == before

    @pytest.mark.parametrize(
        "garbage", [b"not a database, just some text " * 40, os.urandom(8_192), b"SQLite format 3\x00"]
    )
    def test_garbage_is_refused_and_left_alone(self, tmp_path: Path, garbage: bytes) -> None:
        (tmp_path / FILE).write_bytes(garbage)
        assert "choose another --data-dir" in refused(tmp_path)
        assert (tmp_path / FILE).read_bytes() == garbage

    def test_a_folder_in_its_place_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / FILE).mkdir()
        assert "cannot be used" in refused(tmp_path)

    def test_a_missing_folder_is_refused(self, tmp_path: Path) -> None:
        assert "cannot be used" in refused(tmp_path / "nowhere")

    def test_an_old_sqlite_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 39, 4))
        monkeypatch.setattr(sqlite3, "sqlite_version", "3.39.4")
        assert "SQLite is 3.39.4" in refused(tmp_path)
        assert "3.40.0 or newer" in refused(tmp_path)
        assert not (tmp_path / FILE).exists()

    def test_the_lowest_one_is_taken(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sqlite3, "sqlite_version_info", database.LOWEST)
        open_writer(tmp_path).close()

    def test_a_migration_that_fails_leaves_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        open_writer(tmp_path).close()
        before = schema(tmp_path)
        broken = (*queries.migrations(), (NEWEST + 1, "CREATE TABLE half (x); CREATE TABLE half (x)"))
        monkeypatch.setattr(queries, "migrations", lambda: broken)
        assert "already exists" in refused(tmp_path)
        monkeypatch.undo()
        assert schema(tmp_path) == before
        open_writer(tmp_path).close()

    def test_a_migration_is_applied_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        open_writer(tmp_path).close()
        more = (*queries.migrations(), (NEWEST + 1, "CREATE TABLE more (x)"))
        monkeypatch.setattr(queries, "migrations", lambda: more)
        open_writer(tmp_path).close()
        open_writer(tmp_path).close()
        assert "more" in dict(schema(tmp_path))

    def test_only_its_owner_can_read_it(self, tmp_path: Path) -> None:
        """Also what an earlier version left, and what SQLite puts beside it."""
        writer = open_writer(tmp_path)
        writer.execute("INSERT INTO secrets VALUES ('e', 'n', 'v', '', 1, 0, 0)")
        made = sorted(path.name for path in tmp_path.iterdir())
        assert made == [FILE, FILE + "-shm", FILE + "-wal"]
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
        writer.close()
        for name in made:
            (tmp_path / name).touch()
            (tmp_path / name).chmod(0o644)
        writer = open_writer(tmp_path)
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
        writer.close()

    def test_a_reader_cannot_write(self, tmp_path: Path) -> None:
        open_writer(tmp_path).close()
        reader = open_reader(tmp_path)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.execute("DELETE FROM runs")
        reader.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    folder = tmp_path / "data"
    folder.mkdir()
    with Room(folder) as room:
        room.function()
        room.worker("plain", "f")
        room.worker("ours", "f", instance="one")
        yield room


@pytest.fixture(params=["restart", "crash"])
def again(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Both ways of coming back."""

    def come_back(room: Room, away: float = 0) -> None:
        if request.param == "restart":
            room.restart(away=away)
        else:
            room.crash(tmp_path / f"copy{len(list(tmp_path.iterdir()))}", away=away)

    return come_back


class TestRestart:
    def test_everything_acknowledged_is_there(self, room: Room, again: Any) -> None:
        done, open_, slept = room.emit(), room.emit(), room.emit()
        jobs = {job.run_id: job for job in room.poll("plain")}
        room.report(jobs[done], "plain", output={"n": 1})
        room.report(jobs[open_], "plain", status="progress", steps=[step(jobs[open_])])
        nap = {"step_id": f"{slept}:nap:0", "type": "sleep", "until": format_instant(room.clock.now() + 60 * SECOND)}
        room.report(jobs[slept], "plain", status="yielded", yield_=nap)
        before = {table: room.rows(f"SELECT * FROM {table}") for table in ("functions", "events", "steps", "workers")}
        again(room)
        assert {table: room.rows(f"SELECT * FROM {table}") for table in before} == before
        assert [room.status(run_id) for run_id in (done, open_, slept)] == ["completed", "running", "waiting"]

    def test_fences_hold_on(self, room: Room, again: Any) -> None:
        first, second = room.emit(), room.emit()
        jobs = room.poll("plain")
        again(room)
        room.ack(jobs[0], "plain")
        room.report(jobs[0], "plain", output=1)
        with pytest.raises(StaleExecutionError):
            room.report(jobs[0], "plain", output=2)
        with pytest.raises(StaleExecutionError):
            room.report(jobs[1], "ours")
        assert [room.status(run_id) for run_id in (first, second)] == ["completed", "running"]

    def test_nothing_is_queued_again_by_the_restart_itself(self, room: Room, again: Any) -> None:
        run_id = room.emit()
        room.poll("ours")
        again(room)
        room.settle()
        assert room.status(run_id) == "running"
        assert room.poll("plain") == ()

    @pytest.mark.parametrize(("worker", "seconds"), [("ours", RECONNECT), ("plain", LEASE_SECONDS)])
    def test_a_worker_that_stays_away_loses_its_runs(self, room: Room, again: Any, worker: str, seconds: float) -> None:
        run_id = room.emit()
        (job,) = room.poll(worker)
        room.ack(job, worker)
        again(room, away=3_600)
        room.pass_time(seconds - 0.001)
        assert room.status(run_id) == "running"
        room.pass_time(0.001)
        assert room.status(run_id) == "waiting_for_capacity"
        (later,) = room.poll("plain")
        assert (later.execution_seq, later.attempt) == (job.execution_seq + 1, 1)

    def test_one_that_opens_its_connection_again_keeps_them(self, room: Room, again: Any) -> None:
        run_id = room.emit()
        (job,) = room.poll("ours")
        again(room)
        room.ask(Hold(env=ENV, worker_id="ours", instance_id="one"))
        room.ask(Heartbeat(env=ENV, worker_id="ours", job_ids=(job.job_id,)))
        room.pass_time(10 * LEASE_SECONDS / 2)
        assert room.status(run_id) == "running"
        room.report(job, "ours")
        assert room.status(run_id) == "completed"

    def test_a_job_the_kill_lost_on_its_way_comes_back(self, room: Room, again: Any) -> None:
        """Claimed and committed, but the answer never left: the worker does not know of it."""
        run_id = room.emit()
        room.poll("ours")
        again(room)
        room.ask(Hold(env=ENV, worker_id="ours", instance_id="one"))
        for _ in range(4):
            room.pass_time(30)
            room.ask(Heartbeat(env=ENV, worker_id="ours"))
        assert room.status(run_id) == "waiting_for_capacity"

    def test_timers_go_on(self, room: Room, again: Any) -> None:
        slept, failed = room.emit(), room.emit()
        first, second = room.poll("plain")
        nap = {"step_id": f"{slept}:nap:0", "type": "sleep", "until": format_instant(room.clock.now() + 60 * SECOND)}
        room.report(first, "plain", status="yielded", yield_=nap)
        room.report(second, "plain", status="failed", error={"message": "m", "retry_after_ms": 60_000})
        again(room)
        room.pass_time(59)
        assert [room.status(run_id) for run_id in (slept, failed)] == ["waiting", "waiting"]
        room.pass_time(1.001)
        assert [room.status(run_id) for run_id in (slept, failed)] == ["waiting_for_capacity"] * 2
        assert room.rows("SELECT status, output FROM steps") == [("completed", b"null")]

    def test_a_time_that_passed_while_it_was_away_counts_at_once(self, room: Room, again: Any) -> None:
        run_id = room.emit()
        (job,) = room.poll("plain")
        room.report(job, "plain", status="failed", error={"message": "m"})
        again(room, away=3_600)
        room.settle()
        assert room.status(run_id) == "waiting_for_capacity"

    def test_the_time_away_is_no_execution_time(self, room: Room, again: Any) -> None:
        run_id = room.emit()
        (job,) = room.poll("ours")
        room.ack(job, "ours")
        again(room, away=12 * 3_600)
        room.pass_time(RECONNECT)
        assert room.status(run_id) == "waiting_for_capacity"
        (later,) = room.poll("plain")
        room.ack(later, "plain")
        room.pass_time(60)
        assert room.status(run_id) == "running"

    def test_ids_are_remembered(self, room: Room, again: Any) -> None:
        first = room.ask(emit(key="k"))
        again(room)
        assert room.ask(emit(key="k")) == first
        assert room.rows("SELECT count(*) FROM runs") == [(1,)]


def test_lapse_and_timeout_of_a_live_server(tmp_path: Path) -> None:
    with Room(tmp_path, clock=FakeClock()) as room:
        room.function("f", "go", timeoutMs=100_000)
        room.worker()
        run_id = room.emit()
        (job,) = room.poll()
        room.ack(job)
        room.pass_time(89)
        room.ask(Heartbeat(env=ENV, worker_id="w", job_ids=(job.job_id,)))
        room.pass_time(10)
        assert room.status(run_id) == "running"
        room.pass_time(1)
        assert room.rows("SELECT status, json_extract(error, '$.code') FROM runs") == [("failed", "TIMEOUT")]
        with pytest.raises(StaleExecutionError):
            room.report(job)
