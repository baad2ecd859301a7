"""What a fork may be told, and which steps it means."""

from __future__ import annotations

from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.debug.choices import Names, choices, forms, more
from ironflow_lab.errors import DefinitionError, PayloadError
from tests.unit.debug.forked import RUN, row

STEPS = [
    row(number, place)
    for number, place in enumerate(
        (r"a\:b:0", "charge:0", "item:0", "item:1", "pack:0:wrap:0", "pack:0:wrap:1", "pack:1:tape:0", "publish:o:0")
    )
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.step_id)
def test_every_form_of_a_step_means_it(step: Any) -> None:
    names = Names(RUN, STEPS)
    for form in forms(RUN, step.step_id):
        assert step in names.all(form), form


def test_a_name_of_one_step_means_it_wherever_it_is() -> None:
    names = Names(RUN, STEPS)
    assert names.all("tape") == [STEPS[6]]
    assert names.all("a:b") == [STEPS[0]]
    assert len(names.all("wrap")) == len(names.all("item")) == 2
    assert names.all("nothing") == names.all("") == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"from_step": 3}, "3 is no step"),
        ({"from_step": ""}, "is no step"),
        ({"with_outputs": ["charge"]}, "takes a dict"),
        ({"with_outputs": {1: 2}}, "1 is no step"),
        ({"with_outputs": {"charge": ValueError}}, "give an error, with its message"),
        ({"with_outputs": {"charge": KeyboardInterrupt()}}, "ends a process"),
        ({"steps": "runs"}, "is no decision; say 'stub'"),
        ({"steps": {"charge": {"api_key": "k-1"}}}, r"\[redacted\].* is no decision"),
        ({"steps": {"": "run"}}, "is no step"),
        ({"with_outputs": {"charge": 1}, "steps": {"charge": "run"}}, "an output and a decision"),
    ],
)
def test_what_means_nothing_is_refused(given: Any, said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        choices(**given)


@pytest.mark.parametrize("value", [{1: 2}, {"a": {1, 2}}, float("nan"), "\ud800"])
def test_an_output_is_json(value: Any) -> None:
    with pytest.raises(PayloadError, match="step 'charge' was given something that is not JSON"):
        choices(None, {"charge": value})


def test_outputs_read_as_json_reads_them_and_errors_as_the_wire_tells_them() -> None:
    made = choices(None, {"a": (1, 2), "b": il.RetryAfterError("later", delay=2), "c": ValueError("x")})
    assert made.outputs["a"].output == [1, 2]
    later, other = made.outputs["b"].error, made.outputs["c"].error
    assert later is not None
    assert other is not None
    assert (later.code, later.retryable, later.retry_after_ms) == ("RETRY_AFTER", True, 2_000)
    assert (other.message, other.code) == ("ValueError: x", "ERROR")


def test_the_newer_word_on_a_step_counts() -> None:
    known = choices("charge", {"a": 1, "b": 2}, {"c": "run", "d": "stop"})
    found = more(known, {"a": "run"}, {"c": 3})
    assert found.from_step == "charge"
    assert {key: one.output for key, one in found.outputs.items()} == {"b": 2, "c": 3}
    assert found.decided == {"a": "run", "d": "stop"}
    assert more(choices(steps="run"), {}, {"a": 1}).otherwise == "run"
