"""Why a run is not executing, out of rows alone, and how it is shown."""

from __future__ import annotations

from typing import Any

import pytest

from ironflow_lab.history.why import Ending
from ironflow_lab.lab import why
from ironflow_lab.lab.advice import Advice
from ironflow_lab.lab.summary import Shown
from ironflow_lab.lab.why import Why
from ironflow_lab.models.instant import Instant, parse_instant
from ironflow_lab.models.reasons import REASONS, BlockingReason
from ironflow_lab.models.runs import Error, Run, RunStatus, Step, StepStatus

AT = parse_instant("2026-01-02T03:04:05Z")
SCRIPT = "<script>alert('x')</script>"


def shown(status: str, *steps: Step, **fields: Any) -> Shown:
    run = Run(id="run_1", function_id="order", status=RunStatus(status), attempt=2, max_attempts=3, **fields)
    return Shown(run=run, at=AT, steps=steps)


def held(status: str, **fields: Any) -> Step:
    return Step(id="s", step_id="run_1:rest:0", status=StepStatus(status), **fields)


@pytest.mark.parametrize(
    ("looked_at", "reason", "said"),
    [
        (shown("running"), "executing", "executing"),
        (shown("running", pause_requested=True), "pausing", "at the next step boundary"),
        (shown("waiting_for_capacity"), "", "until a worker takes 'order'"),
        (shown("paused", pause_reason="injection"), "paused", "by an operator"),
        (shown("paused", pause_reason="manual"), "paused", "manual"),
        (shown("paused", pause_reason="retries_exhausted"), "retries_exhausted", "attempts are used up"),
        (shown("waiting", held("sleeping", sleep_until=AT)), "sleep", "2026-01-02 03:04:05 UTC"),
        (shown("waiting", held("waiting", wait_event_name="paid")), "event", "'paid'"),
        (shown("waiting", held("waiting", child_run_id="run_2")), "child", "run_2"),
        (shown("waiting", error=Error(message="no")), "retry", "next attempt"),
        (shown("completed"), "ended", "completed"),
    ],
)
def test_the_rows_tell_the_reason(looked_at: Shown, reason: str, said: str) -> None:
    fact = why.of_rows(looked_at)
    assert (fact.reason, fact.run_id, fact.attempt, fact.max_attempts) == (reason, "run_1", 2, 3)
    assert reason in ("", *REASONS)
    assert said in fact.message


def test_a_wait_is_told_with_its_step_event_and_time() -> None:
    step = held("waiting", wait_event_name="paid", wait_timeout=AT)
    for looked_at in (shown("waiting", step), shown("paused", step)):
        fact = why.of_rows(looked_at)
        assert (fact.step_id, fact.event, fact.due_at) == ("run_1:rest:0", "paid", AT)


def test_every_field_is_an_attribute_and_no_other() -> None:
    told = Why(BlockingReason(run_id="run_1", reason="event", event="paid", due_at=AT), source="server", at=AT)
    assert (told.reason, told.event, told.due_at, told.position, told.source) == ("event", "paid", AT, 0, "server")
    assert {"event", "due_at", "source"} <= set(dir(told))
    with pytest.raises(AttributeError, match="due_at"):
        _ = told.nothing


def test_how_it_ended_and_what_one_can_do_are_attributes_and_shown() -> None:
    fact = BlockingReason(run_id="run_1", status="failed", reason="ended", message="step 'charge' failed")
    end = Ending(cause="step_failed", step="charge", place="line 3 of a cell", exhausted=True)
    ahead = Advice(next="nothing, until it is retried", can=("run.retry()  # again", f"lab.emit({SCRIPT!r})  # x"))
    told = Why(fact, source="server", at=AT, ending=end, advice=ahead, notes=(SCRIPT,))
    assert (told.cause, told.reason, told.step, told.place, told.exhausted) == (
        *("step_failed", "ended", "charge", "line 3 of a cell"),
        True,
    )
    assert (told.next, told.next_at, told.can) == (ahead.next, None, ahead.can)
    assert {"next", "next_at", "can", "cause"} <= set(dir(told))
    for form in (str(told), told._repr_html_()):
        assert "nothing, until it is retried" in form
        assert "run.retry()" in form
    assert repr(told) == "<Why run_1: step_failed; step 'charge' failed>"
    assert "<script" not in told._repr_html_()


def test_a_run_that_goes_on_is_told_by_its_reason() -> None:
    fact = BlockingReason(run_id="run_1", reason="sleep", step_id="run_1:rest:0", due_at=AT)
    told = Why(fact, source="server", at=AT, advice=Advice(next="it wakes", at=AT))
    assert (told.cause, told.step, told.next_at, told.exhausted, told.place) == ("sleep", "rest", AT, None, "")
    nothing = Why(BlockingReason(run_id="run_1"), source="rows", at=AT)
    assert (nothing.step, nothing.next, nothing.next_at, nothing.can) == ("", "", None, ())


def test_only_what_says_something_is_shown() -> None:
    fact = BlockingReason(
        run_id="run_1", status="waiting_for_capacity", message="the lane is full", ahead=("run_2", "run_3"), since=AT
    )
    text = str(Why(fact, source="server", at=Instant(AT + 10**9)))
    assert "run_2, run_3" in text
    assert "2026-01-02 03:04:05 UTC" in text
    assert "as of 2026-01-02 03:04:06 UTC" in text
    assert "position" not in text
    assert "does not say more" not in text
    assert "does not say more" in str(Why(fact, source="rows", at=AT))


def test_what_it_holds_is_escaped_and_capped() -> None:
    fact = BlockingReason(
        run_id=SCRIPT, status="waiting", message=SCRIPT + "\n" + "m" * 5_000, error=SCRIPT, value="v" * 5_000
    )
    told = Why(fact, source="rows", at=AT)
    assert "<script" not in told._repr_html_()
    assert all(len(form) < 2_500 for form in (repr(told), str(told), told._repr_html_()))
    assert "\n" not in repr(told)


@pytest.mark.parametrize(("match", "hidden"), [("data.token", True), ("data.api_key.id", True), ("data.id", False)])
def test_a_value_under_a_secret_key_shows_in_no_form(match: str, hidden: bool) -> None:
    fact = BlockingReason(
        run_id="run_1", status="waiting", message="it waits for 'paid' with 'hunter2'", match=match, value="hunter2"
    )
    told = Why(fact, source="server", at=AT)
    assert told.value == "hunter2"
    for form in (repr(told), str(told), told._repr_html_()):
        assert ("hunter2" not in form) == hidden
