"""What a run can wait for, as the yields that go on the wire (worker.md section 4)."""

from __future__ import annotations

from datetime import datetime

from ironflow_lab.clock import MILLISECOND
from ironflow_lab.errors import DefinitionError
from ironflow_lab.models.instant import Instant, parse_instant
from ironflow_lab.models.workers import Yield
from ironflow_lab.wire import duration

When = datetime | Instant | str


def seconds(name: str, timeout: duration.Duration | None) -> float | None:
    """Return a step's timeout in seconds; raises `DefinitionError` unless it is above zero."""
    if timeout is None:
        return None
    value = duration.seconds(timeout)
    if value <= 0:
        raise DefinitionError(f"the timeout of step {name!r:.60} must be longer than zero")
    return value


def sleep(step_id: str, name: str, wait: duration.Duration, now: int) -> Yield:
    """Return the yield of a sleep that begins now; raises `DefinitionError` unless it is above zero."""
    length = duration.milliseconds(wait)
    if length <= 0:
        raise DefinitionError(f"sleep {name!r:.60} must be longer than zero")
    return _until(step_id, now + length * MILLISECOND)


def sleep_until(step_id: str, name: str, when: When) -> Yield:
    """Return the yield of a sleep that ends at an instant; the past wakes it at once.

    A past instant is no error: after a crash the same code asks again, later.
    """
    return _until(step_id, _instant(name, when))


def _until(step_id: str, instant: int) -> Yield:
    rounded = -(-instant // MILLISECOND) * MILLISECOND
    return Yield(step_id=step_id, type="sleep", until=Instant(rounded))


def _instant(name: str, when: When) -> int:
    if isinstance(when, Instant):
        return when
    if isinstance(when, datetime):
        if when.tzinfo is None:
            raise DefinitionError(
                f"sleep_until {name!r:.60} got a datetime without a time zone; write datetime(..., tzinfo=timezone.utc)"
            )
        return parse_instant(when.isoformat())
    if isinstance(when, str):
        try:
            return parse_instant(when)
        except ValueError as error:
            raise DefinitionError(f"sleep_until {name!r:.60}: {error}") from None
    raise DefinitionError(
        f"sleep_until {name!r:.60} takes an aware datetime or RFC 3339 text, not {type(when).__name__}"
    )
