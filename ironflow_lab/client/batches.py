"""What callers emit, one event or several, checked and turned into messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NotRequired, TypedDict

from ironflow_lab.client import arguments
from ironflow_lab.client.payloads import json_object, json_pair
from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.models.events import TriggerBatchRequest, TriggerRequest


class EventToEmit(TypedDict):
    """One event of a batch; what is left out is as `client.events.emit` has it."""

    event: str
    data: NotRequired[Any]
    idempotency_key: NotRequired[str]
    version: NotRequired[int]
    metadata: NotRequired[Mapping[str, Any] | None]


def batch(events: Iterable[EventToEmit]) -> TriggerBatchRequest:
    """Return the message for several events; raises `InvalidArgumentError` that says which one is wrong."""
    return TriggerBatchRequest(events=tuple(_one(place, event) for place, event in enumerate(events)))


def fields(
    event: str,
    data: Any = None,
    idempotency_key: str = "",
    version: int = 0,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the fields of a message that carries one event."""
    return {
        "event": arguments.event_name(event),
        "idempotency_key": idempotency_key,
        "version": arguments.count("version", version),
        "metadata": json_object("metadata", metadata),
        **json_pair("data", data),
    }


def _one(place: int, event: Any) -> TriggerRequest:
    if not isinstance(event, Mapping) or "event" not in event:
        raise InvalidArgumentError(f"events[{place}] must be a dict with the key 'event'")
    unknown = event.keys() - EventToEmit.__annotations__.keys()
    if unknown:
        raise InvalidArgumentError(f"events[{place}] has {min(map(str, unknown))!r}, which no event has")
    try:
        return TriggerRequest(**fields(**event))
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"events[{place}]: {error}") from None
