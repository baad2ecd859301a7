"""Which profile keeps which events, and what each event says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ironflow_lab.server.engine import trail
from ironflow_lab.server.engine.outcome import Write
from tests.unit.server.engine.states import ENV, NOW

AT, LATER = "2026-01-02T03:04:05Z", "2026-01-02T03:04:06Z"


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


def row(**fields: Any) -> dict[str, Any]:
    """Return a step's row as the engine saves it."""
    told = {"step_id": "r:a:0", "name": "a", "type": "invoke", "status": "completed", "attempt": 2}
    return {**told, "output": b"null", "error": None, "started_at": NOW, "ended_at": NOW, "duration_ms": 4, **fields}


def sent(told: tuple[str, dict[str, Any]]) -> tuple[str, Any]:
    return told[0], msgspec.json.decode(msgspec.json.encode(told[1]))


BEGUN = {"stepId": "r:a:0", "stepName": "a", "stepType": "invoke", "attempt": 2, "startedAt": AT}


def test_a_step_begins() -> None:
    assert sent(trail.begin(row())) == ("step.started", BEGUN)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"type": "sleep", "sleep_until": NOW + 10**9, "wait_until": 0}, {"until": LATER}),
        ({"type": "wait_for_event", "wait_event": "e", "wait_until": NOW + 10**9}, {"event": "e", "until": LATER}),
        ({"wait_match": "data.id", "wait_value": "7", "input": None}, {"match": "data.id", "value": "7"}),
        ({"child_run_id": "run_2", "child_function": "f"}, {"childRunId": "run_2", "functionId": "f"}),
        ({"input": b"null", "wait_event": ""}, {"input": None}),
        ({"input": b'{"n":1}'}, {"input": {"n": 1}}),
    ],
)
def test_a_step_begins_and_tells_what_it_waits_for(fields: dict[str, Any], told: dict[str, Any]) -> None:
    kind, payload = sent(trail.begin(row(**fields)))
    assert (kind, payload) == ("step.started", {**BEGUN, "stepType": fields.get("type", "invoke"), **told})


def test_a_step_ends() -> None:
    done = {"stepId": "r:a:0", "output": {"n": 1}, "durationMs": 4, "endedAt": AT}
    assert sent(trail.end(row(output=b'{"n":1}'))) == ("step.completed", done)
    failed = {"stepId": "r:a:0", "error": {"message": "no"}, "attempt": 2, "endedAt": AT}
    error = b'{"message":"no"}'
    assert sent(trail.end(row(status="failed", error=error))) == ("step.failed", failed)
    late = {**failed, "rowStatus": "timed_out"}
    assert sent(trail.end(row(status="timed_out", error=error))) == ("step.failed", late)


def test_a_compensation_has_events_of_its_own() -> None:
    undo = {"step_id": "r:compensate:a:0", "name": "compensate:a", "type": "compensate", "compensation_for": "a"}
    own = {"stepId": "r:compensate:a:0", "compensationTargetStep": "a"}
    begun = {**own, "stepName": "compensate:a", "stepType": "compensate", "attempt": 2, "startedAt": AT}
    assert sent(trail.begin(row(**undo))) == ("saga.compensation.started", begun)
    done = {**own, "result": None, "durationMs": 4, "endedAt": AT}
    assert sent(trail.end(row(**undo))) == ("saga.compensation.completed", done)
    failed = {**own, "error": {"message": "no"}, "attempt": 2, "endedAt": AT}
    assert sent(trail.end(row(**undo, status="failed", error=b'{"message":"no"}'))) == (
        "saga.compensation.failed",
        failed,
    )


def test_corrections_tell_the_output_there_was() -> None:
    patched = {"stepId": "s", "originalOutput": 1, "patchedOutput": 2, "patchedBy": "ada", "reason": "fee"}
    assert sent(("", trail.patched("s", b"1", b"2", "ada", "fee")))[1] == patched
    injected = {"stepId": "s", "previousOutput": None, "newOutput": 2, "injectedBy": "bob", "reason": ""}
    assert sent(("", trail.injected("s", b"null", b"2", "bob", "")))[1] == injected


def test_a_step_without_an_output_tells_of_none() -> None:
    assert "originalOutput" not in trail.patched("s", None, b"2", "ada", "")
    assert "previousOutput" not in trail.injected("s", None, b"2", "ada", "")


def test_a_discard_and_a_resumption() -> None:
    assert trail.discarded("s", "resumed from a") == {"stepId": "s", "reason": "resumed from a"}
    told = {"runId": "r", "oldStatus": "failed", "newStatus": "waiting", "reason": "resumed", "attempt": 1}
    assert trail.resumed("r", "failed", "waiting", 1, "") == told
    assert trail.resumed("r", "failed", "waiting", 1, "r:a:0") == {**told, "fromStep": "r:a:0"}


def test_a_child_is_created_with_its_parent() -> None:
    own: dict[str, Any] = {"run_id": "r", "function_id": "f", "event_id": "e", "event_name": "n", "data": b"1"}
    assert "parentRunId" not in trail.created(**own)
    child = trail.created(**own, parent_run_id="p", parent_step_id="p:a:0")
    assert child == {**trail.created(**own), "parentRunId": "p", "parentStepId": "p:a:0"}
