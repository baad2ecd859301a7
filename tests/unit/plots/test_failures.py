"""Failures by cause: counted, named, safe to draw."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from ironflow_lab.errors import DefinitionError
from ironflow_lab.plots.failures import cause, causes, failures


def frame(*rows: tuple[str, str | None, str | None]) -> pd.DataFrame:
    status, error, code = ([row[place] for row in rows] for place in range(3))
    return pd.DataFrame(
        {
            "status": pd.Categorical(status),
            "error": pd.array(error, dtype="string"),
            "error_code": pd.array(code, dtype="string"),
        }
    )


DECLINED = ("failed", "card 4242 declined", "DECLINED")
CRASH = ("failed", "KeyError: 'x'", "ERROR")
FINE = ("completed", None, None)


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        ("DECLINED", "card 1 declined", "DECLINED"),
        ("ERROR", "order 17 is unknown", "order # is unknown"),
        ("", "run 550e8400-e29b-41d4-a716-446655440000 lost", "run # lost"),
        ("STEP_FAILED", "first line\nsecond", "first line"),
        ("ERROR", "", "ERROR"),
        ("", "", "no error recorded"),
    ],
)
def test_a_cause_is_the_code_or_the_message_without_its_numbers(code: str, message: str, expected: str) -> None:
    assert cause(code, message) == expected


def test_long_messages_are_cut() -> None:
    assert len(cause("ERROR", "x" * 500)) == 60


def test_only_failures_count_the_most_frequent_first_with_an_example() -> None:
    table = causes(frame(FINE, CRASH, DECLINED, ("failed", "card 7 declined", "DECLINED")))
    assert table["cause"].tolist() == ["DECLINED", "KeyError: 'x'"]
    assert table["count"].tolist() == [2, 1]
    assert table["example"].tolist() == ["card 4242 declined", "KeyError: 'x'"]


def test_the_figure_has_a_labelled_bar_a_cause() -> None:
    figure = failures(frame(FINE, CRASH, DECLINED, DECLINED))
    (bars,) = figure.data
    assert list(bars.y) == ["DECLINED", "KeyError: &#x27;x&#x27;"]
    assert list(bars.x) == [2, 1]
    assert figure.layout.title.text == "Failures by cause: 3 of 4"
    assert figure.layout.xaxis.title.text == "failed"
    assert figure.layout.yaxis.title.text == "cause"


def test_a_number_that_never_varies_is_part_of_the_cause() -> None:
    high = ("failed", "tip is more than 40 % of the bill\nand more", "STEP_FAILED")
    unknown = [("failed", f"order {number} unknown", "ERROR") for number in (7, 8)]
    assert list(causes(frame(high, high, *unknown))["cause"]) == [
        "order # unknown",
        "tip is more than 40 % of the bill",
    ]


def test_other_peoples_words_are_not_markup() -> None:
    figure = failures(frame(("failed", "<img src=x onerror=alert(1)>", "ERROR")))
    assert "<img" not in json.dumps(figure.to_plotly_json(), default=str)


@pytest.mark.parametrize("rows", [[], [FINE]])
def test_without_failures_it_says_so(rows: list[Any]) -> None:
    figure = failures(frame(*rows))
    assert figure.layout.annotations[0].text == "Nothing failed."


def test_steps_that_timed_out_count_too() -> None:
    assert causes(frame(("timed_out", "no answer", "TIMEOUT")))["count"].tolist() == [1]


def test_most_bounds_the_bars_not_the_total() -> None:
    many = frame(*(("failed", "", f"CODE_{letter}") for letter in "ABCDEF"))
    figure = failures(many, most=2)
    assert len(figure.data[0].y) == 2
    assert "6 of 6" in figure.layout.title.text


def test_a_frame_without_the_columns_is_refused_by_name() -> None:
    with pytest.raises(DefinitionError, match="error_code"):
        failures(pd.DataFrame({"status": ["failed"], "error": ["x"]}))
