"""Where two runs part: exact where what came before is known to be the same, and said where it is not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ironflow_lab.history import divergence
from ironflow_lab.history.align import align
from ironflow_lab.history.divergence import Divergence
from ironflow_lab.history.recording import Code, Recording
from ironflow_lab.models.runs import Error, RunStatus
from tests.unit.history.recordings import group, recording, step

OTHER = "run_000000000002"
CALLS = [step("validate", {"ok": True}), step("charge", {"id": 1, "total": 10}), step("ship", "sent")]
NO = Error(message="card declined", code="DECLINED")


def other(calls: list[dict[str, Any]], **fields: Any) -> Recording:
    return recording(calls, run_id=OTHER, **fields)


def first(a: Recording, b: Recording) -> Divergence:
    found = align(a, b)
    told = divergence.first(found, divergence.runs(found))
    assert told is not None
    return told


def names(a: Recording, b: Recording) -> list[str]:
    return [one.name for one in divergence.runs(align(a, b))]


def same(a: Recording, b: Recording) -> bool:
    found = align(a, b)
    return divergence.is_same(found, divergence.runs(found))


def changed(index: int, **fields: Any) -> list[dict[str, Any]]:
    return [{**call, **fields} if at == index else call for at, call in enumerate(CALLS)]


def test_a_step_that_was_given_the_same_and_came_to_something_else() -> None:
    found = first(recording(CALLS), other(changed(1, output={"id": 1, "total": 12})))
    assert (found.kind, found.exact, found.step, found.why) == ("changed", True, "charge", "")
    assert found.message == "step 'charge' came to something else, with the same before it: total: 10 -> 12"


def test_the_first_of_several_counts_in_the_order_of_execution() -> None:
    calls = [*changed(2, output="lost")[:1], {**CALLS[1], "output": 0}, {**CALLS[2], "output": "lost"}]
    assert first(recording(CALLS), other(calls)).step == "charge"
    branches = [group("pack", [step("wrap", 1)], [step("wrap", 2)]), step("z", 1)]
    after = [group("pack", [step("wrap", 1)], [step("wrap", 3)]), step("z", 2)]
    assert first(recording(branches), other(after)).step == "pack:1:wrap"


def test_a_step_that_failed() -> None:
    failed = other(changed(1, error=NO)[:2], status=RunStatus("failed"), error=NO, output=None)
    found = first(recording(CALLS), failed)
    assert (found.step, found.exact) == ("charge", True)
    assert found.message.endswith("completed -> failed (DECLINED: card declined)")


@pytest.mark.parametrize(
    ("calls", "kind", "step_", "said"),
    [
        ([CALLS[0], CALLS[2]], "missing", "charge", "a goes on with step 'charge', after 'validate', b does not"),
        ([step("new", 5), *CALLS], "missing", "new", "b goes on with step 'new', as the first step, a does not"),
        ([CALLS[0], {**CALLS[1], "name": "bill"}, CALLS[2]], "renamed", "charge", "is called 'bill' in b"),
        ([CALLS[1], CALLS[0], CALLS[2]], "moved", "validate", "comes at another place"),
    ],
)
def test_steps_that_came_went_or_moved(calls: list[dict[str, Any]], kind: str, step_: str, said: str) -> None:
    found = first(recording(CALLS), other(calls))
    assert (found.kind, found.exact) == (kind, True)
    assert found.step in (step_, "charge")
    assert said in found.message


def test_different_inputs_are_the_first_divergence() -> None:
    found = first(recording(CALLS), other(changed(2, output="lost"), input={"order": "A-2"}))
    assert (found.kind, found.step) == ("input", "ship")
    assert found.message == 'the inputs differ: order: "A-1" -> "A-2"; the first step that differs is \'ship\''
    assert "no step differs" in first(recording(CALLS), other(CALLS, input=None)).message


def test_ends_that_differ_after_the_same_steps() -> None:
    found = first(recording(CALLS), other(CALLS, output={"done": False}))
    assert (found.kind, found.exact, found.step) == ("end", True, "ship")
    assert "in the handler's own code" in found.message
    assert "done: true -> false" in found.message
    failed = first(recording(CALLS), other(CALLS, status=RunStatus("failed"), error=NO, output=None))
    assert 'error: null -> "DECLINED: card declined"' in failed.message


def test_a_run_that_failed_outside_of_a_step() -> None:
    found = first(recording(CALLS), other(CALLS[:2], status=RunStatus("failed"), error=NO, output=None))
    assert (found.kind, found.exact) == ("end", True)
    assert found.message == (
        "b ended after step 'charge', outside a step: failed (DECLINED: card declined); a went on with step 'ship'"
    )


def test_a_run_that_has_not_ended_is_the_same_so_far() -> None:
    found = first(recording(CALLS), other(CALLS[:2], status=RunStatus("waiting"), output=None))
    assert (found.kind, found.exact, found.why) == ("", False, "b has not ended")
    assert "what it does next is not known yet" in found.message


def test_attempts_are_told_where_nothing_else_differs() -> None:
    for recorded in (True, False):
        found = first(recording(CALLS, recorded=recorded), other(changed(1, tries=3), recorded=recorded))
        assert (found.kind, found.step, found.exact) == ("attempts", "charge", recorded)
        assert "in 1 tries -> in 3" in found.message
    assert same(recording(CALLS), other(changed(1, tries=3)))
    later = [CALLS[0], {**CALLS[1], "tries": 3}, {**CALLS[2], "output": "lost"}]
    assert first(recording(CALLS), other(later)).step == "ship"


def test_nothing_in_common_is_not_defined() -> None:
    found = first(recording(CALLS), other([step("x", 7), step("y", 8)]))
    assert (found.kind, found.exact) == ("", False)
    assert "no step in common" in found.message


def test_what_is_redacted_before_it_makes_it_uncertain() -> None:
    hidden = [{**CALLS[0], "output": {"ok": "[redacted]"}}, {**CALLS[1], "output": 0}, CALLS[2]]
    found = first(recording(CALLS), other(hidden))
    assert (found.step, found.exact) == ("charge", False)
    assert "'validate' returned before it is redacted" in found.why
    marker = {"$redacted": True, "sha256": "abc", "redactedAt": "2026-01-01T00:00:00Z"}
    found = first(recording(CALLS), other(changed(1, output=0), input=marker))
    assert (found.exact, "the input of b is redacted" in found.why) == (False, True)
    assert names(recording(CALLS), other(CALLS, input=marker)) == []


def test_runs_of_two_functions_have_no_exact_divergence() -> None:
    found = first(recording(CALLS), other(changed(1, output=0), function_id="refund"))
    assert (found.exact, 'function: "order" -> "refund"' in found.why) == (False, True)
    assert not first(recording(CALLS), other(CALLS, function_id="refund")).exact


def test_what_differs_of_the_runs_themselves() -> None:
    newer = other(CALLS, function_version=3, code=Code(code_hash="b"))
    older = recording(CALLS, function_version=2, code=Code(code_hash="a"))
    assert names(older, newer) == ["function_version", "code_hash"]
    assert same(older, newer)
    # What one side does not know is no difference.
    assert names(recording(CALLS), newer) == []
    assert names(recording(CALLS), other(CALLS, input={"order": "A-2"}, output=1)) == ["input", "output"]


def test_no_difference_has_no_divergence() -> None:
    found = align(recording(CALLS), other(CALLS))
    assert divergence.first(found, ()) is None
    assert divergence.is_same(found, ())
    nothing = align(recording([]), other([]))
    assert divergence.first(nothing, divergence.runs(nothing)) is None


def test_what_is_said_is_redacted_short_and_takes_any_value() -> None:
    secret = first(recording([step("a", {"api_key": "one"})]), other([step("a", {"api_key": "two"})]))
    assert "one" not in secret.message
    assert 'api_key: "[redacted]" -> "[redacted]"' in secret.message
    secret = first(recording([], input={"password": "one"}), other([], input={"password": "two"}))
    assert "one" not in repr(secret)
    odd: Any = ["\ud800", 10**400, "x" * 10**6]
    long = first(recording([step("n" * 10_000, odd)]), other([step("n" * 10_000, [])]))
    assert len(long.message) < 1_000
    many = [step("a", {str(number): number for number in range(1_000)})]
    assert (
        "and 997 more" in first(recording(many), other([step("a", dict.fromkeys(map(str, range(1_000)), -1))])).message
    )
    found = align(recording(CALLS), other(CALLS, output={"token": "hunter2"}))
    assert all("hunter2" not in repr(each) for each in divergence.runs(found))
    assert msgspec.UNSET not in [each.a for each in divergence.runs(found)]
