"""How many runs of a function execute at once, and what a paused one keeps (engine.md 11, rulings.md 29)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.conftest import register
from tests.conformance.plain import Plain
from tests.conformance.plain_worker import Job, PlainWorker

FAR = "2101-01-01T00:00:00Z"
LIMIT = {"concurrency": {"limit": 1}}


def paused(plain: Plain, worker: PlainWorker, job: Job) -> None:
    """Pause the run of a job and let its worker come to a boundary."""
    assert plain.call("PauseRun", {"runId": job.run_id}) == {"status": "pause_requested"}
    worker.update(job, "progress", job.step("a", 1))
    assert plain.run(job.run_id)["status"] == "RUN_STATUS_PAUSED"


def free(worker: PlainWorker) -> list[str]:
    """Take what may start now, as the ids of its runs."""
    return [job.run_id for job in worker.jobs(available=10)]


def test_a_lane_is_freed_by_whatever_ends_a_segment(plain: Plain, name: str) -> None:
    worker = register(plain, name, **LIMIT)
    runs = [plain.start(f"{name}.go", {"n": n}) for n in range(5)]
    for run_id, ending in zip(runs, ("completed", "sleep", "fail", "cancel", "completed"), strict=True):
        job = worker.take(run_id)
        assert free(worker) == [], "one at a time, in the order they came"
        assert plain.run(runs[-1])["status"] != "RUN_STATUS_WAITING"
        if ending == "completed":
            worker.done(job, "completed", output=1)
        elif ending == "sleep":
            worker.sleep(job, FAR)
        elif ending == "fail":
            worker.fail(job, retryable=False)
        else:
            plain.cancel(run_id)
    plain.cancel(runs[1])


def test_lanes_by_a_key(plain: Plain, name: str) -> None:
    worker = register(plain, name, concurrency={"limit": 1, "key": "event.data.customer"})
    customers = ["a", "a", "b", "b", 7, 7]
    runs = [plain.start(f"{name}.go", {"customer": one}) for one in customers]
    assert set(free(worker)) == {runs[0], runs[2], runs[4]}
    plain.cancel(runs[2])
    assert free(worker) == [runs[3]]


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, True),
        ({"pauseBehavior": "hold"}, True),
        ({"pauseBehavior": "release"}, False),
        ({"metadata": {"__ironflow_pause_behavior": "release"}}, False),
    ],
    ids=str,
)
def test_what_a_paused_run_keeps(plain: Plain, name: str, options: dict[str, Any], kept: bool) -> None:
    worker = register(plain, name, **LIMIT, **options)
    first, second = plain.start(f"{name}.go", {}), plain.start(f"{name}.go", {})
    paused(plain, worker, worker.take(first))
    assert free(worker) == ([] if kept else [second])
    plain.call("ResumeRun", {"runId": first})
    if kept:
        worker.done(worker.take(first), "completed", output=1)
        worker.done(worker.take(second), "completed", output=1)
        return
    assert free(worker) == [], "the resumed run queues behind the one that took its place"
    plain.cancel(second)
    worker.done(worker.take(first), "completed", output=1)


def test_a_paused_run_that_is_cancelled_gives_its_place_up(plain: Plain, name: str) -> None:
    worker = register(plain, name, **LIMIT)
    first, second = plain.start(f"{name}.go", {}), plain.start(f"{name}.go", {})
    paused(plain, worker, worker.take(first))
    plain.cancel(first)
    assert free(worker) == [second]


def test_an_unknown_pause_behaviour_is_refused(plain: Plain, name: str) -> None:
    for fields in ({"pauseBehavior": "drop"}, {"metadata": {"__ironflow_pause_behavior": "drop"}}):
        answer = plain.post("RegisterFunction", {"id": name, **fields})
        assert answer.fault == (400, "invalid_argument")
        assert "release" in answer.json["message"], "the remedy is named"
