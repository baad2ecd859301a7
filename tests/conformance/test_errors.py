"""Refusals: statuses, codes and bodies (rpc.md section 3, rest.md section 2), and no harm done."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conformance.conftest import register
from tests.conformance.plain import Plain
from tests.conformance.plain_worker import PlainWorker

BAD = (400, "invalid_argument")
GONE = (404, "not_found")


@pytest.mark.parametrize("procedure", ["GetRun", "GetRunSteps", "CancelRun", "GetFunction"])
def test_unknown_things(plain: Plain, procedure: str) -> None:
    body = {"id": "run_unknown", "runId": "run_unknown"}
    assert plain.post(procedure, body).fault == GONE
    assert plain.post(procedure, {}).fault in (GONE, BAD)


@pytest.mark.parametrize("word", ["completed", "failed", "cancelled"])
def test_a_run_that_has_ended_cannot_be_cancelled(plain: Plain, worker: PlainWorker, name: str, word: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    if word == "completed":
        worker.done(worker.take(run_id), "completed", output=1)
    elif word == "failed":
        worker.fail(worker.take(run_id), retryable=False)
    else:
        plain.cancel(run_id)
    before = plain.run(run_id)
    assert before["status"] == f"RUN_STATUS_{word.upper()}"
    assert plain.post("CancelRun", {"id": run_id}).fault == (400, "failed_precondition")
    assert plain.run(run_id) == before


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"event": ""},
        {"event": "   "},
        {"event": "a..b"},
        {"event": "a", "version": -1},
        {"event": "a", "data": [1]},
        {"event": "a", "data": "text"},
        {"event": 5},
        {"event": {"a": 1}},
        {"event": "a", "version": "one"},
        {"event": "a", "metadata": [1]},
        {"event": "a", "idempotencyKey": 7},
    ],
    ids=str,
)
def test_events_that_are_wrong(plain: Plain, event: dict[str, Any]) -> None:
    for procedure in ("Emit", "Trigger", "TriggerSync"):
        assert plain.post(procedure, event).fault == BAD, procedure


@pytest.mark.parametrize("id_", ["", " ", "a b", "a*", "a>", "a\tb", "a\nb", "a\x7fb", "a..b", ".a", "a."])
def test_function_ids_that_are_wrong(plain: Plain, id_: str) -> None:
    assert plain.post("RegisterFunction", {"id": id_}).fault == BAD


@pytest.mark.parametrize("id_", ["a", "a-b_c", "order.placed", "ä", "A1"])
def test_function_ids_that_are_right(plain: Plain, name: str, id_: str) -> None:
    function = plain.call("RegisterFunction", {"id": f"{name}.{id_}"})["function"]
    assert function["id"] == f"{name}.{id_}"
    assert function["name"] == f"{name}.{id_}", "the name defaults to the id"


@pytest.mark.parametrize(
    "fields",
    [
        {"triggers": [{}]},
        {"triggers": [{"event": "a", "cron": "* * * * *"}]},
        {"triggers": {"event": "a"}},
        {"triggers": "a"},
        {"triggers": [{"event": "a b"}]},
        {"triggers": [{"event": "a.>.b"}]},
        {"retry": {"onExhausted": "explode"}},
        {"retry": {"maxAttempts": -1}},
        {"retry": []},
        {"timeoutMs": -1},
        {"timeoutMs": "soon"},
        {"timeoutMs": 1.5},
        {"metadata": "text"},
        {"name": 5},
    ],
    ids=str,
)
def test_functions_that_are_wrong(plain: Plain, name: str, fields: dict[str, Any]) -> None:
    assert plain.post("RegisterFunction", {"id": name, **fields}).fault == BAD
    assert plain.post("GetFunction", {"id": name}).fault == GONE


@pytest.mark.parametrize(
    "body",
    [b"{", b"nonsense", b"[]", b'"text"', b"7", b"true", b'{"id":"\xff"}', b'{"id":"a"} {}', b"\x00", b"{'id':'a'}"],
    ids=repr,
)
@pytest.mark.parametrize("procedure", ["GetRun", "Emit", "RegisterFunction"])
def test_bodies_that_are_not_a_message(plain: Plain, procedure: str, body: bytes) -> None:
    assert plain.post(procedure, body).fault == BAD


def test_an_empty_body_is_an_empty_message(plain: Plain) -> None:
    assert plain.post("Health", b"").status in (200, 400)
    assert plain.post("GetRun", b"").fault in (GONE, BAD)


@pytest.mark.parametrize("field", ["id", "reason"])
def test_wrong_types(plain: Plain, field: str) -> None:
    texts: list[Any] = [5, True, [], {}]
    numbers: list[Any] = [{}, [], "many", True, 1e40]
    times: list[Any] = ["yesterday", "2026-01-02", 7, {}, "2026-13-02T03:04:05Z"]
    for value in texts:
        assert plain.post("CancelRun", {"id": "run_x", field: value}).fault == BAD, value
    for value in numbers:
        assert plain.post("ListRuns", {"limit": value}).fault == BAD, value
    for value in times:
        assert plain.post("ListRuns", {"since": value}).fault == BAD, value


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
def test_wrong_content_types(plain: Plain, kind: str) -> None:
    for path in ("/ironflow.v1.IronflowService/Emit", "/api/v1/workers/w/register"):
        answer = plain.send("POST", path, b"{}", headers={"Content-Type": kind})
        status, code = answer.fault
        assert status in (400, 415), answer
        assert code in ("invalid_argument", "unimplemented"), answer


def test_an_oversized_body_is_refused_and_the_server_goes_on(plain: Plain, name: str) -> None:
    register(plain, name)
    event = b'{"event":"%s.go","data":{"a":"%s"}}' % (name.encode(), b"x" * 40 * 1024 * 1024)
    status, code = plain.post("Emit", event).fault
    assert status in (413, 429)
    assert code in ("invalid_argument", "resource_exhausted")
    assert plain.call("ListRuns", {"functionId": name}) == {}
    large = {"a": "x" * 1024 * 1024}
    assert plain.run(plain.start(f"{name}.go", large))["input"] == large, "1 MiB is not too much"


def test_a_body_that_is_too_large_is_not_awaited_to_its_end(plain: Plain) -> None:
    address = urlsplit(plain.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port or 80, timeout=20)
    try:
        connection.putrequest("POST", "/ironflow.v1.IronflowService/Emit")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(10 * 1024**3))
        connection.endheaders(b"x" * 40 * 1024 * 1024)
        assert connection.getresponse().status in (413, 429)
    finally:
        connection.close()


@pytest.mark.parametrize(
    "path",
    [
        "IronflowService/NoSuchMethod",
        "NoSuchService/GetRun",
        "IronflowService/",
        "IronflowService/getRun",
        "IronflowService/GetRun/more",
    ],
)
def test_unknown_procedures_read_as_unimplemented(plain: Plain, path: str) -> None:
    """A client takes a bare 404 for it, or a Connect error that says so (rpc.md section 3)."""
    answer = plain.post(path if "/" in path else f"IronflowService/{path}", {})
    if answer.status == 404:
        assert b'"code"' not in answer.body, answer
    else:
        assert answer.fault == (501, "unimplemented")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/no/such/route"),
        ("GET", "/nothing"),
        ("GET", "/api/v1/workers/w/register"),
        ("DELETE", "/api/v1/workers/w/heartbeat"),
        ("GET", "/api/v1/workers/"),
        ("POST", "/health"),
        ("GET", "/api/v1/workers/w/jobs/j/ack"),
    ],
)
def test_unknown_routes(plain: Plain, method: str, path: str) -> None:
    status, code = plain.send(method, path, headers={"Content-Type": "application/json"}).fault
    assert status in (404, 405, 501)
    assert code in ("not_found", "unimplemented", "invalid_argument")


def test_procedures_are_called_with_post(plain: Plain) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = plain.send(method, "/ironflow.v1.IronflowService/CancelRun")
        assert 400 <= answer.status < 502, answer
        assert answer.fault[1] in ("invalid_argument", "unimplemented", "not_found")


def test_an_unknown_environment_is_refused(plain: Plain) -> None:
    for header in ("X-Ironflow-Environment-ID", "X-Ironflow-Environment"):
        answer = plain.post("ListRuns", {}, headers={header: "env_nowhere"})
        assert answer.fault[0] in (400, 401, 403, 404), answer
        assert plain.post("ListRuns", {}, headers={header: "default"}).status == 200


def test_listing_arguments_that_are_wrong(plain: Plain) -> None:
    for body in ({"cursor": "nonsense!"}, {"cursor": "\u2603"}, {"limit": -1}):
        assert plain.post("ListRuns", body).fault == BAD, body
    assert plain.post("ListFunctions", {"limit": -1}).fault == BAD
