"""Pages of a list: how many, from where, and the opaque cursors between them."""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode

from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.models.instant import Word

LARGEST = 1_000
_FOREIGN = "the cursor is not one this server gave; start again without it"


def limit(asked: int, usual: int) -> int:
    """Return the size of the page; raises `InvalidArgumentError` for a negative wish."""
    if asked < 0:
        raise InvalidArgumentError(f"limit must not be negative, and {asked} is")
    return min(asked or usual, LARGEST)


def offset(asked: int) -> int:
    """Return the rows to pass over; raises `InvalidArgumentError` for a negative wish."""
    if asked < 0:
        raise InvalidArgumentError(f"offset must not be negative, and {asked} is")
    return asked


def write(value: str) -> str:
    """Return the cursor that stands after `value`."""
    return urlsafe_b64encode(value.encode()).decode()


def read(cursor: str) -> str:
    """Return what a cursor stands after, nothing for none; raises `InvalidArgumentError` for a foreign one."""
    try:
        return b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
    except ValueError:
        raise InvalidArgumentError(_FOREIGN) from None


def number(cursor: str) -> int:
    """Return the number a cursor stands after; raises `InvalidArgumentError` for a foreign one."""
    return _whole(read(cursor))


def pair(cursor: str) -> tuple[int, int]:
    """Return the two numbers, written `1.2`, a cursor stands after; raises `InvalidArgumentError` for a foreign one."""
    first, _, second = read(cursor).partition(".")
    return _whole(first), _whole(second)


def known(word: Word) -> str:
    """Return the word, or nothing for one this server does not know: that means no filter (rpc.md 2.5)."""
    return str(word) if word in type(word).numbers.values() else ""


def _whole(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 20 and int(value) < 2**63):
        raise InvalidArgumentError(_FOREIGN)
    return int(value)
