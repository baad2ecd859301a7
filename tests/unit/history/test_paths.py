"""Paths are written so that no two read alike, and values are shown as their whole document would show them."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.errors import DefinitionError
from ironflow_lab.history import redaction
from ironflow_lab.history.paths import Path, path_text, read_path, shown_at, value_at
from tests.unit.history.stories import HOSTILE, json_values, keys

paths = st.lists(keys | st.text() | st.integers(0, 12), max_size=5).map(tuple)
_PART = re.compile(r"\[(\d+)\]|\.?(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')|\.?([^\W\d][\w-]*(?::\d+)?)")


def read(text: str) -> Path:
    """Read a path back."""
    found: list[str | int] = []
    at = 0
    while at < len(text):
        part = _PART.match(text, at)
        assert part is not None, f"cannot be read: {text[at:]!r}"
        found.append(int(part[1]) if part[1] else _unquoted(part[2]) if part[2] else part[3])
        at = part.end()
    return tuple(found)


def _unquoted(text: str) -> str:
    if text[0] == '"':
        return str(json.loads(text))
    return text[1:-1].encode("ascii").decode("unicode_escape")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("steps", "charge", "output", "amount"), "steps.charge.output.amount"),
        (("steps", "charge:1", "output", "items", 0), "steps.charge:1.output.items[0]"),
        (("steps", "a.b", "output", "unit price"), 'steps."a.b".output."unit price"'),
        (("run", "input", ""), 'run.input.""'),
        (("run", "input", "0", 0, "ключ"), 'run.input."0"[0].ключ'),
        (("a:b", 'say "hi"\n'), '"a:b"."say \\"hi\\"\\n"'),
        (("\ud800",), "'\\ud800'"),
        ((), ""),
    ],
)
def test_a_path_is_written_as_one_would_say_it(path: Path, text: str) -> None:
    assert path_text(path) == text
    assert read_path(text) == path


@given(paths | st.lists(st.sampled_from(HOSTILE)).map(tuple))
def test_a_written_path_can_be_read_back(path: Path) -> None:
    assert read(path_text(path)) == path
    assert read_path(path_text(path)) == path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("output.unit price.0", ("output", "unit price", "0")),
        ("steps.pack:0:wrap.output", ("steps", "pack:0:wrap", "output")),
        ("a-b[3][0].c", ("a-b", 3, 0, "c")),
        ("steps.'a.b'", ("steps", "a.b")),
        ('"a.b"[1]', ("a.b", 1)),
    ],
)
def test_a_key_need_not_be_quoted_where_nothing_is_in_doubt(text: str, path: Path) -> None:
    assert read_path(text) == path


@pytest.mark.parametrize(
    "text",
    [".a", "a.", "a..b", "a[", "a[x]", "a[-1]", "a[1", 'a."b', 'a."b"c', "a]b", 'a."\\x"', "a.'\\x'", "[" * 50_000],
)
def test_a_path_that_cannot_be_read_says_where(text: str) -> None:
    with pytest.raises(DefinitionError, match="path") as raised:
        read_path(text)
    assert len(str(raised.value)) < 400


@given(st.text())
def test_any_text_is_a_path_or_refused(text: str) -> None:
    try:
        path = read_path(text)
    except DefinitionError:
        return
    assert read_path(path_text(path)) == path


def test_a_value_is_found_by_its_path() -> None:
    document = {"a": [{"b": None}], "0": 1}
    assert value_at(document, ("a", 0, "b")) is None
    for path in (("a", 1), ("a", "0"), (0,), ("a", -1), ("a", 0, "b", "c"), ("x",)):
        assert value_at(document, path) is msgspec.UNSET
    assert value_at(document, ()) is document


@given(json_values)
def test_a_value_is_shown_as_the_whole_would_show_it(value: Any) -> None:
    shown = redaction.redact(value)
    for path in _all(value, ()):
        there, expected = shown, None
        for part in path:
            if not isinstance(there, dict | list):
                expected = redaction.HIDDEN
                break
            there = there[part]  # type: ignore[index]  # keys for dicts, indices for lists
        assert shown_at(path, value_at(value, path)) == (expected or there)


def _all(value: Any, path: Path) -> list[Path]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, member in inner for found in _all(member, (*path, key)))]
