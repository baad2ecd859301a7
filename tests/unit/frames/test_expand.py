"""Paths inside JSON become columns, and no integer is changed on the way."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from ironflow_lab.errors import DefinitionError
from ironflow_lab.frames.expand import expand
from ironflow_lab.frames.jsonarray import JsonArray


def frame(*values: Any) -> pd.DataFrame:
    made = pd.DataFrame({"run_id": [f"run_{n}" for n in range(len(values))], "input": JsonArray.of_values(values)})
    made.attrs = {"source": "runs"}
    return made


def column(values: list[Any]) -> pd.Series:
    return expand(frame(*({"x": value} for value in values)), "input", "x")["input.x"]


def test_chosen_paths_become_columns_after_the_others() -> None:
    wider = expand(frame({"customer": {"id": 5}, "items": [{"sku": "a"}]}, {}), "input", "customer.id", "items.0.sku")
    assert list(wider.columns) == ["run_id", "input", "input.customer.id", "input.items.0.sku"]
    assert wider["input.customer.id"].tolist() == [5, pd.NA]
    assert wider["input.items.0.sku"].tolist() == ["a", pd.NA]
    assert wider.attrs == {"source": "runs"}


def test_without_paths_every_key_in_order_of_appearance() -> None:
    wider = expand(frame({"b": 1}, {"a": 2, "b": 3}, [9], pd.NA), "input")
    assert list(wider.columns)[2:] == ["input.b", "input.a"]
    assert wider["input.b"].tolist() == [1, 3, pd.NA, pd.NA]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, None, 2**53 + 1], "Int64"),
        ([2**63], "json"),
        ([1, 1.5], "Float64"),
        ([2**53 + 1, 1.5], "json"),
        ([True, None], "boolean"),
        ([True, 1], "json"),
        (["a", None], "string"),
        ([{"a": 1}], "json"),
        ([1, "a"], "json"),
        ([None], "json"),
    ],
)
def test_dtype_follows_the_values_and_none_is_changed(values: list[Any], dtype: str) -> None:
    found = column(values)
    assert str(found.dtype) == dtype
    read = [None if value is pd.NA else value for value in found]
    assert read == values


def test_a_key_with_dots_is_found_before_the_path() -> None:
    assert expand(frame({"a.b": 1, "a": {"b": 2}}), "input", "a.b")["input.a.b"].tolist() == [1]


def test_an_empty_frame_gets_the_columns_too() -> None:
    wider = expand(frame(), "input", "customer.id")
    assert wider["input.customer.id"].dtype == "json"
    assert len(wider) == 0


def test_an_index_that_is_not_unique_does_not_matter() -> None:
    doubled = frame({"x": 1}, {"x": 2}).set_axis([4, 4])
    assert expand(doubled, "input", "x")["input.x"].tolist() == [1, 2]


@pytest.mark.parametrize(("name", "remedy"), [("output", "payloads=True"), ("run_id", "json columns: \\['input'\\]")])
def test_a_wrong_column_names_the_remedy(name: str, remedy: str) -> None:
    with pytest.raises(DefinitionError, match=remedy):
        expand(frame({"x": 1}), name, "x")


def test_an_existing_column_is_not_replaced() -> None:
    once = expand(frame({"x": 1}), "input", "x")
    with pytest.raises(DefinitionError, match=r"input\.x"):
        expand(once, "input", "x")
