"""Any Python value that stands for JSON, checked and written once, before it is sent."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec

from ironflow_lab.errors import InternalError, InvalidArgumentError
from ironflow_lab.models.instant import Instant, Int64, Word, encode_hook
from ironflow_lab.wire import payload

_EXACT = 2**53


def json_text(what: str, value: Any) -> msgspec.Raw:
    """Return the value as JSON text.

    Takes what JSON has and dataclasses, records, times, UUIDs, decimals, sets, enums and anything
    with `tolist()` (numpy, pandas). Raises `InvalidArgumentError` that names the place of a value
    JSON cannot hold; warns of integers that a double rounds (rulings.md 33).
    """
    try:
        plain = msgspec.to_builtins(value, str_keys=True, enc_hook=_plain)
        _inspect(plain, [what])
        return msgspec.Raw(msgspec.json.encode(plain))
    except RecursionError:
        raise InvalidArgumentError(f"{what} contains itself or is nested too deeply") from None
    except UnicodeEncodeError:
        raise InvalidArgumentError(f"{what} has a text with half a surrogate pair in it") from None
    except (TypeError, NotImplementedError, msgspec.DecodeError) as error:
        raise InvalidArgumentError(f"{what} is not JSON: {error}") from None


def json_value(text: bytes) -> Any:
    """Return the value of a field of JSON text, such as a paused step's output; None for none.

    Raises `InternalError` for what is not JSON.
    """
    try:
        return msgspec.json.decode(text) if text else None
    except (msgspec.DecodeError, RecursionError) as error:
        raise InternalError(f"the server sent a payload that is not JSON: {error}") from None


def json_pair(name: str, value: Any) -> dict[str, msgspec.Raw]:
    """Return the field of a payload pair that carries the value; None sends neither (rpc.md 2.8)."""
    return {} if value is None else payload.split(name, json_text(name, value))


def json_object(what: str, value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a mapping ready to be encoded as a JSON object; None stays None."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidArgumentError(f"{what} must be a dict, not {type(value).__name__}")
    return {str(key): json_text(f"{what}[{key!r}]", item) for key, item in value.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Instant | Int64 | Word):
        return encode_hook(value)
    if isinstance(value, date):
        # pandas' missing time is a datetime that differs from itself.
        if value != value:
            raise TypeError("a missing time has no JSON form; send None")
        return value.isoformat()
    if isinstance(value, msgspec.Raw):
        return msgspec.json.decode(value)
    tolist = getattr(value, "tolist", None)
    if callable(tolist) and not isinstance(value, type):
        return tolist()
    for base in (str, int, float):
        if isinstance(value, base):
            return base(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form; convert it first")


def _inspect(value: Any, path: list[Any]) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            path.append(key)
            _inspect(item, path)
            path.pop()
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            path.append(position)
            _inspect(item, path)
            path.pop()
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidArgumentError(
                f"{_place(path)} is {value}, which JSON cannot hold; send None or a text instead"
            )
    elif isinstance(value, int) and abs(value) > _EXACT:
        warnings.warn(
            f"{_place(path)} = {value} is beyond 2**53: a server keeps it as a double, rounded;"
            " send it as a text to keep every digit",
            stacklevel=_callers_level(),
        )


def _place(path: list[Any]) -> str:
    return str(path[0]) + "".join(f"[{part!r}]" for part in path[1:])


def _callers_level() -> int:
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals["__name__"].startswith("ironflow_lab."):
        frame, level = frame.f_back, level + 1
    return level
