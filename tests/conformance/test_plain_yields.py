"""Yields of a plain worker, field by field, and what the next segment is told (worker.md 3.4, 3.7 and 4)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from tests.conformance.conftest import register
from tests.conformance.plain import Plain, instant, payload, until
from tests.conformance.plain_worker import Job, PlainWorker, is_stale

ASSIGNED = {
    "job_id",
    "run_id",
    "function_id",
    "attempt",
    "max_attempts",
    "on_exhausted",
    "event",
    "completed_steps",
    "step_sequence_base",
    "execution_seq",
    "lease_token",
    "lease_expires_at",
    "actor_id",
}
WEEK_MS = 7 * 24 * 3600 * 1000
MILLISECOND = 1_000_000


def yields(worker: PlainWorker, job: Job, name: str, kind: str, *steps: Any, **fields: Any) -> str:
    """Report a yield that must be accepted and return its step's id."""
    step_id = f"{job.run_id}:{name}:0"
    worker.done(job, "yielded", *steps, **{"yield": {"step_id": step_id, "type": kind, **fields}})
    return step_id


def row_of(plain: Plain, step_id: str) -> dict[str, Any]:
    run_id, _, _ = step_id.partition(":")
    (found,) = [row for row in plain.steps(run_id) if row["stepId"] == step_id]
    return found


@pytest.fixture
def child(plain: Plain, name: str) -> PlainWorker:
    """A worker for the function `{name}-child`, which has no trigger."""
    plain.call("RegisterFunction", {"id": f"{name}-child"})
    return PlainWorker(plain, f"{name}-child-worker", (f"{name}-child",)).register()


# ---- what every assignment looks like


def checked(job: Job) -> list[dict[str, Any]]:
    """Check an assignment's spelling (rulings.md 2) and return its completed steps."""
    assert job.raw.keys() <= ASSIGNED, "snake_case, and nothing else"
    assert [key for key, value in job.raw.items() if value is None] == [], "omitted, never null"
    assert [key for key, value in job.raw["event"].items() if value is None and key not in ("data", "metadata")] == []
    steps: list[dict[str, Any]] = job.raw["completed_steps"]
    for step in steps:
        assert step.keys() >= {"step_id", "name", "output"}
        assert step.keys() <= {"step_id", "name", "output", "status", "error"}
        assert ("error" in step) == (step.get("status") == "failed")
        assert step.get("status", "completed") in ("completed", "failed")
        assert [key for key, value in step.items() if value is None and key != "output"] == []
    assert job.base == len(steps), "no other records were stored here"
    return steps


def test_the_assignment_after_each_yield(plain: Plain, worker: PlainWorker, child: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    assert checked(job) == []
    yields(worker, job, "nap", "sleep", job.step("a", None), until="2001-01-01T00:00:00Z")

    job = worker.take(run_id)
    assert [step["name"] for step in checked(job)] == ["a", "nap"]
    appr = yields(worker, job, r"b\:c", "wait_for_event", event_filter={"event": f"{name}.ok", "timeout": "1h"})
    event = plain.emit(f"{name}.ok", [1])

    job = worker.take(run_id)
    woken = checked(job)[2]
    assert (woken["step_id"], woken["name"]) == (appr, "b:c")
    assert woken["output"].items() >= {"id": event["eventId"], "name": f"{name}.ok", "data": [1], "version": 1}.items()
    assert {"timestamp", "source"} <= woken["output"].keys()
    assert None not in woken["output"].values()
    yields(worker, job, f"{name}-child", "invoke_function", function_id=f"{name}-child", input=5)
    inner = child.take()
    assert checked(inner) == []
    assert inner.raw["event"]["data"] == 5
    child.done(inner, "completed", output=[5])

    job = worker.take(run_id)
    assert checked(job)[3]["output"] == [5]
    yields(worker, job, "again", "invoke_function", function_id=f"{name}-child")
    inner = child.take()
    assert inner.raw["event"]["data"] is None
    child.fail(inner, retryable=False, message="no money")

    job = worker.take(run_id)
    failed = checked(job)[4]
    assert (failed["status"], failed["output"]) == ("failed", None)
    assert failed["error"].keys() == {"message", "function_id", "child_run_id", "cause"}
    assert failed["error"].items() >= {"function_id": f"{name}-child", "child_run_id": inner.run_id}.items()
    assert "no money" in failed["error"]["message"]
    assert failed["error"]["cause"] == "no money"
    yields(worker, job, "async", "invoke_function_async", job.step("d"), function_id=f"{name}-child", input={})

    job = worker.take(run_id)
    assert checked(job)[6]["output"] == {"run_id": child.take().run_id}
    assert (job.attempt, job.base) == (1, 7)
    worker.done(job, "completed", job.step("e"), output=None)
    assert [row.get("sequence", 0) for row in plain.steps(run_id)] == list(range(8))


# ---- what a yield may leave out


def test_a_wait_with_nothing_but_the_event(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    step_id = yields(worker, worker.take(run_id), "appr", "wait_for_event", event_filter={"event": f"{name}.ok"})
    row = row_of(plain, step_id)
    assert (row["stepType"], row["status"]) == ("STEP_TYPE_WAIT_FOR_EVENT", "STEP_STATUS_WAITING")
    assert instant(row["waitTimeout"]) - instant(row["startedAt"]) == WEEK_MS * MILLISECOND, "seven days"
    assert "input" not in row.keys() | {"inputValue"} & row.keys()
    plain.emit(f"{name}.ok", {})
    worker.done(worker.take(run_id), "completed", output=1)


@pytest.mark.parametrize("timeout", ["500ms", "1.5h", "90m", "1h30m", "2w", "", None])
def test_how_long_a_wait_may_be(plain: Plain, worker: PlainWorker, name: str, timeout: str | None) -> None:
    run_id = plain.start(f"{name}.go", {})
    wanted = {"event": f"{name}.ok", "timeout": timeout}
    answer = yields(worker, worker.take(run_id), "appr", "wait_for_event", event_filter=wanted)
    hour = 3600 * 1000
    lengths = {"500ms": 500, "1.5h": 1.5 * hour, "90m": 1.5 * hour, "1h30m": 1.5 * hour, "2w": 2 * WEEK_MS}
    row = row_of(plain, answer)
    length = instant(row["waitTimeout"]) - instant(row["startedAt"])
    assert length == lengths.get(timeout or "", WEEK_MS) * MILLISECOND
    plain.post("CancelRun", {"id": run_id})


def test_an_invoke_with_nothing_but_the_function(
    plain: Plain, worker: PlainWorker, child: PlainWorker, name: str
) -> None:
    run_id = plain.start(f"{name}.go", {})
    step_id = yields(worker, worker.take(run_id), "call", "invoke_function", function_id=f"{name}-child")
    row = row_of(plain, step_id)
    assert (row["stepType"], row["status"]) == ("STEP_TYPE_INVOKE_FUNCTION", "STEP_STATUS_WAITING")
    due = instant(plain.rest("GET", f"/lab/v1/runs/{run_id}/why").json["due_at"])
    assert due - instant(row["startedAt"]) == 30_000 * MILLISECOND, "thirty seconds"
    inner = child.take()
    assert inner.run_id == row["childRunId"]
    child.done(inner, "completed", output=None)
    again = worker.take(run_id)
    assert again.memo == {step_id: None}
    worker.done(again, "completed", output=1)


def test_a_step_name_of_the_yields_own(plain: Plain, name: str) -> None:
    worker = register(plain, name, recording=True)
    run_id = plain.start(f"{name}.go", {})
    yields(worker, worker.take(run_id), "nap", "sleep", until="2001-01-01T00:00:00Z", step_name="a nap")
    again = worker.take(run_id)
    assert [step["name"] for step in again.raw["completed_steps"]] == ["a nap"]
    worker.done(again, "completed", output=1)


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "sleep"},
        {"type": "wait_for_event"},
        {"type": "wait_for_event", "event_filter": {}},
        {"type": "wait_for_event", "event_filter": {"event": ""}},
        {"type": "wait_for_event", "event_filter": {"event": "  "}},
        {"type": "wait_for_event", "event_filter": "order.placed"},
        {"type": "wait_for_event", "event_filter": {"event": "a", "timeout": "soon"}},
        {"type": "wait_for_event", "event_filter": {"event": "a..b"}},
        {"type": "wait_for_event", "event_filter": {"event": "order.*"}},
    ],
    ids=str,
)
def test_a_yield_that_cannot_be_carried_out_fails_the_run(
    plain: Plain, worker: PlainWorker, name: str, fields: dict[str, Any]
) -> None:
    """Refused, it would come back after every lapse of the lease; what was done before it is kept."""
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    yields(worker, job, "odd", fields.pop("type"), job.step("a", 1), **fields)
    run = plain.run(run_id)
    assert (run["status"], run["attempt"], run["error"]["code"]) == ("RUN_STATUS_FAILED", 1, "INVALID_YIELD")
    assert "retryable" not in run["error"]
    assert [row["stepId"] for row in plain.steps(run_id)] == [f"{run_id}:a:0"]


def test_a_yield_of_an_unknown_type_fails_the_run(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    yields(worker, job, "odd", "wait_for_signal", job.step("a", 1))
    run = plain.run(run_id)
    assert (run["status"], run["error"]["code"]) == ("RUN_STATUS_FAILED", "UNSUPPORTED")
    assert "wait_for_signal" in run["error"]["message"]
    assert [row["stepId"] for row in plain.steps(run_id)] == [f"{run_id}:a:0"]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"type": "sleep", "until": "soon"},
        {"type": "invoke_function", "function_id": 5},
        {"type": "invoke_function", "function_id": "f", "invoke_timeout_ms": "long"},
    ],
    ids=str,
)
def test_yields_that_cannot_be_read_change_nothing(
    plain: Plain, worker: PlainWorker, name: str, fields: dict[str, Any]
) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    before = plain.run(run_id)
    wanted = {"step_id": f"{run_id}:odd:0", **fields}
    answer = worker.update(job, "yielded", job.step("a"), **{"yield": wanted})
    assert answer.fault == (400, "invalid_argument")
    assert (plain.run(run_id), plain.steps(run_id)) == (before, [])
    worker.done(job, "completed", output=1)


def test_a_path_that_leads_nowhere_fails_the_run(plain: Plain, worker: PlainWorker, name: str) -> None:
    """Anything that lacks the field too would be taken for the answer."""
    run_id = plain.start(f"{name}.go", {"id": 1})
    filtered = {"event": f"{name}.ok", "match": "data.order.id"}
    yields(worker, worker.take(run_id), "appr", "wait_for_event", event_filter=filtered)
    run = plain.run(run_id)
    assert run["status"] == "RUN_STATUS_FAILED"
    assert run["error"]["code"] == "MATCH_UNRESOLVED"
    assert "data.order.id" in run["error"]["message"]
    assert "match_value" in run["error"]["message"], "the remedy is named"


@pytest.mark.parametrize("path", ["data.order", "$.data.order", "event.data.order", "order"])
def test_paths_are_read_as_they_are_written_elsewhere(plain: Plain, worker: PlainWorker, name: str, path: str) -> None:
    run_id = plain.start(f"{name}.go", {"order": "A-1"})
    filtered = {"event": f"{name}.ok", "match": path}
    step_id = yields(worker, worker.take(run_id), "appr", "wait_for_event", event_filter=filtered)
    plain.emit(f"{name}.ok", {"order": "B-2"})
    right = plain.emit(f"{name}.ok", {"order": "A-1"})["eventId"]
    job = worker.take(run_id)
    assert job.memo[step_id]["id"] == right
    worker.done(job, "completed", output=1)


@pytest.mark.parametrize("procedure", ["Trigger", "TriggerBatch", "TriggerSync", "PubSubService/Emit"])
def test_every_way_to_emit_wakes(plain: Plain, worker: PlainWorker, name: str, procedure: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    step_id = yields(worker, worker.take(run_id), "appr", "wait_for_event", event_filter={"event": f"{name}.ok"})
    event = {"event": f"{name}.ok", "data": {"by": procedure}}
    plain.call(procedure, {"events": [event]} if procedure == "TriggerBatch" else event)
    job = worker.take(run_id)
    assert job.memo[step_id]["data"] == {"by": procedure}
    worker.done(job, "completed", output=1)


def test_neither_a_message_nor_an_invocation_wakes(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    yields(worker, worker.take(run_id), "appr", "wait_for_event", event_filter={"event": f"{name}.ok"})
    plain.call("PubSubService/Publish", {"topic": f"{name}.ok", "data": {}})
    invoked = plain.call("InvokeFunction", {"functionId": name, "data": {}})
    other = worker.take()
    assert other.run_id == invoked["runId"]
    assert plain.run(run_id)["status"] == "RUN_STATUS_WAITING"
    plain.cancel(run_id)
    worker.done(other, "completed", output=1)


# ---- repeats, stale fences, races


def test_a_repeated_batch_of_steps_with_a_yield(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    batch = [job.step("a", 1), job.step("b", 2)]
    worker.done(job, "progress", *batch)
    wanted = {"step_id": f"{run_id}:nap:0", "type": "sleep", "until": "2101-01-01T00:00:00Z"}
    worker.done(job, "yielded", *batch, job.step("c", 3), **{"yield": wanted})
    rows = plain.steps(run_id)
    assert [row["stepId"].split(":")[1] for row in rows] == ["a", "b", "c", "nap"]
    answer = worker.update(job, "yielded", *batch, job.step("c", 3), **{"yield": wanted})
    assert is_stale(answer), "the segment is over"
    assert plain.steps(run_id) == rows
    plain.cancel(run_id)


@pytest.mark.parametrize("status", ["progress", "completed", "failed", "yielded"])
def test_reports_after_a_cancel_are_refused(plain: Plain, worker: PlainWorker, name: str, status: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    worker.done(job, "progress", job.step("a", 1))
    plain.cancel(run_id)
    rows = plain.run(run_id), plain.steps(run_id)
    assert is_stale(report(worker, job, status))
    assert is_stale(worker.ack(job))
    assert (plain.run(run_id), plain.steps(run_id)) == rows


def report(worker: PlainWorker, job: Job, status: str) -> Any:
    wanted = {"step_id": f"{job.run_id}:nap:0", "type": "sleep", "until": "2101-01-01T00:00:00Z"}
    fields: dict[str, dict[str, Any]] = {
        "progress": {},
        "completed": {"output": 1},
        "failed": {"error": {"message": "boom", "retryable": True}},
        "yielded": {"yield": wanted},
    }
    return worker.update(job, status, job.step("b", 2), step_offset=1, **fields[status])


@pytest.mark.parametrize("status", ["progress", "completed", "failed", "yielded"])
def test_the_first_report_after_a_pause(plain: Plain, worker: PlainWorker, name: str, status: str) -> None:
    """A checkpoint is kept, and refused so that the worker stops; an end is an end; nothing is lost."""
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    worker.done(job, "progress", job.step("a", 1))
    assert plain.call("PauseRun", {"runId": run_id}) == {"status": "pause_requested"}
    answer = report(worker, job, status)
    assert is_stale(answer) if status == "progress" else answer.status == 200
    run, rows = plain.run(run_id), plain.steps(run_id)
    expected = {"completed": "RUN_STATUS_COMPLETED"}.get(status, "RUN_STATUS_PAUSED")
    assert run["status"] == expected
    assert [row["stepId"].split(":")[1] for row in rows[:2]] == ["a", "b"]
    assert is_stale(report(worker, job, "progress"))
    assert is_stale(report(worker, job, "completed"))
    assert (plain.run(run_id), plain.steps(run_id)) == (run, rows)
    if status == "completed":
        return
    assert worker.jobs() == [], "a paused run is handed to nobody"
    resumed = plain.call("ResumeRun", {"runId": run_id})
    if status == "yielded":
        assert resumed["status"] == "RUN_STATUS_WAITING"
        plain.cancel(run_id)
        return
    again = worker.take(run_id)
    assert again.memo == {f"{run_id}:a:0": 1, f"{run_id}:b:0": 2}
    assert (again.attempt, again.base) == (2 if status == "failed" else 1, 2)
    worker.done(again, "completed", output=1)


def test_a_pause_before_the_ack(plain: Plain, worker: PlainWorker, name: str) -> None:
    """A foreign worker acknowledges as if nothing were; the pause comes at its first checkpoint."""
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    plain.call("PauseRun", {"runId": run_id})
    assert worker.ack(job).status == 200
    assert is_stale(worker.update(job, "progress", job.step("a", 1)))
    assert plain.run(run_id)["status"] == "RUN_STATUS_PAUSED"
    assert len(plain.steps(run_id)) == 1


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Make the calls at the same time and return their answers."""
    barrier = threading.Barrier(len(calls))

    def one(call: Callable[[], Any]) -> Any:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(one, calls))


def test_two_yields_and_an_event_at_the_same_time(plain: Plain, name: str) -> None:
    """Each run gets the event or goes on waiting, and the row says which: none sleeps through an answer it has."""
    worker = register(plain, name)
    for turn in range(8):
        event = f"{name}.ok{turn}"
        runs = [plain.start(f"{name}.go", {}) for _ in range(2)]
        jobs = [worker.take(run_id) for run_id in runs]

        def waiting(job: Job, event: str = event) -> Callable[[], str]:
            return lambda: yields(worker, job, "appr", "wait_for_event", event_filter={"event": event})

        *_, emitted = at_once(*[waiting(job) for job in jobs], partial(plain.emit, event, {}))
        assert emitted.keys() == {"eventId"}
        late = plain.emit(event, {"late": True})["eventId"]
        taken = [worker.take() for _ in runs]
        assert {job.run_id for job in taken} == set(runs), "both were woken, once"
        for job in taken:
            (found,) = job.memo.values()
            assert found["id"] in (emitted["eventId"], late)
            row = row_of(plain, f"{job.run_id}:appr:0")
            assert payload(row, "output")["id"] == found["id"]
            worker.done(job, "completed", output=found["id"])
        assert worker.jobs() == []


def test_a_child_that_ends_before_its_parent_is_looked_at(
    plain: Plain, worker: PlainWorker, child: PlainWorker, name: str
) -> None:
    """The child is handed out the moment it exists; its end finds the parent waiting all the same."""
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(child.take)
        run_id = plain.start(f"{name}.go", {})
        yields(worker, worker.take(run_id), "call", "invoke_function", function_id=f"{name}-child", input={})
        inner = held.result()
    child.done(inner, "completed", output={"n": 1})
    again = worker.take(run_id)
    assert again.memo == {f"{run_id}:call:0": {"n": 1}}
    worker.done(again, "completed", output=1)


def test_a_held_poll_wakes_for_an_event_and_for_a_childs_end(
    plain: Plain, worker: PlainWorker, child: PlainWorker, name: str
) -> None:
    """Twenty seconds of patience, of which none may be needed."""
    run_id = plain.start(f"{name}.go", {})
    yields(worker, worker.take(run_id), "appr", "wait_for_event", event_filter={"event": f"{name}.ok"})
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(lambda: worker.poll(wait=25))
        until(lambda: worker.heartbeat().status == 200, "the poll to be under way")
        plain.emit(f"{name}.ok", {})
        job = Job(held.result().json["jobs"][0])
        yields(worker, job, "call", "invoke_function", function_id=f"{name}-child", input={})
        inner = child.take()
        held = pool.submit(lambda: worker.poll(wait=25))
        child.done(inner, "completed", output=json.dumps({}))
        answer = held.result()
    assert answer.status == 200, "not the 204 of a poll that waited in vain"
    worker.done(Job(answer.json["jobs"][0]), "completed", output=1)
