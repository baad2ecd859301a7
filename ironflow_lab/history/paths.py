"""Places inside JSON documents: how they are written, what stands there, and what of it may be shown."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

import msgspec

from ironflow_lab.history import redaction

Path: TypeAlias = tuple[str | int, ...]

_PLAIN = re.compile(r"[^\W\d][\w-]*(:\d+)?")


def path_text(path: Path) -> str:
    """Return a path as text, `steps.charge.output.items[0]."unit price"`; no two paths have the same.

    Keys that are not plain words (letters, digits, `_`, `-`, and a step's `:1`) stand as JSON text.
    """
    return "".join(_part(part) for part in path).removeprefix(".")


def value_at(value: Any, path: Path) -> Any:
    """Return what stands at the path; `UNSET` when nothing does."""
    for part in path:
        if isinstance(value, dict) and isinstance(part, str):
            value = value.get(part, msgspec.UNSET)
        elif isinstance(value, list) and isinstance(part, int) and 0 <= part < len(value):
            value = value[part]
        else:
            return msgspec.UNSET
    return value


def shown_at(path: Path, value: Any) -> Any:
    """Return the value redacted as it would be inside the document that holds it at the path."""
    if value is msgspec.UNSET:
        return value
    nested = value
    for part in reversed(path):
        nested = {part: nested} if isinstance(part, str) else [nested]
    shown = redaction.redact(nested)
    for part in path:
        if isinstance(shown, dict):
            shown = shown[part]
        elif isinstance(shown, list):
            shown = shown[0]
        else:
            return redaction.HIDDEN
    return shown


def _part(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    if _PLAIN.fullmatch(part):
        return f".{part}"
    try:
        return "." + msgspec.json.encode(part).decode()
    except UnicodeEncodeError:
        # Half a surrogate pair: JSON text in UTF-8 cannot hold it.
        return "." + ascii(part)
