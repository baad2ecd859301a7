"""Checkpoints and the end of a segment: steps first, then the outcome, all under the fence."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ironflow_lab.clock import MILLISECOND, SECOND
from ironflow_lab.errors import InvalidArgumentError, StaleExecutionError
from ironflow_lab.models.instant import format_instant
from ironflow_lab.models.runs import Error
from ironflow_lab.models.workers import JobUpdate
from ironflow_lab.server.engine.commands import Report
from ironflow_lab.server.engine.outcome import Ended, Freed, Outcome, Renewed, Runnable
from ironflow_lab.server.engine.records import Case, ReportedRun, RetryPolicy, RunState, StepState
from ironflow_lab.server.engine.reports import MOST_STEPS, STALE, report, timed_out
from ironflow_lab.server.engine.steps import row_id
from ironflow_lab.testing import CountingIds
from ironflow_lab.wire import codec
from tests.unit.server.engine.states import ENV, FENCE, NOW, named, only, resting, running

FREED = Freed("run_1", 3, "w")
FAILURE = {"message": "boom", "code": "ERROR", "retryable": True}


def reported(
    run: RunState | None = None,
    *,
    now: int = NOW,
    worker_id: str = "w",
    known: dict[str, StepState] | None = None,
    state: dict[str, Any] | None = None,
    **fields: Any,
) -> Outcome:
    """Return the outcome of a report written as it travels; `known` are the rows of the run's steps."""
    given = {"execution_seq": FENCE.execution_seq, "lease_token": FENCE.lease_token, **fields}
    spelled = {name.removesuffix("_"): value for name, value in given.items()}
    update = codec.decode(msgspec.json.encode(spelled), JobUpdate)
    command = Report(env=ENV, worker_id=worker_id, job_id="run_1.3", update=update)
    loaded = ReportedRun(case=Case(run=running() if run is None else run), steps=known or {}, **state or {})
    return report(loaded, command, now, CountingIds())


def step(name: str = "validate", **fields: Any) -> dict[str, Any]:
    return {"id": f"run_1:{name}:0", "name": name, "type": "invoke", "status": "completed", "output": 1, **fields}


def moved(outcome: Outcome) -> dict[str, Any]:
    return only(outcome, "move_run")


def error_of(outcome: Outcome) -> Error:
    return codec.decode(moved(outcome)["error"], Error)


class TestFence:
    @pytest.mark.parametrize("status", ["progress", "completed", "failed", "yielded"])
    @pytest.mark.parametrize(
        "wrong", [{"execution_seq": 2}, {"execution_seq": 10**30}, {"lease_token": "token_2"}, {"worker_id": "other"}]
    )
    def test_a_stale_report_is_refused_before_anything_else(self, status: str, wrong: dict[str, Any]) -> None:
        with pytest.raises(StaleExecutionError):
            reported(status=status, steps=[step(type="nonsense")], **wrong)

    @pytest.mark.parametrize(
        "status", ["waiting_for_capacity", "waiting", "paused", "completed", "failed", "cancelled"]
    )
    def test_no_run_that_has_moved_on_takes_a_report(self, status: str) -> None:
        with pytest.raises(StaleExecutionError):
            reported(resting(status), status="completed")
        with pytest.raises(StaleExecutionError):
            reported(resting(status), status="completed", lease_token="")


class TestSteps:
    def test_a_checkpoint_saves_and_renews(self) -> None:
        outcome = reported(status="progress", step_offset=4, steps=[step("a"), step("b", output={"ok": [1, None]})])
        first, second = (write.parameters for write in named(outcome, "save_step"))
        assert (first["step_id"], first["sequence"], first["id"]) == ("run_1:a:0", 4, row_id("run_1", "run_1:a:0"))
        assert (second["step_id"], second["sequence"], second["output"]) == ("run_1:b:0", 5, b'{"ok":[1,null]}')
        assert first["attempt"] == 1
        assert only(outcome, "touch_run")["now"] == NOW
        assert outcome.wakes == (Renewed("run_1", 3, "w"),)

    def test_an_empty_checkpoint_only_renews(self) -> None:
        outcome = reported(status="progress")
        assert outcome.writes == ()
        assert outcome.wakes == (Renewed("run_1", 3, "w"),)

    def test_times_and_duration_are_the_workers(self) -> None:
        began, ended = format_instant(NOW - SECOND), format_instant(NOW - 4)
        saved = only(
            reported(status="progress", steps=[step(started_at=began, ended_at=ended, duration_ms=999)]), "save_step"
        )
        assert (saved["started_at"], saved["ended_at"], saved["duration_ms"]) == (NOW - SECOND, NOW - 4, 999)

    @pytest.mark.parametrize(("given", "kept"), [(None, 0), (-5, 0), (10**30, 2**63 - 1)])
    def test_an_odd_duration_is_bounded(self, given: int | None, kept: int) -> None:
        saved = only(reported(status="progress", steps=[step(duration_ms=given)]), "save_step")
        assert saved["duration_ms"] == kept
        assert saved["started_at"] == saved["ended_at"] == NOW

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ({"message": "no", "retryable": False, "stack": "s"}, Error(message="no", stack="s")),
            ({"message": "no"}, Error(message="no", retryable=True)),
            ({}, Error(retryable=True)),
            ("declined", Error(message="declined", retryable=True)),
            (None, Error(message="the step failed", retryable=True)),
            ([1], Error(message="the step failed", retryable=True)),
        ],
    )
    def test_a_failed_step_keeps_its_error(self, given: Any, kept: Error) -> None:
        failed = {**step(), "status": "failed", "error": given}
        saved = only(reported(status="progress", steps=[failed]), "save_step")
        assert (saved["status"], saved["output"]) == ("failed", None)
        assert codec.decode(saved["error"], Error) == kept

    def test_a_compensation(self) -> None:
        undo = {
            "id": "run_1:compensate:charge:0",
            "name": "compensate:charge",
            "type": "compensate",
            "status": "completed",
            "compensation_for": "charge",
        }
        saved = only(reported(status="failed", error=FAILURE, steps=[undo]), "save_step")
        assert (saved["type"], saved["compensation_for"], saved["output"]) == ("compensate", "charge", b"null")

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"steps": [step(id="run_2:a:0")]}, "does not belong to run 'run_1'"),
            ({"steps": [step(id="run_1")]}, "does not belong"),
            ({"steps": [step(id="")]}, "does not belong"),
            ({"steps": [step(type="sleep")]}, "'sleep'"),
            ({"steps": [step(status="running")]}, "'running'"),
            ({"steps": [step(started_at="yesterday")]}, "time cannot be read"),
            ({"steps": [step(ended_at="2026-13-01T00:00:00Z")]}, "time cannot be read"),
            ({"step_offset": -1}, "must not be negative"),
            ({"status": "progress", "steps": [step(str(n)) for n in range(MOST_STEPS + 1)]}, "at most 500"),
            ({"status": "done"}, "'done'"),
            ({"status": ""}, "progress, completed, failed or yielded"),
            ({"status": "yielded"}, "with a yield"),
            ({"status": "yielded", "yield": None}, "with a yield"),
            ({"status": "yielded", "yield": {"type": "sleep", "step_id": "x", "until": format_instant(NOW)}}, "belong"),
        ],
    )
    def test_a_bad_report_is_refused_whole(self, fields: dict[str, Any], words: str) -> None:
        with pytest.raises(InvalidArgumentError, match=words):
            reported(**{"status": "completed", **fields})

    def test_a_final_report_may_carry_a_longer_tail(self) -> None:
        outcome = reported(status="completed", steps=[step(str(n)) for n in range(MOST_STEPS + 1)])
        assert len(named(outcome, "save_step")) == MOST_STEPS + 1


class TestPauseRequested:
    """What a report does to a run that an operator asked to hold."""

    def reported(self, *, cooperative: bool = True, **fields: Any) -> Outcome:
        return reported(running(pause_requested=True), state={"cooperative": cooperative}, **fields)

    def test_a_worker_of_ours_is_asked_until_it_stops_at_a_boundary(self) -> None:
        outcome = self.reported(status="progress", steps=[step()])
        assert (outcome.answer.status, named(outcome, "move_run")) == ("pausing", [])
        assert outcome.wakes == (Renewed("run_1", 3, "w"),)

    @pytest.mark.parametrize("steps", [[], [step()]])
    def test_it_is_held_at_the_boundary(self, steps: list[dict[str, Any]]) -> None:
        outcome = self.reported(status="progress", boundary=True, steps=steps)
        assert len(named(outcome, "save_step")) == len(steps)
        assert (outcome.answer.status, moved(outcome)["pause_reason"]) == ("paused", "injection")
        assert (moved(outcome)["holding"], moved(outcome)["executed_ns"]) == (True, SECOND)
        assert outcome.wakes == (FREED, Ended("run_1", terminal=False))

    def test_any_other_is_cut_off_once_its_steps_are_stored(self) -> None:
        outcome = self.reported(cooperative=False, status="progress", steps=[step()])
        assert [write.query for write in outcome.writes] == ["save_step", "move_run"]
        assert (outcome.answer.status, moved(outcome)["status"]) == (STALE, "paused")

    def test_a_boundary_nobody_asked_for_is_a_checkpoint(self) -> None:
        outcome = reported(status="progress", boundary=True)
        assert (outcome.answer.status, outcome.writes) == ("ok", ())

    def test_an_end_is_an_end(self) -> None:
        assert moved(self.reported(status="completed"))["status"] == "completed"
        final = {"message": "no", "retryable": False}
        assert moved(self.reported(status="failed", error=final))["status"] == "failed"

    def test_a_failure_that_would_be_retried_is_held_with_the_next_attempt(self) -> None:
        outcome = self.reported(status="failed", error=FAILURE)
        assert (moved(outcome)["status"], moved(outcome)["attempt"]) == ("paused", 2)
        assert named(outcome, "set_timer") == []
        assert outcome.wakes == (FREED, Ended("run_1", terminal=False))

    def test_a_yield_keeps_its_wait_and_stops_its_time(self) -> None:
        nap = {"step_id": "run_1:nap:0", "type": "sleep", "until": format_instant(NOW + SECOND)}
        outcome = self.reported(status="yielded", yield_=nap)
        assert only(outcome, "set_timer")["held"] is True
        assert (moved(outcome)["status"], named(outcome, "clear_timer")) == ("paused", [])


class TestCompleted:
    @pytest.mark.parametrize(
        ("fields", "output"),
        [({}, b"null"), ({"output": None}, b"null"), ({"output": {"a": 2**53 + 1}}, b'{"a":9007199254740993}')],
    )
    def test_the_run_ends_with_the_output(self, fields: dict[str, Any], output: bytes) -> None:
        outcome = reported(status="completed", steps=[step()], **fields)
        assert [write.query for write in outcome.writes] == ["save_step", "move_run"]
        end = moved(outcome)
        assert (end["status"], end["output"], end["error"], end["attempt"]) == ("completed", output, None, 1)
        assert (end["ended_at"], end["executed_ns"]) == (NOW, SECOND)
        assert outcome.wakes == (FREED, Ended("run_1"))


class TestFailed:
    def test_a_retryable_failure_waits_for_the_next_attempt(self) -> None:
        outcome = reported(running(attempt=3), status="failed", error=FAILURE)
        write = moved(outcome)
        assert (write["status"], write["attempt"], write["ended_at"]) == ("waiting", 4, 0)
        wait = only(outcome, "set_timer")
        assert (wait["kind"], wait["due_at"], wait["step_id"], wait["held"]) == ("retry", NOW + 4 * SECOND, "", False)
        assert error_of(outcome) == Error(message="boom", code="ERROR", retryable=True)
        assert outcome.wakes == (FREED,)

    @pytest.mark.parametrize(("attempt", "seconds"), [(1, 0.5), (2, 1.5), (3, 4.5), (4, 10), (24, 10)])
    def test_the_delay_follows_the_runs_own_policy(self, attempt: int, seconds: float) -> None:
        policy = RetryPolicy(initial_delay_ms=500, backoff_factor=3, max_delay_ms=10_000)
        outcome = reported(running(attempt=attempt, policy=policy), status="failed", error=FAILURE)
        assert only(outcome, "set_timer")["due_at"] == NOW + round(seconds * SECOND)

    @pytest.mark.parametrize(("asked", "waits"), [(0, 0), (1_500, 1_500), (999_999, 300_000)])
    def test_the_handlers_wish_is_capped(self, asked: int, waits: int) -> None:
        outcome = reported(status="failed", error={**FAILURE, "retry_after_ms": asked})
        assert only(outcome, "set_timer")["due_at"] == NOW + waits * MILLISECOND
        assert error_of(outcome).retry_after_ms == asked

    def test_a_used_up_budget_pauses_by_default(self) -> None:
        outcome = reported(running(attempt=25), status="failed", error=FAILURE)
        write = moved(outcome)
        assert (write["status"], write["attempt"], write["ended_at"], write["holding"]) == ("paused", 25, 0, False)
        assert write["pause_reason"] == "retries_exhausted"
        assert outcome.wakes == (FREED, Ended("run_1", terminal=False))

    def test_a_used_up_budget_fails_where_asked(self) -> None:
        policy = RetryPolicy(max_attempts=2, on_exhausted="fail")
        outcome = reported(running(attempt=2, policy=policy), status="failed", error=FAILURE)
        write = moved(outcome)
        assert (write["status"], write["attempt"], write["ended_at"]) == ("failed", 2, NOW)
        assert outcome.wakes == (FREED, Ended("run_1"))

    @pytest.mark.parametrize("attempt", [1, 25])
    def test_a_failure_that_is_not_retryable_ends_it(self, attempt: int) -> None:
        error = {"message": "no", "code": "NON_RETRYABLE", "retryable": False}
        outcome = reported(running(attempt=attempt), status="failed", error=error)
        assert (moved(outcome)["status"], moved(outcome)["attempt"]) == ("failed", attempt)
        assert error_of(outcome) == Error(message="no", code="NON_RETRYABLE")

    @pytest.mark.parametrize("fields", [{}, {"error": None}])
    def test_a_missing_error_is_named_as_such(self, fields: dict[str, Any]) -> None:
        assert error_of(reported(status="failed", **fields)).message == "no error was given"


class TestYielded:
    def yielded(self, until: int, **fields: Any) -> Outcome:
        sleep = {"step_id": "run_1:cool\\:off:0", "type": "sleep", "until": format_instant(until)}
        return reported(status="yielded", yield_=sleep, **fields)

    def test_a_sleep_waits_until_its_time(self) -> None:
        outcome = self.yielded(NOW + 5 * SECOND, steps=[step()], step_offset=2)
        saved = named(outcome, "save_step")[1].parameters
        assert (saved["type"], saved["status"], saved["name"]) == ("sleep", "sleeping", "cool:off")
        assert (saved["sequence"], saved["sleep_until"], saved["started_at"]) == (3, NOW + 5 * SECOND, NOW)
        assert (saved["output"], saved["ended_at"]) == (None, 0)
        write = moved(outcome)
        assert (write["status"], write["attempt"]) == ("waiting", 1)
        wait = only(outcome, "set_timer")
        assert (wait["kind"], wait["due_at"]) == ("sleep", NOW + 5 * SECOND)
        assert wait["step_id"] == "run_1:cool\\:off:0"
        assert outcome.wakes == (FREED,)

    @pytest.mark.parametrize("ago", [0, 1, 3_600 * SECOND])
    def test_a_sleep_that_is_over_goes_on_at_once(self, ago: int) -> None:
        outcome = self.yielded(NOW - ago)
        saved = only(outcome, "save_step")
        assert (saved["status"], saved["output"], saved["ended_at"]) == ("completed", b"null", NOW)
        assert moved(outcome)["status"] == "waiting_for_capacity"
        assert named(outcome, "set_timer") == []
        assert outcome.wakes == (FREED, Runnable())

    def test_what_this_server_lacks_fails_the_run_and_says_so(self) -> None:
        wanted = {"step_id": "run_1:x:0", "type": "dance"}
        outcome = reported(status="yielded", steps=[step()], yield_=wanted)
        assert [write.query for write in outcome.writes] == ["save_step", "move_run"]
        error = error_of(outcome)
        assert (moved(outcome)["status"], error.code, error.retryable) == ("failed", "UNSUPPORTED", False)
        assert "'dance'" in error.message
        assert outcome.wakes == (FREED, Ended("run_1"))


class TestTime:
    @pytest.mark.parametrize("now", [NOW - 10 * SECOND, NOW - SECOND, NOW])
    def test_every_change_of_a_run_comes_after_the_one_before(self, now: int) -> None:
        run = running()
        outcome = reported(run, now=now, status="progress", steps=[step()])
        at = only(outcome, "touch_run")["now"]
        assert at > run.updated_at
        assert only(outcome, "save_step")["now"] == at
        later = msgspec.structs.replace(run, updated_at=at)
        assert moved(reported(later, now=now, status="completed"))["now"] > at

    def test_a_clock_set_back_never_takes_execution_time_away(self) -> None:
        run = running(claimed_at=NOW, updated_at=NOW, executed_ns=7)
        assert moved(reported(run, now=NOW - SECOND, status="completed"))["executed_ns"] >= 7

    def test_a_function_that_runs_too_long_fails(self) -> None:
        outcome = timed_out(Case(run=running(timeout_ms=1_500)), NOW, CountingIds())
        error = error_of(outcome)
        assert (moved(outcome)["status"], error.code) == ("failed", "TIMEOUT")
        assert "1.5 s" in error.message
        assert outcome.wakes == (Freed("run_1", 3, "w", revoked=True), Ended("run_1"))
