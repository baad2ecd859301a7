"""Which profile keeps which events, and what each event says."""

from __future__ import annotations

import msgspec
import pytest

from ironflow_lab.server.engine import trail
from ironflow_lab.server.engine.outcome import Write
from tests.unit.server.engine.states import ENV, NOW


@pytest.mark.parametrize(
    ("recording", "profile", "kept"),
    [
        (False, "", ""),
        (True, "", "all"),
        (True, "all", "all"),
        (True, "steps", "steps"),
        (True, "run_lifecycle", "run_lifecycle"),
    ],
)
def test_a_runs_profile(recording: bool, profile: str, kept: str) -> None:
    assert trail.profile_of(recording, profile) == kept


@pytest.mark.parametrize(
    ("profile", "run", "step"),
    [("", False, False), ("all", True, True), ("steps", True, True), ("run_lifecycle", True, False)],
)
def test_what_a_profile_covers(profile: str, run: bool, step: bool) -> None:
    assert trail.covers(profile, "run.paused") is run
    assert trail.covers(profile, "step.started") is step


def test_absent_facts_are_left_out() -> None:
    kind, payload = trail.moved(run_id="r", old="running", new="waiting_for_capacity", reason="unclaimed", attempt=2)
    assert kind == "run.status_changed"
    assert payload == {
        "runId": "r",
        "oldStatus": "running",
        "newStatus": "waiting_for_capacity",
        "reason": "unclaimed",
        "attempt": 2,
    }


def test_every_fact_that_is_given() -> None:
    kind, payload = trail.moved(
        run_id="r",
        old="running",
        new="paused",
        reason="retries_exhausted",
        attempt=2,
        output=b"null",
        error=b'{"message":"m"}',
        due_at=NOW,
        worker_id="w",
        cause="c",
    )
    assert kind == "run.paused"
    sent = msgspec.json.decode(msgspec.json.encode(payload))
    assert sent["output"] is None
    assert (sent["error"], sent["dueAt"]) == ({"message": "m"}, "2026-01-02T03:04:05Z")
    assert (sent["workerId"], sent["cause"]) == ("w", "c")


def test_the_write_holds_the_payload_as_json() -> None:
    write = trail.write("aud_1", "x.y", {"a": 1}, env=ENV, run_id="r", function_id="f", at=NOW, step_id="s")
    assert write == Write(
        "insert_audit",
        {
            "env": ENV,
            "id": "aud_1",
            "run_id": "r",
            "function_id": "f",
            "step_id": "s",
            "type": "x.y",
            "payload": b'{"a":1}',
            "at": NOW,
        },
    )


def test_the_runs_that_are_told_of_each_once() -> None:
    def told(run_id: str) -> Write:
        return trail.write("aud", "x.y", {}, env=ENV, run_id=run_id, function_id="f", at=NOW)

    assert trail.recorded((told("b"), Write("move_run", {"id": "c"}), told("a"), told("b"))) == ("b", "a")
    assert trail.recorded(()) == ()
