"""The official RPC client reads a recorded run's audit trail and its past states, in both codecs."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import pytest

from tests.conformance.conftest import register
from tests.conformance.plain import Plain, instant
from tests.conformance.rpc import OfficialRpc

RECEIPT: dict[str, Any] = {"größe": [1, {"b": None}], "half": 0.5}
# What happened to the steps; how often the run's status changes between is the server's own business.
STEPS = [
    "started validate",
    "completed validate",
    "started charge",
    "failed charge",
    "started charge",
    "completed charge",
]


@pytest.fixture
def recorded(plain: Plain, name: str) -> str:
    """A run whose charge failed once and went through on the second attempt."""
    retry = {"maxAttempts": 3, "initialDelayMs": 1, "onExhausted": "fail"}
    worker = register(plain, name, recording=True, retry=retry)
    run_id = plain.start(f"{name}.go", {"total": 3})
    job = worker.take(run_id)
    validated = job.step("validate", [1, "ok"])
    worker.fail(job, validated, job.step("charge", error={"message": "declined"}))
    again = worker.take(run_id)
    worker.done(again, "completed", again.step("charge", RECEIPT), output="paid")
    plain.ended(run_id)
    return run_id


def unpacked(text: str) -> Any:
    """The payload of a field whose bytes are JSON text; UNSET fields are no bytes."""
    return json.loads(b64decode(text)) if text else None


def trail(rpc: OfficialRpc, **asked: Any) -> dict[str, Any]:
    found: dict[str, Any] = rpc("audit.get_trail", "GetAuditTrailRequest", asked)
    return found


def state(rpc: OfficialRpc, run_id: str, timestamp: str) -> dict[str, Any]:
    asked = {"runId": run_id, "timestamp": timestamp}
    found: dict[str, Any] = rpc("time_travel.get_run_state_at", "GetRunStateAtRequest", asked)["snapshot"]
    return found


def named(event: dict[str, Any]) -> str:
    """What happened to which step, such as "failed charge"."""
    return f"{event['eventType'].removeprefix('step.')} {event['stepId'].split(':')[1]}"


def of_steps(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events that are about steps."""
    return [event for event in events if event["eventType"].startswith("step.")]


def test_the_trail(rpc: OfficialRpc, plain: Plain, recorded: str, name: str) -> None:
    found = trail(rpc, runId=recorded)
    assert found == plain.call("AuditService/GetAuditTrail", {"runId": recorded})
    events = found["events"]
    assert found["totalCount"] == len(events) == len({event["id"] for event in events})
    assert {(event["runId"], event["functionId"]) for event in events} == {(recorded, name)}
    times = [instant(event["createdAt"]) for event in events]
    assert times == sorted(set(times)), "strictly increasing"
    assert events[0]["eventType"] == "run.created"
    assert events[0]["payload"].items() >= {"functionId": name, "input": {"total": 3}}.items()
    assert events[-1]["eventType"] == "run.status_changed"
    assert events[-1]["payload"].items() >= {"oldStatus": "running", "newStatus": "completed"}.items()
    steps = of_steps(events)
    assert [named(event) for event in steps] == STEPS
    assert steps[1]["payload"].items() >= {"output": [1, "ok"], "durationMs": 100}.items()
    assert steps[3]["payload"]["error"]["message"] == "declined"
    assert steps[5]["payload"]["output"] == RECEIPT


def test_the_trail_by_filters_and_pages(rpc: OfficialRpc, recorded: str) -> None:
    events = trail(rpc, runId=recorded)["events"]
    failed = trail(rpc, runId=recorded, eventType="step.failed")
    assert [named(event) for event in failed["events"]] == ["failed charge"]
    assert failed["totalCount"] == 1
    assert trail(rpc, runId=recorded, eventType="step.") == {}, "a type is no prefix"
    between = trail(rpc, runId=recorded, fromTimestamp=events[3]["createdAt"], toTimestamp=events[6]["createdAt"])
    assert [one for one in between["events"] if one not in (events[3], events[6])] == events[4:6]
    seen, cursor = [], ""
    while True:
        page = trail(rpc, runId=recorded, limit=4, cursor=cursor)
        assert len(page["events"]) <= 4
        assert page["totalCount"] == len(events)
        seen += page["events"]
        cursor = page.get("nextCursor", "")
        if not cursor:
            break
    assert seen == events
    code, text = rpc.refused("audit.get_trail", "GetAuditTrailRequest", {"runId": recorded, "fromTimestamp": "noon"})
    assert code == "invalid_argument"
    assert "noon" in text


def test_past_states(rpc: OfficialRpc, plain: Plain, recorded: str) -> None:
    seen = []
    for event in trail(rpc, runId=recorded)["events"]:
        found = state(rpc, recorded, event["createdAt"])
        asked = {"runId": recorded, "timestamp": event["createdAt"]}
        assert found == plain.call("TimeTravelService/GetRunStateAt", asked)["snapshot"]
        assert unpacked(found["input"]) == {"total": 3}
        if event["eventType"].startswith("step."):
            assert found["status"] == "running"
            seen.append([(step["name"], step["status"]) for step in found["steps"]])
    validated = ("validate", "completed")
    assert seen == [
        [("validate", "running")],
        [validated],
        [validated, ("charge", "running")],
        [validated, ("charge", "failed")],
        [validated, ("charge", "running")],
        [validated, ("charge", "completed")],
    ]
    last = state(rpc, recorded, "2101-01-01T00:00:00.000000001Z")
    assert last["status"] == "completed"
    assert [unpacked(step["output"]) for step in last["steps"]] == [[1, "ok"], RECEIPT]


def test_the_timeline(rpc: OfficialRpc, recorded: str) -> None:
    events = rpc("time_travel.get_run_timeline", "GetRunTimelineRequest", {"runId": recorded})["events"]
    trailed = trail(rpc, runId=recorded)["events"]
    assert [event["timestamp"] for event in events] == [event["createdAt"] for event in trailed]
    assert [named(event) for event in of_steps(events)] == STEPS
    assert all(event["summary"] for event in events)
    significant = {event["eventType"] for event in events if event.get("significant")}
    assert significant >= {"run.created", "step.completed", "step.failed"}
    assert "step.started" not in significant
    assert {event.get("stepName", "") for event in events} == {"", "validate", "charge"}


def test_a_steps_output_then(rpc: OfficialRpc, recorded: str) -> None:
    then = [event["createdAt"] for event in of_steps(trail(rpc, runId=recorded)["events"])]

    def charge(timestamp: str) -> tuple[str, Any]:
        asked = {"runId": recorded, "stepId": f"{recorded}:charge:0", "timestamp": timestamp}
        found = rpc("time_travel.get_step_output_at", "GetStepOutputAtRequest", asked)
        return found["status"], unpacked(found.get("output", ""))

    assert [charge(timestamp) for timestamp in then[2:]] == [
        ("running", None),
        ("failed", None),
        ("running", None),
        ("completed", RECEIPT),
    ]


def test_what_has_no_past(rpc: OfficialRpc, plain: Plain, recorded: str, name: str) -> None:
    early = {"runId": recorded, "timestamp": "2001-01-01T00:00:00Z"}
    assert rpc.refused("time_travel.get_run_state_at", "GetRunStateAtRequest", early)[0] == "not_found"
    nowhere = {"runId": "run_nowhere", "timestamp": "2101-01-01T00:00:00Z"}
    assert rpc.refused("time_travel.get_run_state_at", "GetRunStateAtRequest", nowhere)[0] == "not_found"
    plain.call("RegisterFunction", {"id": f"{name}-off", "triggers": [{"event": f"{name}.off"}]})
    run_id = plain.start(f"{name}.off", {})
    assert trail(rpc, runId=run_id) == {}
    for method, kind in (
        ("get_run_state_at", "GetRunStateAtRequest"),
        ("get_run_timeline", "GetRunTimelineRequest"),
        ("get_step_output_at", "GetStepOutputAtRequest"),
    ):
        asked = {"runId": run_id}
        if kind != "GetRunTimelineRequest":
            asked["timestamp"] = "2101-01-01T00:00:00Z"
        code, text = rpc.refused(f"time_travel.{method}", kind, asked)
        assert code == "failed_precondition"
        assert "recording" in text, "the remedy is named"
