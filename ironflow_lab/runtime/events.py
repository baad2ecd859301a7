"""Events as handlers see them: what started the run, and what it waited for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ironflow_lab.errors import NonRetryableError
from ironflow_lab.models.instant import Instant, parse_instant
from ironflow_lab.models.workers import JobEvent
from ironflow_lab.runtime.namespaces import outside

NOT_SET = Instant(0)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event (worker.md 9.4); `emitted_by` is who emitted it, where the server says so."""

    id: str
    name: str
    data: Any
    timestamp: Instant
    version: int = 1
    source: str = ""
    idempotency_key: str = ""
    metadata: Mapping[str, Any] = {}
    emitted_by: str = ""


def of_job(event: JobEvent) -> Event:
    """Return the event that started the run."""
    return Event(
        id=event.id,
        name=event.name,
        data=event.data,
        timestamp=event.timestamp,
        version=event.version,
        source=event.source or "",
        idempotency_key=event.idempotency_key or "",
        metadata=event.metadata or {},
    )


def of_output(name: str, output: Any, *, namespace: str = "") -> Event:
    """Return the event a wait has received, from the recorded output of its step; its name without the namespace.

    Servers write the key as `idempotencyKey` or `idempotency_key`. Raises `NonRetryableError` for
    an output that is no event, as one that was injected by hand may be.
    """
    if not (isinstance(output, dict) and "data" in output):
        raise NonRetryableError(
            f"the recorded output of the wait {name!r:.60} is not an event; inject an object with `data`, and"
            " `id`, `name` and `timestamp` where they matter",
            code="BAD_EVENT",
        )
    version = output.get("version")
    metadata = output.get("metadata")
    return Event(
        id=_text(output, "id"),
        name=outside(namespace, _text(output, "name")),
        data=output["data"],
        timestamp=_instant(output.get("timestamp")),
        version=version if isinstance(version, int) else 1,
        source=_text(output, "source"),
        idempotency_key=_text(output, "idempotencyKey") or _text(output, "idempotency_key"),
        metadata=metadata if isinstance(metadata, dict) else {},
        emitted_by=_text(output, "emittedBy") or _text(output, "emitted_by"),
    )


def _text(output: Mapping[str, Any], key: str) -> str:
    value = output.get(key)
    return value if isinstance(value, str) else ""


def _instant(value: Any) -> Instant:
    try:
        return parse_instant(value) if isinstance(value, str) else NOT_SET
    except ValueError:
        return NOT_SET
