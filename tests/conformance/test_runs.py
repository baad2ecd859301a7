"""Acting on runs over the wire alone: pause, inject, patch, resume, cancel, delete, redact (engine.md section 12)."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.conftest import register
from tests.conformance.plain import Plain, instant, payload
from tests.conformance.plain_worker import Job, PlainWorker, is_stale

FUTURE = "2200-01-01T00:00:00Z"
REFUSED, UNKNOWN, WRONG = (400, "failed_precondition"), (404, "not_found"), (400, "invalid_argument")


@pytest.fixture
def worker(plain: Plain, name: str) -> PlainWorker:
    """A worker of a recorded function that fails with its first attempt."""
    return register(plain, name, recording=True, retry={"maxAttempts": 1, "onExhausted": "fail"})


def base64_of(value: Any) -> str:
    return b64encode(json.dumps(value).encode()).decode()


def inject(plain: Plain, run_id: str, step_id: str, value: Any, reason: str = "") -> Any:
    message = {"runId": run_id, "stepId": step_id, "newOutput": base64_of(value), "reason": reason}
    return plain.call("InjectStepOutput", message)


def by_name(plain: Plain, run_id: str) -> dict[str, dict[str, Any]]:
    return {row["stepId"].split(":")[1]: row for row in plain.steps(run_id)}


def audit(plain: Plain, run_id: str, kind: str = "") -> list[dict[str, Any]]:
    page = plain.call("AuditService/GetAuditTrail", {"runId": run_id, "eventType": kind, "limit": 1000})
    found: list[dict[str, Any]] = page.get("events", [])
    return found


def asleep(plain: Plain, worker: PlainWorker, name: str) -> tuple[str, Job]:
    """Return a run that sleeps after its steps `a` and `b`, and the job that brought it there."""
    run_id = plain.start(f"{name}.go", {"card": "4111"})
    job = worker.take(run_id)
    worker.sleep(job, FUTURE, job.step("a", {"n": 1}), job.step("b", [2]))
    return run_id, job


def failed(plain: Plain, worker: PlainWorker, name: str) -> tuple[str, Job]:
    """Return a run that failed in its second step, and the job that brought it there."""
    run_id = plain.start(f"{name}.go", {"card": "4111"})
    job = worker.take(run_id)
    worker.fail(job, job.step("a", {"n": 1}), job.step("b", error={"message": "declined"}), retryable=False)
    return run_id, job


# ---- pause


def test_a_waiting_run_is_paused_at_once(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id, _ = asleep(plain, worker, name)
    assert plain.run(run_id)["pauseReason"] == "sleep"
    assert plain.call("PauseRun", {"runId": run_id}) == {"status": "paused"}
    row = plain.run(run_id)
    assert (row["status"], row["pauseReason"]) == ("RUN_STATUS_PAUSED", "injection")
    assert plain.call("PauseRun", {"runId": run_id}) == {"status": "paused"}
    assert len(audit(plain, run_id, "run.paused")) == 1


def test_a_run_in_the_queue_is_paused_at_once_and_not_handed_out(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    assert plain.call("PauseRun", {"runId": run_id}) == {"status": "paused"}
    assert worker.jobs() == []
    plain.call("ResumeRun", {"runId": run_id})
    worker.done(worker.take(run_id), "completed")
    assert plain.run(run_id)["status"] == "RUN_STATUS_COMPLETED"


def test_an_executing_run_stops_at_its_next_checkpoint(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    assert plain.call("PauseRun", {"runId": run_id}) == {"status": "pause_requested"}
    assert plain.call("PauseRun", {"runId": run_id}) == {"status": "pause_requested"}
    row = plain.run(run_id)
    assert (row["status"], row["pauseRequested"]) == ("RUN_STATUS_RUNNING", True)
    assert is_stale(worker.update(job, "progress", job.step("a", 1)))
    row = plain.run(run_id)
    assert (row["status"], row.get("pauseRequested", False)) == ("RUN_STATUS_PAUSED", False)
    assert payload(by_name(plain, run_id)["a"], "output") == 1
    plain.call("ResumeRun", {"runId": run_id})
    again = worker.take(run_id)
    assert again.memo == {f"{run_id}:a:0": 1}
    worker.done(again, "completed")


def test_a_run_that_ends_before_its_boundary_ends(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    plain.call("PauseRun", {"runId": run_id})
    worker.done(job, "completed", output=1)
    row = plain.run(run_id)
    assert (row["status"], row.get("pauseRequested", False)) == ("RUN_STATUS_COMPLETED", False)


# ---- the paused state


def test_the_paused_state_tells_what_is_done_and_what_comes(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id, _ = asleep(plain, worker, name)
    plain.call("PauseRun", {"runId": run_id})
    state = plain.call("GetPausedState", {"runId": run_id})
    assert (state["nextStepHint"], state["pauseReason"]) == ("nap", "injection")
    assert [(step["name"], step["status"], step["stepType"]) for step in state["steps"]] == [
        ("a", "completed", "invoke"),
        ("b", "completed", "invoke"),
    ]
    assert [json.loads(b64decode(step["output"])) for step in state["steps"]] == [{"n": 1}, [2]]
    assert not any(step.get("injected") for step in state["steps"])
    inject(plain, run_id, state["steps"][1]["id"], None)
    state = plain.call("GetPausedState", {"runId": run_id})
    assert [step.get("injected", False) for step in state["steps"]] == [False, True]
    assert b64decode(state["steps"][1]["output"]) == b"null"


def test_failed_steps_belong_to_it(plain: Plain, name: str) -> None:
    worker = register(plain, name, retry={"maxAttempts": 1, "onExhausted": "pause"})
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    worker.fail(job, job.step("a", 1), job.step("b", error={"message": "declined"}))
    state = plain.call("GetPausedState", {"runId": run_id})
    assert state["pauseReason"] == "retries_exhausted"
    assert [step["status"] for step in state["steps"]] == ["completed", "failed"]
    assert json.loads(b64decode(state["steps"][1]["error"]))["message"] == "declined"


def test_only_a_paused_run_has_one(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id, _ = asleep(plain, worker, name)
    assert plain.post("GetPausedState", {"runId": run_id}).fault == REFUSED
    assert plain.post("GetPausedState", {"runId": "run_none"}).fault == UNKNOWN


# ---- inject and patch


def test_an_injected_output_replaces_the_memoised_one(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id, _ = asleep(plain, worker, name)
    plain.call("PauseRun", {"runId": run_id})
    row = by_name(plain, run_id)["b"]
    first = inject(plain, run_id, row["stepId"], {"x": "ü"}, "why not")
    assert first["stepId"] == row["stepId"]
    assert json.loads(b64decode(first["previousOutput"])) == [2]
    second = inject(plain, run_id, row["id"], 3)
    assert json.loads(b64decode(second["previousOutput"])) == {"x": "ü"}
    row = by_name(plain, run_id)["b"]
    assert (payload(row, "output"), payload(row, "originalOutput")) == (3, [2])
    told = audit(plain, run_id, "step.injected")
    assert [event["payload"]["newOutput"] for event in told] == [{"x": "ü"}, 3]
    assert told[0]["payload"]["reason"] == "why not"
    plain.call("ResumeRun", {"runId": run_id, "fromStep": "nap"})
    assert worker.take(run_id).memo == {f"{run_id}:a:0": {"n": 1}, f"{run_id}:b:0": 3}
    plain.cancel(run_id)


def test_a_patched_step_completes_and_keeps_its_first_output(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id, _ = asleep(plain, worker, name)
    row = by_name(plain, run_id)["a"]
    patched = plain.call("PatchStep", {"stepId": row["id"], "outputValue": 7, "reason": "by hand"})
    assert (payload(patched, "output"), payload(patched, "originalOutput")) == (7, {"n": 1})
    assert instant(patched["patchedAt"]) >= instant(row["updatedAt"])
    assert patched["patchedBy"]
    again = plain.call("PatchStep", {"stepId": row["stepId"], "output": {"m": 2}})
    assert (payload(again, "output"), payload(again, "originalOutput")) == ({"m": 2}, {"n": 1})
    (first, _) = audit(plain, run_id, "step.patched")
    assert first["payload"]["originalOutput"] == {"n": 1}
    assert (first["payload"]["patchedOutput"], first["payload"]["reason"]) == (7, "by hand")


def test_a_failed_step_that_is_patched_is_not_executed_again(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id, _ = failed(plain, worker, name)
    row = by_name(plain, run_id)["b"]
    patched = plain.call("PatchStep", {"stepId": row["id"], "outputValue": "paid"})
    assert (patched["status"], patched.get("error")) == ("STEP_STATUS_COMPLETED", None)
    plain.call("ResumeRun", {"runId": run_id, "fromStep": row["stepId"]})
    job = worker.take(run_id)
    assert job.memo == {f"{run_id}:a:0": {"n": 1}, f"{run_id}:b:0": "paid"}
    worker.done(job, "completed")


WRONG_OUTPUTS: dict[str, Any] = {
    "raw JSON": {"raw": 1},
    "a raw number": 7,
    "a raw text": "hello!",
    "a list": [1],
    "nothing": "",
    "blanks": b64encode(b"  ").decode(),
    "no JSON": b64encode(b"{nope").decode(),
    "two values": b64encode(b"1 2").decode(),
    "no UTF-8": b64encode(b'"\xff"').decode(),
    "NaN": b64encode(b"NaN").decode(),
    "too deep": b64encode(b"[" * 5_000 + b"]" * 5_000).decode(),
}


@pytest.mark.parametrize("output", WRONG_OUTPUTS.values(), ids=WRONG_OUTPUTS)
def test_what_is_no_json_text_in_base64_is_refused(plain: Plain, worker: PlainWorker, name: str, output: Any) -> None:
    run_id, _ = asleep(plain, worker, name)
    plain.call("PauseRun", {"runId": run_id})
    answer = plain.post("InjectStepOutput", {"runId": run_id, "stepId": f"{run_id}:a:0", "newOutput": output})
    assert answer.fault == WRONG
    assert payload(by_name(plain, run_id)["a"], "output") == {"n": 1}


def test_five_megabytes_are_injected_and_nine_refused(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id, _ = asleep(plain, worker, name)
    plain.call("PauseRun", {"runId": run_id})
    inject(plain, run_id, f"{run_id}:a:0", "x" * 5_000_000)
    assert len(payload(by_name(plain, run_id)["a"], "output")) == 5_000_000
    message = {"runId": run_id, "stepId": f"{run_id}:a:0", "newOutput": base64_of("x" * 9_000_000)}
    assert plain.post("InjectStepOutput", message).status == 413


def test_what_cannot_be_corrected(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id, _ = asleep(plain, worker, name)
    sleeping = by_name(plain, run_id)["nap"]["id"]
    one = base64_of(1)
    asked = {"runId": run_id, "stepId": f"{run_id}:a:0", "newOutput": one}
    assert plain.post("InjectStepOutput", asked).fault == REFUSED, "it is not paused"
    plain.call("PauseRun", {"runId": run_id})
    assert plain.post("InjectStepOutput", {**asked, "stepId": sleeping}).fault == REFUSED
    assert plain.post("InjectStepOutput", {**asked, "stepId": "nowhere"}).fault == UNKNOWN
    assert plain.post("InjectStepOutput", {**asked, "runId": "run_none"}).fault == UNKNOWN
    assert plain.post("PatchStep", {"stepId": sleeping, "outputValue": 1}).fault == REFUSED
    assert plain.post("PatchStep", {"stepId": "step_none", "outputValue": 1}).fault == UNKNOWN
    assert plain.post("PatchStep", {"stepId": "", "outputValue": 1}).fault in (UNKNOWN, WRONG)
    assert plain.post("PatchStep", {"stepId": f"{run_id}:a:0", "output": [1]}).fault == WRONG


# ---- resume


def test_a_failed_run_resumes_with_what_it_had(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id, _ = failed(plain, worker, name)
    row = plain.call("ResumeRun", {"runId": run_id})
    assert (row["status"], row["attempt"]) == ("RUN_STATUS_WAITING_FOR_CAPACITY", 1)
    job = worker.take(run_id)
    assert (job.attempt, job.memo) == (1, {f"{run_id}:a:0": {"n": 1}})
    worker.done(job, "completed", job.step("b", 2), output="done")
    row = plain.run(run_id)
    assert (row["status"], payload(row, "output"), row.get("error")) == ("RUN_STATUS_COMPLETED", "done", None)


def test_from_a_step_it_and_what_follows_run_again(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id, _ = asleep(plain, worker, name)
    plain.call("PauseRun", {"runId": run_id})
    row = plain.call("ResumeRun", {"runId": run_id, "fromStep": "b"})
    assert row["resumeFromStep"] == f"{run_id}:b:0"
    rows = by_name(plain, run_id)
    assert [rows[word]["status"] for word in ("a", "b", "nap")] == [
        "STEP_STATUS_COMPLETED",
        "STEP_STATUS_PENDING",
        "STEP_STATUS_PENDING",
    ]
    assert "output" not in rows["b"]
    assert worker.take(run_id).memo == {f"{run_id}:a:0": {"n": 1}}
    plain.cancel(run_id)


def test_what_cannot_be_resumed(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id, _ = asleep(plain, worker, name)
    assert plain.post("ResumeRun", {"runId": run_id}).fault == REFUSED, "it waits"
    plain.cancel(run_id)
    assert plain.post("ResumeRun", {"runId": run_id}).fault == REFUSED, "it is cancelled"
    other = plain.start(f"{name}.go", {})
    assert plain.post("ResumeRun", {"runId": other}).fault == REFUSED, "it is in the queue"
    job = worker.take(other)
    assert plain.post("ResumeRun", {"runId": other}).fault == REFUSED, "it is executed"
    worker.done(job, "completed")
    assert plain.post("ResumeRun", {"runId": other}).fault == REFUSED, "it is completed"
    assert plain.post("ResumeRun", {"runId": "run_none"}).fault == UNKNOWN


def test_a_step_to_resume_from_has_to_be_one(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    twice = [{**job.step("item", n), "id": f"{run_id}:item:{n}"} for n in range(2)]
    worker.fail(job, *twice, retryable=False)
    assert plain.post("ResumeRun", {"runId": run_id, "fromStep": "nowhere"}).fault == UNKNOWN
    ambiguous = plain.post("ResumeRun", {"runId": run_id, "fromStep": "item"})
    assert ambiguous.fault == WRONG
    assert f"{run_id}:item:1" in ambiguous.json["message"]
    assert plain.call("ResumeRun", {"runId": run_id, "fromStep": f"{run_id}:item:1"})["id"] == run_id
    assert worker.take(run_id).memo == {f"{run_id}:item:0": 0}
    plain.cancel(run_id)


def test_ended_runs_take_neither_pause_nor_cancel(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id, _ = failed(plain, worker, name)
    assert plain.post("PauseRun", {"runId": run_id}).fault == REFUSED
    assert plain.post("CancelRun", {"id": run_id}).fault == REFUSED
    assert plain.post("PauseRun", {"runId": "run_none"}).fault == UNKNOWN


# ---- delete


def test_a_deleted_run_is_gone_with_all_that_is_its_own(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id, _ = failed(plain, worker, name)
    assert plain.call("DeleteRun", {"id": run_id}) == {}
    for procedure, message in [
        ("GetRun", {"id": run_id}),
        ("GetRunSteps", {"runId": run_id}),
        ("DeleteRun", {"id": run_id}),
        ("ResumeRun", {"runId": run_id}),
        ("RedactRun", {"runId": run_id}),
        ("AuditService/GetAuditTrail", {"runId": run_id}),
        ("TimeTravelService/GetRunStateAt", {"runId": run_id, "timestamp": FUTURE}),
    ]:
        assert plain.post(procedure, message).fault == UNKNOWN, procedure
    assert plain.call("ListRuns", {"functionId": name}) == {}


def test_only_ended_runs_are_deleted(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id, _ = asleep(plain, worker, name)
    queued = plain.start(f"{name}.go", {})
    assert plain.post("DeleteRun", {"id": run_id}).fault == REFUSED
    assert plain.call("DeleteRuns", {"functionId": name}) == {}
    assert [run["id"] for run in plain.call("ListRuns", {"functionId": name})["runs"]] == [queued, run_id]


def test_deleting_many_takes_every_filter(plain: Plain, worker: PlainWorker, name: str) -> None:
    first, _ = failed(plain, worker, name)
    second, _ = failed(plain, worker, name)
    third = plain.start(f"{name}.go", {})
    plain.cancel(third)
    until = plain.run(second)["createdAt"]
    cut = {"functionId": name, "until": until}
    assert plain.call("DeleteRuns", {**cut, "status": "RUN_STATUS_CANCELLED"}) == {}
    assert plain.call("DeleteRuns", cut) == {"deleted": "1"}
    assert plain.post("GetRun", {"id": first}).fault == UNKNOWN
    assert plain.call("DeleteRuns", {"functionId": name, "status": "RUN_STATUS_CANCELLED"}) == {"deleted": "1"}
    assert [run["id"] for run in plain.call("ListRuns", {"functionId": name})["runs"]] == [second]
    assert plain.call("DeleteRuns", {"functionId": name}) == {"deleted": "1"}


@pytest.mark.parametrize("status", ["RUNNING", "WAITING", "PAUSED", "WAITING_FOR_CAPACITY", "PENDING"])
def test_deleting_many_needs_a_filter_of_ended_runs(plain: Plain, name: str, status: str) -> None:
    assert plain.post("DeleteRuns", {"functionId": name, "status": f"RUN_STATUS_{status}"}).fault == WRONG
    assert plain.post("DeleteRuns", {}).fault == WRONG


# ---- redact


def marked(value: Any, original: Any) -> bool:
    """Whether the value is the marker of the original JSON value, whose text has no spaces here."""
    assert value.keys() == {"$redacted", "sha256", "redactedAt"}, value
    text = json.dumps(original, separators=(",", ":")).encode()
    return value["$redacted"] is True and value["sha256"] == hashlib.sha256(text).hexdigest()


def test_a_redacted_run_holds_no_payload_and_its_history_neither(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {"card": "4111-1111"})
    job = worker.take(run_id)
    worker.done(job, "completed", job.step("a", {"card": "4111-1111"}), job.step("b", 5), output=["4111-1111"])
    before = plain.run(run_id)
    assert plain.call("RedactRun", {"runId": run_id}) == {}
    row, steps = plain.run(run_id), by_name(plain, run_id)
    assert marked(row["input"], {"card": "4111-1111"})
    assert marked(row["output"], ["4111-1111"])
    assert marked(steps["a"]["output"], {"card": "4111-1111"})
    assert marked(steps["b"]["output"], 5)
    changing = ("input", "output", "outputValue", "updatedAt")
    assert {k: v for k, v in row.items() if k not in changing} == {k: v for k, v in before.items() if k not in changing}
    for procedure, message in [
        ("AuditService/GetAuditTrail", {"runId": run_id, "limit": 1000}),
        ("TimeTravelService/GetRunStateAt", {"runId": run_id, "timestamp": FUTURE}),
        ("TimeTravelService/GetRunTimeline", {"runId": run_id}),
        ("TimeTravelService/GetStepOutputAt", {"runId": run_id, "stepId": f"{run_id}:a:0", "timestamp": FUTURE}),
        ("ListRuns", {"functionId": name}),
    ]:
        body = plain.post(procedure, message).body
        assert b"4111-1111" not in body, procedure
        assert b64encode(b'{"card":"4111-1111"}') not in body, procedure
    assert [event["eventType"] for event in audit(plain, run_id)][-1] == "run.redacted"
    once = plain.run(run_id)
    assert plain.call("RedactRun", {"runId": run_id}) == {}
    assert (plain.run(run_id), len(audit(plain, run_id, "run.redacted"))) == (once, 1)


@pytest.mark.parametrize("which", [lambda row: row["id"], lambda row: row["stepId"]], ids=["row", "step id"])
def test_one_step_is_redacted_by_either_id(
    plain: Plain, worker: PlainWorker, name: str, which: Callable[[dict[str, Any]], str]
) -> None:
    run_id, _ = failed(plain, worker, name)
    plain.call("PatchStep", {"stepId": f"{run_id}:a:0", "outputValue": "new"})
    row = by_name(plain, run_id)["a"]
    assert plain.call("RedactStep", {"stepId": which(row)}) == {}
    step = by_name(plain, run_id)["a"]
    assert marked(step["output"], "new")
    assert marked(step["originalOutput"], {"n": 1})
    assert plain.run(run_id)["input"] == {"card": "4111"}
    assert b'{"n":1}' not in plain.post("AuditService/GetAuditTrail", {"runId": run_id, "limit": 1000}).body
    assert [event["stepId"] for event in audit(plain, run_id, "step.redacted")] == [f"{run_id}:a:0"]


def test_only_ended_runs_are_redacted(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id, _ = asleep(plain, worker, name)
    assert plain.post("RedactRun", {"runId": run_id}).fault == REFUSED
    assert plain.post("RedactStep", {"stepId": f"{run_id}:a:0"}).fault == REFUSED
    assert plain.post("RedactRun", {"runId": "run_none"}).fault == UNKNOWN
    assert plain.post("RedactStep", {"stepId": "step_none"}).fault == UNKNOWN


def test_what_looks_like_a_marker_is_redacted_too(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    worker.done(job, "completed", output={"$redacted": True, "card": "4111-1111"})
    plain.call("RedactRun", {"runId": run_id})
    assert marked(plain.run(run_id)["output"], {"$redacted": True, "card": "4111-1111"})
