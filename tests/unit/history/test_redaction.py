"""Values under secret-looking keys never show; what shows is short and on one line."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.history import redaction

SECRET = "s3cr3t-value"


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "Passwd",
        "passphrase",
        "client_secret",
        "token",
        "accessToken",
        "api_key",
        "apiKey",
        "API-Key",
        "x.api.key",
        "Authorization",
        "credentials",
        "private_key",
        "Cookie",
    ],
)
def test_secret_looking_keys_are_hidden_at_any_depth(key: str) -> None:
    value = {"deep": [{"er": {key: SECRET, "kept": 1}}]}
    assert redaction.redact(value) == {"deep": [{"er": {key: redaction.HIDDEN, "kept": 1}}]}


def test_what_is_under_a_secret_key_is_hidden_whole() -> None:
    assert redaction.redact({"secrets": {"a": SECRET}}) == {"secrets": redaction.HIDDEN}


def test_numbers_under_token_counts_and_flags_are_shown() -> None:
    value = {"max_tokens": 512, "has_password": True, "password": None, "token_id": 7}
    assert redaction.redact(value) == {
        "max_tokens": 512,
        "has_password": True,
        "password": None,
        "token_id": redaction.HIDDEN,
    }


def test_ordinary_keys_are_left_as_they_are() -> None:
    value = {"keyboard": "x", "monkey": 1, "passenger": [1, 2], "tip": 1.5}
    assert redaction.redact(value) == value


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_a_planted_secret_shows_nowhere(value: Any) -> None:
    planted = {"wrap": value, "list": [{"db_password": SECRET}, value], "token": [SECRET]}
    for shown in (redaction.show(planted, limit=10_000), redaction.pretty(planted, limit=10_000)):
        assert SECRET not in shown


def test_preview_is_cut_and_on_one_line() -> None:
    text = redaction.preview(msgspec.json.encode({"a": "x" * 500, "b": "line\nbreak"}), limit=40)
    assert len(text) == 40
    assert text.endswith("…")
    assert "\n" not in text


def test_hostile_nesting_does_not_raise() -> None:
    for levels in (257, 5_000, 500_000):
        assert "deep" in redaction.preview(b"[" * levels + b"]" * levels)
    nested: Any = SECRET
    for _ in range(100):
        nested = [nested]
    assert SECRET not in redaction.show(nested, limit=10_000)


def test_what_is_not_json_is_shown_as_text() -> None:
    assert redaction.preview(b"{broken") == "{broken"


def test_what_only_the_slower_encoder_takes_is_shown_too() -> None:
    assert redaction.show({"a": "\ud800", "big": 10**30}, limit=100) == '{"a":"\\ud800","big":' + f"{10**30}" + "}"
