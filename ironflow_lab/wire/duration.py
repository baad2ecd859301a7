"""Durations as people and the wire write them (conventions.md section 6)."""

from __future__ import annotations

import math
import re
from datetime import timedelta

from ironflow_lab.errors import DefinitionError

_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)", re.ASCII)
# Milliseconds travel as signed 64-bit integers.
_LONGEST = 2**63 - 1
_LARGEST_FIELD = 2**31 - 1
_WRITTEN = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))

Duration = float | int | str | timedelta


def milliseconds(value: Duration) -> int:
    """Return whole milliseconds, fractions rounded up.

    Takes seconds as a number, a `timedelta`, or text such as "500ms", "5s", "1.5h", "1h30m", "7d".
    Raises `DefinitionError` for anything else, negative and not finite numbers included.
    """
    if isinstance(value, timedelta):
        exact = value / timedelta(milliseconds=1)
    elif isinstance(value, str):
        exact = _parse(value)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise DefinitionError(f"{value!r} is not a duration; write seconds, a timedelta or text like '5s'")
    else:
        exact = value * 1_000
    if not 0 <= exact <= _LONGEST:
        raise DefinitionError(f"{value!r} is not a duration; it must be finite and not negative")
    return math.ceil(round(exact, 6))


def seconds(value: Duration) -> float:
    """Return seconds, by the rules of `milliseconds`."""
    return milliseconds(value) / 1_000


def in_field(value_ms: int) -> int:
    """Return the milliseconds as a message's 32-bit field holds them: from 25 days on, the most it can."""
    return min(value_ms, _LARGEST_FIELD)


def text(value_ms: int) -> str:
    """Return the largest unit that divides exactly: 90000 -> "90s", 3600000 -> "1h", 500 -> "500ms"."""
    for unit, size in _WRITTEN:
        if value_ms >= size and value_ms % size == 0:
            return f"{value_ms // size}{unit}"
    return f"{value_ms}ms"


def _parse(value: str) -> float:
    compact = value.strip()
    parts = _PART.findall(compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise DefinitionError(f"{value!r} is not a duration; write for example '500ms', '5s', '10m', '2h', '7d'")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
