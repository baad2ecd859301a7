"""Publishing to topics (PubSubService; rpc.md section 6), Connect dialect."""

from __future__ import annotations

from typing import Any

import msgspec

from ironflow_lab.models.instant import Int32, Int64


class PublishRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Append a message to a topic; a repeated `idempotency_key` gives the first message's place again."""

    topic: str = ""
    data: Any = None
    idempotency_key: str = ""
    data_value: Any = msgspec.UNSET


class PublishResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The message's id and its place in the log; `duplicate` when the key had been used."""

    event_id: str = ""
    sequence: Int64 = Int64(0)
    duplicate: bool = False


class EmitRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """PubSubService/Emit: record an event and start every function that matches it."""

    event: str = ""
    data: Any = None
    data_value: Any = msgspec.UNSET
    namespace: str = ""
    idempotency_key: str = ""
    version: Int32 = 0
    metadata: dict[str, Any] | None = None


class EmitResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The event's id and the runs it started."""

    run_ids: tuple[str, ...] = ()
    event_id: str = ""
