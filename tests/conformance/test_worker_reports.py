"""What a worker reports and what comes of it: checkpoints, sleeps, retries (worker.md 3.6, 3.7, 4, 9.3)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.conformance.conftest import register
from tests.conformance.plain import Plain, instant, payload
from tests.conformance.plain_worker import PlainWorker, is_stale

FAR = "2101-01-01T00:00:00Z"
PAST = "2001-01-01T00:00:00Z"


def status(plain: Plain, run_id: str) -> str:
    word: str = plain.run(run_id)["status"]
    return word.removeprefix("RUN_STATUS_").lower()


def names(steps: list[dict[str, Any]]) -> list[str]:
    return [row["stepId"].split(":")[1] for row in steps]


# ---- checkpoints and the next segment


def test_checkpoints_show_at_once_and_may_be_repeated(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    batch = [job.step("a", {"n": 1}), job.step("b", [2]), job.step("c")]
    worker.done(job, "progress", *batch)
    rows = plain.steps(run_id)
    assert status(plain, run_id) == "running"
    assert [(row.get("sequence", 0), row["attempt"]) for row in rows] == [(0, 1), (1, 1), (2, 1)]
    assert names(rows) == ["a", "b", "c"]
    assert [row["durationMs"] for row in rows] == [100] * 3
    worker.done(job, "progress", *batch)
    again = plain.steps(run_id)
    kept = [key for key in rows[0] if key != "updatedAt"]
    assert [[row[key] for key in kept if key in row] for row in again] == [
        [row[key] for key in kept if key in row] for row in rows
    ]
    worker.done(job, "progress", job.step("d"), step_offset=3)
    worker.done(job, "completed", job.step("e"), step_offset=4, output=None)
    rows = plain.steps(run_id)
    assert [row.get("sequence", 0) for row in rows] == list(range(5))
    assert names(rows) == list("abcde")


def test_a_checkpoint_holds_500_steps(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    steps = [job.step(f"s{n}", n) for n in range(501)]
    assert worker.update(job, "progress", *steps).fault == (400, "invalid_argument")
    assert plain.steps(run_id) == []
    worker.done(job, "progress", *steps[:500])
    worker.done(job, "completed", *steps[500:], step_offset=500, output=None)
    assert len(plain.steps(run_id)) == 501


def test_a_retry_gets_what_is_done_and_where_to_go_on(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    worker.done(job, "progress", job.step("a", {"n": 1}), job.step("b", None))
    bad = {"message": "declined", "retryable": True, "stack": "Traceback"}
    worker.fail(job, job.step("c", error=bad), offset=2, retry_after_ms=0)
    again = worker.take(run_id)
    assert (again.attempt, again.base) == (2, 3)
    assert again.memo == {f"{run_id}:a:0": {"n": 1}, f"{run_id}:b:0": None}
    assert [step["name"] for step in again.raw["completed_steps"]] == ["a", "b"]
    assert all(step.get("status", "completed") == "completed" for step in again.raw["completed_steps"])
    failed = plain.steps(run_id)[2]
    assert failed["status"] == "STEP_STATUS_FAILED"
    assert failed["error"] == {**failed["error"], "message": "declined", "retryable": True}
    assert "output" not in failed.keys() | {"outputValue"} & failed.keys()

    worker.done(again, "completed", again.step("c", "paid"), again.step("d"), output="ok")
    rows = plain.steps(run_id)
    assert names(rows) == ["a", "b", "c", "d"]
    assert [row["status"] for row in rows] == ["STEP_STATUS_COMPLETED"] * 4
    assert [row["attempt"] for row in rows] == [1, 1, 2, 2]
    assert payload(rows[2], "output") == "paid"
    assert "error" not in rows[2]
    assert rows[2]["id"] == failed["id"], "reported again, the step keeps its row"
    assert "error" not in plain.run(run_id)


def test_a_sleep_is_a_step(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    worker.sleep(job, FAR, job.step("a", 1))
    row, rows = plain.run(run_id), plain.steps(run_id)
    assert (row["status"], row["attempt"]) == ("RUN_STATUS_WAITING", 1)
    assert names(rows) == ["a", "nap"]
    sleep = rows[1]
    assert (sleep["stepType"], sleep["status"]) == ("STEP_TYPE_SLEEP", "STEP_STATUS_SLEEPING")
    assert (sleep["sequence"], instant(sleep["sleepUntil"])) == (1, instant(FAR))
    assert worker.jobs() == []
    assert is_stale(worker.update(job, "progress", job.step("b")))


def test_a_sleep_that_is_over_goes_on_at_once(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    worker.sleep(job, PAST, job.step("a", 1))
    again = worker.take(run_id)
    assert (again.attempt, again.base) == (1, 2)
    assert again.memo.keys() == {f"{run_id}:a:0", f"{run_id}:nap:0"}
    worker.done(again, "completed", again.step("b", 2), output=None)
    rows = plain.steps(run_id)
    assert [(name, row["status"]) for name, row in zip(names(rows), rows, strict=True)] == [
        (name, "STEP_STATUS_COMPLETED") for name in ("a", "nap", "b")
    ]
    assert payload(rows[1], "output") is None
    assert [row.get("sequence", 0) for row in rows] == [0, 1, 2]


def test_compensations_are_stored_as_told(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    undo = {
        "id": f"{run_id}:compensate:a:0",
        "name": "compensate:a",
        "type": "compensate",
        "status": "completed",
        "compensation_for": "a",
    }
    worker.fail(job, job.step("a", 1), undo, retryable=False)
    row = plain.steps(run_id)[1]
    assert (row["stepType"], row["compensationFor"]) == ("STEP_TYPE_COMPENSATE", "a")
    assert row["status"] == "STEP_STATUS_COMPLETED"


# ---- retries


def test_the_delay_grows_and_is_capped(plain: Plain, name: str) -> None:
    retry = {"initialDelayMs": 60_000, "backoffFactor": 10, "maxDelayMs": 120_000, "maxAttempts": 3}
    worker = register(plain, name, retry={**retry, "onExhausted": "fail"})
    run_id = plain.start(f"{name}.go", {})
    worker.fail(worker.take(run_id))
    row = plain.run(run_id)
    assert row["status"] == "RUN_STATUS_WAITING"
    assert row["error"]["message"] == "boom"
    assert "pauseReason" not in row
    assert worker.jobs() == []
    plain.cancel(run_id)


def test_a_handlers_own_delay_replaces_the_computed_one(plain: Plain, name: str) -> None:
    hour = 3_600_000
    worker = register(plain, name, retry={"initialDelayMs": hour, "maxDelayMs": hour})
    run_id = plain.start(f"{name}.go", {})
    worker.fail(worker.take(run_id), retry_after_ms=1)
    again = worker.take(run_id)
    assert again.attempt == 2
    worker.done(again, "completed", output=1)
    worker = register(plain, name, retry={"initialDelayMs": 1, "maxDelayMs": hour})
    run_id = plain.start(f"{name}.go", {})
    worker.fail(worker.take(run_id), retry_after_ms=hour)
    assert worker.jobs(wait=1) == []
    plain.cancel(run_id)


@pytest.mark.parametrize("policy", ["pause", "fail", ""])
def test_a_used_up_budget(plain: Plain, name: str, policy: str) -> None:
    retry = {"initialDelayMs": 1, "maxAttempts": 2, "onExhausted": policy}
    worker = register(plain, name, retry=retry)
    run_id = plain.start(f"{name}.go", {})
    for attempt in (1, 2):
        job = worker.take(run_id)
        assert (job.attempt, job.raw["max_attempts"]) == (attempt, 2)
        assert job.raw["on_exhausted"] == (policy or "pause")
        worker.fail(job, job.step("a", error={"message": "no"}))
    row = plain.run(run_id)
    assert row["status"] == ("RUN_STATUS_FAILED" if policy == "fail" else "RUN_STATUS_PAUSED")
    assert (row["attempt"], row["maxAttempts"]) == (2, 2)
    assert ("endedAt" in row) == (policy == "fail")
    assert worker.jobs() == []


def test_the_budget_is_the_runs_own(plain: Plain, name: str) -> None:
    """Fixed when the run is created, whatever the function becomes."""
    worker = register(plain, name, retry={"initialDelayMs": 1, "maxAttempts": 2, "onExhausted": "fail"})
    run_id = plain.start(f"{name}.go", {})
    register(plain, name, retry={"initialDelayMs": 1, "maxAttempts": 9})
    for _ in range(2):
        worker.fail(worker.take(run_id))
    assert status(plain, run_id) == "failed"


def test_not_retryable_means_now(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    worker.fail(worker.take(run_id), retryable=False, code="CARD", message="no")
    row = plain.run(run_id)
    assert (row["status"], row["attempt"]) == ("RUN_STATUS_FAILED", 1)
    assert row["error"] == {"message": "no", "code": "CARD"}


def test_retryable_is_the_default_of_nothing(plain: Plain, worker: PlainWorker, name: str) -> None:
    """`retry_after_ms` on its own does not make an error retryable."""
    run_id = plain.start(f"{name}.go", {})
    worker.fail(worker.take(run_id), retryable=False, retry_after_ms=1)
    assert status(plain, run_id) == "failed"


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "finished"},
        {"status": ""},
        {"status": 3},
        {"status": "completed", "steps": {}},
        {"status": "completed", "steps": [{}]},
        {"status": "completed", "steps": [{"id": "a", "name": "a", "status": "odd", "type": "invoke"}]},
        {"status": "completed", "steps": [{"id": "a", "name": "a", "status": "completed", "type": "odd"}]},
        {"status": "completed", "step_offset": -1},
        {"status": "yielded"},
        {"status": "yielded", "yield": {"type": "sleep"}},
        {"status": "yielded", "yield": {"step_id": "a", "type": "sleep"}},
        {"status": "yielded", "yield": {"step_id": "a", "type": "sleep", "until": "soon"}},
        {"status": "failed", "error": "boom"},
    ],
    ids=str,
)
def test_reports_that_are_wrong_change_nothing(
    plain: Plain, worker: PlainWorker, name: str, fields: dict[str, Any]
) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    before = plain.run(run_id)
    answer = worker.send("PUT", f"jobs/{job.id}", {**job.fence, **fields})
    assert answer.fault == (400, "invalid_argument")
    assert (plain.run(run_id), plain.steps(run_id)) == (before, [])
    worker.done(job, "completed", output=1)


# ---- the function's timeout (rulings.md 18)


def test_a_function_that_runs_too_long_fails(plain: Plain, name: str) -> None:
    worker = register(plain, name, timeoutMs=200)
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    worker.done(job, "progress", job.step("a", 1))
    run = plain.ended(run_id)
    assert run["status"] == "RUN_STATUS_FAILED"
    assert run["error"]["code"] == "TIMEOUT"
    assert is_stale(worker.update(job, "completed", output=1))
    assert names(plain.steps(run_id)) == ["a"]


def test_only_executing_time_counts(plain: Plain, name: str) -> None:
    """Queued and asleep, the run gets older than its timeout."""
    worker = register(plain, name, timeoutMs=1500)
    run_id = plain.start(f"{name}.go", {})
    assert worker.jobs(wait=1)[0].run_id == run_id
    created = instant(plain.run(run_id)["createdAt"])
    worker.register()
    due = created // 1_000_000 + 1900
    worker.sleep(worker.take(run_id), datetime.fromtimestamp(due / 1000, UTC).isoformat())
    job = worker.take(run_id)
    assert instant(plain.run(run_id)["updatedAt"]) - created > 1_500_000_000
    worker.done(job, "completed", output=1)
    assert status(plain, run_id) == "completed"
