"""The REST routes: paths, queries and the answers that need more than decoding."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ironflow_lab.errors import ApiError, InternalError, NotFoundError, UnavailableError
from ironflow_lab.models.server import Health
from ironflow_lab.models.workers import Fence, HeartbeatRequest, JobUpdate, RegisterRequest
from ironflow_lab.wire import rest
from ironflow_lab.wire.message import Request, Response

JOB: dict[str, Any] = {
    "job_id": "run_1.3",
    "run_id": "run_1",
    "function_id": "f",
    "attempt": 1,
    "event": {"id": "e", "name": "a.b", "data": 1, "timestamp": "2026-01-02T03:04:05Z"},
    "completed_steps": [],
    "execution_seq": 3,
    "lease_token": "lt",
}


def answer(body: Any, status: int = 200, **headers: str) -> Response:
    """Return an answer; header names are written with underscores."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status=status, headers=named, body=raw)


@pytest.mark.parametrize(
    ("request_", "method", "path"),
    [
        (rest.register("w", RegisterRequest()), "POST", "/api/v1/workers/w/register"),
        (rest.heartbeat("w", HeartbeatRequest()), "POST", "/api/v1/workers/w/heartbeat"),
        (rest.poll("w", available=1, wait=5), "GET", "/api/v1/workers/w/jobs"),
        (rest.ack("w", "j", Fence()), "PUT", "/api/v1/workers/w/jobs/j/ack"),
        (rest.update("w", "j", JobUpdate(status="progress")), "PUT", "/api/v1/workers/w/jobs/j"),
        (rest.lease("w", "i"), "GET", "/lab/v1/workers/w/lease"),
        (rest.update("a/b", "c?d#e", JobUpdate(status="x")), "PUT", "/api/v1/workers/a%2Fb/jobs/c%3Fd%23e"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_worker_routes_are_never_repeated(request_: Request, method: str, path: str) -> None:
    assert (request_.method, request_.path) == (method, path)
    assert not request_.repeatable


@pytest.mark.parametrize(("wait", "query", "held"), [(0, None, 0.0), (5, "5", 5.0), (60, "25", 25.0)])
def test_a_poll_is_held_no_longer_than_servers_do(wait: int, query: str | None, held: float) -> None:
    request = rest.poll("w", available=3, wait=wait)
    assert dict(request.query) == {"available": "3"} | ({"wait": query} if query else {})
    assert request.wait == held


def test_waiting_for_runs() -> None:
    request = rest.wait_for_runs(rest.RunsWaitRequest(run_ids=("r",), timeout_ms=1_500))
    assert (request.path, request.repeatable, request.wait) == ("/lab/v1/runs/wait", True, 1.5)
    assert request.body == b'{"run_ids":["r"],"timeout_ms":1500}'


def test_a_plain_read() -> None:
    request = rest.get("/health")
    assert (request.method, request.path, request.repeatable) == ("GET", "/health", True)
    assert rest.read(answer({"status": "ok"}), Health).status == "ok"
    with pytest.raises(NotFoundError):
        rest.read(answer(b"", 404), Health)
    with pytest.raises(InternalError):
        rest.read(answer(b"<html>"), Health)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_yes_is_yes_whatever_it_says(status: int) -> None:
    rest.accepted(answer(b"fine", status))


@pytest.mark.parametrize("status", [300, 400, 409, 500])
def test_no_is_an_error(status: int) -> None:
    with pytest.raises(ApiError):
        rest.accepted(answer(b"", status))


def test_a_poll_with_jobs() -> None:
    poll = rest.read_poll(answer({"jobs": [JOB, JOB]}))
    assert ([job.job_id for job in poll.jobs], poll.held, poll.unreadable) == (["run_1.3"] * 2, False, 0)


@pytest.mark.parametrize(
    ("response", "held"),
    [
        (answer(b"", 204, ironflow_poll_wait="20"), True),
        (answer(b"", 204, ironflow_poll_wait="0"), False),
        (answer(b"", 204, ironflow_poll_wait="soon"), False),
        (answer(b"", 204), False),
        (answer(b"", 200), False),
        (answer({"jobs": []}), False),
    ],
)
def test_a_poll_without(response: Response, held: bool) -> None:
    poll = rest.read_poll(response)
    assert (poll.jobs, poll.held, poll.unreadable) == ((), held, 0)


def test_one_bare_job_of_an_old_server() -> None:
    assert [job.run_id for job in rest.read_poll(answer(JOB)).jobs] == ["run_1"]


@pytest.mark.parametrize("missing", list(JOB))
def test_a_job_that_lacks_something_is_dropped_alone(missing: str) -> None:
    lacking = {key: value for key, value in JOB.items() if key != missing}
    poll = rest.read_poll(answer({"jobs": [lacking, JOB, {**JOB, "attempt": "x"}]}))
    assert ([job.job_id for job in poll.jobs], poll.unreadable) == (["run_1.3"], 2)


@pytest.mark.parametrize("body", [b"[]", b"<html>", b'{"jobs":7}'])
def test_a_poll_that_is_no_answer(body: bytes) -> None:
    with pytest.raises(InternalError):
        rest.read_poll(answer(body))


def test_a_poll_of_an_unknown_worker() -> None:
    with pytest.raises(NotFoundError):
        rest.read_poll(answer({"error": "unknown worker"}, 404))


def test_readiness() -> None:
    assert rest.read_ready(answer({"status": "ready"})).status == "ready"
    assert rest.read_ready(answer({"status": "starting", "issues": {"a": "b"}}, 503)).issues == {"a": "b"}
    with pytest.raises(UnavailableError, match="gone"):
        rest.read_ready(answer({"code": "unavailable", "message": "gone"}, 503))
    with pytest.raises(InternalError):
        rest.read_ready(answer(b"<html>", 200))


def test_a_line_of_the_lease() -> None:
    assert rest.read_line(b'{"type":"held","later":1}').type == "held"
    line = rest.read_line(b'{"type":"cancel","run_id":"r","job_id":"j"}')
    assert (line.run_id, line.job_id) == ("r", "j")
    for wrong in (b"", b"[]", b"{}"):
        with pytest.raises(InternalError):
            rest.read_line(wrong)


def test_why_is_asked_by_a_path_that_a_run_s_id_cannot_change() -> None:
    request = rest.why("run_1/../x")
    assert (request.method, request.path) == ("GET", "/lab/v1/runs/run_1%2F..%2Fx/why")
    assert request.repeatable
