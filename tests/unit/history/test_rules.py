"""What each kind of event makes of a run and of a step."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.history.fold import History
from ironflow_lab.history.snapshot import Snapshot, StepState
from ironflow_lab.models.instant import Instant, format_instant
from tests.unit.history.stories import RUN, T0, Story, json_values

MS = 1_000_000


def after(story: Story) -> Snapshot:
    history = History(RUN, story.events)
    return history.at_position(history.length)


def test_creation_gives_status_input_and_the_first_attempt() -> None:
    state = after(Story().created(7, input=[1]))
    assert (state.status, state.attempt, state.input) == ("waiting_for_capacity", 1, [1])
    assert state.created_at == T0 + 7 * MS
    assert after(Story().created(0, status="running", attempt=3)).run.status == "running"


def test_a_change_of_status_keeps_what_it_does_not_tell() -> None:
    story = Story().created().moved(1, "running", workerId="w")
    assert after(story).run.worker_id == "w"
    state = after(story.moved(2, "waiting", "retry", error={"message": "no"}, attempt=2))
    assert (state.status, state.attempt, state.error, state.run.worker_id) == ("waiting", 2, {"message": "no"}, "")
    assert after(story.moved(3, "running")).error == {"message": "no"}
    done = after(story.moved(4, "completed", output=None))
    assert (done.output, done.error, done.attempt, done.input) == (None, msgspec.UNSET, 2, {"n": 1})


def test_a_pause_and_a_resumption_are_changes_of_status() -> None:
    story = Story().created().tell(1, "run.paused", {"oldStatus": "running", "newStatus": "paused"})
    assert after(story).status == "paused"
    assert after(story.tell(2, "run.resumed", {"newStatus": "running"})).status == "running"


@pytest.mark.parametrize(
    ("kind", "status"),
    [("invoke", "running"), ("sleep", "sleeping"), ("wait_for_event", "waiting"), ("invoke_function", "waiting")],
)
def test_a_step_is_under_way_by_its_kind(kind: str, status: str) -> None:
    until = format_instant(T0 + 9 * MS)
    step = after(Story().created().started(1, "a", kind=kind, attempt=2, until=until)).step("a")
    assert (step.status, step.type, step.attempt, step.sequence) == (status, kind, 2, 0)
    assert (step.started_at, step.completed_at, step.duration_ms, step.until) == (T0 + MS, 0, None, T0 + 9 * MS)


def test_a_worker_knows_best_when_its_step_began_and_ended() -> None:
    began, ended = format_instant(T0 + 100), format_instant(T0 + 300)
    step = after(Story().created().started(1, "a", startedAt=began).completed(2, "a", 1, endedAt=ended)).step("a")
    assert (step.started_at, step.completed_at, step.duration_ms) == (T0 + 100, T0 + 300, 5)


def test_another_attempt_clears_what_the_one_before_left() -> None:
    story = Story().created().started(1, "a", attempt=1).failed(2, "a", {"message": "no"}, attempt=1)
    failed = after(story).step("a")
    assert (failed.status, failed.error, failed.output, failed.attempt) == (
        "failed",
        {"message": "no"},
        msgspec.UNSET,
        1,
    )
    again = after(story.started(3, "a", attempt=2)).step("a")
    assert (again.status, again.error, again.completed_at, again.attempt) == ("running", msgspec.UNSET, 0, 2)
    done = after(story.completed(4, "a", {"x": 1})).step("a")
    assert (done.status, done.output, done.error) == ("completed", {"x": 1}, msgspec.UNSET)


def test_an_attempt_that_nobody_counted_is_counted() -> None:
    step = after(Story().created().started(1, "a").failed(2, "a", 1, attempt=1).started(3, "a")).step("a")
    assert step.attempt == 2


@pytest.mark.parametrize("end", ["completed", "failed", "patched", "injected"])
def test_a_step_that_never_started_appears_all_the_same(end: str) -> None:
    story = Story().created()
    told = (1, "a", 1) if end in ("completed", "failed") else (1, "a", 1, 2)
    step = after(getattr(story, end)(*told)).step("a")
    assert (step.name, step.type, step.sequence) == ("a", "invoke", 0)
    assert step.status == ("failed" if end == "failed" else "completed")


def test_a_patch_keeps_the_very_first_output() -> None:
    story = Story().created().started(1, "a").completed(2, "a", 1)
    once = after(story.patched(3, "a", 1, 2, patchedBy="ada", reason="typo")).step("a")
    assert (once.output, once.original_output, once.patched, once.by, once.reason) == (2, 1, True, "ada", "typo")
    twice = after(story.injected(4, "a", 2, 3, injectedBy="bob")).step("a")
    assert (twice.output, twice.original_output, twice.patched, twice.injected, twice.by) == (3, 1, True, True, "bob")
    assert twice.completed_at == T0 + 2 * MS


def test_a_correction_of_a_failed_step_leaves_no_error() -> None:
    for correct in (Story.patched, Story.injected):
        story = Story().created().started(1, "a").failed(2, "a", {"message": "no"})
        step = after(correct(story, 3, "a", None, 2)).step("a")
        assert (step.status, step.output, step.error, step.completed_at) == ("completed", 2, msgspec.UNSET, T0 + 2 * MS)


def test_a_step_that_had_no_output_has_no_original_one() -> None:
    story = Story().created().started(1, "a").failed(2, "a", {"message": "no"})
    step = after(story.tell(3, "step.patched", {"patchedOutput": 2}, step="run_1:a:0")).step("a")
    assert (step.output, step.original_output, step.patched) == (2, msgspec.UNSET, True)
    again = after(story.patched(4, "a", 2, 3).injected(5, "a", 3, 4)).step("a")
    assert (again.output, again.original_output) == (4, msgspec.UNSET)


def test_a_discarded_step_has_not_begun_and_begins_without_its_corrections() -> None:
    story = Story().created().started(1, "a", kind="wait_for_event", event="e", match="m", value=1, attempt=2)
    story.completed(2, "a", 1).patched(3, "a", 1, 2, patchedBy="ada", reason="typo").started(4, "b")
    pending = after(story.discarded(5, "a")).step("a")
    assert pending == StepState(
        step_id="run_1:a:0", label="a", name="a", type="wait_for_event", sequence=0, status="pending", attempt=2
    )
    again = after(story.started(6, "a", attempt=1).completed(7, "a", 3)).step("a")
    assert (again.output, again.original_output, again.patched, again.by, again.attempt) == (
        3,
        msgspec.UNSET,
        False,
        "",
        1,
    )


def test_what_a_step_waits_for() -> None:
    waits: dict[str, Any] = {
        "event": "order.paid",
        "match": "data.token",
        "value": "t",
        "until": format_instant(T0 + 9),
    }
    step = after(Story().created().started(1, "a", kind="wait_for_event", **waits)).step("a")
    assert (step.event, step.match, step.until) == ("order.paid", {"data.token": "t"}, T0 + 9)
    assert after(Story().created().started(1, "a", event="e", value="t")).step("a").match is msgspec.UNSET
    child: dict[str, Any] = {"childRunId": "run_2", "functionId": "ship", "input": None}
    step = after(Story().created().started(1, "a", kind="invoke_function", **child)).step("a")
    assert (step.child_run_id, step.function_id, step.input) == ("run_2", "ship", None)
    assert after(Story().created().started(1, "a", **child).started(2, "a")).step("a").child_run_id == ""


def test_a_wait_that_timed_out_says_so() -> None:
    step = after(Story().created().started(1, "a").failed(2, "a", {"message": "late"}, rowStatus="timed_out")).step("a")
    assert (step.status, step.error) == ("timed_out", {"message": "late"})


def test_a_compensation_is_a_step_of_its_own() -> None:
    story = Story().created().started(1, "a").completed(2, "a", 1).undoing(3, "a", attempt=2)
    undoing = after(story).step("compensate:a")
    assert (undoing.type, undoing.status, undoing.attempt, undoing.compensation_for) == (
        "compensate",
        "running",
        2,
        "a",
    )
    undone = after(story.undone(4, "a")).step("compensate:a")
    assert (undone.status, undone.output, undone.duration_ms) == ("completed", None, 4)
    story.tell(5, "step.discarded", step="run_1:compensate:a:0")
    assert after(story).step("compensate:a").compensation_for == "a"
    failed = after(Story().created().undoing(1, "a").not_undone(2, "a", {"message": "no"})).step("compensate:a")
    assert (failed.status, failed.error) == ("failed", {"message": "no"})


@pytest.mark.parametrize("payload", [{}, {"stepId": "run_1:compensate:a:0", "compensationTargetStep": "a"}])
def test_a_compensation_told_with_the_documented_keys_only(payload: dict[str, Any]) -> None:
    for kind, status in (("started", "running"), ("completed", "completed"), ("failed", "failed")):
        step = "run_1:compensate:a:0"
        state = after(Story().created().tell(1, f"saga.compensation.{kind}", payload, step=step)).step(step)
        assert (state.name, state.type, state.status) == ("compensate:a", "compensate", status)
        assert state.compensation_for == payload.get("compensationTargetStep", "")


def test_a_request_to_pause_stands_until_the_status_changes() -> None:
    story = Story().created().moved(1, "running", "claimed", workerId="w").moved(2, "running", "pause_requested")
    asked = after(story).run
    assert (asked.status, asked.pause_requested, asked.worker_id) == ("running", True, "w")
    assert after(story.moved(3, "running", "restarted")).run.pause_requested
    held = after(story.moved(4, "paused", "injection")).run
    assert (held.pause_requested, held.pause_reason, held.worker_id) == (False, "injection", "")
    on = after(story.resumed(5, attempt=1)).run
    assert (on.status, on.attempt, on.pause_reason) == ("waiting_for_capacity", 1, "")


def test_a_child_knows_its_parent() -> None:
    story = Story().created(parentRunId="run_0", parentStepId="run_0:pay:0").moved(1, "running")
    assert (after(story).run.parent_run_id, after(story).run.parent_step_id) == ("run_0", "run_0:pay:0")


def test_an_event_of_an_unknown_kind_changes_nothing() -> None:
    story = Story().created().started(1, "a")
    before = after(story)
    told = after(story.tell(2, "step.teleported", {"stepId": "run_1:a:0"}, step="run_1:a:0").tell(3, "moon.rose"))
    assert (told.run, told.steps) == (before.run, before.steps)


@given(
    st.sampled_from(
        (
            "run.created",
            "run.status_changed",
            "run.paused",
            "step.started",
            "step.completed",
            "step.failed",
            "step.patched",
            "step.injected",
            "step.discarded",
            "saga.compensation.started",
            "saga.compensation.completed",
            "saga.x",
        )
    ),
    st.dictionaries(
        st.sampled_from(
            (
                "stepId",
                "stepName",
                "stepType",
                "newStatus",
                "status",
                "attempt",
                "durationMs",
                "startedAt",
                "endedAt",
                "until",
                "patchedBy",
                "reason",
                "output",
                "error",
                "input",
                "workerId",
                "event",
                "match",
                "value",
                "childRunId",
                "result",
                "rowStatus",
                "parentRunId",
            )
        ),
        json_values | st.sampled_from(("1", "9" * 40, "2026-99-01T00:00:00Z", 1.5, 2.0, float("1e300"))),
    )
    | json_values,
)
def test_a_payload_of_any_shape_is_folded(event_type: str, payload: Any) -> None:
    history = History(RUN, Story().created().tell(1, event_type, payload, step="run_1:a:0").events)
    state = history.at_position(2)
    assert isinstance(state.status, str)
    assert isinstance(state.attempt, int)
    for step in state.steps:
        assert isinstance(step.started_at, Instant)
        assert step.duration_ms is None or isinstance(step.duration_ms, int)
    state.document()
