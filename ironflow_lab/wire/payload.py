"""Payload pairs: objects in `x`, any other JSON value in `x_value` (rpc.md section 2, rule 8)."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_NESTED = ("events", "result", "results", "runs", "steps")


def split(name: str, value: Any) -> dict[str, Any]:
    """Return the one field that carries `value` in the pair `name`, `name_value`.

    A `msgspec.Raw` is looked at, not decoded. None is written as an explicit null value.
    """
    raw = isinstance(value, msgspec.Raw)
    is_object = bytes(value).lstrip()[:1] == b"{" if raw else isinstance(value, dict)
    return {name: value} if is_object else {f"{name}_value": value}


def settle(record: T) -> T:
    """Return the record with every `x_value` that arrived moved into `x`, nested records included."""
    if not isinstance(record, msgspec.Struct):
        return record
    changed: dict[str, Any] = {}
    for name in record.__struct_fields__:
        if name.endswith("_value"):
            value = getattr(record, name)
            if value is not msgspec.UNSET and not isinstance(value, msgspec.Raw):
                changed[name.removesuffix("_value")] = value
                changed[name] = msgspec.UNSET
        elif name in _NESTED:
            nested = getattr(record, name)
            if isinstance(nested, tuple):
                changed[name] = tuple(settle(item) for item in nested)
            elif isinstance(nested, msgspec.Struct):
                changed[name] = settle(nested)
    return msgspec.structs.replace(record, **changed) if changed else record


def read_raw(value: msgspec.Raw, struct: msgspec.Raw) -> bytes | None:
    """Return the JSON text of a pair whose fields were kept raw; None when neither arrived."""
    for candidate in (bytes(value), bytes(struct)):
        if candidate:
            return candidate
    return None
