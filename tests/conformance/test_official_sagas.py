"""Failures with the official worker: compensations, retries and their delays, budgets, timeouts."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.conformance.plain import instant, payload
from tests.conformance.script import WAITED, Script, done

MILLISECOND = 1_000_000

# ---- compensate

SAGA = [["run", "a", 1], ["compensate", "a"], ["run", "b:c", 2], ["compensate", "b:c"]]


def undone(script: Script, run_id: str) -> list[tuple[str, int]]:
    """The undo bodies that ran, in order, and in which attempt."""
    found = [entry for entry in script.ledger.entries(run_id) if entry.step.startswith("undo ")]
    return [(entry.step.removeprefix("undo "), entry.attempt) for entry in found]


def test_compensations_run_newest_first(script: Script) -> None:
    run_id = script.start(*SAGA, ["raise", "fatal", "no"])
    run = script.ended(run_id, "failed")
    assert (run["attempt"], run["error"]["code"]) == (1, "FATAL")
    assert undone(script, run_id) == [("b:c", 1), ("a", 1)]
    assert script.ids(run_id) == ["a:0", r"b\:c:0", r"compensate:b\:c:0", "compensate:a:0"]
    assert script.kinds(run_id) == [("invoke", "completed")] * 2 + [("compensate", "completed")] * 2
    rows = script.plain.steps(run_id)
    assert [row.get("compensationFor") for row in rows] == [None, None, "b:c", "a"]
    saga = [f"compensation {word} {step}" for step in script.ids(run_id)[2:] for word in ("started", "completed")]
    assert script.story(run_id) == [*done("a:0", r"b\:c:0"), *saga]
    begun = script.trail(run_id, "saga.compensation.started")[0]["payload"]
    assert (begun["compensationTargetStep"], begun["stepId"]) == ("b:c", rf"{run_id}:compensate:b\:c:0")
    ended = script.trail(run_id, "saga.compensation.completed")[0]["payload"]
    assert ended["result"] is None
    assert script.statuses(run_id) == ["running", "failed"]


def test_compensations_of_the_last_attempt(script: Script) -> None:
    run_id = script.start(*SAGA, ["sleep", "nap", 0.01], ["raise", "retryable", "busy"])
    run = script.ended(run_id, "failed")
    assert (run["attempt"], run["error"]["message"]) == (2, "busy")
    assert undone(script, run_id) == [("b:c", 2), ("a", 2)]
    assert script.ledger.attempts(run_id, "a") == [1]
    assert [row["attempt"] for row in script.plain.steps(run_id)] == [1, 1, 1, 2, 2]


def test_no_compensation_while_a_run_may_be_resumed(script: Script) -> None:
    run_id = script.start(*SAGA, ["raise", "retryable", "busy"], function="patient")
    run = script.plain.in_status(run_id, "paused")
    assert (run["attempt"], run["pauseReason"]) == (2, "retries_exhausted")
    assert undone(script, run_id) == []
    assert script.ids(run_id) == ["a:0", r"b\:c:0"]
    script.agrees(run_id)
    script.plain.cancel(run_id)
    script.agrees(run_id)
    assert undone(script, run_id) == [], "nor when an operator cancels it: no handler runs"


def test_a_failed_compensation_does_not_stop_the_others(script: Script) -> None:
    bad = ["compensate", "b", {"fails": 9}]
    run_id = script.start(["run", "a"], ["compensate", "a"], ["run", "b"], bad, ["raise", "fatal", "no"])
    run = script.ended(run_id, "failed")
    assert run["error"]["message"] == "no", "the run's own error stands"
    assert undone(script, run_id) == [("b", 1), ("a", 1)]
    assert script.kinds(run_id)[2:] == [("compensate", "failed"), ("compensate", "completed")]
    assert "undo b failed" in script.row(run_id, "compensate:b:0")["error"]["message"]
    assert script.story(run_id)[4:6] == [f"compensation {word} compensate:b:0" for word in ("started", "failed")]
    failed = script.trail(run_id, "saga.compensation.failed")[0]["payload"]
    assert "undo b failed" in failed["error"]["message"]
    assert failed["attempt"] == 1


# ---- retries


def delays(script: Script, run_id: str) -> list[float]:
    """How long each attempt waited for its turn by the trail, in milliseconds."""
    changes = [event for event in script.trail(run_id, "run.status_changed") if event["payload"].get("dueAt")]
    waits = [instant(event["payload"]["dueAt"]) - instant(event["createdAt"]) for event in changes]
    return [round(wait / MILLISECOND) for wait in waits]


def test_the_delay_grows_to_its_cap(script: Script) -> None:
    flaky = ["run", "flaky", "ok", {"fails": 3}]
    run_id = script.start(["run", "a"], flaky, ["about"], function="backing")
    run = script.ended(run_id)
    assert payload(run, "output") == [None, "ok", [4, 4, "fail"]]
    assert delays(script, run_id) == [20, 60, 100]
    assert script.ledger.bodies(run_id) == Counter(a=1, flaky=4)
    assert script.ledger.attempts(run_id, "flaky") == [1, 2, 3, 4]
    tried = [f"{word} flaky:0" for word in ("started", "failed")]
    assert script.story(run_id) == [*done("a:0"), *tried * 3, *done("flaky:0")]
    failed = script.trail(run_id, "step.failed")
    assert [event["payload"]["attempt"] for event in failed] == [1, 2, 3]
    assert script.statuses(run_id) == [*WAITED, *WAITED[1:] * 2, "completed"]
    assert script.row(run_id, "flaky:0")["attempt"] == 4


@pytest.mark.parametrize("where", ["a step", "the handler"])
def test_retry_after(script: Script, where: str) -> None:
    options = {"kind": "later", "seconds": 0.033, "fails": 1}
    step, own = ["run", "flaky", 1, options], ["raise", "later", "come back", {"seconds": 0.033, "attempts": 1}]
    run_id = script.start(step if where == "a step" else own)
    assert script.ended(run_id)["attempt"] == 2
    assert delays(script, run_id) == [33]


def test_not_retryable(script: Script) -> None:
    run_id = script.start(["run", "a"], ["run", "b", 1, {"fails": 9, "kind": "fatal"}])
    run = script.ended(run_id, "failed")
    assert (run["attempt"], run["error"]["code"]) == (1, "STEP_FAILED")
    assert script.ledger.bodies(run_id) == Counter(a=1, b=1)
    assert script.story(run_id) == [*done("a:0"), "started b:0", "failed b:0"]
    assert script.statuses(run_id) == ["running", "failed"]


def test_a_budget_used_up_and_a_fresh_one(script: Script, name: str) -> None:
    """Resumed, the run has its attempts again and keeps what is done; it pauses again when they are used up."""
    run_id = script.start(["run", "a", 1], ["run", "pay", 2, {"unless": name}], ["about"], function="patient")
    paused = script.plain.in_status(run_id, "paused")
    assert (paused["attempt"], paused["maxAttempts"], paused["pauseReason"]) == (2, 2, "retries_exhausted")
    script.agrees(run_id)
    resumed = script.plain.call("ResumeRun", {"runId": run_id})
    assert resumed["attempt"] == 1
    assert "pauseReason" not in resumed
    script.ledger.wait_for(run_id, "pay", times=4)
    paused = script.plain.in_status(run_id, "paused")
    script.worker.open(name)
    script.plain.call("ResumeRun", {"runId": run_id})
    run = script.ended(run_id)
    assert payload(run, "output") == [1, 2, [1, 2, "pause"]]
    assert "error" not in run
    assert script.ledger.bodies(run_id) == Counter(a=1, pay=5)
    assert script.ledger.attempts(run_id, "pay") == [1, 2, 1, 2, 1]
    tried = ["started pay:0", "failed pay:0"]
    assert script.story(run_id) == [*done("a:0"), *tried * 4, *done("pay:0")]
    reasons = [event["payload"]["reason"] for event in script.trail(run_id, "run.paused")]
    assert reasons == ["retries_exhausted"] * 2
    assert [event["payload"]["newStatus"] for event in script.trail(run_id, "run.resumed")] == [
        "waiting_for_capacity"
    ] * 2


def test_a_function_that_runs_too_long(script: Script, name: str) -> None:
    """What it did before is kept; what it says later is refused, and its compensations do not run."""
    program = [*SAGA[:2], ["run", "held", 1, {"gate": name}]]
    run_id = script.start(*program, function="hasty")
    run = script.ended(run_id, "failed")
    assert (run["attempt"], run["error"]["code"]) == (1, "TIMEOUT")
    assert script.ids(run_id) == ["a:0"]
    assert script.statuses(run_id) == ["running", "failed"]
    script.worker.open(name)
    script.ended(script.start(["run", "later"], function="hasty"))
    assert script.plain.run(run_id) == run
    assert script.ledger.bodies(run_id) == Counter(a=1, held=1)


def test_a_step_that_runs_too_long(script: Script, name: str) -> None:
    """The SDK's own timeout: retryable, so it is tried again until the budget is used up."""
    slow = ["run", "slow", 1, {"gate": f"{name}-never", "timeout": 0.03}]
    run_id = script.start(["run", "a"], slow)
    run = script.ended(run_id, "failed")
    assert (run["attempt"], run["error"]["code"], run["error"]["retryable"]) == (2, "STEP_TIMEOUT", True)
    assert script.ledger.bodies(run_id) == Counter(a=1, slow=2)
    assert script.story(run_id) == [*done("a:0"), *["started slow:0", "failed slow:0"] * 2]
    assert "timed out" in script.row(run_id, "slow:0")["error"]["message"]
