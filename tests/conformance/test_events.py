"""Events start runs: matching, idempotency and waiting for the outcome (engine.md sections 3 and 4.5)."""

from __future__ import annotations

import base64
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conformance.conftest import register
from tests.conformance.plain import Plain, instant, payload
from tests.conformance.plain_worker import PlainWorker


def trigger(plain: Plain, id_: str, *events: str) -> str:
    triggers = [{"event": event} for event in events]
    plain.call("RegisterFunction", {"id": id_, "triggers": triggers})
    return id_


def started(plain: Plain, event: str) -> set[str]:
    """The functions of which an event starts a run."""
    runs = plain.emit(event, {}).get("runIds", [])
    functions = [plain.run(run_id)["functionId"] for run_id in runs]
    assert len(set(functions)) == len(functions), "one run per function"
    return set(functions)


def test_no_match_is_no_error(plain: Plain, name: str) -> None:
    answer = plain.emit(f"{name}.nobody", {})
    assert answer.keys() == {"eventId"}
    assert answer["eventId"]


def test_every_matching_function_starts_once(plain: Plain, name: str) -> None:
    exact = trigger(plain, f"{name}-exact", f"{name}.a.b")
    one = trigger(plain, f"{name}-one", f"{name}.*.b", f"{name}.a.*", f"{name}.a.b")
    rest = trigger(plain, f"{name}-rest", f"{name}.>")
    trigger(plain, f"{name}-none")
    assert started(plain, f"{name}.a.b") == {exact, one, rest}
    assert started(plain, f"{name}.a.c") == {one, rest}
    assert started(plain, f"{name}.a") == {rest}
    assert started(plain, f"{name}.a.b.c") == {rest}
    assert started(plain, name) == set(), "`>` stands for one token or more"
    assert started(plain, f"{name}.A.B") == {rest}, "case counts"


def test_functions_registered_later_do_not_match(plain: Plain, name: str) -> None:
    before = plain.emit(f"{name}.go", {})
    register(plain, name)
    assert "runIds" not in before
    assert plain.call("ListRuns", {"functionId": name}) == {}


@pytest.mark.parametrize("procedure", ["Emit", "Trigger"])
def test_the_run_tells_of_its_event(plain: Plain, worker: PlainWorker, name: str, procedure: str) -> None:
    event = {"event": f"{name}.go", "data": {"a": [1]}, "metadata": {"trace": "t"}, "version": 3}
    answer = plain.call(procedure, {**event, "idempotencyKey": f"{name}-k"})
    (run_id,) = answer["runIds"]
    run = plain.run(run_id)
    assert (run["eventId"], run["eventName"]) == (answer["eventId"], f"{name}.go")
    assert (run["attempt"], run["maxAttempts"], run["functionVersion"]) == (1, 25, 1)
    assert run["executionMode"] == "EXECUTION_MODE_PULL"
    assert run["environmentId"]
    sent = worker.take(run_id).raw["event"]
    assert sent == {
        **sent,
        "id": answer["eventId"],
        "name": f"{name}.go",
        "data": {"a": [1]},
        "metadata": {"trace": "t"},
        "version": 3,
        "source": "api",
        "idempotency_key": f"{name}-k",
    }
    assert instant(sent["timestamp"])


def test_defaults_of_an_event(plain: Plain, worker: PlainWorker, name: str) -> None:
    plain.start(f"{name}.go", {})
    sent = worker.take().raw["event"]
    assert (sent["version"], sent["source"]) == (1, "api")
    assert sent.get("metadata") in (None, {})
    assert "idempotency_key" not in sent


def test_a_repeated_key_gives_the_first_answer(plain: Plain, worker: PlainWorker, name: str) -> None:
    event = {"event": f"{name}.go", "data": {"n": 1}, "idempotencyKey": f"{name}-k"}
    first = plain.call("Emit", event)
    assert plain.call("Emit", event) == first
    assert plain.call("Trigger", {**event, "data": {"n": 2}}) == first, "the payload does not count"
    assert plain.call("Emit", {**event, "event": f"{name}.other"}) == first, "rulings.md 24"
    sync = plain.call("TriggerSync", {**event, "timeoutMs": 1})
    assert sync["eventId"] == first["eventId"]
    assert [result["runId"] for result in sync["results"]] == first["runIds"]
    other = plain.call("Emit", {**event, "idempotencyKey": f"{name}-k2"})
    assert not set(other["runIds"]) & set(first["runIds"])
    assert plain.call("ListRuns", {"functionId": name})["totalCount"] == 2
    worker.done(worker.take(first["runIds"][0]), "completed", output=1)
    assert plain.call("Emit", event) == first, "also when the run has ended"


def test_a_key_that_matched_nothing_keeps_its_answer(plain: Plain, name: str) -> None:
    event = {"event": f"{name}.go", "idempotencyKey": f"{name}-k"}
    first = plain.call("Emit", event)
    register(plain, name)
    assert plain.call("Emit", event) == first
    assert "runIds" not in first


def test_no_key_is_no_key(plain: Plain, name: str) -> None:
    register(plain, name)
    answers = [plain.emit(f"{name}.go", {}, idempotencyKey="") for _ in range(3)]
    assert len({answer["runIds"][0] for answer in answers}) == 3


def test_a_key_holds_in_a_race(plain: Plain, name: str) -> None:
    register(plain, name)
    event = {"event": f"{name}.go", "data": {}, "idempotencyKey": f"{name}-k"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: plain.call("Emit", event), range(24)))
    assert answers == answers[:1] * 24
    assert plain.call("ListRuns", {"functionId": name})["totalCount"] == 1


# ---- TriggerSync


def sync(plain: Plain, event: str, timeout_ms: int = 20_000, **fields: Any) -> dict[str, Any]:
    message = {"event": event, "data": {}, "timeoutMs": timeout_ms, **fields}
    found: dict[str, Any] = plain.call("TriggerSync", message)
    return found


def test_sync_without_a_match(plain: Plain, name: str) -> None:
    answer = sync(plain, f"{name}.nobody")
    assert answer.keys() == {"eventId"}


def test_sync_times_out_and_the_run_goes_on(plain: Plain, worker: PlainWorker, name: str) -> None:
    (result,) = sync(plain, f"{name}.go", 30)["results"]
    assert result == {
        **result,
        "functionId": name,
        "status": "RUN_STATUS_WAITING_FOR_CAPACITY",
        "waitTimedOut": True,
    }
    assert not {"output", "outputValue", "error"} & result.keys()
    worker.done(worker.take(result["runId"]), "completed", output=[1])
    assert plain.run(result["runId"])["status"] == "RUN_STATUS_COMPLETED"


def test_sync_waits_for_every_run(plain: Plain, worker: PlainWorker, name: str) -> None:
    other = register(plain, f"{name}-b")
    plain.call("RegisterFunction", {"id": f"{name}-b", "triggers": [{"event": f"{name}.go"}]})
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(sync, plain, f"{name}.go")
        job = worker.take()
        worker.done(job, "completed", output={"a": 1})
        second = other.take()
        assert not answer.done(), "one of two runs has not ended"
        other.fail(second, retryable=False, message="declined", code="CARD")
        results = {result["functionId"]: result for result in answer.result()["results"]}
    good, bad = results[name], results[f"{name}-b"]
    assert (good["status"], payload(good, "output")) == ("RUN_STATUS_COMPLETED", {"a": 1})
    assert bad["status"] == "RUN_STATUS_FAILED"
    assert (bad["error"]["message"], bad["error"]["code"]) == ("declined", "CARD")
    assert not {"waitTimedOut"} & (good.keys() | bad.keys())
    assert {good["runId"], bad["runId"]} == {job.run_id, second.run_id}


def test_sync_hears_of_a_cancelled_run(plain: Plain, worker: PlainWorker, name: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(sync, plain, f"{name}.go")
        plain.cancel(worker.take().run_id)
        (result,) = answer.result()["results"]
    assert result["status"] == "RUN_STATUS_CANCELLED"


def test_sync_on_runs_that_have_ended(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {}, idempotencyKey=f"{name}-k")
    worker.done(worker.take(run_id), "completed", output=None)
    (result,) = sync(plain, f"{name}.go", idempotencyKey=f"{name}-k")["results"]
    assert (result["runId"], result["status"]) == (run_id, "RUN_STATUS_COMPLETED")


def test_sync_stops_at_the_clients_deadline(plain: Plain, worker: PlainWorker, name: str) -> None:
    """rpc.md section 1: a server stops at `Connect-Timeout-Ms` and says `deadline_exceeded`."""
    message = {"event": f"{name}.go", "timeoutMs": 20_000, "idempotencyKey": f"{name}-k"}
    answer = plain.post("TriggerSync", message, headers={"Connect-Timeout-Ms": "50"})
    assert answer.fault == (504, "deadline_exceeded")
    for odd in ("soon", "-1", "1" * 11):
        assert plain.post("Health", {}, headers={"Connect-Timeout-Ms": odd}).fault[0] == 400
    (run_id,) = plain.call("Emit", message)["runIds"]
    assert plain.run(run_id)["status"] == "RUN_STATUS_WAITING_FOR_CAPACITY", "the run goes on"


def test_a_client_that_leaves_changes_nothing(plain: Plain, worker: PlainWorker, name: str) -> None:
    message = {"event": f"{name}.go", "timeoutMs": 20_000, "idempotencyKey": f"{name}-k"}
    with pytest.raises(TimeoutError):
        plain.post("TriggerSync", message, timeout=0.2)
    job = worker.take()
    worker.done(job, "completed", output=1)
    assert plain.call("Emit", message)["runIds"] == [job.run_id]
    assert plain.run(job.run_id)["status"] == "RUN_STATUS_COMPLETED"


# ---- TriggerBatch


def test_a_batch_keeps_its_order(plain: Plain, worker: PlainWorker, name: str) -> None:
    batch: list[dict[str, Any]] = [{"event": f"{name}.go", "data_value": n, "metadata": None} for n in range(300)]
    batch[7] = {"event": "a b"}
    batch[8] = {"event": f"{name}.go", "data": [1]}
    batch[9] = {"event": f"{name}.go", "idempotency_key": "k" * 256}
    batch[10] = {"event": f"{name}.go", "idempotency_key": f"{name}-k", "data_value": 10}
    batch[200] = {**batch[10], "data_value": 200}
    results = plain.call("TriggerBatch", {"events": batch})["results"]
    assert [n for n, result in enumerate(results) if "error" in result] == [7, 8, 9]
    assert {results[n]["error"]["code"] for n in (7, 8, 9)} == {"invalid_argument"}
    assert not any({"runIds", "eventId"} & results[n].keys() for n in (7, 8, 9))
    assert results[200] == results[10]
    started = [result["runIds"][0] for n, result in enumerate(results) if n not in (7, 8, 9, 200)]
    listed = [run["id"] for page in plain.pages("ListRuns", "runs", functionId=name, limit=100) for run in page]
    assert listed == started[::-1], "runs are in the order of their events"
    assert payload(plain.run(results[11]["runIds"][0]), "input") == 11


def test_a_batch_of_a_thousand_and_not_one_more(plain: Plain, name: str) -> None:
    event = {"event": f"{name}.x"}
    assert len(plain.call("TriggerBatch", {"events": [event] * 1_000})["results"]) == 1_000
    refused = plain.post("TriggerBatch", {"events": [event] * 1_001})
    assert refused.fault == (400, "invalid_argument")
    assert "1,001" in refused.json["message"]
    assert plain.rest("GET", f"/api/v1/events?name={name}.x").json["approx_total"] == 1_000
    assert plain.call("TriggerBatch", {"events": []}) == {}


def test_a_batch_that_cannot_be_read_does_nothing(plain: Plain, name: str) -> None:
    for odd in ({"event": 7}, None, "x", {"event": f"{name}.x", "version": "many"}):
        assert plain.post("TriggerBatch", {"events": [{"event": f"{name}.x"}, odd]}).fault == (400, "invalid_argument")
    assert plain.rest("GET", f"/api/v1/events?name={name}.x").json["count"] == 0


# ---- the other ways to emit


def test_both_services_share_one_key(plain: Plain, worker: PlainWorker, name: str) -> None:
    message = {"event": f"{name}.go", "idempotencyKey": f"{name}-k"}
    first = plain.call("PubSubService/Emit", {**message, "namespace": "default"})
    assert plain.call("Emit", message) == first
    assert plain.call("PubSubService/Emit", message) == first
    refused = plain.post("PubSubService/Emit", {**message, "namespace": "elsewhere"})
    assert refused.fault == (400, "invalid_argument")
    assert "elsewhere" in refused.json["message"]


def test_the_older_route(plain: Plain, worker: PlainWorker, name: str) -> None:
    message = {"name": f"{name}.go", "data": [2**60], "metadata": {"m": 1}, "idempotencyKey": f"{name}-k"}
    found = plain.rest("POST", "/api/v1/events", message)
    assert found.status == 200
    (run_id,) = found.json["run_ids"]
    assert payload(plain.run(run_id), "input") == [2**60]
    assert plain.rest("POST", "/api/v1/events", {**message, "data": 1}).json == found.json
    event = plain.rest("GET", f"/api/v1/events/{found.json['event_id']}").json
    assert (event["data"], event["metadata"], event["source"]) == ([2**60], {"m": 1}, "api")
    for wrong in ({}, {"name": "a..b"}, {"name": "a", "metadata": [1]}, {"name": "a", "version": -1}):
        assert plain.rest("POST", "/api/v1/events", wrong).fault == (400, "invalid_argument")


@pytest.mark.parametrize("caller", ["run_of_nobody", "größe".encode().decode("latin-1"), "x" * 2_000])
def test_a_run_that_is_not_here_is_not_noted(plain: Plain, name: str, caller: str) -> None:
    sent = plain.call("Emit", {"event": f"{name}.x"}, headers={"X-Ironflow-Run-ID": caller})
    assert plain.rest("GET", f"/api/v1/events/{sent['eventId']}").json["run_id"] == ""


@pytest.mark.parametrize(("length", "status"), [(255, 200), (256, 400)])
def test_the_longest_key(plain: Plain, name: str, length: int, status: int) -> None:
    key = (name + "ü" * 300)[:length]
    assert plain.post("Emit", {"event": f"{name}.x", "idempotencyKey": key}).status == status


# ---- reading while more are emitted


def test_pages_neither_skip_nor_repeat_while_events_come(plain: Plain, name: str) -> None:
    sent = [plain.emit(f"{name}.x", n)["eventId"] for n in range(12)][::-1]
    seen: list[str] = []
    query = f"/api/v1/events?name={name}.x&limit=3"
    page = plain.rest("GET", query).json
    while True:
        seen += [event["id"] for event in page["events"]]
        plain.emit(f"{name}.x", "late")
        if not page["has_next"]:
            break
        page = plain.rest("GET", f"{query}&cursor={page['next_cursor']}").json
    assert seen == sent
    # And back up again, the late ones included.
    while page["has_prev"]:
        page = plain.rest("GET", f"{query}&before={page['prev_cursor']}").json
        seen += [event["id"] for event in page["events"][::-1]]
    assert seen[12:] == [*sent[::-1][3:], *seen[-4:]]
    assert [event["data"] for event in page["events"]][:1] == ["late"]


def test_a_page_of_large_events_is_cut_and_goes_on(plain: Plain, name: str) -> None:
    sent = [plain.emit(f"{name}.x", "y" * 5_000_000)["eventId"] for _ in range(3)][::-1]
    first = plain.rest("GET", f"/api/v1/events?name={name}.x").json
    assert (first["has_next"], first["approx_total"]) == (True, 3)
    rest = plain.rest("GET", f"/api/v1/events?name={name}.x&cursor={first['next_cursor']}").json
    assert [event["id"] for event in (*first["events"], *rest["events"])] == sent
    assert rest["has_next"] is False


# ---- redaction


def test_a_redacted_event_is_nowhere_to_be_read(plain: Plain, name: str) -> None:
    worker = register(plain, name, recording=True)
    secret = f"secret-of-{name}"
    event = {"event": f"{name}.go", "data": {"card": secret}, "idempotencyKey": f"{name}-k", "metadata": {"m": 1}}
    sent = plain.call("Emit", event)
    (run_id,) = sent["runIds"]
    worker.done(worker.take(run_id), "completed", output=1)
    moment = {"runId": run_id, "timestamp": "2200-01-01T00:00:00Z"}
    before = plain.call("TimeTravelService/GetRunStateAt", moment)["snapshot"]
    assert plain.call("RedactEvent", {"event_id": sent["eventId"]}) == {}
    stored = plain.rest("GET", f"/api/v1/events/{sent['eventId']}").json
    marker = stored["data"]
    digest = hashlib.sha256(json.dumps({"card": secret}, separators=(",", ":")).encode()).hexdigest()
    assert marker == {"$redacted": True, "sha256": digest, "redactedAt": marker["redactedAt"]}
    assert instant(marker["redactedAt"])
    assert (stored["metadata"], stored["idempotency_key"]) == ({"m": 1}, f"{name}-k")
    assert plain.run(run_id)["input"] == marker
    after = plain.call("TimeTravelService/GetRunStateAt", moment)["snapshot"]
    assert json.loads(base64.b64decode(after["input"])) == marker
    assert {**after, "input": ""} == {**before, "input": ""}, "nothing else of the run has changed"
    reads = [
        plain.post("AuditService/GetAuditTrail", {"runId": run_id}),
        plain.post("TimeTravelService/GetRunTimeline", {"runId": run_id}),
        plain.post("ListRuns", {"functionId": name}),
        plain.rest("GET", f"/api/v1/events?name={name}.go"),
        plain.rest("GET", f"/api/v1/audit?run_id={run_id}"),
    ]
    assert not [answer for answer in reads if secret.encode() in answer.body]
    assert plain.rest("GET", f"/api/v1/events?search={secret}").json["count"] == 0
    assert plain.call("RedactEvent", {"eventId": sent["eventId"]}) == {}, "once more changes nothing"
    assert plain.rest("GET", f"/api/v1/events/{sent['eventId']}").json == stored
    assert plain.call("Emit", event) == sent, "its key still stands for it"
    assert plain.post("RedactEvent", {"eventId": f"{name}-none"}).fault == (404, "not_found")
    assert plain.post("RedactEvent", {}).fault == (404, "not_found")
