"""Changes of one run: rows and audit events from one call, a nanosecond apart where they are recorded."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ironflow_lab.clock import SECOND
from ironflow_lab.server.engine.outcome import Outcome, Runnable, Write
from ironflow_lab.server.engine.records import StepState
from ironflow_lab.server.engine.writes import Changes, create
from ironflow_lab.testing import CountingIds
from tests.unit.server.engine.states import ENV, NOW, event, function, named, running, step_of


def changes(recording: str = "all", *, steps: dict[str, StepState] | None = None, **run: Any) -> Changes:
    return Changes(running(recording=recording, **run), NOW, CountingIds(), steps=steps)


def row(name: str = "a", **fields: Any) -> dict[str, Any]:
    return {
        "run_id": "run_1",
        "step_id": f"run_1:{name}:0",
        "id": "step_1",
        "name": name,
        "type": "invoke",
        "status": "completed",
        "sequence": 0,
        "attempt": 1,
        "output": b"1",
        "error": None,
        "started_at": NOW - SECOND,
        "ended_at": NOW,
        "duration_ms": 1_000,
        "sleep_until": 0,
        "compensation_for": "",
        "wait_event": "",
        "wait_until": 0,
        "child_run_id": "",
        "original_output": None,
        "patched_at": 0,
        "injected": False,
        **fields,
    }


def told(made: Changes) -> list[tuple[str, int]]:
    return [(one.parameters["type"], one.parameters["at"]) for one in events(made)]


def events(made: Changes) -> list[Write]:
    return named(Outcome(None, made.writes), "insert_audit")


def payload(made: Changes) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(events(made)[-1].parameters["payload"])
    return found


def now_of(made: Changes, query: str) -> list[int]:
    return [write.parameters["now"] for write in named(Outcome(None, made.writes), query)]


class TestTime:
    def test_events_come_a_nanosecond_apart_and_the_run_follows_the_last(self) -> None:
        made = changes()
        made.save(row())
        made.save(row("b"))
        made.move("completed", "completed", output=b"null")
        kinds = ["step.started", "step.completed"] * 2 + ["run.status_changed"]
        assert told(made) == [(kind, NOW + index) for index, kind in enumerate(kinds)]
        assert now_of(made, "save_step") == [NOW + 1, NOW + 3]
        assert now_of(made, "move_run") == [NOW + 4]

    def test_an_unrecorded_run_changes_at_once(self) -> None:
        made = changes("")
        made.save(row())
        made.move("completed", "completed", output=b"null")
        assert [write.query for write in made.writes] == ["save_step", "move_run"]
        assert now_of(made, "save_step") == now_of(made, "move_run") == [NOW]

    @pytest.mark.parametrize("recording", ["", "all"])
    def test_a_clock_that_stands_or_goes_back_is_overtaken(self, recording: str) -> None:
        made = changes(recording, updated_at=NOW + 7)
        made.move("completed", "completed")
        assert now_of(made, "move_run") == [NOW + 8]

    def test_an_end_is_the_instant_of_its_event(self) -> None:
        made = changes()
        made.save(row())
        made.move("failed", "failed")
        (end,) = named(Outcome(None, made.writes), "move_run")
        assert end.parameters["ended_at"] == NOW + 2

    def test_a_run_without_step_events_loses_no_time_to_them(self) -> None:
        made = changes("run_lifecycle")
        made.save(row())
        made.move("completed", "completed")
        assert told(made) == [("run.status_changed", NOW)]


class TestSteps:
    def test_a_known_step_that_is_the_same_writes_nothing(self) -> None:
        made = changes(steps={"run_1:a:0": StepState.of(row())})
        made.save(row(id="step_2"))
        assert made.writes == ()

    def test_a_step_named_twice_in_one_report_is_known_the_second_time(self) -> None:
        made = changes()
        made.save(row())
        made.save(row())
        assert len(events(made)) == 2

    @pytest.mark.parametrize("change", [{"output": b"2"}, {"attempt": 2}, {"status": "failed", "error": b"{}"}])
    def test_a_completed_step_stays_as_it_is(self, change: dict[str, Any]) -> None:
        made = changes(steps={"run_1:a:0": StepState.of(row())})
        made.save(row(**change))
        assert made.writes == ()

    @pytest.mark.parametrize(
        ("change", "kinds"),
        [
            ({"attempt": 2}, ["step.started", "step.failed"]),
            ({"started_at": NOW}, ["step.started", "step.failed"]),
            ({"status": "completed", "error": None, "output": b"2"}, ["step.started", "step.completed"]),
            ({"error": b"[]"}, ["step.failed"]),
            ({"ended_at": NOW + 1}, ["step.failed"]),
            ({"duration_ms": 7}, ["step.failed"]),
        ],
    )
    def test_what_has_changed_is_told(self, change: dict[str, Any], kinds: list[str]) -> None:
        failed: dict[str, Any] = {"status": "failed", "error": b"{}", "output": None}
        made = changes(steps={"run_1:a:0": StepState.of(row(**failed))})
        made.save(row(**failed | change))
        assert [kind for kind, _ in told(made)] == kinds
        assert events(made)[0].parameters["step_id"] == "run_1:a:0"

    def test_a_sleep_begins_and_ends(self) -> None:
        made = changes()
        nap = row("nap", type="sleep", status="sleeping", output=None, ended_at=0, duration_ms=0, sleep_until=NOW + 9)
        made.save(nap)
        assert told(made) == [("step.started", NOW)]
        assert payload(made)["until"] == "2026-01-02T03:04:05.000000009Z"
        began = step_of("sleeping", started_at=NOW - 3 * SECOND)
        made.end_wait("run_1:nap:0", began, "completed", output=b"null")
        assert told(made)[1:] == [("step.completed", NOW + 1)]
        assert payload(made) == {
            "stepId": "run_1:nap:0",
            "output": None,
            "durationMs": 3_000,
            "endedAt": "2026-01-02T03:04:05.000000001Z",
        }
        (ended,) = named(Outcome(None, made.writes), "end_step")
        assert ended.parameters["ended_at"] == NOW + 1

    def test_a_wait_that_began_after_the_clock_went_back_took_no_time(self) -> None:
        made = changes()
        made.end_wait("run_1:nap:0", step_of("sleeping", started_at=NOW + SECOND), "completed", output=b"null")
        assert payload(made)["durationMs"] == 0


class TestCorrections:
    def corrected(self, step: StepState, *, patched: bool = True) -> Changes:
        made = changes(status="paused")
        made.correct("run_1:nap:0", step, b"2", by="operator", reason="r", patched=patched)
        return made

    def kept(self, made: Changes) -> Any:
        (write,) = named(Outcome(None, made.writes), "correct_step")
        return write.parameters["original"]

    @pytest.mark.parametrize("patched", [True, False])
    def test_the_first_output_is_kept(self, patched: bool) -> None:
        assert self.kept(self.corrected(step_of(output=b"1"), patched=patched)) == b"1"
        again = step_of(output=b"5", original_output=b"1", patched_at=NOW - 1)
        assert self.kept(self.corrected(again, patched=patched)) == b"1"

    @pytest.mark.parametrize("before", [{"patched_at": NOW - 1}, {"injected": True}])
    def test_a_step_that_had_none_keeps_none(self, before: dict[str, Any]) -> None:
        assert self.kept(self.corrected(step_of("failed"))) is None
        made = self.corrected(step_of(output=b"5", **before))
        assert self.kept(made) is None
        assert "originalOutput" not in payload(made)

    def test_a_patch_and_an_injection_are_told_apart(self) -> None:
        patched, injected = self.corrected(step_of()), self.corrected(step_of(), patched=False)
        assert (told(patched)[0][0], payload(patched)["patchedOutput"]) == ("step.patched", 2)
        assert (told(injected)[0][0], payload(injected)["newOutput"]) == ("step.injected", 2)
        assert payload(injected)["previousOutput"] == 1

    def test_a_profile_without_steps_tells_of_neither(self) -> None:
        made = changes("run_lifecycle", status="paused")
        made.correct("run_1:nap:0", step_of(), b"2", by="operator", reason="r", patched=True)
        made.discard("run_1:nap:0", "resumed")
        assert [write.query for write in made.writes] == ["correct_step", "discard_step"]


class TestHolding:
    """Whether a paused run keeps its place in a lane (ruling 29)."""

    @pytest.mark.parametrize(
        ("run", "kept"),
        [
            ({}, True),
            ({"pause_holds": False}, False),
            ({"status": "waiting_for_capacity"}, False),
            ({"status": "waiting_for_capacity", "holding": True}, True),
            ({"status": "waiting"}, False),
        ],
    )
    def test_only_what_had_one_and_whose_function_says_so(self, run: dict[str, Any], kept: bool) -> None:
        made = changes(lane_limit=1, **run)
        made.hold()
        assert self.moved(made)["holding"] is kept

    def test_a_used_up_budget_keeps_none(self) -> None:
        made = changes(lane_limit=1)
        made.move("paused", "retries_exhausted")
        assert self.moved(made)["holding"] is False
        assert Runnable() in made.wakes

    @pytest.mark.parametrize(("status", "kept"), [("waiting_for_capacity", True), ("waiting", False)])
    def test_a_resumed_run_keeps_it_in_the_queue_and_not_in_a_wait(self, status: str, kept: bool) -> None:
        made = changes(status="paused", pause_reason="injection", holding=True, lane_limit=1)
        made.resume(status, fresh=False)
        assert self.moved(made)["holding"] is kept
        assert made.wakes == (Runnable(),)

    def moved(self, made: Changes) -> dict[str, Any]:
        (write,) = named(Outcome(None, made.writes), "move_run")
        return write.parameters


class TestRun:
    def test_a_claim_names_its_worker(self) -> None:
        made = changes(status="waiting_for_capacity")
        made.claim(4, "token", "w2")
        said = payload(made)
        assert (said["oldStatus"], said["newStatus"]) == ("waiting_for_capacity", "running")
        assert (said["reason"], said["workerId"]) == ("claimed", "w2")

    def test_a_restart_is_told_though_the_status_stays(self) -> None:
        made = changes()
        made.recount(5)
        assert (payload(made)["newStatus"], payload(made)["reason"]) == ("running", "restarted")
        assert now_of(made, "recount_run") == [NOW]

    def test_execution_time_counts_from_the_claim(self) -> None:
        made = changes(executed_ns=7)
        assert made.executed() == 7 + SECOND
        assert made.executed(NOW - SECOND // 2) == 7 + SECOND // 2
        assert made.executed(NOW - 9 * SECOND) == 7

    def test_a_request_to_pause_is_told_and_leaves_the_status(self) -> None:
        made = changes()
        made.ask_to_pause()
        assert told(made) == [("run.status_changed", NOW)]
        assert (payload(made)["oldStatus"], payload(made)["newStatus"]) == ("running", "running")
        assert payload(made)["reason"] == "pause_requested"

    @pytest.mark.parametrize(
        ("status", "after", "reason", "cleared"),
        [
            ("waiting", "waiting_for_capacity", "woken", True),
            ("waiting", "paused", "injection", False),
            ("paused", "cancelled", "cancelled", True),
            ("running", "waiting", "sleep", False),
        ],
    )
    def test_a_wait_ends_with_the_status_unless_it_is_held(
        self, status: str, after: str, reason: str, cleared: bool
    ) -> None:
        made = changes(status=status)
        made.move(after, reason)
        assert bool(named(Outcome(None, made.writes), "clear_timer")) is cleared


class TestCreate:
    def created(self, **definition: Any) -> tuple[Write, ...]:
        return create("run_1", event(at=NOW), function("order.placed", **definition), ENV, CountingIds())

    def test_an_unrecorded_run_is_one_row(self) -> None:
        (row,) = self.created()
        assert (row.query, row.parameters["recording"]) == ("insert_run", "")

    @pytest.mark.parametrize(("profile", "kept"), [("", "all"), ("run_lifecycle", "run_lifecycle")])
    def test_a_recorded_run_keeps_the_profile_and_tells_its_birth(self, profile: str, kept: str) -> None:
        row, born = self.created(recording=True, recordingProfile=profile)
        assert row.parameters["recording"] == kept
        assert (born.parameters["type"], born.parameters["at"]) == ("run.created", NOW)
        assert msgspec.json.decode(born.parameters["payload"])["input"] == {"total": 5}

    def test_a_child_tells_of_its_parent_and_a_lane_is_fixed(self) -> None:
        function_ = function("order.placed", recording=True, concurrency={"limit": 3, "key": "total"})
        row, born = create("run_2", event(at=NOW), function_, ENV, CountingIds(), "run_1", "run_1:call:0")
        assert (row.parameters["parent_run_id"], row.parameters["parent_step_id"]) == ("run_1", "run_1:call:0")
        assert (row.parameters["lane"], row.parameters["lane_limit"], row.parameters["pause_holds"]) == ("5", 3, True)
        said = msgspec.json.decode(born.parameters["payload"])
        assert (said["parentRunId"], said["parentStepId"]) == ("run_1", "run_1:call:0")
