"""The real server, killed at random moments under load: what it acknowledged is there, and nothing is half there."""

from __future__ import annotations

import http.client
import itertools
import json
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.plain import JSON, RPC, Plain, payload, until
from tests.conformance.processes import Server

STEPS = ("validate", "charge", "receipt")
FUNCTIONS = ("first", "second")
RECORDED = "first"
FUTURE = "2200-01-01T00:00:00Z"
WORKER = "driver"
# What a client sees of a server that dies.
LOST = (ConnectionError, http.client.HTTPException, TimeoutError)


@dataclass
class Seen:
    """What the server has said to its clients, and what it was asked without an answer."""

    emitted: dict[str, list[str]] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    checkpointed: set[str] = field(default_factory=set)
    reported: set[str] = field(default_factory=set)

    @property
    def runs(self) -> list[str]:
        return [run_id for runs in self.emitted.values() for run_id in runs]


class Line:
    """One keep-alive connection, as a client that sends request after request holds it."""

    def __init__(self, server: Server) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        encoded = None if body is None else json.dumps(body).encode()
        self._http.request(method, path, encoded, JSON if encoded else {})
        answer = self._http.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None

    def close(self) -> None:
        self._http.close()


class Load:
    """Clients that emit and a worker that works, until the server is gone."""

    def __init__(self, server: Server, seen: Seen, keys: itertools.count[int]) -> None:
        self.server, self.seen, self.keys = server, seen, keys
        self.busy = threading.Semaphore(0)
        self.faults: list[BaseException] = []
        roles = (self.emits, self.emits, self.works, self.works)
        self.threads = [threading.Thread(target=self.until_lost, args=(role,)) for role in roles]

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive(), "a client still waits for a server that is gone"
        assert not self.faults, self.faults

    def until_lost(self, role: Callable[[Line], None]) -> None:
        line = Line(self.server)
        try:
            while True:
                role(line)
                self.busy.release()
        except LOST:
            return
        except BaseException as fault:  # noqa: BLE001 - kept for the test's own thread
            self.faults.append(fault)
        finally:
            line.close()

    def emits(self, line: Line) -> None:
        key = f"key-{next(self.keys)}"
        self.seen.asked.add(key)
        status, answer = line("POST", f"{RPC}IronflowService/Emit", event_of(key))
        assert status == 200, answer
        self.seen.emitted[key] = answer["runIds"]

    def works(self, line: Line) -> None:
        status, answer = line("GET", f"/api/v1/workers/{WORKER}/jobs?available=3&wait=5")
        assert status in (200, 204), answer
        for job in answer["jobs"] if answer else []:
            self.seen.jobs[job["run_id"]] = job
            self.work(line, job)

    def work(self, line: Line, job: dict[str, Any]) -> None:
        path, fence = path_of(job), fence_of(job)
        status, _ = line("PUT", f"{path}/ack", fence)
        assert status == 200
        status, _ = line("PUT", path, {"status": "progress", "steps": steps_of(job)[:1], **fence})
        assert status == 200
        self.seen.checkpointed.add(job["run_id"])
        status, _ = line("PUT", path, report_of(job, after=1))
        assert status == 200
        self.seen.reported.add(job["run_id"])


def event_of(key: str) -> dict[str, Any]:
    return {"event": "order.placed", "data": {"key": key}, "idempotencyKey": key}


def path_of(job: dict[str, Any]) -> str:
    return f"/api/v1/workers/{WORKER}/jobs/{job['job_id']}"


def fence_of(job: dict[str, Any]) -> dict[str, Any]:
    return {name: job[name] for name in ("run_id", "execution_seq", "lease_token")}


def steps_of(job: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"id": f"{job['run_id']}:{name}:0", "name": name, "type": "invoke", "status": "completed", "output": name}
        for name in STEPS
    ]


def report_of(job: dict[str, Any], *, after: int = 0) -> dict[str, Any]:
    """Return the end of the job, with the steps that no checkpoint has sent."""
    output = {"key": job["event"]["data"]["key"]}
    steps = steps_of(job)[after:]
    return {"status": "completed", "output": output, "steps": steps, "step_offset": after, **fence_of(job)}


def prepare(plain: Plain) -> None:
    for name in FUNCTIONS:
        recorded = {"recording": name == RECORDED}
        plain.call("RegisterFunction", {"id": name, "triggers": [{"event": "order.placed"}], **recorded})
    register(plain)


def register(plain: Plain) -> None:
    body = {"worker_id": WORKER, "function_ids": list(FUNCTIONS), "max_concurrent_jobs": 10}
    assert plain.rest("POST", f"/api/v1/workers/{WORKER}/register", body).status == 200


def check_events(plain: Plain, seen: Seen) -> None:
    """Every event has all its runs, whether its emit was answered or not; asked again it gives the same."""
    for key in seen.asked:
        answer = plain.call("Emit", event_of(key))
        assert len(answer["runIds"]) == len(FUNCTIONS), f"half an event: {answer}"
        assert seen.emitted.setdefault(key, answer["runIds"]) == answer["runIds"], "acknowledged runs have changed"
        listed = plain.call("ListRuns", {"eventId": answer["eventId"]})["runs"]
        assert sorted(run["id"] for run in listed) == sorted(answer["runIds"])
    total = plain.call("ListRuns", {"limit": 1}).get("totalCount", 0)
    assert total == len(FUNCTIONS) * len(seen.asked), "a run without its event, or one too many"


def check_reports(plain: Plain, seen: Seen) -> None:
    """A report is there whole, or not at all; what was acknowledged is there."""
    for run_id in seen.runs:
        run = plain.run(run_id)
        names = [step["stepId"].split(":")[1] for step in plain.steps(run_id)]
        if run["status"] == "RUN_STATUS_COMPLETED":
            assert names == list(STEPS)
            assert payload(run, "output") == payload(run, "input")
            seen.reported.add(run_id)
        else:
            assert run_id not in seen.reported, f"an acknowledged report is gone: {run}"
            assert names in ([], list(STEPS[:1])), f"half a report: {names}"
            assert names or run_id not in seen.checkpointed, "an acknowledged checkpoint is gone"


def check_trails(plain: Plain, seen: Seen) -> None:
    """What the audit trail tells of a recorded run is what its rows say; of any other it tells nothing."""
    for run_id in seen.runs:
        run, steps = plain.run(run_id), plain.steps(run_id)
        events = plain.call("AuditService/GetAuditTrail", {"runId": run_id, "limit": 1000}).get("events", [])
        if run["functionId"] != RECORDED:
            assert events == []
            continue
        times = [nanoseconds(event["createdAt"]) for event in events]
        assert times == sorted(set(times)), f"audit events out of order: {events}"
        assert times[0] == nanoseconds(run["createdAt"])
        moves = [event["payload"] for event in events if event["eventType"] == "run.status_changed"]
        told = moves[-1]["newStatus"] if moves else "waiting_for_capacity"
        assert f"RUN_STATUS_{told.upper()}" == run["status"], f"a row without its event, or the reverse: {events}"
        assert [move["reason"] for move in moves].count("claimed") == run.get("version", 0)
        ended = [event["stepId"] for event in events if event["eventType"] == "step.completed"]
        assert ended == [step["stepId"] for step in steps], f"a step without its event, or the reverse: {events}"
        state = plain.call("TimeTravelService/GetRunStateAt", {"runId": run_id, "timestamp": FUTURE})["snapshot"]
        assert [step["stepId"] for step in state.get("steps", [])] == ended


def nanoseconds(text: str) -> int:
    """Return an RFC 3339 time in UTC as a number that sorts as the times do."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    digits = "".join(character for character in whole if character.isdigit())
    return int(digits) * 10**9 + int((fraction or "0").ljust(9, "0"))


def check_fences(plain: Plain, seen: Seen) -> None:
    """The jobs handed out before the kill: those in hand can still be reported once, the others not."""
    for run_id, job in seen.jobs.items():
        running = plain.run(run_id)["status"] == "RUN_STATUS_RUNNING"
        first = plain.rest("PUT", path_of(job), report_of(job))
        assert first.status == (200 if running else 409), first
        again = plain.rest("PUT", path_of(job), report_of(job))
        assert (again.status, again.json["error"]) == (409, "STALE_EXECUTION")
        if running:
            seen.reported.add(run_id)


def finish(plain: Plain, seen: Seen) -> None:
    """A worker that comes anew gets whatever is left, and nothing that has ended."""
    register(plain)
    while (answer := plain.rest("GET", f"/api/v1/workers/{WORKER}/jobs?available=10")).status == 200:
        for job in answer.json["jobs"]:
            assert job["run_id"] not in seen.reported, "an ended run was handed out again"
            assert plain.rest("PUT", path_of(job), report_of(job)).status == 200
            seen.reported.add(job["run_id"])
    assert sorted(seen.reported) == sorted(seen.runs)


def survive(folder: Path, seed: int, kills: int) -> None:
    rng = random.Random(seed)
    seen, keys = Seen(), itertools.count(1)
    server = Server(folder).start()
    try:
        prepare(server.plain)
        for _ in range(kills):
            with Load(server, seen, keys) as load:
                # A number of finished calls, not of seconds: the moment is deep inside the work on any machine.
                for _ in range(rng.randrange(5, 40)):
                    assert load.busy.acquire(timeout=30)
                server.kill()
            server.start()
            check_events(server.plain, seen)
            check_reports(server.plain, seen)
            check_trails(server.plain, seen)
            check_fences(server.plain, seen)
            seen.jobs.clear()
            register(server.plain)
        finish(server.plain, seen)
        check_reports(server.plain, seen)
        check_trails(server.plain, seen)
        assert server.stop() == 0
    finally:
        server.kill()


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_acknowledged_is_lost_and_nothing_is_half_there(tmp_path: Path, seed: int) -> None:
    survive(tmp_path, seed, kills=3)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 120))
def test_it_survives_many_kills(tmp_path: Path, seed: int) -> None:
    survive(tmp_path, seed, kills=10)


class TestEnding:
    """SIGTERM: everybody who waits is answered, and nobody has to be cut off."""

    def test_held_calls_end_at_once_and_in_order(self, tmp_path: Path) -> None:
        with Server(tmp_path) as server:
            prepare(server.plain)
            (busy, *_) = server.plain.emit("order.placed", {"key": "k"})["runIds"]
            (job,) = server.plain.rest("GET", f"/api/v1/workers/{WORKER}/jobs?available=1").json["jobs"]
            for name in ("idle", "other"):
                body = {"function_ids": ["none"], "instance_id": "one"}
                assert server.plain.rest("POST", f"/api/v1/workers/{name}/register", body).status == 200
            held = {
                "poll": Held(server, "GET", "/api/v1/workers/idle/jobs?available=1&wait=20"),
                "lease": Held(server, "GET", "/lab/v1/workers/idle/lease?instance=one"),
                "sync": Held(server, "POST", f"{RPC}IronflowService/TriggerSync", {"event": "order.placed"}),
                "wait": Held(server, "POST", "/lab/v1/runs/wait", {"run_ids": [busy], "timeout_ms": 30_000}),
                "idle": Held(server, "GET", "/health"),
            }
            until(lambda: server.plain.call("ListRuns", {})["totalCount"] == 4, "TriggerSync to have emitted")
            assert server.stop() == 0
            answers = {name: one.answer() for name, one in held.items()}
        assert answers["poll"] == (204, b"")
        assert answers["lease"] == (200, b'{"type":"held"}\n')
        status, told = answers["sync"]
        results = json.loads(told)["results"]
        assert (status, [result["waitTimedOut"] for result in results]) == (200, [True, True])
        assert json.loads(answers["wait"][1]) == {"ended": [], "unknown": []}
        assert "Cancel" not in server.story()
        assert "Traceback" not in server.story()
        assert job["run_id"]

    def test_a_request_that_never_becomes_whole_does_not_keep_it(self, tmp_path: Path) -> None:
        with Server(tmp_path) as server:
            half = Held(server, "POST", f"{RPC}IronflowService/Emit")
            half.send_only(b"POST /ironflow.v1.IronflowService/Emit HTTP/1.1\r\nhost: localhost\r\n")
            other = Held(server, "POST", f"{RPC}IronflowService/Emit")
            head = b"host: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"
            other.send_only(b"POST /ironflow.v1.IronflowService/Emit HTTP/1.1\r\n" + head)
            assert server.stop() == 0
            half.close()
            other.close()

    def test_a_clean_restart_queues_nothing_again(self, tmp_path: Path) -> None:
        server = Server(tmp_path).start()
        try:
            prepare(server.plain)
            server.plain.emit("order.placed", {"key": "k"})
            jobs = server.plain.rest("GET", f"/api/v1/workers/{WORKER}/jobs?available=2").json["jobs"]
            assert server.stop() == 0
            server.start()
            assert server.plain.rest("GET", f"/api/v1/workers/{WORKER}/jobs?available=2").status == 204
            for job in jobs:
                assert server.plain.run(job["run_id"])["status"] == "RUN_STATUS_RUNNING"
                assert server.plain.rest("PUT", f"{path_of(job)}/ack", fence_of(job)).status == 200
                assert server.plain.rest("PUT", path_of(job), report_of(job)).status == 200
            assert server.stop() == 0
        finally:
            server.kill()


class Held:
    """A call whose answer is read later."""

    def __init__(self, server: Server, method: str, path: str, body: Any = None) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        encoded = None if body is None else json.dumps(body).encode()
        self._http.connect()
        if method == "GET" or encoded is not None:
            self._http.request(method, path, encoded, JSON if encoded else {})

    def send_only(self, raw: bytes) -> None:
        """Send these bytes and nothing more."""
        self._http.sock.sendall(raw)

    def answer(self) -> tuple[int, bytes]:
        with self._http.getresponse() as answer:
            found = answer.status, answer.read()
        self.close()
        return found

    def close(self) -> None:
        self._http.close()
