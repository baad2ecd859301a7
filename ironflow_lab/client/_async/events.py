"""Emitting events (IronflowService Emit, Trigger, TriggerSync; rpc.md section 6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ironflow_lab.client import arguments
from ironflow_lab.client._async.connection import AsyncConnection
from ironflow_lab.client.payloads import json_object, json_pair
from ironflow_lab.models.events import (
    TriggerRequest,
    TriggerResponse,
    TriggerSyncRequest,
    TriggerSyncResponse,
)
from ironflow_lab.wire.duration import Duration


class AsyncEvents:
    """`client.events`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def emit(
        self,
        event: str,
        data: Any = None,
        *,
        idempotency_key: str = "",
        version: int = 0,
        metadata: Mapping[str, Any] | None = None,
    ) -> TriggerResponse:
        """Record an event and start every function that matches it; return the run ids at once.

        `data` is any value with a JSON form; None sends no payload. With an `idempotency_key` the
        call is sent again when the server cannot be reached, and a repeat starts nothing new.
        """
        return await self._start("IronflowService/Emit", _event(event, data, idempotency_key, version, metadata))

    async def trigger(
        self,
        event: str,
        data: Any = None,
        *,
        idempotency_key: str = "",
        version: int = 0,
        metadata: Mapping[str, Any] | None = None,
    ) -> TriggerResponse:
        """Do what `emit` does, by the older name of the procedure."""
        return await self._start("IronflowService/Trigger", _event(event, data, idempotency_key, version, metadata))

    async def emit_sync(
        self,
        event: str,
        data: Any = None,
        *,
        timeout: Duration = "30s",
        idempotency_key: str = "",
        version: int = 0,
        metadata: Mapping[str, Any] | None = None,
    ) -> TriggerSyncResponse:
        """Emit an event and wait for the runs it starts; return one result per run.

        A run that still goes on after `timeout` has `wait_timed_out` set and goes on. The server
        holds the answer; the call itself gives up five seconds later.
        """
        held = arguments.hold("timeout", timeout)
        fields = _fields(event, data, idempotency_key, version, metadata)
        return await self._connection.unary(
            "IronflowService/TriggerSync",
            TriggerSyncRequest(timeout_ms=held, **fields),
            TriggerSyncResponse,
            wait=held / 1_000,
            keyed=bool(idempotency_key),
        )

    async def _start(self, procedure: str, message: TriggerRequest) -> TriggerResponse:
        return await self._connection.unary(procedure, message, TriggerResponse, keyed=bool(message.idempotency_key))


def _event(
    event: str, data: Any, idempotency_key: str, version: int, metadata: Mapping[str, Any] | None
) -> TriggerRequest:
    return TriggerRequest(**_fields(event, data, idempotency_key, version, metadata))


def _fields(
    event: str, data: Any, idempotency_key: str, version: int, metadata: Mapping[str, Any] | None
) -> dict[str, Any]:
    return {
        "event": arguments.event_name(event),
        "idempotency_key": idempotency_key,
        "version": arguments.count("version", version),
        "metadata": json_object("metadata", metadata),
        **json_pair("data", data),
    }
