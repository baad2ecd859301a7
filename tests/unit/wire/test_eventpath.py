"""Paths into events: literal first, then what older documents wrote; and the text values are compared by."""

from __future__ import annotations

from typing import Any

import pytest

from ironflow_lab.wire import eventpath
from ironflow_lab.wire.eventpath import MISSING, bare, fault, find, in_data, in_event, text

DATA: dict[str, Any] = {"id": "A-1", "customer": {"id": 7}, "items": [{"sku": "x"}, {"sku": "y"}], "none": None}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("customerId", "customerId"),
        ("$.customerId", "customerId"),
        ("data.customer.id", "customer.id"),
        ("event.data.customerId", "customerId"),
        ("$.event.data.data.id", "data.id"),
        ("event.name", "event.name"),
        ("database.id", "database.id"),
    ],
)
def test_a_bare_path_is_inside_the_data(path: str, expected: str) -> None:
    assert bare(path) == expected


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("id", "A-1"),
        ("$.id", "A-1"),
        ("customer.id", 7),
        ("items.1.sku", "y"),
        ("none", None),
        ("items.2.sku", MISSING),
        ("items.-1.sku", MISSING),
        ("items.x", MISSING),
        ("id.length", MISSING),
        ("none.x", MISSING),
        ("nope", MISSING),
        ("items." + "9" * 5_000, MISSING),
        ("items.\u0661", MISSING),
    ],
)
def test_find_takes_a_path_word_for_word(path: str, value: Any) -> None:
    assert find(DATA, path) == value


@pytest.mark.parametrize("data", [None, 5, "text", [], True])
def test_data_that_are_no_object_have_nothing_at_a_name(data: Any) -> None:
    assert find(data, "id") is MISSING
    assert in_data(data, "data.id") is MISSING


@pytest.mark.parametrize("path", ["id", "$.id", "data.id", "$.data.id", "event.data.id", "$.event.data.id"])
def test_a_key_in_the_data_may_name_where_the_data_are(path: str) -> None:
    assert in_data(DATA, path) == "A-1"


def test_a_key_that_stands_there_literally_wins() -> None:
    assert in_data({"data": {"id": "inner"}, "id": "outer"}, "data.id") == "inner"


@pytest.mark.parametrize("path", ["data.id", "event.data.id", "$.data.id", "id", "$.event.data.id"])
def test_a_path_at_an_event_finds_its_data(path: str) -> None:
    assert in_event({"name": "order.placed", "data": DATA}, path) == "A-1"


def test_a_path_at_an_event_finds_the_events_own_parts_first() -> None:
    event = {"name": "order.placed", "data": {"name": "theirs"}}
    assert in_event(event, "name") == "order.placed"
    assert in_event(event, "data.name") == "theirs"
    assert in_event(event, "data.id") is MISSING


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("A-1", "A-1"),
        ("1", "1"),
        (1, "1"),
        (1.0, "1"),
        (-0.0, "0"),
        (1.5, "1.5"),
        (2.0**53, "9007199254740992"),
        (2.0**60, "1.152921504606847e18"),
        (2**60, "1152921504606846976"),
        (True, "true"),
        (False, "false"),
        (None, ""),
        ({"b": [1, "ü"]}, '{"b":[1,"ü"]}'),
        ([], "[]"),
    ],
)
def test_text(value: Any, expected: str) -> None:
    assert text(value) == expected


@pytest.mark.parametrize("path", ["id", "$.customer.id", "event.data.x", "kunden-nr", "a" * 255])
def test_a_usable_path(path: str) -> None:
    assert fault(path) is None


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "must not be empty"),
        ("$", "must not be empty"),
        ("$.", "must not be empty"),
        (".a", "empty part"),
        ("a.", "empty part"),
        ("a..b", "empty part"),
        ("$..a", "empty part"),
        ("a b", "blanks"),
        ("a\x00", "control"),
        ("a" * 256, "255 characters"),
    ],
)
def test_an_unusable_path_is_explained(path: str, why: str) -> None:
    assert why in (fault(path) or "")


def test_the_sentinel_is_told_from_every_value() -> None:
    values: tuple[Any, ...] = (None, "", "missing", False)
    assert eventpath.MISSING not in values
