"""Every audit event in a few words, and which of them deserve a tick."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ironflow_lab.models.instant import Instant
from ironflow_lab.models.timetravel import TimelineEvent
from ironflow_lab.server.engine.timeline import Narrator
from tests.unit.server.engine.states import NOW

STEP = "run_1:validate:0"


def told(kind: str, step_id: str = "", /, **payload: Any) -> TimelineEvent:
    return Narrator().tell("aud_1", kind, step_id, NOW, msgspec.json.encode(payload))


@pytest.mark.parametrize(
    ("kind", "payload", "summary", "significant"),
    [
        ("run.created", {"functionId": "f"}, "Run created", True),
        ("run.status_changed", {"newStatus": "running", "reason": "claimed"}, "Run running", False),
        ("run.status_changed", {"newStatus": "running", "reason": "restarted"}, "Run running", False),
        ("run.status_changed", {"newStatus": "waiting", "reason": "retry"}, "Run waiting for a retry", False),
        ("run.status_changed", {"newStatus": "waiting", "reason": "sleep"}, "Run waiting", False),
        ("run.status_changed", {"newStatus": "waiting_for_capacity"}, "Run waiting for capacity", False),
        ("run.status_changed", {"newStatus": "completed"}, "Run completed", True),
        ("run.status_changed", {"newStatus": "failed"}, "Run failed", True),
        ("run.status_changed", {"newStatus": "cancelled"}, "Run cancelled", True),
        ("run.status_changed", {}, "Run status changed", False),
        ("run.paused", {"newStatus": "paused"}, "Run paused", True),
        ("run.resumed", {"newStatus": "waiting_for_capacity"}, "Run resumed", True),
        ("debounce.cancelled", {}, "Debounce cancelled", False),
        ("odd", {}, "Odd", False),
    ],
)
def test_what_happens_to_a_run(kind: str, payload: dict[str, Any], summary: str, significant: bool) -> None:
    found = told(kind, **payload)
    assert (found.summary, found.significant, found.step_name) == (summary, significant, "")
    assert (found.id, found.event_type, found.timestamp) == ("aud_1", kind, Instant(NOW))


@pytest.mark.parametrize(
    ("kind", "summary", "significant"),
    [
        ("step.started", "Step validate started", False),
        ("step.completed", "Step validate completed", True),
        ("step.failed", "Step validate failed", True),
        ("step.patched", "Step validate patched", True),
        ("step.injected", "Step validate injected", True),
        ("step.discarded", "Step validate discarded", False),
        ("saga.compensation.started", "Compensation validate started", True),
    ],
)
def test_what_happens_to_a_step(kind: str, summary: str, significant: bool) -> None:
    found = told(kind, STEP)
    assert (found.summary, found.significant) == (summary, significant)
    assert (found.step_id, found.step_name) == (STEP, "validate")


def test_a_step_keeps_the_name_it_began_with() -> None:
    narrator = Narrator()
    narrator.tell("1", "step.started", STEP, NOW, b'{"stepName":"check the order"}')
    assert narrator.tell("2", "step.completed", STEP, NOW, b"{}").summary == "Step check the order completed"
    assert narrator.tell("3", "step.failed", "run_1:other:0", NOW, b"{}").step_name == "other"
