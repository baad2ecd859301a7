"""Emitting: one event, one queued run for every function that matches, and the first answer for a repeated key."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.models.events import TriggerResponse
from ironflow_lab.server.engine.commands import EmitEvent
from ironflow_lab.server.engine.events import EmitState, emit
from ironflow_lab.server.engine.outcome import Outcome, Runnable
from ironflow_lab.server.engine.records import FunctionState, RetryPolicy
from ironflow_lab.testing import CountingIds
from tests.unit.server.engine.states import ENV, NOW, function, named, only


def emitted(*functions: FunctionState, name: str = "order.placed", **fields: Any) -> Outcome:
    command = EmitEvent(env=ENV, name=name, data=fields.pop("data", b"{}"), **fields)
    return emit(EmitState(functions=functions), command, NOW, CountingIds())


def started(pattern: str, name: str) -> bool:
    outcome = emitted(function(pattern), name=name)
    return bool(outcome.answer.run_ids)


def test_an_event_without_a_function_is_recorded() -> None:
    fields: dict[str, Any] = {"data": b"[1,null]", "metadata": b'{"a":1}', "version": 7, "idempotency_key": "k"}
    outcome = emitted(function("something.else"), **fields, emitted_by="apikey:1", run_id="run_7")
    assert outcome.answer == TriggerResponse(event_id="evt_000001")
    assert outcome.wakes == ()
    assert [write.query for write in outcome.writes] == ["insert_event"]
    assert only(outcome, "insert_event") == {
        "env": ENV,
        "id": "evt_000001",
        "name": "order.placed",
        "data": b"[1,null]",
        "metadata": b'{"a":1}',
        "version": 7,
        "source": "api",
        "idempotency_key": "k",
        "at": NOW,
        "emitted_by": "apikey:1",
        "run_id": "run_7",
    }


def test_every_matching_function_gets_one_run() -> None:
    outcome = emitted(
        function("order.placed", "order.*", id="twice"),
        function("order.*", id="wild", retry={"maxAttempts": 3, "onExhausted": "fail"}, timeoutMs=50),
        function("user.*", id="other"),
        function(id="invoked only"[:7]),
    )
    assert outcome.answer.run_ids == ("run_000001", "run_000002")
    assert outcome.wakes == (Runnable(),)
    first, second = (write.parameters for write in named(outcome, "insert_run"))
    assert (first["function_id"], second["function_id"]) == ("twice", "wild")
    assert first["event_id"] == second["event_id"] == "evt_000001"
    assert (first["timeout_ms"], second["timeout_ms"]) == (600_000, 50)
    policy = msgspec.json.decode(second["policy"], type=RetryPolicy)
    assert policy == RetryPolicy(max_attempts=3, on_exhausted="fail")
    assert second["max_attempts"] == 3
    assert {first["now"], second["now"]} == {NOW}


def test_a_run_keeps_the_version_of_its_function() -> None:
    outcome = emitted(msgspec.structs.replace(function("order.placed"), version=9))
    assert only(outcome, "insert_run")["function_version"] == 9


def test_an_archived_function_does_not_match() -> None:
    outcome = emitted(msgspec.structs.replace(function("order.placed"), status="archived"))
    assert outcome.answer.run_ids == ()


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("order.placed", "order.placed", True),
        ("order.placed", "order.placed.late", False),
        ("order.*", "order.placed", True),
        ("order.*", "order", False),
        ("order.*", "order.placed.late", False),
        ("*.placed", "order.placed", True),
        ("*", "order", True),
        ("*", "order.placed", False),
        (">", "order", True),
        (">", "order.placed.late", True),
        ("order.>", "order.placed.late", True),
        ("order.>", "order", False),
        ("*.placed.>", "order.placed.late", True),
        ("*.placed.>", "order.placed", False),
        ("Order.*", "order.placed", False),
    ],
)
def test_wildcards(pattern: str, name: str, matches: bool) -> None:
    assert started(pattern, name) is matches


def test_a_repeated_key_gives_the_first_answer_and_writes_nothing() -> None:
    first = TriggerResponse(event_id="evt_9", run_ids=("run_7", "run_8"))
    command = EmitEvent(env=ENV, name="order.placed", data=b"{}", idempotency_key="k")
    outcome = emit(EmitState(earlier=first, functions=(function("order.placed"),)), command, NOW, CountingIds())
    assert outcome.answer == first
    assert outcome.writes == ()
    assert outcome.wakes == ()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "must not be empty"),
        (" a", "blanks around"),
        ("a b", "blanks"),
        ("a\nb", "control characters"),
        ("a\x00b", "control characters"),
        ("a..b", "empty part"),
        (".a", "empty part"),
        ("a.", "empty part"),
        ("order.*", "is a pattern"),
        (">", "is a pattern"),
        ("a.>.b", "last part"),
        ("a*", "whole parts"),
        ("x" * 256, "255 characters"),
    ],
)
def test_a_bad_name_is_refused(name: str, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        emitted(name=name)


@pytest.mark.parametrize("name", ["a", "a.b.c", "x" * 255, "bestellung.geprüft", "a/b:c-d_e"])
def test_a_good_name(name: str) -> None:
    assert only(emitted(name=name), "insert_event")["name"] == name


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"version": 0}, "version 0"), ({"version": -1}, "-1"), ({"idempotency_key": "k" * 256}, "255")],
)
def test_bad_fields_are_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        emitted(**fields)
