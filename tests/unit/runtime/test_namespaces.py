"""Names inside a namespace and outside it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET

from ironflow_lab.errors import DefinitionError
from ironflow_lab.runtime import events, namespaces, publishing, waits


@pytest.mark.parametrize("good", ["me", "me.trial-2", "me_too"])
def test_a_namespace_is_the_first_part_of_ids(good: str) -> None:
    assert namespaces.check(good) == good


def test_none_is_none() -> None:
    assert namespaces.check("") == namespaces.check(None) == ""


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (3, "must be text such as 'me', not int"),
        ("a b", "has blanks"),
        ("a.", "empty part"),
        ("me.*", "is a pattern"),
        ("x" * 61, "61 characters"),
        ("system", "the server's own"),
        ("system.run", "the server's own"),
    ],
)
def test_what_cannot_be_one_is_refused(bad: Any, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        namespaces.check(bad)


@pytest.mark.parametrize(
    ("name", "known"), [("order.placed", "me.order.placed"), ("order.*", "me.order.*"), (">", "me.>"), ("me", "me.me")]
)
def test_in_and_out_again(name: str, known: str) -> None:
    assert namespaces.inside("me", name) == known
    assert namespaces.inside("me", known) == known
    assert namespaces.outside("me", known) == name


def test_without_a_namespace_nothing_changes() -> None:
    assert namespaces.inside("", "order.placed") == namespaces.outside("", "order.placed") == "order.placed"


def test_what_is_elsewhere_stays_as_it_is() -> None:
    assert namespaces.outside("me", "you.order.placed") == "you.order.placed"
    assert namespaces.outside("me", "mentor.hired") == "mentor.hired"


def test_a_wait_is_for_the_events_of_the_namespace() -> None:
    wanted = waits.event("s", "n", "order.paid", match="data.id", match_value=None, timeout="1h", payload=None)
    placed = waits.placed("me", wanted)
    assert placed.event_filter["event"] == "me.order.paid"
    assert placed.event_filter["match"] == "data.id"
    assert wanted.event_filter["event"] == "order.paid"
    assert waits.placed("", wanted) is wanted


def test_a_call_is_of_the_function_of_the_namespace() -> None:
    placed = waits.placed("me", waits.invoke("s", "charge", None, "1h"))
    assert (placed.function_id, placed.event_filter) == ("me.charge", UNSET)


def test_a_sleep_is_the_same_everywhere() -> None:
    wanted = waits.sleep("s", "n", "1h", 0)
    assert waits.placed("me", wanted) == wanted


def test_a_message_goes_to_the_topic_of_the_namespace() -> None:
    message = publishing.message("s", "orders", {"n": 1}, "", "run_1")
    placed = publishing.placed("me", message)
    assert (placed.topic, placed.idempotency_key, placed.data) == ("me.orders", message.idempotency_key, {"n": 1})
    assert publishing.placed("", message) is message


def test_an_event_that_was_waited_for_has_its_plain_name() -> None:
    output = {"id": "evt_1", "name": "me.order.paid", "data": 1}
    assert events.of_output("paid", output, namespace="me").name == "order.paid"
    assert events.of_output("paid", output).name == "me.order.paid"
