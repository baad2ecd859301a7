"""Invoking: one run of the named function, and the first run for a repeated key."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ironflow_lab.errors import AlreadyExistsError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from ironflow_lab.server.engine.commands import InvokeFunction
from ironflow_lab.server.engine.invoking import EarlierInvocation, Invocation, InvokeState, invoke
from ironflow_lab.server.engine.outcome import Outcome, Runnable
from ironflow_lab.testing import CountingIds
from tests.unit.server.engine.states import ENV, NOW, function, named, only


def invoked(state: InvokeState, **fields: Any) -> Outcome:
    command = InvokeFunction(env=ENV, **{"function_id": "f", "data": b'{"a":1}', **fields})
    return invoke(state, command, NOW, CountingIds())


def earlier(**changes: Any) -> InvokeState:
    given: dict[str, Any] = {"event_id": "evt_9", "source": "invoke", "run_id": "run_9", "function_id": "f"}
    return InvokeState(earlier=EarlierInvocation(**given | changes))


@pytest.mark.parametrize("status", ["active", "paused"])
def test_the_input_is_recorded_and_one_run_is_queued(status: str) -> None:
    state = InvokeState(function=msgspec.structs.replace(function("order.placed"), status=status, version=4))
    outcome = invoked(state, metadata=b'{"m":1}', idempotency_key="k")
    assert outcome.answer == Invocation(run_id="run_000001", event_id="evt_000001", started=True)
    assert outcome.wakes == (Runnable(),)
    assert only(outcome, "insert_event") == {
        "env": ENV,
        "id": "evt_000001",
        "name": "ironflow.function.invoked",
        "data": b'{"a":1}',
        "metadata": b'{"m":1}',
        "version": 1,
        "source": "invoke",
        "idempotency_key": "k",
        "at": NOW,
        "emitted_by": "",
        "run_id": "",
    }
    run = only(outcome, "insert_run")
    assert (run["id"], run["function_id"], run["function_version"]) == ("run_000001", "f", 4)
    assert (run["event_id"], run["now"]) == ("evt_000001", NOW)


def test_a_recorded_function_s_run_tells_of_its_input() -> None:
    outcome = invoked(InvokeState(function=function(recording=True)))
    told = msgspec.json.decode(only(outcome, "insert_audit")["payload"])
    assert (told["eventName"], told["input"]) == ("ironflow.function.invoked", {"a": 1})


def test_the_event_is_written_before_the_run() -> None:
    outcome = invoked(InvokeState(function=function()))
    assert [write.query for write in outcome.writes] == ["insert_event", "insert_run"]


def test_a_repeated_key_gives_the_first_run_and_writes_nothing() -> None:
    outcome = invoked(earlier(), idempotency_key="k", data=b"7")
    assert outcome == Outcome(Invocation(run_id="run_9", event_id="evt_9", started=False))


@pytest.mark.parametrize(
    ("state", "fields", "error", "words"),
    [
        (InvokeState(), {}, NotFoundError, "no function 'f'"),
        (InvokeState(), {"function_id": ""}, InvalidArgumentError, "functionId is missing"),
        (earlier(), {"function_id": "g", "idempotency_key": "k"}, AlreadyExistsError, "of function 'f', not of 'g'"),
        (earlier(source="api"), {"idempotency_key": "k"}, AlreadyExistsError, "evt_9, which was emitted"),
        (earlier(run_id="", function_id=""), {"idempotency_key": "k"}, FailedPreconditionError, "was deleted"),
        (InvokeState(function=function()), {"idempotency_key": "k" * 256}, InvalidArgumentError, "255"),
    ],
)
def test_refusals(state: InvokeState, fields: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        invoked(state, **fields)


def test_an_archived_function_is_refused() -> None:
    with pytest.raises(FailedPreconditionError, match="archived; make it active"):
        invoked(InvokeState(function=msgspec.structs.replace(function(), status="archived")))


def test_the_longest_key() -> None:
    outcome = invoked(InvokeState(function=function()), idempotency_key="ü" * 255)
    assert len(named(outcome, "insert_run")) == 1
