"""Registering: created once, unchanged for the same definition, refused with the remedy otherwise."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ironflow_lab.errors import (
    ApiError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnimplementedError,
)
from ironflow_lab.models.functions import RegisterFunctionRequest, RegisterFunctionResponse
from ironflow_lab.server.engine.commands import DeleteFunction, RegisterFunction, RollbackFunction, SetFunctionStatus
from ironflow_lab.server.engine.definitions import normalise
from ironflow_lab.server.engine.functions import (
    Restored,
    delete,
    describe,
    lane_of,
    policy_of,
    register,
    rollback,
    set_status,
)
from ironflow_lab.server.engine.outcome import Outcome, Runnable
from ironflow_lab.server.engine.records import FunctionState, RetryPolicy
from ironflow_lab.testing import CountingIds
from ironflow_lab.wire import codec
from tests.unit.server.engine.states import ENV, NOW, function, only, request


def decided(stored: FunctionState | None, now: int = NOW, **fields: Any) -> tuple[RegisterFunctionResponse, Outcome]:
    outcome = register(stored, RegisterFunction(env=ENV, request=request(**fields)), now, CountingIds())
    assert isinstance(outcome.answer, RegisterFunctionResponse)
    return outcome.answer, outcome


def test_declared_secrets_are_kept_once_and_not_shown() -> None:
    answer, outcome = decided(None, id="f", secrets=["KEY", "other-key_2", "KEY"])
    definition = msgspec.json.decode(only(outcome, "save_function")["definition"])
    assert definition["secrets"] == ["KEY", "other-key_2"]
    assert b"secrets" not in codec.encode(answer.function), "the message has no such field"


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
        ({"debounce": {"periodMs": 1000}}, "debounce"),
        ({"throttle": {"limit": 1, "periodMs": 1000}}, "throttling"),
        ({"circuitBreaker": {"failureThreshold": 5}}, "circuit breakers"),
        ({"cancelOn": [{"event": "a", "match": "b"}]}, "cancel-on"),
        ({"actorKey": "customerId"}, "actor routing"),
        ({"endpointUrl": "http://localhost/"}, "push endpoints"),
        ({"preferredMode": "EXECUTION_MODE_PUSH"}, "register it as pull"),
        ({"preferredMode": 1}, "register it as pull"),
        ({"triggers": [{"cron": "* * * * *"}]}, "cron triggers"),
        ({"triggers": [{"event": "a", "expression": "data.x.map(i, i) == data"}]}, "'f': an expression cannot use map"),
    ],
)
def test_what_this_server_lacks_is_refused_by_name(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(UnimplementedError, match=words):
        decided(None, id="f", **fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"triggers": [{}]}, "exactly one of event and cron"),
        ({"secrets": ["KEY", "a.b"]}, "'f': 'a.b' cannot name a secret"),
        ({"secrets": [""]}, "'f': '' cannot name a secret"),
        ({"secrets": [f"K{n}" for n in range(101)]}, "at most 100 secrets, and this one has 101"),
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
        ({"triggers": [{"expression": "true"}]}, "exactly one of event and cron"),
        (
            {"triggers": [{"event": "a", "expression": "data.x >"}]},
            "'f': the expression is not CEL at line 1, column 9",
        ),
        ({"triggers": [{"event": f"e.{n}"} for n in range(101)]}, "at most 100 triggers, and this one has 101"),
        ({"concurrency": {}}, "concurrency.limit must be at least 1, not 0; to run none, pause the function"),
        ({"concurrency": {"limit": -1}}, "at least 1, not -1"),
        ({"concurrency": {"limit": 1, "key": "a..b"}}, "concurrency.key: key path 'a..b' has an empty part"),
        ({"concurrency": {"limit": 1, "key": ".a"}}, "empty part"),
        ({"pauseBehavior": "keep"}, "'hold' or 'release', not 'keep'"),
        ({"metadata": {"__ironflow_pause_behavior": 5}}, "'hold' or 'release', not 5"),
        ({"changeReason": "x" * 2_001}, "at most 2,000 characters, and this one has 2,001"),
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


# ---- history


def recorded(outcome: Outcome) -> dict[str, Any]:
    """Return the row of history the outcome writes, which must hold what its row of functions holds."""
    change = only(outcome, "record_function")
    for row in (write.parameters for write in outcome.writes if write.query == "save_function"):
        assert {name: change[name] for name in row} == row
    return change


def restatus(stored: FunctionState | None, status: str, now: int = NOW + 9) -> Outcome:
    return set_status(stored, SetFunctionStatus(env=ENV, function_id="f", status=status), now, CountingIds())


def rolled(stored: Restored, reason: str = "", version: int = 1) -> Outcome:
    command = RollbackFunction(env=ENV, function_id="f", entity_version=version, reason=reason)
    return rollback(stored, command, NOW + 9, CountingIds())


def test_a_registration_writes_its_history_with_the_reason_and_not_into_the_definition() -> None:
    _, created = decided(None, id="f", changeReason="first")
    assert (recorded(created)["change_type"], recorded(created)["change_reason"]) == ("create", "first")
    assert b"first" not in recorded(created)["definition"]
    _, updated = decided(function(), id="f", description="new", changeReason="second")
    assert (recorded(updated)["change_type"], recorded(updated)["change_reason"]) == ("update", "second")


def test_what_waits_for_a_function_hears_when_it_is_there_again() -> None:
    assert decided(None, id="f")[1].wakes == (Runnable(),)


def test_a_change_is_later_than_the_last_whatever_the_clock_says() -> None:
    _, outcome = decided(function(), NOW - 5, id="f", description="new")
    assert recorded(outcome)["updated_at"] == NOW + 1


@pytest.mark.parametrize("status", ["paused", "archived"])
def test_a_status_keeps_the_version_and_is_recorded(status: str) -> None:
    outcome = restatus(function(), status)
    assert (outcome.answer.status, outcome.answer.version) == (status, 1)
    change = recorded(outcome)
    assert (change["change_type"], change["status"], change["updated_at"]) == ("status_change", status, NOW + 9)
    assert outcome.wakes == (Runnable(),)


def test_the_status_it_has_writes_nothing() -> None:
    outcome = restatus(function(), "active")
    assert (outcome.answer, outcome.writes, outcome.wakes) == (describe(function()), (), ())


@pytest.mark.parametrize("status", ["", "weird"])
def test_an_unknown_status_is_refused(status: str) -> None:
    with pytest.raises(InvalidArgumentError, match="is active, paused or archived"):
        restatus(function(), status)


def test_a_registration_keeps_the_status() -> None:
    paused = msgspec.structs.replace(function(), status="paused")
    assert decided(paused, id="f", description="new")[0].function.status == "paused"


def test_a_deletion_writes_the_last_state_first() -> None:
    outcome = delete(function(), DeleteFunction(env=ENV, function_id="f"), NOW + 9, CountingIds())
    assert [write.query for write in outcome.writes] == ["record_function", "delete_function"]
    assert recorded(outcome)["change_type"] == "delete"
    assert outcome.answer == {}


def test_a_rollback_is_a_new_version_of_the_old_definition_and_status() -> None:
    now = msgspec.structs.replace(function(description="new"), version=4, status="paused")
    outcome = rolled(Restored(function=now, snapshot=function(), change_type="create"), reason="it was better")
    shown = outcome.answer.function
    assert (shown.description, shown.version, shown.status) == ("", 5, "active")
    change = recorded(outcome)
    assert (change["change_type"], change["change_reason"]) == ("rollback", "it was better")
    assert outcome.wakes == (Runnable(),)


def test_a_rollback_to_what_is_current_writes_nothing() -> None:
    now = msgspec.structs.replace(function(), version=4)
    outcome = rolled(Restored(function=now, snapshot=function(), change_type="update"))
    assert (outcome.answer.function, outcome.writes) == (describe(now), ())


def test_what_cannot_be_rolled_back_is_refused() -> None:
    with pytest.raises(NotFoundError, match="nothing to roll back; register it again"):
        rolled(Restored(function=None, snapshot=function(), change_type="create"))
    with pytest.raises(NotFoundError, match="no version 7 in its history"):
        rolled(Restored(function=function()), version=7)
    with pytest.raises(FailedPreconditionError, match="version 3 of function 'f' is its deletion"):
        rolled(Restored(function=function(), snapshot=function(), change_type="delete"), version=3)
    with pytest.raises(InvalidArgumentError, match="count from 1, and 0"):
        rolled(Restored(function=function()), version=0)
    with pytest.raises(InvalidArgumentError, match="2,001"):
        rolled(Restored(function=function()), reason="x" * 2_001)


def test_a_function_that_is_not_there_has_no_status_and_is_not_deleted() -> None:
    with pytest.raises(NotFoundError, match="no function 'f'"):
        restatus(None, "paused")
    with pytest.raises(NotFoundError, match="no function 'f'"):
        delete(None, DeleteFunction(env=ENV, function_id="f"), NOW, CountingIds())


# ---- concurrency


def lane(data: bytes, **concurrency: Any) -> tuple[str, int, bool]:
    return lane_of(function(concurrency=concurrency).definition, data)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'{"customer":{"id":"A"}}', "A"),
        (b'{"customer":{"id":7}}', "7"),
        (b'{"customer":{"id":7.0}}', "7"),
        (b'{"customer":{"id":[1,2]}}', "[1,2]"),
        (b'{"customer":{"id":null}}', ""),
        (b'{"customer":{}}', ""),
        (b"[]", ""),
        (b"null", ""),
    ],
)
def test_a_run_is_in_the_lane_of_its_key(data: bytes, name: str) -> None:
    for key in ("customer.id", "$.customer.id", "data.customer.id", "event.data.customer.id"):
        assert lane(data, limit=2, key=key) == (name, 2, True)


def test_without_a_key_all_runs_share_one_lane_and_without_a_limit_there_is_none() -> None:
    assert lane(b"{}", limit=3) == ("", 3, True)
    assert lane_of(function().definition, b"not even read") == ("", 0, True)


def test_a_long_key_is_the_same_lane_by_a_short_name() -> None:
    one, two = (lane(b'{"k":"%s"}' % (letter * 256), limit=1, key="k")[0] for letter in (b"a", b"b"))
    assert one != two
    assert len(one) < 80
    assert lane(b'{"k":"%s"}' % (b"a" * 255), limit=1, key="k")[0] == "a" * 255


@pytest.mark.parametrize(
    ("fields", "shown", "holds"),
    [
        ({}, "", True),
        ({"pauseBehavior": "hold"}, "hold", True),
        ({"pauseBehavior": "release"}, "release", False),
        ({"metadata": {"__ironflow_pause_behavior": "release"}}, "release", False),
        ({"pauseBehavior": "hold", "metadata": {"__ironflow_pause_behavior": "release"}}, "hold", True),
    ],
)
def test_a_pause_holds_or_releases_the_lane(fields: dict[str, Any], shown: str, holds: bool) -> None:
    state = function(concurrency={"limit": 1}, **fields)
    assert lane_of(state.definition, b"{}") == ("", 1, holds)
    assert describe(state).pause_behavior == shown
    assert describe(state).concurrency == state.definition.concurrency
