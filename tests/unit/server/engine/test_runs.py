"""What operators do to runs: each step taken, and each refusal with its words."""

from __future__ import annotations

from typing import Any

import pytest

from ironflow_lab.clock import SECOND
from ironflow_lab.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from ironflow_lab.server.engine.commands import CancelRun, InjectOutput, PatchStep, PauseRun, ResumeRun
from ironflow_lab.server.engine.outcome import Ended, Freed, Outcome, Pausing, Runnable
from ironflow_lab.server.engine.records import Case, CorrectedStep, ResumedRun, RunState, StepState
from ironflow_lab.server.engine.runs import cancel, inject, patch, pause, resume
from ironflow_lab.testing import CountingIds
from tests.unit.server.engine.states import ENV, NOW, named, only, resting, running, step_of, waiting

TERMINAL = ["completed", "failed", "cancelled"]


def case(run: RunState | None) -> Case | None:
    return None if run is None else Case(run=run)


class TestCancel:
    def cancelled(self, run: RunState | None, reason: str = "") -> Outcome:
        return cancel(case(run), CancelRun(env=ENV, run_id="run_1", reason=reason), NOW, CountingIds())

    def test_a_running_run_ends_and_its_worker_is_told(self) -> None:
        outcome = self.cancelled(running(executed_ns=SECOND), "no longer wanted")
        moved = only(outcome, "move_run")
        assert (moved["status"], moved["cause"], moved["ended_at"]) == ("cancelled", "no longer wanted", NOW)
        assert moved["executed_ns"] == 2 * SECOND
        assert outcome.wakes == (Freed("run_1", 3, "w", revoked=True), Ended("run_1"))
        assert outcome.answer == "run_1"

    @pytest.mark.parametrize("status", ["waiting_for_capacity", "waiting", "paused"])
    def test_a_resting_run_just_ends(self, status: str) -> None:
        outcome = self.cancelled(resting(status, executed_ns=SECOND))
        moved = only(outcome, "move_run")
        assert (moved["status"], moved["executed_ns"]) == ("cancelled", SECOND)
        assert moved["cause"] == "cancelled by request"
        assert outcome.wakes == (Ended("run_1"),)

    def test_a_parent_that_waits_for_it_goes_on_with_the_cause(self) -> None:
        parent = waiting("child", child="run_1")
        outcome = cancel(
            Case(run=resting("waiting_for_capacity", id="run_1"), parent=parent),
            CancelRun(env=ENV, run_id="run_1", reason="enough"),
            NOW,
            CountingIds(),
        )
        assert b'"run run_1 was cancelled: enough"' in only(outcome, "end_step")["error"]
        assert outcome.wakes == (Ended("run_1"), Runnable())

    @pytest.mark.parametrize("status", TERMINAL)
    def test_an_ended_run_is_refused(self, status: str) -> None:
        with pytest.raises(FailedPreconditionError, match=r"has already .*cannot be cancelled"):
            self.cancelled(resting(status))

    def test_an_unknown_run_or_another_environments_is_not_found(self) -> None:
        with pytest.raises(NotFoundError, match="'run_1'"):
            self.cancelled(None)
        with pytest.raises(NotFoundError, match="'run_1'"):
            self.cancelled(running(env="env_other"))


class TestPause:
    def paused(self, state: Case | None) -> Outcome:
        return pause(state, PauseRun(env=ENV, run_id="run_1"), NOW, CountingIds())

    def test_what_executes_is_asked(self) -> None:
        outcome = self.paused(case(running()))
        assert [write.query for write in outcome.writes] == ["ask_to_pause"]
        assert (outcome.answer.status, outcome.wakes) == ("pause_requested", (Pausing("run_1", 3, "w"),))

    def test_asking_again_changes_nothing(self) -> None:
        again = self.paused(case(running(pause_requested=True)))
        assert (again.answer.status, again.writes, again.wakes) == ("pause_requested", (), ())
        held = self.paused(case(resting("paused", pause_reason="injection")))
        assert (held.answer.status, held.writes, held.wakes) == ("paused", (), ())

    def test_what_is_queued_is_held_at_once(self) -> None:
        outcome = self.paused(case(resting("waiting_for_capacity")))
        assert (only(outcome, "move_run")["status"], outcome.answer.status) == ("paused", "paused")
        assert outcome.wakes == (Ended("run_1", terminal=False),)

    @pytest.mark.parametrize("kind", ["sleep", "event", "child"])
    def test_what_waits_keeps_its_wait_without_its_time(self, kind: str) -> None:
        outcome = self.paused(waiting(kind))
        assert [write.query for write in outcome.writes] == ["hold_timer", "move_run"]
        assert only(outcome, "hold_timer")["held"] is True

    def test_a_delay_before_a_retry_is_over(self) -> None:
        outcome = self.paused(waiting("retry"))
        assert [write.query for write in outcome.writes] == ["clear_timer", "move_run"]

    @pytest.mark.parametrize("status", TERMINAL)
    def test_an_ended_run_is_refused(self, status: str) -> None:
        with pytest.raises(FailedPreconditionError, match=r"has already .*nothing to pause"):
            self.paused(case(resting(status)))

    def test_an_unknown_run_is_not_found(self) -> None:
        with pytest.raises(NotFoundError, match="'run_1'"):
            self.paused(None)


class TestCorrections:
    def state(self, run: RunState | None, step: StepState | None) -> CorrectedStep:
        return CorrectedStep(run=run, step_id="run_1:nap:0" if step else "", step=step)

    def injected(self, run: RunState | None, step: StepState | None) -> Outcome:
        command = InjectOutput(env=ENV, run_id="run_1", step_id="run_1:nap:0", output=b"2", reason="r")
        return inject(self.state(run, step), command, NOW, CountingIds())

    def patched(self, run: RunState | None, step: StepState | None) -> Outcome:
        command = PatchStep(env=ENV, step_id="run_1:nap:0", output=b"2", reason="r")
        return patch(self.state(run, step), command, NOW, CountingIds())

    @pytest.mark.parametrize(("status", "before"), [("completed", b"1"), ("failed", b"null"), ("timed_out", b"null")])
    def test_an_injection_answers_with_what_was_there(self, status: str, before: bytes) -> None:
        outcome = self.injected(resting("paused"), step_of(status))
        assert [write.query for write in outcome.writes] == ["correct_step", "touch_run"]
        assert (only(outcome, "correct_step")["patched"], outcome.answer.previous_output) == (False, before)

    @pytest.mark.parametrize("status", ["waiting_for_capacity", "running", "waiting", *TERMINAL])
    def test_an_injection_needs_a_paused_run(self, status: str) -> None:
        with pytest.raises(FailedPreconditionError, match=f"is {status}, .*pause it first, or patch the step"):
            self.injected(resting(status), step_of())

    @pytest.mark.parametrize("status", ["waiting_for_capacity", "running", "waiting", "paused", *TERMINAL])
    def test_a_patch_takes_any_run(self, status: str) -> None:
        outcome = self.patched(resting(status), step_of("failed"))
        written = only(outcome, "correct_step")
        assert (written["output"], written["patched"], written["by"]) == (b"2", True, "operator")
        assert (outcome.answer, outcome.wakes) == (("run_1", "run_1:nap:0"), ())

    @pytest.mark.parametrize("status", ["pending", "running", "sleeping", "waiting"])
    def test_an_unfinished_step_has_no_output(self, status: str) -> None:
        words = f"step 'nap' is {status}; only a completed or a failed step"
        with pytest.raises(FailedPreconditionError, match=words):
            self.injected(resting("paused"), step_of(status))
        with pytest.raises(FailedPreconditionError, match=words):
            self.patched(resting("paused"), step_of(status))

    def test_what_is_not_there_is_not_found(self) -> None:
        for run in (None, running(env="env_other")):
            with pytest.raises(NotFoundError, match="no step 'run_1:nap:0' in this environment"):
                self.patched(run, step_of())
            with pytest.raises(NotFoundError, match="no run 'run_1'"):
                self.injected(run, step_of())
        with pytest.raises(NotFoundError, match="no step 'run_1:nap:0' in this run"):
            self.injected(resting("paused"), None)


def steps(*given: tuple[str, StepState]) -> tuple[tuple[str, str, StepState], ...]:
    """Return steps by name, in order."""
    return tuple(
        (f"run_1:{name}:{index}", f"step_{index}", _placed(step, name, index))
        for index, (name, step) in enumerate(given)
    )


def _placed(step: StepState, name: str, index: int) -> StepState:
    fields = {field: getattr(step, field) for field in step.__struct_fields__}
    return StepState(**fields | {"name": name, "sequence": index})


class TestResume:
    HELD = resting("paused", pause_reason="injection", attempt=3, executed_ns=SECOND)

    def resumed(self, state: Case | None, from_step: str = "", known: Any = ()) -> Outcome:
        command = ResumeRun(env=ENV, run_id="run_1", from_step=from_step)
        return resume(ResumedRun(case=state, steps=known), command, NOW, CountingIds())

    def discarded(self, outcome: Outcome) -> list[str]:
        return [write.parameters["step_id"].split(":")[1] for write in named(outcome, "discard_step")]

    def test_what_an_operator_held_goes_on_where_it_was(self) -> None:
        outcome = self.resumed(case(self.HELD))
        moved = only(outcome, "move_run")
        assert (moved["status"], moved["attempt"], moved["executed_ns"]) == ("waiting_for_capacity", 3, SECOND)
        assert (moved["pause_reason"], moved["resume_from"]) == ("", "")
        assert (outcome.answer, outcome.wakes) == ("run_1", (Runnable(),))

    @pytest.mark.parametrize("before", [("failed", ""), ("paused", "retries_exhausted")])
    def test_a_spent_budget_begins_anew(self, before: tuple[str, str]) -> None:
        run = resting(before[0], pause_reason=before[1], attempt=25, executed_ns=SECOND)
        moved = only(self.resumed(case(run)), "move_run")
        assert (moved["attempt"], moved["executed_ns"], moved["ended_at"]) == (1, 0, 0)

    def test_a_wait_that_stands_is_taken_up_again(self) -> None:
        outcome = self.resumed(waiting("sleep", status="paused"))
        assert [write.query for write in outcome.writes] == ["hold_timer", "move_run"]
        assert (only(outcome, "hold_timer")["held"], only(outcome, "move_run")["status"]) == (False, "waiting")
        assert outcome.wakes == ()

    def test_from_a_step_it_and_everything_later_runs_again(self) -> None:
        known = steps(("a", step_of()), ("b", step_of()), ("c", step_of("failed")), ("d", step_of("pending")))
        for wanted in ("run_1:b:1", "step_1", "b"):
            outcome = self.resumed(case(self.HELD), wanted, known)
            assert self.discarded(outcome) == ["b", "c"]
            assert only(outcome, "move_run")["resume_from"] == "run_1:b:1"

    @pytest.mark.parametrize("kept", [{"patched_at": NOW}, {"injected": True}])
    def test_a_corrected_step_is_kept_and_what_is_later_is_not(self, kept: dict[str, Any]) -> None:
        known = steps(("a", step_of()), ("b", step_of(**kept)), ("c", step_of(**kept)))
        assert self.discarded(self.resumed(case(self.HELD), "b", known)) == ["c"]

    def test_a_wait_that_is_thrown_away_is_over(self) -> None:
        known = steps(("nap", step_of("sleeping")))
        outcome = self.resumed(waiting("sleep", status="paused"), "nap", known)
        assert [write.query for write in outcome.writes] == ["clear_timer", "discard_step", "move_run"]
        assert only(outcome, "move_run")["status"] == "waiting_for_capacity"

    @pytest.mark.parametrize(
        ("last", "again"),
        [
            (step_of("failed", type="invoke_function"), ["b"]),
            (step_of("completed", type="invoke_function"), []),
            (step_of("failed"), []),
            (step_of("failed", type="compensate"), []),
        ],
    )
    def test_the_call_a_run_failed_on_is_made_again(self, last: StepState, again: list[str]) -> None:
        known = steps(("a", step_of()), ("b", last))
        assert self.discarded(self.resumed(case(resting("failed")), "", known)) == again

    @pytest.mark.parametrize(
        ("status", "words"),
        [
            ("completed", "has already completed"),
            ("cancelled", "has already been cancelled"),
            ("running", "is running"),
            ("waiting", "is waiting"),
            ("waiting_for_capacity", "is waiting for capacity"),
        ],
    )
    def test_any_other_run_is_refused(self, status: str, words: str) -> None:
        with pytest.raises(FailedPreconditionError, match=f"{words}; only a paused or a failed run can be resumed"):
            self.resumed(case(resting(status)))

    def test_a_step_must_be_one_and_there(self) -> None:
        twice = steps(("a", step_of()), ("a", step_of()))
        with pytest.raises(InvalidArgumentError, match="2 steps named 'a'; name one by its id: run_1:a:0, run_1:a:1"):
            self.resumed(case(self.HELD), "a", twice)
        with pytest.raises(NotFoundError, match="no step 'z' to resume from"):
            self.resumed(case(self.HELD), "z", twice)
        with pytest.raises(NotFoundError, match="'run_1'"):
            self.resumed(None)
