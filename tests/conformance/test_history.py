"""Recording, the audit trail and time travel, over the wire alone."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest

from tests.conformance.plain import Plain
from tests.conformance.plain_worker import PlainWorker

FUTURE = "2200-01-01T00:00:00Z"
TRAIL = "AuditService/GetAuditTrail"


@pytest.fixture
def run_id(plain: Plain, worker: PlainWorker, name: str) -> str:
    """A recorded run that failed once, went on, and completed."""
    plain.call(
        "RegisterFunction",
        {
            "id": name,
            "triggers": [{"event": f"{name}.go"}],
            "recording": True,
            "retry": {"maxAttempts": 2, "initialDelayMs": 1},
        },
    )
    run_id = plain.start(f"{name}.go", {"n": 1})
    job = worker.take(run_id)
    failed = {**job.step("charge"), "status": "failed", "error": {"message": "declined"}}
    worker.done(job, "failed", job.step("validate", 1), failed, error={"message": "declined", "retryable": True})
    job = worker.take(run_id)
    worker.done(job, "completed", job.step("charge", {"ok": True}), output=[1])
    return run_id


def trail(plain: Plain, run_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = plain.call(TRAIL, {"runId": run_id, "limit": 1000})["events"]
    return found


def test_the_function_says_that_it_records(plain: Plain, name: str) -> None:
    wanted = {"id": name, "recording": True, "recordingProfile": "run_lifecycle"}
    assert plain.call("RegisterFunction", wanted)["function"]["recordingProfile"] == "run_lifecycle"
    assert plain.call("GetFunction", {"id": name})["recording"] is True


def test_the_trail_tells_the_whole_run_in_order(plain: Plain, run_id: str) -> None:
    told = trail(plain, run_id)
    assert told[0]["eventType"] == "run.created"
    assert told[0]["payload"]["input"] == {"n": 1}
    steps = [(event["eventType"], event["stepId"].split(":")[1]) for event in told if event.get("stepId")]
    assert steps == [
        ("step.started", "validate"),
        ("step.completed", "validate"),
        ("step.started", "charge"),
        ("step.failed", "charge"),
        ("step.started", "charge"),
        ("step.completed", "charge"),
    ]
    moves = [event["payload"] for event in told if event["eventType"] == "run.status_changed"]
    assert [one["oldStatus"] for one in moves][1:] == [one["newStatus"] for one in moves][:-1]
    assert moves[-1]["newStatus"] == "completed"


def test_the_state_at_every_instant(plain: Plain, run_id: str) -> None:
    """As the trail tells it: the steps begun by then, the failure until the retry, the outputs."""
    seen = []
    for event in trail(plain, run_id):
        answer = plain.call("TimeTravelService/GetRunStateAt", {"runId": run_id, "timestamp": event["createdAt"]})
        steps = answer["snapshot"].get("steps", [])
        state = tuple((step["name"], step["status"], b64decode(step.get("output", ""))) for step in steps)
        seen += [state] if state not in seen else []
    assert seen == [
        (),
        (("validate", "running", b""),),
        (("validate", "completed", b"1"),),
        (("validate", "completed", b"1"), ("charge", "running", b"")),
        (("validate", "completed", b"1"), ("charge", "failed", b"")),
        (("validate", "completed", b"1"), ("charge", "completed", b'{"ok":true}')),
    ]


def test_the_timeline_and_one_output(plain: Plain, run_id: str) -> None:
    told = plain.call("TimeTravelService/GetRunTimeline", {"runId": run_id})["events"]
    assert [one["id"] for one in told] == [event["id"] for event in trail(plain, run_id)]
    assert {"Step charge failed", "Step charge completed", "Run completed"} <= {one["summary"] for one in told}
    step = f"{run_id}:charge:0"
    found = plain.call("TimeTravelService/GetStepOutputAt", {"runId": run_id, "stepId": step, "timestamp": FUTURE})
    assert (found["status"], b64decode(found["output"])) == ("completed", b'{"ok":true}')


def test_a_run_that_was_not_recorded_says_so(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    worker.done(worker.take(run_id), "completed")
    assert plain.call(TRAIL, {"runId": run_id}).get("events", []) == []
    answer = plain.post("TimeTravelService/GetRunStateAt", {"runId": run_id, "timestamp": FUTURE})
    assert answer.fault[1] == "failed_precondition"
    assert "record" in answer.json["message"]


def test_the_list_across_runs_is_newest_first(plain: Plain, run_id: str) -> None:
    page = plain.rest("GET", f"/api/v1/audit?run_id={run_id}&limit=1000").json
    assert [event["id"] for event in page["events"]] == [event["id"] for event in trail(plain, run_id)][::-1]
    assert page["total_count"] == len(page["events"])


def test_what_the_server_captures(plain: Plain) -> None:
    said = plain.rest("GET", "/api/v1/audit/settings").json
    assert said["retention_days"] >= 0
    assert isinstance(said["payload_redaction_enabled"], bool)


@pytest.mark.parametrize("query", ["api_key_id=key_1", "action=runs:read"])
def test_filters_for_what_is_not_here_are_refused(plain: Plain, query: str) -> None:
    assert plain.rest("GET", f"/api/v1/audit?{query}").fault == (400, "invalid_argument")
