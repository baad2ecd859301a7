"""Redaction: what stands in a payload's place for good (conventions.md section 11)."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from ironflow_lab.clock import Ids
from ironflow_lab.errors import NotFoundError
from ironflow_lab.models.instant import format_instant, parse_instant
from ironflow_lab.server.engine import trail
from ironflow_lab.server.engine.commands import RedactEvent
from ironflow_lab.server.engine.outcome import Erased, Outcome, Write

_DIGEST = re.compile(r"[0-9a-f]{64}")


def marker(text: bytes, at: int) -> bytes:
    """Return the marker for a payload's JSON text, redacted at `at`; a marker stays as it is."""
    if is_marker(text):
        return text
    digest = hashlib.sha256(text).hexdigest()
    return msgspec.json.encode({"$redacted": True, "sha256": digest, "redactedAt": format_instant(at)})


def is_marker(text: bytes) -> bool:
    """Return whether a payload's JSON text is a marker and nothing else.

    Only the whole shape counts: a payload of the user's own that says `$redacted` is redacted like any other.
    """
    if b'"$redacted"' not in text:
        return False
    value = msgspec.json.decode(text)
    if not isinstance(value, dict) or value.keys() != {"$redacted", "sha256", "redactedAt"}:
        return False
    return value["$redacted"] is True and _is_digest(value["sha256"]) and _is_time(value["redactedAt"])


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(parse_instant(value))
    except ValueError:
        return False


# ---- events


class StartedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded run that the event started; `created` is the payload of its `run.created`, as JSON text."""

    id: str
    function_id: str
    created_at: int
    updated_at: int
    created: bytes


class EventToRedact(msgspec.Struct, frozen=True, kw_only=True):
    """The event's data as JSON text, None where there is no such event, and the recorded runs it started."""

    data: bytes | None = None
    runs: tuple[StartedRun, ...] = ()


def redact_event(state: EventToRedact, command: RedactEvent, now: int, ids: Ids) -> Outcome:
    """Put the marker in the place of an event's data, as a row and as the input its runs' audit trails tell.

    Once only: a second call changes nothing. The event keeps its name, metadata and idempotency key.
    """
    if state.data is None:
        raise NotFoundError(f"no event {command.event_id!r} in this environment")
    if is_marker(state.data):
        return Outcome()
    mark = marker(state.data, now)
    writes = [Write("redact_event", {"env": command.env, "id": command.event_id, "data": mark})]
    for run in state.runs:
        writes += _forget_input(run, mark, command, now, ids)
    wakes = (Erased(tuple(run.id for run in state.runs)),) if state.runs else ()
    return Outcome(None, tuple(writes), wakes)


def _forget_input(run: StartedRun, mark: bytes, command: RedactEvent, now: int, ids: Ids) -> tuple[Write, ...]:
    told = msgspec.json.decode(run.created, type=dict[str, msgspec.Raw])
    if is_marker(bytes(told["input"])):
        return ()
    told["input"] = msgspec.Raw(mark)
    at = max(now, run.updated_at + 1)
    noted = trail.write(
        ids.new("aud_"),
        "run.redacted",
        {"runId": run.id, "eventId": command.event_id},
        env=command.env,
        run_id=run.id,
        function_id=run.function_id,
        at=at,
    )
    changed = {"run_id": run.id, "at": run.created_at, "payload": msgspec.json.encode(told)}
    return (Write("redact_run_created", changed), noted, Write("touch_run", {"id": run.id, "now": at}))
