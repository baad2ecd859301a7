"""The polling-worker protocol, message by message (worker.md section 3, engine.md sections 5, 6 and 8)."""

from __future__ import annotations

import re
import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conformance.conftest import register
from tests.conformance.plain import Plain, instant, payload
from tests.conformance.plain_worker import Job, PlainWorker, is_stale

FAR = "2101-01-01T00:00:00Z"
PAST = "2001-01-01T00:00:00Z"


def status(plain: Plain, run_id: str) -> str:
    word: str = plain.run(run_id)["status"]
    return word.removeprefix("RUN_STATUS_").lower()


def names(steps: list[dict[str, Any]]) -> list[str]:
    return [row["stepId"].split(":")[1] for row in steps]


# ---- register and heartbeat


def test_a_worker_needs_functions(plain: Plain, name: str) -> None:
    bodies: list[dict[str, Any]] = [{"function_ids": []}, {}, {"worker_id": "w"}]
    for body in bodies:
        worker = PlainWorker(plain, f"{name}-w", ())
        assert worker.send("POST", "register", body).fault == (400, "invalid_argument")
        assert worker.poll().fault == (404, "not_found"), "and it is not registered"


def test_bad_registrations(plain: Plain, worker: PlainWorker, name: str) -> None:
    for body in (
        {"function_ids": name},
        {"function_ids": [1]},
        {"function_ids": [name], "max_concurrent_jobs": "ten"},
        {"function_ids": [name], "max_concurrent_jobs": -1},
        {"function_ids": [name], "labels": ["a"]},
        [name],
    ):
        assert worker.send("POST", "register", body).fault == (400, "invalid_argument"), body


def test_post_and_put_are_one(plain: Plain, worker: PlainWorker, name: str) -> None:
    body = {"function_ids": [name]}
    for method in ("POST", "PUT"):
        assert worker.send(method, "register", body).json["status"]
        assert worker.send(method, "heartbeat", {"jobs": []}).json["status"]


def test_unknown_workers_are_told_to_register(plain: Plain, name: str) -> None:
    worker = PlainWorker(plain, f"{name}-unknown", (name,))
    assert worker.heartbeat().fault == (404, "not_found")
    assert worker.poll().fault == (404, "not_found")
    assert worker.poll(wait=20).fault == (404, "not_found"), "at once, not after the wait"


def test_a_worker_id_may_hold_anything(plain: Plain, name: str) -> None:
    register(plain, name)
    worker = PlainWorker(plain, f"{name}/box 1 ä%?#", (name,)).register()
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    assert worker.ack(job).status == 200
    worker.done(job, "completed", output=1)
    assert plain.run(run_id)["workerId"] == worker.id


def test_a_function_named_twice_counts_once(plain: Plain, name: str) -> None:
    register(plain, name)
    worker = PlainWorker(plain, f"{name}-w", (name, name)).register()
    run_id = plain.start(f"{name}.go", {})
    assert [job.run_id for job in worker.jobs(available=5)] == [run_id]


def test_the_last_registration_says_which_functions(plain: Plain, name: str) -> None:
    other = f"{name}-b"
    register(plain, name)
    register(plain, other)
    worker = PlainWorker(plain, f"{name}-w", (name, other)).register()
    PlainWorker(plain, worker.id, (other,)).register()
    plain.start(f"{name}.go", {})
    wanted = plain.start(f"{other}.go", {})
    assert [job.run_id for job in worker.jobs(available=5)] == [wanted]


def test_heartbeats_about_jobs_of_others_are_harmless(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    stranger = PlainWorker(plain, f"{name}-other", (name,)).register()
    assert stranger.heartbeat(job).status == 200
    assert stranger.heartbeat(Job({"job_id": "no.such.job"}), Job({"job_id": ""})).status == 200
    assert worker.heartbeat(job).status == 200
    worker.done(job, "completed", output=1)


# ---- polls


def test_an_empty_poll_is_204(plain: Plain, worker: PlainWorker) -> None:
    answer = worker.poll()
    assert (answer.status, answer.body) == (204, b"")
    assert "ironflow-poll-wait" not in answer.headers


def test_a_held_poll_says_so(plain: Plain, worker: PlainWorker) -> None:
    answer = worker.poll(wait=1)
    assert (answer.status, answer.body) == (204, b"")
    assert int(answer.headers["ironflow-poll-wait"]) > 0


@pytest.mark.parametrize("query", ["available=x", "available=-1", "available=0", "available=1&wait=soon"])
def test_bad_polls(plain: Plain, worker: PlainWorker, query: str) -> None:
    assert worker.send("GET", f"jobs?{query}").fault == (400, "invalid_argument")


def test_a_held_poll_wakes_for_an_event(plain: Plain, worker: PlainWorker, name: str) -> None:
    """One poll, held for as long as it may be: it must bring the job itself."""
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(worker.jobs, 3, 20)
        run_id = plain.start(f"{name}.go", {})
        assert [job.run_id for job in held.result()] == [run_id]


def test_a_held_poll_wakes_for_a_retry_a_sleep_and_a_registration(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    worker.fail(worker.take(run_id), retry_after_ms=50)
    (job,) = worker.jobs(wait=20)
    worker.sleep(job, iso(instant(plain.run(run_id)["updatedAt"]) // 1_000_000 + 60))
    (job,) = worker.jobs(wait=20)
    assert job.memo.keys() == {f"{run_id}:nap:0"}
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(worker.jobs, 1, 20)
        worker.register()
        (job,) = held.result() or worker.jobs(wait=20)
    assert job.run_id == run_id, "the registration took the run back"
    worker.done(job, "completed", output=1)


def iso(milliseconds: int) -> str:
    """The time in RFC 3339."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat().replace("+00:00", "Z")


def test_no_more_jobs_than_asked_for_oldest_first(plain: Plain, worker: PlainWorker, name: str) -> None:
    made = [plain.start(f"{name}.go", {"n": n}) for n in range(5)]
    taken = [job.run_id for available in (2, 2, 2) for job in worker.jobs(available)]
    assert taken == made
    assert {status(plain, run_id) for run_id in made} == {"running"}


def test_jobs_only_for_functions_the_worker_named(plain: Plain, worker: PlainWorker, name: str) -> None:
    other = register(plain, f"{name}-other")
    run_id = plain.start(f"{name}-other.go", {})
    assert worker.jobs() == []
    assert other.take().run_id == run_id


def test_a_run_goes_to_one_worker_only(plain: Plain, name: str) -> None:
    register(plain, name)
    workers = [PlainWorker(plain, f"{name}-w{n}", (name,)).register() for n in range(6)]
    made = {plain.start(f"{name}.go", {}) for _ in range(30)}
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda worker: [worker.jobs(3) for _ in range(4)], workers))
    taken = [job.run_id for polls in found for poll in polls for job in poll]
    assert sorted(taken) == sorted(made)


def test_a_poll_whose_caller_has_gone_gets_no_job(plain: Plain, worker: PlainWorker, name: str) -> None:
    """Twenty polls are cut while they are held; the run must go to the one that is still there."""
    address = urlsplit(plain.url)
    request = f"GET /api/v1/workers/{worker.id}/jobs?available=1&wait=20 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for _ in range(20):
        with socket.create_connection((address.hostname or "", address.port or 80)) as poll:
            poll.sendall(request.encode())
        run_id = plain.start(f"{name}.go", {})
        job = worker.take(run_id)
        worker.done(job, "completed", output=1)


# ---- assignments


def nulls(value: Any, path: str = "") -> list[str]:
    if isinstance(value, dict):
        return [one for key, item in value.items() for one in nulls(item, f"{path}.{key}")]
    if isinstance(value, list):
        return [one for item in value for one in nulls(item, f"{path}[]")]
    return [path] if value is None else []


def test_the_shape_of_an_assignment(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {"a": 1})
    job = worker.take(run_id)
    raw = job.raw
    assert {path.split(".")[-1] for path in nulls(raw)} <= {"metadata"}, "omit, never null"
    kinds: dict[str, type] = {
        "job_id": str,
        "run_id": str,
        "function_id": str,
        "attempt": int,
        "max_attempts": int,
        "on_exhausted": str,
        "event": dict,
        "completed_steps": list,
        "execution_seq": int,
        "lease_token": str,
        "lease_expires_at": str,
        "step_sequence_base": int,
    }
    assert {key: type(raw[key]) for key in kinds} == kinds
    assert (raw["run_id"], raw["function_id"], raw["attempt"]) == (run_id, name, 1)
    assert (raw["max_attempts"], raw["on_exhausted"]) == (25, "pause")
    assert (raw["completed_steps"], raw["step_sequence_base"]) == ([], 0)
    assert raw["job_id"] != run_id
    assert re.fullmatch(r"[A-Za-z0-9._~-]+", raw["job_id"]), "it goes into a URL unescaped"
    assert instant(raw["lease_expires_at"]) > instant(plain.run(run_id)["updatedAt"])
    assert {"id", "name", "timestamp", "data", "version"} <= raw["event"].keys()


def test_every_segment_has_a_job_id_and_a_fence_of_its_own(plain: Plain, worker: PlainWorker, name: str) -> None:
    """The official worker ignores a job id that is still in its table (rulings.md 1)."""
    run_id = plain.start(f"{name}.go", {})
    jobs = []
    for _ in range(3):
        jobs.append(worker.take(run_id))
        worker.sleep(jobs[-1], PAST)
    jobs.append(worker.take(run_id))
    worker.fail(jobs[-1], retry_after_ms=0)
    jobs.append(worker.take(run_id))
    assert len({job.id for job in jobs}) == 5
    assert len({job.fence["lease_token"] for job in jobs}) == 5
    sequences = [job.fence["execution_seq"] for job in jobs]
    assert sequences == sorted(set(sequences))
    assert [job.attempt for job in jobs] == [1, 1, 1, 1, 2], "a yield uses no attempt"


# ---- fences


FENCE_CHANGES: list[dict[str, Any]] = [
    {"lease_token": "wrong"},
    {"lease_token": ""},
    {"execution_seq": 0},
    {"execution_seq": 7},
]


@pytest.mark.parametrize("changed", FENCE_CHANGES, ids=str)
def test_a_wrong_fence_is_refused_and_changes_nothing(
    plain: Plain, worker: PlainWorker, name: str, changed: dict[str, Any]
) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    before = plain.run(run_id)
    assert is_stale(worker.ack(job, **changed))
    for word, fields in (
        ("progress", {}),
        ("completed", {"output": 1}),
        ("failed", {"error": {"message": "m", "code": "ERROR", "retryable": False}}),
    ):
        assert is_stale(worker.update(job, word, job.step("a"), **fields, **changed)), word
    assert (plain.run(run_id), plain.steps(run_id)) == (before, [])
    assert worker.ack(job).status == 200
    worker.done(job, "completed", output=1)


def test_a_fence_belongs_to_its_worker(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    other = PlainWorker(plain, f"{name}-other", (name,)).register()
    assert is_stale(other.ack(job))
    assert is_stale(other.update(job, "completed", output=1))
    worker.done(job, "completed", output=2)
    assert payload(plain.run(run_id), "output") == 2


def test_unknown_jobs(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    fence = worker.take(run_id).raw
    for id_ in ("nothing", "run_none.1", f"{run_id}x.1", "."):
        answer = worker.ack(Job({**fence, "job_id": id_}))
        assert is_stale(answer) or answer.fault == (404, "not_found"), id_


def test_a_second_report_is_refused(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    worker.done(job, "completed", output=1)
    before = plain.run(run_id)
    assert is_stale(worker.update(job, "completed", job.step("late"), output=2))
    assert is_stale(worker.update(job, "progress", job.step("late")))
    assert is_stale(worker.ack(job))
    assert (plain.run(run_id), plain.steps(run_id)) == (before, [])


def test_cancel_fences_the_worker(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    worker.done(job, "progress", job.step("a", 1))
    row = plain.cancel(run_id, "ordered twice")
    assert (row["status"], row["cancellationCause"]) == ("RUN_STATUS_CANCELLED", "ordered twice")
    assert row["endedAt"]
    assert is_stale(worker.update(job, "progress", job.step("b", 2)))
    assert is_stale(worker.update(job, "completed", output=1))
    assert is_stale(worker.update(job, "completed", output=1, lease_token=""))
    assert plain.run(run_id) == row
    assert names(plain.steps(run_id)) == ["a"]


def test_cancel_without_a_worker(plain: Plain, worker: PlainWorker, name: str) -> None:
    queued, sleeping, delayed = (plain.start(f"{name}.go", {}) for _ in range(3))
    plain.cancel(queued)
    worker.sleep(worker.take(sleeping), FAR)
    worker.fail(worker.take(delayed), retry_after_ms=100_000)
    for run_id in (sleeping, delayed):
        assert status(plain, run_id) == "waiting"
        plain.cancel(run_id)
    assert {status(plain, run_id) for run_id in (queued, sleeping, delayed)} == {"cancelled"}
    assert all(plain.run(run_id)["cancellationCause"] for run_id in (queued, sleeping, delayed))
    assert worker.jobs(available=5) == []


# ---- take-over


@pytest.mark.parametrize("instances", [("", ""), ("i1", "i2"), ("", "i1"), ("i1", "")])
def test_take_over_by_registering_again(plain: Plain, name: str, instances: tuple[str, str]) -> None:
    register(plain, name)
    first, second = (PlainWorker(plain, f"{name}-w", (name,), one) for one in instances)
    run_id = plain.start(f"{name}.go", {})
    job = first.register().take(run_id)
    first.done(job, "progress", job.step("a", {"n": 1}))
    second.register()
    assert is_stale(first.ack(job))
    assert is_stale(first.update(job, "completed", output=1))
    again = second.take(run_id)
    assert (again.attempt, again.base, again.memo) == (1, 1, {f"{run_id}:a:0": {"n": 1}})
    assert again.fence["execution_seq"] > job.fence["execution_seq"]
    second.done(again, "completed", output=2)
    assert payload(plain.run(run_id), "output") == 2


def test_the_same_instance_keeps_its_jobs(plain: Plain, name: str) -> None:
    """A new function in the same process registers again and loses nothing."""
    register(plain, name)
    worker = PlainWorker(plain, f"{name}-w", (name,), "i1").register()
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    PlainWorker(plain, worker.id, (name, f"{name}-more"), "i1").register()
    assert worker.ack(job).status == 200
    worker.done(job, "completed", output=1)
    assert plain.run(run_id)["status"] == "RUN_STATUS_COMPLETED"
