"""Operators at work with the official RPC client while the official worker executes: every verb of engine.md 12."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections import Counter
from typing import Any

import pytest

from tests.conformance.plain import Plain, instant, payload, until
from tests.conformance.plain_worker import PlainWorker
from tests.conformance.rpc import OfficialRpc
from tests.conformance.script import Script, done, unpacked

# Both clients, each in one of the codecs: that all four say the same is shown in test_official_rpc.py.
pytestmark = pytest.mark.parametrize(
    "rpc", [("sync", "binary"), ("async", "json")], indirect=True, ids="-".join, scope="session"
)
NOWHERE = "run_nowhere"


def packed(value: Any) -> str:
    """Return a value as a bytes field whose bytes are JSON text."""
    return b64encode(json.dumps(value).encode()).decode()


def pause(rpc: OfficialRpc, run_id: str) -> str:
    status: str = rpc("runs.pause", "PauseRunRequest", {"runId": run_id})["status"]
    return status


def resume(rpc: OfficialRpc, run_id: str, from_step: str = "") -> dict[str, Any]:
    row: dict[str, Any] = rpc("runs.resume", "ResumeRunRequest", {"runId": run_id, "fromStep": from_step})
    return row


def inject(rpc: OfficialRpc, run_id: str, step: str, value: Any, reason: str = "") -> Any:
    """Inject an output and return the one before."""
    asked = {"runId": run_id, "stepId": step, "newOutput": packed(value), "reason": reason}
    found = rpc("runs.inject_step_output", "InjectStepOutputRequest", asked)
    assert found["stepId"]
    return unpacked(found["previousOutput"])


def patch(rpc: OfficialRpc, row_id: str, value: Any, reason: str = "") -> dict[str, Any]:
    pair = {"output" if isinstance(value, dict) else "outputValue": value}
    found: dict[str, Any] = rpc("runs.patch_step", "PatchStepRequest", {"stepId": row_id, **pair, "reason": reason})
    return found


def held(script: Script, rpc: OfficialRpc, gate: str) -> str:
    """Start a run, pause it while its step `held` executes, let that step end, and return the paused run."""
    after = ["run", "after", "$before", {"gate": f"{gate}-after"}]
    run_id = script.start(["run", "a", {"n": 1}], ["run", "held", [2], {"gate": gate}], after)
    script.ledger.wait_for(run_id, "held")
    until(lambda: script.ids(run_id) == ["a:0"], "the first step to be saved")
    assert pause(rpc, run_id) == "pause_requested"
    asked = script.plain.run(run_id)
    assert (asked["status"], asked["pauseRequested"]) == ("RUN_STATUS_RUNNING", True)
    script.worker.open(gate)
    row = script.plain.in_status(run_id, "paused")
    assert row["pauseReason"] == "injection"
    assert "claimedBy" not in row
    assert script.ids(run_id) == ["a:0", "held:0"], "what was in flight is kept, what came after is not begun"
    script.agrees(run_id)
    return run_id


# ---- pause and resume


def test_pause_at_the_boundary_and_go_on(script: Script, rpc: OfficialRpc, name: str) -> None:
    run_id = held(script, rpc, name)
    assert pause(rpc, run_id) == "paused"
    before = script.plain.run(run_id)
    state = rpc("runs.get_paused_state", "GetPausedStateRequest", {"runId": run_id})
    assert state == script.plain.call("GetPausedState", {"runId": run_id})
    assert state["pauseReason"] == "injection"
    assert [(step["name"], step["status"], step["stepType"]) for step in state["steps"]] == [
        ("a", "completed", "invoke"),
        ("held", "completed", "invoke"),
    ]
    assert [unpacked(step["output"]) for step in state["steps"]] == [{"n": 1}, [2]]
    assert not [step for step in state["steps"] if "injected" in step or "error" in step]
    ended = [row["endedAt"] for row in script.plain.steps(run_id)]
    assert [instant(step["completedAt"]) for step in state["steps"]] == [instant(one) for one in ended]
    assert {step["id"] for step in state["steps"]} <= {
        one for row in script.plain.steps(run_id) for one in (row["id"], row["stepId"])
    }
    assert script.plain.run(run_id) == before, "reading changes nothing"

    script.worker.open(f"{name}-after")
    resumed = resume(rpc, run_id)
    assert resumed["status"] != "RUN_STATUS_PAUSED"
    assert "pauseReason" not in resumed
    run = script.ended(run_id)
    assert payload(run, "output") == [{"n": 1}, [2], [{"n": 1}, [2]]]
    assert run["attempt"] == 1
    bodies = script.ledger.bodies(run_id)
    assert (bodies["a"], bodies["held"]) == (1, 1)
    assert bodies["after"] in (1, 2), "begun and thrown away by the worker at most once"
    assert script.story(run_id) == done("a:0", "held:0", "after:0")
    assert script.statuses(run_id) == ["running", "paused", "waiting_for_capacity", "running", "completed"]
    paused, resumed = script.trail(run_id, "run.paused")[0], script.trail(run_id, "run.resumed")[0]
    assert (paused["payload"]["reason"], resumed["payload"]["reason"]) == ("injection", "resumed")


def test_a_run_that_ends_before_the_boundary_has_ended(script: Script, rpc: OfficialRpc, name: str) -> None:
    run_id = script.start(["run", "held", 1, {"gate": name}])
    script.ledger.wait_for(run_id, "held")
    assert pause(rpc, run_id) == "pause_requested"
    assert pause(rpc, run_id) == "pause_requested"
    script.worker.open(name)
    # The checkpoint and the report race: either the step's checkpoint comes first, and the run pauses, or it ends.
    row = until(lambda: settled(script.plain.run(run_id)), "the run to pause or to end")
    if row["status"] == "RUN_STATUS_PAUSED":
        resume(rpc, run_id)
    assert payload(script.ended(run_id), "output") == [1]
    assert script.ledger.bodies(run_id) == Counter(held=1)
    assert "pauseRequested" not in script.plain.run(run_id)


def settled(row: dict[str, Any]) -> dict[str, Any] | None:
    return row if row["status"] in ("RUN_STATUS_PAUSED", "RUN_STATUS_COMPLETED") else None


def test_a_sleeping_run_is_paused_at_once(script: Script, rpc: OfficialRpc, name: str) -> None:
    """A sleep that is over by the time the run is resumed is over; one that is not goes on."""
    long = script.start(["sleep", "nap", 3600])
    short = script.start(["run", "a"], ["sleep", "nap", 0.6], ["run", "b"])
    for run_id in (long, short):
        script.waits(run_id, "sleeping")
        assert pause(rpc, run_id) == "paused"
        assert script.plain.run(run_id)["pauseReason"] == "injection"
    state = rpc("runs.get_paused_state", "GetPausedStateRequest", {"runId": long})
    assert state.get("nextStepHint") == "nap"
    due = instant(script.row(short, "nap:0")["sleepUntil"])
    until(lambda: time.time_ns() > due, "the time of the sleep to be over")
    assert script.plain.run(short)["status"] == "RUN_STATUS_PAUSED"
    resume(rpc, short)
    script.ended(short)
    assert script.ledger.bodies(short) == Counter(a=1, b=1)
    assert script.story(short) == done("a:0", "nap:0", "b:0")
    assert resume(rpc, long)["status"] == "RUN_STATUS_WAITING"
    assert script.row(long, "nap:0")["status"] == "STEP_STATUS_SLEEPING"
    script.plain.cancel(long)


def test_an_event_reaches_a_paused_run(script: Script, rpc: OfficialRpc, name: str) -> None:
    run_id = script.start(["wait", "appr", f"{name}.ok"], ["run", "b"])
    script.waits(run_id)
    assert pause(rpc, run_id) == "paused"
    event_id = script.plain.emit(f"{name}.ok", {"n": 1})["eventId"]
    assert script.plain.run(run_id)["status"] == "RUN_STATUS_PAUSED"
    assert payload(script.row(run_id, "appr:0"), "output")["id"] == event_id
    resume(rpc, run_id)
    assert payload(script.ended(run_id), "output")[0]["id"] == event_id


def test_a_paused_parent_keeps_its_childs_answer(script: Script, rpc: OfficialRpc, name: str) -> None:
    run_id = script.start(["invoke", "child", {"do": [["run", "inner", 5, {"gate": name}]]}], ["run", "b"])
    child_id = script.waits(run_id)["childRunId"]
    assert pause(rpc, run_id) == "paused"
    script.worker.open(name)
    script.ended(child_id)
    assert script.plain.run(run_id)["status"] == "RUN_STATUS_PAUSED"
    resume(rpc, run_id)
    assert payload(script.ended(run_id), "output") == [[5], None]


def test_a_queued_run_is_paused_at_once(rpc: OfficialRpc, plain: Plain, name: str) -> None:
    plain.call("RegisterFunction", {"id": name, "triggers": [{"event": f"{name}.go"}]})
    run_id = plain.start(f"{name}.go", {})
    assert pause(rpc, run_id) == "paused"
    worker = PlainWorker(plain, f"{name}-worker", (name,)).register()
    assert worker.jobs() == []
    state = rpc("runs.get_paused_state", "GetPausedStateRequest", {"runId": run_id})
    assert state == {"pauseReason": "injection"}
    resume(rpc, run_id)
    worker.done(worker.take(run_id), "completed", output=1)


# ---- inject and patch


def test_injected_outputs_are_what_later_steps_see(script: Script, rpc: OfficialRpc, name: str) -> None:
    run_id = held(script, rpc, name)
    row = script.row(run_id, "held:0")
    assert inject(rpc, run_id, row["id"], {"fixed": None}, "wrong amount") == [2]
    assert inject(rpc, run_id, f"{run_id}:held:0", "twice", "again") == {"fixed": None}
    assert inject(rpc, run_id, f"{run_id}:a:0", None) == {"n": 1}
    state = rpc("runs.get_paused_state", "GetPausedStateRequest", {"runId": run_id})
    assert [unpacked(step["output"]) for step in state["steps"]] == [None, "twice"]
    assert [step["injected"] for step in state["steps"]] == [True, True]
    script.worker.open(f"{name}-after")
    resume(rpc, run_id)
    run = script.ended(run_id)
    assert payload(run, "output") == [None, "twice", [None, "twice"]]
    assert [script.ledger.bodies(run_id)[step] for step in ("a", "held")] == [1, 1]
    assert script.outputs(run_id) == [None, "twice", [None, "twice"]]
    told = [event["payload"] for event in script.trail(run_id, "step.injected")]
    assert [(one["previousOutput"], one["newOutput"], one.get("reason", "")) for one in told] == [
        ([2], {"fixed": None}, "wrong amount"),
        ({"fixed": None}, "twice", "again"),
        ({"n": 1}, None, ""),
    ]


def failed(script: Script, *, more: Any = ()) -> str:
    """Start a run that fails for good in its second step and return it."""
    pay = ["run", "pay", "paid", {"fails": 9, "kind": "fatal"}]
    run_id = script.start(["run", "a", 1], pay, ["run", "after", "$before"], *more)
    script.ended(run_id, "failed")
    return run_id


def test_a_patched_step_is_not_executed_again(script: Script, rpc: OfficialRpc) -> None:
    """The documented recovery: patch the step that failed, resume from that very step."""
    run_id = failed(script)
    row = script.row(run_id, "pay:0")
    patched = patch(rpc, row["id"], {"receipt": 7}, "paid by hand")
    assert patched == script.row(run_id, "pay:0")
    assert (patched["status"], payload(patched, "output")) == ("STEP_STATUS_COMPLETED", {"receipt": 7})
    assert patched["patchedAt"]
    assert "error" not in patched
    assert script.plain.run(run_id)["status"] == "RUN_STATUS_FAILED", "patching does not resume"
    script.agrees(run_id)
    resumed = resume(rpc, run_id, row["stepId"])
    assert (resumed["attempt"], "endedAt" in resumed) == (1, False)
    run = script.ended(run_id)
    assert payload(run, "output") == [1, {"receipt": 7}, [1, {"receipt": 7}]]
    assert script.ledger.bodies(run_id) == Counter(a=1, pay=1, after=1)
    told = script.story(run_id)
    assert told == [*done("a:0"), "started pay:0", "failed pay:0", "patched pay:0", *done("after:0")]
    by = script.trail(run_id, "step.patched")[0]["payload"]
    assert (by["patchedOutput"], by["reason"], by.get("originalOutput")) == ({"receipt": 7}, "paid by hand", None)
    assert script.statuses(run_id) == ["running", "failed", "waiting_for_capacity", "running", "completed"]


def test_the_first_output_is_remembered(script: Script, rpc: OfficialRpc) -> None:
    run_id = failed(script)
    row = script.row(run_id, "a:0")
    assert payload(patch(rpc, row["id"], [2]), "originalOutput") == 1
    again = patch(rpc, row["id"], "3")
    assert (payload(again, "originalOutput"), payload(again, "output")) == (1, "3")
    patch(rpc, script.row(run_id, "pay:0")["id"], None)
    resume(rpc, run_id)
    assert payload(script.ended(run_id), "output") == ["3", None, ["3", None]]
    assert script.ledger.bodies(run_id) == Counter(a=1, pay=1, after=1)


def test_resuming_from_the_point_of_failure(script: Script, rpc: OfficialRpc, name: str) -> None:
    pay = ["run", "pay", "paid", {"unless": name, "kind": "fatal"}]
    run_id = script.start(["run", "a", 1], ["sleep", "nap", 0.01], pay)
    run = script.ended(run_id, "failed")
    assert run["endedAt"]
    script.worker.open(name)
    resume(rpc, run_id)
    assert payload(script.ended(run_id), "output") == [1, None, "paid"]
    assert script.ledger.bodies(run_id) == Counter(a=1, pay=2)


@pytest.mark.parametrize("by", ["id", "row", "name"])
def test_resuming_from_an_earlier_step(script: Script, rpc: OfficialRpc, by: str, name: str) -> None:
    """Its result and all later ones are thrown away, in the trail too; earlier ones are kept."""
    wait = ["wait", "appr", f"{name}.ok"]
    pay = ["run", "pay", 3, {"unless": name, "kind": "fatal"}]
    run_id = script.start(["run", "a", 1], ["run", "b", 2], ["sleep", "nap", 0.01], wait, pay)
    script.waits(run_id, step="appr")
    first = script.plain.emit(f"{name}.ok", {})["eventId"]
    script.ended(run_id, "failed")
    row = script.row(run_id, "b:0")
    script.worker.open(name)
    resumed = resume(rpc, run_id, {"id": row["stepId"], "row": row["id"], "name": "b"}[by])
    assert resumed["resumeFromStep"] == row["stepId"]
    script.waits(run_id, step="appr")
    second = script.plain.emit(f"{name}.ok", {})["eventId"]
    run = script.ended(run_id)
    _, _, _, event, paid = payload(run, "output")
    assert (event["id"], paid) == (second, 3)
    assert first != second
    assert script.ledger.bodies(run_id) == Counter(a=1, b=2, pay=2)
    ids = ["a:0", "b:0", "nap:0", "appr:0", "pay:0"]
    assert script.ids(run_id) == ids
    thrown = [f"discarded {step}" for step in ids[1:]]
    told = script.story(run_id)
    assert told[: len(told) - 12] == [*done("a:0", "b:0", "nap:0", "appr:0"), "started pay:0", "failed pay:0"]
    assert sorted(told[-12:-8]) == sorted(thrown)
    assert told[-8:] == done(*ids[1:])


def test_a_kept_step_and_what_is_thrown_away_after_it(script: Script, rpc: OfficialRpc, name: str) -> None:
    pay = ["run", "pay", 3, {"unless": name, "kind": "fatal"}]
    run_id = script.start(["run", "a", 1], ["run", "b", 2], ["run", "c", "$before"], pay)
    script.ended(run_id, "failed")
    patch(rpc, script.row(run_id, "b:0")["id"], "two")
    script.worker.open(name)
    resume(rpc, run_id, f"{run_id}:b:0")
    assert payload(script.ended(run_id), "output") == [1, "two", [1, "two"], 3]
    assert script.ledger.bodies(run_id) == Counter(a=1, b=1, c=2, pay=2)


# ---- cancel


@pytest.mark.parametrize("state", ["sleeping", "waiting", "paused", "executing"])
def test_cancelling(script: Script, rpc: OfficialRpc, name: str, state: str) -> None:
    """What comes later changes nothing: an event, the end of a sleep, the worker's report."""
    last = {
        "sleeping": ["sleep", "nap", 0.5],
        "waiting": ["wait", "appr", f"{name}.ok"],
        "paused": ["sleep", "nap", 3600],
        "executing": ["run", "held", 1, {"gate": name}],
    }[state]
    run_id = script.start(["run", "a"], ["compensate", "a"], last)
    if state == "executing":
        script.ledger.wait_for(run_id, "held")
    else:
        script.waits(run_id, "waiting" if state == "waiting" else "sleeping")
    if state == "paused":
        pause(rpc, run_id)
    run = rpc("runs.cancel", "CancelRunRequest", {"id": run_id, "reason": "ordered twice"})
    assert (run["status"], run["cancellationCause"]) == ("RUN_STATUS_CANCELLED", "ordered twice")
    rows = script.plain.steps(run_id)
    script.worker.open(name)
    assert script.plain.emit(f"{name}.ok", {}).keys() == {"eventId"}
    script.ended(script.start(["sleep", "later", 0.5 if state == "sleeping" else 0.01]))
    assert (script.plain.run(run_id), script.plain.steps(run_id)) == (run, rows)
    assert Counter(script.ledger.bodies(run_id)) - Counter(held=1) == Counter(a=1)
    assert script.statuses(run_id)[-1] == "cancelled"
    script.agrees(run_id)


# ---- delete


def test_deleting_a_run(script: Script, rpc: OfficialRpc, name: str) -> None:
    run_id, other = script.start(["run", "a"]), script.start(["run", "a"])
    for one in (run_id, other):
        script.ended(one)
    assert rpc("runs.delete", "DeleteRunRequest", {"id": run_id}) == {}
    for method, kind, field in (
        ("runs.get", "GetRunRequest", "id"),
        ("runs.get_steps", "GetRunStepsRequest", "runId"),
        ("runs.delete", "DeleteRunRequest", "id"),
        ("audit.get_trail", "GetAuditTrailRequest", "runId"),
    ):
        assert rpc.refused(method, kind, {field: run_id})[0] == "not_found"
    assert script.plain.steps(other)
    sleeping = script.start(["sleep", "nap", 3600])
    script.waits(sleeping, "sleeping")
    code, text = rpc.refused("runs.delete", "DeleteRunRequest", {"id": sleeping})
    assert code == "failed_precondition"
    assert "waiting" in text
    script.plain.cancel(sleeping)
    rpc("runs.delete", "DeleteRunRequest", {"id": sleeping})


def test_deleting_many_runs(rpc: OfficialRpc, plain: Plain, worker: PlainWorker, name: str) -> None:
    runs = [plain.start(f"{name}.go", {"n": n}) for n in range(6)]
    for run_id in runs[:3]:
        worker.done(worker.take(run_id), "completed", output=1)
    worker.fail(worker.take(runs[3]), retryable=False)
    plain.cancel(runs[4])

    def delete(**filters: Any) -> int:
        return int(rpc("runs.delete_many", "DeleteRunsRequest", {"functionId": name, **filters}).get("deleted", 0))

    def left() -> set[str]:
        return {run["id"] for run in plain.call("ListRuns", {"functionId": name}).get("runs", [])}

    assert rpc.refused("runs.delete_many", "DeleteRunsRequest", {})[0] == "invalid_argument"
    live = {"functionId": name, "status": "RUN_STATUS_RUNNING"}
    assert rpc.refused("runs.delete_many", "DeleteRunsRequest", live)[0] == "invalid_argument"
    assert delete(status="RUN_STATUS_FAILED") == 1
    assert delete(until=plain.run(runs[1])["createdAt"]) == 1
    assert left() == {runs[1], runs[2], runs[4], runs[5]}
    assert delete() == 3
    assert delete() == 0
    assert left() == {runs[5]}, "one that has not ended stays"


# ---- redact


def is_redacted(value: Any) -> bool:
    """Whether a payload is the marker of a redacted one."""
    return (
        isinstance(value, dict) and value.keys() == {"$redacted", "sha256", "redactedAt"} and value["$redacted"] is True
    )


def test_redacting_a_run(script: Script, rpc: OfficialRpc, name: str) -> None:
    run_id = script.start(["run", "a", f"secret-{name}"], ["run", "b", {"secret": name}], secret=name)
    run = script.ended(run_id)
    assert rpc("runs.redact", "RedactRunRequest", {"runId": run_id}) == {}
    redacted = script.plain.run(run_id)
    assert is_redacted(payload(redacted, "input"))
    assert is_redacted(payload(redacted, "output"))
    assert all(is_redacted(output) for output in script.outputs(run_id))
    assert redacted["status"] == run["status"]
    text = json.dumps(script.trail(run_id))
    assert name not in text.replace(f"{name}-worker", ""), "no payload is left in the trail"
    kept = {event["eventType"] for event in script.trail(run_id)}
    assert {"run.created", "step.started", "step.completed", "run.redacted"} <= kept
    assert rpc("runs.redact", "RedactRunRequest", {"runId": run_id}) == {}
    assert script.plain.run(run_id) == redacted, "again is no change"


def test_redacting_a_step(script: Script, rpc: OfficialRpc, name: str) -> None:
    run_id = script.start(["run", "a", "open"], ["run", "b", f"secret-{name}"], ["run", "c", "open"])
    script.ended(run_id)
    row = script.row(run_id, "b:0")
    assert rpc("runs.redact_step", "RedactStepRequest", {"stepId": row["id"]}) == {}
    outputs = script.outputs(run_id)
    assert is_redacted(outputs[1])
    assert (outputs[0], outputs[2]) == ("open", "open")
    completed = [event["payload"]["output"] for event in script.trail(run_id, "step.completed")]
    assert is_redacted(completed[1])
    assert (completed[0], completed[2]) == ("open", "open")
    script.agrees(run_id)


def test_redacting_an_event(script: Script, rpc: OfficialRpc, name: str) -> None:
    """The input of the runs it started goes with it, in their trails too."""
    run_id = script.start(["run", "a"], secret=name)
    run = script.ended(run_id)
    path = f"/api/v1/events/{run['eventId']}"
    assert script.plain.rest("GET", path).json["data"]["secret"] == name
    assert rpc("events.redact", "RedactEventRequest", {"eventId": run["eventId"]}) == {}
    assert is_redacted(script.plain.rest("GET", path).json["data"])
    assert is_redacted(payload(script.plain.run(run_id), "input"))
    assert is_redacted(script.trail(run_id, "run.created")[0]["payload"]["input"])
    assert name not in json.dumps(script.trail(run_id))
    assert rpc("events.redact", "RedactEventRequest", {"eventId": run["eventId"]}) == {}


# ---- wrong states


def test_every_wrong_state_is_refused_plainly(script: Script, rpc: OfficialRpc, name: str) -> None:
    completed, sleeping = script.start(["run", "a"]), script.start(["run", "a"], ["sleep", "nap", 3600])
    script.ended(completed)
    script.waits(sleeping, "sleeping")
    step = script.row(completed, "a:0")
    before = [script.plain.run(run_id) for run_id in (completed, sleeping)]
    inject = {"stepId": f"{sleeping}:a:0", "newOutput": packed(1)}
    wrong = [
        ("runs.pause", "PauseRunRequest", {"runId": completed}, "completed"),
        ("runs.get_paused_state", "GetPausedStateRequest", {"runId": completed}, "completed"),
        ("runs.get_paused_state", "GetPausedStateRequest", {"runId": sleeping}, "waiting"),
        ("runs.inject_step_output", "InjectStepOutputRequest", {"runId": sleeping, **inject}, "waiting"),
        ("runs.resume", "ResumeRunRequest", {"runId": completed}, "completed"),
        ("runs.resume", "ResumeRunRequest", {"runId": sleeping}, "waiting"),
        ("runs.cancel", "CancelRunRequest", {"id": completed}, "completed"),
        ("runs.delete", "DeleteRunRequest", {"id": sleeping}, "waiting"),
        ("runs.redact", "RedactRunRequest", {"runId": sleeping}, "waiting"),
        ("runs.redact_step", "RedactStepRequest", {"stepId": script.row(sleeping, "a:0")["id"]}, "waiting"),
    ]
    for method, kind, message, word in wrong:
        code, text = rpc.refused(method, kind, message)
        assert (code, word in text) == ("failed_precondition", True), (method, message, text)
    pause(rpc, sleeping)
    for message in ({"stepId": f"{sleeping}:none:0", "newOutput": packed(1)}, {**inject, "runId": NOWHERE}):
        asked = {"runId": sleeping, **message}
        assert rpc.refused("runs.inject_step_output", "InjectStepOutputRequest", asked)[0] == "not_found"
    for bad in ("", b64encode(b"{").decode(), b64encode(b"\xff").decode(), b64encode(b"NaN").decode()):
        asked = {"runId": sleeping, "stepId": f"{sleeping}:a:0", "newOutput": bad}
        assert rpc.refused("runs.inject_step_output", "InjectStepOutputRequest", asked)[0] == "invalid_argument"
    unfinished = {"runId": sleeping, "stepId": f"{sleeping}:nap:0", "newOutput": packed(1)}
    assert rpc.refused("runs.inject_step_output", "InjectStepOutputRequest", unfinished)[0] == "failed_precondition"
    code, text = rpc.refused("runs.resume", "ResumeRunRequest", {"runId": sleeping, "fromStep": "nothing"})
    assert (code, "nothing" in text) == ("not_found", True)
    for method, kind, message in (
        ("runs.pause", "PauseRunRequest", {"runId": NOWHERE}),
        ("runs.get_paused_state", "GetPausedStateRequest", {"runId": NOWHERE}),
        ("runs.resume", "ResumeRunRequest", {"runId": NOWHERE}),
        ("runs.delete", "DeleteRunRequest", {"id": NOWHERE}),
        ("runs.redact", "RedactRunRequest", {"runId": NOWHERE}),
        ("runs.redact_step", "RedactStepRequest", {"stepId": "step_nowhere"}),
        ("runs.patch_step", "PatchStepRequest", {"stepId": "step_nowhere", "output": {}}),
        ("events.redact", "RedactEventRequest", {"eventId": "evt_nowhere"}),
    ):
        assert rpc.refused(method, kind, message)[0] == "not_found", method
    assert script.plain.run(completed) == before[0]
    assert script.row(completed, "a:0") == step
    script.plain.cancel(sleeping)
