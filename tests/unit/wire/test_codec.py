"""JSON in and out: rpc.md section 2, as far as it is not in the golden files."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ironflow_lab.models.functions import ListFunctionsRequest, RegisterFunctionRequest
from ironflow_lab.models.runs import Error, ListRunsRequest, Run, RunStatus, Step
from ironflow_lab.models.workers import Assignment
from ironflow_lab.wire import codec


@pytest.mark.parametrize("record", [ListRunsRequest(), ListFunctionsRequest(), RegisterFunctionRequest()])
def test_what_is_not_set_is_not_sent(record: msgspec.Struct) -> None:
    assert codec.encode(record) == b"{}"


def test_names_are_camel_case_and_words_are_spelled_out() -> None:
    sent = codec.encode(ListRunsRequest(function_id="f", status=RunStatus("failed")))
    assert sent == b'{"functionId":"f","status":"RUN_STATUS_FAILED"}'


def test_numbers_may_come_as_text_and_unknown_fields_are_ignored() -> None:
    run = codec.decode(b'{"id":"r","attempt":"2","version":3,"later":{}}', Run)
    assert (run.attempt, run.version) == (2, 3)


def test_64_bit_integers_leave_as_text() -> None:
    step = codec.decode(b'{"id":"s","durationMsFull":"9007199254740993"}', Step)
    assert step.duration_ms_full == 2**53 + 1
    assert codec.encode(step) == b'{"id":"s","durationMsFull":"9007199254740993"}'
    assert codec.decode(b'{"retryAfterMs":5}', Error).retry_after_ms == 5


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"id":1}', b'{"id":"r","createdAt":5}', b"\xff"])
def test_what_is_no_record_is_one_kind_of_error(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        codec.decode(body, Run)


@pytest.mark.parametrize("value", [object(), {(1, 2): 3}])
def test_what_is_not_json_is_a_type_error(value: Any) -> None:
    with pytest.raises((TypeError, NotImplementedError)):
        codec.encode(Run(id="r", input=value))


def test_a_job_that_lacks_its_fence_is_refused() -> None:
    event = b'{"id":"e","name":"n","data":1,"timestamp":"2026-01-02T03:04:05Z"}'
    head = b'{"job_id":"j","run_id":"r","function_id":"f","attempt":1,"completed_steps":[],"event":' + event
    job = codec.decode(head + b',"execution_seq":1,"lease_token":"t"}', Assignment)
    assert (job.event.version, job.max_attempts) == (1, msgspec.UNSET)
    with pytest.raises(msgspec.ValidationError, match="lease_token"):
        codec.decode(head + b',"execution_seq":1}', Assignment)


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        (b"7", 0),
        (b"[]", 1),
        (b'{"a":[{"b":1}]}', 3),
        (b"[[],[],[[]]]", 3),
        (b'["[[[[","\\"{{{","\\\\",["\\\\\\"[["]]', 2),
    ],
)
def test_how_deep_json_nests(text: bytes, levels: int) -> None:
    msgspec.json.decode(text)
    assert not codec.is_deep(text, levels)
    assert levels == 0 or codec.is_deep(text, levels - 1)
