"""Payloads become JSON text that loses nothing but what is private or too large."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.history import redaction
from ironflow_lab.history.equality import same
from ironflow_lab.history.values import Deferred, Values, clipped, json_text, plain_text, redacted_text
from tests.unit.history.stories import json_values

# The Kelvin sign lowers to a plain k, the long s stays what it is.
_KEYS = ("to\u212aen", "\u017fecret", "api\nkey", "api- .KEY", "Pass", "PASSWD", "cookies", "a", "é", "max_tokens")
secretive = st.recursive(
    st.integers() | st.text(max_size=3) | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                (
                    "to\u212aen",
                    "api\nkey",
                    "api- .KEY",
                    "Pass",
                    "PASSWD",
                    "cookies",
                    "a",
                    "é",
                    "max_tokens",
                    "\u017fecret",
                )
            )
            | st.text(max_size=3),
            inner,
            max_size=3,
        )
    ),
)


@given(json_values)
def test_text_reads_back_as_the_value(value: Any) -> None:
    assert same(json.loads(json_text(value)), value)


@given(secretive)
def test_the_short_cut_past_redaction_hides_as_much(value: Any) -> None:
    assert json.loads(redacted_text(value)) == redaction.redact(value)
    if redaction.is_plain(json_text(value)):
        assert redaction.redact(value) == value


def test_the_short_cut_is_taken_for_ordinary_payloads() -> None:
    assert redaction.is_plain(b'{"amount":10,"items":["x"],"ok":null}')
    assert not redaction.is_plain(b'{"apiKey":1}')
    assert not redaction.is_plain("é".encode())
    assert not redaction.is_plain(b"[" * 65 + b"]" * 65)


@pytest.mark.parametrize("depth", [70, 900, 200_000])
def test_values_nested_without_end_are_cut(depth: int) -> None:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    assert redacted_text(value) == b"[" * 64 + b'"[redacted]"' + b"]" * 64


def test_what_json_lacks_is_a_text_wherever_it_stands() -> None:
    assert json_text([None, {"a": math.nan}, -math.inf]) == b'[null,{"a":"NaN"},"-Infinity"]'
    assert json_text(math.inf) == b'"Infinity"'
    assert json_text([None, 1]) == b"[null,1]"
    assert json_text(["\ud800", math.nan]) == b'["\\ud800","NaN"]'


def test_small_is_inline_large_is_asked_for_and_equal_values_share_a_key() -> None:
    values = Values(inline=10, small=4, budget=12)
    assert values.shown("12345678") == b'"12345678"'
    large = values.shown("123456789")
    assert isinstance(large, Deferred)
    assert (large.bytes, large.head, values.json(large.key)) == (11, '"123456789"', '"123456789"')
    assert values.shown("123456789") == large
    # The budget is used up by one more: from then on only the smallest go inline.
    assert values.shown("12") == b'"12"'
    assert isinstance(values.shown("123"), Deferred)
    assert values.shown("12") == b'"12"'
    with pytest.raises(KeyError):
        values.json("nothing")


def test_a_head_is_whole_characters() -> None:
    asked = Values(inline=10).shown("é" * 300)
    assert isinstance(asked, Deferred)
    assert asked.head == '"' + "é" * 99


def test_texts_are_cut_and_clean() -> None:
    assert plain_text("x" * 3_000) == "x" * 1_999 + "…"
    assert plain_text("a\ud800b\U0001f600") == "a\ufffdb\U0001f600"
    assert clipped({"k" * 3_000: ["v" * 3_000, 1]}) == {"k" * 1_999 + "…": ["v" * 1_999 + "…", 1]}
    msgspec.json.encode(plain_text("\udfff\ud800"))
