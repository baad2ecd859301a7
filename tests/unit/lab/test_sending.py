"""Fingerprints of rows: the same row is called the same, equal rows are told apart."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.lab.sending import digests

values = st.lists(st.dictionaries(st.text(max_size=3), st.integers() | st.none(), max_size=2), max_size=12)


@given(values)
def test_no_two_rows_of_a_batch_share_a_name(rows: list[Any]) -> None:
    assert len(set(digests("e", rows))) == len(rows)


@given(values, st.randoms())
def test_order_does_not_matter(rows: list[Any], random: Any) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert sorted(digests("e", shuffled)) == sorted(digests("e", rows))


@given(values, values)
def test_rows_that_are_added_leave_the_names_of_the_others(rows: list[Any], more: list[Any]) -> None:
    assert digests("e", rows + more)[: len(rows)] == digests("e", rows)


def test_another_event_or_another_value_is_another_name() -> None:
    assert digests("a", [{"n": 1}]) != digests("b", [{"n": 1}])
    assert digests("a", [{"n": 1}]) != digests("a", [{"n": 2}])
