"""Outputs that operators correct, and what later reports, waits and resumes make of them."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from typing import Any

import pytest

from tests.conformance.conftest import register
from tests.conformance.plain import Plain, payload
from tests.conformance.plain_worker import PlainWorker, is_stale
from tests.conformance.script import Script, done


def patch(plain: Plain, run_id: str, step: str, value: Any) -> dict[str, Any]:
    """Patch a step by its deterministic id and return its row."""
    pair = {"output" if isinstance(value, dict) else "outputValue": value}
    found: dict[str, Any] = plain.call("PatchStep", {"stepId": f"{run_id}:{step}", **pair})
    return found


def test_a_report_never_overwrites_a_completed_step(plain: Plain, worker: PlainWorker, name: str) -> None:
    """Not by another output, a failure or a repeated batch; a correction stands as well."""
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    worker.done(job, "progress", job.step("a", 1), job.step("b", 2))
    patch(plain, run_id, "b:0", "corrected")
    kept = plain.steps(run_id)
    again = [job.step("a", "other"), job.step("b", 2)]
    worker.done(job, "progress", *again)
    worker.done(job, "progress", job.step("a", error={"message": "no"}))
    assert [payload(row, "output") for row in plain.steps(run_id)] == [1, "corrected"]
    assert [row["status"] for row in plain.steps(run_id)] == ["STEP_STATUS_COMPLETED"] * 2
    assert [row["startedAt"] for row in plain.steps(run_id)] == [row["startedAt"] for row in kept]
    worker.fail(job, *again, retry_after_ms=0)
    next_one = worker.take(run_id)
    assert next_one.memo == {f"{run_id}:a:0": 1, f"{run_id}:b:0": "corrected"}
    worker.done(next_one, "completed", output=1)


def test_a_run_that_waits_goes_on_with_what_was_patched(plain: Plain, name: str) -> None:
    worker = register(plain, name, recording=True)
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    wanted = {"step_id": f"{run_id}:appr:0", "type": "wait_for_event", "event_filter": {"event": f"{name}.ok"}}
    worker.done(job, "yielded", job.step("a", 1), **{"yield": wanted})
    row = patch(plain, run_id, "a:0", {"n": 2})
    assert (payload(row, "originalOutput"), payload(row, "output")) == (1, {"n": 2})
    answer = plain.post("PatchStep", {"stepId": f"{run_id}:appr:0", "output": {}})
    assert answer.fault == (400, "failed_precondition"), "it has no output yet"
    assert plain.run(run_id)["status"] == "RUN_STATUS_WAITING"
    plain.emit(f"{name}.ok", {})
    again = worker.take(run_id)
    assert again.memo[f"{run_id}:a:0"] == {"n": 2}
    worker.done(again, "completed", output=1)
    assert patch(plain, run_id, "a:0", 3)["status"] == "STEP_STATUS_COMPLETED"
    assert payload(plain.run(run_id), "output") == 1, "what has ended is ended"


def test_an_injected_output_ends_a_step_that_used_up_the_budget(script: Script, name: str) -> None:
    pay = ["run", "pay", "paid", {"unless": name}]
    run_id = script.start(["run", "a", 1], pay, ["run", "after", "$before"], function="patient")
    script.plain.in_status(run_id, "paused")
    state = script.plain.call("GetPausedState", {"runId": run_id})
    assert [(step["name"], step["status"]) for step in state["steps"]] == [("a", "completed"), ("pay", "failed")]
    assert state["steps"][1]["error"]
    assert state["pauseReason"] == "retries_exhausted"
    assert state.get("nextStepHint", "pay") == "pay", "it may be empty"
    value = b64encode(b'{"by": "hand"}').decode()
    script.plain.call("InjectStepOutput", {"runId": run_id, "stepId": f"{run_id}:pay:0", "newOutput": value})
    row = script.row(run_id, "pay:0")
    assert (row["status"], payload(row, "output")) == ("STEP_STATUS_COMPLETED", {"by": "hand"})
    assert "error" not in row
    script.agrees(run_id)
    script.plain.call("ResumeRun", {"runId": run_id})
    assert payload(script.ended(run_id), "output") == [1, {"by": "hand"}, [1, {"by": "hand"}]]
    assert script.ledger.bodies(run_id) == Counter(a=1, pay=2, after=1)


@pytest.mark.parametrize("how", ["again", "patched"])
def test_a_wait_that_timed_out_may_be_tried_again(script: Script, name: str, how: str) -> None:
    """Resumed, the run waits once more; a patched wait has its event."""
    run_id = script.start(["run", "a"], ["wait", "appr", f"{name}.ok", {"timeout": "30ms"}], ["run", "b"])
    script.ended(run_id, "failed")
    if how == "patched":
        event = {"id": "evt_mine", "name": f"{name}.ok", "data": [1], "timestamp": "2026-01-02T03:04:05Z"}
        patch(script.plain, run_id, "appr:0", event)
        script.plain.call("ResumeRun", {"runId": run_id})
        assert payload(script.ended(run_id), "output")[1]["id"] == "evt_mine"
        assert script.story(run_id)[2:] == ["started appr:0", "failed appr:0", "patched appr:0", *done("b:0")]
        return
    script.plain.call("ResumeRun", {"runId": run_id})
    run = script.ended(run_id, "failed")
    assert f"{name}.ok" in run["error"]["message"]
    assert script.story(run_id)[2:].count("failed appr:0") == 2
    assert script.ledger.bodies(run_id) == Counter(a=1)


def test_a_step_that_is_running_has_no_output_to_correct(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    plain.call("PauseRun", {"runId": run_id})
    assert is_stale(worker.update(job, "progress", job.step("a", 1)))
    for step in (f"{run_id}:none:0", "step_none", ""):
        assert plain.post("PatchStep", {"stepId": step, "output": {}}).fault == (404, "not_found")
    other = plain.start(f"{name}.go", {})
    asked = {"runId": other, "stepId": f"{run_id}:a:0", "newOutput": b64encode(b"1").decode()}
    plain.call("PauseRun", {"runId": other})
    assert plain.post("InjectStepOutput", asked).fault == (404, "not_found"), "another run's step"
    plain.cancel(run_id)
    plain.cancel(other)
