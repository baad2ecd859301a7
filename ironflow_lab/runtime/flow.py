"""How many runs of a function start, execute and go on: lanes, debounce, throttle, cancelling events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from ironflow_lab.errors import DefinitionError
from ironflow_lab.models.functions import CancelOn, ConcurrencyConfig, DebounceConfig, ThrottleConfig
from ironflow_lab.models.instant import Int64
from ironflow_lab.wire import duration, eventpath, patterns

PAUSE_BEHAVIORS = ("hold", "release")
SHORTEST_MS = 1_000
_LARGEST = 2**31 - 1
_CONCURRENCY = "a number, or {'limit': 3, 'key': 'customerId'}"
_DEBOUNCE = "{'period': '5s', 'key': 'customerId', 'max_wait': '1m'}"
_THROTTLE = "{'limit': 10, 'period': '1m', 'key': 'customerId'}"
_CANCEL_ON = "[('order.cancelled', 'orderId')]"

Concurrency = ConcurrencyConfig | Mapping[str, Any] | int
Debounce = DebounceConfig | Mapping[str, Any]
Throttle = ThrottleConfig | Mapping[str, Any]
CancelsOn = CancelOn | tuple[str, str] | Iterable[CancelOn | tuple[str, str] | Mapping[str, str]]
PauseBehavior = Literal["hold", "release"]


def concurrency(given: Concurrency | None) -> ConcurrencyConfig | None:
    """Return how many runs execute at once: a number for all, or a dict with `limit` and a `key` they share.

    `key` is a path into the event's data, such as "customerId"; each value there has a lane of its own.
    """
    if given is None:
        return None
    limit: Any
    if isinstance(given, ConcurrencyConfig):
        limit, key = given.limit, given.key
    elif isinstance(given, int) and not isinstance(given, bool):
        limit, key = given, ""
    else:
        rule = _dict("concurrency", given, ("limit", "key"), _CONCURRENCY)
        limit, key = rule.get("limit"), rule.get("key", "")
    return ConcurrencyConfig(limit=_count("concurrency: limit", limit), key=_key("concurrency", key))


def debounce(given: Debounce | None) -> DebounceConfig | None:
    """Return how long it has to be quiet before a run starts: a dict with `period`, `key` and `max_wait`.

    Durations are seconds, timedeltas or text; `max_wait` bounds the wait while events keep coming.
    """
    if given is None:
        return None
    if isinstance(given, DebounceConfig):
        period, key, longest = given.period_ms, given.key, int(given.max_wait_ms)
    else:
        rule = _dict("debounce", given, ("period", "key", "max_wait"), _DEBOUNCE)
        if "period" not in rule:
            raise DefinitionError(f"debounce={given!r:.80} says no period; write {_DEBOUNCE}")
        period, key = _milliseconds("debounce: period", rule["period"]), rule.get("key", "")
        wait = rule.get("max_wait")
        longest = 0 if wait is None else max(1, _milliseconds("debounce: max_wait", wait))
    _check_period("debounce", period)
    if longest and longest < period:
        raise DefinitionError(
            f"debounce={given!r:.80}: max_wait is below period ({duration.text(period)}); make it longer, or leave it"
            " out"
        )
    return DebounceConfig(period_ms=period, key=_key("debounce", key), max_wait_ms=Int64(longest))


def throttle(given: Throttle | None) -> ThrottleConfig | None:
    """Return how many runs start in a period: a dict with `limit`, `period` and `key`; the others wait."""
    if given is None:
        return None
    limit: Any
    if isinstance(given, ThrottleConfig):
        limit, period, key = given.limit, given.period_ms, given.key
    else:
        rule = _dict("throttle", given, ("limit", "period", "key"), _THROTTLE)
        if "period" not in rule:
            raise DefinitionError(f"throttle={given!r:.80} says no period; write {_THROTTLE}")
        limit, key = rule.get("limit"), rule.get("key", "")
        period = _milliseconds("throttle: period", rule["period"])
    _check_period("throttle", period)
    return ThrottleConfig(limit=_count("throttle: limit", limit), period_ms=period, key=_key("throttle", key))


def cancel_on(given: Any) -> tuple[CancelOn, ...]:
    """Return which events cancel a run: pairs of an event's name and a path that has the same value in both."""
    if given is None:
        return ()
    if isinstance(given, str | Mapping) or not isinstance(given, CancelOn | Iterable):
        raise DefinitionError(f"cancel_on={given!r:.80}: write {_CANCEL_ON}")
    pair = isinstance(given, tuple) and any(isinstance(one, str) for one in given)
    found = tuple(_cancel(one) for one in ((given,) if pair or isinstance(given, CancelOn) else given))
    if not found:
        raise DefinitionError("cancel_on=[] names no event; leave it out")
    doubled = [one for one in found if found.count(one) > 1]
    if doubled:
        raise DefinitionError(f"cancel_on names {doubled[0].event!r:.80} with {doubled[0].match!r:.80} twice")
    return found


def pause_behavior(given: PauseBehavior | None) -> str:
    """Return whether a paused run keeps its place in its lane; "" leaves it to the server."""
    if given is not None and given not in PAUSE_BEHAVIORS:
        raise DefinitionError(f"pause_behavior={given!r:.40} must be 'hold' or 'release'")
    return given or ""


def actor_key(given: Any) -> str:
    """Return the path of the value that names who a run is for; "" for none."""
    if given is None:
        return ""
    fault = "it must be text" if not isinstance(given, str) else eventpath.fault(given)
    if fault is not None:
        raise DefinitionError(f"actor_key={given!r:.80}: {fault}; write for example 'event.data.customerId'")
    return str(given)


def _cancel(given: Any) -> CancelOn:
    if isinstance(given, Mapping):
        given = _dict("cancel_on", given, ("event", "match"), _CANCEL_ON)
        event, match = given.get("event"), given.get("match")
    elif isinstance(given, CancelOn):
        event, match = given.event, given.match
    elif isinstance(given, Sequence) and not isinstance(given, str) and len(given) == 2:
        event, match = given
    else:
        raise DefinitionError(f"cancel_on has {given!r:.80}, which is no event with a path; write {_CANCEL_ON}")
    if not isinstance(event, str) or not isinstance(match, str):
        raise DefinitionError(f"cancel_on has {given!r:.80}: event and match must be text; write {_CANCEL_ON}")
    fault = patterns.name_fault(event)
    if fault is not None:
        raise DefinitionError(f"cancel_on: event={event!r:.80}: {fault}")
    fault = eventpath.fault(match)
    if fault is not None:
        raise DefinitionError(f"cancel_on: match={match!r:.80} for {event!r:.80}: {fault}")
    return CancelOn(event=event, match=eventpath.bare(match))


def _dict(option: str, given: Any, keys: tuple[str, ...], example: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise DefinitionError(f"{option}={given!r:.80}: write {example}")
    unknown = [key for key in given if key not in keys]
    if unknown:
        raise DefinitionError(f"{option} has no {unknown[0]!r:.40}; it takes {', '.join(keys[:-1])} and {keys[-1]}")
    return given


def _count(what: str, given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= _LARGEST:
        raise DefinitionError(f"{what}={given!r:.40} must be a whole number from 1 on")
    return given


def _key(option: str, given: Any) -> str:
    if given is None or given == "":
        return ""
    if not isinstance(given, str):
        raise DefinitionError(f"{option}: key must be text, not {type(given).__name__}; write a path, 'customerId'")
    fault = eventpath.fault(given)
    if fault is not None:
        raise DefinitionError(f"{option}: {fault}")
    return eventpath.bare(given)


def _check_period(option: str, milliseconds: int) -> None:
    if not SHORTEST_MS <= milliseconds <= _LARGEST:
        raise DefinitionError(
            f"{option}: period ({duration.text(milliseconds)}) must be from 1 s to 24 days; write for example '5s'"
        )


def _milliseconds(what: str, given: Any) -> int:
    try:
        return duration.milliseconds(given)
    except DefinitionError as error:
        raise DefinitionError(f"{what}: {error}") from None
