"""What counts as JSON, what is refused and how the refusal names it."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import uuid
from collections import OrderedDict, namedtuple
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.errors import PayloadError
from ironflow_lab.models.instant import Instant
from ironflow_lab.runtime import payloads
from ironflow_lab.runtime.payloads import settle

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@dataclasses.dataclass
class Order:
    total: int = 1


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


Point = namedtuple("Point", "x y")


def refused(value: Any) -> str:
    with pytest.raises(PayloadError) as caught:
        settle(value, "step 'a'")
    assert caught.value.code == "SERIALIZATION_ERROR"
    assert not caught.value.retryable
    return str(caught.value)


@given(JSON)
def test_json_comes_back_equal_and_apart(value: Any) -> None:
    text, back = settle(value, "step")
    assert back == value
    assert msgspec.json.decode(text) == value
    assert back is not value or not isinstance(value, dict | list)


@pytest.mark.parametrize(
    ("value", "reads_back"),
    [
        ((1, (2, 3)), [1, [2, 3]]),
        (Point(1, 2), [1, 2]),
        (OrderedDict(a=1), {"a": 1}),
        (Level.HIGH, 3),
        (2**70, 2**70),
        (np.float64(1.5), 1.5),
        (np.int64(7), 7),
        ({"n": np.int8(1), "ok": np.True_, "s": np.str_("x")}, {"n": 1, "ok": True, "s": "x"}),
        (Instant(1_000_000_000), "1970-01-01T00:00:01Z"),
        (msgspec.json.decode(b'"\\ud83d\\ude00"'), "\U0001f600"),
    ],
)
def test_what_json_can_say_in_other_clothes_is_taken(value: Any, reads_back: Any) -> None:
    _, back = settle(value, "step")
    assert back == reads_back
    assert type(back) is type(reads_back)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"items": [{"price": float("nan")}]}, "$.items[0].price is nan; return None"),
        ([1, float("-inf")], "$[1] is -inf"),
        ({"a": {1: "x"}}, "the key 1 of $.a is a int; keys must be strings"),
        ({"when": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)}, "$.when is a datetime; return .isoformat()"),
        ([datetime.date(2026, 1, 2)], "$[0] is a date; return .isoformat()"),
        ({"o": Order()}, "$.o is a Order; return dataclasses.asdict(x)"),
        ({1, 2}, "$ is a set; return a sorted list"),
        (b"x", "$ is a bytes"),
        (decimal.Decimal("1.1"), "$ is a Decimal"),
        (uuid.UUID(int=1), "$ is a UUID"),
        (Colour.RED, "$ is a Colour"),
        (pd.DataFrame({"a": [1]}), "$ is a DataFrame; return .to_dict('records')"),
        ({"s": pd.Series([1])}, "$.s is a Series; return .tolist()"),
        (np.array([1]), "$ is a ndarray; return .tolist()"),
        (np.float64("nan"), "$ is nan"),
        (pd.NA, "$ is a NAType; return None"),
        (pd.Timestamp("2026-01-02"), "$ is a Timestamp; return .isoformat()"),
        ("\ud800", "$ holds a lone surrogate"),
        ({"\ud800": 1}, "a key of $ holds a lone surrogate"),
        (object(), "$ is a object; return plain dicts"),
        (range(3), "$ is a range; return list(x)"),
        (lambda: 1, "$ is a function"),
    ],
)
def test_what_is_not_json_is_refused_by_path_with_the_remedy(value: Any, named: str) -> None:
    assert refused(value).startswith("step 'a' returned something that is not JSON: ")
    assert named in refused(value)


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    assert "contains itself" in refused(value)


def test_a_coroutine_is_refused_and_closed() -> None:
    async def forgotten() -> int:
        return 1

    # Not closed, it would warn that it was never awaited, and warnings are errors here.
    assert "$ is a coroutine; await it" in refused(forgotten())


def test_a_value_whose_own_code_fails_is_refused() -> None:
    class Odd(dict[str, Any]):
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("no comparing")

        __hash__ = None

    assert "is not JSON" in refused(Odd(a=1))


def test_a_later_change_of_the_value_does_not_reach_what_was_returned() -> None:
    value = {"items": [1]}
    text, back = settle(value, "step")
    value["items"].append(2)
    assert back == {"items": [1]}
    assert bytes(text) == b'{"items":[1]}'


def test_the_size_is_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    fits = "x" * (payloads.LARGEST - 2)
    settle(fits, "step 'a'")
    message = refused(fits + "x")
    assert "step 'a' returned 4.0 MiB of JSON and the limit is 4 MiB" in message
    assert "return where it is" in message
