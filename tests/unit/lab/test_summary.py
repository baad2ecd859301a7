"""What is said of a run: how it stands, what comes next, how long things took."""

from __future__ import annotations

from typing import Any

import pytest

from ironflow_lab.lab import summary
from ironflow_lab.lab.summary import Shown
from ironflow_lab.models.functions import Function, RetryConfig
from ironflow_lab.models.instant import Instant, parse_instant
from ironflow_lab.models.runs import Error, Run, RunStatus, Step, StepStatus

START = parse_instant("2026-01-02T03:04:05Z")
SECOND = 1_000_000_000


def run(status: str, **fields: Any) -> Run:
    return Run(id="run_1", function_id="order", status=RunStatus(status), attempt=1, **fields)


def step(name: str, status: str, **fields: Any) -> Step:
    return Step(id="s", step_id=f"run_1:{name}:0", status=StepStatus(status), **fields)


def shown(record: Run, *steps: Step, **fields: Any) -> Shown:
    return Shown(run=record, at=START + 90 * SECOND, steps=steps, **fields)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0.0 ms"),
        (400_000, "0.4 ms"),
        (12_400_000, "12 ms"),
        (1_254_000_000, "1.25 s"),
        (200 * SECOND, "3 min 20 s"),
        (7_500 * SECOND, "2 h 5 min"),
    ],
)
def test_lengths_of_time(nanoseconds: int, text: str) -> None:
    assert summary.span(nanoseconds) == text


def test_moments_are_in_utc_to_the_millisecond() -> None:
    assert summary.moment(START + 5_999_999) == "2026-01-02 03:04:05.005 UTC"


def test_attempts_with_and_without_a_known_budget() -> None:
    assert summary.attempts(run("running", max_attempts=25)) == "1 of 25"
    assert summary.attempts(run("running")) == "1"


@pytest.mark.parametrize(
    ("version", "chosen", "said"),
    [
        (3, "fail", "then it fails"),
        (3, "pause", "then it pauses"),
        (3, "", "then it pauses (the server's default)"),
        (4, "fail", ""),
    ],
)
def test_the_policy_is_told_only_by_the_runs_own_version(version: int, chosen: str, said: str) -> None:
    function = Function(id="order", version=version, retry=RetryConfig(on_exhausted=chosen))
    text = summary.policy(shown(run("running", function_version=3), function=function))
    assert said in text
    assert bool(said) == bool(text)


def test_the_policy_of_an_unknown_function_is_not_guessed() -> None:
    assert summary.policy(shown(run("running", function_version=3))) == ""


@pytest.mark.parametrize(
    ("record", "steps", "said"),
    [
        (run("completed"), (), ""),
        (run("running"), (), ""),
        (run("running", pause_requested=True), (), "next step boundary"),
        (run("running", pause_requested=True), (step("charge", "running"),), "boundary; now in step 'charge'"),
        (run("completed", pause_requested=True), (), ""),
        (run("paused", pause_reason="manual"), (), "paused (manual) until it is resumed"),
        (run("paused", pause_reason="retries_exhausted"), (), "paused (its attempts are used up) until"),
        (
            run("paused", pause_reason="injection"),
            (step("ok", "waiting", wait_event_name="paid"),),
            "finished steps are kept; meanwhile waiting in 'ok' for 'paid'",
        ),
        (run("waiting_for_capacity"), (), "until a worker takes 'order'"),
        (run("paused", pause_reason="injection"), (), "by an operator) until it is resumed"),
        (run("paused"), (), "attempts are used up"),
        (
            run("waiting"),
            (step("cool-off", "sleeping", sleep_until=START),),
            "asleep in 'cool-off' until 2026-01-02 03:04:05 UTC",
        ),
        (run("waiting"), (step("ok", "waiting", wait_event_name="paid", wait_timeout=START),), "for 'paid', at the"),
        (run("waiting"), (step("child", "waiting", child_run_id="run_2"),), "its child run_2"),
        (
            run("waiting"),
            (step("child", "waiting", child_run_id="run_2", wait_timeout=START),),
            "its child run_2, at the latest until 2026-01-02 03:04:05 UTC",
        ),
        (run("waiting"), (step("charge", "failed"),), "waiting for its next attempt"),
        (run("waiting", error=Error(message="no")), (), "waiting for its next attempt"),
        (run("waiting"), (), "waiting"),
    ],
)
def test_what_comes_next(record: Run, steps: tuple[Step, ...], said: str) -> None:
    text = summary.coming(shown(record, *steps))
    assert said in text
    assert bool(said) == bool(text)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, ""),
        ({"patched_at": START}, "patched"),
        ({"patched_at": START, "patched_by": "ann", "original_output": 1}, "patched by ann"),
        ({"original_output": 0}, "injected"),
    ],
)
def test_what_was_done_to_a_step_from_outside(fields: dict[str, Any], said: str) -> None:
    assert summary.marks(step("a", "completed", **fields)) == said


def test_who_started_a_child() -> None:
    assert summary.parent(run("running")) == ""
    assert summary.parent(run("running", parent_run_id="run_0")) == "child of run_0"
    child = run("running", parent_run_id="run_0", parent_step_id="run_0:ship:0")
    assert summary.parent(child) == "child of run_0, step 'ship'"


def test_a_run_that_is_asked_to_pause_says_so_on_one_line() -> None:
    assert summary.headline(shown(run("running", pause_requested=True))).startswith("order running, pausing")
    assert "pausing" not in summary.headline(shown(run("paused", pause_requested=True)))


def test_elapsed_so_far_and_in_the_end() -> None:
    assert summary.elapsed(shown(run("waiting_for_capacity"))) == ""
    assert summary.elapsed(shown(run("running", started_at=START))) == "1 min 30 s so far"
    ended = run("completed", started_at=START, ended_at=Instant(START + SECOND))
    assert summary.elapsed(shown(ended)) == "1.00 s"


def test_step_time_from_its_instants_else_as_the_server_measured_it() -> None:
    exact = step("a", "completed", started_at=START, ended_at=Instant(START + 400_000), duration_ms=0)
    assert summary.step_took(exact) == "0.4 ms"
    assert summary.step_took(step("a", "completed", duration_ms=30)) == "30 ms"
    assert summary.step_took(step("a", "running", started_at=START)) == ""


def test_errors_on_one_line_with_their_code() -> None:
    failed = run("failed", error=Error(message="declined\nat line 5", code="DECLINED"))
    assert summary.error_line(failed) == "DECLINED: declined"
    assert summary.error_line(run("cancelled", cancellation_cause="by hand")) == "cancelled: by hand"
    assert summary.error_line(run("completed")) == ""
