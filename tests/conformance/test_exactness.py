"""What goes in comes out: megabytes, large integers, and payloads that are no objects, in every place and codec."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any

import pytest

from tests.conformance.conftest import register
from tests.conformance.plain import Plain, payload
from tests.conformance.plain_worker import Job, PlainWorker
from tests.conformance.rpc import OfficialRpc
from tests.conformance.script import Script

both = pytest.mark.parametrize(
    "rpc", [("sync", "binary"), ("async", "json")], indirect=True, ids="-".join, scope="session"
)
LARGEST = 2**53  # what a double can tell from its neighbours
VALUES: list[Any] = [None, False, True, 0, -7, 0.5, "", "text", [], [None, {}, [0]], {}, {"": None}]
BEYOND = {"odd": 2**53 + 1, "long": 2**63, "huge": -(10**30), "list": [2**64 - 1]}


def exact(value: Any) -> str:
    """Return a text in which 0, false and 0.0 differ."""
    return json.dumps(value, sort_keys=True)


def large(size: int) -> dict[str, Any]:
    """Return an object of more than `size` bytes of JSON, with every kind of character."""
    word = 'größe \U0001f980 "\\ \u2028 '
    return {"text": word * (size // len(word.encode()) + 1), "rows": [{"n": n} for n in range(1000)]}


# ---- a megabyte


@both
def test_a_megabyte_there_and_back(script: Script, rpc: OfficialRpc) -> None:
    """As event data, a child's input, a step's output and the run's."""
    data = large(1_000_000)
    assert len(json.dumps(data, ensure_ascii=False).encode()) > 1_000_000
    asked = {"event": f"{script.prefix}.echo", "data": data, "timeoutMs": 20_000}
    (result,) = rpc("runs.trigger_sync", "TriggerSyncRequest", asked)["results"]
    assert result["output"] == data
    run_id = result["runId"]
    run = rpc("runs.get", "GetRunRequest", {"id": run_id})
    assert run == script.plain.run(run_id)
    assert run["input"] == run["output"] == data
    assert rpc("runs.get_steps", "GetRunStepsRequest", {"runId": run_id})["steps"][0]["output"] == data


def test_a_megabyte_through_a_child_and_an_event(script: Script, name: str) -> None:
    data = large(1_000_000)
    run_id = script.start(["invoke", "mirror", data], ["wait", "appr", f"{name}.ok"])
    script.ledger.wait_for(run_id, "@start", times=2)  # and only then ask for rows of this size
    assert payload(script.waits(run_id, step="appr"), "input") is None
    script.plain.emit(f"{name}.ok", data)
    script.ledger.wait_for(run_id, "@end")
    mirrored, event = payload(script.ended(run_id), "output")
    assert mirrored == event["data"] == data
    assert script.plain.run(script.plain.steps(run_id)[0]["childRunId"])["output"] == data


def test_text_that_databases_dislike(script: Script) -> None:
    odd = {"null": "a\u0000b", "astral": "\U0010ffff", "control": "\u0001\u001f\u007f", "key\u0000": 1}
    run_id = script.plain.start(f"{script.prefix}.echo", odd)
    assert payload(script.ended(run_id), "output") == odd
    assert script.outputs(run_id) == [odd]


# ---- integers


@both
def test_integers_as_large_as_a_double_is_exact(script: Script, rpc: OfficialRpc) -> None:
    data = {"most": LARGEST, "least": -LARGEST, "odd": LARGEST - 1, "zero": 0, "list": [LARGEST, 1]}
    (run_id,) = rpc("events.emit", "TriggerRequest", {"event": f"{script.prefix}.echo", "data": data})["runIds"]
    run = script.ended(run_id)
    assert run["input"] == run["output"] == data
    if rpc.codec == "binary":  # in JSON this client writes every number as a double
        assert exact(run["input"]) == exact(run["output"]) == exact(data), "and integers still"
        assert exact(script.outputs(run_id)) == exact([data])
    written = rpc("runs.get", "GetRunRequest", {"id": run_id})
    assert {key: value if key == "list" else int(value) for key, value in written["output"].items()} == data


def test_integers_beyond_it_are_exact_for_workers(plain: Plain, worker: PlainWorker, name: str) -> None:
    """Workers speak plain JSON: memoised outputs, child inputs and outputs, and event data keep every digit."""
    plain.call("RegisterFunction", {"id": f"{name}-child"})
    child = PlainWorker(plain, f"{name}-child-worker", (f"{name}-child",)).register()
    run_id = plain.start(f"{name}.go", BEYOND)
    job = worker.take(run_id)
    assert job.raw["event"]["data"] == BEYOND
    wanted = {"step_id": f"{run_id}:call:0", "type": "invoke_function", "function_id": f"{name}-child", "input": BEYOND}
    worker.done(job, "yielded", job.step("a", BEYOND), **{"yield": wanted})
    inner = child.take()
    assert inner.raw["event"]["data"] == BEYOND
    child.done(inner, "completed", output=[BEYOND])
    job = worker.take(run_id)
    assert job.memo == {f"{run_id}:a:0": BEYOND, f"{run_id}:call:0": [BEYOND]}
    waiting = {"event": f"{name}.ok", "payload": BEYOND}
    wait = {"step_id": f"{run_id}:appr:0", "type": "wait_for_event", "event_filter": waiting}
    worker.done(job, "yielded", **{"yield": wait})
    plain.emit(f"{name}.ok", BEYOND)
    job = worker.take(run_id)
    assert job.memo[f"{run_id}:appr:0"]["data"] == BEYOND
    worker.done(job, "completed", output=BEYOND)


def test_integers_beyond_it_are_exact_over_rest(plain: Plain, name: str) -> None:
    event_id = plain.emit(f"{name}.go", BEYOND)["eventId"]
    assert plain.rest("GET", f"/api/v1/events/{event_id}").json["data"] == BEYOND
    (listed,) = plain.rest("GET", f"/api/v1/events?name={name}.go").json["events"]
    assert listed["data"] == BEYOND


def test_a_value_beyond_it_is_awaited_exactly(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {"id": 2**53 + 1})
    wanted = {"event": f"{name}.ok", "match": "data.id"}
    job = worker.take(run_id)
    wait = {"step_id": f"{run_id}:appr:0", "type": "wait_for_event", "event_filter": wanted}
    worker.done(job, "yielded", **{"yield": wait})
    plain.emit(f"{name}.ok", {"id": 2**53})
    right = plain.emit(f"{name}.ok", {"id": 2**53 + 1})["eventId"]
    job = worker.take(run_id)
    assert job.memo[f"{run_id}:appr:0"]["id"] == right
    worker.done(job, "completed", output=1)


# ---- what is no object


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_every_kind_of_payload_in_every_place(script: Script, name: str, value: Any) -> None:
    waiting = ["wait", "appr", f"{name}.ok", {"payload": value}]
    run_id = script.start(["run", "a", value], ["invoke", "mirror", value], waiting)
    row = script.waits(run_id, step="appr")
    assert exact(payload(row, "input")) == exact(value)
    pair = {"data" if isinstance(value, dict) else "dataValue": value}
    script.plain.call("Emit", {"event": f"{name}.ok", **pair})
    output, mirrored, event = payload(script.ended(run_id), "output")
    assert exact([output, mirrored, event["data"]]) == exact([value] * 3)
    rows = script.plain.steps(run_id)
    assert exact([payload(row, "output") for row in rows[:2]]) == exact([value] * 2)
    assert exact(payload(rows[1], "input")) == exact(value)
    child = script.plain.run(rows[1]["childRunId"])
    assert exact([payload(child, "input"), payload(child, "output")]) == exact([value] * 2)
    for row, key in ((rows[0], "output"), (rows[1], "output"), (child, "input"), (child, "output")):
        assert (key in row) == isinstance(value, dict), "an object has the plain field for itself"
        assert (f"{key}Value" in row) != isinstance(value, dict), "and anything else the other, null too"


@both
def test_both_codecs_tell_every_kind_of_row_alike(script: Script, rpc: OfficialRpc, name: str) -> None:
    saga = [["run", "a", None], ["compensate", "a", {"fails": 9}], ["sleep", "nap", 0.01]]
    calls = [["invoke", "mirror", [0]], ["invoke_async", "mirror", "x"], ["wait", "appr", f"{name}.ok", {"payload": 0}]]
    caught = ["attempt", [["invoke", "child", {"do": [["raise", "fatal", "no"]]}]]]
    run_id = script.start(*saga, *calls, caught, ["raise", "fatal", "enough"])
    script.waits(run_id, step="appr")
    script.plain.emit(f"{name}.ok", False if rpc.codec == "json" else [])
    script.ended(run_id, "failed")
    rows = script.plain.steps(run_id)
    script.plain.call("PatchStep", {"stepId": rows[0]["id"], "outputValue": [1]})
    rows = script.plain.steps(run_id)
    assert len({row["stepType"] for row in rows}) == 5
    assert rpc("runs.get_steps", "GetRunStepsRequest", {"runId": run_id})["steps"] == rows
    for one in (run_id, *[row["childRunId"] for row in rows if "childRunId" in row]):
        assert rpc("runs.get", "GetRunRequest", {"id": one}) == script.plain.run(one)
    asked = {"runId": run_id, "limit": 1000}
    assert rpc("audit.get_trail", "GetAuditTrailRequest", asked) == script.plain.call(
        "AuditService/GetAuditTrail", asked
    )


@both
def test_corrections_of_every_kind(rpc: OfficialRpc, plain: Plain, name: str) -> None:
    worker = register(plain, name)
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    worker.done(job, "progress", job.step("a", "first"))
    plain.call("PauseRun", {"runId": run_id})
    worker.update(job, "progress", job.step("b", 2), step_offset=1)
    assert plain.run(run_id)["status"] == "RUN_STATUS_PAUSED"
    row_id, previous = plain.steps(run_id)[0]["id"], "first"
    for value in (*VALUES, {"most": LARGEST}):
        asked = {"runId": run_id, "stepId": row_id, "newOutput": b64encode(json.dumps(value).encode()).decode()}
        found = rpc("runs.inject_step_output", "InjectStepOutputRequest", asked)
        assert exact(json.loads(b64decode(found["previousOutput"]))) == exact(previous)
        state = rpc("runs.get_paused_state", "GetPausedStateRequest", {"runId": run_id})
        assert exact(json.loads(b64decode(state["steps"][0]["output"]))) == exact(value)
        assert exact(payload(plain.steps(run_id)[0], "output")) == exact(value)
        previous = value
    for value in VALUES:
        pair = {"output" if isinstance(value, dict) else "outputValue": value}
        found = rpc("runs.patch_step", "PatchStepRequest", {"stepId": row_id, **pair})
        assert found == plain.steps(run_id)[0]
        assert payload(found, "output") == value
        if rpc.codec == "binary":
            assert exact(payload(plain.steps(run_id)[0], "output")) == exact(value)
    plain.call("ResumeRun", {"runId": run_id})
    again: Job = worker.take(run_id)
    assert exact(again.memo[f"{run_id}:a:0"]) == exact(VALUES[-1])
    worker.done(again, "completed", output=1)
