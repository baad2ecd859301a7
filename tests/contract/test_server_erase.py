"""Deletion and redaction while others look: caches forget, followers hear, and nothing is left on the way."""

from __future__ import annotations

import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ironflow_lab.testing import LocalServer
from tests.conformance.plain import Answer, Plain
from tests.contract.engine_room import connected
from tests.contract.jobs import WORKERS, job_path, register, report, works

STATE, TRAIL = "TimeTravelService/GetRunStateAt", "AuditService/GetAuditTrail"
FUTURE = "2200-01-01T00:00:00Z"
SECRET = "4111-1111"


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        plain = Plain(server.url)
        plain.call("RegisterFunction", {"id": "seen", "triggers": [{"event": "seen"}], "recording": True})
        register(plain, "w", "seen")
        yield server


@pytest.fixture
def plain(server: LocalServer) -> Iterator[Plain]:
    """The server; afterwards it still does what it is for."""
    plain = Plain(server.url)
    yield plain
    works(plain)


@pytest.fixture
def run_id(plain: Plain) -> str:
    """A recorded run that failed and was looked at, so that its past is remembered."""
    run_id = plain.start("seen", {"card": SECRET})
    (job,) = plain.rest("GET", f"{WORKERS}w/jobs?available=1").json["jobs"]
    steps = [{"id": f"{run_id}:a:0", "name": "a", "status": "completed", "output": {"card": SECRET}}]
    message = report(job, status="failed", steps=steps, error={"message": "no", "retryable": False})
    assert plain.rest("PUT", job_path("w", job), message).status == 200
    assert then(plain, run_id).count(SECRET) == 2
    return run_id


def follow(plain: Plain, run_id: str, cursor: str = "", wait: int = 20) -> Answer:
    return plain.send("GET", f"/lab/v1/runs/{run_id}/audit?cursor={cursor}&wait={wait}")


def then(plain: Plain, run_id: str) -> str:
    """Return the payloads of the run as its past tells them now, as one text."""
    snapshot = plain.call(STATE, {"runId": run_id, "timestamp": FUTURE})["snapshot"]
    (step,) = snapshot["steps"]
    return b64decode(snapshot["input"]).decode() + b64decode(step["output"]).decode()


class Follower(threading.Thread):
    """Asks for a run's next audit events and keeps the answer."""

    def __init__(self, plain: Plain, run_id: str, cursor: str) -> None:
        super().__init__()
        self._asked = (plain, run_id, cursor)
        self.answer: Answer | None = None
        self.start()

    def run(self) -> None:
        self.answer = follow(*self._asked)

    def told(self) -> Answer:
        self.join(30)
        assert self.answer is not None, "the follower was never answered"
        return self.answer


def test_the_past_of_a_deleted_run_is_not_remembered(plain: Plain, run_id: str) -> None:
    plain.call("DeleteRun", {"id": run_id})
    assert plain.post(STATE, {"runId": run_id, "timestamp": FUTURE}).fault == (404, "not_found")
    assert follow(plain, run_id).fault == (404, "not_found")


def test_the_past_of_a_redacted_run_is_read_anew(plain: Plain, run_id: str) -> None:
    plain.call("RedactRun", {"runId": run_id})
    assert SECRET not in then(plain, run_id)
    page = follow(plain, run_id)
    assert SECRET.encode() not in page.body
    assert page.json["events"][-1]["eventType"] == "run.redacted"
    assert page.json["ended"] is True


def going_on(plain: Plain) -> tuple[str, str]:
    """Return a run that goes on, and the cursor behind all that happened to it."""
    run_id = plain.start("seen", {})
    page = follow(plain, run_id).json
    return run_id, page["nextCursor"]


@pytest.mark.parametrize("ending", ["cancelled", "deleted"])
def test_a_connected_follower_hears_of_the_end_and_of_the_deletion(plain: Plain, ending: str) -> None:
    run_id, cursor = going_on(plain)
    follower = Follower(plain, run_id, cursor)
    plain.cancel(run_id)
    heard = follower.told().json
    assert [event["payload"]["newStatus"] for event in heard["events"]] == ["cancelled"]
    if ending == "deleted":
        plain.call("DeleteRun", {"id": run_id})
        assert follow(plain, run_id, heard["nextCursor"]).fault == (404, "not_found")


def test_waiting_for_a_deleted_run_ends_at_once(plain: Plain, run_id: str) -> None:
    plain.call("DeleteRun", {"id": run_id})
    answer = plain.rest("POST", "/lab/v1/runs/wait", {"run_ids": [run_id], "timeout_ms": 20_000})
    assert answer.json == {"ended": [], "unknown": [run_id]}


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    results: list[Any] = [None] * len(calls)
    gate = threading.Barrier(len(calls))

    def run(number: int) -> None:
        gate.wait(10)
        results[number] = calls[number]()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


def test_of_two_who_act_at_once_each_gets_an_answer_that_fits(plain: Plain, run_id: str) -> None:
    delete, resume = at_once(
        lambda: plain.post("DeleteRun", {"id": run_id}), lambda: plain.post("ResumeRun", {"runId": run_id})
    )
    if delete.status == 200:
        assert resume.fault == (404, "not_found")
        assert plain.post("GetRun", {"id": run_id}).status == 404
    else:
        assert (delete.fault, resume.status) == ((400, "failed_precondition"), 200)
        plain.cancel(run_id)


def test_redacting_and_reading_at_once_never_brings_the_payload_back(plain: Plain, run_id: str) -> None:
    reads = [lambda: plain.post(STATE, {"runId": run_id, "timestamp": FUTURE}) for _ in range(6)]
    at_once(lambda: plain.call("RedactRun", {"runId": run_id}), *reads)
    assert SECRET not in then(plain, run_id)


def test_nothing_of_a_deleted_run_is_left_in_the_store(server: LocalServer, plain: Plain, run_id: str) -> None:
    plain.call("DeleteRun", {"id": run_id})
    with connected(server.data_dir) as db:
        tables = {"runs": "id", "steps": "run_id", "audit": "run_id", "timers": "run_id"}
        left = {
            table: db.execute(f"SELECT count(*) FROM {table} WHERE {column} = ?", (run_id,)).fetchone()
            for table, column in tables.items()
        }
    assert set(left.values()) == {(0,)}


def test_nothing_of_a_redacted_payload_is_left_in_its_rows(server: LocalServer, plain: Plain, run_id: str) -> None:
    plain.call("RedactRun", {"runId": run_id})
    with connected(server.data_dir) as db:
        held = [
            bytes(value)
            for sql in (
                "SELECT input, output, error FROM runs WHERE id = ?",
                "SELECT input, output, original_output FROM steps WHERE run_id = ?",
                "SELECT payload FROM audit WHERE run_id = ?",
            )
            for row in db.execute(sql, (run_id,))
            for value in row
            if value is not None
        ]
    assert held
    assert not [value for value in held if SECRET.encode() in value]


def test_why_says_what_a_run_waits_for(plain: Plain) -> None:
    run_id = plain.start("seen", {})
    found = plain.rest("GET", f"/lab/v1/runs/{run_id}/why").json
    assert (found["run_id"], found["status"], found["function_id"]) == (run_id, "waiting_for_capacity", "seen")
    assert found["message"]
    plain.call("PauseRun", {"runId": run_id})
    assert plain.rest("GET", f"/lab/v1/runs/{run_id}/why").json["reason"] == "paused"
    plain.cancel(run_id)
    assert plain.rest("GET", f"/lab/v1/runs/{run_id}/why").json["reason"] == "ended"
    assert plain.rest("GET", "/lab/v1/runs/run_none/why").fault == (404, "not_found")
    assert "runs/why" in plain.rest("GET", "/api/v1/capabilities").json["lab"]


@pytest.mark.parametrize("status", ["RUN_STATUS_BOGUS", "bogus"])
def test_an_unknown_status_does_not_widen_what_is_deleted(plain: Plain, run_id: str, status: str) -> None:
    answer = plain.post("DeleteRuns", {"functionId": "seen", "status": status})
    assert answer.fault == (400, "invalid_argument")
    assert plain.run(run_id)["id"] == run_id
