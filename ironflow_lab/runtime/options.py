"""What may be said when a function is defined, checked at once (worker.md section 2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from ironflow_lab.errors import DefinitionError, PayloadError
from ironflow_lab.models.functions import RetryConfig
from ironflow_lab.runtime import payloads
from ironflow_lab.wire import duration, patterns

LONGEST_ID = 200
ON_EXHAUSTED = ("fail", "pause")
PROFILES = ("all", "run_lifecycle", "steps")
_SECRET = re.compile(r"[0-9A-Za-z_.-]{1,255}")
_LARGEST = 2**31 - 1
_RETRY_KEYS = ("max_attempts", "initial_delay", "backoff_factor", "max_delay", "on_exhausted")

Retry = RetryConfig | Mapping[str, Any] | int
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


def retry(given: Retry | None) -> RetryConfig | None:
    """Return the retry policy: a number means that many attempts; None leaves it to the server.

    A dict takes `max_attempts`, `initial_delay`, `max_delay` (durations), `backoff_factor` and
    `on_exhausted` ("fail" or "pause"); what is left out is the server's default.
    """
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, RetryConfig | Mapping | int):
        raise DefinitionError(
            f"retry={given!r:.80}: write a number of attempts, or {{'max_attempts': 5, 'initial_delay': '1s'}}"
        )
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
    return _positive("timeout", given)


def step_timeout(given: duration.Duration | None) -> float | None:
    """Return how long a step's body may take where it does not say so itself, in seconds; None is for ever."""
    if given is None:
        return None
    return _positive("step_timeout", given) / 1_000


def secrets(given: Iterable[str] | None) -> tuple[str, ...]:
    """Return the names of the secrets that the runs need; a single text is one name."""
    if given is None:
        return ()
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise DefinitionError(f"secrets must be names, secrets=['STRIPE_KEY'], not {type(given).__name__}")
    names = (given,) if isinstance(given, str) else tuple(given)
    for name in names:
        if not isinstance(name, str):
            raise DefinitionError(f"secrets must be names, secrets=['STRIPE_KEY'], and one is {type(name).__name__}")
        if _SECRET.fullmatch(name) is None:
            # Not shown: it may be a value that was put in the name's place.
            raise DefinitionError(
                f"secrets names one of {len(name)} characters that is no name; give names, not values: letters, digits"
                " and '_', '-' or '.', at most 255"
            )
    return tuple(dict.fromkeys(names))


def recording(given: Recording | None) -> Recording | None:
    """Return whether and what of its runs is recorded; None leaves it to whoever serves the function."""
    if given is None or isinstance(given, bool) or given in PROFILES:
        return given
    raise DefinitionError(f"recording={given!r:.40} must be True, False or one of {', '.join(PROFILES)}")


def metadata(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the metadata as plain JSON."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise DefinitionError(f"metadata must be a dict, not {type(given).__name__}")
    try:
        _, settled = payloads.settle(dict(given), "metadata")
    except PayloadError as error:
        told = str(error).replace(" returned something that", "").replace("; return ", "; write ")
        raise DefinitionError(told) from None
    return dict(settled)


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
    if not 0 <= policy.max_attempts <= _LARGEST:
        return f"max_attempts={policy.max_attempts} must be a whole number from 1 on, below 2^31"
    if policy.on_exhausted not in ("", *ON_EXHAUSTED):
        return f"on_exhausted={policy.on_exhausted!r:.40} must be 'fail' or 'pause'"
    if policy.backoff_factor and not 1 <= policy.backoff_factor < float("inf"):
        return f"backoff_factor={policy.backoff_factor} must be a finite number from 1 on"
    if min(policy.initial_delay_ms, policy.max_delay_ms) < 0:
        return "delays must not be negative"
    if max(policy.initial_delay_ms, policy.max_delay_ms) > _LARGEST:
        return "delays are at most 24 days"
    if policy.max_delay_ms and policy.initial_delay_ms > policy.max_delay_ms:
        return f"initial_delay ({policy.initial_delay_ms} ms) is above max_delay ({policy.max_delay_ms} ms)"
    return None


def _positive(name: str, given: duration.Duration) -> int:
    value = _milliseconds(name, given)
    if value < 1:
        raise DefinitionError(f"{name}={given!r:.40} must be longer than zero; write '30s', or leave it out")
    return value


def _milliseconds(name: str, given: duration.Duration) -> int:
    try:
        value = duration.milliseconds(given)
    except DefinitionError as error:
        raise DefinitionError(f"{name}: {error}") from None
    if value > _LARGEST:
        raise DefinitionError(f"{name}={given!r:.40} is longer than the 24 days that a registration can say")
    return value
