"""Lists of values, a page at a time, to pandas arrays of the declared dtypes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd

from ironflow_lab.frames import schema, times
from ironflow_lab.frames.jsonarray import JsonArray
from ironflow_lab.frames.schema import Column

_NOTHING = np.empty(0, dtype=object)
_NOT_SET: dict[str, Any] = {"": pd.NA}


class Collector(Protocol):
    """Takes one column's values page by page."""

    def add(self, values: Sequence[Any]) -> None:
        """Take the values of one page."""
        ...

    def array(self) -> Any:
        """Return all values as one pandas array of the declared dtype."""
        ...


class Texts:
    """`string`; the empty text means "not set" and becomes missing."""

    def __init__(self, column: Column) -> None:
        # The tables turn "" into missing on the way, and equal texts into one object.
        seen = {} if column.empty_is_text else dict(_NOT_SET)
        self._look_up = seen.setdefault if column.repeated else seen.get
        self._chunks = [_NOTHING]

    def add(self, values: Sequence[str]) -> None:
        """Take the values of one page."""
        found = map(self._look_up, values, values)
        self._chunks.append(np.fromiter(found, dtype=object, count=len(values)))

    def array(self) -> Any:
        """Return a string array that is the same with and without pyarrow installed."""
        return pd.array(np.concatenate(self._chunks), dtype=pd.StringDtype("python"))


class Numbers:
    """`Int64`: integers stay integers beside missing values."""

    def __init__(self, column: Column) -> None:
        self._zero_is_missing = column.zero_is_missing
        self._chunks = [np.empty(0, dtype=np.int64)]

    def add(self, values: Sequence[int]) -> None:
        """Take the values of one page."""
        self._chunks.append(np.fromiter(values, dtype=np.int64, count=len(values)))

    def array(self) -> Any:
        """Return an `Int64` array."""
        values = np.concatenate(self._chunks)
        missing = values == 0 if self._zero_is_missing else np.zeros(len(values), dtype=bool)
        return pd.arrays.IntegerArray(values, missing)


class Reals:
    """`Float64`; NaN becomes missing."""

    def __init__(self, column: Column) -> None:
        self._chunks = [np.empty(0, dtype=np.float64)]

    def add(self, values: Sequence[float]) -> None:
        """Take the values of one page."""
        self._chunks.append(np.fromiter(values, dtype=np.float64, count=len(values)))

    def array(self) -> Any:
        """Return a `Float64` array."""
        values = np.concatenate(self._chunks)
        return pd.arrays.FloatingArray(values, np.isnan(values))


class Flags:
    """`boolean`."""

    def __init__(self, column: Column) -> None:
        self._values: list[bool] = []

    def add(self, values: Sequence[bool]) -> None:
        """Take the values of one page."""
        self._values.extend(values)

    def array(self) -> Any:
        """Return a `boolean` array."""
        return pd.array(self._values, dtype="boolean")


class Words:
    """An ordered category; words this version does not know are kept and sort last."""

    def __init__(self, column: Column) -> None:
        self._prefix = column.prefix
        self._codes = {column.prefix + word.upper(): code for code, word in enumerate(column.words)}
        self._words = list(column.words)
        self._chunks = [np.empty(0, dtype=np.int16)]

    def add(self, values: Sequence[str]) -> None:
        """Take the values of one page, as on the wire or as words."""
        for value in set(values) - self._codes.keys():
            self._codes[value] = self._code(value)
        codes = map(self._codes.__getitem__, values)
        self._chunks.append(np.fromiter(codes, dtype=np.int16, count=len(values)))

    def array(self) -> Any:
        """Return an ordered categorical."""
        kind = pd.CategoricalDtype(self._words, ordered=True)
        return pd.Categorical.from_codes(np.concatenate(self._chunks), dtype=kind)

    def _code(self, value: str) -> int:
        word = value.removeprefix(self._prefix).lower()
        if word in ("", "unspecified"):
            return -1
        if word not in self._words:
            self._words.append(word)
        return self._words.index(word)


class Times:
    """`datetime64[ns, UTC]` from RFC 3339 texts or from instants."""

    def __init__(self, column: Column) -> None:
        self._chunks = [np.empty(0, dtype="datetime64[ns]")]

    def add(self, values: Any) -> None:
        """Take the values of one page, as texts, instants or times."""
        if not isinstance(values, np.ndarray):
            is_text = len(values) > 0 and isinstance(values[0], str)
            values = times.nanoseconds(values) if is_text else times.from_instants(values)
        self._chunks.append(values)

    def array(self) -> Any:
        """Return an array of instants in UTC."""
        return pd.DatetimeIndex(np.concatenate(self._chunks), tz="UTC").array


class Spans:
    """`timedelta64[ns]`."""

    def __init__(self, column: Column) -> None:
        self._chunks = [np.empty(0, dtype="timedelta64[ns]")]

    def add(self, values: Any) -> None:
        """Take the values of one page, an array of spans."""
        self._chunks.append(values)

    def array(self) -> Any:
        """Return an array of spans."""
        return pd.TimedeltaIndex(np.concatenate(self._chunks)).array


class Payloads:
    """`json` from JSON texts, None where there is none."""

    def __init__(self, column: Column) -> None:
        self._texts: list[bytes | None] = []

    def add(self, values: Sequence[bytes | None]) -> None:
        """Take the values of one page."""
        self._texts.extend(values)

    def array(self) -> JsonArray:
        """Return a `json` array."""
        return JsonArray.of(self._texts)


_COLLECTORS: dict[str, Callable[[Column], Collector]] = {
    schema.TEXT: Texts,
    schema.NUMBER: Numbers,
    schema.REAL: Reals,
    schema.FLAG: Flags,
    schema.WORD: Words,
    schema.TIME: Times,
    schema.SPAN: Spans,
    schema.JSON: Payloads,
}


class Table:
    """The declared columns of one frame, filled page by page."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = {column.name: _COLLECTORS[column.dtype](column) for column in columns}
        self.rows = 0

    def add(self, rows: int, page: dict[str, Any]) -> None:
        """Take `rows` rows; `page` has the values of every declared column."""
        for name, collector in self._columns.items():
            collector.add(page[name])
        self.rows += rows

    def frame(self) -> pd.DataFrame:
        """Return the rows so far, in the declared order and dtypes."""
        return pd.DataFrame({name: column.array() for name, column in self._columns.items()}, copy=False)
