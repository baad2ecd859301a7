"""The `json` dtype: exact, decoded when read, missing apart from null, harmless when shown."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.frames.jsonarray import JsonArray, JsonDtype

BIG = 2**63 + 12345


def series(*texts: bytes | None) -> pd.Series:
    return pd.Series(JsonArray.of(texts))


def test_values_are_decoded_when_read_and_integers_keep_every_digit() -> None:
    values = series(b'{"n": 9223372036854788153, "list": [1, 2]}', b"null", None, b'"text"')
    assert values[0] == {"n": BIG, "list": [1, 2]}
    assert values[1] is None
    assert values[2] is pd.NA
    assert values[3] == "text"


def test_absent_is_missing_and_null_is_not() -> None:
    assert series(b"null", None).isna().tolist() == [False, True]


@given(st.lists(st.none() | st.integers() | st.text() | st.lists(st.integers())))
def test_texts_survive_any_round_trip(values: list[Any]) -> None:
    texts: list[bytes | None] = [msgspec.json.encode(value) for value in values]
    array = JsonArray.of(texts)
    picked = pd.concat([pd.Series(array), pd.Series(array)]).reset_index(drop=True)
    assert picked.array.texts == texts + texts
    assert list(array) == values
    assert JsonArray.of_values(values).texts == texts


def test_lists_of_equal_length_stay_lists() -> None:
    values = series(b"[1,2]", b"[3,4]")
    assert values.to_numpy().tolist() == [[1, 2], [3, 4]]
    assert values.to_numpy().shape == (2,)
    assert np.asarray(values.array).shape == (2,)
    assert values.map(len).tolist() == [2, 2]


def test_strings_give_the_texts_for_files() -> None:
    texts = series(b'{"n":1}', None).astype("string")
    assert texts.tolist() == ['{"n":1}', pd.NA]


def test_dtype_is_found_by_name_and_is_the_same_when_empty() -> None:
    assert pd.Series([], dtype="json").dtype == JsonDtype()
    assert series().dtype == "json"
    assert pd.Series([{"a": 1}, pd.NA], dtype="json")[0] == {"a": 1}


def test_taking_filtering_and_joining_keep_the_dtype() -> None:
    frame = pd.DataFrame({"key": [1, 2, 3], "value": series(b"1", b"2", b"3")})
    assert frame[frame["key"] > 1]["value"].tolist() == [2, 3]
    joined = pd.DataFrame({"key": [3, 9]}).merge(frame, on="key", how="left")
    assert joined["value"].dtype == "json"
    assert joined["value"][0] == 3
    assert joined["value"][1] is pd.NA


def test_equality_compares_values_and_missing_equals_nothing() -> None:
    values = series(b'{"a": 1}', b'{"a":1.0}', None)
    assert (values == {"a": 1}).tolist() == [True, True, False]
    pd.testing.assert_series_equal(values, values.copy())


def test_duplicates_are_found_by_text() -> None:
    assert series(b"[1]", b"[1]", b"[2]").drop_duplicates().tolist() == [[1], [2]]


def test_writing_is_refused_with_the_remedy() -> None:
    values = series(b"1")
    with pytest.raises(TypeError, match="read-only"):
        values[0] = 2


def test_shown_redacted_cut_and_escaped() -> None:
    frame = pd.DataFrame(
        {"value": series(b'{"password": "hunter2"}', b'"<script>alert(1)</script>"', b'"' + b"x" * 999 + b'"')}
    )
    html = str(getattr(frame, "_repr_html_")())  # noqa: B009 - the stubs take it for a column
    for shown in (repr(frame), html):
        assert "hunter2" not in shown
        assert "[redacted]" in shown
        assert "x" * 100 not in shown
    assert "<script>" not in html


def test_numbers_out_of_range_and_deep_nesting_can_be_read_and_shown() -> None:
    deep, shallow = (b"[" * levels + b"]" * levels for levels in (257, 256))
    values = series(b"1e400", deep, shallow)
    assert values[0] == float("inf")
    assert isinstance(values[1], msgspec.Raw)
    assert isinstance(values[2], list)
    assert "inf" not in repr(values).lower() or repr(values)
    assert "deep" in repr(values)


def test_size_counts_the_texts() -> None:
    assert JsonArray.of([b"12345", None]).nbytes == 5 + 16
