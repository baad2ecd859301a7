"""What a view may show of a payload: values under secret-looking keys are hidden, long text is cut."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

import msgspec

from ironflow_lab.wire import codec

HIDDEN = "[redacted]"
_SECRET = re.compile(
    r"passw(or)?d|passphrase|secret|token|api_?key|access_?key|private_?key|authorization|credential"
    r"|cookie|signature"
)
# Every key that is hidden has one of these in it, in the JSON text too.
_SUSPECT = (
    b"passw",
    b"passphrase",
    b"secret",
    b"token",
    b"key",
    b"authorization",
    b"credential",
    b"cookie",
    b"signature",
)
_COUNTED = re.compile(r"tokens$")
_SEPARATORS = re.compile(r"[-.\s]+")
_MAX_DEPTH = 64
# No payload with a meaning is nested as deeply, and every supported Python can show what is not.
DEEPEST = 256


@lru_cache(maxsize=1024)
def is_secret(key: str) -> bool:
    """Return whether a value under this key is to be hidden; `apiKey`, `API-Key` and `api_key` are one."""
    return _SECRET.search(_SEPARATORS.sub("_", key).lower()) is not None


def redact(value: Any) -> Any:
    """Return the JSON value with everything under a secret-looking key replaced by `[redacted]`.

    True, false and null are kept, and so are numbers under keys such as `max_tokens`, which count.
    What lies deeper than 64 levels is hidden too.
    """
    return _redact(value, 0)


def is_plain(text: bytes) -> bool:
    """Return whether a JSON text certainly holds nothing that `redact` would hide: a look at the bytes, in C."""
    # Beyond ASCII, a capital may have no capital's byte (the Kelvin sign lowers to k).
    if not text.isascii() or text.count(b"[") + text.count(b"{") > _MAX_DEPTH:
        return False
    lowered = text.lower()
    return not any(word in lowered for word in _SUSPECT)


def preview(text: bytes, *, limit: int = 60) -> str:
    """Return JSON text made fit to show: redacted, on one line, at most `limit` characters."""
    if codec.is_deep(text, DEEPEST):
        return "(nested too deeply to show)"
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return clip(text[: 4 * limit].decode("utf-8", "replace"), limit=limit)
    return show(value, limit=limit)


def show(value: Any, *, limit: int = 60) -> str:
    """Return a JSON value as redacted JSON on one line, at most `limit` characters."""
    shown = redact(value)
    try:
        text = msgspec.json.encode(shown).decode()
    except (UnicodeEncodeError, OverflowError):
        # Half a surrogate pair, or a number that only the slower encoder takes.
        text = json.dumps(shown, separators=(",", ":"))
    return clip(text, limit=limit)


def pretty(value: Any, *, limit: int) -> str:
    """Return a JSON value as redacted, indented JSON, at most `limit` characters."""
    return clip(msgspec.json.format(msgspec.json.encode(redact(value)), indent=2).decode(), limit=limit)


def clip(text: str, *, limit: int) -> str:
    """Return the text, cut to `limit` characters with an ellipsis as the last."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _redact(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        if depth >= _MAX_DEPTH:
            return HIDDEN
        return {key: _member(str(key), member, depth) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return HIDDEN if depth >= _MAX_DEPTH else [_redact(member, depth + 1) for member in value]
    return value


def _member(key: str, value: Any, depth: int) -> Any:
    if not is_secret(key) or value is None or isinstance(value, bool):
        return _redact(value, depth + 1)
    if isinstance(value, int | float) and _COUNTED.search(key.lower()):
        return value
    return HIDDEN
