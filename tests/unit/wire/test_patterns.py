"""Event names against patterns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.wire import patterns

TOKENS = st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("order.placed", "order.placed", True),
        ("order.placed", "order.place", False),
        ("order.*", "order.placed", True),
        ("order.*", "order", False),
        ("order.*", "order.placed.late", False),
        ("*.placed", "order.placed", True),
        ("*", "order", True),
        ("*", "order.placed", False),
        ("order.>", "order.placed", True),
        ("order.>", "order.placed.late", True),
        ("order.>", "order", False),
        (">", "order", True),
        (">", "order.placed", True),
        ("*.>", "order", False),
        ("order.*.late", "order.placed.late", True),
    ],
)
def test_matches(pattern: str, name: str, matches: bool) -> None:
    assert patterns.matches(pattern, name) is matches


@given(TOKENS)
def test_every_name_matches_itself_its_stars_and_its_rest(tokens: list[str]) -> None:
    name = ".".join(tokens)
    assert patterns.matches(name, name)
    assert patterns.matches(".".join("*" for _ in tokens), name)
    assert patterns.matches(".".join([*tokens[:-1], ">"]), name)
    assert not patterns.matches(".".join([*tokens, "*"]), name)
    assert not patterns.matches(".".join([*tokens, ">"]), name)


@given(TOKENS, st.data())
def test_a_star_stands_for_one_part(tokens: list[str], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(tokens) - 1))
    starred = [*tokens[:at], "*", *tokens[at + 1 :]]
    other = [*tokens[:at], data.draw(st.text("xyz", min_size=1)), *tokens[at + 1 :]]
    assert patterns.matches(".".join(starred), ".".join(other))


@pytest.mark.parametrize("pattern", ["order", "order.placed", "order.*", ">", "a.*.>", "ö.ä", "a-b_c"])
def test_good_patterns(pattern: str) -> None:
    assert patterns.fault(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("", "empty"),
        (" order", "blanks"),
        ("or der", "blanks"),
        ("order\x07", "control"),
        ("order..placed", "empty part"),
        (".order", "empty part"),
        ("order.", "empty part"),
        (">.order", "last part"),
        ("ord*", "whole parts"),
        ("order.a>", "whole parts"),
    ],
)
def test_faults_say_what_is_wrong(pattern: str, says: str) -> None:
    assert says in (patterns.fault(pattern) or "")
