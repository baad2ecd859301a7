"""Rows of a DataFrame as JSON values, exactly: what cannot be written as JSON is refused by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd

from ironflow_lab.errors import DefinitionError

_BIG_ENOUGH = 10**15


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one JSON object a row; the index is left out (`reset_index()` makes it a column).

    Missing values (None, NaN, NaT, NA) become null. Integers keep every digit. Times become RFC 3339
    in UTC, to the nanosecond; a time without a zone is taken as UTC. Spans become seconds, dates and
    UUIDs text, decimals text with all digits. Raises `DefinitionError`, naming row and column, for
    infinities, bytes and other objects that have no JSON form.
    """
    names = _names(frame)
    columns = [_values(frame.iloc[:, place], name) for place, name in enumerate(names)]
    if not columns:
        return [{} for _ in range(len(frame))]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def plain(value: Any) -> Any:
    """Return one value as JSON would hold it, containers included; raises TypeError if it has no form."""
    if value is None or isinstance(value, bool):
        return value
    for kind, form in _FORMS:
        if isinstance(value, kind):
            return form(value)
    if value is pd.NA:
        return None
    raise TypeError(f"a {type(value).__name__} has no JSON form")


def _names(frame: pd.DataFrame) -> list[str]:
    if isinstance(frame.columns, pd.MultiIndex):
        raise DefinitionError("the columns have several levels; flatten them to one name each first")
    names = [str(name) for name in frame.columns]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise DefinitionError(f"two columns are called {min(twice)!r}; an object holds a key once")
    return names


def _values(series: pd.Series, name: str) -> list[Any]:
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "biu":
        return list(series.to_numpy().tolist())
    found = []
    for position, value in enumerate(series.array):
        try:
            found.append(plain(value))
        except (TypeError, ValueError, RecursionError) as error:
            label = series.index[position]
            raise DefinitionError(
                f"row {label!r}, column {name!r}: {error}; convert the column before sending"
            ) from None
    return found


def _text(value: str) -> str:
    text = str(value.value if isinstance(value, Enum) else value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("the text holds a lone surrogate, which no encoding can carry") from None
    return text


def _float(value: float) -> float | None:
    number = float(value)
    if math.isnan(number):
        return None
    if math.isinf(number):
        raise ValueError("JSON has no infinity")
    return number


def _time(value: datetime) -> str:
    aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return aware.isoformat().replace("+00:00", "Z")


def _timestamp(value: pd.Timestamp) -> str:
    aware = value.tz_localize("UTC") if value.tzinfo is None else value.tz_convert("UTC")
    return str(aware.isoformat()).replace("+00:00", "Z")


def _span(value: timedelta | pd.Timedelta) -> float | int:
    seconds = value.total_seconds()
    return int(seconds) if seconds.is_integer() and abs(seconds) < _BIG_ENOUGH else seconds


def _scalar(value: np.generic) -> Any:
    if isinstance(value, np.datetime64):
        return plain(pd.Timestamp(value))
    if isinstance(value, np.timedelta64):
        return plain(pd.Timedelta(value))
    return plain(value.item())


def _object(value: dict[Any, Any]) -> dict[str, Any]:
    wrong = next((key for key in value if not isinstance(key, str)), None)
    if wrong is not None:
        raise TypeError(f"the key {wrong!r} is not text, and JSON keys are")
    return {key: plain(member) for key, member in value.items()}


def _list(value: Any) -> list[Any]:
    return [plain(member) for member in value]


def _decimal(value: Decimal) -> str | None:
    if value.is_nan():
        return None
    if value.is_infinite():
        raise ValueError("JSON has no infinity")
    return str(value)


# In order: a pandas Timestamp is a datetime, a datetime a date, NaT an instance of several.
_FORMS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (str, _text),
    (type(pd.NaT), lambda value: None),
    (int, int),
    (float, _float),
    (pd.Timestamp, _timestamp),
    (datetime, _time),
    (date, date.isoformat),
    (time, time.isoformat),
    (timedelta, _span),
    (np.generic, _scalar),
    (Decimal, _decimal),
    (UUID, str),
    (pd.Period, str),
    (Enum, lambda value: plain(value.value)),
    (dict, _object),
    ((list, tuple, np.ndarray), _list),
)
