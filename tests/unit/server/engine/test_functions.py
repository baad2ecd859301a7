"""Registering: created once, unchanged for the same definition, refused with the remedy otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from ironflow_lab.errors import ApiError, InvalidArgumentError, UnimplementedError
from ironflow_lab.models.functions import RegisterFunctionRequest, RegisterFunctionResponse
from ironflow_lab.server.engine.commands import RegisterFunction
from ironflow_lab.server.engine.functions import describe, normalise, policy_of, register
from ironflow_lab.server.engine.outcome import Outcome
from ironflow_lab.server.engine.records import FunctionState, RetryPolicy
from ironflow_lab.testing import CountingIds
from ironflow_lab.wire import codec
from tests.unit.server.engine.states import ENV, NOW, function, only, request


def decided(stored: FunctionState | None, now: int = NOW, **fields: Any) -> tuple[RegisterFunctionResponse, Outcome]:
    outcome = register(stored, RegisterFunction(env=ENV, request=request(**fields)), now, CountingIds())
    assert isinstance(outcome.answer, RegisterFunctionResponse)
    return outcome.answer, outcome


def test_a_new_function_starts_at_version_1() -> None:
    answer, outcome = decided(None, id="f", triggers=[{"event": "order.*"}], metadata={"team": "ops"})
    assert answer.created
    assert answer.function.version == 1
    assert answer.function.name == "f"
    assert answer.function.status == "active"
    assert answer.function.preferred_mode == "pull"
    assert answer.function.metadata == {"team": "ops"}
    assert answer.function.timeout_ms == 600_000
    written = only(outcome, "save_function")
    assert (written["id"], written["version"], written["created_at"], written["updated_at"]) == ("f", 1, NOW, NOW)


def test_the_stored_definition_reads_back_the_same() -> None:
    _, outcome = decided(None, id="f", retry={"maxAttempts": 3, "backoffFactor": 2}, timeoutMs=5, description="d")
    stored = codec.decode(only(outcome, "save_function")["definition"], RegisterFunctionRequest)
    assert stored == normalise(stored)
    assert (stored.retry and stored.retry.max_attempts, stored.timeout_ms) == (3, 5)


def test_the_same_definition_writes_nothing() -> None:
    stored = function("order.placed")
    answer, outcome = decided(stored, NOW + 9, id="f", name="f", triggers=[{"event": "order.placed"}], changeReason="x")
    assert not answer.created
    assert answer.function == describe(stored)
    assert outcome.writes == ()


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"__ironflow_code_hash": "0f3a"}},
        {"description": "now with one"},
        {"triggers": [{"event": "order.placed"}, {"event": "order.changed"}]},
        {"retry": {"maxAttempts": 2}},
        {"timeoutMs": 1},
    ],
)
def test_a_changed_definition_raises_the_version_by_one(change: dict[str, Any]) -> None:
    stored = function("order.placed")
    answer, outcome = decided(stored, NOW + 9, **{"id": "f", "triggers": [{"event": "order.placed"}]} | change)
    assert not answer.created
    assert answer.function.version == 2
    written = only(outcome, "save_function")
    assert (written["version"], written["created_at"], written["updated_at"]) == (2, NOW, NOW + 9)


@pytest.mark.parametrize(
    "function_id",
    ["", "a*", "a>b", "a b", "a\tb", "a\x00b", "a\x7f", "a\x85", "a..b", ".a", "a.", "a\u2003b", "x" * 256],
)
def test_an_unusable_id_is_refused(function_id: str) -> None:
    with pytest.raises(InvalidArgumentError, match="1 to 255 characters"):
        decided(None, id=function_id)


@pytest.mark.parametrize("function_id", ["a", "a.b-c_d", "x" * 255, "prüfen", "a:b/c\\d"])
def test_a_usable_id(function_id: str) -> None:
    assert decided(None, id=function_id)[0].function.id == function_id


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"concurrency": {"limit": 1}}, "concurrency limits"),
        ({"debounce": {"periodMs": 1000}}, "debounce"),
        ({"throttle": {"limit": 1, "periodMs": 1000}}, "throttling"),
        ({"circuitBreaker": {"failureThreshold": 5}}, "circuit breakers"),
        ({"cancelOn": [{"event": "a", "match": "b"}]}, "cancel-on"),
        ({"secrets": ["KEY"]}, "secrets"),
        ({"actorKey": "customerId"}, "actor routing"),
        ({"endpointUrl": "http://localhost/"}, "push endpoints"),
        ({"preferredMode": "EXECUTION_MODE_PUSH"}, "register it as pull"),
        ({"preferredMode": 1}, "register it as pull"),
        ({"triggers": [{"cron": "* * * * *"}]}, "cron triggers"),
        ({"triggers": [{"event": "a", "expression": "data.x > 1"}]}, "trigger expressions"),
    ],
)
def test_what_this_server_lacks_is_refused_by_name(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(UnimplementedError, match=words):
        decided(None, id="f", **fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"triggers": [{}]}, "exactly one of event and cron"),
        ({"triggers": [{"event": "a", "cron": "* * * * *"}]}, "exactly one of event and cron"),
        ({"triggers": [{"event": "a..b"}]}, "empty part"),
        ({"triggers": [{"event": "a.>.b"}]}, "only be the last part"),
        ({"triggers": [{"event": "a.b*"}]}, "whole parts"),
        ({"triggers": [{"event": "a b"}]}, "blanks"),
        ({"triggers": [{"event": "a\x00"}]}, "control characters"),
        ({"triggers": [{"event": "x" * 256}]}, "255 characters"),
        ({"retry": {"maxAttempts": -1}}, "must not be negative"),
        ({"retry": {"initialDelayMs": -1}}, "must not be negative"),
        ({"retry": {"maxDelayMs": -1}}, "must not be negative"),
        ({"retry": {"backoffFactor": -0.5}}, "must not be negative"),
        ({"retry": {"backoffFactor": 0.5}}, "at least 1"),
        ({"retry": {"onExhausted": "stop"}}, "'pause' or 'fail'"),
        ({"timeoutMs": -1}, "must not be negative"),
        ({"recording": True, "recordingProfile": "everything"}, "'all', 'run_lifecycle' or 'steps', not 'everything'"),
        ({"recordingProfile": "everything"}, "not 'everything'"),
        ({"recordingProfile": "all"}, "set recording to true, or leave the profile out"),
    ],
)
def test_what_is_wrong_is_refused_by_name(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        decided(None, id="f", **fields)


def test_a_refusal_names_the_function() -> None:
    with pytest.raises(ApiError, match="'charge-card'"):
        decided(None, id="charge-card", timeoutMs=-1)


def test_an_unknown_mode_means_pull() -> None:
    assert decided(None, id="f", preferredMode="EXECUTION_MODE_TELEPATHY")[0].function.preferred_mode == "pull"


def test_zero_and_empty_retry_fields_mean_the_defaults() -> None:
    assert policy_of(function().definition) == RetryPolicy(
        max_attempts=25, initial_delay_ms=1_000, backoff_factor=2.0, max_delay_ms=300_000, on_exhausted="pause"
    )
    given = function(retry={"maxAttempts": 3, "onExhausted": "fail"}).definition
    assert policy_of(given) == RetryPolicy(max_attempts=3, on_exhausted="fail")


@pytest.mark.parametrize("profile", ["", "all", "run_lifecycle", "steps"])
def test_recording_is_kept_and_shown_as_given(profile: str) -> None:
    shown = decided(None, id="f", recording=True, recordingProfile=profile)[0].function
    assert (shown.recording, shown.recording_profile) == (True, profile)


def test_nothing_is_recorded_unless_asked_for() -> None:
    shown = decided(None, id="f")[0].function
    assert (shown.recording, shown.recording_profile) == (False, "")


def test_recording_turned_on_or_off_is_a_new_version() -> None:
    stored = function(recording=True)
    assert decided(stored, id="f", triggers=[])[0].function.version == stored.version + 1
