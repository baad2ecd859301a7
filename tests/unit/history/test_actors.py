"""Who made an event happen."""

from __future__ import annotations

from typing import Any

import pytest

from ironflow_lab.history.actors import actor_of
from ironflow_lab.history.snapshot import RunState
from tests.unit.history.stories import Story


@pytest.mark.parametrize(
    ("event_type", "payload", "holder", "actor"),
    [
        ("run.created", {}, "", ""),
        ("run.status_changed", {"newStatus": "running", "reason": "claimed", "workerId": "w2"}, "", "w2"),
        ("run.status_changed", {"newStatus": "completed", "reason": "completed"}, "w1", "w1"),
        ("run.status_changed", {"newStatus": "waiting", "reason": "retry"}, "w1", "w1"),
        ("run.status_changed", {"newStatus": "failed", "reason": "timeout"}, "w1", ""),
        ("run.status_changed", {"newStatus": "waiting_for_capacity", "reason": "worker_lost"}, "w1", ""),
        ("run.status_changed", {"newStatus": "waiting_for_capacity", "reason": "woken"}, "", ""),
        ("run.status_changed", {"newStatus": "cancelled", "reason": ""}, "w1", "operator"),
        ("run.status_changed", {"newStatus": "cancelled", "reason": "cancelled"}, "", "operator"),
        ("run.paused", {"newStatus": "paused", "reason": "asked"}, "w1", "operator"),
        ("run.paused", {"newStatus": "paused", "reason": "retries_exhausted"}, "w1", "w1"),
        ("run.resumed", {}, "", "operator"),
        ("run.paused", {"newStatus": "paused", "reason": "injection"}, "w1", "operator"),
        ("run.status_changed", {"newStatus": "running", "reason": "pause_requested"}, "w1", "operator"),
        ("run.status_changed", {"newStatus": "failed", "reason": "wait_timeout"}, "", ""),
        ("run.redacted", {}, "", "operator"),
        ("step.redacted", {}, "", "operator"),
        ("step.discarded", {"reason": "resumed from a"}, "", "operator"),
        ("saga.compensation.completed", {}, "w1", "w1"),
        ("step.completed", {}, "w1", "w1"),
        ("step.completed", {}, "", ""),
        ("step.patched", {"patchedBy": "ada"}, "w1", "ada"),
        ("step.patched", {}, "w1", "operator"),
        ("step.injected", {"injectedBy": "bob", "patchedBy": "ada"}, "", "bob"),
        ("step.injected", {"injectedBy": 5}, "", "operator"),
        ("step.failed", "not an object", "w1", "w1"),
    ],
)
def test_the_actor_of_an_event(event_type: str, payload: Any, holder: str, actor: str) -> None:
    (event,) = Story().tell(0, event_type, payload).events
    assert actor_of(event, RunState(worker_id=holder)) == actor
