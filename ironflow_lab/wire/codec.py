"""JSON bytes to records and back, with the library's own field types."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import msgspec

from ironflow_lab.models.instant import decode_hook, encode_hook

T = TypeVar("T")

_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(set(range(256)) - set(b'[]{}"'))
_encoder = msgspec.json.Encoder(enc_hook=encode_hook)


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    # Not strict: int64 fields travel as strings, and readers must accept numbers too (rpc.md 2.3).
    return msgspec.json.Decoder(kind, dec_hook=decode_hook, strict=False)


def encode(record: Any) -> bytes:
    """Return the record as JSON bytes; raises TypeError for a value that is not JSON."""
    return _encoder.encode(record)


def decode(body: bytes, kind: type[T]) -> T:
    """Return the JSON as a record of `kind`; unknown fields are ignored.

    Raises msgspec.DecodeError for malformed JSON and msgspec.ValidationError for a wrong type.
    """
    # The cache wants a hashable argument; a class is one, though its type does not say so.
    wanted: Any = kind
    record: T = _decoder(wanted).decode(body)
    return record


def is_deep(text: bytes, levels: int) -> bool:
    """Return whether well-formed JSON nests deeper than `levels`: a look at the bytes alone, in C.

    How deep a decoder goes before it raises RecursionError differs between versions of Python.
    """
    if text.count(b"[") + text.count(b"{") <= levels:
        return False
    unescaped = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = b"".join(unescaped.translate(_ONE_KIND, _NOT_BRACKETS).split(b'"')[::2])
    # Each pass takes the innermost level away.
    for _ in range(levels):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)
