"""Trigger expressions: what they see, how numbers compare, and what is refused before it can cost anything."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ironflow_lab.clock import SECOND
from ironflow_lab.errors import InvalidArgumentError, UnimplementedError
from ironflow_lab.server.engine import conditions
from ironflow_lab.server.engine.conditions import Seen, check
from tests.unit.server.engine.states import event

DATA: dict[str, Any] = {
    "total": 150,
    "price": 150.5,
    "n": 1.0,
    "sku": "A-77",
    "tags": ["new", "blue"],
    "counts": [1, 2.5, 3],
    "items": [{"sku": "x", "price": 5}, {"sku": "y", "price": 150}],
    "paid": True,
    "none": None,
    "big": 9_007_199_254_740_993,
    "customer": {"id": 7, "first name": "Ada"},
}


def holds(expression: str, data: Any = None, **changes: Any) -> bool:
    """Return whether an expression that may be registered is true of an event."""
    check(expression)
    given = DATA if data is None else data
    return Seen(event(**{"data": json.dumps(given).encode(), **changes})).holds(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "data.total > 100",
        "data.price > 100",
        "data.price > 150",
        "data.total >= 150 && data.total <= 150.0",
        "data.n == 1",
        "data.n == 1.0",
        "data.total != 151",
        "data.total in [150, 151]",
        "data.price in [150.5]",
        "3 in data.counts",
        "2.5 in data.counts",
        "data.total * 2.0 > 299.5",
        "data.big == 9007199254740993",
        "data.sku == 'A-77'",
        'data.sku == "A-77"',
        "data.sku != 'B'",
        "data.sku > 'A'",
        "data.sku.contains('77')",
        "data.sku.startsWith('A-') && data.sku.endsWith('7')",
        "data.sku.matches('^A-[0-9]+$')",
        r"data.sku.matches(r'^A-\d+$')",
        r"data.sku.matches('^A-\\d+$')",
        "'blue' in data.tags",
        "'total' in data",
        "size(data.tags) == 2 && data.tags.size() == 2",
        "data.paid",
        "!(data.total < 100)",
        "data.paid || data.nope",
        "data.nope || data.paid",
        "data.none == null",
        "has(data.total) && !has(data.nope)",
        "data.customer.id == 7 && data['customer']['first name'] == 'Ada'",
        "data.items[1].price == 150",
        "data.items.exists(i, i.sku == 'y' && i.price > 100)",
        "data.items.all(i, i.price > 1)",
        "data.items.exists_one(i, i.sku == 'x')",
        "data.paid ? data.total > 1 : false",
        "data.total > 100 // large ones",
    ],
)
def test_what_is_true(expression: str) -> None:
    assert holds(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "data.total > 150",
        "data.n == 2",
        "data.big == 9007199254740992",
        "data.sku.contains('B')",
        "data.sku.matches('^B')",
        "'red' in data.tags",
        "data.paid && data.total > 1000",
        "!data.paid",
        "data.items.exists(i, i.sku == 'z')",
    ],
)
def test_what_is_false(expression: str) -> None:
    assert not holds(expression)


@pytest.mark.parametrize(
    "expression",
    ["data.nope > 1", "data.total", "data.sku > 5", "data.total / 0 == 1", "data.tags[9] == 'x'", "data.none > 1"],
)
def test_an_error_and_a_value_that_is_not_true_mean_no(expression: str) -> None:
    assert not holds(expression)


@pytest.mark.parametrize("data", [None, 5, "text", [1], True])
def test_data_that_are_no_object_mean_no(data: Any) -> None:
    check("data.total > 100")
    assert not Seen(event(data=json.dumps(data).encode())).holds("data.total > 100")


def test_the_rest_of_the_event_is_seen() -> None:
    given: dict[str, Any] = {
        "metadata": b'{"team":"ops"}',
        "source": "webhook",
        "version": 2,
        "at": 1_767_323_045 * SECOND,
    }
    for expression in (
        "name == 'order.placed' && event.name == name",
        "source == 'webhook' && event.source == source",
        "metadata.team == 'ops' && event.metadata.team == 'ops'",
        "event.data.total > 100 && event.version == 2 && event.id == 'evt_1'",
        "eventNamespace == 'events'",
        "timestamp == timestamp('2026-01-02T03:04:05Z') && timestamp.getFullYear() == 2026",
        "event.timestamp < timestamp('2027-01-01T00:00:00Z')",
    ):
        assert holds(expression, **given), expression
    assert not holds("metadata.team == 'ops'", metadata=None)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", "must not be blank"),
        (" \n", "must not be blank"),
        ("data.total >", r"line 1, column 13: mismatched input '<EOF>'; write CEL, such as"),
        ("data.total > 1\n&& + 2", r"line 2, column 4"),
        ("data.total > 100 and data.paid", "line 1, column 18"),
        ("data.\ud800", "not CEL"),
        ("x" * 100_000, "at most 1,000 characters, and this one has 100,000"),
        ("(" * 200 + "true" + ")" * 200, "not CEL"),
        ("||".join(["data.a"] * 100), "at most 200 words"),
        ("total > 100", "no variable 'total'; it sees data, event,"),
        ("topic == 'a'", "no variable 'topic'"),
        ("data.sku.lower() == 'a'", "no function 'lower' here; it has contains"),
        ("unknown_function(data)", "no function 'unknown_function'"),
        ("1 + 1", "must give true or false"),
        ("'yes'", "must give true or false"),
        ("name", "must give true or false"),
        ("data", "must give true or false"),
        ("size(data)", "must give true or false"),
        ("data.sku.matches('(')", r"matches\('\('\): not a regular expression, unclosed group"),
        (r"data.sku.matches('(\\w{100}){100}')", "too large once its repetitions are written out"),
        ("||".join(["data.a.matches('a')"] * 4), r"at most 3 matches\(\), and this one 4"),
    ],
)
def test_what_is_wrong_is_refused_with_the_place_and_the_remedy(expression: str, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        check(expression)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("data.items.map(i, i.price).size() > 1", r"cannot use map\(\)"),
        ("size(data.items.filter(i, i.price > 1)) > 1", r"cannot use filter\(\)"),
        ("data.a.exists(x, data.a.exists(y, x == y))", "may name 'x' alone on this embedded server, not 'data'"),
        ("data.a.exists(x, x.all(y, y))", r"cannot use all\(\) inside exists\(\)"),
        ("data.a.all(x, x in data.b)", "may name 'x' alone"),
        ("data.a.exists(x, x.sku.matches('a'))", r"cannot use matches\(\) inside exists\(\)"),
        ("[data, data].exists(x, x == x)", r"follows a plain path here, as in data.items.exists\(x, ...\)"),
        ("(data.paid ? data.a : data.b).all(x, x)", "follows a plain path"),
        ("data.sku.matches(data.pattern)", "pattern of .* is written out here"),
        ("data.sku.matches('a' + data.pattern)", "pattern of .* is written out here"),
    ],
)
def test_what_could_cost_more_than_a_look_at_the_event_is_refused(expression: str, words: str) -> None:
    with pytest.raises(UnimplementedError, match=words):
        check(expression)


@pytest.mark.parametrize(
    "expression",
    ["data.note == 'ask map(x) or data.a.map(y, y)'", 'data.note.contains("it\'s .filter(")', "data.map == 1"],
)
def test_words_in_texts_and_fields_are_no_calls(expression: str) -> None:
    check(expression)


def test_an_event_that_is_too_large_is_not_looked_into() -> None:
    large = {"total": 150, "pad": "x" * conditions.LARGEST_DATA}
    assert not holds("data.total > 100", large)
    assert holds("data.total > 100", {**large, "pad": "x" * (conditions.LARGEST_DATA - 100)})
    middling = {"total": 150, "sku": "A", "pad": "x" * conditions.LARGEST_SEARCHED}
    assert not holds("data.sku.matches('A')", middling)
    assert holds("data.sku == 'A'", middling)


def test_numbers_beyond_64_bits_and_half_surrogates_do_no_harm() -> None:
    assert holds("data.n > 1", {"n": 10**30})
    assert holds("data.n < 1", {"n": -(10**4_000)})
    assert not Seen(event(data=b'{"s":"\\ud800"}')).holds("data.s != 'x'")


def test_the_payload_is_read_once_for_all_expressions(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []
    real = conditions._loads

    def loads(text: bytes) -> Any:
        read.append(text)
        return real(text)

    monkeypatch.setattr(conditions, "_loads", loads)
    seen = Seen(event(data=b'{"total":5}'))
    assert seen.holds("data.total == 5")
    assert seen.holds("data.total < 6")
    assert read == [b'{"total":5}']
    assert seen.holds("name == 'order.placed'")
    assert len(read) == 1
