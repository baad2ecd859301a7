"""Payload pairs: which field carries a value, and where readers find it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ironflow_lab.models.events import InvokeFunctionSyncResponse
from ironflow_lab.models.runs import GetRunStepsResponse, ListRunsResponse, Run, RunRowPage, Step
from ironflow_lab.wire import codec, payload
from tests.conftest import steady


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({}, "output"),
        ({"a": 1}, "output"),
        (msgspec.Raw(b' \n{"a":1}'), "output"),
        ([], "output_value"),
        (None, "output_value"),
        ("{", "output_value"),
        (0, "output_value"),
        (msgspec.Raw(b"[{}]"), "output_value"),
    ],
    ids=steady,
)
def test_objects_go_in_one_field_and_the_rest_in_the_other(value: Any, field: str) -> None:
    assert payload.split("output", value) == {field: value}


@pytest.mark.parametrize(
    ("raw", "output"),
    [
        (b'{"id":"r"}', None),
        (b'{"id":"r","output":{"a":1}}', {"a": 1}),
        (b'{"id":"r","outputValue":[1]}', [1]),
        (b'{"id":"r","outputValue":null}', None),
        (b'{"id":"r","output":{"a":1},"outputValue":2}', 2),
    ],
)
def test_the_value_is_in_one_place_afterwards(raw: bytes, output: Any) -> None:
    run = payload.settle(codec.decode(raw, Run))
    assert run.output == output
    assert run.output_value is msgspec.UNSET


def test_nested_records_are_settled() -> None:
    page = payload.settle(codec.decode(b'{"runs":[{"id":"r","inputValue":1}]}', ListRunsResponse))
    assert page.runs[0].input == 1
    steps = payload.settle(codec.decode(b'{"steps":[{"id":"s","originalOutputValue":"x"}]}', GetRunStepsResponse))
    assert steps.steps[0].original_output == "x"
    answer = codec.decode(b'{"result":{"runId":"r","outputValue":[1]}}', InvokeFunctionSyncResponse)
    assert payload.settle(answer).result.output == [1]


def test_what_needs_nothing_is_the_same_object() -> None:
    step = Step(id="s", output={"a": 1})
    assert payload.settle(step) is step
    assert payload.settle("text") == "text"


def test_rows_keep_their_raw_fields() -> None:
    page = payload.settle(codec.decode(b'{"runs":[{"id":"r","outputValue":[1]}]}', RunRowPage))
    row = page.runs[0]
    assert bytes(row.output_value) == b"[1]"
    assert payload.read_raw(row.output_value, row.output) == b"[1]"
    assert payload.read_raw(row.input_value, row.input) is None
    assert payload.read_raw(msgspec.Raw(b""), msgspec.Raw(b"{}")) == b"{}"
