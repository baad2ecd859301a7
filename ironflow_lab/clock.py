"""Time and ids as arguments: the two protocols every layer takes, and the system's own.

An instant is a count of nanoseconds since 1970-01-01 UTC in a signed 64-bit integer.
"""

from __future__ import annotations

import secrets
import time
from typing import Protocol

NANOSECOND = 1
MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> int:
        """Return the instant now, in nanoseconds since 1970-01-01 UTC."""
        ...


class Ids(Protocol):
    """Where new identifiers and unguessable tokens come from."""

    def new(self, prefix: str) -> str:
        """Return `prefix` and a unique suffix; later ids of one prefix sort after earlier ones."""
        ...

    def token(self) -> str:
        """Return an unguessable token, safe in a URL."""
        ...


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> int:
        """Return the instant now, in nanoseconds since 1970-01-01 UTC."""
        return time.time_ns()


class SystemIds:
    """Time-ordered ids: 48 bits of milliseconds and 80 random bits in 26 letters and digits."""

    def new(self, prefix: str) -> str:
        """Return `prefix` and a unique suffix that sorts by time."""
        value = (time.time_ns() // MILLISECOND) << 80 | secrets.randbits(80)
        return prefix + "".join(_CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5))

    def token(self) -> str:
        """Return 144 random bits, safe in a URL."""
        return secrets.token_urlsafe(18)
