"""What may be said when a function is defined, checked at once (worker.md section 2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from ironflow_lab.errors import DefinitionError, PayloadError
from ironflow_lab.models.functions import ConcurrencyConfig, RetryConfig, Trigger
from ironflow_lab.runtime import payloads
from ironflow_lab.wire import duration, eventpath, patterns

LONGEST_ID = 200
ON_EXHAUSTED = ("fail", "pause")
PROFILES = ("all", "run_lifecycle", "steps")
PAUSE_BEHAVIORS = ("hold", "release")
_CONCURRENCY_KEYS = ("limit", "key")
_RETRY_KEYS = ("max_attempts", "initial_delay", "backoff_factor", "max_delay", "on_exhausted")

On = str | Trigger | Iterable[str | Trigger]
Retry = RetryConfig | Mapping[str, Any] | int
Concurrency = ConcurrencyConfig | Mapping[str, Any] | int
PauseBehavior = Literal["hold", "release"]
Recording = bool | Literal["all", "run_lifecycle", "steps"]


def function_id(given: str | None, python_name: str) -> str:
    """Return the function's id: the given one, or `process-order` for a function `process_order`."""
    if given is None:
        given = re.sub(r"[^0-9A-Za-z]+", "-", python_name).strip("-")
        if not given or python_name == "<lambda>":
            raise DefinitionError(f"{python_name!r} gives no id; write @function('some-id', ...)")
    if not isinstance(given, str):
        raise DefinitionError(f"the id must be text, not {type(given).__name__}")
    fault = patterns.fault(given)
    if fault is None and ("*" in given or ">" in given):
        fault = f"{given!r} has a wildcard"
    if fault is None and len(given) > LONGEST_ID:
        fault = f"it has {len(given)} characters, the limit is {LONGEST_ID}"
    if fault is not None:
        raise DefinitionError(f"{given!r:.80} cannot be a function's id: {fault}")
    return given


def triggers(on: On | None) -> tuple[Trigger, ...]:
    """Return the triggers of event names, patterns and `Trigger`s; None means the function is only invoked."""
    if on is None:
        return ()
    named = (on,) if isinstance(on, str | Trigger) else tuple(on)
    if not named:
        raise DefinitionError("on=[] names no event; leave `on` out for a function that is only invoked")
    found = tuple(_trigger(one) for one in named)
    doubled = [one.event for one in found if found.count(one) > 1]
    if doubled:
        raise DefinitionError(f"on names {min(doubled)!r} twice; once is enough")
    return found


def retry(given: Retry | None) -> RetryConfig | None:
    """Return the retry policy: a number means that many attempts; None leaves it to the server.

    A dict takes `max_attempts`, `initial_delay`, `max_delay` (durations), `backoff_factor` and
    `on_exhausted` ("fail" or "pause"); what is left out is the server's default.
    """
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, RetryConfig | Mapping | int):
        raise DefinitionError(f"retry={given!r:.80}: write a number of attempts, a dict or RetryConfig")
    if isinstance(given, int):
        given = {"max_attempts": given}
    policy = given if isinstance(given, RetryConfig) else _retry_of(given)
    fault = _retry_fault(policy)
    if fault is not None:
        raise DefinitionError(f"retry: {fault}")
    return policy


def timeout_ms(given: duration.Duration | None) -> int:
    """Return the longest execution time of a run in milliseconds; 0 leaves it to the server."""
    if given is None:
        return 0
    value = _milliseconds("timeout", given)
    if value < 1:
        raise DefinitionError("timeout must be longer than zero")
    return value


def recording(given: Recording | None) -> Recording | None:
    """Return whether and what of its runs is recorded; None leaves it to whoever serves the function."""
    if given is None or isinstance(given, bool) or given in PROFILES:
        return given
    raise DefinitionError(f"recording={given!r:.40} must be True, False or one of {', '.join(PROFILES)}")


def concurrency(given: Concurrency | None) -> ConcurrencyConfig | None:
    """Return how many runs execute at once: a number for all, or a dict with `limit` and a `key` they share.

    `key` is a path into the event's data, such as "customerId"; each value there has a lane of its own.
    """
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, ConcurrencyConfig | Mapping | int):
        raise DefinitionError(f"concurrency={given!r:.80}: write a number, or {{'limit': 3, 'key': 'customerId'}}")
    if isinstance(given, Mapping):
        unknown = [key for key in given if key not in _CONCURRENCY_KEYS]
        if unknown:
            raise DefinitionError(f"concurrency has no {unknown[0]!r:.40}; it takes limit and key")
        limit, key = given.get("limit"), given.get("key", "")
    else:
        limit, key = (given, "") if isinstance(given, int) else (given.limit, given.key)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit < 2**31:
        raise DefinitionError(f"concurrency: limit={limit!r:.40} must be a whole number from 1 on")
    if not isinstance(key, str):
        raise DefinitionError(f"concurrency: key must be text, not {type(key).__name__}")
    fault = eventpath.fault(key) if key else None
    if fault is not None:
        raise DefinitionError(f"concurrency: {fault}")
    return ConcurrencyConfig(limit=limit, key=key)


def pause_behavior(given: PauseBehavior | None) -> str:
    """Return whether a paused run keeps its place in its lane; "" leaves it to the server."""
    if given is not None and given not in PAUSE_BEHAVIORS:
        raise DefinitionError(f"pause_behavior={given!r:.40} must be 'hold' or 'release'")
    return given or ""


def metadata(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the metadata as plain JSON."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise DefinitionError(f"metadata must be a dict, not {type(given).__name__}")
    try:
        _, settled = payloads.settle(dict(given), "metadata")
    except PayloadError as error:
        raise DefinitionError(str(error).replace(" returned something that", "")) from None
    return dict(settled)


def _trigger(given: Any) -> Trigger:
    trigger = Trigger(event=given) if isinstance(given, str) else given
    if not isinstance(trigger, Trigger) or trigger.cron:
        raise DefinitionError(f"on={given!r:.80} is not an event name; write on='order.placed'")
    fault = patterns.fault(trigger.event)
    if fault is None and trigger.expression and not trigger.expression.strip():
        fault = "its expression is blank; leave it out to start on every such event"
    if fault is not None:
        raise DefinitionError(f"on={trigger.event!r:.80}: {fault}")
    return trigger


def _retry_of(given: Mapping[str, Any]) -> RetryConfig:
    unknown = [key for key in given if key not in _RETRY_KEYS]
    if unknown:
        raise DefinitionError(f"retry has no {unknown[0]!r}; it takes {', '.join(_RETRY_KEYS)}")
    attempts, factor = given.get("max_attempts", 0), given.get("backoff_factor", 0.0)
    if "max_attempts" in given and (type(attempts) is not int or attempts < 1):
        raise DefinitionError(f"retry: max_attempts={attempts!r:.40} must be a whole number from 1 on")
    if isinstance(factor, bool) or not isinstance(factor, int | float):
        raise DefinitionError(f"retry: backoff_factor={factor!r:.40} must be a number from 1 on")
    if "backoff_factor" in given and not factor >= 1:
        raise DefinitionError(f"retry: backoff_factor={factor!r:.40} must be a number from 1 on")
    values: dict[str, Any] = {"max_attempts": attempts}
    if "backoff_factor" in given:
        values["backoff_factor"] = float(factor)
    for name in ("initial_delay", "max_delay"):
        if name in given:
            values[f"{name}_ms"] = _milliseconds(f"retry: {name}", given[name])
    return RetryConfig(**values, on_exhausted=given.get("on_exhausted", ""))


def _retry_fault(policy: RetryConfig) -> str | None:
    if policy.max_attempts < 0:
        return f"max_attempts={policy.max_attempts} must be a whole number from 1 on"
    if policy.on_exhausted not in ("", *ON_EXHAUSTED):
        return f"on_exhausted={policy.on_exhausted!r:.40} must be 'fail' or 'pause'"
    if policy.backoff_factor and not 1 <= policy.backoff_factor < float("inf"):
        return f"backoff_factor={policy.backoff_factor} must be a finite number from 1 on"
    if min(policy.initial_delay_ms, policy.max_delay_ms) < 0:
        return "delays must not be negative"
    if policy.max_delay_ms and policy.initial_delay_ms > policy.max_delay_ms:
        return f"initial_delay ({policy.initial_delay_ms} ms) is above max_delay ({policy.max_delay_ms} ms)"
    return None


def _milliseconds(name: str, given: duration.Duration) -> int:
    try:
        return duration.milliseconds(given)
    except DefinitionError as error:
        raise DefinitionError(f"{name}: {error}") from None
