"""Chosen paths inside a JSON column as columns of their own, integers exact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ironflow_lab.errors import DefinitionError
from ironflow_lab.frames.jsonarray import JsonArray, JsonDtype

_MISSING = object()
_EXACT = 2**53


def expand(frame: pd.DataFrame, column: str, *paths: str) -> pd.DataFrame:
    """Return a copy of the frame with one column more for each path, named `column.path`.

    A path is dotted (`customer.id`, `items.0.sku`). Without paths, every key of the objects in the
    column. Dtypes follow the values: `Int64`, `boolean`, `Float64`, `string`; whatever is mixed, nested
    or too large for them stays `json`. Integers among floats become floats only where that is exact.
    Raises `DefinitionError` when the frame has no such column, or it is not JSON.
    """
    values = list(_json(frame, column))
    wanted = paths or _keys(values)
    added = {f"{column}.{path}": _column([_follow(value, path) for value in values]) for path in wanted}
    taken = [name for name in added if name in frame.columns]
    if taken:
        raise DefinitionError(f"the frame already has the column {taken[0]!r}; drop or rename it first")
    wider = frame.assign(**{name: pd.Series(one, index=frame.index) for name, one in added.items()})
    wider.attrs = dict(frame.attrs)
    return wider


def _json(frame: pd.DataFrame, column: str) -> JsonArray:
    if column not in frame.columns:
        hint = "; ask for it with payloads=True" if column in ("input", "output") else ""
        raise DefinitionError(f"the frame has no column {column!r}{hint}")
    values = frame[column]
    if not isinstance(values.dtype, JsonDtype):
        known = [name for name, dtype in frame.dtypes.items() if isinstance(dtype, JsonDtype)]
        raise DefinitionError(f"column {column!r} is {values.dtype}, not json; json columns: {known}")
    array = values.array
    assert isinstance(array, JsonArray)
    return array


def _keys(values: Sequence[Any]) -> tuple[str, ...]:
    keys = {key: None for value in values if isinstance(value, dict) for key in value}
    return tuple(keys)


def _follow(value: Any, path: str) -> Any:
    if isinstance(value, dict) and path in value:
        return value[path]
    for token in path.split("."):
        if isinstance(value, dict) and token in value:
            value = value[token]
        elif isinstance(value, list) and token.isdecimal() and int(token) < len(value):
            value = value[int(token)]
        else:
            return _MISSING
    return value


def _column(values: list[Any]) -> Any:
    absent = [value is _MISSING or value is None for value in values]
    plain = [pd.NA if gone else value for value, gone in zip(values, absent, strict=True)]
    dtype = _dtype([value for value, gone in zip(values, absent, strict=True) if not gone])
    if dtype is not None:
        return pd.array(plain, dtype=dtype)
    kept = [pd.NA if value is _MISSING else value for value in values]
    return JsonArray.of_values(kept)


def _dtype(values: list[Any]) -> Any:
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return "boolean"
    if kinds == {str}:
        return pd.StringDtype("python")
    if kinds == {int} and all(-(2**63) <= value < 2**63 for value in values):
        return "Int64"
    if kinds == {float}:
        return "Float64"
    if kinds == {int, float} and all(abs(value) <= _EXACT for value in values if type(value) is int):
        return "Float64"
    return None
