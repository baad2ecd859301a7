"""Every position's state is the fold of the events before it, however it is reached."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.errors import InvalidArgumentError, NotFoundError
from ironflow_lab.history.fold import History
from ironflow_lab.history.snapshot import Snapshot
from ironflow_lab.history.values import json_text
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.instant import Instant, parse_instant
from ironflow_lab.server.engine.fold import Fold, tell
from tests.unit.history.stories import RUN, T0, Story, approval, charge, trails

MS = 1_000_000


def long_trail(count: int) -> list[AuditEvent]:
    story = Story().created()
    for number in range(count):
        name = f"step-{number * 7 % 41}"
        story.started(number, name, attempt=number).completed(number, name, number)
        if number % 5 == 0:
            story.moved(number, ("running", "waiting")[number % 2], attempt=number + 1)
    return story.events


def server_says(events: list[AuditEvent]) -> Any:
    moments = [(one.event_type, one.step_id, int(one.created_at), json_text(one.payload)) for one in events]
    fold = Fold().feed(tell(moments))
    steps = [
        {
            "id": step.step_id,
            "name": step.name,
            "type": step.type,
            "sequence": step.sequence,
            "status": step.status,
            "payloads": [step.output, step.error, step.original_output],
            "times": [int(parse_instant(text)) if text else 0 for text in (step.started_at, step.completed_at)],
            "duration": step.duration_ms,
            "flags": [step.patched, step.injected],
        }
        for step in fold.steps.values()
    ]
    return _read(
        {
            "status": fold.status,
            "attempt": fold.attempt,
            "input": fold.input,
            "output": fold.output,
            "error": fold.error,
            "steps": steps,
        }
    )


def history_says(state: Snapshot) -> Any:
    steps = [
        {
            "id": step.step_id,
            "name": step.name,
            "type": step.type,
            "sequence": step.sequence,
            "status": step.status,
            "payloads": [_text(one) for one in (step.output, step.error, step.original_output)],
            "times": [int(step.started_at), int(step.completed_at)],
            "duration": step.duration_ms or 0,
            "flags": [step.patched, step.injected],
        }
        for step in state.steps
    ]
    return _read(
        {
            "status": state.status,
            "attempt": state.attempt,
            "input": _text(state.input),
            "output": _text(state.output),
            "error": _text(state.error),
            "steps": steps,
        }
    )


def _text(value: Any) -> bytes:
    return b"" if value is msgspec.UNSET else json_text(value)


def _read(value: Any) -> Any:
    """Decode JSON text wherever it stands, so that spelling does not matter."""
    if isinstance(value, bytes):
        return ("json", json.loads(value)) if value else None
    if isinstance(value, dict):
        return {key: _read(inner) for key, inner in value.items()}
    return [_read(inner) for inner in value] if isinstance(value, list) else value


@given(trails(odd=False))
def test_two_folds_that_share_nothing_agree_at_every_position(events: list[AuditEvent]) -> None:
    history = History(RUN, events)
    for position in range(len(events) + 1):
        assert history_says(history.at_position(position)) == server_says(events[:position])


@given(trails(), st.data())
def test_extending_is_folding_all_at_once(events: list[AuditEvent], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(events)))
    history = History(RUN, events[:cut])
    history.extend(events[cut:])
    whole = History(RUN, events)
    assert [history.at_position(n) for n in range(len(events) + 1)] == [
        whole.at_position(n) for n in range(len(events) + 1)
    ]


def test_any_position_of_a_long_history_is_the_end_of_its_beginning() -> None:
    events = long_trail(400)
    history, growing = History(RUN, events), History(RUN)
    for position, event in enumerate(events, 1):
        growing.extend([event])
        state = history.at_position(position)
        assert (state.run, state.steps) == (growing.run_at(position), growing.steps)
        assert (state.position, state.at) == (position, event.created_at)


def test_a_snapshot_does_not_change_when_the_run_goes_on() -> None:
    story = Story().created().started(1, "a")
    history = History(RUN, story.events)
    before = history.at_position(2)
    kept = before.document()
    history.extend(Story().completed(2, "a", 1).started(3, "b").events)
    assert before.document() == kept == history.at_position(2).document()
    assert history.length == 4


def test_before_its_first_event_a_run_is_nothing() -> None:
    state = History(RUN).at_position(0)
    assert (state.status, state.attempt, state.input, state.steps) == ("", 0, msgspec.UNSET, ())
    assert state.document() == {"run": {}, "steps": []}


@pytest.mark.parametrize("position", [-1, 19, 10**9])
def test_positions_beyond_the_ends_are_refused(position: int) -> None:
    with pytest.raises(InvalidArgumentError, match="positions 0 to 18"):
        History(RUN, charge().events).at_position(position)


def test_an_event_of_another_run_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="run_2"):
        History(RUN, Story("run_2").created().events)


def test_an_instant_means_all_that_had_happened_by_it() -> None:
    history = History(RUN, charge().events)
    assert [history.position_at(T0 + at) for at in (-1, 0, MS - 1, MS, 10**15)] == [0, 1, 1, 2, 18]
    assert history.at_time(T0 + 9 * MS).step("charge").status == "failed"


def test_a_clock_that_goes_back_keeps_the_order_of_arrival() -> None:
    story = Story().created(0).moved(50, "running").moved(20, "paused").moved(50, "running").moved(60, "completed")
    history = History(RUN, story.events)
    assert [history.position_at(T0 + at * MS) for at in (0, 20, 49, 50, 59, 60)] == [1, 1, 1, 4, 4, 5]
    assert [history.time_of(n) for n in range(6)] == [0, *(Instant(T0 + at * MS) for at in (0, 50, 50, 50, 60))]
    assert history.at_position(3).status == "paused"


@given(trails())
def test_time_never_runs_backwards_along_positions(events: list[AuditEvent]) -> None:
    history = History(RUN, events)
    times = [history.time_of(position) for position in range(len(events) + 1)]
    assert times == sorted(times)
    for position in range(1, len(events) + 1):
        found = history.position_at(times[position])
        assert found >= position
        assert times[found] == times[position]


def test_steps_are_found_by_name_label_and_id() -> None:
    story = Story().created().started(1, "a").completed(2, "a", 1).started(3, "a", index=1).started(4, "b:c")
    history = History(RUN, story.events)
    assert history.labels == ("a", "a:1", "b:c")
    assert [history.lane_of(one) for one in ("a", "run_1:a:0", "a:1", "run_1:a:1", "b:c", "run_1:b\\:c:0")] == [
        1,
        1,
        2,
        2,
        3,
        3,
    ]
    with pytest.raises(NotFoundError, match="a, a:1, b:c"):
        history.lane_of("z")


@given(trails())
def test_labels_are_unique_and_find_their_step(events: list[AuditEvent]) -> None:
    history = History(RUN, events)
    assert len(set(history.labels)) == len(history.steps)
    last = history.at_position(history.length)
    for lane, step in enumerate(history.steps, 1):
        assert history.lane_of(step.step_id) == lane
        assert last.step(step.step_id) is step
        if step.label not in {other.step_id for other in history.steps}:
            assert history.lane_of(step.label) == lane


def test_labels_of_names_that_look_like_labels_stay_apart() -> None:
    story = Story().created().started(1, "a", index=1).started(2, "a:1").started(3, "run_1:a\\:1:0")
    labels = History(RUN, story.events).labels
    assert labels[0] == "a:1"
    assert len(set(labels)) == 3


def test_a_steps_moments_are_its_first_start_and_its_last_end() -> None:
    history = History(RUN, charge().events)
    assert history.position_of("charge", moment="start") == 5
    assert history.at_position(history.position_of("charge")).step("charge").patched
    assert history.position_of("validate") == 4
    open_one = History(RUN, Story().created().started(1, "a").events)
    assert open_one.position_of("a") == 2
    with pytest.raises(InvalidArgumentError, match="'start' or 'end'"):
        open_one.position_of("a", moment="middle")


def test_a_step_that_was_discarded_ended_before_that_and_again_when_it_was_executed_again() -> None:
    events = approval().events
    discarded = History(RUN, events[:18])
    assert (discarded.position_of("approve"), discarded.position_of("ship")) == (7, 15)
    assert discarded.at_position(15).step("ship").output == {"sent": 1}
    assert [step.status for step in discarded.steps] == ["completed", "pending", "pending"]
    again = History(RUN, events)
    assert (again.position_of("approve"), again.position_of("approve", moment="start")) == (23, 5)
    assert again.position_of("compensate:approve") == 27


def test_a_trail_with_the_documented_keys_only_folds_alike() -> None:
    documented = {
        *("runId", "functionId", "input", "eventId", "oldStatus", "newStatus", "reason", "stepId", "stepName"),
        *("stepType", "output", "durationMs", "error", "attempt", "originalOutput", "patchedOutput", "patchedBy"),
        *("previousOutput", "newOutput", "compensationTargetStep", "result"),
    }
    events = [
        msgspec.structs.replace(event, payload={key: event.payload[key] for key in event.payload if key in documented})
        for event in approval().events
        if event.event_type != "step.discarded"
    ]
    assert history_says(History(RUN, events).at_position(len(events))) == server_says(events)
    state = History(RUN, events).at_position(len(events))
    assert [(step.label, step.type, step.status) for step in state.steps] == [
        ("charge", "invoke", "completed"),
        ("approve", "wait_for_event", "failed"),
        ("ship", "invoke_function", "completed"),
        ("compensate:charge", "compensate", "completed"),
        ("compensate:approve", "compensate", "failed"),
    ]


def test_touched_are_the_events_of_a_lane_in_a_stretch() -> None:
    history = History(RUN, charge().events)
    lane = history.lane_of("charge")
    assert history.touched(lane, 0, 18) == [5, 6, 10, 11, 16]
    assert history.touched(lane, 5, 10) == [6, 10]


def test_at_most_one_checkpoint_of_events_is_applied_for_a_position(monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(RUN, long_trail(2_000))
    placed = []
    monkeypatch.setattr("ironflow_lab.history.fold._place", lambda *given: placed.append(given))
    for position in (0, 1, 127, 128, 129, 3_000, history.length):
        placed.clear()
        history.at_position(position)
        assert len(placed) < 128


def test_a_repr_tells_no_payload() -> None:
    history = History(RUN, charge().events)
    state = history.at_position(18)
    shown = f"{history!r} {state!r} {state.run!r} {state.steps!r}"
    assert "tok_1" not in shown
    assert "History('run_1', length=18, steps=3, status='completed')" in shown
