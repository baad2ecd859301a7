"""The table of kinds is complete, short, and its flags are those of each event."""

from __future__ import annotations

from typing import Any

import pytest

from ironflow_lab.history.kinds import CORRECTION, FAILURE, SIGNIFICANT, STATUS_CHANGED, Kinds


@pytest.mark.parametrize(
    ("event_type", "payload", "flags"),
    [
        ("run.created", {}, SIGNIFICANT | STATUS_CHANGED),
        ("run.status_changed", {"newStatus": "running"}, STATUS_CHANGED),
        ("run.status_changed", {"newStatus": "waiting", "reason": "sleep"}, STATUS_CHANGED),
        ("run.status_changed", {"newStatus": "waiting", "reason": "retry"}, STATUS_CHANGED | FAILURE),
        ("run.status_changed", {"newStatus": "completed"}, SIGNIFICANT | STATUS_CHANGED),
        ("run.status_changed", {"newStatus": "failed"}, SIGNIFICANT | STATUS_CHANGED | FAILURE),
        ("run.paused", {"newStatus": "paused"}, SIGNIFICANT | STATUS_CHANGED),
        ("run.paused", {"newStatus": "paused", "error": {}}, SIGNIFICANT | STATUS_CHANGED | FAILURE),
        ("step.started", {"stepId": "s"}, 0),
        ("step.completed", {"stepId": "s"}, SIGNIFICANT),
        ("step.failed", {"stepId": "s"}, SIGNIFICANT | FAILURE),
        ("step.patched", {"stepId": "s"}, SIGNIFICANT | CORRECTION),
        ("step.injected", {"stepId": "s"}, SIGNIFICANT | CORRECTION),
        ("step.failed", {"stepId": "s", "rowStatus": "timed_out"}, SIGNIFICANT | FAILURE),
        ("step.discarded", {"stepId": "s"}, 0),
        ("run.status_changed", {"newStatus": "running", "reason": "pause_requested"}, STATUS_CHANGED),
        ("run.resumed", {"newStatus": "waiting"}, SIGNIFICANT | STATUS_CHANGED),
        ("saga.compensation.started", {}, SIGNIFICANT),
        ("saga.compensation.failed", {}, SIGNIFICANT | FAILURE),
        ("kv.set", {"newStatus": "failed", "error": 1}, 0),
        ("run.odd", {"newStatus": "failed", "error": 1}, 0),
    ],
)
def test_flags_are_those_of_the_event_itself(event_type: str, payload: dict[str, Any], flags: int) -> None:
    assert Kinds().of(event_type, payload) == (0, flags)
    used = Kinds()
    for status in ("paused", "running", "waiting", "failed"):
        for more in ({}, {"error": 1}, {"reason": "retry"}):
            used.of(event_type, {"newStatus": status, **more})
    assert used.of(event_type, payload)[1] == flags


def test_one_text_is_one_entry_in_the_order_of_appearance() -> None:
    kinds = Kinds()
    told = [("step.started", "a"), ("step.failed", "b"), ("step.started", "c"), ("step.failed", "a")]
    assert [kinds.of(event_type, {"stepId": step})[0] for event_type, step in told] == [0, 1, 0, 1]
    assert kinds.table() == [
        {"type": "step.started", "text": "Step {} started"},
        {"type": "step.failed", "text": "Step {} failed"},
    ]


def test_the_time_a_wait_ends_makes_no_new_kind() -> None:
    kinds = Kinds()
    for second in range(60):
        kinds.of("step.started", {"stepId": "s", "event": "order.paid", "until": f"2026-01-02T03:04:{second}Z"})
    assert [kind["text"] for kind in kinds.table()] == ["Step {} waiting for order.paid"]


def test_more_kinds_than_an_index_can_tell_share_the_last() -> None:
    kinds = Kinds()
    found = [kinds.of(f"odd.{number}", {})[0] for number in range(0x10000 + 5)]
    assert found == [*range(0xFFFF), *[0xFFFF] * 6]
    assert len(kinds.table()) == 0x10000
    assert kinds.of("odd.3", {})[0] == 3
