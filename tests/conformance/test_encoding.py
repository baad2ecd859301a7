"""How messages are written (rpc.md sections 1 and 2), spoken with plain HTTP."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from tests.conformance.conftest import register
from tests.conformance.plain import Plain, instant, payload
from tests.conformance.plain_worker import PlainWorker

VALUES = [{}, {"a": 1}, [], [1, {"b": None}], "", "text", 0, 1.5, -7, True, False, None]
PAYLOADS = {"input", "output", "data", "inputValue", "outputValue", "dataValue", "metadata"}


def zeros(message: Any, path: str = "") -> list[str]:
    """The fields that hold a zero value, payloads apart: none may be written."""
    if isinstance(message, list):
        return [found for item in message for found in zeros(item, f"{path}[]")]
    if not isinstance(message, dict):
        return []
    found = []
    for key, value in message.items():
        if key in PAYLOADS:
            continue
        if value in (None, "", 0, False, [], {}) or str(value).endswith("_UNSPECIFIED"):
            found.append(f"{path}.{key}={value!r}")
        found += zeros(value, f"{path}.{key}")
    return found


def test_requests_in_both_spellings_mean_the_same(plain: Plain, name: str) -> None:
    camel = {
        "id": name,
        "triggers": [{"event": f"{name}.go"}],
        "retry": {
            "maxAttempts": 4,
            "initialDelayMs": 10,
            "backoffFactor": 1.5,
            "maxDelayMs": 90,
            "onExhausted": "fail",
        },
        "timeoutMs": 5000,
        "preferredMode": "EXECUTION_MODE_PULL",
        "metadata": {"snake_key": 1, "camelKey": {"inner_key": 2}},
    }
    snake = {
        **{key: camel[key] for key in ("id", "triggers", "metadata")},
        "retry": {
            "max_attempts": 4,
            "initial_delay_ms": 10,
            "backoff_factor": 1.5,
            "max_delay_ms": 90,
            "on_exhausted": "fail",
        },
        "timeout_ms": 5000,
        "preferred_mode": "EXECUTION_MODE_PULL",
    }
    first = plain.call("RegisterFunction", camel)
    again = plain.call("RegisterFunction", snake)
    assert first["created"] is True
    assert again == {"function": first["function"]}, "unchanged, so not created and no new version"
    assert first["function"]["metadata"] == camel["metadata"]

    event = {"event": f"{name}.go", "data": {"order_id": 1, "orderId": 2}}
    key = f"{name}-key"
    started = plain.call("Emit", {**event, "idempotency_key": key})
    assert plain.call("Emit", {**event, "idempotencyKey": key}) == started
    (run_id,) = started["runIds"]
    assert plain.run(run_id)["input"] == event["data"], "payload keys are left alone"
    assert plain.call("GetRunSteps", {"run_id": run_id}) == plain.call("GetRunSteps", {"runId": run_id})
    for filters in ({"function_id": name}, {"functionId": name}, {"event_id": started["eventId"]}):
        listed = plain.call("ListRuns", filters)
        assert [run["id"] for run in listed["runs"]] == [run_id], filters
    answer = plain.call("TriggerSync", {"event": f"{name}.go", "timeout_ms": 1, "data_value": [1], "version": 3})
    assert answer["results"][0]["waitTimedOut"] is True
    assert plain.run(answer["results"][0]["runId"])["inputValue"] == [1]


def test_zero_values_are_left_out(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    waiting = plain.run(run_id)
    assert zeros(waiting) == []
    assert not {"output", "outputValue", "error", "endedAt", "startedAt", "workerId"} & waiting.keys()
    job = worker.take(run_id)
    worker.done(job, "completed", job.step("a", {}), job.step("b", None), output=0)
    for message in (
        plain.run(run_id),
        plain.steps(run_id),
        plain.call("GetFunction", {"id": name}),
        plain.call("ListFunctions", {"name": name}),
        plain.call("ListRuns", {"functionId": name}),
        plain.call("RegisterFunction", {"id": name, "triggers": [{"event": f"{name}.go"}]}),
        plain.emit(f"{name}.nothing", {}),
    ):
        assert zeros(message) == []
    assert "runIds" not in plain.emit(f"{name}.nothing", {})
    assert plain.call("ListRuns", {"functionId": f"{name}-none"}) == {}
    assert plain.call("ListFunctions", {"name": f"{name}-none"}) == {}
    assert plain.call("GetRunSteps", {"runId": plain.start(f"{name}.go", {})}) == {}


def test_what_presence_means_is_kept(plain: Plain, worker: PlainWorker, name: str) -> None:
    """`duration_ms_full` is optional: it is written when set, zero included, as an int64's text."""
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    worker.done(
        job,
        "completed",
        {**job.step("quick"), "duration_ms": 0},
        {**job.step("slow"), "duration_ms": 90061},
        output=None,
    )
    quick, slow = plain.steps(run_id)
    assert quick.get("durationMsFull", "0") == "0"
    assert "durationMs" not in quick
    assert slow["durationMs"] == 90061
    assert slow.get("durationMsFull", "90061") == "90061"


def test_int64_travels_as_text(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    worker.fail(worker.take(run_id), retry_after_ms=60000)
    error = plain.run(run_id)["error"]
    assert error == {**error, "message": "boom", "code": "ERROR", "retryable": True}
    assert error.get("retryAfterMs", "60000") == "60000"
    plain.cancel(run_id)


def test_numbers_may_come_as_text(plain: Plain, worker: PlainWorker, name: str) -> None:
    for _ in range(3):
        plain.start(f"{name}.go", {})
    page = plain.call("ListRuns", {"functionId": name, "limit": "2"})
    assert len(page["runs"]) == 2
    assert page["totalCount"] == 3
    assert len(plain.call("ListRuns", {"functionId": name, "offset": 2.0})["runs"]) == 1


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_payload_pairs(plain: Plain, worker: PlainWorker, name: str, value: Any) -> None:
    """Objects travel in `x`, all else in `xValue`, in and out; null may also be left out."""
    run_id = plain.start(f"{name}.go", value)
    job = worker.take(run_id)
    assert "data" in job.raw["event"]
    assert job.raw["event"]["data"] == value
    step = job.step("same", value)
    worker.done(job, "completed", step, output=value)
    run, (row,) = plain.run(run_id), plain.steps(run_id)
    for message, key in ((run, "input"), (run, "output"), (row, "output")):
        assert payload(message, key) == value
        if isinstance(value, dict):
            assert message[key] == value
        elif value is not None:
            assert json.dumps(message[f"{key}Value"]) == json.dumps(value)


def test_an_event_without_a_payload(plain: Plain, worker: PlainWorker, name: str) -> None:
    (run_id,) = plain.call("Emit", {"event": f"{name}.go"})["runIds"]
    assert payload(plain.run(run_id), "input") in (None, {})
    job = worker.take(run_id)
    assert job.raw["event"]["data"] in (None, {})


def test_the_value_wins_over_the_object(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.call("Emit", {"event": f"{name}.go", "data": {"a": 1}, "dataValue": 7})["runIds"][0]
    assert payload(plain.run(run_id), "input") == 7


def test_large_integers_stay_exact_between_workers(plain: Plain, worker: PlainWorker, name: str) -> None:
    """Worker calls are plain JSON, not protojson: rulings.md 33."""
    big = [2**53 + 1, -(2**63), 2**64, 0.1, 1e300]
    run_id = plain.start(f"{name}.go", {"big": big})
    job = worker.take(run_id)
    assert job.raw["event"]["data"] == {"big": big}
    worker.fail(job, job.step("big", big), retry_after_ms=0)
    again = worker.take(run_id)
    assert again.memo == {f"{run_id}:big:0": big}
    worker.done(again, "completed", output=None)


def test_text_is_text(plain: Plain, worker: PlainWorker, name: str) -> None:
    odd = '\u0000 \u2028 \\ " </script> \U0001f980 äöü \ud7ff'
    run_id = plain.start(f"{name}.go", {odd: odd})
    job = worker.take(run_id)
    assert job.raw["event"]["data"] == {odd: odd}
    worker.done(job, "completed", job.step("a", odd), output=[odd])
    assert plain.run(run_id)["outputValue"] == [odd]


def test_unknown_fields_are_ignored(plain: Plain, name: str) -> None:
    function = {"id": name, "triggers": [{"event": f"{name}.go", "later": 1}], "later": {"a": []}}
    plain.call("RegisterFunction", {**function, "retry": {"maxAttempts": 2, "later": True}})
    run_id = plain.start(f"{name}.go", {}, later=[1])
    assert plain.call("GetRun", {"id": run_id, "later": None})["maxAttempts"] == 2
    plain_worker = PlainWorker(plain, f"{name}-w", (name,))
    body = {"function_ids": [name], "worker_id": plain_worker.id, "later": 1}
    assert plain_worker.send("POST", "register", body).status == 200
    job = plain_worker.take(run_id)
    assert plain_worker.ack(job, later=1).status == 200
    plain_worker.done(job, "completed", {**job.step("a"), "later": 1}, output=None, later=2)


def test_null_is_absent(plain: Plain, name: str) -> None:
    """In protojson null is a field's zero value; Go writes it for an empty list or map."""
    function = {"id": name, "description": None, "triggers": None, "retry": None, "metadata": None}
    plain.call("RegisterFunction", {**function, "timeoutMs": None, "preferredMode": None})
    assert plain.emit(f"{name}.go", {}, idempotencyKey=None, metadata=None, version=None)["eventId"]
    filters = {"functionId": name, "status": None, "statuses": None, "since": None, "limit": None}
    assert plain.call("ListRuns", filters) == {}
    worker = PlainWorker(plain, f"{name}-w", (name,))
    body = {"function_ids": [name], "labels": None, "version": None, "hostname": None}
    assert worker.send("POST", "register", body).status == 200
    assert worker.send("POST", "heartbeat", {"active_jobs": 0, "jobs": None}).status == 200


def test_null_in_a_report_is_absent_but_for_payloads(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    nothing = {"error": None, "yield": None, "output": None, "steps": None}
    assert worker.update(job, "progress", **nothing).status == 200
    step = {**job.step("a", None), "error": None, "compensation_for": None, "started_at": None}
    worker.done(job, "completed", step, output={"kept": None}, error=None)
    (row,) = plain.steps(run_id)
    assert payload(row, "output") is None
    assert "error" not in row
    assert plain.run(run_id)["output"] == {"kept": None}


def test_unknown_enum_names_are_no_filter(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})

    def listed(**filters: Any) -> list[str]:
        found = plain.call("ListRuns", {"functionId": name, **filters})
        return [run["id"] for run in found.get("runs", [])]

    assert listed(status="RUN_STATUS_FROM_THE_FUTURE") == [run_id]
    assert listed(statuses=["RUN_STATUS_FROM_THE_FUTURE"]) == [run_id]
    assert listed(status="RUN_STATUS_UNSPECIFIED") == [run_id]
    assert listed(status="RUN_STATUS_COMPLETED") == []
    assert listed(status=7) == [run_id], "numbers are accepted"
    assert listed(status=3) == []
    assert listed(status=1) == [], "the retired `pending` matches nothing"
    wanted = {"name": name, "status": "FUNCTION_STATUS_FROM_THE_FUTURE"}
    assert len(plain.call("ListFunctions", wanted)["functions"]) == 1


def test_times_are_protojson(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    worker.done(job, "completed", job.step("a"), output=None)
    run, (step,) = plain.run(run_id), plain.steps(run_id)
    for row in (run, step, plain.call("GetFunction", {"id": name})):
        for key in (key for key in row if key.endswith("At")):
            assert instant(row[key]) > 1_600_000_000_000_000_000, (key, row)
    assert instant(step["startedAt"]) == instant("2026-01-02T03:04:05.006Z")
    assert instant(step["endedAt"]) == instant("2026-01-02T03:04:05.106Z")


def test_offsets_and_nanoseconds_are_read(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    created = instant(plain.run(run_id)["createdAt"])

    def since(text: str) -> int:
        found: int = plain.call("ListRuns", {"functionId": name, "since": text}).get("totalCount", 0)
        return found

    assert since("2026-01-02T03:04:05.123456789Z") == 1 or created < instant("2026-01-02T03:04:06Z")
    assert since("2001-01-01T00:30:00+14:00") == 1
    assert since("2101-01-01T00:30:00.5-12:00") == 0


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "APPLICATION/JSON"])
def test_the_content_type_may_have_parameters(plain: Plain, kind: str) -> None:
    assert plain.post("Health", {}, headers={"Content-Type": kind}).status == 200


def test_the_connect_headers_are_optional_and_harmless(plain: Plain) -> None:
    headers = {"Connect-Protocol-Version": "1", "Connect-Timeout-Ms": "5000"}
    assert plain.post("Health", {}, headers=headers).json["status"] == "healthy"


def test_request_bodies_may_be_compressed(plain: Plain, name: str) -> None:
    packed = {"Content-Encoding": "gzip"}
    function = {"id": name, "triggers": [{"event": f"{name}.go"}]}
    body = gzip.compress(json.dumps(function).encode())
    assert plain.post("RegisterFunction", body, headers=packed).status == 200
    event = {"event": f"{name}.go", "data": {"text": "x" * 100_000}}
    answer = plain.post("Emit", gzip.compress(json.dumps(event).encode()), headers=packed)
    assert plain.run(answer.json["runIds"][0])["input"] == event["data"]
    worker = PlainWorker(plain, f"{name}-w", (name,))
    body = gzip.compress(json.dumps({"function_ids": [name]}).encode())
    path = f"/api/v1/workers/{worker.id}/register"
    packed_json = {"Content-Type": "application/json", **packed}
    assert plain.send("POST", path, body, headers=packed_json).status == 200


def test_a_body_that_is_packed_wrongly_is_refused(plain: Plain) -> None:
    cases = [
        (b"not gzip", "gzip", {400}),
        (gzip.compress(b"{}")[:-4], "gzip", {400}),
        (b"{}", "br", {400, 415, 501}),
    ]
    for body, packing, statuses in cases:
        answer = plain.post("Health", body, headers={"Content-Encoding": packing})
        status, code = answer.fault
        assert status in statuses, answer
        assert code in ("invalid_argument", "unimplemented"), answer
    bomb = gzip.compress(b" " * 64 * 1024 * 1024 + b"{}")
    status, code = plain.post("Health", bomb, headers={"Content-Encoding": "gzip"}).fault
    assert status in (413, 429)
    assert code in ("invalid_argument", "resource_exhausted")


def test_functions_read_back_as_registered(plain: Plain, name: str) -> None:
    given = {
        "id": name,
        "name": "Ärger & Co",
        "description": "what it does",
        "triggers": [{"event": f"{name}.*"}, {"event": f"{name}.deep.>"}],
        "retry": {"maxAttempts": 7},
        "timeoutMs": 1234,
        "metadata": {"team": "ops", "n": [1, None]},
    }
    made = plain.call("RegisterFunction", given)["function"]
    found = plain.call("GetFunction", {"id": name})
    assert found == made
    assert {key: found[key] for key in given} == {**given, "retry": found["retry"]}
    assert found["retry"]["maxAttempts"] == 7
    assert found["status"] == "FUNCTION_STATUS_ACTIVE"
    assert found["preferredMode"] == "EXECUTION_MODE_PULL"
    assert found["version"] == 1


def test_a_changed_function_gets_a_new_version(plain: Plain, name: str) -> None:
    worker = register(plain, name)
    first = plain.start(f"{name}.go", {})
    changed = {"id": name, "triggers": [{"event": f"{name}.go"}], "metadata": {"hash": "2"}}
    answer = plain.call("RegisterFunction", changed)
    assert answer["function"]["version"] == 2
    assert "created" not in answer
    assert instant(answer["function"]["updatedAt"]) > instant(answer["function"]["createdAt"])
    assert "created" not in plain.call("RegisterFunction", changed)
    second = plain.start(f"{name}.go", {})
    versions = [plain.run(run_id)["functionVersion"] for run_id in (first, second)]
    assert versions == [1, 2], "a run keeps the version it was created with"
    assert worker.take().run_id == first
