"""What a step or a handler returns, as JSON: exact, capped, and the same on replay as at first."""

from __future__ import annotations

import dataclasses
import datetime
import inspect
import math
from typing import Any

import msgspec

from ironflow_lab.errors import PayloadError
from ironflow_lab.models.instant import Instant

LARGEST = 4 * 1024 * 1024
DEEPEST = 200

_REMEDIES = {
    "DataFrame": "return .to_dict('records')",
    "Series": "return .tolist()",
    "ndarray": "return .tolist()",
    "set": "return a sorted list",
    "frozenset": "return a sorted list",
    "bytes": "return text, for example base64",
    "bytearray": "return text, for example base64",
    "Decimal": "return str(x) or float(x)",
    "UUID": "return str(x)",
    "Timedelta": "return .total_seconds()",
    "timedelta": "return .total_seconds()",
    "NAType": "return None",
    "NaTType": "return None",
    "range": "return list(x)",
    "generator": "return list(x)",
    "coroutine": "await it (in an `async def` handler) and return its value",
}


def given(value: Any, what: str) -> msgspec.Raw:
    """Return the JSON text of a value that goes out; raises `PayloadError` as `settle` does."""
    try:
        return settle(value, what, verb="was given")[0]
    except PayloadError as error:
        # What to do is told for results; of an input it is the caller who has it.
        raise PayloadError(" pass ".join(str(error).rsplit(" return ", 1))) from None


def settle(value: Any, what: str, *, verb: str = "returned") -> tuple[msgspec.Raw, Any]:
    """Return the JSON text of `value` and the value as a replay will read it.

    Only what JSON can say is taken: dicts with string keys, lists, tuples (they read back as
    lists), strings, finite numbers (numpy's scalars too), booleans and None. Raises `PayloadError`
    naming `what` and the path of the first offending value, or the size when it is above 4 MiB.
    """
    try:
        text = _encoder.encode(value)
        settled = msgspec.json.decode(text)
        exact = settled == value
    except Exception as error:  # noqa: BLE001 - encoding runs the value's own code
        raise _refusal(value, f"{what} {verb}", str(error)) from None
    if len(text) > LARGEST:
        size = len(text) / 1024 / 1024
        raise PayloadError(
            f"{what} {verb} {size:.1f} MiB of JSON and the limit is {LARGEST // 1024 // 1024} MiB;"
            " store it elsewhere and return where it is"
        )
    if not exact and _fault(value, "$", 0) is not None:
        raise _refusal(value, f"{what} {verb}", "")
    return msgspec.Raw(text), settled


def _plain(value: Any) -> Any:
    """Return the built-in value of numpy's scalars and of other subclasses of str, int and float."""
    if isinstance(value, Instant):
        return str(value)
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        return value.item()
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


_encoder = msgspec.json.Encoder(enc_hook=_plain)


def _refusal(value: Any, deed: str, reason: str) -> PayloadError:
    fault = _fault(value, "$", 0) or reason
    if inspect.iscoroutine(value):
        value.close()
    return PayloadError(f"{deed} something that is not JSON: {fault}")


def _fault(value: Any, path: str, depth: int) -> str | None:
    """Return what is wrong with the first value that is not JSON and where, or None."""
    if depth > DEEPEST:
        return f"{path[:60]}… is nested deeper than {DEEPEST} levels, or contains itself"
    if value is None or isinstance(value, bool | int):
        return None
    if isinstance(value, str):
        return _text_fault(value, path)
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{path} is {float(value)}; return None instead"
    if isinstance(value, dict):
        return _dict_fault(value, path, depth)
    if isinstance(value, list | tuple):
        found = (_fault(item, f"{path}[{at}]", depth + 1) for at, item in enumerate(value))
        return next((fault for fault in found if fault), None)
    return _type_fault(value, path)


def _text_fault(value: str, path: str) -> str | None:
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"{path} holds a lone surrogate, which is not text"
    return None


def _dict_fault(value: dict[Any, Any], path: str, depth: int) -> str | None:
    for key, item in value.items():
        if not isinstance(key, str):
            return f"the key {key!r:.60} of {path} is a {type(key).__name__}; keys must be strings"
        fault = _text_fault(key, f"a key of {path}") or _fault(item, f"{path}.{key:.40}", depth + 1)
        if fault:
            return fault
    return None


def _type_fault(value: Any, path: str) -> str | None:
    name = type(value).__name__
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        return _fault(value.item(), path, 0)
    if dataclasses.is_dataclass(value):
        return f"{path} is a {name}; return dataclasses.asdict(x)"
    if isinstance(value, datetime.date | datetime.time):
        return f"{path} is a {name}; return .isoformat()"
    remedy = _REMEDIES.get(name, "return plain dicts, lists, strings, numbers, booleans or None")
    return f"{path} is a {name}; {remedy}"
