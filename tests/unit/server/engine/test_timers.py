"""Sleeps and delays ending, leases and execution times running out, and a server that starts again."""

from __future__ import annotations

import pytest

from ironflow_lab.clock import SECOND
from ironflow_lab.models.runs import Error
from ironflow_lab.server.engine.commands import Lapse, Restart, WakeDue
from ironflow_lab.server.engine.outcome import Ended, Freed, Outcome, Runnable
from ironflow_lab.server.engine.records import DueRun, RunState
from ironflow_lab.server.engine.timers import lapse, restart, wake_due
from ironflow_lab.testing import CountingIds
from ironflow_lab.wire import codec
from tests.unit.server.engine.states import NOW, named, only, resting, running

IDS = CountingIds()


def lapsed(run: RunState | None, *, execution_seq: int = 3, at: int = NOW, timed_out: bool = False) -> Outcome:
    command = Lapse(run_id="run_1", execution_seq=execution_seq, at=at, timed_out=timed_out)
    return lapse(run, command, NOW, IDS)


def test_a_finished_sleep_is_a_completed_step_and_a_queued_run() -> None:
    outcome = wake_due((DueRun(run=resting("waiting", due_step="run_1:nap:0")),), WakeDue(), NOW, IDS)
    assert [write.query for write in outcome.writes] == ["finish_sleep", "move_run"]
    assert only(outcome, "finish_sleep") == {"run_id": "run_1", "step_id": "run_1:nap:0", "now": NOW}
    moved = only(outcome, "move_run")
    assert (moved["status"], moved["due_at"], moved["due_step"]) == ("waiting_for_capacity", None, "")
    assert outcome.wakes == (Runnable(),)


def test_a_finished_delay_keeps_the_attempt_it_was_given() -> None:
    outcome = wake_due((DueRun(run=resting("waiting", attempt=2)),), WakeDue(), NOW, IDS)
    assert [write.query for write in outcome.writes] == ["move_run"]
    assert only(outcome, "move_run")["attempt"] == 2


def test_waiting_uses_no_execution_time() -> None:
    run = resting("waiting", executed_ns=5 * SECOND, updated_at=NOW - 3_600 * SECOND)
    assert only(wake_due((DueRun(run=run),), WakeDue(), NOW, IDS), "move_run")["executed_ns"] == 5 * SECOND


def test_nothing_due_wakes_nobody() -> None:
    assert wake_due((), WakeDue(), NOW, IDS) == Outcome()


def test_a_silent_worker_loses_the_run_without_an_attempt() -> None:
    outcome = lapsed(running(attempt=2))
    moved = only(outcome, "move_run")
    assert (moved["status"], moved["attempt"]) == ("waiting_for_capacity", 2)
    assert outcome.wakes == (Freed("run_1", 3, "w", revoked=True), Runnable())


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
