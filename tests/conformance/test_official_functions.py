"""Functions, events and direct invocations through the official RPC client, and event reads over REST."""

from __future__ import annotations

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from tests.conformance.conftest import register
from tests.conformance.plain import Plain, instant, until
from tests.conformance.plain_worker import PlainWorker
from tests.conformance.rpc import OfficialRpc

both = pytest.mark.parametrize(
    "rpc", [("sync", "binary"), ("async", "json")], indirect=True, ids="-".join, scope="session"
)


def define(rpc: OfficialRpc, name: str, **fields: Any) -> dict[str, Any]:
    """Register the function and return it."""
    asked = {"id": name, "triggers": [{"event": f"{name}.go"}], **fields}
    found: dict[str, Any] = rpc("functions.register", "RegisterFunctionRequest", asked)["function"]
    return found


def history(rpc: OfficialRpc, name: str, **fields: Any) -> list[dict[str, Any]]:
    asked = {"functionId": name, **fields}
    found = rpc("functions.list_history", "ListFunctionHistoryRequest", asked)
    assert not fields or len(found.get("entries", [])) <= fields.get("limit", 100)
    entries: list[dict[str, Any]] = found.get("entries", [])
    return entries


# ---- versions


@both
def test_the_history_of_a_function(rpc: OfficialRpc, plain: Plain, name: str) -> None:
    """Every change with the function after it, newest first; a change of the code hash is one."""
    first = define(rpc, name, metadata={"__ironflow_code_hash": "a"})
    second = define(rpc, name, metadata={"__ironflow_code_hash": "b"}, changeReason="faster")
    assert (first["version"], second["version"]) == (1, 2)
    define(rpc, name, metadata={"__ironflow_code_hash": "b"}, changeReason="nothing changed")
    paused = rpc(
        "functions.update_status", "UpdateFunctionStatusRequest", {"id": name, "status": "FUNCTION_STATUS_PAUSED"}
    )
    assert paused["status"] == "FUNCTION_STATUS_PAUSED"
    asked = {"functionId": name, "version": "1", "changeReason": "too fast"}
    rolled = rpc("functions.rollback", "RollbackFunctionRequest", asked)["function"]
    assert rolled["metadata"] == {"__ironflow_code_hash": "a"}
    assert rolled["version"] > second["version"], "a rollback is a new version"
    assert rpc("functions.delete", "DeleteFunctionRequest", {"id": name}) == {}
    assert rpc.refused("functions.get", "GetFunctionRequest", {"id": name})[0] == "not_found"

    entries = history(rpc, name)
    assert entries == plain.call("ListFunctionHistory", {"functionId": name})["entries"]
    assert [entry["changeType"] for entry in entries] == ["delete", "rollback", "status_change", "update", "create"]
    assert [entry["entityVersion"] for entry in entries] == list("54321")
    assert [entry.get("changeReason", "") for entry in entries] == ["", "too fast", "", "faster", ""]
    assert len({entry["eventId"] for entry in entries}) == 5
    times = [instant(entry["recordedAt"]) for entry in entries]
    assert times == sorted(times, reverse=True)
    shown = {entry["changeType"]: entry["functionSnapshot"] for entry in entries}
    assert shown["create"] == first
    assert shown["update"] == second
    assert shown["status_change"] == paused
    assert shown["rollback"] == rolled
    for entry in entries:
        asked = {"functionId": name, "version": entry["entityVersion"]}
        assert rpc("functions.get_at_version", "GetFunctionAtVersionRequest", asked) == {"entry": entry}

    pages, after = [], "0"
    while True:
        query = {"functionId": name, "limit": 2, "fromVersion": after}
        page = rpc("functions.list_history", "ListFunctionHistoryRequest", query)
        pages.append([entry["entityVersion"] for entry in page["entries"]])
        after = pages[-1][-1]
        if not page.get("hasMore"):
            break
    assert pages == [["5", "4"], ["3", "2"], ["1"]]


@both
def test_what_has_no_history(rpc: OfficialRpc, name: str) -> None:
    define(rpc, name)
    for method, kind, message in (
        ("functions.get_at_version", "GetFunctionAtVersionRequest", {"functionId": name, "version": "9"}),
        ("functions.get_at_version", "GetFunctionAtVersionRequest", {"functionId": f"{name}-none", "version": "1"}),
        ("functions.rollback", "RollbackFunctionRequest", {"functionId": name, "version": "9"}),
        ("functions.rollback", "RollbackFunctionRequest", {"functionId": f"{name}-none", "version": "1"}),
        ("functions.delete", "DeleteFunctionRequest", {"id": f"{name}-none"}),
        (
            "functions.update_status",
            "UpdateFunctionStatusRequest",
            {"id": f"{name}-none", "status": "FUNCTION_STATUS_PAUSED"},
        ),
    ):
        code, text = rpc.refused(method, kind, message)
        assert (code, name in text) == ("not_found", True), (method, text)
    code, _ = rpc.refused("functions.update_status", "UpdateFunctionStatusRequest", {"id": name})
    assert code == "invalid_argument"
    code, _ = rpc.refused("functions.rollback", "RollbackFunctionRequest", {"functionId": name, "version": "-1"})
    assert code == "invalid_argument"


@both
def test_a_run_keeps_the_version_it_was_made_with(rpc: OfficialRpc, plain: Plain, name: str) -> None:
    define(rpc, name)
    runs = [plain.start(f"{name}.go", {})]
    define(rpc, name, description="another")
    runs.append(plain.start(f"{name}.go", {}))
    assert [plain.run(run_id)["functionVersion"] for run_id in runs] == [1, 2]


# ---- status


@both
def test_paused_functions_queue_and_archived_ones_do_not_match(
    rpc: OfficialRpc, plain: Plain, worker: PlainWorker, name: str
) -> None:
    def become(word: str) -> None:
        asked = {"id": name, "status": f"FUNCTION_STATUS_{word}"}
        assert rpc("functions.update_status", "UpdateFunctionStatusRequest", asked)["status"] == asked["status"]

    become("PAUSED")
    run_id = plain.start(f"{name}.go", {})
    assert worker.jobs() == []
    assert plain.run(run_id)["status"] == "RUN_STATUS_WAITING_FOR_CAPACITY"
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(lambda: worker.poll(wait=25))
        become("ACTIVE")
        answer = held.result()
    assert answer.status == 200, "a held poll hears of it"
    become("ARCHIVED")
    assert "runIds" not in plain.emit(f"{name}.go", {})
    listed = rpc("functions.list", "ListFunctionsRequest", {"name": name, "status": "FUNCTION_STATUS_ARCHIVED"})
    assert [function["id"] for function in listed["functions"]] == [name]
    assert rpc("functions.list", "ListFunctionsRequest", {"name": name, "status": "FUNCTION_STATUS_ACTIVE"}) == {}
    assert rpc.refused("functions.invoke", "InvokeFunctionRequest", {"functionId": name})[0] == "failed_precondition"


# ---- triggers


@both
def test_trigger_expressions(rpc: OfficialRpc, plain: Plain, name: str) -> None:
    define(rpc, name, triggers=[{"event": f"{name}.go", "expression": 'data.total > 100 && source == "api"'}])
    sent: list[tuple[Any, int]] = [
        ({"total": 101}, 1),
        ({"total": 100.5}, 1),
        ({"total": 100}, 0),
        ({"total": "many"}, 0),
        ({}, 0),
        ([101], 0),
        (None, 0),
    ]
    for data, count in sent:
        pair = {"data" if isinstance(data, dict) else "dataValue": data}
        found = rpc("events.emit", "TriggerRequest", {"event": f"{name}.go", **pair})
        assert len(found.get("runIds", [])) == count, data
    for expression in ("data.total >", "1 + ", "data..total"):
        asked = {"id": f"{name}-bad", "triggers": [{"event": f"{name}.go", "expression": expression}]}
        code, text = rpc.refused("functions.register", "RegisterFunctionRequest", asked)
        assert (code, f"{name}-bad" in text) == ("invalid_argument", True), text
    assert plain.post("GetFunction", {"id": f"{name}-bad"}).status == 404


@both
def test_wildcards_and_several_triggers(rpc: OfficialRpc, plain: Plain, name: str) -> None:
    """One run for each function, however many of its triggers match."""
    define(rpc, name, triggers=[{"event": f"{name}.*"}, {"event": f"{name}.a.>"}, {"event": f"{name}.a"}])
    define(rpc, f"{name}-all", triggers=[{"event": f"{name}.>"}])

    def started(event: str) -> list[str]:
        runs = rpc("events.emit", "TriggerRequest", {"event": event}).get("runIds", [])
        return sorted(plain.run(run_id)["functionId"].removeprefix(name) for run_id in runs)

    assert started(f"{name}.a") == ["", "-all"]
    assert started(f"{name}.a.b.c") == ["", "-all"]
    assert started(f"{name}.b.c") == ["-all"]
    assert started(name) == []
    for bad in (f"{name}.>.a", "a..b", "", "a b", ".a"):
        asked = {"id": f"{name}-bad", "triggers": [{"event": bad}]}
        assert rpc.refused("functions.register", "RegisterFunctionRequest", asked)[0] == "invalid_argument", bad


# ---- batches and invocations


@both
def test_a_batch_of_events(rpc: OfficialRpc, plain: Plain, worker: PlainWorker, name: str) -> None:
    """In order; one that is refused says so and stops no other."""
    batch = [
        {"event": f"{name}.go", "data": {"n": 0}, "idempotencyKey": f"{name}-0"},
        {"event": "a..b"},
        {"event": f"{name}.nobody", "dataValue": [1]},
        {"event": f"{name}.go", "dataValue": 3, "metadata": {"who": "me"}, "version": 2},
        {"event": f"{name}.go", "data": {"n": 0}, "idempotencyKey": f"{name}-0"},
    ]
    results = rpc("runs.trigger_batch", "TriggerBatchRequest", {"events": batch})["results"]
    assert [len(result.get("runIds", [])) for result in results] == [1, 0, 0, 1, 1]
    assert ["error" in result for result in results] == [False, True, False, False, False]
    assert "a..b" in results[1]["error"]["message"]
    assert results[1]["error"]["code"]
    assert "eventId" not in results[1]
    assert results[4] == results[0], "the same key is the same event"
    run = plain.run(results[3]["runIds"][0])
    assert run["inputValue"] == 3
    jobs = [worker.take(result["runIds"][0]) for result in (results[0], results[3])]
    assert jobs[1].raw["event"].items() >= {"version": 2, "metadata": {"who": "me"}, "data": 3}.items()
    assert rpc("runs.trigger_batch", "TriggerBatchRequest", {}) == {}


@both
@pytest.mark.parametrize("value", [{"n": 1}, [1], None, 0], ids=repr)
def test_invoking_a_function(rpc: OfficialRpc, plain: Plain, name: str, value: Any) -> None:
    worker = register(plain, name, triggers=[])
    pair = {"data" if isinstance(value, dict) else "dataValue": value}
    asked = {"functionId": name, **pair, "idempotencyKey": f"{name}-1"}
    found = rpc("functions.invoke", "InvokeFunctionRequest", asked)
    assert found.keys() == {"runId", "eventId"}
    assert rpc("functions.invoke", "InvokeFunctionRequest", asked) == found, "the same key, so the same run"
    job = worker.take(found["runId"])
    assert job.raw["event"]["data"] == value
    assert (job.raw["event"]["id"], plain.run(job.run_id)["eventId"]) == (found["eventId"],) * 2
    assert "parentRunId" not in plain.run(job.run_id)
    worker.done(job, "completed", output=value)
    assert rpc.refused("functions.invoke", "InvokeFunctionRequest", {"functionId": f"{name}-none"})[0] == "not_found"


@both
def test_invoking_and_waiting(rpc: OfficialRpc, plain: Plain, worker: PlainWorker, name: str) -> None:
    method, kind = "runs.invoke_function_sync", "InvokeFunctionSyncRequest"
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(lambda: worker.done(worker.take(), "completed", output=[None, 0.5]))
        result = rpc(method, kind, {"functionId": name, "data": {"n": 1}, "timeoutMs": 20_000})["result"]
        working.result()
        assert (result["status"], result["outputValue"]) == ("RUN_STATUS_COMPLETED", [None, 0.5])
        assert "waitTimedOut" not in result
        working = pool.submit(lambda: worker.fail(worker.take(), retryable=False, message="no"))
        asked = {"functionId": name, "timeoutMs": 20_000, "idempotencyKey": f"{name}-1"}
        failed = rpc(method, kind, asked)["result"]
        working.result()
    assert (failed["status"], failed["error"]["message"]) == ("RUN_STATUS_FAILED", "no")
    assert rpc(method, kind, asked)["result"]["runId"] == failed["runId"], "the same key, so the same run"
    late = rpc(method, kind, {"functionId": name, "timeoutMs": 1})["result"]
    assert (late["waitTimedOut"], late["status"]) == (True, "RUN_STATUS_WAITING_FOR_CAPACITY")
    worker.done(worker.take(late["runId"]), "completed", output=1)
    assert rpc.refused(method, kind, {"functionId": f"{name}-none"})[0] == "not_found"


def test_who_hangs_up_cancels_what_he_invoked(plain: Plain, worker: PlainWorker, name: str) -> None:
    address = urlsplit(plain.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port or 80, timeout=20)
    body = json.dumps({"functionId": name, "timeoutMs": 30_000})
    connection.request(
        "POST", "/ironflow.v1.IronflowService/InvokeFunctionSync", body, {"Content-Type": "application/json"}
    )
    job = worker.take()
    assert plain.run(job.run_id)["status"] == "RUN_STATUS_RUNNING"
    connection.close()
    run = plain.ended(job.run_id)
    assert run["status"] == "RUN_STATUS_CANCELLED"
    assert run["cancellationCause"]


# ---- pub/sub


@both
def test_emitting_through_pubsub(rpc: OfficialRpc, plain: Plain, worker: PlainWorker, name: str) -> None:
    asked = {"event": f"{name}.go", "dataValue": [1], "idempotencyKey": f"{name}-1", "metadata": {"who": "me"}}
    found = rpc("pubsub.emit", "EmitRequest", {**asked, "namespace": "default", "version": 3})
    (run_id,) = found["runIds"]
    assert rpc("pubsub.emit", "EmitRequest", asked) == found
    job = worker.take(run_id)
    expected = {"id": found["eventId"], "version": 3, "data": [1], "metadata": {"who": "me"}}
    assert job.raw["event"].items() >= expected.items()
    assert rpc.refused("pubsub.emit", "EmitRequest", {"event": "a..b"})[0] == "invalid_argument"


@both
def test_publishing(rpc: OfficialRpc, plain: Plain, name: str) -> None:
    """A message starts no function, and a key is one message for its topic."""
    define(rpc, name, triggers=[{"event": f"{name}.>"}])
    asked = {"topic": f"{name}.t", "data": {"n": 1}, "idempotencyKey": f"{name}-1"}
    first = rpc("pubsub.publish", "PublishRequest", asked)
    assert first.keys() == {"eventId", "sequence"}
    assert rpc("pubsub.publish", "PublishRequest", asked) == {**first, "duplicate": True}
    other = rpc("pubsub.publish", "PublishRequest", {**asked, "topic": f"{name}.u"})
    more = rpc("pubsub.publish", "PublishRequest", {"topic": f"{name}.t", "dataValue": [1]})
    places = [int(one["sequence"]) for one in (first, other, more)]
    assert places == sorted(set(places))
    assert len({one["eventId"] for one in (first, other, more)}) == 3
    assert plain.call("ListRuns", {"functionId": name}) == {}
    for bad in (
        {"topic": ""},
        {"topic": "a..b"},
        {"topic": "topic:a"},
        {"topic": "system.a"},
        {"topic": "a.*"},
        {"topic": "a", "idempotencyKey": "a b"},
        {"topic": "a", "idempotencyKey": "k" * 256},
    ):
        assert rpc.refused("pubsub.publish", "PublishRequest", bad)[0] == "invalid_argument", bad


# ---- events over REST


def events(plain: Plain, **query: Any) -> dict[str, Any]:
    answer = plain.rest("GET", f"/api/v1/events?{urlencode(query)}")
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json
    assert found["count"] == len(found["events"]) <= found["limit"]
    return found


def test_an_event_by_its_id(plain: Plain, worker: PlainWorker, name: str) -> None:
    fields = {"idempotencyKey": f"{name}-1", "metadata": {"who": "me"}, "version": 2}
    found = plain.emit(f"{name}.go", {"größe": [None, 1]}, **fields)
    event = plain.rest("GET", f"/api/v1/events/{found['eventId']}").json
    known = {
        "id": found["eventId"],
        "name": f"{name}.go",
        "data": {"größe": [None, 1]},
        "metadata": {"who": "me"},
        "version": 2,
        "source": "api",
        "idempotency_key": f"{name}-1",
        "processed": True,
    }
    assert event.items() >= known.items()
    assert instant(event["timestamp"])
    assert plain.rest("GET", "/api/v1/events/evt_nowhere").fault == (404, "not_found")


def test_events_in_pages_both_ways(plain: Plain, name: str) -> None:
    sent = [plain.emit(f"{name}.go", n)["eventId"] for n in range(7)][::-1]
    pages, query = [], {"name": f"{name}.go", "limit": 3}
    page = events(plain, **query)
    assert (page["has_next"], page["has_prev"], page["limit"]) == (True, False, 3)
    while True:
        pages.append([event["id"] for event in page["events"]])
        if not page["has_next"]:
            break
        page = events(plain, **query, cursor=page["next_cursor"])
        assert page["has_prev"]
    assert pages == [sent[:3], sent[3:6], sent[6:]]
    back = events(plain, **query, before=page["prev_cursor"])
    assert [event["id"] for event in back["events"]] == pages[1]
    assert (back["has_next"], back["has_prev"]) == (True, True)
    front = events(plain, **query, before=back["prev_cursor"])
    assert [event["id"] for event in front["events"]] == pages[0]
    assert front["has_prev"] is False
    assert [event["data"] for event in front["events"]] == [6, 5, 4]
    wrong = [
        {"cursor": back["next_cursor"], "before": back["prev_cursor"]},
        {"cursor": "%"},
        {"limit": "-1"},
        {"limit": "many"},
        {"since": "noon"},
    ]
    for bad in wrong:
        assert plain.rest("GET", f"/api/v1/events?{urlencode(bad)}").fault == (400, "invalid_argument"), bad


def test_events_by_what_they_are(plain: Plain, name: str) -> None:
    a, b = [plain.emit(f"{name}.{letter}", {"word": f"{name}-{letter}"})["eventId"] for letter in "ab"]
    middle = plain.rest("GET", f"/api/v1/events/{b}").json["timestamp"]

    def found(**query: Any) -> list[str]:
        mine = [event for event in events(plain, limit=200, **query)["events"] if event["name"].startswith(name)]
        return [event["id"] for event in mine]

    assert found(name=f"{name}.a") == [a]
    assert found(names=f"{name}.a,{name}.b") == [b, a]
    assert found(name=f"{name}.*") == [], "a name is no pattern here"
    assert found(search=f"{name}-b") == [b]
    assert found(search=a) == [a]
    assert found(source="api", names=f"{name}.a") == [a]
    assert found(source="cron,webhook") == []
    assert found(since=middle, names=f"{name}.a,{name}.b") == [b]
    assert a in found(until=middle)
    plain.emit(f"{name}.a", {})
    names = plain.rest("GET", f"/api/v1/events/names?{urlencode({'source': 'api'})}").json
    counts = {entry["name"]: entry["count"] for entry in names["names"]}
    assert (counts[f"{name}.a"], counts[f"{name}.b"]) == (2, 1)
    assert names["truncated"] is False
    assert names["scanned"] <= names["scan_cap"]


def test_an_event_emitted_in_a_run_says_so(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    headers = {"X-Ironflow-Run-ID": run_id}
    sent = plain.call("Emit", {"event": f"{name}.from", "data": {}}, headers=headers)
    until(lambda: plain.rest("GET", f"/api/v1/events/{sent['eventId']}").status == 200, "the event")
    assert plain.rest("GET", f"/api/v1/events/{sent['eventId']}").json["run_id"] == run_id
