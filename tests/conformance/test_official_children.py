"""Runs that start others with the official worker: links, outputs, failures, timeouts."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.conformance.plain import payload
from tests.conformance.script import WAITED, Script, done


def child_of(script: Script, run_id: str, step: str) -> dict[str, Any]:
    """The child's row, by the link on the parent's step."""
    row = script.row(run_id, step)
    child = script.plain.run(row["childRunId"])
    assert row["stepType"] == "STEP_TYPE_INVOKE_FUNCTION"
    assert (child["parentRunId"], child["parentStepId"]) == (run_id, row["stepId"])
    return child


def test_invoke(script: Script) -> None:
    step = f"{script.prefix}-child:0"
    given = {"do": [["run", "inner", {"n": 1}], ["sleep", "nap", 0.01]]}
    run_id = script.start(["run", "before"], ["invoke", "child", given], ["run", "after", "$before"])
    run = script.ended(run_id)
    assert payload(run, "output") == [None, [{"n": 1}, None], [None, [{"n": 1}, None]]]
    child = child_of(script, run_id, step)
    assert (child["status"], child["attempt"]) == ("RUN_STATUS_COMPLETED", 1)
    assert payload(child, "input") == given
    assert child["functionId"] == f"{script.prefix}-child"
    assert script.ids(run_id) == ["before:0", step, "after:0"]
    assert payload(script.row(run_id, step), "output") == [{"n": 1}, None]
    assert payload(script.row(run_id, step), "input") == given
    assert script.ledger.bodies(run_id) == Counter(before=1, after=1)
    assert script.ledger.bodies(child["id"]) == Counter(inner=1)
    assert script.story(run_id) == done("before:0", step, "after:0")
    assert script.statuses(run_id) == [*WAITED, "completed"]
    assert script.story(child["id"]) == done("inner:0", "nap:0")
    created = script.trail(child["id"], "run.created")[0]["payload"]
    assert (created["parentRunId"], created["parentStepId"]) == (run_id, f"{run_id}:{step}")
    assert script.children(run_id) == [child["id"]]


def test_a_failed_child_fails_its_parent_for_good(script: Script) -> None:
    step = f"{script.prefix}-child:0"
    run_id = script.start(["invoke", "child", {"do": [["raise", "fatal", "no money"]]}])
    run = script.ended(run_id, "failed")
    child = child_of(script, run_id, step)
    assert (child["status"], child["attempt"]) == ("RUN_STATUS_FAILED", 1)
    assert (run["attempt"], run["error"]["code"]) == (1, "INVOKE_FAILED")
    assert "no money" in run["error"]["message"]
    assert child["id"] in run["error"]["message"]
    assert "retryable" not in run["error"]
    row = script.row(run_id, step)
    assert row["status"] == "STEP_STATUS_FAILED"
    assert "no money" in row["error"]["message"]
    assert script.story(run_id) == [f"started {step}", f"failed {step}"]
    assert script.statuses(run_id) == [*WAITED, "failed"]
    assert script.children(run_id) == [child["id"]]


def test_a_failed_child_is_told_again_and_not_started_again(script: Script) -> None:
    """The child used its whole budget; the parent that caught the error goes on, through a sleep and a retry."""
    failing = ["invoke", "child", {"do": [["raise", "retryable", "busy"]]}]
    flaky = ["run", "flaky", 1, {"fails": 1}]
    run_id = script.start(["attempt", [failing]], ["sleep", "nap", 0.01], flaky, ["run", "after", 2])
    run = script.ended(run_id)
    caught = payload(run, "output")[0]
    assert caught["code"] == "INVOKE_FAILED"
    assert "busy" in caught["message"]
    (child_id,) = script.children(run_id)
    child = script.plain.run(child_id)
    assert (child["status"], child["attempt"]) == ("RUN_STATUS_FAILED", 2)
    assert run["attempt"] == 2
    assert script.ledger.bodies(run_id) == Counter(flaky=2, after=1)
    again = ["waiting_for_capacity", "running"]
    assert script.awake(run_id) == ["running", *again * 3, "completed"]


def test_an_invoke_that_takes_too_long(script: Script, name: str) -> None:
    slow = {"do": [["run", "inner", 1, {"gate": name}]]}
    run_id = script.start(["invoke", "child", slow, {"timeout": 0.05}])
    run = script.ended(run_id, "failed")
    assert (run["attempt"], run["error"]["code"]) == (1, "INVOKE_FAILED")
    assert "timed out" in run["error"]["message"]
    child = child_of(script, run_id, f"{script.prefix}-child:0")
    script.worker.open(name)
    script.plain.ended(child["id"])
    assert script.plain.run(run_id) == run, "what the child does later changes nothing"


def test_a_cancelled_child_fails_its_parent(script: Script) -> None:
    step = f"{script.prefix}-child:0"
    run_id = script.start(["attempt", [["invoke", "child", {"do": [["sleep", "nap", 3600]]}]]])
    script.waits(run_id)
    child = child_of(script, run_id, step)
    script.plain.in_status(child["id"], "waiting")
    script.plain.cancel(child["id"], "not wanted")
    caught = payload(script.ended(run_id), "output")[0]
    assert caught["code"] == "INVOKE_FAILED"
    assert "not wanted" in caught["message"], "the cause is told"
    assert script.row(run_id, step)["status"] == "STEP_STATUS_FAILED"


def test_invoking_what_does_not_exist(script: Script) -> None:
    run_id = script.start(["invoke", "nobody", 1])
    run = script.ended(run_id, "failed")
    assert (run["attempt"], run["error"]["code"]) == (1, "INVOKE_FAILED")
    assert f"{script.prefix}-nobody" in run["error"]["message"]
    assert script.kinds(run_id) == [("invoke_function", "failed")]


def test_invoke_async(script: Script, name: str) -> None:
    """The parent ends while its children still run; what becomes of them is not its business."""
    step = f"{script.prefix}-child"
    slow, bad = [["run", "inner", 1, {"gate": name}]], [["raise", "fatal", "no"]]
    run_id = script.start(["invoke_async", "child", {"do": slow}], ["invoke_async", "child", {"do": bad}])
    run = script.ended(run_id)
    first, second = child_of(script, run_id, f"{step}:0"), child_of(script, run_id, f"{step}:1")
    assert payload(run, "output") == [first["id"], second["id"]]
    assert script.outputs(run_id) == [{"run_id": first["id"]}, {"run_id": second["id"]}]
    assert script.kinds(run_id) == [("invoke_function", "completed")] * 2
    assert script.story(run_id) == done(f"{step}:0", f"{step}:1")
    script.worker.open(name)
    assert payload(script.ended(first["id"]), "output") == [1]
    assert script.ended(second["id"], "failed")["error"]["message"] == "no"
    assert script.plain.run(run_id) == run


# ---- when a parent or a child is acted upon


def test_a_resumed_parent_asks_a_new_child(script: Script, name: str) -> None:
    """The failure of the first one is thrown away, or it would be told again for ever."""
    step = f"{script.prefix}-child:0"
    given = {"do": [["run", "inner", 5, {"unless": name, "kind": "fatal"}]]}
    run_id = script.start(["run", "a"], ["invoke", "child", given], ["run", "after", "$before"])
    script.ended(run_id, "failed")
    first = child_of(script, run_id, step)
    script.worker.open(name)
    script.plain.call("ResumeRun", {"runId": run_id})
    assert payload(script.ended(run_id), "output") == [None, [5], [None, [5]]]
    second = child_of(script, run_id, step)
    assert sorted(script.children(run_id)) == sorted([first["id"], second["id"]])
    assert script.plain.run(first["id"]) == first, "the first child is what it was"
    assert script.ledger.bodies(run_id) == Counter(a=1, after=1)


def test_a_resumed_child_does_not_touch_its_parent(script: Script, name: str) -> None:
    given = {"do": [["run", "inner", 5, {"unless": name, "kind": "fatal"}]]}
    run_id = script.start(["attempt", [["invoke", "child", given]]])
    run, (child_id,) = script.ended(run_id), script.children(run_id)
    script.worker.open(name)
    script.plain.call("ResumeRun", {"runId": child_id})
    assert payload(script.ended(child_id), "output") == [5]
    assert script.plain.run(run_id) == run


def test_a_patched_invocation_is_the_childs_answer(script: Script) -> None:
    step = f"{script.prefix}-child:0"
    failing = ["invoke", "child", {"do": [["raise", "fatal", "no"]]}]
    run_id = script.start(failing, ["run", "after", "$before"])
    script.ended(run_id, "failed")
    script.plain.call("PatchStep", {"stepId": script.row(run_id, step)["id"], "outputValue": [7]})
    script.plain.call("ResumeRun", {"runId": run_id, "fromStep": f"{run_id}:{step}"})
    assert payload(script.ended(run_id), "output") == [[7], [[7]]]
    assert len(script.children(run_id)) == 1


def test_a_child_outlives_its_cancelled_and_deleted_parent(script: Script, name: str) -> None:
    slow = {"do": [["run", "inner", 1, {"gate": name}]]}
    runs = [script.start(["invoke", "child", slow]) for _ in range(2)]
    children = [script.waits(run_id)["childRunId"] for run_id in runs]
    for child_id in children:
        script.ledger.wait_for(child_id, "inner")
    cancelled = [script.plain.cancel(run_id) for run_id in runs]
    script.plain.call("DeleteRun", {"id": runs[1]})
    script.worker.open(name)
    for child_id in children:
        assert payload(script.ended(child_id), "output") == [1]
    assert script.plain.run(runs[0]) == cancelled[0]
    assert script.plain.post("GetRun", {"id": runs[1]}).status == 404
