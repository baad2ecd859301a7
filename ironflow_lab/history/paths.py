"""Places inside JSON documents: how they are written, what stands there, and what of it may be shown."""

from __future__ import annotations

import re
from ast import literal_eval
from typing import Any, TypeAlias

import msgspec

from ironflow_lab.errors import DefinitionError
from ironflow_lab.history import redaction

Path: TypeAlias = tuple[str | int, ...]

_PLAIN = re.compile(r"[^\W\d][\w-]*(:\d+)?")
# An index, a key in quotes, or a key as it stands: of that, anything but what begins another part.
_PART = re.compile(
    r"\[(\d{1,18})\]|\.?(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')(?=[.\[]|\Z)|\.?([^.\[\]\"']+)", re.DOTALL
)


def path_text(path: Path) -> str:
    """Return a path as text, `steps.charge.output.items[0]."unit price"`; no two paths have the same.

    Keys that are not plain words (letters, digits, `_`, `-`, and a step's `:1`) stand as JSON text.
    """
    return "".join(_part(part) for part in path).removeprefix(".")


def read_path(text: str) -> Path:
    """Return the path that a text means: the reverse of `path_text`.

    A key that has no dot, bracket or quote in it need not be quoted. Raises `DefinitionError` that says where
    the text cannot be read.
    """
    found: list[str | int] = []
    at = 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None or (at == 0 and text[0] == "."):
            raise DefinitionError(
                f"the path {text!r:.80} cannot be read from character {at + 1} on; write it as"
                ' output.items[0]."unit price", a key with dots, brackets or quotes in it in double quotes'
            )
        index, quoted, plain = part.groups()
        found.append(int(index) if index is not None else plain if quoted is None else _unquoted(quoted))
        at = part.end()
    return tuple(found)


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


def _unquoted(quoted: str) -> str:
    if quoted[0] == '"':
        try:
            return msgspec.json.decode(quoted, type=str)
        except msgspec.DecodeError:
            raise DefinitionError(f"{quoted:.80} in the path is no JSON text") from None
    try:
        # Half a surrogate pair, which JSON text cannot hold, stands as Python's.
        return str(literal_eval(quoted))
    except (SyntaxError, ValueError):
        raise DefinitionError(f"{quoted:.80} in the path cannot be read") from None


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
