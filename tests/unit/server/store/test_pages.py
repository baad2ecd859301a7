"""Limits, offsets and cursors: bounded, opaque, and refused where they are not ours."""

from __future__ import annotations

import pytest

from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.models.runs import RunStatus
from ironflow_lab.server.store import pages


@pytest.mark.parametrize(("asked", "given"), [(0, 50), (1, 1), (1_000, 1_000), (2**31 - 1, 1_000)])
def test_a_limit_is_bounded(asked: int, given: int) -> None:
    assert pages.limit(asked, 50) == given


def test_negative_wishes_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="limit must not be negative, and -1 is"):
        pages.limit(-1, 50)
    with pytest.raises(InvalidArgumentError, match="offset must not be negative, and -7 is"):
        pages.offset(-7)
    assert pages.offset(7) == 7


@pytest.mark.parametrize("value", ["0", str(2**63 - 1), "order-42", "\u00e9 ?/"])
def test_a_cursor_reads_back(value: str) -> None:
    assert pages.read(pages.write(value)) == value
    if value.isdigit():
        assert pages.number(pages.write(value)) == int(value)


def test_no_cursor_is_the_beginning() -> None:
    assert pages.read("") == ""


@pytest.mark.parametrize("cursor", ["?", "//4=", "\u00e9", "x", "bm90*"])
def test_a_foreign_cursor_is_refused(cursor: str) -> None:
    for read in (pages.read, pages.number):
        with pytest.raises(InvalidArgumentError, match="start again without it"):
            read(cursor)


def test_a_pair_reads_back() -> None:
    assert pages.pair(pages.write(f"{2**63 - 1}.7")) == (2**63 - 1, 7)


@pytest.mark.parametrize("value", ["", "1", "1.", ".1", "1.2.3", "-1.2", "x.1", f"1.{2**63}"])
def test_a_cursor_that_is_no_pair_is_refused(value: str) -> None:
    with pytest.raises(InvalidArgumentError, match="start again without it"):
        pages.pair(pages.write(value))


def test_unknown_words_mean_no_filter() -> None:
    assert [pages.known(RunStatus(word)) for word in ("failed", "", "bogus")] == ["failed", "", ""]


@pytest.mark.parametrize("value", ["", "-1", "1.5", "x", "\u0663", str(2**63), "9" * 40])
def test_a_cursor_of_another_list_is_refused(value: str) -> None:
    with pytest.raises(InvalidArgumentError, match="start again without it"):
        pages.number(pages.write(value))
