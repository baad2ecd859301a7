"""What callers may write, checked and turned into the values that go on the wire.

Everything here raises before anything is sent: `InvalidArgumentError` for ids, words and payloads,
`DefinitionError` for durations and instants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, ParamSpec, TypeVar

import msgspec

from ironflow_lab.client.payloads import json_object
from ironflow_lab.errors import DefinitionError, InvalidArgumentError
from ironflow_lab.models.functions import (
    ConcurrencyConfig,
    DebounceConfig,
    RegisterFunctionRequest,
    ThrottleConfig,
)
from ironflow_lab.models.instant import Instant, Word, parse_instant
from ironflow_lab.wire import duration, eventpath, patterns
from ironflow_lab.wire.message import Request

When = datetime | timedelta | Instant | str
W = TypeVar("W", bound=Word)
Keyed = TypeVar("Keyed", ConcurrencyConfig, DebounceConfig, ThrottleConfig)
Parameters = ParamSpec("Parameters")

PAUSE_BEHAVIOR = "__ironflow_pause_behavior"
_LARGEST_INT32 = 2**31 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def identifier(what: str, value: Any) -> str:
    """Return an id that can stand in a message and in a path."""
    if not isinstance(value, str) or not value.strip():
        raise InvalidArgumentError(f"{what} must be a text that is not empty, not {value!r}")
    if value in (".", ".."):
        raise InvalidArgumentError(f"{what} cannot be {value!r}: it would change the path of the call")
    return value


def identifiers(what: str, values: Iterable[str]) -> tuple[str, ...]:
    """Return several ids; a single text counts as one id."""
    listed = (values,) if isinstance(values, str) else values
    return tuple(identifier(what, value) for value in listed)


def attribution(run_id: Any) -> str:
    """Return the id of the run that a call is made in, which has to fit a header; "" for none."""
    if not isinstance(run_id, str) or not (run_id.isascii() and run_id.isprintable() and " " not in run_id):
        raise InvalidArgumentError(f"run_id must be the id of a run, not {run_id!r}")
    return run_id


def event_name(value: str) -> str:
    """Return the name of one event, which is no pattern."""
    fault = patterns.fault(identifier("the event name", value))
    if fault is None and any(token in ("*", ">") for token in value.split(".")):
        fault = f"{value!r} is a pattern; emit one event by its own name"
    if fault:
        raise InvalidArgumentError(fault)
    return value


def word(kind: type[W], what: str, value: Any) -> W:
    """Return an enumerated word in its local or its wire spelling; "" means any."""
    known = tuple(kind.numbers.values())
    found = value.removeprefix(kind.prefix).lower() if isinstance(value, str) else None
    if found is None or (found and found not in known):
        raise InvalidArgumentError(f"{what} {value!r} is not one of {', '.join(known)}")
    return kind(found)


def needed_word(kind: type[W], what: str, value: Any) -> W:
    """Return an enumerated word that has to be given; see `word`."""
    if value == "":
        raise InvalidArgumentError(f"{what} is needed: one of {', '.join(kind.numbers.values())}")
    return word(kind, what, value)


def choice(what: str, value: str, known: tuple[str, ...]) -> str:
    """Return one of the known words, or "" for any."""
    if value and value not in known:
        raise InvalidArgumentError(f"{what} {value!r} is not one of {', '.join(known)}")
    return value


def count(what: str, value: Any, *, lowest: int = 0) -> int:
    """Return a whole number that fits the wire's 32 bits."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidArgumentError(f"{what} must be a whole number, not {value!r}")
    if not lowest <= value <= _LARGEST_INT32:
        raise InvalidArgumentError(f"{what} must be {lowest} or more and fit 32 bits, not {value}")
    return value


def hold(what: str, value: duration.Duration) -> int:
    """Return the milliseconds a server may hold an answer, at least one."""
    held = duration.milliseconds(value)
    if not 0 < held <= _LARGEST_INT32:
        raise DefinitionError(f"{what}={value!r} must be above zero and below 24 days")
    return held


def held_seconds(what: str, value: duration.Duration, *, longest: int) -> int:
    """Return the whole seconds a server may hold an answer, rounded up; zero is "not at all"."""
    held = duration.milliseconds(value)
    if not 0 <= held <= longest * 1_000:
        raise DefinitionError(f"{what}={value!r} must be from 0 to {longest} s")
    return -(-held // 1_000)


def moment(what: str, value: When, now: int) -> Instant:
    """Return a point in time that has to be given; see `instant`."""
    found = instant(what, value, now)
    if not found:
        raise DefinitionError(f"{what} is needed: an aware datetime, '2026-01-02T03:04:05Z' or '2h' (ago)")
    return found


def instant(what: str, value: When | None, now: int) -> Instant:
    """Return a point in time; None is "not set".

    Takes an aware datetime, an `Instant`, an RFC 3339 text, or a duration such as "2h" or a timedelta,
    which means that long before `now` (nanoseconds since 1970).
    """
    if value is None:
        return Instant()
    if isinstance(value, Instant):
        return value
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise DefinitionError(f"{what}={value!r} has no time zone; write datetime.now(timezone.utc) or add tzinfo=")
        # pandas' times are datetimes that know nanoseconds.
        return Instant((value - _EPOCH) // _MICROSECOND * 1_000 + getattr(value, "nanosecond", 0))
    if isinstance(value, timedelta):
        return _ago(value, now)
    if isinstance(value, str):
        return _instant_text(what, value, now)
    raise DefinitionError(
        f"{what}={value!r} is not a time; write an aware datetime, '2026-01-02T03:04:05Z' or '2h' (ago)"
    )


def registration(message: RegisterFunctionRequest) -> RegisterFunctionRequest:
    """Return the registration with its id and words checked and its paths bare (rulings.md 12)."""
    identifier("the function id", message.id)
    choice("pause_behavior", message.pause_behavior, ("hold", "release"))
    metadata = json_object("metadata", message.metadata)
    if message.pause_behavior:
        # No message has the field: a server that drops it finds it here (rulings.md 29).
        metadata = {**(metadata or {}), PAUSE_BEHAVIOR: message.pause_behavior}
    return msgspec.structs.replace(
        message,
        concurrency=_bare_key(message.concurrency),
        debounce=_bare_key(message.debounce),
        throttle=_bare_key(message.throttle),
        cancel_on=tuple(msgspec.structs.replace(one, match=eventpath.bare(one.match)) for one in message.cancel_on),
        metadata=metadata,
    )


def written(write: Callable[Parameters, Request], *args: Parameters.args, **kwargs: Parameters.kwargs) -> Request:
    """Return `write(...)`; raises `InvalidArgumentError` for a message that is not JSON."""
    try:
        return write(*args, **kwargs)
    except UnicodeEncodeError:
        raise InvalidArgumentError("the call has a text with half a surrogate pair in it") from None
    except (TypeError, NotImplementedError, RecursionError, OverflowError) as error:
        raise InvalidArgumentError(f"the call cannot be written as JSON: {error}") from None


def _ago(value: duration.Duration, now: int) -> Instant:
    then = now - duration.milliseconds(value) * 1_000_000
    if then < -(2**63):
        raise DefinitionError(f"{value!r} ago is before the year 1678; leave the bound out instead")
    return Instant(then)


def _instant_text(what: str, value: str, now: int) -> Instant:
    text = value.strip()
    if not any(mark in text for mark in "-:"):
        try:
            return _ago(text, now)
        except DefinitionError as error:
            raise DefinitionError(f"{what}: {error}") from None
    try:
        return parse_instant(text)
    except ValueError as error:
        raise DefinitionError(f"{what}={value!r}: {error}; or write '2h' for two hours ago") from None


def _bare_key(rule: Keyed | None) -> Keyed | None:
    return None if rule is None else msgspec.structs.replace(rule, key=eventpath.bare(rule.key))
