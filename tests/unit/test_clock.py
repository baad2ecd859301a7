"""Time and ids of the system."""

from __future__ import annotations

import time

import pytest

from ironflow_lab import clock

LETTERS = set("0123456789abcdefghjkmnpqrstvwxyz")


def test_the_clock_counts_nanoseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_767_323_045_000_000_001)
    assert clock.SystemClock().now() == 1_767_323_045_000_000_001


def test_units() -> None:
    assert (clock.NANOSECOND, clock.MICROSECOND, clock.MILLISECOND, clock.SECOND) == (
        1,
        10**3,
        10**6,
        10**9,
    )


def test_ids_have_their_prefix_and_26_safe_letters() -> None:
    made = clock.SystemIds().new("run_")
    assert made.startswith("run_")
    assert len(made) == 30
    assert set(made.removeprefix("run_")) <= LETTERS


def test_ids_of_later_milliseconds_sort_later(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for millisecond in (0, 1, 31, 32, 1_767_323_045_000, 2**48 - 1):
        monkeypatch.setattr(time, "time_ns", lambda now=millisecond: now * clock.MILLISECOND)
        made.append(clock.SystemIds().new(""))
    assert made == sorted(made)
    assert len({len(one) for one in made}) == 1


def test_ids_of_one_millisecond_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 10**18)
    ids = clock.SystemIds()
    assert len({ids.new("run_") for _ in range(1_000)}) == 1_000


def test_tokens_are_long_and_safe_in_a_url() -> None:
    ids = clock.SystemIds()
    tokens = {ids.token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token) == 24 and token.replace("-", "a").replace("_", "a").isalnum() for token in tokens)
