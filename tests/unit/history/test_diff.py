"""A difference is exact, smallest, and turns before into after; explained, it names the event that made it."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.history.diff import Change, apply, changes, explain, redacted
from ironflow_lab.history.equality import same
from ironflow_lab.history.fold import History
from ironflow_lab.history.paths import path_text, value_at
from ironflow_lab.history.values import json_text
from ironflow_lab.models.audit import AuditEvent
from tests.unit.history.stories import HOSTILE, RUN, Story, approval, charge, json_values, trails

UNSET = msgspec.UNSET


@st.composite
def edited(draw: st.DrawFn) -> tuple[Any, Any]:
    """Return a value and the same with some places changed: two random values share too little."""
    before = draw(
        st.lists(json_values, max_size=4) | st.dictionaries(st.sampled_from(HOSTILE), json_values, max_size=4)
    )
    after = copy.deepcopy(before)
    for _ in range(draw(st.integers(0, 3))):
        after = _edit(draw, after)
    return before, after


def _edit(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, dict) and value and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(value)))
        if draw(st.booleans()):
            return {name: inner for name, inner in value.items() if name != key}
        return {**value, key: _edit(draw, value[key])}
    if isinstance(value, list) and value and draw(st.booleans()):
        index = draw(st.integers(0, len(value) - 1))
        return (
            value[:index] if draw(st.booleans()) else [*value[:index], _edit(draw, value[index]), *value[index + 1 :]]
        )
    if isinstance(value, dict | list) and draw(st.booleans()):
        more = draw(json_values)
        return {**value, draw(st.sampled_from(HOSTILE)): more} if isinstance(value, dict) else [*value, more]
    return draw(json_values)


@given(edited() | st.tuples(json_values, json_values))
def test_a_difference_turns_before_into_after_and_back(pair: tuple[Any, Any]) -> None:
    before, after = pair
    untouched = copy.deepcopy(before)
    assert same(apply(before, changes(before, after)), after)
    assert same(apply(after, changes(after, before)), before)
    assert same(before, untouched)


@given(edited())
def test_each_change_tells_what_stands_there_and_none_is_empty(pair: tuple[Any, Any]) -> None:
    before, after = pair
    found = changes(before, after)
    assert len({one.path for one in found}) == len(found)
    for one in found:
        assert value_at(before, one.path) is one.before
        assert value_at(after, one.path) is one.after
        assert not same(one.before, one.after)
        # The smallest place: nothing that both sides have goes on below it.
        assert type(one.before) is not type(one.after) or not isinstance(one.before, dict | list)


@given(json_values)
def test_nothing_differs_from_itself(value: Any) -> None:
    assert changes(value, copy.deepcopy(value)) == ()


@pytest.mark.parametrize(
    ("before", "after"), [(1, 1.0), (1, True), (0, False), (0.0, -0.0), ("1", 1), (None, False), ([], {}), ("", None)]
)
def test_what_json_text_tells_apart_differs(before: Any, after: Any) -> None:
    assert changes({"a": before}, {"a": after}) == (Change(path=("a",), before=before, after=after),)


def test_the_order_of_keys_is_no_difference_and_nan_is_itself() -> None:
    assert changes({"a": 1, "b": float("nan")}, {"b": float("nan"), "a": 1}) == ()


def test_changes_come_in_document_order() -> None:
    found = changes({"z": 1, "a": [1, 2, 3], "gone": 0}, {"new": 1, "a": [1, 5], "z": 2})
    assert [(one.path, one.before, one.after) for one in found] == [
        (("z",), 1, 2),
        (("a", 1), 2, 5),
        (("a", 2), 3, UNSET),
        (("gone",), 0, UNSET),
        (("new",), UNSET, 1),
    ]


def test_a_whole_document_may_come_and_go() -> None:
    assert apply(UNSET, changes(UNSET, {"a": 1})) == {"a": 1}
    assert apply({"a": 1}, changes({"a": 1}, UNSET)) is UNSET


@pytest.mark.parametrize(
    "change",
    [
        Change(path=("a", "b"), after=1),
        Change(path=("x", "b"), after=1),
        Change(path=("l", 5), after=1),
        Change(path=("l", "0"), after=1),
        Change(path=("l", -1), after=1),
        Change(path=(0,), after=1),
        Change(path=("missing",)),
    ],
)
def test_changes_that_do_not_fit_are_refused(change: Change) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        apply({"a": 1, "l": [1]}, [change])


def test_values_nested_without_end_are_compared_as_one() -> None:
    before, after = nested(50_000, 1), nested(50_000, 2)
    (found,) = changes(before, after)
    assert len(found.path) < 200
    assert changes(before, nested(50_000, 1)) == ()


def nested(levels: int, core: Any) -> Any:
    value = core
    for _ in range(levels):
        value = [value]
    return value


def test_a_secret_shows_in_no_repr_and_nowhere_when_redacted() -> None:
    found = changes(
        {"steps": [{"output": {"password": "p-1", "deep": {"token": ["t-1"]}}}]},
        {"steps": [{"output": {"password": "p-2", "deep": {"token": ["t-2"]}, "x": {"api_key": "k-1"}}}]},
    )
    assert len(found) == 3
    shown = repr(found) + repr([(one.before, one.after) for one in map(redacted, found)])
    assert not [secret for secret in ("p-1", "p-2", "t-1", "t-2", "k-1") if secret in shown]
    assert "[redacted]" in shown


# ---- explained


def explained(history: History, a: int, b: int) -> dict[str, tuple[Any, Any, int, str]]:
    return {
        path_text(one.path): (one.before, one.after, one.cause.position, one.actor) for one in explain(history, a, b)
    }


def test_each_difference_has_its_cause_and_its_actor() -> None:
    history = History(RUN, charge().events)
    found = explained(history, 6, 16)
    assert found == {
        "run.status": ("running", "waiting_for_capacity", 15, ""),
        "run.attempt": (1, 2, 7, "worker-1"),
        "run.error": (UNSET, {"message": "declined"}, 7, "worker-1"),
        **{
            f"steps.charge.{name}": change
            for name, change in {
                "status": ("failed", "completed", 11, "worker-2"),
                "attempt": (1, 2, 10, "worker-2"),
                "error": ({"message": "declined"}, UNSET, 10, "worker-2"),
                "output": (UNSET, {"amount": 12}, 16, "ada"),
                "original_output": (UNSET, {"amount": 10}, 16, "ada"),
                "patched": (UNSET, True, 16, "ada"),
                "by": (UNSET, "ada", 16, "ada"),
                "reason": (UNSET, "fee", 16, "ada"),
                "started_ms": (4.0, 1012.0, 10, "worker-2"),
                "ended_ms": (9.0, 1020.0, 11, "worker-2"),
                "duration_ms": (UNSET, 5, 11, "worker-2"),
            }.items()
        },
        **{
            f"steps.cool-off.{name}": change
            for name, change in {
                "name": (UNSET, "cool-off", 12, "worker-2"),
                "type": (UNSET, "sleep", 12, "worker-2"),
                "status": (UNSET, "completed", 14, ""),
                "attempt": (UNSET, 1, 12, "worker-2"),
                "output": (UNSET, None, 14, ""),
                "started_ms": (UNSET, 1021.0, 12, "worker-2"),
                "ended_ms": (UNSET, 6021.0, 14, ""),
                "duration_ms": (UNSET, 5, 14, ""),
                "until_ms": (UNSET, 6021.0, 12, "worker-2"),
            }.items()
        },
    }


def test_a_discard_is_told_with_its_cause_and_who_asked_for_it() -> None:
    history = History(RUN, approval().events)
    held, queued, discarded = 15, 16, 18
    assert history.events[discarded - 1].event_type == "step.discarded"
    found = explained(history, held, discarded + 1)
    assert found["steps.ship.status"] == ("completed", "pending", discarded, "operator")
    assert found["steps.ship.output"] == ({"sent": 1}, UNSET, discarded, "operator")
    assert found["steps.ship.original_output"] == (None, UNSET, discarded, "operator")
    assert found["steps.ship.patched"] == (True, UNSET, discarded, "operator")
    assert "steps.charge.output" not in found
    assert found["run.status"] == ("paused", "running", discarded + 1, "worker-2")
    assert explained(history, held, queued)["run.status"][2:] == (queued, "operator")
    assert explained(history, 12, 13)["steps.charge.output.amount"] == (10, 9, 13, "bob")


def test_backwards_the_direction_is_kept_and_the_cause_is_the_same() -> None:
    history = History(RUN, charge().events)
    forwards, backwards = explain(history, 3, 17), explain(history, 17, 3)
    assert [(one.path, one.before, one.after, one.cause) for one in backwards] == [
        (one.path, one.after, one.before, one.cause) for one in forwards
    ]
    assert explain(history, 5, 5) == ()


def test_the_cause_is_the_last_event_that_changed_the_very_place() -> None:
    story = Story().created().started(1, "a").completed(2, "a", {"x": 1, "y": 1})
    story.patched(3, "a", 0, {"x": 2, "y": 1}).patched(4, "a", 0, {"x": 2, "y": 2}).started(5, "b")
    history = History(RUN, story.events)
    found = explained(history, 3, 6)
    assert found["steps.a.output.x"][:3] == (1, 2, 4)
    assert found["steps.a.output.y"][:3] == (1, 2, 5)


@given(trails(), st.data())
def test_explained_differences_turn_one_state_into_the_other(events: list[AuditEvent], data: st.DataObject) -> None:
    history = History(RUN, events)
    a, b = data.draw(st.integers(0, len(events))), data.draw(st.integers(0, len(events)))
    assume(a != b)
    found = explain(history, a, b)
    labels = history.labels
    states = [_labelled(history.at_position(position).document(), labels) for position in (a, b)]
    for label in states[b < a]["steps"].keys() | states[a < b]["steps"].keys():
        for state in states:
            state["steps"].setdefault(label, {})
    assert same(apply(states[0], found), states[1])
    for one in found:
        position = one.cause.position
        assert min(a, b) < position <= max(a, b)
        before, after = (_labelled(history.at_position(at).document(), labels) for at in (position - 1, position))
        assert not same(value_at(before, one.path), value_at(after, one.path))
        assert one.cause.event_id == events[position - 1].id


def _labelled(document: dict[str, Any], labels: tuple[str, ...]) -> dict[str, Any]:
    return {"run": document["run"], "steps": dict(zip(labels, document["steps"], strict=False))}


def test_positions_beyond_the_ends_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="positions 0 to 18"):
        explain(History(RUN, charge().events), 3, 99)


def test_a_steps_name_hides_nothing_but_a_key_of_its_output_does() -> None:
    story = Story().created().started(1, "refresh-token").completed(2, "refresh-token", {"token": "t-1", "n": 1})
    found = {path_text(one.path): redacted(one) for one in explain(History(RUN, story.events), 2, 3)}
    assert found["steps.refresh-token.output"].after == {"token": "[redacted]", "n": 1}
    assert found["steps.refresh-token.status"].after == "completed"
    assert "t-1" not in repr(explain(History(RUN, story.events), 0, 3))


def test_a_payload_of_five_megabytes_is_compared() -> None:
    large = {f"key-{number}": "x" * 100 for number in range(45_000)}
    assert len(json_text(large)) > 5_000_000
    found = changes(large, {**large, "key-7": "y"})
    assert [one.path for one in found] == [("key-7",)]
