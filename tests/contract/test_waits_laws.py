"""Waits on the real writer: months of them in a moment, and nobody who could go on waits for a poll to come by."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ironflow_lab.clock import SECOND
from ironflow_lab.models.instant import format_instant
from ironflow_lab.models.workers import Assignment
from ironflow_lab.server.engine.commands import (
    CancelRun,
    DeleteFunction,
    PatchStep,
    PauseRun,
    ResumeRun,
    SetFunctionStatus,
)
from tests.contract.engine_model import read
from tests.contract.engine_room import ENV, Room, claim, connected, emit, step

DAY = 86_400


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    """A writer with a function, one for calls, one of one lane, and a worker for all."""
    with Room(tmp_path) as room:
        room.function("f", "go", recording=True, retry={"maxAttempts": 3})
        room.function("child", triggered=False, recording=True)
        room.function("laned", "lane", concurrency={"limit": 1})
        room.worker("w", "f", "child", "laned")
        yield room


def waits(job: Assignment, name: str, **wanted: Any) -> dict[str, Any]:
    return {"status": "yielded", "yield_": {"step_id": f"{job.run_id}:{name}:0", **wanted}}


def sleeps(room: Room, job: Assignment, days: float, name: str = "nap") -> None:
    until = format_instant(room.clock.now() + round(days * DAY * SECOND))
    room.report(job, **waits(job, name, type="sleep", until=until))


def one(room: Room) -> Assignment:
    (job,) = room.poll()
    room.ack(job)
    return job


def test_months_pass(room: Room) -> None:
    """A run that fails twice, sleeps a month, calls another for weeks, waits for an event, is held, and completes."""
    started, run_id = room.clock.now(), room.emit()
    for attempt in (1, 2):
        job = one(room)
        assert job.attempt == attempt
        charged = step(job, "charge", output="first")
        room.report(job, status="failed", error={"message": "m", "retryable": True}, steps=[charged])
        room.pass_time(attempt + 1)
    sleeps(room, one(room), days=30)
    room.pass_time(30 * DAY - 1)
    assert room.poll() == ()
    room.pass_time(1)
    job = one(room)
    week = {"function_id": "child", "input": [1], "invoke_timeout_ms": 100 * DAY * 1_000}
    room.report(job, **waits(job, "call", type="invoke_function", **week))
    sleeps(room, one(room), days=60)
    room.pass_time(60 * DAY)
    room.report(one(room), output={"paid": True})
    job = one(room)
    assert {one.name: json.loads(bytes(one.output)) for one in job.completed_steps} == {
        "charge": "first",
        "nap": None,
        "call": {"paid": True},
    }
    room.report(job, **waits(job, "approval", type="wait_for_event", event_filter={"event": "ok", "timeout": "90d"}))
    room.pass_time(89 * DAY)
    room.ask(PauseRun(env=ENV, run_id=run_id))
    room.pass_time(500 * DAY)
    assert room.status(run_id) == "paused", "its time ran out under the operator's hands"
    room.ask(emit("ok", data=b'{"by":"me"}'))
    room.ask(ResumeRun(env=ENV, run_id=run_id))
    job = one(room)
    assert job.attempt == 3
    assert json.loads(bytes(job.completed_steps[-1].output))["data"] == {"by": "me"}
    room.report(job, output="done")
    ((status, executed, ended),) = room.rows("SELECT status, executed_ns, ended_at FROM runs WHERE id = ?", run_id)
    assert (status, room.rows("SELECT count(*) FROM timers")) == ("completed", [(0,)])
    assert ended - started >= 679 * DAY * SECOND
    assert executed < SECOND, "waiting counts as executing"


def test_a_wait_that_is_never_met_ends_a_year_later(room: Room) -> None:
    run_id, job = room.emit(), one(room)
    room.report(job, **waits(job, "w", type="wait_for_event", event_filter={"event": "ok", "timeout": "365d"}))
    room.restart(away=364 * DAY)
    assert room.status(run_id) == "waiting"
    room.pass_time(2 * DAY)
    assert room.status(run_id) == "failed"
    assert room.rows("SELECT status FROM steps WHERE run_id = ?", run_id) == [("timed_out",)]


def test_a_held_wait_has_no_time_though_others_do(room: Room) -> None:
    held, other = room.emit(), room.emit()
    for job in room.poll():
        sleeps(room, job, days=1)
    room.ask(PauseRun(env=ENV, run_id=held))
    room.pass_time(2 * DAY)
    assert (room.status(held), room.status(other)) == ("paused", "waiting_for_capacity")
    assert room.rows("SELECT status FROM steps WHERE run_id = ?", held) == [("sleeping",)]
    room.ask(ResumeRun(env=ENV, run_id=held))
    room.settle()
    assert room.status(held) == "waiting_for_capacity"


# ---- whoever makes a run ready gives it to a poll that waits, in the same commit


def emitting(room: Room) -> Callable[[], object]:
    return room.emit


def waking(room: Room) -> Callable[[], object]:
    room.emit()
    sleeps(room, one(room), days=1)
    return lambda: room.pass_time(2 * DAY)


def trying_again(room: Room) -> Callable[[], object]:
    room.emit()
    room.report(one(room), status="failed", error={"message": "m", "retryable": True})
    return lambda: room.pass_time(2)


def matching(room: Room) -> Callable[[], object]:
    room.emit()
    job = one(room)
    room.report(job, **waits(job, "w", type="wait_for_event", event_filter={"event": "ok"}))
    return lambda: room.ask(emit("ok"))


def calling(how: str, timeout_ms: int = 0) -> Callable[[Room], Callable[[], object]]:
    def prepare(room: Room) -> Callable[[], object]:
        room.emit()
        job = one(room)
        call = {"type": f"invoke_function{how}", "function_id": "child", "invoke_timeout_ms": timeout_ms}
        return lambda: room.report(job, **waits(job, "call", **call))

    return prepare


def answering(**fields: Any) -> Callable[[Room], Callable[[], object]]:
    def prepare(room: Room) -> Callable[[], object]:
        calling("")(room)()
        child = one(room)
        return lambda: room.report(child, **fields)

    return prepare


def cancelling_a_child(room: Room) -> Callable[[], object]:
    calling("")(room)()
    child = one(room)
    return lambda: room.ask(CancelRun(env=ENV, run_id=child.run_id))


def missing_a_child(room: Room) -> Callable[[], object]:
    calling("")(room)()
    one(room)
    return lambda: room.pass_time(31)


def resuming(room: Room) -> Callable[[], object]:
    run_id = room.emit()
    room.ask(PauseRun(env=ENV, run_id=run_id))
    return lambda: room.ask(ResumeRun(env=ENV, run_id=run_id))


def resuming_a_failed_one(room: Room) -> Callable[[], object]:
    run_id = room.emit()
    room.report(one(room), status="failed", error={"message": "m", "retryable": False})
    return lambda: room.ask(ResumeRun(env=ENV, run_id=run_id))


def leaving_a_lane(how: str) -> Callable[[Room], Callable[[], object]]:
    def prepare(room: Room) -> Callable[[], object]:
        run_id, job = room.emit("lane"), one(room)
        room.emit("lane")
        assert room.poll() == (), "two in a lane for one"
        if how == "ends":
            return lambda: room.report(job)
        if how == "waits":
            return lambda: sleeps(room, job, days=1)
        if how == "is cancelled":
            return lambda: room.ask(CancelRun(env=ENV, run_id=run_id))
        room.ask(PauseRun(env=ENV, run_id=run_id))
        sleeps(room, job, days=1)
        assert room.poll() == (), "a held run has given its place away"
        return lambda: room.ask(ResumeRun(env=ENV, run_id=run_id))

    return prepare


def activating(room: Room) -> Callable[[], object]:
    room.ask(SetFunctionStatus(env=ENV, function_id="f", status="paused"))
    room.emit()
    return lambda: room.ask(SetFunctionStatus(env=ENV, function_id="f", status="active"))


def registering_again(room: Room) -> Callable[[], object]:
    room.emit()
    room.ask(DeleteFunction(env=ENV, function_id="f"))
    return lambda: room.function("f", "go")


READY: dict[str, Callable[[Room], Callable[[], object]]] = {
    "an event": emitting,
    "a sleep's end": waking,
    "a retry": trying_again,
    "an awaited event": matching,
    "a call": calling(""),
    "an asynchronous call": calling("_async"),
    "a child's end": answering(output=1),
    "a child's failure": answering(status="failed", error={"message": "m", "retryable": False}),
    "a child's cancellation": cancelling_a_child,
    "a call's timeout": missing_a_child,
    "a resume": resuming,
    "a failed run's resume": resuming_a_failed_one,
    "a lane's end": leaving_a_lane("ends"),
    "a lane's wait": leaving_a_lane("waits"),
    "a lane's cancellation": leaving_a_lane("is cancelled"),
    "a held lane's resume into a wait": leaving_a_lane("is resumed"),
    "a function made active": activating,
    "a function registered again": registering_again,
}


@pytest.mark.parametrize("what", READY)
def test_a_poll_that_waits_gets_what_becomes_ready(room: Room, what: str) -> None:
    act = READY[what](room)
    parked = room.send(claim("w", 1), parks=True)
    room.settle()
    assert not room.answered(parked), "there was work already"
    act()
    assert room.answer(parked).jobs, f"nobody was told of {what}"


@pytest.mark.parametrize("what", READY)
def test_a_kill_at_any_statement_leaves_all_of_it_or_nothing(room: Room, tmp_path: Path, what: str) -> None:
    act, copies = READY[what](room), list[Path]()

    def killed(statement: str) -> None:
        """Keep what a kill before this statement would leave on the disk; what only reads leaves nothing."""
        if statement.lstrip().startswith(("SELECT", "--", "WITH")):
            return
        copies.append(tmp_path / f"killed-{len(copies)}")
        shutil.copytree(room.folder, copies[-1], ignore=shutil.ignore_patterns("killed-*"))

    before = everything(room.folder)
    room.on_statement = killed
    act()
    room.on_statement = str
    after = everything(room.folder)
    left = [everything(copy) for copy in copies]
    assert before != after
    assert left
    assert all(one in (before, after) for one in left), f"half of {what} is on the disk"
    changed = [one == after for one in left]
    assert changed == sorted(changed), "what was stored is gone again"


def everything(folder: Path) -> Any:
    with connected(folder) as db:
        others = ("events", "functions", "function_history", "run_counts")
        return read(db), [db.execute(f"SELECT * FROM {table}").fetchall() for table in others]


# ---- what comes too late, too early, or twice


def test_an_event_before_the_wait_does_not_count(room: Room) -> None:
    run_id, job = room.emit(), one(room)
    room.ask(emit("ok"))
    room.report(job, **waits(job, "w", type="wait_for_event", event_filter={"event": "ok"}))
    assert room.status(run_id) == "waiting"
    room.ask(emit("ok"))
    assert room.status(run_id) == "waiting_for_capacity"


def test_an_event_wakes_all_who_wait_for_it_and_none_twice(room: Room) -> None:
    runs = [room.emit() for _ in range(3)]
    for job, value in zip(room.poll(), ("x", "x", "y"), strict=True):
        given = {"event": "ok", "match": "data.k", "match_value": value}
        room.report(job, **waits(job, "w", type="wait_for_event", event_filter=given))
    answer = room.ask(emit("ok", data=b'{"k":"x"}'))
    room.ask(emit("ok", data=b'{"k":"x"}'))
    assert [room.status(run_id) for run_id in runs] == ["waiting_for_capacity", "waiting_for_capacity", "waiting"]
    outputs = room.rows("SELECT output FROM steps WHERE output IS NOT NULL")
    assert {json.loads(output)["id"] for (output,) in outputs} == {answer.event_id}


def test_a_child_that_ends_after_its_timeout_changes_nothing_above(room: Room) -> None:
    run_id = room.emit()
    job = one(room)
    call = {"type": "invoke_function", "function_id": "child", "invoke_timeout_ms": 1_000}
    room.report(job, **waits(job, "call", **call))
    child = one(room)
    room.pass_time(2)
    before = room.rows("SELECT * FROM runs WHERE id = ?", run_id)
    room.report(child, output="late")
    assert room.rows("SELECT * FROM runs WHERE id = ?", run_id) == before
    (again,) = (one for one in room.poll() if one.run_id == run_id)
    assert [one.status for one in again.completed_steps] == ["failed"]


def test_an_earlier_child_does_not_answer_for_a_later_one(room: Room) -> None:
    run_id = room.emit()
    call = {"type": "invoke_function", "function_id": "child", "invoke_timeout_ms": 1_000}
    job = one(room)
    room.report(job, **waits(job, "first", **call))
    first = one(room)
    room.pass_time(2)
    job = one(room)
    room.report(job, **waits(job, "second", **call | {"invoke_timeout_ms": 100_000}))
    room.report(first, output="late")
    assert room.status(run_id) == "waiting"
    room.report(one(room), output="in time")
    (output,) = (bytes(one.output) for one in one(room).completed_steps if one.name == "second")
    assert output == b'"in time"'


@pytest.mark.parametrize("recording", [True, False])
def test_a_late_report_does_not_undo_a_patch(room: Room, recording: bool) -> None:
    room.function("f", "go", recording=recording)
    run_id = room.emit()
    room.report(one(room), status="failed", error={"message": "m"}, steps=[])
    room.pass_time(5)
    job = one(room)
    room.report(job, status="progress", steps=[{**step(job, "a"), "status": "failed", "error": "no"}])
    room.ask(PatchStep(env=ENV, step_id=f"{run_id}:a:0", output=b'"patched"'))
    room.report(job, steps=[step(job, "a", output="late")])
    assert room.rows("SELECT output, original_output FROM steps") == [(b'"patched"', None)]
