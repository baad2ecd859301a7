"""Which Python values are JSON, and how the others are refused."""

from __future__ import annotations

import dataclasses
import enum
import uuid
import warnings
from collections import OrderedDict, UserDict
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.client.payloads import json_object, json_pair, json_text, json_value
from ironflow_lab.errors import InternalError, InvalidArgumentError
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import RunStatus
from tests.conftest import steady


class Colour(enum.Enum):
    RED = "red"


class Text(str):
    """A text of a kind of its own."""


@dataclasses.dataclass
class Point:
    x: int
    inner: Any = None


class Record(msgspec.Struct, rename="camel"):
    some_name: int


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)


@given(JSON)
def test_json_stays_as_it_is(value: Any) -> None:
    assert msgspec.json.decode(json_text("data", value)) == value


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Point(1, Point(2)), {"x": 1, "inner": {"x": 2, "inner": None}}),
        (Record(some_name=1), {"someName": 1}),
        (OrderedDict(a=1), {"a": 1}),
        (UserDict(a=(1, 2)), {"a": [1, 2]}),
        ({1: "a"}, {"1": "a"}),
        ({"x"}, ["x"]),
        (Colour.RED, "red"),
        (Text("t"), "t"),
        (RunStatus("failed"), "RUN_STATUS_FAILED"),
        (Instant(0), "1970-01-01T00:00:00Z"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z"),
        (date(2026, 1, 2), "2026-01-02"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Decimal("1.10"), "1.10"),
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.float64(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("n"), "n"),
        (np.array([[1, 2]]), [[1, 2]]),
        (pd.Series([1, 2]), [1, 2]),
        ({"t": pd.Timestamp("2026-01-02T00:00:00Z")}, {"t": "2026-01-02T00:00:00+00:00"}),
        (msgspec.Raw(b'{"a": 1}'), {"a": 1}),
    ],
    ids=steady,
)
def test_what_has_a_json_form(value: Any, plain: Any) -> None:
    assert msgspec.json.decode(json_text("data", value)) == plain


def circle() -> list[Any]:
    """Return a list that holds itself."""
    around: list[Any] = []
    around.append(around)
    return around


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (float("nan"), "data is nan"),
        ({"items": [1, {"price": float("inf")}]}, r"data\['items'\]\[1\]\['price'\] is inf"),
        (np.float64("nan"), "data is nan"),
        ([np.nan, 1], r"data\[0\] is nan"),
        (object(), "object has no JSON form"),
        (Point, "type has no JSON form"),
        (lambda: None, "function has no JSON form"),
        ({None: 1}, "keys"),
        (circle(), "contains itself"),
        ({"a": "\udfff"}, "surrogate"),
        ({"\udfff": 1}, "surrogate"),
        (msgspec.Raw(b"{"), "data is not JSON"),
        (pd.NaT, "missing time"),
    ],
    ids=steady,
)
def test_what_has_none_says_where(value: Any, says: str) -> None:
    with pytest.raises(InvalidArgumentError, match=says):
        json_text("data", value)


@pytest.mark.parametrize("number", [2**53 + 1, -(2**53) - 1, 10**30])
def test_integers_beyond_a_double_warn_and_stay(number: int) -> None:
    with pytest.warns(UserWarning, match=rf"data\['n'\]\[0\] = {number} is beyond 2\*\*53"):
        assert msgspec.json.decode(json_text("data", {"n": [number]})) == {"n": [number]}


@pytest.mark.parametrize("number", [2**53, -(2**53), 1e300, True])
def test_other_numbers_do_not_warn(number: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        json_text("data", [number])


def test_the_pair() -> None:
    assert json_pair("data", None) == {}
    assert [*json_pair("data", {"a": 1})] == ["data"]
    assert [*json_pair("data", Point(1))] == ["data"]
    assert [*json_pair("data", [1])] == ["data_value"]


def test_a_text_reads_back() -> None:
    assert [json_value(text) for text in (b"", b"null", b'{"a":[1]}', b'"x"')] == [None, None, {"a": [1]}, "x"]
    for wrong in (b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(InternalError, match="not JSON"):
            json_value(wrong)


def test_metadata_is_an_object() -> None:
    assert json_object("metadata", None) is None
    assert msgspec.json.encode(json_object("metadata", UserDict(a=[1]))) == b'{"a":[1]}'
    with pytest.raises(InvalidArgumentError, match=r"metadata\['a'\] is nan"):
        json_object("metadata", {"a": float("nan")})
