"""Instants, 64-bit integers and enumerated words as record fields, with the hooks for their JSON.

Standard-library datetimes stop at microseconds, so an instant stays an integer of nanoseconds.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Self

import msgspec

_SECOND = 1_000_000_000
_RANGE = 2**63
# How Go's plain JSON writes a time that was never set.
_NEVER = "0001-01-01T00:00:00Z"
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-])(\d\d):?(\d\d))",
    re.ASCII,
)
_LAST_YEAR = 2261
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_zeros: dict[Any, Any] = {}


def _zero(kind: Any) -> Any:
    # msgspec omits a field that *is* its default, not one that equals it.
    base = str if issubclass(kind, str) else int
    return _zeros.setdefault(kind, base.__new__(kind))


class Instant(int):
    """Nanoseconds since 1970-01-01 UTC; prints as RFC 3339; zero means "not set" on the wire."""

    def __new__(cls, value: int = 0) -> Self:
        """Return the instant; zero is one object, so that encoders leave it out."""
        return super().__new__(cls, value) if value else _zero(cls)

    def __str__(self) -> str:
        """Return the RFC 3339 text in UTC."""
        return format_instant(self)

    def __repr__(self) -> str:
        """Return a form that shows the time."""
        return f"Instant({format_instant(self)!r})"

    def to_datetime(self) -> datetime:
        """Return an aware datetime in UTC, cut to microseconds."""
        seconds, rest = divmod(int(self), _SECOND)
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)


class Later(Instant):
    """An instant to wait for: one that lies beyond the range of `Instant` is read as its end."""

    END: ClassVar[int] = (_RANGE - 1) // _SECOND * _SECOND


@lru_cache(maxsize=4096)
def _minute(text: str) -> int:
    """Return nanoseconds for `YYYY-MM-DDTHH:MM`; lists of runs share few distinct minutes."""
    day = date(int(text[0:4]), int(text[5:7]), int(text[8:10])).toordinal() - _EPOCH_DAY
    hour, minute = int(text[11:13]), int(text[14:16])
    if hour > 23 or minute > 59:
        raise ValueError(f"{text!r} has no such hour or minute")
    return (day * 86_400 + hour * 3_600 + minute * 60) * _SECOND


def parse_instant(text: str) -> Instant:
    """Return the instant of an RFC 3339 text with `Z` or an offset and up to nine fraction digits.

    Raises ValueError for anything else, a time without an offset and one outside the years 1678 to
    2261 (64 bits of nanoseconds) included.
    """
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not an RFC 3339 time with an offset, such as 2026-01-02T03:04:05Z")
    fraction = found[7]
    second = int(found[6])
    if second > 60:
        raise ValueError(f"{text!r} has {second} seconds")
    value = _minute(text[:16]) + second * _SECOND
    if fraction:
        value += int(fraction) * 10 ** (9 - len(fraction))
    if found[8]:
        offset = (int(found[9]) * 3_600 + int(found[10]) * 60) * _SECOND
        value += offset if found[8] == "-" else -offset
    if not -_RANGE <= value < _RANGE:
        raise ValueError(f"{text!r} is outside the years 1678 to 2261")
    return Instant(value)


@lru_cache(maxsize=4096)
def _date_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def format_instant(value: int) -> str:
    """Return RFC 3339 in UTC with 0, 3, 6 or 9 fraction digits, as proto JSON writes it."""
    seconds, rest = divmod(int(value), _SECOND)
    text = _date_text(seconds)
    if rest == 0:
        return text + "Z"
    if rest % 1_000_000 == 0:
        return f"{text}.{rest // 1_000_000:03d}Z"
    if rest % 1_000 == 0:
        return f"{text}.{rest // 1_000:06d}Z"
    return f"{text}.{rest:09d}Z"


class Int64(int):
    """A 64-bit integer: a JSON string on the Connect wire (rpc.md section 2, rule 3)."""

    def __new__(cls, value: int | str = 0) -> Self:
        """Return the number; zero is one object, so that encoders leave it out."""
        number = int(value)
        return super().__new__(cls, number) if number else _zero(cls)


# A request's 32-bit integer; beyond its range the message is refused where it is read.
Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]


class Word(str):
    """An enumerated value: lower-case here, `PREFIX_UPPER` on the wire.

    Subclasses name `prefix` and the words in wire-number order. A word this version does not know
    is kept as it came: newer servers may have more.
    """

    prefix: ClassVar[str] = ""
    numbers: ClassVar[dict[int, str]] = {}
    __slots__ = ()

    def __new__(cls, value: str = "") -> Self:
        """Return the word; the empty one is one object, so that encoders leave it out."""
        return super().__new__(cls, value) if value else _zero(cls)


def decode_hook(kind: type, value: Any) -> Any:
    """Read an `Instant`, an `Int64` or a `Word`, for msgspec's `dec_hook`."""
    if issubclass(kind, Instant):
        if not isinstance(value, str):
            raise ValueError("a time must be an RFC 3339 string")
        if value == _NEVER:
            return kind()
        if kind is Later and (found := _RFC3339.fullmatch(value)) and int(found[1]) > _LAST_YEAR:
            return Later(Later.END)
        return kind(parse_instant(value))
    if issubclass(kind, Int64):
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError("a 64-bit integer must be a number or a string of digits")
        number = kind(value)
        if not -_RANGE <= number < _RANGE:
            raise ValueError("a 64-bit integer is from -2^63 to 2^63 - 1")
        return number
    if issubclass(kind, Word):
        if isinstance(value, int) and not isinstance(value, bool):
            # A number this version does not know stays one, as a name does; only zero is "unspecified".
            return kind(kind.numbers.get(value, str(value) if value else ""))
        if not isinstance(value, str):
            raise ValueError("an enumerated value must be its name or number")
        word = value.removeprefix(kind.prefix).lower()
        return kind("" if word == "unspecified" else word)
    raise NotImplementedError(f"no decoder for {kind!r}")


def encode_hook(value: Any) -> Any:
    """Write an `Instant`, an `Int64` or a `Word`, for msgspec's `enc_hook`."""
    if isinstance(value, Instant):
        return format_instant(value)
    if isinstance(value, Int64):
        return str(int(value))
    if isinstance(value, Word):
        return value.prefix + (value.upper() or "UNSPECIFIED")
    raise NotImplementedError(f"no encoder for {type(value)!r}")
