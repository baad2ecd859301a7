"""The official RPC client, blocking and async, in both codecs: it reads, emits, cancels and is refused."""

from __future__ import annotations

import gzip
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conformance.plain import Plain, instant
from tests.conformance.plain_worker import PlainWorker
from tests.conformance.rpc import OfficialRpc
from tests.conformance.tap import Tap

PAYLOAD: dict[str, Any] = {"n": 1, "half": 0.5, "big": 2**53, "text": "größe \U0001f980", "list": [None, True, {}, []]}


def test_the_defaults_are_binary_and_packed(plain: Plain, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What the other scenarios prove is worth as much as what this client really sends."""
    folder = tmp_path_factory.mktemp("tapped")
    for client in ("sync", "async"):
        with Tap(plain) as tap, OfficialRpc(tap.plain.url, folder, client=client, codec="binary") as rpc:
            assert rpc("runs.list", "ListRunsRequest", {"functionId": "nobody"}) == {}
        (exchange,) = tap.to("/ListRuns")
        assert exchange.headers["content-type"] == "application/proto"
        assert exchange.headers["content-encoding"] == "gzip"
        assert gzip.decompress(exchange.body) == b"\x0a\x06nobody"
        assert exchange.answer.headers["content-type"] == "application/proto"
        assert exchange.answer.body == b"", "an empty message has no bytes, and its type all the same"


def test_functions(rpc: OfficialRpc, plain: Plain, name: str) -> None:
    function = {
        "id": name,
        "name": "Größe",
        "triggers": [{"event": f"{name}.go"}, {"event": f"{name}.more.*"}],
        "retry": {"maxAttempts": 3, "initialDelayMs": 5, "backoffFactor": 1.5, "onExhausted": "fail"},
        "timeoutMs": 5000,
        "preferredMode": "EXECUTION_MODE_PULL",
        "metadata": {"a": [1, {"b": None}]},
    }
    made = rpc("functions.register", "RegisterFunctionRequest", function)
    assert made["created"] is True
    assert {key: made["function"][key] for key in function} == function
    assert rpc("functions.register", "RegisterFunctionRequest", function) == {"function": made["function"]}
    assert rpc("functions.get", "GetFunctionRequest", {"id": name}) == made["function"]
    assert plain.call("GetFunction", {"id": name}) == made["function"]
    listed = rpc("functions.list", "ListFunctionsRequest", {"name": "Größe", "mode": "pull", "limit": 1000})
    assert made["function"] in listed["functions"]


def test_emitting_and_reading_runs_and_steps(rpc: OfficialRpc, plain: Plain, worker: PlainWorker, name: str) -> None:
    event = {"event": f"{name}.go", "data": PAYLOAD, "idempotencyKey": f"{name}-1", "metadata": {"who": "me"}}
    started = rpc("events.emit", "TriggerRequest", {**event, "version": 2})
    (run_id,) = started["runIds"]
    assert rpc("runs.trigger", "TriggerRequest", event) == started, "the same key, so the same answer"
    job = worker.take(run_id)
    assert job.raw["event"]["data"] == PAYLOAD
    if rpc.codec == "binary":
        assert repr(job.raw["event"]["data"]["n"]) == "1", "a double that is whole becomes an integer again"
    assert job.raw["event"]["version"] == 2
    assert job.raw["event"]["metadata"] == {"who": "me"}
    steps = [job.step("a", PAYLOAD), job.step("b", [1, "two"]), job.step("c", error={"message": "m", "stack": "s"})]
    worker.done(job, "completed", *steps, output=0.25)
    run = rpc("runs.get", "GetRunRequest", {"id": run_id})
    assert run == plain.run(run_id)
    assert (run["input"], run["outputValue"], run["status"]) == (PAYLOAD, 0.25, "RUN_STATUS_COMPLETED")
    assert instant(run["createdAt"]) < instant(run["endedAt"])
    rows = rpc("runs.get_steps", "GetRunStepsRequest", {"runId": run_id})["steps"]
    assert rows == plain.steps(run_id)
    assert [row.get("output", row.get("outputValue")) for row in rows[:2]] == [PAYLOAD, [1, "two"]]
    assert rows[2]["error"]["message"] == "m"


@pytest.mark.parametrize("value", [{}, [], "", "text", 0, -7, 1.5, True, False, None, [[{"a": None}]]], ids=repr)
def test_payloads_of_every_kind(rpc: OfficialRpc, plain: Plain, name: str, value: Any) -> None:
    plain.call("RegisterFunction", {"id": name, "triggers": [{"event": f"{name}.go"}]})
    pair = {"data" if isinstance(value, dict) else "dataValue": value}
    (run_id,) = rpc("events.emit", "TriggerRequest", {"event": f"{name}.go", **pair})["runIds"]
    assert rpc("runs.get", "GetRunRequest", {"id": run_id}) == plain.run(run_id)
    assert plain.run(run_id).get("input" if isinstance(value, dict) else "inputValue") == value


def test_listing_with_filters_and_pages(rpc: OfficialRpc, plain: Plain, worker: PlainWorker, name: str) -> None:
    runs = [plain.start(f"{name}.go", {"n": n}) for n in range(5)]
    worker.done(worker.take(runs[0]), "completed", output=[])
    plain.cancel(runs[1])

    def listed(**filters: Any) -> list[str]:
        page = rpc("runs.list", "ListRunsRequest", {"functionId": name, **filters})
        return [run["id"] for run in page.get("runs", [])]

    assert listed() == runs[::-1]
    assert listed(status="RUN_STATUS_CANCELLED") == [runs[1]]
    assert listed(statuses=["RUN_STATUS_COMPLETED", "RUN_STATUS_CANCELLED"]) == [runs[1], runs[0]]
    assert listed(since=plain.run(runs[3])["createdAt"])[-1] in (runs[3], runs[4])
    assert listed(until="2001-01-01T00:00:00.000000001Z") == []
    assert listed(search=runs[2]) == [runs[2]]
    assert listed(eventId=plain.run(runs[4])["eventId"]) == [runs[4]]
    assert listed(limit=2, offset=1) == [runs[3], runs[2]]
    pages, cursor = [], ""
    while True:
        asked = {"functionId": name, "limit": 2, "cursor": cursor}
        page = rpc("runs.list", "ListRunsRequest", asked)
        assert page == plain.call("ListRuns", asked)
        assert page["totalCount"] == 5
        pages.append([run["id"] for run in page["runs"]])
        cursor = page.get("nextCursor", "")
        if not cursor:
            break
    assert pages == [runs[:2:-1], runs[2:0:-1], runs[:1]]


def test_waiting_for_the_outcome(rpc: OfficialRpc, plain: Plain, worker: PlainWorker, name: str) -> None:
    late = rpc("runs.trigger_sync", "TriggerSyncRequest", {"event": f"{name}.go", "timeoutMs": 1})
    (result,) = late["results"]
    assert (result["waitTimedOut"], result["status"]) == (True, "RUN_STATUS_WAITING_FOR_CAPACITY")
    worker.done(worker.take(result["runId"]), "completed", output={"ok": [1]})
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(lambda: worker.done(worker.take(), "completed", output=[None, 0.5]))
        found = rpc("runs.trigger_sync", "TriggerSyncRequest", {"event": f"{name}.go", "timeoutMs": 20_000})
        working.result()
    (result,) = found["results"]
    assert (result["status"], result["outputValue"]) == ("RUN_STATUS_COMPLETED", [None, 0.5])
    assert result.keys() <= {"runId", "functionId", "status", "outputValue", "durationMs"}
    nobody = rpc("runs.trigger_sync", "TriggerSyncRequest", {"event": f"{name}.nobody", "dataValue": [1]})
    assert nobody.keys() == {"eventId"}


def test_cancelling(rpc: OfficialRpc, plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    run = rpc("runs.cancel", "CancelRunRequest", {"id": run_id, "reason": "ordered twice"})
    assert (run["status"], run["cancellationCause"]) == ("RUN_STATUS_CANCELLED", "ordered twice")
    assert run == plain.run(run_id)
    code, text = rpc.refused("runs.cancel", "CancelRunRequest", {"id": run_id})
    assert code == "failed_precondition"
    assert "cancelled" in text


def test_refusals(rpc: OfficialRpc, plain: Plain, name: str) -> None:
    for method, kind in (
        ("runs.get", "GetRunRequest"),
        ("runs.cancel", "CancelRunRequest"),
        ("functions.get", "GetFunctionRequest"),
    ):
        assert rpc.refused(method, kind, {"id": f"{name}-none"})[0] == "not_found"
    assert rpc.refused("runs.get_steps", "GetRunStepsRequest", {"runId": "none"})[0] == "not_found"
    code, text = rpc.refused("events.emit", "TriggerRequest", {"event": "a..b"})
    assert code == "invalid_argument"
    assert "a..b" in text
    assert rpc.refused("runs.list", "ListRunsRequest", {"limit": -1})[0] == "invalid_argument"
    assert rpc.refused("runs.list", "ListRunsRequest", {"cursor": "%"})[0] == "invalid_argument"
    code, text = rpc.refused("streams.list_streams", "ListStreamsRequest", {})
    assert code == "unimplemented"
    assert "EntityStreamService/ListStreams" in text
