"""Rows to JSON: nothing rounded, nothing guessed, what has no form named by row and column."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.errors import DefinitionError
from ironflow_lab.frames.jsonarray import JsonArray
from ironflow_lab.lab.rows import plain, rows
from ironflow_lab.wire import codec

BIG = 2**60 + 1


class Colour(StrEnum):
    RED = "red"


class Level(Enum):
    HIGH = 3


def column(values: Any, **options: Any) -> list[Any]:
    return [row["x"] for row in rows(pd.DataFrame({"x": pd.Series(values, **options)}))]


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([1, BIG, None], "Int64", [1, BIG, None]),
        ([BIG, 2], "int64", [BIG, 2]),
        ([2**64 - 1], "uint64", [2**64 - 1]),
        ([1.5, float("nan")], "float64", [1.5, None]),
        ([1.5, None], "Float64", [1.5, None]),
        ([True, None], "boolean", [True, None]),
        ([True, False], "bool", [True, False]),
        (["a", None], "string", ["a", None]),
        (["a", None], "category", ["a", None]),
        ([5, None], "timedelta64[s]", [5, None]),
    ],
)
def test_dtypes(values: list[Any], dtype: str, expected: list[Any]) -> None:
    found = column(values, dtype=dtype)
    assert found == expected
    assert [type(one) for one in found] == [type(one) for one in expected]


def test_times_are_rfc_3339_in_utc_to_the_nanosecond() -> None:
    zoned = pd.to_datetime(pd.Series(["2024-01-01T00:00:00.123456789+02:00", None]))
    assert column(zoned) == ["2023-12-31T22:00:00.123456789Z", None]
    assert column(pd.to_datetime(pd.Series(["2024-01-01", None]))) == ["2024-01-01T00:00:00Z", None]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(BIG), BIG),
        (np.float32(1.5), 1.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.datetime64("2024-01-01T00:00:00"), "2024-01-01T00:00:00Z"),
        (np.timedelta64(1500, "ms"), 1.5),
        (np.array([1, 2]), [1, 2]),
        (pd.NA, None),
        (pd.NaT, None),
        (np.float64("nan"), None),
        (pd.Timestamp("2024-01-01T00:00:00Z"), "2024-01-01T00:00:00Z"),
        (pd.Timedelta("90s"), 90),
        (pd.Period("2024-01"), "2024-01"),
        (datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=1))), "2023-12-31T23:00:00Z"),
        (datetime(2024, 1, 1, 0, 0, 0, 5, tzinfo=UTC), "2024-01-01T00:00:00.000005Z"),
        (date(2024, 1, 1), "2024-01-01"),
        (time(1, 2), "01:02:00"),
        (timedelta(milliseconds=250), 0.25),
        (Decimal("1.10"), "1.10"),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        ({"a": (np.int8(1), {"b": pd.NA})}, {"a": [1, {"b": None}]}),
    ],
)
def test_scalars_and_containers(value: Any, expected: Any) -> None:
    assert plain(value) == expected
    assert json.loads(codec.encode(plain(value))) == expected


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.none(), min_size=1))
def test_integers_are_exact_whatever_is_beside_them(values: list[int | None]) -> None:
    assert column(values, dtype="Int64") == values


def test_json_columns_of_our_frames_go_back_as_they_came() -> None:
    assert column(JsonArray.of([b'{"n":9007199254740993}', None])) == [{"n": 2**53 + 1}, None]


def test_index_is_left_out_and_column_names_become_text() -> None:
    frame = pd.DataFrame([[1, 2]], columns=[0, "b"], index=["row"])
    assert rows(frame) == [{"0": 1, "b": 2}]


def test_no_rows_and_no_columns() -> None:
    assert rows(pd.DataFrame({"x": []})) == []
    assert rows(pd.DataFrame(index=[1, 2])) == [{}, {}]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("inf"), "no infinity"),
        (Decimal("Infinity"), "no infinity"),
        (b"raw", "bytes has no JSON form"),
        ({1: 2}, "key 1 is not text"),
        ({1, 2}, "set has no JSON form"),
        (1 + 2j, "complex has no JSON form"),
        ("\ud800", "surrogate"),
    ],
)
def test_what_has_no_form_is_refused_with_its_place(value: Any, reason: str) -> None:
    bad = pd.Series([None, value], dtype=object, index=["first", "second"])
    with pytest.raises(DefinitionError, match=rf"row 'second', column 'bad': .*{reason}"):
        rows(bad.to_frame("bad"))


def test_two_columns_of_one_name_or_several_levels_are_refused() -> None:
    with pytest.raises(DefinitionError, match="two columns are called 'a'"):
        rows(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    levels = pd.MultiIndex.from_tuples([("a", "b")])
    with pytest.raises(DefinitionError, match="several levels"):
        rows(pd.DataFrame([[1]], columns=levels))
