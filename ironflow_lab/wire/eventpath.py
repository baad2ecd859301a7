"""Paths into events and their data: dotted keys, list positions as numbers, an optional leading `$.`.

One reading of paths serves lanes, waits and every other key (engine.md section 3).
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

from ironflow_lab.wire import codec

LONGEST = 255
_EXACT = 2**53


class Missing(Enum):
    """The type of `MISSING`."""

    missing = "missing"


MISSING: Final = Missing.missing


def find(value: Any, path: str) -> Any:
    """Return what stands at `path` inside `value`, or `MISSING`; the path is taken word for word."""
    for part in path.removeprefix("$.").split("."):
        if isinstance(value, dict):
            value = value.get(part, MISSING)
        elif isinstance(value, list) and part.isascii() and part.isdigit() and len(part) < 10:
            value = value[int(part)] if int(part) < len(value) else MISSING
        else:
            return MISSING
    return value


def in_data(data: Any, path: str) -> Any:
    """Return what a key names inside an event's data; a leading `event.data.` or `data.` is tolerated."""
    bare = path.removeprefix("$.")
    for prefix in ("", "event.data.", "data."):
        if bare.startswith(prefix):
            found = find(data, bare.removeprefix(prefix))
            if found is not MISSING:
                return found
    return MISSING


def bare(path: str) -> str:
    """Return the path inside an event's data, without a leading `$.`, `event.data.` or `data.` (rulings.md 12)."""
    path = path.removeprefix("$.")
    for prefix in ("event.data.", "data."):
        if path.startswith(prefix):
            return path.removeprefix(prefix)
    return path


def in_event(event: dict[str, Any], path: str) -> Any:
    """Return what a path rooted at an event names; a leading `event.`, or a missing `data.`, is tolerated."""
    bare = path.removeprefix("$.").removeprefix("event.")
    found = find(event, bare)
    return find(event.get("data"), bare) if found is MISSING else found


def text(value: Any) -> str:
    """Return the text two values are compared by: 1 and 1.0 and "1" are the same, null and "" too."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        value = int(value)
    return codec.encode(value).decode()


def fault(path: str) -> str | None:
    """Return what is wrong with a path, or None."""
    bare = path.removeprefix("$.")
    if not bare or path == "$":
        return "a key path must not be empty; name a field of the event's data, such as 'customerId'"
    if len(path) > LONGEST:
        return f"a key path has at most {LONGEST} characters, and this one has {len(path)}"
    if bare.startswith(".") or bare.endswith(".") or ".." in bare:
        return f"key path {path!r} has an empty part between dots"
    if any(character.isspace() or not character.isprintable() for character in path):
        return f"key path {path!r} has blanks or control characters"
    return None
