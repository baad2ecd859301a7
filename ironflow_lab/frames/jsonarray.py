"""The `json` dtype: each cell keeps its JSON text as the server sent it and is decoded when read."""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec
import numpy as np
import pandas as pd
from pandas.api.extensions import (
    ExtensionArray,
    ExtensionDtype,
    register_extension_dtype,
    take,
)
from pandas.api.indexers import check_array_indexer

from ironflow_lab.history import redaction
from ironflow_lab.wire import codec

if TYPE_CHECKING:
    from pandas._typing import TakeIndexer


@register_extension_dtype
class JsonDtype(ExtensionDtype):
    """JSON kept as text: integers of any size, nulls and key order survive.

    A cell reads as the decoded value; absent is `pd.NA`, and JSON `null` is None and not missing.
    `astype("string")` gives the texts (for CSV and Parquet).
    """

    name = "json"
    type: ClassVar[builtins.type[object]] = object
    kind = "O"
    na_value = pd.NA

    @classmethod
    def construct_array_type(cls) -> builtins.type[JsonArray]:
        """Return the array class."""
        return JsonArray


class JsonArray(ExtensionArray):
    """A column of JSON texts (UTF-8 bytes, None where absent), read-only."""

    def __init__(self, texts: np.ndarray) -> None:
        self._texts = texts
        self._dtype = JsonDtype()

    @classmethod
    def of(cls, texts: Iterable[bytes | None]) -> JsonArray:
        """Return an array of JSON texts, None for absent."""
        return cls(_objects(list(texts)))

    @classmethod
    def of_values(cls, values: Iterable[Any]) -> JsonArray:
        """Return an array of JSON values, `pd.NA` for absent; raises TypeError for what is not JSON."""
        return cls.of(None if value is pd.NA else codec.encode(value) for value in values)

    @property
    def dtype(self) -> JsonDtype:
        """The `json` dtype."""
        return self._dtype

    @property
    def nbytes(self) -> int:
        """The bytes of the texts and of the pointers to them."""
        return int(self._texts.nbytes) + sum(len(text) for text in self._texts if text is not None)

    @property
    def texts(self) -> list[bytes | None]:
        """The JSON texts, None where absent."""
        return list(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, int | np.integer):
            return decode(self._texts[item])
        picked = self._texts[check_array_indexer(self, item)]
        return JsonArray(picked) if isinstance(picked, np.ndarray) else decode(picked)

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError(
            "a json column is what the server recorded and is read-only;"
            " work on `.astype('object')` (values) or `.astype('string')` (texts)"
        )

    def __iter__(self) -> Iterator[Any]:
        return map(decode, self._texts)

    def __eq__(self, other: object) -> Any:
        if isinstance(other, pd.Series | pd.DataFrame | pd.Index):
            return NotImplemented
        if isinstance(other, JsonArray):
            pairs = zip(self, other, strict=True)
            # An absent value equals nothing, and comparing it would say neither true nor false.
            equal = [one is not pd.NA and two is not pd.NA and one == two for one, two in pairs]
            return np.array(equal, dtype=bool)
        return np.array([value is not pd.NA and value == other for value in self], dtype=bool)

    def __hash__(self) -> int:
        raise TypeError("unhashable type: 'JsonArray'")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return _objects(list(self))

    def to_numpy(self, dtype: Any = None, copy: bool = False, na_value: object = pd.NA) -> np.ndarray:
        """Return the decoded values in an object array."""
        return _objects([na_value if value is pd.NA else value for value in self])

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """Return decoded values for `object`, the JSON texts for any string dtype."""
        wanted = pd.api.types.pandas_dtype(dtype)
        if isinstance(wanted, JsonDtype):
            return self.copy() if copy else self
        if isinstance(wanted, pd.StringDtype):
            texts = [None if text is None else text.decode() for text in self._texts]
            return pd.array(texts, dtype=wanted)
        return np.asarray(self).astype(dtype)

    def isna(self) -> np.ndarray:
        """Return where the value is absent; JSON null is not."""
        return np.fromiter((text is None for text in self._texts), dtype=bool, count=len(self))

    def take(self, indices: TakeIndexer, *, allow_fill: bool = False, fill_value: Any = None) -> Self:
        """Return the elements at the positions; -1 is absent when `allow_fill`."""
        picked = np.asarray(take(self._texts, indices, allow_fill=allow_fill, fill_value=pd.NA))
        if allow_fill:
            picked[np.asarray(indices) == -1] = None
        return type(self)(picked)

    def copy(self) -> Self:
        """Return a copy."""
        return type(self)(self._texts.copy())

    @classmethod
    def _from_sequence(cls, scalars: Iterable[Any], *, dtype: Any = None, copy: bool = False) -> JsonArray:
        if isinstance(scalars, JsonArray):
            return scalars.copy() if copy else scalars
        return cls.of_values(scalars)

    @classmethod
    def _from_factorized(cls, values: np.ndarray, original: JsonArray) -> JsonArray:
        return cls(values)

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[JsonArray]) -> JsonArray:
        return cls(np.concatenate([part._texts for part in to_concat]))

    def _values_for_factorize(self) -> tuple[np.ndarray, Any]:
        return self._texts, None

    def _values_for_argsort(self) -> np.ndarray:
        return _objects([text or b"" for text in self._texts])

    def _cast_pointwise_result(self, values: Any) -> Any:
        # What `map` and its like compute from the values is not JSON text again.
        return pd.Series(values, dtype=object).infer_objects().values

    def _formatter(self, boxed: bool = False) -> Callable[[Any], str]:
        return _display


def decode(text: bytes | None) -> Any:
    """Return the value of a JSON text, `pd.NA` for None.

    What is nested deeper than 256 levels comes back as `msgspec.Raw`, still as text.
    """
    if text is None:
        return pd.NA
    if codec.is_deep(text, redaction.DEEPEST):
        return msgspec.Raw(text)
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:  # a number such as 1e400, or half a surrogate pair: only the slower decoder takes them
        return json.loads(text)


def _display(value: Any) -> str:
    if value is pd.NA:
        return "<NA>"
    return redaction.preview(bytes(value)) if isinstance(value, msgspec.Raw) else redaction.show(value)


def _objects(values: list[Any]) -> np.ndarray:
    # Filled one by one: numpy would make equally long lists a matrix.
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
