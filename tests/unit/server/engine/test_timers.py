"""Waits ending by themselves, leases and execution times running out, and a server that starts again."""

from __future__ import annotations

import msgspec
import pytest

from ironflow_lab.clock import SECOND
from ironflow_lab.models.runs import Error
from ironflow_lab.server.engine.commands import Lapse, Restart, WakeDue
from ironflow_lab.server.engine.outcome import Ended, Freed, Outcome, Runnable
from ironflow_lab.server.engine.records import Case, RunState
from ironflow_lab.server.engine.timers import lapse, restart, wake_due
from ironflow_lab.testing import CountingIds
from ironflow_lab.wire import codec
from tests.unit.server.engine.states import NOW, named, only, resting, running, waiting

IDS = CountingIds()


def lapsed(run: RunState | None, *, execution_seq: int = 3, at: int = NOW, timed_out: bool = False) -> Outcome:
    command = Lapse(run_id="run_1", execution_seq=execution_seq, at=at, timed_out=timed_out)
    return lapse(None if run is None else Case(run=run), command, NOW, IDS)


def woken(*cases: Case) -> Outcome:
    return wake_due(cases, WakeDue(), NOW, CountingIds())


def test_a_finished_sleep_is_a_completed_step_and_a_queued_run() -> None:
    outcome = woken(waiting("sleep"))
    assert [write.query for write in outcome.writes] == ["end_step", "clear_timer", "move_run"]
    ended = only(outcome, "end_step")
    assert (ended["step_id"], ended["status"], ended["output"]) == ("run_1:nap:0", "completed", b"null")
    assert (ended["ended_at"], ended["duration_ms"], ended["error"]) == (NOW, 1_000, None)
    assert only(outcome, "move_run")["status"] == "waiting_for_capacity"
    assert outcome.wakes == (Runnable(),)


def test_a_finished_delay_keeps_the_attempt_it_was_given() -> None:
    case = waiting("retry")
    outcome = woken(msgspec.structs.replace(case, run=resting("waiting", attempt=2)))
    assert [write.query for write in outcome.writes] == ["clear_timer", "move_run"]
    assert only(outcome, "move_run")["attempt"] == 2


def test_a_child_that_takes_too_long_is_a_failed_step_and_the_run_goes_on() -> None:
    outcome = woken(waiting("child", child="run_2", child_function="g"))
    ended = only(outcome, "end_step")
    assert (ended["status"], ended["output"]) == ("failed", None)
    assert msgspec.json.decode(ended["error"]) == {
        "message": "invoke timed out",
        "function_id": "g",
        "child_run_id": "run_2",
        "cause": "invoke timed out",
    }
    assert only(outcome, "move_run")["status"] == "waiting_for_capacity"


def test_an_event_that_does_not_come_fails_the_run_at_once() -> None:
    outcome = woken(waiting("event", event="paid", path="data.id", value="7"))
    assert only(outcome, "end_step")["status"] == "timed_out"
    moved = only(outcome, "move_run")
    assert (moved["status"], moved["ended_at"], moved["attempt"]) == ("failed", NOW, 1)
    error = codec.decode(moved["error"], Error)
    assert (error.code, error.retryable) == ("WAIT_TIMEOUT", False)
    assert error.message == "no event 'paid' with '7' at 'data.id' came in time"
    assert outcome.wakes == (Ended("run_1"),)


def test_its_parent_hears_of_it_in_the_same_command() -> None:
    parent = waiting("child", child="run_1", child_function="f")
    parent = msgspec.structs.replace(parent, run=resting("waiting", id="run_0"))
    outcome = woken(waiting("event", event="paid", parent=parent))
    first, second = (write.parameters for write in named(outcome, "move_run"))
    assert (first["id"], first["status"], second["id"], second["status"]) == (
        "run_1",
        "failed",
        "run_0",
        "waiting_for_capacity",
    )


def test_a_parent_and_its_child_both_due_do_not_both_move_in_one_command() -> None:
    """What was read of the second no longer holds once the first has been decided."""
    parent = waiting("child", child="run_1", child_function="f")
    parent = msgspec.structs.replace(parent, run=resting("waiting", id="run_0"))
    child = waiting("event", event="paid", parent=parent)
    assert [write.parameters["id"] for write in named(woken(parent, child), "move_run")] == ["run_0"]
    assert [write.parameters["id"] for write in named(woken(child, parent), "move_run")] == ["run_1", "run_0"]


def test_waiting_uses_no_execution_time() -> None:
    run = resting("waiting", executed_ns=5 * SECOND, updated_at=NOW - 3_600 * SECOND)
    outcome = woken(msgspec.structs.replace(waiting("retry"), run=run))
    assert only(outcome, "move_run")["executed_ns"] == 5 * SECOND


def test_nothing_due_wakes_nobody() -> None:
    assert woken() == Outcome()


def test_a_silent_worker_loses_the_run_without_an_attempt() -> None:
    outcome = lapsed(running(attempt=2))
    moved = only(outcome, "move_run")
    assert (moved["status"], moved["attempt"]) == ("waiting_for_capacity", 2)
    assert outcome.wakes == (Freed("run_1", 3, "w", revoked=True), Runnable())


def test_a_lost_worker_is_a_boundary() -> None:
    outcome = lapsed(running(pause_requested=True, claimed_at=NOW - 60 * SECOND), at=NOW - 50 * SECOND)
    moved = only(outcome, "move_run")
    assert (moved["status"], moved["pause_reason"], moved["executed_ns"]) == ("paused", "injection", 10 * SECOND)
    assert outcome.wakes == (Freed("run_1", 3, "w", revoked=True), Ended("run_1", terminal=False))


def test_execution_time_counts_to_the_end_of_the_lease_only() -> None:
    run = running(claimed_at=NOW - 3_600 * SECOND, executed_ns=SECOND)
    assert only(lapsed(run, at=NOW - 3_590 * SECOND), "move_run")["executed_ns"] == 11 * SECOND


@pytest.mark.parametrize(
    "run", [None, running(execution_seq=4), resting("waiting"), resting("completed"), resting("waiting_for_capacity")]
)
@pytest.mark.parametrize("timed_out", [False, True])
def test_a_newer_segment_is_left_alone(run: RunState | None, timed_out: bool) -> None:
    assert lapsed(run, timed_out=timed_out) == Outcome()


def test_an_execution_time_used_up_fails_the_run() -> None:
    outcome = lapsed(running(), timed_out=True)
    moved = only(outcome, "move_run")
    assert (moved["status"], moved["ended_at"]) == ("failed", NOW)
    assert codec.decode(moved["error"], Error).code == "TIMEOUT"
    assert Ended("run_1") in outcome.wakes


def test_a_restart_counts_from_the_last_sign_of_life() -> None:
    away = running(claimed_at=NOW - 3_600 * SECOND, updated_at=NOW - 3_590 * SECOND, executed_ns=SECOND)
    outcome = restart((away, running(id="run_2")), Restart(), NOW, IDS)
    first, second = (write.parameters for write in named(outcome, "recount_run"))
    assert first == {"id": "run_1", "executed_ns": 11 * SECOND, "now": NOW}
    assert (second["id"], second["executed_ns"]) == ("run_2", 0)
    assert outcome.wakes == ()
