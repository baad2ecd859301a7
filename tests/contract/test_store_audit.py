"""The audit trail on the real writer: with its change or not at all, and at no cost where nothing is recorded."""

from __future__ import annotations

import itertools
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ironflow_lab.clock import SECOND
from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.models.instant import format_instant
from ironflow_lab.server.engine.outcome import Recorded
from ironflow_lab.server.store import queries
from ironflow_lab.server.store.database import FILE
from tests.contract.engine_room import Room, claim, connected, report, step

LIFE = ["run.created", "run.status_changed", "step.started", "step.completed", "run.status_changed"]


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    """A writer with one recorded function, one that is not, and a worker for both."""
    with Room(tmp_path) as room:
        room.function("f", "go", recording=True)
        room.function("silent", "hush")
        room.worker("w", "f", "silent")
        yield room


def trail(room: Room, run_id: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the run's events, by type and payload."""
    rows = room.rows("SELECT type, payload FROM audit WHERE run_id = ? ORDER BY at", run_id)
    return [(kind, msgspec.json.decode(payload)) for kind, payload in rows]


def types(room: Room, run_id: str) -> list[str]:
    return [kind for kind, _ in trail(room, run_id)]


def changes(room: Room, since: int) -> list[str]:
    """Return what has been written since, by verb and table."""
    # What a trigger does is traced as the statement that set it off, once more.
    texts = (text for text, _ in itertools.groupby(room.statements[since:]))
    found = (re.search(r"^(INSERT INTO|UPDATE) (\w+)", text, re.MULTILINE) for text in texts)
    return [f"{one[1]} {one[2]}" for one in found if one]


class TestOneRun:
    def test_its_life_is_told(self, room: Room) -> None:
        run_id = room.emit("go", data=b'{"total":7}')
        (job,) = room.poll()
        began, ended = format_instant(room.clock.now() - SECOND), format_instant(room.clock.now())
        room.report(job, steps=[step(job, started_at=began, ended_at=ended, duration_ms=1_000)], output=[1, None])
        created, claimed, started, completed, done = (payload for _, payload in trail(room, run_id))
        assert types(room, run_id) == LIFE
        assert created == {
            "runId": run_id,
            "functionId": "f",
            "input": {"total": 7},
            "eventId": room.rows("SELECT event_id FROM runs WHERE id = ?", run_id)[0][0],
            "status": "waiting_for_capacity",
            "eventName": "go",
            "attempt": 1,
        }
        assert (claimed["oldStatus"], claimed["newStatus"]) == ("waiting_for_capacity", "running")
        assert (claimed["reason"], claimed["workerId"]) == ("claimed", "w")
        assert started == {
            "stepId": f"{run_id}:a:0",
            "stepName": "a",
            "stepType": "invoke",
            "attempt": 1,
            "startedAt": began,
        }
        assert completed == {"stepId": f"{run_id}:a:0", "output": 1, "durationMs": 1_000, "endedAt": ended}
        assert (done["newStatus"], done["output"], done["reason"]) == ("completed", [1, None], "completed")

    def test_a_step_reported_again_is_told_once(self, room: Room) -> None:
        run_id = room.emit()
        (job,) = room.poll()
        for steps in ([step(job)], [step(job)], [step(job), step(job, "b")]):
            room.clock.advance(seconds=1)
            room.report(job, status="progress", steps=steps)
        assert types(room, run_id)[2:] == ["step.started", "step.completed"] * 2
        room.report(job, steps=[step(job, output=2), step(job, "b")])
        assert types(room, run_id)[6:] == ["run.status_changed"]
        assert trail(room, run_id)[3][1]["output"] == 1

    def test_a_retry_tells_of_the_step_anew(self, room: Room) -> None:
        run_id = room.emit()
        (job,) = room.poll()
        failed = step(job, status="failed", error={"message": "declined"})
        room.report(job, status="failed", error={"message": "declined"}, steps=[failed])
        room.pass_time(2)
        (job,) = room.poll()
        room.report(job, steps=[step(job)])
        told = trail(room, run_id)
        assert [kind for kind, _ in told if kind.startswith("step")] == [
            "step.started",
            "step.failed",
            "step.started",
            "step.completed",
        ]
        reasons = [payload["reason"] for kind, payload in told if kind == "run.status_changed"]
        assert reasons == ["claimed", "retry", "woken", "claimed", "completed"]
        retry = next(payload for _, payload in told if payload.get("reason") == "retry")
        assert (retry["attempt"], retry["error"]["message"]) == (2, "declined")
        assert retry["dueAt"] > format_instant(room.clock.now() - 2 * SECOND)

    def test_a_sleep(self, room: Room) -> None:
        run_id = room.emit()
        (job,) = room.poll()
        until = format_instant(room.clock.now() + 5 * SECOND)
        nap = {"step_id": f"{run_id}:nap:0", "type": "sleep", "until": until}
        room.report(job, status="yielded", yield_=nap)
        room.pass_time(6)
        told = trail(room, run_id)[2:]
        assert [kind for kind, _ in told] == [
            "step.started",
            "run.status_changed",
            "step.completed",
            "run.status_changed",
        ]
        started, asleep, woke, queued = (payload for _, payload in told)
        assert (started["stepType"], started["until"]) == ("sleep", until)
        assert (asleep["reason"], asleep["dueAt"]) == ("sleep", until)
        # It began a few nanoseconds after the clock's instant.
        assert (woke["output"], woke["durationMs"]) == (None, 5_999)
        assert (queued["newStatus"], queued["reason"]) == ("waiting_for_capacity", "woken")

    def test_a_used_up_budget_is_a_pause(self, room: Room) -> None:
        room.function("once", "once", recording=True, retry={"maxAttempts": 1})
        room.worker("w", "once")
        run_id = room.emit("once")
        (job,) = room.poll()
        room.report(job, status="failed", error={"message": "no"})
        kind, payload = trail(room, run_id)[-1]
        assert (kind, payload["newStatus"], payload["reason"]) == ("run.paused", "paused", "retries_exhausted")

    def test_the_profile_of_the_runs_birth_counts(self, room: Room) -> None:
        run_id = room.emit()
        room.function("f", "go")
        (job,) = room.poll()
        room.report(job, steps=[step(job)])
        assert types(room, run_id) == LIFE
        assert types(room, room.emit()) == []

    def test_run_lifecycle_tells_of_no_steps(self, room: Room) -> None:
        room.function("f", "go", recording=True, recordingProfile="run_lifecycle")
        run_id = room.emit()
        (job,) = room.poll()
        room.report(job, steps=[step(job)])
        assert types(room, run_id) == ["run.created", "run.status_changed", "run.status_changed"]
        assert room.rows("SELECT count(*) FROM steps WHERE run_id = ?", run_id) == [(1,)]

    def test_followers_hear_of_it_without_data(self, room: Room) -> None:
        run_id, _ = room.emit(), room.poll()
        wakes = [wake for _, wakes in room.deliveries for wake in wakes if isinstance(wake, Recorded)]
        assert wakes == [Recorded(run_id), Recorded(run_id)]


class TestOneTransaction:
    def test_a_refused_report_tells_nothing(self, room: Room) -> None:
        run_id = room.emit()
        (job,) = room.poll()
        before = trail(room, run_id)
        with pytest.raises(InvalidArgumentError):
            room.report(job, steps=[step(job), {"id": "elsewhere:a:0", "name": "a"}])
        assert trail(room, run_id) == before

    def test_an_event_that_cannot_be_stored_takes_its_change_along(self, room: Room) -> None:
        run_id = room.emit()
        (job,) = room.poll()
        # An event at this instant is there already: the unique index refuses the report's last one.
        at = room.rows("SELECT max(at) FROM audit")[0][0] + 3
        with connected(room.folder) as db:
            db.execute(
                "INSERT INTO audit (env, id, run_id, function_id, step_id, type, payload, at)"
                " VALUES ('e', 'x', ?, 'f', '', 'x', '{}', ?)",
                (run_id, at),
            )
        answer = room.answer(room.send(report(job, steps=[step(job)])))
        assert isinstance(answer, Exception)
        assert room.status(run_id) == "running"
        assert room.rows("SELECT count(*) FROM steps") == [(0,)]
        assert len(trail(room, run_id)) == 3

    def test_a_one_step_run_costs_two_commits_recorded_or_not(self, room: Room) -> None:
        for event in ("hush", "go"):
            parked = room.send(claim(), parks=True)
            room.settle()
            before = room.commits
            room.emit(event)
            (job,) = room.answer(parked).jobs
            assert room.commits == before + 1
            room.report(job, steps=[step(job)])
            assert room.commits == before + 2


class TestUnrecorded:
    def test_it_writes_its_rows_and_nothing_else(self, room: Room) -> None:
        since = len(room.statements)
        run_id = room.emit("hush")
        (job,) = room.poll()
        room.report(job, steps=[step(job), step(job, "b")])
        tables = ["INSERT INTO events", "INSERT INTO runs", "UPDATE runs", *["INSERT INTO steps"] * 2, "UPDATE runs"]
        assert changes(room, since) == tables
        assert not [text for text in room.statements[since:] if "audit" in text or "json_each" in text]
        assert trail(room, run_id) == []

    def test_it_changes_at_one_instant(self, room: Room) -> None:
        run_id = room.emit("hush")
        (job,) = room.poll()
        room.report(job, steps=[step(job), step(job, "b")])
        at = room.rows("SELECT updated_at FROM runs WHERE id = ?", run_id)
        assert set(room.rows("SELECT updated_at FROM steps WHERE run_id = ?", run_id)) == set(at)


class TestTime:
    @pytest.mark.parametrize("seconds", [0, -1, -3_600, 5])
    def test_events_of_a_run_are_strictly_increasing(self, room: Room, seconds: float) -> None:
        run_id = room.emit()
        room.clock.advance(seconds=seconds)
        (job,) = room.poll()
        room.clock.advance(seconds=seconds)
        room.report(job, steps=[step(job), step(job, "b")])
        times = [at for (at,) in room.rows("SELECT at FROM audit WHERE run_id = ? ORDER BY seq", run_id)]
        assert all(one < two for one, two in itertools.pairwise(times))
        # The events of one command are a nanosecond apart, and the run follows the last of them.
        assert [two - one for one, two in itertools.pairwise(times[2:])] == [1] * 4
        assert room.rows("SELECT updated_at FROM runs WHERE id = ?", run_id) == [(times[-1],)]


def test_a_database_of_the_version_before_goes_on(tmp_path: Path) -> None:
    first = queries.migrations()[:1]
    db = sqlite3.connect(tmp_path / FILE)
    db.executescript(first[0][1])
    definition = msgspec.json.encode({"id": "f", "name": "f", "triggers": [{"event": "go"}]})
    db.execute("INSERT INTO functions VALUES ('env_default', 'f', 1, 'active', ?, 1, 1)", (definition,))
    db.execute("INSERT INTO events VALUES (1, 'env_default', 'evt_old', 'go', '{}', NULL, 1, 'api', '', 5)")
    columns = "seq, env, id, function_id, function_version, event_id, status, max_attempts, policy, timeout_ms"
    values = "1, 'env_default', 'run_old', 'f', 1, 'evt_old', 'waiting_for_capacity', 25, '{}', 600000, 5, 5, 5"
    db.execute(f"INSERT INTO runs ({columns}, created_at, updated_at, eligible_at) VALUES ({values})")
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()
    with Room(tmp_path) as room:
        room.worker()
        (job,) = room.poll()
        room.report(job, steps=[step(job)])
        assert room.status("run_old") == "completed"
        assert trail(room, "run_old") == []
        room.function("f", "go", recording=True)
        assert types(room, room.emit()) == ["run.created"]
