"""Durations: every way to write one, and the one way the wire does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.errors import DefinitionError
from ironflow_lab.wire import duration


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [
        (0, 0),
        (5, 5_000),
        (0.5, 500),
        (0.0001, 1),
        (0.1 + 0.2, 300),
        (timedelta(minutes=2), 120_000),
        (timedelta(microseconds=1), 1),
        ("500ms", 500),
        ("5s", 5_000),
        (" 10m ", 600_000),
        ("2h", 7_200_000),
        ("7d", 604_800_000),
        ("1w", 604_800_000),
        ("1.5h", 5_400_000),
        ("1h30m", 5_400_000),
        ("0.5ms", 1),
        ("0s", 0),
    ],
)
def test_milliseconds(value: duration.Duration, milliseconds: int) -> None:
    assert duration.milliseconds(value) == milliseconds
    assert duration.seconds(value) == milliseconds / 1_000


@pytest.mark.parametrize(
    "value",
    [
        "",
        "5",
        "s",
        "5 s",
        "5x",
        "-5s",
        "+5s",
        "5s,",
        "1e3s",
        "five seconds",
        "\N{ARABIC-INDIC DIGIT FIVE}s",
        -1,
        -0.001,
        timedelta(seconds=-1),
        float("nan"),
        float("inf"),
        10**400,
        "9" * 400 + "s",
        True,
        None,
        b"5s",
        [5],
    ],
)
def test_what_is_no_duration(value: Any) -> None:
    with pytest.raises(DefinitionError, match="is not a duration"):
        duration.milliseconds(value)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0ms"),
        (500, "500ms"),
        (90_000, "90s"),
        (3_600_000, "1h"),
        (604_800_000, "7d"),
        (60_001, "60001ms"),
    ],
)
def test_text(milliseconds: int, text: str) -> None:
    assert duration.text(milliseconds) == text


@given(st.integers(0, 10**12))
def test_text_is_read_back(milliseconds: int) -> None:
    assert duration.milliseconds(duration.text(milliseconds)) == milliseconds


@given(st.floats(0, 10**9))
def test_fractions_are_rounded_up(seconds: float) -> None:
    found = duration.milliseconds(seconds)
    assert found >= seconds * 1_000 - 1e-6 * max(1.0, seconds)
    assert found - 1 < seconds * 1_000 + 1e-6


@pytest.mark.parametrize(
    ("milliseconds", "field"), [(0, 0), (2**31 - 1, 2**31 - 1), (2**31, 2**31 - 1), (2**63 - 1, 2**31 - 1)]
)
def test_a_field_of_32_bits_holds_25_days(milliseconds: int, field: int) -> None:
    assert duration.in_field(milliseconds) == field
