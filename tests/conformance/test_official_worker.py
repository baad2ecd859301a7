"""The official polling worker against the server: outcomes, retries, sleeps, payloads, many at once."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.conftest import StartOfficial, start_officials
from tests.conformance.plain import Plain, instant, payload
from tests.conformance.plain_worker import PlainWorker
from tests.conformance.processes import Official, Process

PREFIX = f"off{uuid.uuid4().hex[:6]}"


@pytest.fixture(scope="module")
def official(
    plain: Plain, tmp_path_factory: pytest.TempPathFactory, processes: list[Process]
) -> Iterator[StartOfficial]:
    yield from start_officials(PREFIX, tmp_path_factory.mktemp("official"), processes)


@pytest.fixture(scope="module")
def worker(plain: Plain, official: StartOfficial) -> Official:
    """One worker with every function, for all scenarios of this module."""
    return official(plain, checkpoint=0.2).serves(plain, "odd")


def start(plain: Plain, function: str, data: Any = None, **fields: Any) -> str:
    return plain.start(f"{PREFIX}.{function}", {} if data is None else data, **fields)


def ids(steps: list[dict[str, Any]], run_id: str) -> list[str]:
    """The step ids without the run's id."""
    assert all(step["stepId"].startswith(f"{run_id}:") for step in steps), steps
    return [step["stepId"].removeprefix(f"{run_id}:") for step in steps]


def words(steps: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The types and statuses, without their prefixes."""
    return [
        (
            step["stepType"].removeprefix("STEP_TYPE_").lower(),
            step["status"].removeprefix("STEP_STATUS_").lower(),
        )
        for step in steps
    ]


def test_success(plain: Plain, worker: Official) -> None:
    run_id = start(plain, "plain", {"orderId": "A-1"}, metadata={"trace": "t"})
    run = plain.ended(run_id)
    steps = plain.steps(run_id)
    assert run["status"] == "RUN_STATUS_COMPLETED", run
    assert payload(run, "output") == {"checked": {"ok": True}, "total": 42, "attempt": 1}
    assert payload(run, "input") == {"orderId": "A-1"}
    assert "error" not in run
    assert (run["attempt"], run["functionId"]) == (1, f"{PREFIX}-plain")
    assert ids(steps, run_id) == ["validate:0", "charge:0"]
    assert words(steps) == [("invoke", "completed")] * 2
    assert [payload(step, "output") for step in steps] == [{"ok": True}, 42]
    assert [step.get("sequence", 0) for step in steps] == [0, 1]
    assert [step["attempt"] for step in steps] == [1, 1]
    assert worker.ledger.bodies(run_id) == Counter(validate=1, charge=1)
    (started,) = [entry for entry in worker.ledger.entries(run_id) if entry.step == "@start"]
    assert started.note == [f"{PREFIX}.plain", {"orderId": "A-1"}, run["maxAttempts"]]
    assert run["maxAttempts"] == 25


def test_secrets(plain: Plain, worker: Official) -> None:
    """The handler has those that are kept; they stand in nothing that anybody can read afterwards."""
    here = {"X-Ironflow-Environment-ID": "env_default"}
    secret = {"name": f"{PREFIX}-a", "value": "sk_live_1234"}
    assert plain.rest("POST", "/api/v1/secrets", secret, headers=here).status == 201
    run_id = start(plain, "keys")
    run = plain.ended(run_id)
    assert run["status"] == "RUN_STATUS_COMPLETED", run
    (started,) = worker.ledger.entries(run_id)
    assert started.note == {f"{PREFIX}-a": "sk_live_1234"}
    told = [run, plain.call("AuditService/GetAuditTrail", {"runId": run_id})]
    told += [plain.call("ListFunctionHistory", {"functionId": f"{PREFIX}-keys"})]
    assert len(told[1]["events"]) > 2, "the run is recorded"
    assert "sk_live" not in str(told)


def test_times_are_in_order(plain: Plain, worker: Official) -> None:
    run_id = start(plain, "plain")
    run, steps = plain.ended(run_id), plain.steps(run_id)
    whole = [run[key] for key in ("createdAt", "startedAt", "endedAt", "updatedAt")]
    assert [instant(time) for time in whole] == sorted(instant(time) for time in whole)
    times = []
    for step in steps:
        assert instant(step["createdAt"]) <= instant(step["updatedAt"]) <= instant(run["updatedAt"])
        times += [instant(step["startedAt"]), instant(step["endedAt"])]
    # The worker's clock is cut to milliseconds.
    assert instant(run["createdAt"]) - 1_000_000 <= times[0]
    assert times == sorted(times)
    assert times[-1] <= instant(run["endedAt"])


def test_a_failed_step_is_retried_and_the_one_before_is_not_run_again(plain: Plain, worker: Official) -> None:
    run_id = start(plain, "flaky", {"failures": 1})
    run, steps = plain.ended(run_id), plain.steps(run_id)
    assert run["status"] == "RUN_STATUS_COMPLETED", run
    assert (run["attempt"], run["maxAttempts"]) == (2, 3)
    assert payload(run, "output") == ["paid", 2]
    assert "error" not in run, "a run that succeeded has no error"
    assert worker.ledger.bodies(run_id) == Counter(reserve=1, charge=2, receipt=1)
    assert worker.ledger.attempts(run_id, "charge") == [1, 2]
    assert worker.ledger.attempts(run_id, "receipt") == [2]
    assert ids(steps, run_id) == ["reserve:0", "charge:0", "receipt:0"]
    assert words(steps) == [("invoke", "completed")] * 3
    assert [step["attempt"] for step in steps] == [1, 2, 2]
    assert [payload(step, "output") for step in steps] == [[1, 2], "paid", None]
    assert not [step for step in steps if "error" in step]


def test_the_budget_is_used_up_and_the_run_fails(plain: Plain, worker: Official) -> None:
    run_id = start(plain, "flaky", {"failures": 9})
    run, steps = plain.ended(run_id), plain.steps(run_id)
    assert run["status"] == "RUN_STATUS_FAILED", run
    assert (run["attempt"], run["maxAttempts"]) == (3, 3)
    assert run["error"]["code"] == "STEP_FAILED"
    assert "busy on attempt 3" in run["error"]["message"]
    assert run["error"]["retryable"] is True
    assert worker.ledger.bodies(run_id) == Counter(reserve=1, charge=3)
    assert words(steps) == [("invoke", "completed"), ("invoke", "failed")]
    assert steps[1]["attempt"] == 3
    assert "busy on attempt 3" in steps[1]["error"]["message"]


def test_the_budget_is_used_up_and_the_run_is_paused(plain: Plain, worker: Official) -> None:
    run_id = start(plain, "flaky-pause", {"failures": 9})
    run = plain.in_status(run_id, "paused")
    assert (run["attempt"], run["maxAttempts"]) == (2, 2)
    assert "busy on attempt 2" in run["error"]["message"]
    assert run["pauseReason"]
    assert "endedAt" not in run
    assert worker.ledger.bodies(run_id) == Counter(reserve=1, charge=2)
    assert words(plain.steps(run_id)) == [("invoke", "completed"), ("invoke", "failed")]


def test_a_non_retryable_failure_fails_at_once(plain: Plain, worker: Official) -> None:
    run_id = start(plain, "hopeless")
    run, steps = plain.ended(run_id), plain.steps(run_id)
    assert run["status"] == "RUN_STATUS_FAILED", run
    assert run["attempt"] == 1
    assert "stolen" in run["error"]["message"]
    assert "retryable" not in run["error"], "false is left out"
    assert worker.ledger.bodies(run_id) == Counter(reserve=1, charge=1)
    assert words(steps) == [("invoke", "completed"), ("invoke", "failed")]
    assert "stolen" in steps[1]["error"]["message"]


def test_retry_after_replaces_the_delay(plain: Plain, worker: Official) -> None:
    """The function's own delay is an hour: it would end the patience of any test."""
    run_id = start(plain, "later", {"seconds": 0.02})
    run = plain.ended(run_id)
    assert (run["status"], run["attempt"]) == ("RUN_STATUS_COMPLETED", 2), run
    assert payload(run, "output") == 2
    assert worker.ledger.attempts(run_id, "@attempt") == [1, 2]
    assert worker.ledger.bodies(run_id) == Counter(reserve=1)


def test_retry_after_is_capped_at_the_longest_delay(plain: Plain, worker: Official) -> None:
    run_id = start(plain, "later-capped", {"seconds": 3600})
    run = plain.ended(run_id)
    assert (run["status"], run["attempt"]) == ("RUN_STATUS_COMPLETED", 2), run


def test_sleep_and_resume(plain: Plain, worker: Official) -> None:
    run_id = start(plain, "nap", {"seconds": 0.3})
    run, steps = plain.ended(run_id), plain.steps(run_id)
    assert run["status"] == "RUN_STATUS_COMPLETED", run
    assert run["attempt"] == 1, "waking uses no attempt"
    assert payload(run, "output") == [{"n": 1}, {"n": 2}, 1]
    assert worker.ledger.bodies(run_id) == Counter(before=1, after=1)
    assert ids(steps, run_id) == ["before:0", "nap:0", "after:0"]
    assert words(steps) == [("invoke", "completed"), ("sleep", "completed"), ("invoke", "completed")]
    due = instant(steps[1]["sleepUntil"])
    assert instant(steps[0]["endedAt"]) < due <= instant(steps[1]["endedAt"])
    assert due <= instant(steps[2]["startedAt"]) + 1_000_000


def test_a_sleeping_run_is_waiting(plain: Plain, worker: Official) -> None:
    run_id = start(plain, "nap", {"seconds": 3600})
    run = plain.in_status(run_id, "waiting")
    steps = plain.steps(run_id)
    assert words(steps) == [("invoke", "completed"), ("sleep", "sleeping")]
    assert instant(steps[1]["sleepUntil"]) > instant(run["updatedAt"])
    assert "endedAt" not in steps[1]
    assert run["pauseReason"] == "sleep"
    assert "claimedBy" not in run, "a waiting run is in nobody's hands"
    listed = plain.call("ListRuns", {"functionId": f"{PREFIX}-nap", "status": "RUN_STATUS_WAITING"})
    assert run_id in [row["id"] for row in listed["runs"]]
    assert plain.cancel(run_id)["status"] == "RUN_STATUS_CANCELLED"
    assert worker.ledger.bodies(run_id) == Counter(before=1)


def test_unknown_function(plain: Plain, worker: Official) -> None:
    """The worker says it has no such function, without having acknowledged the job."""
    plain.ended(start(plain, "plain"))  # so that its own registration is not still to come
    ghost, known = f"{PREFIX}-ghost", served(plain)
    plain.call("RegisterFunction", {"id": ghost, "triggers": [{"event": f"{PREFIX}.ghost"}]})
    PlainWorker(plain, worker.worker_id, (*known, ghost)).register()
    run_id = start(plain, "ghost")
    run = plain.ended(run_id)
    assert (run["status"], run["attempt"]) == ("RUN_STATUS_FAILED", 1), run
    assert run["error"]["code"] == "FUNCTION_NOT_FOUND"
    assert plain.steps(run_id) == []


def served(plain: Plain) -> list[str]:
    listed = plain.call("ListFunctions", {"name": PREFIX})
    return [function["id"] for function in listed["functions"]]


@pytest.mark.parametrize(
    "value",
    [None, True, False, 0, -1.5, 2**53, "", "text", [], [1, [None, {"a": []}]], {}, {"ä": '\u2603 \\ "'}],
    ids=repr,
)
def test_every_kind_of_payload(plain: Plain, worker: Official, value: Any) -> None:
    """In as event data, out as a step's and the run's output."""
    run_id = start(plain, "shape", value) if value is not None else null_event(plain)
    run = plain.ended(run_id)
    assert run["status"] == "RUN_STATUS_COMPLETED", run
    assert payload(run, "input") == value
    assert payload(run, "output") == value
    (step,) = plain.steps(run_id)
    assert payload(step, "output") == value
    for row, key in ((run, "input"), (run, "output"), (step, "output")):
        assert (key in row) == isinstance(value, dict), "an object has the plain field for itself"


def null_event(plain: Plain) -> str:
    return plain.start(f"{PREFIX}.shape", None)


def test_an_output_that_is_not_json(plain: Plain, worker: Official) -> None:
    run = plain.ended(start(plain, "odd"))
    assert (run["status"], run["attempt"]) == ("RUN_STATUS_FAILED", 1), run
    assert run["error"]["code"] == "SERIALIZATION_ERROR"


def test_step_ids(plain: Plain, worker: Official) -> None:
    run_id = start(plain, "names")
    run, steps = plain.ended(run_id), plain.steps(run_id)
    assert run["status"] == "RUN_STATUS_COMPLETED", run
    assert ids(steps, run_id)[:5] == ["a:0", "a:1", "a:2", r"b\:c:0", "größe:0"]
    assert sorted(ids(steps, run_id)[5:]) == ["fetch:0:x:0", "fetch:1:x:0"]
    assert [payload(step, "output") for step in steps[:3]] == [0, 1, 2]
    assert payload(run, "output") is None


def test_more_steps_than_one_checkpoint_holds(plain: Plain, worker: Official) -> None:
    run_id = start(plain, "long", {"steps": 1200})
    run, steps = plain.ended(run_id), plain.steps(run_id)
    assert run["status"] == "RUN_STATUS_COMPLETED", run
    assert ids(steps, run_id) == [f"s:{turn}" for turn in range(1200)]
    assert [step.get("sequence", 0) for step in steps] == list(range(1200))
    assert set(worker.ledger.bodies(run_id).values()) == {1}


def test_twenty_at_once_on_two_workers(plain: Plain, worker: Official, official: StartOfficial) -> None:
    second = official(plain, worker_id=f"{PREFIX}-second", functions="many", slots=3)
    runs = {}
    for n in range(20):
        runs[start(plain, "many", {"n": n})] = n
    for run_id, n in runs.items():
        run = plain.ended(run_id)
        assert (run["status"], run["attempt"]) == ("RUN_STATUS_COMPLETED", 1), run
        assert payload(run, "output") == {"n": n, "ten": n * 10}
        assert worker.ledger.bodies(run_id) == Counter(first=1, second=1)
        assert len({entry.pid for entry in worker.ledger.entries(run_id)}) == 1
        assert [payload(step, "output") for step in plain.steps(run_id)] == [n, n * 10]
    assert second.ledger.path == worker.ledger.path


def test_trigger_sync_returns_the_outcome(plain: Plain, worker: Official) -> None:
    answer = plain.call("TriggerSync", {"event": f"{PREFIX}.plain", "data": {}, "timeoutMs": 20000})
    (result,) = answer["results"]
    assert (result["status"], result["functionId"]) == ("RUN_STATUS_COMPLETED", f"{PREFIX}-plain")
    assert payload(result, "output") == {"checked": {"ok": True}, "total": 42, "attempt": 1}
    assert "waitTimedOut" not in result
    assert worker.ledger.bodies(result["runId"]) == Counter(validate=1, charge=1)


def test_a_second_worker_shares_the_load(plain: Plain, worker: Official, official: StartOfficial) -> None:
    """With one worker's every slot taken, the runs go to the other."""
    gate = f"{PREFIX}-share"
    slots = [start(plain, "hold", {"gate": gate}) for _ in range(10)]
    for run_id in slots:
        worker.ledger.wait_for(run_id, "held")
    helper = official(plain, worker_id=f"{PREFIX}-helper", functions="plain")
    run_id = start(plain, "plain")
    run = plain.ended(run_id)
    assert run["status"] == "RUN_STATUS_COMPLETED", run
    assert {entry.worker for entry in worker.ledger.entries(run_id)} == {helper.worker_id}
    assert run["workerId"] == helper.worker_id
    worker.open(gate)
    for run_id in slots:
        assert plain.ended(run_id)["status"] == "RUN_STATUS_COMPLETED"
        assert worker.ledger.bodies(run_id) == Counter(before=1, held=1, after=1)


def test_no_scenario_ran_a_step_twice_in_one_attempt(plain: Plain, worker: Official) -> None:
    """The last one: a step body may repeat only in a later attempt."""
    seen = Counter((entry.run, entry.step, entry.attempt) for entry in worker.ledger.entries())
    assert [key for key, count in seen.items() if count > 1 and key[1] != "x"] == []
