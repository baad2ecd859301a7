"""What one run shows: places and values, what is redacted, and which steps it reached."""

from __future__ import annotations

from typing import Any

import pytest

from ironflow_lab.history import facts
from ironflow_lab.history.facts import Fact, message_class, observe
from ironflow_lab.models.runs import Error, RunStatus
from tests.unit.history.recordings import recording, step


def test_every_scalar_is_a_value_at_its_place_and_items_of_a_list_are_any_item() -> None:
    found = observe(recording([], input={"a": {"b": 1}, "items": [{"sku": "x"}, {"sku": "y"}], "none": None})).values
    assert found["input", "a", "b"] == {1}
    assert found["input", "items", facts.ANY, "sku"] == {"x", "y"}
    assert found["input", "items", facts.LENGTH] == {2}
    assert found["input", "none"] == {None}
    assert Fact(kind="input", path=("input", "items", facts.ANY, "sku"), test="=", value="x").words() == (
        'input.items[].sku = "x"'
    )
    assert (
        Fact(kind="input", path=("input", "items", facts.LENGTH), test=">", value=1).words() == "len(input.items) > 1"
    )


def test_true_is_not_one() -> None:
    one, true = (observe(recording([], input={"v": value})).values["input", "v"] for value in (1, True))
    assert not one & true
    assert {facts.scalar(next(iter(true)))} == {True}


def test_steps_with_their_outputs_and_tries() -> None:
    found = observe(recording([step("a", {"n": 1}), step("b", 2, tries=2), step("b", error=Error(message="no"))]))
    assert found.steps == ("a", "b", "b:1")
    assert found.done == {"a", "b"}
    assert found.values["steps", "a", "output", "n"] == {1}
    assert found.values["steps", "b", "tries"] == {2}
    assert ("steps", "b:1", "output") not in found.values


def test_an_error_is_its_code_its_class_and_its_step() -> None:
    error = Error(message="step failed", code="STEP_FAILED")
    calls = [step("charge", error=Error(message="card 17 declined", code="DECLINED"))]
    found = observe(recording(calls, status=RunStatus("failed"), error=error, output=None)).values
    assert found["error", "code"] == {"DECLINED"}
    assert found["failed_at",] == {"charge"}


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("card 17 declined", "card # declined"),
        ("no order 'A-17' at 0x7f00\nTraceback", "no order '…' at #"),
        ("run 0123456789abcdef0 is gone", "run # is gone"),
    ],
)
def test_messages_that_differ_in_numbers_and_names_are_one_class(message: str, kind: str) -> None:
    assert message_class(Error(message=message)) == kind


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": [value]}
    return value


def test_payloads_are_bounded_whatever_they_hold() -> None:
    wide = {str(number): number for number in range(5_000)}
    assert len(observe(recording([], input=wide)).values) < 400
    assert len(observe(recording([], input=deep(5_000))).values) < 30
    odd = observe(recording([], input={"\ud800": "\ud800", "big": 10**400, "long": "x" * 10**6, "nan": float("nan")}))
    assert odd.values["input", "long"] == frozenset()
    assert "[redacted]" in Fact(kind="input", path=("input", "api_key"), test="=", value="x").words()
    assert len(Fact(kind="input", path=("input", "k" * 9_999), test="=", value="\ud800" * 9_999).words()) < 500


def test_what_is_redacted_is_not_known() -> None:
    found = observe(recording([step("a", {"k": "[redacted]"})], input={"token": "[redacted]", "n": 1}))
    assert set(found.hidden) == {("input", "token"), ("steps", "a", "output", "k")}
    assert ("input", "token") not in found.values
