"""Which branches may start and what they come to; what is no branch, no item and no option."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ironflow_lab.errors import DefinitionError
from ironflow_lab.models.workers import Yield
from ironflow_lab.runtime import branches
from ironflow_lab.runtime.branches import Fork, OnError
from ironflow_lab.runtime.journal import Scope


def fork(count: int, concurrency: int = 0, on_error: OnError = "fail_fast") -> Fork:
    return Fork("f", Scope("run_01").branch("f", count), concurrency, on_error, lambda index: (print, 0))


def starts(given: Fork) -> list[int]:
    found: list[int] = []
    while (index := given.start()) is not None:
        found.append(index)
    return found


def test_all_start_unless_a_number_is_given() -> None:
    assert starts(fork(3)) == [0, 1, 2]
    limited = fork(4, 2)
    assert starts(limited) == [0, 1]
    limited.settle(1, "one", None)
    assert starts(limited) == [2]
    limited.settle(0, "zero", None)
    limited.settle(2, "two", None)
    assert starts(limited) == [3]
    limited.settle(3, "three", None)
    assert (limited.start(), limited.running) == (None, 0)
    assert limited.results() == ["zero", "one", "two", "three"]


def test_after_a_failure_none_starts_and_the_lowest_index_speaks() -> None:
    given, first = fork(4, 2), ValueError("first")
    starts(given)
    given.settle(1, None, ValueError("second"))
    assert starts(given) == []
    given.settle(0, None, first)
    with pytest.raises(ValueError, match="first"):
        given.results()


def test_collect_goes_on_and_gives_errors_as_values() -> None:
    given, error = fork(3, 1, "collect"), ValueError("no")
    for index, failure in enumerate((None, error, None)):
        assert starts(given) == [index]
        given.settle(index, index, failure)
    assert given.results() == [0, error, 2]


def test_collect_does_not_collect_what_is_no_exception() -> None:
    given = fork(2, 1, "collect")
    starts(given)
    given.settle(0, None, SystemExit(1))
    assert starts(given) == []
    with pytest.raises(SystemExit):
        given.results()


def test_a_wait_beats_errors_and_the_lowest_index_is_told() -> None:
    given = fork(4, 3)
    starts(given)
    for index in (2, 1):
        given.scopes[index].wanted = Yield(step_id=f"s{index}", type="sleep")
        given.settle(index, "went on", ValueError("after the wait"))
    assert starts(given) == []
    given.settle(0, None, ValueError("no"))
    assert given.wanted == Yield(step_id="s1", type="sleep")


def test_an_ended_branch_takes_no_steps() -> None:
    given = fork(1)
    starts(given)
    given.settle(0, None, None)
    assert given.scopes[0].over == "branch 0 of run_01:f has ended; its steps cannot be used any more"


@pytest.mark.parametrize("concurrency", [-1, 1.5, True, "2", None])
def test_bad_concurrency(concurrency: Any) -> None:
    with pytest.raises(DefinitionError, match="must be a whole number, or 0 for all"):
        branches.check_options("f", concurrency, "collect")


@pytest.mark.parametrize("on_error", ["failFast", None, 0])
def test_bad_on_error(on_error: Any) -> None:
    with pytest.raises(DefinitionError, match="must be 'fail_fast' or 'collect'"):
        branches.check_options("f", 0, on_error)


def test_items_are_read_once() -> None:
    assert branches.listed("f", (n for n in range(3))) == [0, 1, 2]


@pytest.mark.parametrize(
    ("items", "why"),
    [
        (None, "takes a list of items, not NoneType"),
        ("abc", "not str"),
        ({"a": 1}, "not dict"),
        ({1, 2}, "a set, whose order changes"),
        (frozenset(), "a set, whose order changes"),
        (7, "not int"),
    ],
)
def test_bad_items(items: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        branches.listed("f", items)


def test_a_branch_must_be_callable() -> None:
    with pytest.raises(DefinitionError, match="branch 1 of 'f' is int and not a function that takes a branch"):
        branches.functions("f", [print, 7])


@pytest.mark.parametrize("fn", [None, 7])
def test_the_function_of_a_map_must_be_callable(fn: Callable[..., Any] | None) -> None:
    with pytest.raises(DefinitionError, match="instead of a function that takes an item and a branch"):
        branches.item_function("f", fn)
