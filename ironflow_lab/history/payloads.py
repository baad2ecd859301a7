"""Reading audit payloads that any server may have written: a field of a wrong type counts as not given."""

from __future__ import annotations

from typing import Any

import msgspec

from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.instant import Instant, parse_instant

_LARGEST = 2**63 - 1


def payload_of(event: AuditEvent) -> dict[str, Any]:
    """Return the event's payload, empty when it is no object."""
    for candidate in (event.payload, event.payload_value):
        if isinstance(candidate, dict):
            return candidate
    return {}


def text(payload: dict[str, Any], name: str, otherwise: str = "") -> str:
    """Return a field that is text and not empty, or `otherwise`."""
    value = payload.get(name)
    return value if isinstance(value, str) and value else otherwise


def number(payload: dict[str, Any], name: str) -> int | None:
    """Return a field that is a whole number of 64 bits, written as number or digits; None otherwise."""
    value = payload.get(name)
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _LARGEST:
        return None
    return value


def instant(payload: dict[str, Any], name: str, otherwise: int = 0) -> Instant:
    """Return a field that is an RFC 3339 time, or `otherwise`."""
    value = payload.get(name)
    if isinstance(value, str) and value:
        try:
            return parse_instant(value)
        except ValueError:
            return Instant(otherwise)
    return Instant(otherwise)


def value(payload: dict[str, Any], name: str) -> Any:
    """Return a field of any type; `UNSET` when it is not there."""
    return payload.get(name, msgspec.UNSET)
