"""Frames of comparisons have the declared columns, empty or not, and hold exact values."""

from __future__ import annotations

from typing import Any

import msgspec
import pandas as pd
import pytest

from ironflow_lab.frames import comparison, schema
from ironflow_lab.frames.comparison import COMPARISON, SHARED, comparison_frame, shared_frame
from ironflow_lab.frames.jsonarray import JsonDtype
from ironflow_lab.history.align import align
from ironflow_lab.history.facts import Fact
from ironflow_lab.history.shared import Difference
from ironflow_lab.models.runs import Error
from tests.unit.history.recordings import recording, step

KINDS = {
    schema.TEXT: "string",
    schema.NUMBER: "Int64",
    schema.REAL: "Float64",
    schema.FLAG: "boolean",
    schema.SPAN: "timedelta64[ns]",
    schema.WORD: "category",
    schema.JSON: "json",
}


def frame_of(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> pd.DataFrame:
    return comparison_frame(align(recording(a), recording(b, run_id="run_000000000002")).pairs)


@pytest.mark.parametrize(
    ("empty", "columns"), [(comparison_frame([]), COMPARISON), (shared_frame([]), SHARED)], ids=["pairs", "facts"]
)
def test_an_empty_frame_has_the_declared_dtypes(empty: pd.DataFrame, columns: tuple[schema.Column, ...]) -> None:
    assert list(empty.columns) == [column.name for column in columns]
    assert [str(dtype) for dtype in empty.dtypes] == [KINDS[column.dtype] for column in columns]


def test_pairs_stand_side_by_side_and_what_a_run_lacks_is_missing() -> None:
    failed = step("b", error=Error(message="declined", code="NO"))
    found = frame_of([step("a", {"n": 2**70}), step("b", 2), step("c", 3)], [step("a", {"n": 2**70 + 1}), failed])
    assert list(found.dtypes) == list(comparison_frame([]).dtypes)
    assert list(found["kind"]) == ["changed", "changed", "only in a"]
    assert found["output_a"][0] == {"n": 2**70}
    assert (found["paths"][0], found["differs"][1], found["error_b"][1]) == ("n", "status, error", "NO: declined")
    assert found.loc[2, ["status_b", "output_b", "tries_b", "label_b"]].isna().all()
    assert list(found["given_known"]) == [False, False, False]


def test_values_of_any_kind_can_be_held_and_shown() -> None:
    deep: Any = 1
    for _ in range(5_000):
        deep = {"a": [deep]}
    odd = {"\ud800": "\udfff", "big": 10**500}
    found = frame_of([step("a", deep), step("b", odd)], [step("a", 1), step("b", 2)])
    assert found["output_a"][1] == odd
    assert isinstance(found["output_a"][0], msgspec.Raw)
    assert bytes(found["output_a"][0]).startswith(b'{"a":[{"a":[')
    assert "nested too deeply" in found.to_string()


def test_very_many_paths_are_counted() -> None:
    found = frame_of([step("a", list(range(100)))], [step("a", [-1] * 100)])
    assert found["paths"][0].endswith("[9], and 90 more")


def test_facts_and_their_counts() -> None:
    fact = Fact(kind="input", path=("input", "country"), test="=", value="DE")
    hidden = Fact(kind="input", path=("input", "token"), test="!=", value="x")
    gone = Fact(kind="step", path=("steps", "validate"), test="absent")
    counts: dict[str, Any] = {"has": 3, "known": 4, "others_have": 1, "others_known": 4}
    found = shared_frame(
        [Difference(fact=fact, **counts, chance=0.01, also=(gone,)), Difference(fact=hidden, **counts, chance=1.0)]
    )
    assert [str(dtype) for dtype in found.dtypes] == [str(dtype) for dtype in shared_frame([]).dtypes]
    assert found["fact"].tolist() == ['input.country = "DE"', 'input.token != "[redacted]"']
    assert found["value"].tolist() == ["DE", "[redacted]"]
    assert (found["score"][0], found["chance"][0], found["also"][0]) == (0.5, 0.01, "steps.validate is absent")
    assert found["sure"].tolist() == [True, False]
    assert isinstance(found["value"].dtype, JsonDtype)


def test_columns_say_where_they_come_from() -> None:
    assert all(column.source for column in (*comparison.COMPARISON, *comparison.SHARED))
