"""Plans: every kind of field of the protocol's messages, to JSON values and back."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ironflow_lab.server.protocol import pb
from ironflow_lab.server.protocol.mapping import plan

METHODS = pb.methods()
EMIT = METHODS["IronflowService/Emit"].request
RUNS = METHODS["IronflowService/ListRuns"]
RUN = METHODS["IronflowService/GetRun"].response
STEPS = METHODS["IronflowService/GetRunSteps"].response
REGISTER = METHODS["IronflowService/RegisterFunction"].request
HEALTH = METHODS["IronflowService/Health"].response
TRAIL = METHODS["AuditService/GetAuditTrail"].response
STATE = METHODS["TimeTravelService/GetRunStateAt"]


def read(message: Any) -> dict[str, Any]:
    return plan(message.DESCRIPTOR).read(message)


def filled(kind: Any, values: dict[str, Any]) -> Any:
    """The message of the values, through its bytes."""
    message = kind()
    plan(kind.DESCRIPTOR).fill(message, values)
    return kind.FromString(message.SerializeToString())


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (EMIT, {}),
        (EMIT, {"event": "order.placed", "idempotencyKey": "a-1", "version": -3}),
        (EMIT, {"data": {}, "metadata": {"a": {}}}),
        (EMIT, {"dataValue": None}),
        (EMIT, {"dataValue": [None, True, False, "", "text", 0, 1.5, -7, [], {}, [[{"a": [1]}]]]}),
        (REGISTER, {"triggers": [{"event": "a.*"}, {}], "secrets": ["A", ""], "recording": True, "retry": {}}),
        (REGISTER, {"retry": {"backoffFactor": 1.5}, "debounce": {"periodMs": 1, "maxWaitMs": "9007199254740993"}}),
        (RUN, {"error": {"message": "m", "retryable": True, "retryAfterMs": "-1", "details": {"a": 1}}}),
        (STEPS, {"steps": [{"id": "a", "durationMsFull": "0"}, {"id": "b", "sequence": 1}]}),
        (HEALTH, {"status": "healthy", "components": {"store": {"status": "ok"}, "": {}}}),
        (TRAIL, {"events": [{"metadata": {"a": "b", "": ""}, "metadataValue": [1]}], "totalCount": 2**31 - 1}),
        (STATE.response, {"snapshot": {"input": "eyJhIjoxfQ==", "steps": [{"output": "/+8=", "patched": True}]}}),
    ],
)
def test_values_come_back(kind: Any, values: dict[str, Any]) -> None:
    assert read(filled(kind, values)) == values


@pytest.mark.parametrize(
    ("text", "seconds", "nanos"),
    [
        ("1970-01-01T00:00:00Z", 0, 0),
        ("2026-11-24T09:30:00.123456789Z", 1_795_512_600, 123_456_789),
        ("1969-12-31T23:59:59.999999999Z", -1, 999_999_999),
        ("1678-01-01T00:00:00Z", -9_214_560_000, 0),
    ],
)
def test_times_keep_their_nanoseconds(text: str, seconds: int, nanos: int) -> None:
    message = filled(STATE.request, {"timestamp": text})
    assert (message.timestamp.seconds, message.timestamp.nanos) == (seconds, nanos)
    assert message.HasField("timestamp")
    assert read(message) == {"timestamp": text}


@pytest.mark.parametrize(
    ("seconds", "nanos", "words"),
    [
        (0, 1_000_000_000, "1000000000 nanoseconds"),
        (5, -1, "-1 nanoseconds"),
        (2**40, 0, "outside the years"),
        (-(2**62), 0, "outside the years"),
    ],
)
def test_a_time_that_is_none_is_named(seconds: int, nanos: int, words: str) -> None:
    message = STATE.request()
    message.timestamp.seconds, message.timestamp.nanos = seconds, nanos
    with pytest.raises(ValueError, match=words):
        read(message)


def test_words_are_written_by_name_and_read_as_numbers() -> None:
    """The records read either; so a number of a newer client stays what it is."""
    message = filled(RUNS.request, {"status": "RUN_STATUS_FAILED", "statuses": ["RUN_STATUS_WAITING"]})
    assert (message.status, list(message.statuses)) == (4, [8])
    message.statuses.extend([1, 99])
    assert read(message) == {"status": 4, "statuses": [8, 1, 99]}


def test_unset_fields_are_left_out_and_set_ones_with_presence_are_not() -> None:
    message = STEPS()
    step = message.steps.add(attempt=0, duration_ms_full=0)
    step.started_at.SetInParent()
    step.output_value.SetInParent()
    assert read(message) == {
        "steps": [{"durationMsFull": "0", "startedAt": "1970-01-01T00:00:00Z", "outputValue": None}]
    }


@pytest.mark.parametrize(
    ("number", "read_as"),
    [
        (1.0, "1"),
        (-0.5, "-0.5"),
        (9007199254740992.0, "9007199254740992"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (5e-324, "5e-324"),
    ],
)
def test_whole_doubles_are_whole_numbers(number: float, read_as: str) -> None:
    message = EMIT()
    message.data_value.number_value = number
    assert repr(read(message)["dataValue"]) == read_as


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_numbers_that_json_has_not_are_named(number: float) -> None:
    payload, factor = EMIT(), REGISTER()
    payload.data.fields["deep"].list_value.values.add(number_value=number)
    factor.retry.backoff_factor = number
    for message in (payload, factor):
        with pytest.raises(ValueError, match="no number in JSON"):
            read(message)


def test_integers_are_rounded_to_doubles_in_payloads_only() -> None:
    big = 2**53 + 1
    assert read(filled(EMIT, {"dataValue": big})) == {"dataValue": 2**53}
    assert read(filled(RUN, {"error": {"retryAfterMs": str(big)}})) == {"error": {"retryAfterMs": str(big)}}
    with pytest.raises(OverflowError):
        filled(EMIT, {"data": {"a": [10**400]}})


@pytest.mark.parametrize(("name", "value"), [("input_value", 1), ("later", 1), ("status", "RUN_STATUS_NEW")])
def test_a_name_that_the_message_has_not_is_a_fault_of_ours(name: str, value: Any) -> None:
    with pytest.raises(KeyError):
        plan(RUN.DESCRIPTOR).fill(RUN(), {name: value})
