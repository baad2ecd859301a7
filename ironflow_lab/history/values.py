"""Payloads and texts as a view gets them: redacted JSON text, large ones left behind to be asked for."""

from __future__ import annotations

import json
import math
from hashlib import blake2b
from typing import Any

import msgspec

from ironflow_lab.history import redaction

INLINE, SMALL, BUDGET, TEXT = 64_000, 256, 8_000_000, 2_000
_HEAD = 200
_NULL = b"null"
# The standard encoder can refuse NaN.
_strict = json.JSONEncoder(allow_nan=False).encode


class Deferred(msgspec.Struct, frozen=True, kw_only=True):
    """Stands for a value that is fetched on demand: `key` finds it, `bytes` is its size, `head` its beginning."""

    key: str
    bytes: int
    head: str


class Values:
    """Decides what goes inline and keeps the rest by keys that only its content makes.

    A value over 64 kB is left behind; after 8 MB of inline text everything over 256 bytes is.
    """

    def __init__(self, *, inline: int = INLINE, small: int = SMALL, budget: int = BUDGET) -> None:
        self._inline = inline
        self._small = small
        self._budget = budget
        self._kept: dict[str, bytes] = {}

    def shown(self, value: Any) -> bytes | Deferred:
        """Return a payload's redacted JSON text, or what stands for it."""
        text = redacted_text(value)
        if len(text) <= (self._inline if self._budget > 0 else self._small):
            self._budget -= len(text)
            return text
        key = blake2b(text, digest_size=18).hexdigest()
        self._kept[key] = text
        # A cut may fall into the middle of a character.
        return Deferred(key=key, bytes=len(text), head=text[:_HEAD].decode("utf-8", "ignore"))

    def json(self, key: str) -> str:
        """Return the JSON text behind a key, redacted, every digit kept; raises KeyError."""
        return self._kept[key].decode()


def redacted_text(value: Any) -> bytes:
    """Return a JSON value as JSON text, redacted."""
    try:
        text = json_text(value)
        if redaction.is_plain(text):
            return text
    except RecursionError:
        # Deeper than an encoder goes; redaction cuts it.
        pass
    return json_text(redaction.redact(value))


def json_text(value: Any) -> bytes:
    """Return a JSON value as JSON text; what JSON cannot hold (NaN, Infinity) becomes a text.

    Half surrogate pairs and integers of any size are kept.
    """
    try:
        text = msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError):
        return json.dumps(_held(value), separators=(",", ":")).encode()
    # The encoder writes null for NaN: only a text with a null in it can hide one.
    return msgspec.json.encode(_held(value)) if _NULL in text and not _holds(value) else text


def clipped(value: Any) -> Any:
    """Return a JSON value with every text in it cut to 2,000 characters."""
    if isinstance(value, str):
        return redaction.clip(value, limit=TEXT)
    if isinstance(value, dict):
        return {clipped(key): clipped(inner) for key, inner in value.items()}
    return [clipped(inner) for inner in value] if isinstance(value, list) else value


def plain_text(value: str) -> str:
    """Return a text cut to 2,000 characters that every encoder takes: half surrogate pairs are replaced."""
    found = redaction.clip(value, limit=TEXT)
    return found if found.isascii() else found.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _held(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _held(inner) for key, inner in value.items()}
    return [_held(inner) for inner in value] if isinstance(value, list) else value


def _holds(value: Any) -> bool:
    shown = repr(value)
    if "nan" not in shown and "inf" not in shown:
        return True
    try:
        _strict(value)
    except ValueError:
        return False
    return True
