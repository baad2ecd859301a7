"""The laws of the store, on a real SQLite file: what is answered is on disk, what is refused is not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ironflow_lab.clock import SECOND
from ironflow_lab.errors import ApiError, FailedPreconditionError, NotFoundError, StaleExecutionError, UnavailableError
from ironflow_lab.models.instant import format_instant
from ironflow_lab.models.workers import JobBatch
from ironflow_lab.server.engine.commands import CancelRun, Heartbeat, Hold, RegisterWorker, Release, Unclaim
from ironflow_lab.server.engine.decide import decide
from ironflow_lab.server.engine.outcome import Ended, Leased, Runnable
from ironflow_lab.server.store import writer as writers
from ironflow_lab.server.store.leases import ACK_NS
from tests.contract.engine_room import ENV, LEASE, Room, acknowledge, claim, connected, emit, fence_of, report, step

EMPTY = JobBatch()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with Room(tmp_path) as room:
        room.function()
        room.worker()
        yield room


def plant(room: Room, *statements: str) -> None:
    """Change the schema beside the writer."""
    with connected(room.folder) as db:
        for statement in statements:
            db.execute(statement)


def fail_inserting_a_run(room: Room) -> None:
    plant(
        room,
        """CREATE TRIGGER boom BEFORE INSERT ON runs
           WHEN (SELECT name FROM events WHERE id = NEW.event_id) = 'boom'
           BEGIN SELECT RAISE(ABORT, 'boom'); END""",
    )
    room.function("fragile", "boom")


def fail_at_commit(room: Room) -> None:
    """Let a transaction that holds an event named `poison` fail at COMMIT, and not before."""
    plant(
        room,
        "CREATE TABLE trap (run_id TEXT REFERENCES runs (id) DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TRIGGER spring AFTER INSERT ON events WHEN NEW.name = 'poison' "
        "BEGIN INSERT INTO trap VALUES ('nowhere'); END",
    )
    room.writer._db.execute("PRAGMA foreign_keys = ON")


class TestOneCommand:
    def test_a_failing_command_rolls_back_alone(self, room: Room) -> None:
        fail_inserting_a_run(room)
        before = room.commits
        with room.one_batch():
            tokens = [room.send(emit(name)) for name in ("go", "boom", "go", "go*", "go")]
        answers = [room.answer(token) for token in tokens]
        assert [isinstance(answer, ApiError) for answer in answers] == [False, True, False, True, False]
        assert room.commits == before + 1
        assert room.rows("SELECT name, count(*) FROM events GROUP BY name") == [("go", 3)]
        assert room.rows("SELECT count(*) FROM runs") == [(3,)]

    def test_a_report_with_one_bad_step_stores_none(self, room: Room) -> None:
        run_id = room.emit()
        (job,) = room.poll()
        bad = [step(job, "a"), step(job, "b"), {"id": "elsewhere:c:0", "name": "c"}]
        with pytest.raises(ApiError, match="does not belong"):
            room.report(job, steps=bad)
        assert room.rows("SELECT * FROM steps") == []
        assert room.status(run_id) == "running"
        room.report(job, steps=bad[:2])
        assert room.rows("SELECT name, sequence FROM steps ORDER BY sequence") == [("a", 0), ("b", 1)]

    def test_a_fault_in_one_decision_harms_no_other(
        self, room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        real = decide

        def faulty(state: Any, command: Any, now: int, ids: Any) -> Any:
            if getattr(command, "name", "") == "faulty":
                raise ZeroDivisionError
            return real(state, command, now, ids)

        monkeypatch.setattr(writers, "decide", faulty)
        with room.one_batch():
            tokens = [room.send(emit(name)) for name in ("go", "faulty", "go")]
        answers = [room.answer(token) for token in tokens]
        assert [isinstance(answer, ApiError) and answer.code for answer in answers] == [False, "internal", False]
        assert "ZeroDivisionError" in caplog.text

    def test_emits_with_one_key_in_one_batch_start_one_run(self, room: Room) -> None:
        with room.one_batch():
            tokens = [room.send(emit(key="k")) for _ in range(5)]
        answers = [room.answer(token) for token in tokens]
        assert len({answer.event_id for answer in answers}) == 1
        assert len({answer.run_ids for answer in answers}) == 1
        assert room.rows("SELECT count(*) FROM runs") == [(1,)]


class TestCommit:
    def test_answers_leave_only_after_the_commit(self, room: Room) -> None:
        seen: list[list[tuple[Any, ...]]] = []
        room.on_delivery = lambda: seen.append(room.rows("SELECT id, status FROM runs"))
        parked = room.send(claim(), parks=True)
        room.settle()
        run_id = room.emit()
        (job,) = room.answer(parked).jobs
        assert seen[-1] == [(run_id, "running")]
        room.report(job)
        assert seen[-1] == [(run_id, "completed")]

    def test_wakes_leave_with_the_answers_in_order(self, room: Room) -> None:
        run_id = room.emit()
        (job,) = room.poll()
        room.report(job)
        kinds = [wake for _, wakes in room.deliveries for wake in wakes if not isinstance(wake, Runnable)]
        assert [type(wake).__name__ for wake in kinds] == ["Held", "Leased", "Freed", "Ended"]
        assert kinds[-1] == Ended(run_id)

    def test_a_failed_commit_is_an_error_for_everyone_in_it(self, room: Room) -> None:
        fail_at_commit(room)
        (run_id, other) = room.emit(), room.emit()
        (job, _) = room.poll()
        before = room.rows("SELECT * FROM runs")
        with room.one_batch():
            tokens = [
                room.send(emit()),
                room.send(acknowledge(job)),
                room.send(report(job, steps=[step(job)])),
                room.send(emit("poison")),
                room.send(claim(), parks=True),
                room.send(CancelRun(env=ENV, run_id=other)),
                room.send(CancelRun(env=ENV, run_id="unknown")),
            ]
        answers = [room.answer(token) for token in tokens]
        assert all(isinstance(answer, ApiError) for answer in answers)
        assert len(set(map(str, answers))) == 1
        assert "could not be stored" in str(answers[0])
        assert room.rows("SELECT * FROM runs") == before
        assert room.rows("SELECT * FROM steps") == []
        assert room.rows("SELECT count(*) FROM events") == [(2,)]
        room.report(job)
        assert room.status(run_id) == "completed"

    def test_a_failed_commit_wakes_nobody(self, room: Room) -> None:
        fail_at_commit(room)
        before = len(room.deliveries)
        with room.one_batch():
            room.send(emit())
            token = room.send(emit("poison"))
        room.answer(token)
        assert [wakes for _, wakes in room.deliveries[before:]] == [[]] * (len(room.deliveries) - before)

    def test_parked_claims_stay_parked_and_get_the_next_run(self, room: Room) -> None:
        fail_at_commit(room)
        parked = room.send(claim(), parks=True)
        room.settle()
        with room.one_batch():
            tokens = [room.send(emit()), room.send(emit("poison"))]
        assert all(isinstance(room.answer(token), ApiError) for token in tokens)
        assert not room.answered(parked)
        run_id = room.emit()
        assert [job.run_id for job in room.answer(parked).jobs] == [run_id]

    def test_a_claim_withdrawn_in_a_failed_batch_ends_empty(self, room: Room) -> None:
        fail_at_commit(room)
        parked = room.send(claim(), parks=True)
        room.settle()
        with room.one_batch():
            room.send(emit())
            room.withdraw(parked)
            fresh = room.send(claim("w"), parks=True)
            room.withdraw(fresh)
            poison = room.send(emit("poison"))
        assert isinstance(room.answer(poison), ApiError)
        assert room.answer(parked) == EMPTY
        assert room.answer(fresh) in (EMPTY, room.answer(poison))
        run_id = room.emit()
        assert [job.run_id for job in room.poll()] == [run_id]

    @pytest.mark.parametrize("timer", ["lapse", "delay"])
    def test_a_timer_that_cannot_be_stored_is_tried_again_after_a_rest(self, room: Room, timer: str) -> None:
        run_id = room.emit()
        (job,) = room.poll()
        if timer == "delay":
            room.report(job, status="failed", error={"message": "m", "retry_after_ms": 1})
        before = room.status(run_id)
        plant(
            room,
            "CREATE TRIGGER stuck BEFORE UPDATE ON runs WHEN NEW.status = 'waiting_for_capacity' "
            "BEGIN SELECT RAISE(ABORT, 'stuck'); END",
        )
        room.pass_time(LEASE / SECOND)
        assert room.status(run_id) == before
        assert room.writer._patience() == 1, "it asks again without a pause"
        plant(room, "DROP TRIGGER stuck")
        room.settle()
        assert room.status(run_id) == before
        room.pass_time(1)
        assert room.status(run_id) == "waiting_for_capacity"
        with pytest.raises(StaleExecutionError):
            room.ack(job)


class TestFullDisk:
    def fill(self, room: Room) -> None:
        (pages,) = room.writer._db.execute("PRAGMA page_count").fetchone()
        room.writer._db.execute(f"PRAGMA max_page_count = {pages + 2}")

    def test_nothing_of_a_batch_is_half_there(self, room: Room) -> None:
        """SQLite itself rolls the whole transaction back then, and the commands before must not be told yes."""
        self.fill(room)
        with room.one_batch():
            tokens = [room.send(emit()) for _ in range(3)]
            tokens.append(room.send(emit(data=b'"' + b"x" * 100_000 + b'"')))
            tokens += [room.send(emit()) for _ in range(3)]
        answers = [room.answer(token) for token in tokens]
        assert all(isinstance(answer, FailedPreconditionError) for answer in answers)
        assert {(answer.status, "free space" in str(answer)) for answer in answers} == {(507, True)}
        assert room.rows("SELECT count(*) FROM events") == room.rows("SELECT count(*) FROM runs") == [(0,)]

    def test_it_goes_on_once_there_is_room(self, room: Room) -> None:
        self.fill(room)
        with pytest.raises(FailedPreconditionError, match="free space"):
            room.ask(emit(data=b'"' + b"x" * 100_000 + b'"'))
        room.writer._db.execute("PRAGMA max_page_count = 1000000")
        run_id = room.emit()
        (job,) = room.poll()
        room.report(job)
        assert room.status(run_id) == "completed"

    def test_another_program_that_locks_the_file(self, room: Room) -> None:
        room.writer._db.execute("PRAGMA busy_timeout = 1")
        with connected(room.folder) as db:
            db.execute("BEGIN IMMEDIATE")
            with pytest.raises(UnavailableError, match=r"locked.*try again"):
                room.emit()
            db.execute("ROLLBACK")
        assert room.status(room.emit()) == "waiting_for_capacity"


class TestCost:
    def test_a_one_step_run_costs_two_commits_and_an_ack_none(self, room: Room) -> None:
        parked = room.send(claim(), parks=True)
        room.settle()
        before = room.commits
        room.emit()
        (job,) = room.answer(parked).jobs
        assert room.commits == before + 1
        room.ack(job)
        assert room.commits == before + 1
        parked = room.send(claim(), parks=True)
        room.report(job, steps=[step(job)])
        assert room.commits == before + 2
        room.settle()
        assert room.commits == before + 2
        assert not room.answered(parked)

    def test_reading_costs_none(self, room: Room) -> None:
        before = room.commits
        room.poll()
        room.ask(Heartbeat(env=ENV, worker_id="w", job_ids=("run_1.1",)))
        with pytest.raises(NotFoundError):
            room.ask(CancelRun(env=ENV, run_id="unknown"))
        assert room.commits == before

    def test_what_queues_up_shares_one_commit(self, room: Room) -> None:
        before = room.commits
        with room.one_batch():
            tokens = [room.send(emit()) for _ in range(200)]
        assert len({room.answer(token).run_ids for token in tokens}) == 200
        assert room.commits == before + 1

    def test_more_than_a_batch_is_split_and_all_is_answered(self, room: Room) -> None:
        with room.one_batch():
            tokens = [room.send(emit()) for _ in range(700)]
        assert len({room.answer(token).run_ids for token in tokens}) == 700


class TestParkedClaims:
    def test_they_are_served_in_the_transaction_that_made_the_run_ready(self, room: Room) -> None:
        parked = room.send(claim(), parks=True)
        room.settle()
        before = len(room.deliveries)
        token = room.send(emit())
        room.answer(token)
        (delivery,) = room.deliveries[before:]
        assert {token, parked} == {given for given, _ in delivery[0]}
        assert any(isinstance(wake, Leased) for wake in delivery[1])

    def test_the_longest_waiting_is_served_first(self, room: Room) -> None:
        waiting = [room.send(claim(available=1), parks=True) for _ in range(3)]
        room.settle()
        first = room.emit()
        assert [job.run_id for job in room.answer(waiting[0]).jobs] == [first]
        assert not room.answered(waiting[1])

    def test_only_workers_that_know_the_function(self, room: Room) -> None:
        room.function("g", "other")
        room.worker("v", "g")
        mine, others = room.send(claim("v"), parks=True), room.send(claim("w"), parks=True)
        room.settle()
        run_id = room.emit("other")
        assert [job.run_id for job in room.answer(mine).jobs] == [run_id]
        assert not room.answered(others)

    @pytest.mark.parametrize("how", ["retry", "sleep", "lapse", "unclaim", "release", "take over"])
    def test_whatever_makes_a_run_ready_serves_them(self, room: Room, how: str) -> None:
        room.worker("v", "f", instance="one")
        run_id = room.emit()
        (job,) = room.poll("v")
        parked = room.send(claim("w"), parks=True)
        room.settle()
        if how == "retry":
            room.report(job, "v", status="failed", error={"message": "m", "retry_after_ms": 0})
            room.pass_time(0.001)
        elif how == "sleep":
            until = format_instant(room.clock.now() + SECOND)
            room.report(
                job, "v", status="yielded", **{"yield": {"step_id": f"{run_id}:n:0", "type": "sleep", "until": until}}
            )
            room.pass_time(1)
        elif how == "lapse":
            room.pass_time(ACK_NS / SECOND)
        elif how == "unclaim":
            room.ask(Unclaim(env=ENV, worker_id="v", fences=(fence_of(job),)))
        elif how == "release":
            room.ask(Release(env=ENV, worker_id="v", instance_id="one"))
        else:
            room.ask(RegisterWorker(env=ENV, worker_id="v", function_ids=("f",), instance_id="two"))
        assert [again.run_id for again in room.answer(parked).jobs] == [run_id]

    @pytest.mark.parametrize("how", ["take over", "release"])
    def test_a_former_process_of_the_worker_is_not_served(self, room: Room, how: str) -> None:
        room.worker("v", "f", instance="one")
        run_id = room.emit()
        (job,) = room.poll("v")
        former = room.send(claim("v"), parks=True)
        room.settle()
        if how == "release":
            room.ask(Release(env=ENV, worker_id="v", instance_id="one"))
        else:
            room.worker("v", "f", instance="two")
        assert room.answer(former) == EMPTY
        assert room.status(run_id) == "waiting_for_capacity"
        with pytest.raises(StaleExecutionError):
            room.ack(job, "v")

    def test_a_worker_that_may_do_more_gets_what_waits(self, room: Room) -> None:
        room.function("late", "later")
        room.worker("v", "f", instance="one")
        run_id = room.emit("later")
        parked = room.send(claim("v"), parks=True)
        room.settle()
        assert not room.answered(parked)
        room.worker("v", "f", "late", instance="one")
        assert [job.run_id for job in room.answer(parked).jobs] == [run_id]

    def test_an_unknown_workers_claim_is_refused_not_parked(self, room: Room) -> None:
        assert isinstance(room.answer(room.send(claim("stranger"), parks=True)), NotFoundError)

    def test_a_backlog_is_handed_out_in_order_and_in_bounds(self, room: Room) -> None:
        with room.one_batch():
            tokens = [room.send(emit()) for _ in range(250)]
        runs = [room.answer(token).run_ids[0] for token in tokens]
        first = room.poll(available=3)
        assert [job.run_id for job in first] == runs[:3]
        assert [job.run_id for job in room.poll(available=100_000)] == runs[3:]

    def test_a_closing_writer_answers_everyone(self, room: Room) -> None:
        parked = room.send(claim(), parks=True)
        room.settle()
        run_id = room.send(emit("nothing"))
        room.close()
        assert room.answer(parked) == EMPTY
        assert room.answer(run_id).run_ids == ()
        room._open()


class TestErrorsOutsideCommands:
    def test_the_thread_survives_a_fault_of_its_own(
        self, room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        parked = room.send(claim(), parks=True)
        room.settle()

        def broken(*_: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(room.writer, "_serve_parked", broken)
        with room.one_batch():
            token = room.send(emit())
            room.withdraw(parked)
        assert isinstance(room.answer(token), ApiError)
        assert room.answer(parked) == EMPTY
        assert "disk I/O error" in caplog.text
        monkeypatch.undo()
        assert room.rows("SELECT count(*) FROM events") == [(0,)]
        assert room.status(room.emit()) == "waiting_for_capacity"

    def test_hold_of_a_former_instance_is_refused(self, room: Room) -> None:
        room.worker("v", "f", instance="one")
        room.ask(Hold(env=ENV, worker_id="v", instance_id="one"))
        room.worker("v", "f", instance="two")
        with pytest.raises(StaleExecutionError, match="another instance"):
            room.ask(Hold(env=ENV, worker_id="v", instance_id="one"))
