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
        ("saga.compensation.started", {}, SIGNIFICANT),
        ("kv.set", {"newStatus": "failed", "error": 1}, 0),
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


def test_more_kinds_than_an_index_can_tell_share_the_last() -> None:
    kinds = Kinds()
    found = [kinds.of(f"odd.{number}", {})[0] for number in range(0x10000 + 5)]
    assert found == [*range(0xFFFF), *[0xFFFF] * 6]
    assert len(kinds.table()) == 0x10000
    assert kinds.of("odd.3", {})[0] == 3
