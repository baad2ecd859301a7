"""Invocations: one run of a named function, and the call whose end is the run's (engine.md section 4.5)."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conformance.conftest import register
from tests.conformance.plain import Plain, payload, until
from tests.conformance.plain_worker import PlainWorker, is_stale

SYNC = "/ironflow.v1.IronflowService/InvokeFunctionSync"


@pytest.fixture
def worker(plain: Plain, name: str) -> PlainWorker:
    """A worker for a function without a trigger."""
    return register(plain, name, triggers=[])


def dial(plain: Plain, message: Any, *, part: float = 1.0, **headers: str) -> socket.socket:
    """Send a call that waits, or only a `part` of its body, and leave the connection open."""
    address = urlsplit(plain.url)
    body = json.dumps(message).encode()
    lines = [f"POST {SYNC} HTTP/1.1", f"Host: {address.netloc}", "Content-Type: application/json"]
    lines += [f"{key.replace('_', '-')}: {value}" for key, value in {**plain.headers, **headers}.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    connection = socket.create_connection((address.hostname or "", address.port or 80), timeout=20)
    connection.sendall("\r\n".join(lines).encode() + body[: int(len(body) * part)])
    return connection


def runs(plain: Plain, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = plain.call("ListRuns", {"functionId": name}).get("runs", [])
    return found


def test_only_the_named_function_runs(plain: Plain, worker: PlainWorker, name: str) -> None:
    greedy = register(plain, f"{name}-greedy", triggers=[{"event": ">"}, {"event": "ironflow.function.invoked"}])
    found = plain.call("InvokeFunction", {"functionId": name, "data": {"größe": [1, None]}})
    plain.call("DeleteFunction", {"id": f"{name}-greedy"})
    assert [run["id"] for run in runs(plain, name)] == [found["runId"]]
    assert greedy.poll().status == 204
    event = plain.rest("GET", f"/api/v1/events/{found['eventId']}").json
    assert (event["name"], event["source"], event["data"]) == (
        "ironflow.function.invoked",
        "invoke",
        {"größe": [1, None]},
    )
    job = worker.take(found["runId"])
    assert job.raw["event"]["data"] == {"größe": [1, None]}
    worker.done(job, "completed", output="ok")
    run = plain.ended(found["runId"])
    assert (run["eventName"], run["input"], run["outputValue"]) == (
        "ironflow.function.invoked",
        {"größe": [1, None]},
        "ok",
    )


def test_both_spellings(plain: Plain, worker: PlainWorker, name: str) -> None:
    snake = {"function_id": name, "data_value": {"nested_key": 1}, "idempotency_key": f"{name}-k"}
    found = plain.call("InvokeFunction", snake)
    assert plain.run(found["runId"])["input"] == {"nested_key": 1}
    result = plain.call("InvokeFunctionSync", {**snake, "timeout_ms": 1})["result"]
    assert (result["runId"], result["waitTimedOut"]) == (found["runId"], True)


def test_a_paused_function_queues_and_an_archived_one_is_refused(plain: Plain, worker: PlainWorker, name: str) -> None:
    plain.call("UpdateFunctionStatus", {"id": name, "status": "FUNCTION_STATUS_PAUSED"})
    waits = plain.call("InvokeFunction", {"functionId": name})["runId"]
    assert worker.poll().status == 204
    plain.call("UpdateFunctionStatus", {"id": name, "status": "FUNCTION_STATUS_ARCHIVED"})
    for procedure in ("InvokeFunction", "InvokeFunctionSync"):
        refused = plain.post(procedure, {"functionId": name})
        assert refused.fault == (400, "failed_precondition")
        assert "archived" in refused.json["message"]
    plain.call("UpdateFunctionStatus", {"id": name, "status": "FUNCTION_STATUS_ACTIVE"})
    assert worker.take(waits).run_id == waits
    assert len(runs(plain, name)) == 1


def test_a_key_starts_one_run_of_one_function(plain: Plain, worker: PlainWorker, name: str) -> None:
    register(plain, f"{name}-b", triggers=[])
    asked = {"functionId": name, "idempotencyKey": f"{name}-k"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: plain.call("InvokeFunction", {**asked, "dataValue": n}), range(16)))
    assert answers == answers[:1] * 16
    other = plain.post("InvokeFunction", {**asked, "functionId": f"{name}-b"})
    assert other.fault == (409, "already_exists")
    assert answers[0]["runId"] in other.json["message"]
    plain.emit(f"{name}.x", {}, idempotencyKey=f"{name}-e")
    assert plain.post("InvokeFunction", {**asked, "idempotencyKey": f"{name}-e"}).fault == (409, "already_exists")
    again = plain.emit(f"{name}.x", {}, idempotencyKey=f"{name}-k")
    assert again == {"eventId": answers[0]["eventId"], "runIds": [answers[0]["runId"]]}
    assert len(runs(plain, name)) == 1
    assert runs(plain, f"{name}-b") == []


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ({}, (400, "invalid_argument")),
        ({"functionId": "no such function"}, (404, "not_found")),
        ({"data": [1]}, (400, "invalid_argument")),
        ({"data": "text"}, (400, "invalid_argument")),
        ({"idempotencyKey": "k" * 256}, (400, "invalid_argument")),
        ({"idempotencyKey": 7}, (400, "invalid_argument")),
    ],
    ids=str,
)
def test_what_is_refused(
    plain: Plain, worker: PlainWorker, name: str, message: dict[str, Any], fault: tuple[int, str]
) -> None:
    given = message if not message or "functionId" in message else {"functionId": name, **message}
    for procedure in ("InvokeFunction", "InvokeFunctionSync"):
        assert plain.post(procedure, given).fault == fault
    assert plain.post("InvokeFunctionSync", {"functionId": name, "timeoutMs": -1}).fault == (400, "invalid_argument")
    assert runs(plain, name) == []


def test_large_inputs(plain: Plain, worker: PlainWorker, name: str) -> None:
    text = "ü" * (4 * 1024 * 1024 - 200)
    found = plain.call(
        "InvokeFunction", json.dumps({"functionId": name, "dataValue": text}, ensure_ascii=False).encode()
    )
    job = worker.take(found["runId"])
    assert job.raw["event"]["data"] == text
    worker.done(job, "completed", output=len(text))
    body = json.dumps({"functionId": name, "dataValue": "y" * (8 * 1024 * 1024)}).encode()
    assert plain.post("InvokeFunction", body).fault == (413, "invalid_argument")
    assert len(runs(plain, name)) == 1


# ---- the call that waits


def test_the_outcome_of_one_run(plain: Plain, worker: PlainWorker, name: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(plain.call, "InvokeFunctionSync", {"functionId": name, "dataValue": [1]})
        job = worker.take()
        worker.done(job, "completed", output=[2])
        result = answer.result()["result"]
    assert result.keys() <= {"runId", "functionId", "status", "outputValue", "durationMs"}
    assert (result["runId"], result["functionId"], payload(result, "output")) == (job.run_id, name, [2])


def test_a_wait_that_is_too_short_lets_the_run_go_on(plain: Plain, worker: PlainWorker, name: str) -> None:
    result = plain.call("InvokeFunctionSync", {"functionId": name, "timeoutMs": 20})["result"]
    assert (result["waitTimedOut"], result["status"]) == (True, "RUN_STATUS_WAITING_FOR_CAPACITY")
    worker.done(worker.take(result["runId"]), "completed", output=1)
    assert plain.run(result["runId"])["status"] == "RUN_STATUS_COMPLETED"


def cancelled(plain: Plain, name: str) -> dict[str, Any]:
    """The one run of the function, once it is cancelled because its caller left."""
    (run,) = until(lambda: runs(plain, name), "the run to start")
    run = plain.ended(run["id"])
    assert run["status"] == "RUN_STATUS_CANCELLED"
    assert "InvokeFunctionSync" in run["cancellationCause"]
    return run


def test_leaving_at_once_cancels_the_run(plain: Plain, worker: PlainWorker, name: str) -> None:
    dial(plain, {"functionId": name}).close()
    cancelled(plain, name)
    assert worker.poll().status == 204


def test_leaving_while_it_executes_cancels_the_run(plain: Plain, worker: PlainWorker, name: str) -> None:
    connection = dial(plain, {"functionId": name})
    job = worker.take()
    connection.close()
    assert cancelled(plain, name)["id"] == job.run_id
    assert is_stale(worker.update(job, "completed", output=1))


def test_leaving_before_the_message_is_whole_starts_nothing(plain: Plain, worker: PlainWorker, name: str) -> None:
    dial(plain, {"functionId": name, "data": {"text": "y" * 1_000}}, part=0.5).close()
    # What comes after it on another connection is answered, and nothing has come of it.
    plain.call("Health")
    assert runs(plain, name) == []


def test_a_deadline_of_the_caller_is_leaving(plain: Plain, worker: PlainWorker, name: str) -> None:
    answer = plain.post("InvokeFunctionSync", {"functionId": name}, headers={"Connect-Timeout-Ms": "60"})
    assert answer.fault == (504, "deadline_exceeded")
    cancelled(plain, name)


def test_leaving_after_the_end_changes_nothing(plain: Plain, worker: PlainWorker, name: str) -> None:
    connection = dial(plain, {"functionId": name, "idempotencyKey": f"{name}-k"})
    job = worker.take()
    worker.done(job, "completed", output=1)
    connection.close()
    result = plain.call("InvokeFunctionSync", {"functionId": name, "idempotencyKey": f"{name}-k"})["result"]
    assert (result["runId"], result["status"]) == (job.run_id, "RUN_STATUS_COMPLETED")


def test_an_onlooker_may_leave(plain: Plain, worker: PlainWorker, name: str) -> None:
    """A repeated key attaches to a run that belongs to the call that started it."""
    asked = {"functionId": name, "idempotencyKey": f"{name}-k"}
    run_id = plain.call("InvokeFunction", asked)["runId"]
    job = worker.take(run_id)
    answer = plain.post("InvokeFunctionSync", asked, headers={"Connect-Timeout-Ms": "60"})
    assert answer.fault == (504, "deadline_exceeded")
    dial(plain, asked).close()
    worker.done(job, "completed", output="still here")
    assert plain.run(run_id)["outputValue"] == "still here"


def test_many_callers_of_one_key_hear_the_same(plain: Plain, worker: PlainWorker, name: str) -> None:
    asked = {"functionId": name, "idempotencyKey": f"{name}-k"}
    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(plain.call, "InvokeFunctionSync", asked) for _ in range(6)]
        worker.done(worker.take(), "completed", output={"n": 1})
        results = [answer.result()["result"] for answer in answers]
    assert results == results[:1] * 6
    assert len(runs(plain, name)) == 1
