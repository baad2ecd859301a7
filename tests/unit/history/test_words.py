"""Moments are told in the server's own words, and the same ones matter."""

from __future__ import annotations

from typing import Any

import pytest

from ironflow_lab.history.values import json_text
from ironflow_lab.history.words import is_failure, is_retry, is_significant, phrase, sentence
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
    ("run.status_changed", {}, "Run status changed", False),
    ("run.status_changed", {"newStatus": "waiting", "reason": "event", "error": {}}, "Run waiting", False),
    ("run.status_changed", {"newStatus": "waiting", "error": {}}, "Run waiting for a retry", False),
    ("run.status_changed", {"newStatus": "running", "reason": "pause_requested"}, "Run asked to pause", False),
    ("run.paused", {"newStatus": "paused", "reason": "injection"}, "Run held", True),
    ("run.paused", {"newStatus": "paused", "reason": "retries_exhausted", "error": {}}, "Run paused", True),
    ("run.resumed", {"newStatus": "waiting", "fromStep": "r:cool\\:off_{}:1"}, "Run resumed from cool:off_()", True),
    ("run.redacted", {"runId": "r"}, "Run redacted", False),
    ("step.started", {"stepId": "s", "stepType": "sleep", "until": "2026"}, "Step {} started", False),
    ("step.started", {"stepId": "s", "stepType": "wait_for_event"}, "Step {} started", False),
    ("step.started", {"stepId": "s", "event": "order.{paid}_2"}, "Step {} waiting for order.(paid)_2", False),
    (
        "step.started",
        {"stepId": "s", "stepType": "invoke_function", "functionId": "ship_it"},
        "Step {} waiting for function ship_it",
        False,
    ),
    ("step.started", {"stepId": "s", "event": "e" * 99}, f"Step {{}} waiting for {'e' * 59}…", False),
    ("step.failed", {"stepId": "s", "rowStatus": "timed_out"}, "Step {} timed out", True),
    ("step.discarded", {"stepId": "s"}, "Step {} discarded", False),
    ("step.redacted", {"stepId": "s"}, "Step {} redacted", False),
    ("saga.compensation.started", {"stepId": "s"}, "Compensation {} started", True),
    (
        "saga.compensation.completed",
        {"stepId": "s", "compensationTargetStep": "take_{}"},
        "Compensation of take_() completed",
        True,
    ),
    ("saga.compensation.failed", {"compensationTargetStep": "a"}, "Compensation of a failed", True),
    ("saga.begun", {"stepId": "s"}, "Saga {} begun", True),
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


def test_a_wait_tells_its_end_in_the_whole_sentence() -> None:
    until = "2026-01-02T03:04:05Z"
    waits = {"stepId": "s", "event": "order.approved", "until": until}
    told = sentence("step.started", waits, "approve")
    assert told == f"Step approve waiting for order.approved until {until}"
    assert Narrator().tell("aud_1", "step.started", "r:approve:0", 1, json_text(waits)).summary == told
    assert sentence("step.completed", waits, "{}") == "Step {} completed"
    assert len(sentence("step.started", {"event": "e", "until": "x" * 999}, "a")) < 99


@pytest.mark.parametrize("event_type", ["{}", "a.{}", "step.{0}", "", ".", "run.", "run.{}"])
def test_only_the_name_stands_in_braces(event_type: str) -> None:
    for payload in ({}, {"newStatus": "{}{x}"}):
        words = phrase(event_type, payload)
        assert words.replace("{}", "", 1).count("{") == 0
        assert ("{}" in words) == event_type.startswith("step.")


def test_failures_are_failed_attempts_of_runs_and_steps() -> None:
    assert is_failure("step.failed", {})
    assert is_failure("saga.compensation.failed", {})
    assert not is_failure("saga.compensation.completed", {"newStatus": "failed"})
    assert not is_failure("step.discarded", {"newStatus": "failed"})
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
    assert not is_retry({"reason": "child", "error": {}})
    assert not is_retry({})
