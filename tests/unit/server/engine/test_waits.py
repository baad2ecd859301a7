"""What runs wait for: how each wait begins, and what its end does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ironflow_lab.clock import MILLISECOND, SECOND
from ironflow_lab.models.runs import Error
from ironflow_lab.models.workers import JobUpdate
from ironflow_lab.server.engine.commands import Report
from ironflow_lab.server.engine.outcome import Ended, Freed, Outcome, Runnable
from ironflow_lab.server.engine.records import Case, FunctionState, ReportedRun, StepState
from ironflow_lab.server.engine.reports import report
from ironflow_lab.server.engine.waits import envelope, fields_of, matched, text_at
from ironflow_lab.testing import CountingIds
from ironflow_lab.wire import codec
from tests.unit.server.engine.states import (
    ENV,
    FENCE,
    NOW,
    event,
    function,
    named,
    only,
    resting,
    running,
    step_of,
    waiting,
)

DAY = 86_400 * SECOND


def yielded(
    type_: str, *, child: FunctionState | None = None, known: StepState | None = None, **fields: Any
) -> Outcome:
    """Return what a segment's yield does; `known` is the row its step has."""
    wanted = {"step_id": "run_1:nap:0", "type": type_, **fields}
    given = {"status": "yielded", "execution_seq": 3, "lease_token": FENCE.lease_token, "yield": wanted}
    update = codec.decode(msgspec.json.encode(given), JobUpdate)
    steps = {} if known is None else {"run_1:nap:0": known}
    state = ReportedRun(case=Case(run=running()), steps=steps, event=event(), child=child, next_sequence=4)
    return report(state, Report(env=ENV, worker_id="w", job_id="run_1.3", update=update), NOW, CountingIds())


def awaited(**given: Any) -> Outcome:
    return yielded("wait_for_event", event_filter={"event": "paid", **given})


def error_of(outcome: Outcome) -> Error:
    return codec.decode(only(outcome, "move_run")["error"], Error)


class TestEvents:
    def test_any_event_of_the_name(self) -> None:
        outcome = awaited(payload={"a": 1})
        step, timer = only(outcome, "save_step"), only(outcome, "set_timer")
        assert (step["type"], step["status"], step["wait_event"]) == ("wait_for_event", "waiting", "paid")
        assert (step["input"], step["wait_until"], step["sequence"]) == (b'{"a":1}', NOW + 7 * DAY, 4)
        assert (timer["kind"], timer["event"], timer["path"], timer["value"]) == ("event", "paid", "", "")
        assert (timer["due_at"], timer["held"], only(outcome, "move_run")["status"]) == (
            NOW + 7 * DAY,
            False,
            "waiting",
        )

    @pytest.mark.parametrize(
        ("given", "value"),
        [
            ({"match": "data.total"}, "5"),
            ({"match": "data.total", "match_value": "x"}, "x"),
            ({"match": "data.total", "match_value": ""}, ""),
            ({"match": "data.none", "match_value": True}, "true"),
            ({"match": "name"}, "order.placed"),
        ],
    )
    def test_the_expected_text_is_fixed_when_the_wait_begins(self, given: dict[str, Any], value: str) -> None:
        timer = only(awaited(**given), "set_timer")
        assert (timer["path"], timer["value"]) == (given["match"], value)

    def test_a_path_without_a_value_fails_the_run_and_says_so(self) -> None:
        outcome = awaited(match="data.none")
        assert (error_of(outcome).code, error_of(outcome).retryable) == ("MATCH_UNRESOLVED", False)
        assert "give match_value, or another path" in error_of(outcome).message
        assert named(outcome, "save_step") == named(outcome, "set_timer") == []

    @pytest.mark.parametrize(("timeout", "length"), [("30s", 30 * SECOND), ("0s", 0), (None, 7 * DAY), ("", 7 * DAY)])
    def test_its_timeout(self, timeout: str | None, length: int) -> None:
        assert only(awaited(timeout=timeout), "set_timer")["due_at"] == NOW + length

    @pytest.mark.parametrize(
        "given", [{"event": ""}, {"event": "order.*"}, {"event": "a b"}, {"timeout": "soon"}, {"timeout": "-1s"}]
    )
    def test_what_can_never_end_well_fails_the_run_instead_of_repeating(self, given: dict[str, Any]) -> None:
        outcome = awaited(**given)
        assert (only(outcome, "move_run")["status"], error_of(outcome).retryable) == ("failed", False)
        assert outcome.wakes == (Freed("run_1", 3, "w"), Ended("run_1"))

    def test_the_whole_event_is_the_steps_output(self) -> None:
        case = waiting("event", event="paid")
        outcome = matched(case, event(metadata=b'{"m":1}', emitted_by="key"), NOW, CountingIds()).outcome()
        ended = only(outcome, "end_step")
        assert (ended["status"], only(outcome, "move_run")["status"]) == ("completed", "waiting_for_capacity")
        assert msgspec.json.decode(ended["output"]) == {
            "id": "evt_1",
            "name": "order.placed",
            "data": {"total": 5},
            "timestamp": "2026-01-02T03:04:00Z",
            "version": 1,
            "source": "api",
            "emittedBy": "key",
            "metadata": {"m": 1},
        }
        assert outcome.wakes == (Runnable(),)

    def test_an_event_completes_the_step_of_a_held_run_and_leaves_it_held(self) -> None:
        outcome = matched(waiting("event", status="paused"), event(), NOW, CountingIds()).outcome()
        assert [write.query for write in outcome.writes] == ["end_step", "clear_timer", "touch_run"]
        assert outcome.wakes == ()

    def test_absent_fields_are_left_out(self) -> None:
        assert b"idempotency_key" not in envelope(event())
        assert b"metadata" not in envelope(event())

    @pytest.mark.parametrize(
        ("path", "text"), [("data.total", "5"), ("data.none", None), ("source", "api"), ("metadata.m", None)]
    )
    def test_paths_are_rooted_at_the_event(self, path: str, text: str | None) -> None:
        assert text_at(fields_of(event()), path) == text


class TestSleeps:
    def test_without_a_time_it_fails_the_run(self) -> None:
        assert "`until`" in error_of(yielded("sleep")).message

    def test_a_step_corrected_meanwhile_is_not_begun_again(self) -> None:
        outcome = yielded("sleep", known=step_of(), until="2030-01-01T00:00:00Z")
        assert [write.query for write in outcome.writes] == ["move_run"]
        assert only(outcome, "move_run")["status"] == "waiting_for_capacity"


class TestCalls:
    CHILD = function(id="g")

    def test_a_child_is_born_in_the_same_command(self) -> None:
        outcome = yielded("invoke_function", child=self.CHILD, function_id="g", input={"a": 1})
        row, born, timer = only(outcome, "save_step"), only(outcome, "insert_run"), only(outcome, "set_timer")
        assert (row["type"], row["status"], row["child_run_id"]) == ("invoke_function", "waiting", born["id"])
        assert (born["parent_run_id"], born["parent_step_id"]) == ("run_1", "run_1:nap:0")
        assert only(outcome, "insert_event")["data"] == b'{"a":1}'
        assert (timer["kind"], timer["child"], timer["due_at"]) == ("child", born["id"], NOW + 30 * SECOND)
        assert Runnable() in outcome.wakes

    @pytest.mark.parametrize(("asked", "length"), [(1_500, 1_500), (0, 30_000), (-1, 30_000)])
    def test_its_timeout(self, asked: int, length: int) -> None:
        outcome = yielded("invoke_function", child=self.CHILD, function_id="g", invoke_timeout_ms=asked)
        assert only(outcome, "set_timer")["due_at"] == NOW + length * MILLISECOND

    def test_an_asynchronous_call_goes_on_at_once(self) -> None:
        outcome = yielded("invoke_function_async", child=self.CHILD, function_id="g")
        row = only(outcome, "save_step")
        assert (row["status"], msgspec.json.decode(row["output"])) == ("completed", {"run_id": row["child_run_id"]})
        assert only(outcome, "insert_event")["data"] == b"null"
        assert (named(outcome, "set_timer"), only(outcome, "move_run")["status"]) == ([], "waiting_for_capacity")

    @pytest.mark.parametrize(
        ("child", "words"),
        [
            (None, "no function 'g' is registered in this environment"),
            (msgspec.structs.replace(CHILD, status="archived"), "make it active again"),
            (function("order.placed", id="g"), "needs a function without triggers"),
        ],
    )
    @pytest.mark.parametrize("how", ["", "_async"])
    def test_a_target_that_cannot_be_called_fails_the_step_and_the_run_goes_on(
        self, child: FunctionState | None, words: str, how: str
    ) -> None:
        outcome = yielded(f"invoke_function{how}", child=child, function_id="g")
        row = only(outcome, "save_step")
        assert (row["status"], named(outcome, "insert_run")) == ("failed", [])
        assert words in msgspec.json.decode(row["error"])["cause"]
        assert only(outcome, "move_run")["status"] == "waiting_for_capacity"

    def test_a_paused_target_is_called_and_waits_for_it(self) -> None:
        paused = msgspec.structs.replace(self.CHILD, status="paused")
        assert named(yielded("invoke_function", child=paused, function_id="g"), "insert_run")


class TestParents:
    def ended(self, status: str, *, parent: Case | None, **fields: Any) -> Outcome:
        given = {"status": status, "execution_seq": 3, "lease_token": FENCE.lease_token, **fields}
        update = codec.decode(msgspec.json.encode(given), JobUpdate)
        state = ReportedRun(case=Case(run=running(parent_run_id="run_0"), parent=parent))
        return report(state, Report(env=ENV, worker_id="w", job_id="run_1.3", update=update), NOW, CountingIds())

    def parent(self, status: str = "waiting") -> Case:
        case = waiting("child", status=status, child="run_1", child_function="f")
        return msgspec.structs.replace(case, run=resting(status, id="run_0"))

    def test_a_parent_goes_on_with_the_output(self) -> None:
        outcome = self.ended("completed", parent=self.parent(), output={"a": 1})
        ended = only(outcome, "end_step")
        assert (ended["run_id"], ended["status"], ended["output"]) == ("run_0", "completed", b'{"a":1}')
        moved = [(write.parameters["id"], write.parameters["status"]) for write in named(outcome, "move_run")]
        assert moved == [("run_1", "completed"), ("run_0", "waiting_for_capacity")]
        assert outcome.wakes == (Freed("run_1", 3, "w"), Ended("run_1"), Runnable())

    def test_or_with_the_failure(self) -> None:
        error = {"message": "boom", "retryable": False}
        fault = only(self.ended("failed", parent=self.parent(), error=error), "end_step")["error"]
        assert msgspec.json.decode(fault) == {
            "message": "boom",
            "function_id": "f",
            "child_run_id": "run_1",
            "cause": "boom",
        }

    def test_a_held_parent_stays_held(self) -> None:
        outcome = self.ended("completed", parent=self.parent("paused"))
        assert [write.parameters["id"] for write in named(outcome, "move_run")] == ["run_1"]
        assert only(outcome, "clear_timer") == {"run_id": "run_0"}

    def test_a_retry_is_no_end(self) -> None:
        outcome = self.ended("failed", parent=self.parent(), error={"message": "boom", "retryable": True})
        assert named(outcome, "end_step") == []

    def test_a_parent_that_no_longer_waits_hears_nothing(self) -> None:
        assert named(self.ended("completed", parent=None), "end_step") == []
