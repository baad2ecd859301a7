"""What a run can wait for, as the yields that go on the wire (worker.md section 4)."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Any

import msgspec

from ironflow_lab.clock import MILLISECOND
from ironflow_lab.errors import DefinitionError, InvokeError
from ironflow_lab.models.instant import Instant, Later, parse_instant
from ironflow_lab.models.runs import Invoked
from ironflow_lab.models.workers import CompletedStep, Yield
from ironflow_lab.runtime import payloads
from ironflow_lab.runtime.namespaces import inside, outside
from ironflow_lab.wire import duration, patterns

When = datetime | Instant | str


def seconds(name: str, timeout: duration.Duration | None, default: float | None = None) -> float | None:
    """Return a step's timeout in seconds, the function's default for None; raises `DefinitionError` for zero."""
    if timeout is None:
        return default
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


def event(
    step_id: str,
    name: str,
    event: str,
    *,
    match: str | None,
    match_value: str | float | None,
    timeout: duration.Duration,
    payload: Any,
) -> Yield:
    """Return the yield of a wait for an event; raises `DefinitionError`, and `PayloadError` for the payload."""
    what = f"wait_for_event {name!r:.60}"
    if not isinstance(event, str):
        raise DefinitionError(f"{what} got {event!r:.60} instead of an event's name, such as 'order.approved'")
    event = event.strip()
    fault = patterns.fault(event)
    if fault is None and ("*" in event or ">" in event):
        fault = f"{event!r:.60} has a wildcard; a run waits for one event by its exact name"
    if fault is not None:
        raise DefinitionError(f"{what}: {fault}")
    wanted: dict[str, Any] = {"event": event, "timeout": duration.text(_positive(what, timeout))}
    if match is not None:
        wanted["match"] = _path(what, match)
    if match_value is not None:
        if match is None:
            raise DefinitionError(f"{what} has a match_value and no match; name the path, such as 'data.orderId'")
        wanted["match_value"] = _as_text(what, match_value)
    if payload is not None:
        wanted["payload"] = payloads.given(payload, what)
    return Yield(step_id=step_id, type="wait_for_event", event_filter=wanted)


def invoke(step_id: str, function_id: str, data: Any, timeout: duration.Duration) -> Yield:
    """Return the yield of a call of another function; raises `DefinitionError` and `PayloadError`."""
    what = f"invoke {function_id!r:.60}"
    return Yield(
        step_id=step_id,
        type="invoke_function",
        function_id=function_id,
        input=payloads.given(data, what),
        invoke_timeout_ms=duration.in_field(_positive(what, timeout)),
    )


def invoke_async(step_id: str, function_id: str, data: Any) -> Yield:
    """Return the yield that starts another function without waiting for it; raises `PayloadError`."""
    return Yield(
        step_id=step_id,
        type="invoke_function_async",
        function_id=function_id,
        input=payloads.given(data, f"invoke_async {function_id!r:.60}"),
    )


def placed(namespace: str, wanted: Yield) -> Yield:
    """Return the yield of code of this namespace as the server is told of it."""
    if not namespace:
        return wanted
    if isinstance(wanted.function_id, str):
        wanted = msgspec.structs.replace(wanted, function_id=inside(namespace, wanted.function_id))
    if isinstance(wanted.event_filter, dict):
        named = {**wanted.event_filter, "event": inside(namespace, wanted.event_filter["event"])}
        wanted = msgspec.structs.replace(wanted, event_filter=named)
    return wanted


def function_id(function: Any) -> str:
    """Return the id of a function, given as such or as what `@function` made; raises `DefinitionError`."""
    found = function if isinstance(function, str) else getattr(function, "id", None)
    if isinstance(found, str):
        # The step is called the same in a namespace and outside one.
        found = outside(getattr(function, "namespace", ""), found)
    if not (isinstance(found, str) and found):
        raise DefinitionError(
            f"{type(function).__name__} cannot be invoked; pass a function's id, or what @function made:"
            " step.invoke('charge-card', order)"
        )
    return found


def child_output(row: CompletedStep, function_id: str) -> Any:
    """Return the output of an invoked function; raises `InvokeError` when its run did not complete."""
    if row.status == "failed":
        raise _invoke_error(row.error, function_id)
    return row.output


def child_run(row: CompletedStep, function_id: str) -> Invoked:
    """Return the run that was started; raises `InvokeError` when none was."""
    output = child_output(row, function_id)
    run_id = output.get("run_id") or output.get("runId") if isinstance(output, dict) else None
    if not (isinstance(run_id, str) and run_id):
        raise InvokeError(
            f"the server did not say which run of {function_id!r:.60} it started", function_id=function_id
        )
    return Invoked(run_id=run_id)


def _invoke_error(error: Any, function_id: str) -> InvokeError:
    if isinstance(error, str) and error.lstrip().startswith("{"):
        # Some servers send the object as text.
        with contextlib.suppress(msgspec.DecodeError):
            error = msgspec.json.decode(error)
    told = error if isinstance(error, dict) else {"message": error}
    message, cause = (told.get(key) for key in ("message", "cause"))
    text = next((one for one in (message, cause) if isinstance(one, str) and one), "it failed and no reason was told")
    child, named = told.get("child_run_id"), told.get("function_id")
    return InvokeError(
        f"{function_id}: {text}",
        function_id=named if isinstance(named, str) and named else function_id,
        child_run_id=child if isinstance(child, str) else "",
    )


def _positive(what: str, timeout: duration.Duration) -> int:
    value = duration.milliseconds(timeout)
    if value <= 0:
        raise DefinitionError(f"the timeout of {what} must be longer than zero")
    return value


def _path(what: str, match: object) -> str:
    if not isinstance(match, str) or not match.strip() or "" in match.strip().split("."):
        raise DefinitionError(f"{what}: match={match!r:.60} is not a path; write for example match='data.orderId'")
    return match.strip()


def _as_text(what: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return bytes(payloads.given(value, f"the match_value of {what}")).decode()
    raise DefinitionError(f"{what}: match_value must be text, a number or a boolean, not {type(value).__name__}")


def _until(step_id: str, instant: int) -> Yield:
    rounded = -(-instant // MILLISECOND) * MILLISECOND
    return Yield(step_id=step_id, type="sleep", until=Later(rounded))


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
