"""Why a run ended: the step, the place in its code and the attempts, out of rows and events of any server."""

from __future__ import annotations

from typing import Any

import pytest

from ironflow_lab.history.fold import History
from ironflow_lab.history.why import CAUSES, Ending, Hold, ending, failing, failures, hold, losses, place
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import Error, Run, RunStatus, Step, StepStatus, StepType
from tests.unit.history.stories import RUN, T0, Story, charge

MS = 1_000_000
STACK = (
    '  File "/home/ann/work/pay.py", line 12, in charge\n    card.debit(amount)\n    ^^^^^^^^^^\n'
    '  File "/tmp/ipykernel_123/987.py", line 3, in <module>\n    raise TimeoutError("no")\nTimeoutError: no'
)


def run(status: str = "failed", **fields: Any) -> Run:
    given: dict[str, Any] = {"attempt": 3, "max_attempts": 3, **fields}
    return Run(id=RUN, function_id="pay", status=RunStatus(status), **given)


def step(name: str, status: str = "completed", at: int = 1, **fields: Any) -> Step:
    return Step(
        id=f"step_{name}",
        run_id=RUN,
        step_id=f"{RUN}:{name}:0",
        status=StepStatus(status),
        ended_at=Instant(at),
        **fields,
    )


def broken(name: str = "charge", message: str = "no answer", at: int = 2, **fields: Any) -> Step:
    return step(name, "failed", at, error=Error(message=message), attempt=3, **fields)


def failure(message: str = "no answer", code: str = "STEP_FAILED", *, retryable: bool = True) -> Error:
    return Error(message=message, code=code, retryable=retryable)


@pytest.mark.parametrize("status", ["running", "waiting", "paused", "waiting_for_capacity"])
def test_a_run_that_goes_on_has_no_ending(status: str) -> None:
    assert ending(run(status), (broken(),)) == Ending()
    asleep = step("rest", "sleeping")
    assert ending(run("waiting", error=failure()), (broken(), asleep)) == Ending(), "what failed before is over"


def test_a_run_that_waits_for_its_next_attempt_tells_where_the_last_one_failed() -> None:
    failed = step("charge", "failed", 2, error=Error(message="no answer", stack=STACK), attempt=3)
    found = ending(run("waiting", error=failure()), (failed,))
    assert (found.cause, found.message, found.step, found.place) == ("", "", "charge", place(failed.error))
    outside = ending(
        run("waiting", error=failure("ValueError: sum", code="ERROR")), (), logged="pay, line 3: ValueError: sum"
    )
    assert (outside.step, outside.place) == ("", "line 3 of its file or cell")


def test_a_run_that_its_policy_holds_tells_what_failed() -> None:
    found = ending(run("paused", pause_reason="retries_exhausted", error=failure()), (step("price"), broken()))
    assert (found.cause, found.step, found.exhausted) == ("", "charge", True)
    assert found.message == (
        "step 'charge' failed in attempt 3 of 3: no answer; its attempts are used up, and its policy holds it:"
        " resume it to try again"
    )
    assert ending(run("paused", pause_reason="injection", error=failure()), (broken(),)) == Ending()


@pytest.mark.parametrize(
    ("error", "exhausted", "said"),
    [
        (failure(), True, "its attempts are used up"),
        (failure(retryable=False), False, "the error allows no other attempt"),
    ],
)
def test_a_step_failed(error: Error, exhausted: bool, said: str) -> None:
    found = ending(run(error=error), (step("price"), broken()))
    assert (found.cause, found.step, found.step_id) == ("step_failed", "charge", f"{RUN}:charge:0")
    assert found.message == f"step 'charge' failed in attempt 3 of 3: no answer; {said}"
    assert (found.exhausted, found.place) == (exhausted, "")


def test_attempts_that_were_left_are_not_called_used_up() -> None:
    found = ending(run(error=failure(), attempt=1), (broken(),))
    assert (found.exhausted, "before its attempts were used up" in found.message) == (False, True)


def test_without_an_error_nothing_is_made_up() -> None:
    found = ending(run(), (step("price"),))
    assert (found.cause, found.exhausted) == ("handler_failed", None)
    assert "no error was told; why it is not tried again is not known" in found.message


def test_the_step_that_failed_is_the_one_the_error_tells_of() -> None:
    first, second = broken("a", "no answer", at=2), broken("b", "declined", at=3)
    assert failing(run(error=failure("no answer")), (first, second)) is first
    assert failing(run(error=failure("worded by another worker")), (first, second)) is second
    assert failing(run(error=failure("ValueError: sum", code="ERROR")), (first, second)) is None, "it was caught"
    assert failing(run(error=failure("no", code="STEP_FAILED")), (step("price"),)) is None
    assert failing(run(), (first,)) is None
    old = broken("old", "former", at=9)
    old = Step(id="s", run_id=RUN, step_id=f"{RUN}:old:0", status=old.status, error=old.error, attempt=1)
    assert failing(run(error=failure("other words")), (old,)) is None, "it failed in an attempt before"


def test_the_handler_failed_outside_its_steps() -> None:
    found = ending(run(error=failure("ValueError: sum", code="ERROR")), (step("price"), broken(at=5)))
    assert found.cause == "handler_failed"
    assert found.message.startswith(
        "the handler failed outside its steps, after step 'charge' had failed, in attempt 3"
    )
    assert (found.step, found.step_id) == ("", "")
    assert "after" not in ending(run(error=failure("ValueError: sum", code="ERROR")), ()).message


def test_a_child_a_wait_and_the_time_it_may_take() -> None:
    child = broken("ship", child_run_id="run_2", step_type=StepType("invoke_function"))
    found = ending(run(error=failure(code="INVOKE_FAILED", retryable=False)), (child,))
    assert (found.cause, found.child_run_id) == ("child_failed", "run_2")
    none = ending(run(error=failure(code="INVOKE_FAILED")), (broken(step_type=StepType("invoke_function")),))
    assert "no child was started" in none.message
    wait = step("approve", "timed_out", error=Error(message="late"), attempt=3)
    found = ending(run(error=failure("late", code="WAIT_TIMEOUT", retryable=False)), (wait,))
    assert (found.cause, found.exhausted) == ("wait_timeout", False)
    late = ending(run(error=failure("too long", code="TIMEOUT", retryable=False)), ())
    assert (late.cause, "before its first step had ended" in late.message) == ("timeout", True)


def test_completed_and_cancelled() -> None:
    assert ending(run("completed"), (step("a"), step("b"))).message == "it completed in attempt 3 of 3, after 2 steps"
    cancelled = run("cancelled", cancellation_cause="enough", max_attempts=0)
    assert ending(cancelled, ()).message == "it was cancelled: enough"
    story = Story().created().moved(1, "running", "claimed", workerId="w").moved(2, "cancelled", "cancelled")
    found = ending(cancelled, (step("rest", "sleeping"),), History(RUN, story.events))
    assert found.message == "an operator cancelled it: enough; it was running then, in step 'rest'"
    assert {ending(run(status), ()).cause for status in ("completed", "cancelled", "failed")} <= set(CAUSES)


@pytest.mark.parametrize(
    ("stack", "said"),
    [
        (STACK, 'line 3 of a cell (raise TimeoutError("no"))'),
        ("\n".join(STACK.splitlines()[:3]), "line 12 of pay.py, in charge (card.debit(amount))"),
        ('  File "C:\\work\\pay.py", line 4, in <lambda>', "line 4 of pay.py, in <lambda>"),
        ('  File "pay.py", line 4, in charge\nTimeoutError: no', "line 4 of pay.py, in charge"),
        ("TimeoutError: no", ""),
        ("", ""),
    ],
)
def test_where_it_was_raised(stack: str, said: str) -> None:
    assert place(Error(stack=stack)) == said


@pytest.mark.parametrize(
    ("logged", "said"),
    [
        ("pay, line 15 (total = sum(parts)): ValueError: sum", "line 15 of its file or cell (total = sum(parts))"),
        ("pay, line 15 (f(a): g(b)): ValueError: sum (try again)", ""),
        ("pay, line 15: ValueError: sum", "line 15 of its file or cell"),
        ("pay, line 15: ValueError: another", ""),
        ("pay, defined in line 15: ValueError: sum", ""),
        ("pay: ValueError: sum", ""),
        ("", ""),
    ],
)
def test_a_handlers_failure_has_the_place_that_its_worker_logged(logged: str, said: str) -> None:
    found = ending(run(error=failure("ValueError: sum", code="ERROR")), (), logged=logged)
    assert found.place == said
    assert (f": ValueError: sum, at {said}; " in found.message) == bool(said)
    assert ending(run(error=failure()), (broken(),), logged=logged).place == "", "a step's stack tells its own"


def test_a_hostile_stack_is_cut_and_quick() -> None:
    assert len(place(Error(stack=f'  File "{"x" * 10_000}", line 1, in {"y" * 10_000}\n    {"z" * 10_000}'))) < 400
    assert place(Error(stack='File "' * 50_000)) == ""
    assert place(None) == ""
    named = broken("n" * 10_000, "m" * 100_000)
    assert len(ending(run(error=failure("m" * 100_000)), (named,)).message) < 500


class TestWhatBefellIt:
    def test_who_holds_it(self) -> None:
        story = Story().created().moved(1, "running", "claimed", workerId="w")
        assert hold(History(RUN, story.events)) is None
        story.moved(2, "running", "pause_requested")
        asked = Hold(by="operator", at=Instant(T0 + 2 * MS), asked=True)
        assert hold(History(RUN, story.events)) == asked
        story.moved(3, "paused", "injection")
        assert hold(History(RUN, story.events)) == Hold(by="operator", at=Instant(T0 + 3 * MS))
        story.resumed(4)
        assert hold(History(RUN, story.events)) is None

    def test_a_pause_of_its_policy_is_nobodys(self) -> None:
        story = Story().created().moved(1, "paused", "retries_exhausted", error={"message": "no"})
        assert hold(History(RUN, story.events)) is None

    def test_workers_that_were_lost(self) -> None:
        story = Story().created().moved(1, "running", "claimed", workerId="w")
        story.moved(2, "waiting_for_capacity", "worker_lost").moved(3, "running", "claimed", workerId="v")
        (lost,) = losses(History(RUN, story.events))
        assert (lost.worker_id, lost.at) == ("w", T0 + 2 * MS)

    def test_attempts_that_failed_are_counted_from_the_last_resumption(self) -> None:
        assert failures(History(RUN, charge().events)) == (1, "declined")
        story = charge().moved(7000, "failed", "failed", error={"message": "late"})
        assert failures(History(RUN, story.events)) == (2, "late")
        assert failures(History(RUN, story.resumed(7001).events)) == (0, "")
