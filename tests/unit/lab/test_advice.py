"""What comes next and what one can do: Python that can be read, for every reason and whatever it holds."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.history.why import CAUSES, Ending
from ironflow_lab.lab.advice import Advice, Known, advice
from ironflow_lab.lab.summary import Shown
from ironflow_lab.models.instant import Instant, parse_instant
from ironflow_lab.models.reasons import REASONS, BlockingReason
from ironflow_lab.models.runs import Error, Run, RunStatus, Step, StepStatus

AT = parse_instant("2026-01-02T03:04:05Z")
HOSTILE = ('order\'s "x"\n# <b>', "\ud800", "", "n" * 10_000, "a'); import os; ('")
ENDS = {"completed": "completed", "cancelled": "cancelled"}


def known(reason: str = "", *, cause: str = "", **given: Any) -> Known:
    """What advice rests on; `given` are fields of the reason, and `function`."""
    status = ENDS.get(cause, "failed") if cause else given.pop("status", "waiting")
    function = given.pop("function", None)
    failed = Step(
        id="s",
        run_id="run_1",
        step_id="run_1:charge:0",
        status=StepStatus("failed"),
        error=Error(message="no"),
        attempt=1,
    )
    run = Run(
        id="run_1",
        function_id="pay",
        status=RunStatus(status),
        attempt=1,
        error=given.pop("error", Error(message="no")),
    )
    fact = BlockingReason(run_id="run_1", reason=reason, status=status, **{"function_id": "pay", **given})
    shown = Shown(run=run, at=AT, steps=(failed,))
    return Known(fact=fact, ending=Ending(cause=cause, step="charge"), shown=shown, now=AT, function=function)


def code(found: Advice) -> list[str]:
    return [one.partition("  # ")[0] for one in found.can]


@pytest.mark.parametrize("reason", [one for one in ("", *REASONS) if one != "ended"])
def test_every_reason_has_a_next_and_something_to_do(reason: str) -> None:
    found = advice(known(reason, due_at=AT, child_run_id="run_2", ahead=("run_7",), event="paid"))
    assert found.next
    assert found.can[-1].startswith("run.cancel()")
    assert [ast.parse(one) for one in found.can]


@pytest.mark.parametrize("cause", CAUSES)
def test_every_ending_has_too(cause: str) -> None:
    found = advice(known("ended", cause=cause))
    assert found.next.startswith("nothing")
    assert found.at == 0
    assert [ast.parse(one) for one in found.can]
    assert ("run.retry()" in code(found)) == (cause not in ("completed", "cancelled"))
    assert code(found)[-1] == "run.rerun()"


@given(
    st.sampled_from(["", *REASONS]),
    st.sampled_from(["", *CAUSES]),
    st.sampled_from([*HOSTILE, "data.id"]) | st.text(),
    st.sampled_from(HOSTILE) | st.text(),
)
def test_whatever_it_holds_is_text_inside_python(reason: str, cause: str, match: str, text: str) -> None:
    fields: dict[str, Any] = {"event": text, "match": match, "value": text, "child_run_id": text, "ahead": (text,)}
    found = advice(known(reason, cause=cause, function_id=text, due_at=AT, **fields))
    for one in found.can:
        # The parser takes UTF-8; half a pair is escaped by `repr`, and must not get in otherwise.
        assert "\n" not in one
        calls = {node.id for node in ast.walk(ast.parse(one)) if isinstance(node, ast.Name)}
        assert calls <= {"run", "lab", "handler"}
        assert len(one) < 1_000


def test_a_time_that_has_passed_is_said_so() -> None:
    assert advice(known("sleep", due_at=Instant(AT + 1))).next == "it wakes at 2026-01-02 03:04:05 UTC and goes on"
    assert advice(known("sleep", due_at=AT)).next.startswith("it wakes at any moment (it was due at 2026")
    assert advice(known("retry")).next == "its next attempt begins after a delay that this server does not tell"


@pytest.mark.parametrize(
    ("match", "value", "written"),
    [
        ("", "", "lab.emit('paid', ...)"),
        ("data.id", "7", "lab.emit('paid', {'id': '7'})"),
        ("$.data.order.id", "7", "lab.emit('paid', {'order': {'id': '7'}})"),
        ("event.data.id", "7", "lab.emit('paid', {'id': '7'})"),
        ("metadata.trace", "t", "lab.emit('paid', ..., metadata={'trace': 't'})"),
        ("data.api_key", "hunter2", "lab.emit('paid', {'api_key': ...})"),
    ],
)
def test_the_event_that_ends_a_wait_is_written_out(match: str, value: str, written: str) -> None:
    found = advice(known("event", event="paid", match=match, value=value, due_at=AT))
    assert code(found)[0] == written
    assert "hunter2" not in str(found)
    assert code(advice(known("event", event="paid.*")))[0] == "lab.emit(..., ...)"


def test_a_function_that_is_gone_or_archived_is_seen_to_first() -> None:
    assert code(advice(known("ended", cause="completed", function=""))) == ["lab.function('pay')(handler); run.rerun()"]
    archived = code(advice(known("ended", cause="completed", function="archived")))
    assert archived == ["lab.client.functions.set_status('pay', 'active'); run.rerun()"]


def test_a_lease_that_ends_is_the_next_thing() -> None:
    found = advice(known("executing", status="running", worker_ids=("w",), lease_expires_at=AT))
    assert (found.at, "unless worker w is heard of before 2026" in found.next) == (AT, True)
    pausing = advice(known("pausing", status="running", worker_ids=("w",), lease_expires_at=AT))
    assert pausing.next.startswith("it is held at the next step boundary; unless")
    assert "run.pause()" not in str(pausing.can)


def test_what_failed_can_be_looked_at_here() -> None:
    of_step = code(advice(known("ended", cause="step_failed")))
    assert "run.replay(break_at='charge')" in of_step
    assert "run.fork(with_outputs={'charge': ...})" in of_step
    assert "run.replay(break_at='error')" in code(advice(known("ended", cause="handler_failed")))
    assert not [one for one in code(advice(known("ended", cause="wait_timeout"))) if "replay" in one]
    assert "run.replay(break_at='charge')" in code(advice(known("retries_exhausted", status="paused")))
