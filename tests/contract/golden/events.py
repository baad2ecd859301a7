"""The records of events and messages in the golden files: `<name>.json` is exactly our bytes for `EVENTS[name]`.

The files were written from the protocol's documents, not by our encoder.
"""

from __future__ import annotations

from typing import Any

from ironflow_lab.models.events import (
    Event,
    EventName,
    EventNames,
    EventPage,
    InvokeFunctionRequest,
    InvokeFunctionResponse,
    InvokeFunctionSyncRequest,
    InvokeFunctionSyncResponse,
    RedactEventRequest,
    RunResult,
    TriggerBatchRequest,
    TriggerBatchResponse,
    TriggerRequest,
    TriggerResponse,
)
from ironflow_lab.models.instant import Int64, parse_instant
from ironflow_lab.models.pubsub import EmitRequest, EmitResponse, PublishRequest, PublishResponse
from ironflow_lab.models.runs import Error, RunStatus

T5 = parse_instant("2026-01-02T03:04:05Z")

# Messages of the Connect dialect.
EVENTS: dict[str, Any] = {
    "trigger_batch_request": TriggerBatchRequest(
        events=(
            TriggerRequest(event="order.placed", data={"orderId": "A-1"}, idempotency_key="k-1", version=2),
            TriggerRequest(event="order.counted", data_value=0),
        )
    ),
    "trigger_batch_response": TriggerBatchResponse(
        results=(
            TriggerResponse(run_ids=("run_01",), event_id="evt_01"),
            TriggerResponse(error=Error(message="try again", code="unavailable", retryable=True)),
            TriggerResponse(event_id="evt_03"),
        )
    ),
    "invoke_function_request": InvokeFunctionRequest(
        function_id="process-order", data={"orderId": "A-1"}, idempotency_key="k-1"
    ),
    "invoke_function_request_value": InvokeFunctionRequest(function_id="process-order", data_value=None),
    "invoke_function_response": InvokeFunctionResponse(run_id="run_01", event_id="evt_01"),
    "invoke_function_sync_request": InvokeFunctionSyncRequest(
        function_id="process-order",
        data={"orderId": "A-1"},
        timeout_ms=30000,
        idempotency_key="k-1",
        metadata={"traceId": "t"},
    ),
    "invoke_function_sync_request_value": InvokeFunctionSyncRequest(function_id="process-order", data_value=[1]),
    "invoke_function_sync_response": InvokeFunctionSyncResponse(
        result=RunResult(
            run_id="run_01",
            function_id="process-order",
            status=RunStatus("completed"),
            output_value=[1, 2],
            duration_ms=12,
        )
    ),
    "redact_event_request": RedactEventRequest(event_id="evt_01"),
    "emit_request": EmitRequest(
        event="order.placed",
        data={"orderId": "A-1"},
        namespace="default",
        idempotency_key="k-1",
        version=2,
        metadata={"traceId": "t"},
    ),
    "emit_request_value": EmitRequest(event="order.placed", data_value="A-1"),
    "emit_response": EmitResponse(run_ids=("run_01", "run_02"), event_id="evt_01"),
    "publish_request": PublishRequest(topic="prices.eur", data={"rate": 1.5}, idempotency_key="k-1"),
    "publish_request_value": PublishRequest(topic="prices.eur", data_value=[]),
    "publish_response": PublishResponse(event_id="msg_01", sequence=Int64(2**53 + 1), duplicate=True),
}

PLACED = Event(
    id="evt_02",
    name="order.placed",
    data={"orderId": "A-1"},
    version=2,
    source="webhook",
    idempotency_key="k-1",
    metadata={"traceId": "t"},
    timestamp=T5,
    created_at=T5,
    run_id="run_01",
    emitted_by="apikey:key_01",
    environment_id="env_default",
)

# Plain JSON: nothing is left out.
EVENT_READS: dict[str, Any] = {
    "event": PLACED,
    "event_page": EventPage(
        events=(
            PLACED,
            Event(id="evt_01", name="order.counted", source="api", timestamp=T5, created_at=T5, processed=False),
        ),
        count=2,
        limit=2,
        has_next=True,
        has_prev=True,
        next_cursor="MQ==",
        prev_cursor="Mg==",
        approx_total=10000,
        approx_total_capped=True,
    ),
    "event_page_none": EventPage(limit=20),
    "event_names": EventNames(
        names=(EventName(name="order.placed", count=3), EventName(name="order.counted", count=1)),
        scan_cap=4,
        scanned=4,
        truncated=True,
    ),
}
