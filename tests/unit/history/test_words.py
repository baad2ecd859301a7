"""Moments are told in the server's own words, and the same ones matter."""

from __future__ import annotations

from typing import Any

import pytest

from ironflow_lab.history.values import json_text
from ironflow_lab.history.words import is_failure, is_retry, is_significant, phrase
from ironflow_lab.server.engine.timeline import Narrator

MOMENTS = [
    ("run.created", {}, "Run created", True),
    ("run.status_changed", {"newStatus": "running"}, "Run running", False),
    ("run.status_changed", {"newStatus": "waiting_for_capacity"}, "Run waiting for capacity", False),
    ("run.status_changed", {"newStatus": "waiting", "reason": "retry"}, "Run waiting for a retry", False),
    ("run.status_changed", {"newStatus": "waiting", "reason": "sleep"}, "Run waiting", False),
    ("run.status_changed", {"newStatus": "completed"}, "Run completed", True),
    ("run.status_changed", {"newStatus": "failed"}, "Run failed", True),
    ("run.status_changed", {"newStatus": "cancelled"}, "Run cancelled", True),
    ("run.paused", {"newStatus": "paused"}, "Run paused", True),
    ("run.paused", {}, "Run paused", True),
    ("run.resumed", {}, "Run resumed", True),
    ("run.resumed", {"newStatus": "waiting_for_capacity"}, "Run resumed", True),
    ("step.started", {"stepId": "s"}, "Step {} started", False),
    ("step.completed", {"stepId": "s"}, "Step {} completed", True),
    ("step.failed", {"stepId": "s"}, "Step {} failed", True),
    ("step.patched", {"stepId": "s"}, "Step {} patched", True),
    ("step.injected", {"stepId": "s"}, "Step {} injected", True),
    ("saga.compensation.started", {"stepId": "s"}, "Saga {} compensation started", True),
    ("kv.set", {}, "Kv set", False),
]


@pytest.mark.parametrize(("event_type", "payload", "words", "significant"), MOMENTS)
def test_a_moment_in_words(event_type: str, payload: dict[str, Any], words: str, significant: bool) -> None:
    assert phrase(event_type, payload) == words
    assert is_significant(event_type, payload) is significant


@pytest.mark.parametrize(("event_type", "payload", "words", "significant"), MOMENTS)
def test_the_server_tells_it_alike(event_type: str, payload: dict[str, Any], words: str, significant: bool) -> None:
    step = "run_1:charge:0" if "stepId" in payload else ""
    line = Narrator().tell("aud_1", event_type, step, 1, json_text(payload))
    assert line.summary == words.replace("{}", "charge")
    assert line.significant is significant


@pytest.mark.parametrize("event_type", ["{}", "a.{}", "step.{0}", "", ".", "run.", "run.{}"])
def test_only_the_name_stands_in_braces(event_type: str) -> None:
    for payload in ({}, {"newStatus": "{}{x}"}):
        words = phrase(event_type, payload)
        assert words.replace("{}", "", 1).count("{") == 0
        assert ("{}" in words) == event_type.startswith("step.")


def test_failures_are_failed_attempts_of_runs_and_steps() -> None:
    assert is_failure("step.failed", {})
    assert is_failure("run.status_changed", {"newStatus": "failed"})
    assert is_failure("run.status_changed", {"newStatus": "waiting", "error": {}})
    assert is_failure("run.paused", {"newStatus": "paused", "error": {}})
    assert not is_failure("run.paused", {"newStatus": "paused"})
    assert not is_failure("run.status_changed", {"newStatus": "running", "error": {}})
    assert not is_failure("run.status_changed", {"newStatus": "waiting", "reason": "sleep", "error": {}})


def test_a_wait_after_an_error_is_one_for_a_retry() -> None:
    assert is_retry({"reason": "retry"})
    assert is_retry({"reason": "", "error": {}})
    assert not is_retry({"reason": "sleep", "error": {}})
    assert not is_retry({})
