"""The Connect messages of the golden files: `<name>.json` is exactly our bytes for `CONNECT[name]`.

The files were written from the protocol's documents, not by our encoder.
"""

from __future__ import annotations

from typing import Any

from ironflow_lab.models.events import (
    RunResult,
    TriggerRequest,
    TriggerResponse,
    TriggerSyncRequest,
    TriggerSyncResponse,
)
from ironflow_lab.models.functions import (
    CancelOn,
    CircuitBreakerConfig,
    ConcurrencyConfig,
    DebounceConfig,
    DeleteFunctionRequest,
    Function,
    FunctionHistoryEntry,
    FunctionStatus,
    GetFunctionAtVersionRequest,
    GetFunctionAtVersionResponse,
    GetFunctionRequest,
    ListFunctionHistoryRequest,
    ListFunctionHistoryResponse,
    ListFunctionsRequest,
    ListFunctionsResponse,
    RegisterFunctionRequest,
    RegisterFunctionResponse,
    RetryConfig,
    RollbackFunctionRequest,
    RollbackFunctionResponse,
    ThrottleConfig,
    Trigger,
    UpdateFunctionStatusRequest,
)
from ironflow_lab.models.instant import Instant, Int64, parse_instant
from ironflow_lab.models.runs import (
    CancelRunRequest,
    Error,
    ExecutionMode,
    GetRunRequest,
    GetRunStepsRequest,
    GetRunStepsResponse,
    ListRunsRequest,
    ListRunsResponse,
    Run,
    RunStatus,
    Step,
    StepStatus,
    StepType,
)

PULL = ExecutionMode("pull")
COMPLETED = RunStatus("completed")
FAILED = RunStatus("failed")
HASH = {"__ironflow_code_hash": "0f3a9c1d22e4b871"}


def at(time: str, day: str = "2026-01-02") -> Instant:
    """Return the instant of a time of day, in UTC."""
    return parse_instant(f"{day}T{time}Z")


T5, T6 = at("03:04:05"), at("03:04:06")

FUNCTIONS: dict[str, Any] = {
    "register_function_request": RegisterFunctionRequest(
        id="process-order",
        name="process-order",
        description="Charges an order.",
        triggers=(
            Trigger(event="order.placed", expression="data.total > 100"),
            Trigger(cron="0 * * * *"),
        ),
        retry=RetryConfig(
            max_attempts=5,
            initial_delay_ms=1000,
            backoff_factor=2.0,
            max_delay_ms=300000,
            on_exhausted="fail",
        ),
        timeout_ms=1800000,
        concurrency=ConcurrencyConfig(limit=10, key="customerId"),
        preferred_mode=PULL,
        actor_key="customerId",
        secrets=("STRIPE_KEY",),
        recording=True,
        recording_profile="steps",
        metadata={"team": "ops", **HASH},
        change_reason="longer timeout",
        debounce=DebounceConfig(period_ms=1000, key="customerId", max_wait_ms=Int64(60000)),
        throttle=ThrottleConfig(limit=5, period_ms=60000, key="region"),
        circuit_breaker=CircuitBreakerConfig(failure_threshold=5, open_duration_ms=60000, max_open_duration_ms=600000),
        cancel_on=(CancelOn(event="order.cancelled", match="orderId"),),
        pause_behavior="release",
    ),
    "register_function_request_push": RegisterFunctionRequest(
        id="notify",
        triggers=(Trigger(event="order.*"),),
        preferred_mode=ExecutionMode("push"),
        endpoint_url="http://127.0.0.1:8080/ironflow",
    ),
    "register_function_request_least": RegisterFunctionRequest(id="process-order"),
    "register_function_response": RegisterFunctionResponse(
        function=Function(
            id="process-order",
            name="process-order",
            triggers=(Trigger(event="order.placed"),),
            retry=RetryConfig(
                max_attempts=25,
                initial_delay_ms=1000,
                backoff_factor=2.0,
                max_delay_ms=300000,
                on_exhausted="pause",
            ),
            timeout_ms=600000,
            preferred_mode=PULL,
            status=FunctionStatus("active"),
            version=1,
            created_at=T5,
            updated_at=T5,
            metadata=HASH,
        ),
        created=True,
    ),
    "register_function_response_unchanged": RegisterFunctionResponse(function=Function(id="process-order", version=1)),
    "get_function_request": GetFunctionRequest(id="process-order"),
    "function": Function(
        id="process-order",
        name="Process an order",
        description="Charges an order.",
        triggers=(Trigger(event="order.placed"),),
        retry=RetryConfig(max_attempts=5),
        timeout_ms=1800000,
        concurrency=ConcurrencyConfig(limit=10, key="customerId"),
        preferred_mode=ExecutionMode("push"),
        endpoint_url="http://127.0.0.1:8080/ironflow",
        actor_key="customerId",
        status=FunctionStatus("paused"),
        version=3,
        created_at=at("03:04:05.006"),
        updated_at=at("03:04:05.006007"),
        recording=True,
        recording_profile="all",
        metadata={"team": "ops"},
        pause_behavior="hold",
    ),
    "update_function_status_request": UpdateFunctionStatusRequest(
        id="process-order", status=FunctionStatus("archived")
    ),
    "delete_function_request": DeleteFunctionRequest(id="process-order"),
    "list_function_history_request": ListFunctionHistoryRequest(
        function_id="process-order", limit=200, from_version=Int64(2**53 + 1)
    ),
    "list_function_history_response": ListFunctionHistoryResponse(
        entries=(
            FunctionHistoryEntry(
                event_id="evt_1",
                entity_version=Int64(3),
                function_id="process-order",
                function_snapshot=Function(id="process-order", status=FunctionStatus("paused"), version=2),
                actor_id="apikey:key_1",
                change_reason="longer timeout",
                change_type="status_change",
                recorded_at=T6,
            ),
        ),
        has_more=True,
    ),
    "list_function_history_response_none": ListFunctionHistoryResponse(),
    "get_function_at_version_request": GetFunctionAtVersionRequest(function_id="process-order", version=Int64(3)),
    "get_function_at_version_response": GetFunctionAtVersionResponse(
        entry=FunctionHistoryEntry(event_id="evt_1", entity_version=Int64(1), change_type="create", recorded_at=T5)
    ),
    "rollback_function_request": RollbackFunctionRequest(
        function_id="process-order", version=Int64(1), change_reason="it was better"
    ),
    "rollback_function_response": RollbackFunctionResponse(function=Function(id="process-order", version=4)),
    "list_functions_request": ListFunctionsRequest(
        status=FunctionStatus("active"), limit=100, cursor="c1", name="order", mode="pull", offset=5
    ),
    "list_functions_response": ListFunctionsResponse(
        functions=(Function(id="a", status=FunctionStatus("archived")), Function(id="b")),
        next_cursor="c2",
        total_count=7,
    ),
    "list_functions_response_none": ListFunctionsResponse(),
}

EVENTS: dict[str, Any] = {
    "trigger_request": TriggerRequest(
        event="order.placed",
        data={"orderId": "A-1", "total": 129.5},
        idempotency_key="k-1",
        metadata={"traceId": "t"},
        version=2,
    ),
    "trigger_request_list": TriggerRequest(event="order.placed", data_value=[1, "two", None, True]),
    "trigger_request_text": TriggerRequest(event="order.placed", data_value="A-1"),
    "trigger_request_number": TriggerRequest(event="order.placed", data_value=0),
    "trigger_request_false": TriggerRequest(event="order.placed", data_value=False),
    "trigger_request_null": TriggerRequest(event="order.placed", data_value=None),
    "trigger_request_empty_object": TriggerRequest(event="order.placed", data={}),
    "trigger_response": TriggerResponse(run_ids=("run_01", "run_02"), event_id="evt_01"),
    "trigger_response_no_match": TriggerResponse(event_id="evt_01"),
    "trigger_response_error": TriggerResponse(error=Error(message="an event needs a name", code="invalid_argument")),
    "trigger_sync_request": TriggerSyncRequest(
        event="order.placed",
        data={"orderId": "A-1"},
        idempotency_key="k-1",
        timeout_ms=30000,
        metadata={"traceId": "t"},
        version=2,
    ),
    "trigger_sync_request_value": TriggerSyncRequest(event="order.placed", data_value=7),
    "trigger_sync_response": TriggerSyncResponse(
        results=(
            RunResult(
                run_id="run_01",
                function_id="process-order",
                status=COMPLETED,
                output={"ok": True},
                duration_ms=12,
            ),
            RunResult(
                run_id="run_02",
                function_id="count",
                status=COMPLETED,
                output_value=[1, 2],
                duration_ms=3,
            ),
            RunResult(
                run_id="run_03",
                function_id="charge",
                status=FAILED,
                error=Error(message="declined", code="NON_RETRYABLE"),
            ),
            RunResult(
                run_id="run_04",
                function_id="slow",
                status=RunStatus("waiting"),
                duration_ms=30000,
                wait_timed_out=True,
            ),
        ),
        event_id="evt_01",
    ),
    "trigger_sync_response_no_match": TriggerSyncResponse(event_id="evt_01"),
}

RUNS: dict[str, Any] = {
    "get_run_request": GetRunRequest(id="run_01"),
    "run_queued": Run(
        id="run_01",
        function_id="process-order",
        event_id="evt_01",
        event_name="order.placed",
        execution_mode=PULL,
        input={"orderId": "A-1"},
        status=RunStatus("waiting_for_capacity"),
        attempt=1,
        max_attempts=25,
        created_at=at("03:04:05.006007008"),
        updated_at=at("03:04:05.006007008"),
        function_version=1,
        environment_id="env_default",
        version=1,
    ),
    "run_completed": Run(
        id="run_01",
        function_id="process-order",
        event_id="evt_01",
        event_name="order.placed",
        execution_mode=PULL,
        worker_id="w1",
        actor_id="cust-7",
        input={"orderId": "A-1"},
        output={"ok": True},
        status=COMPLETED,
        attempt=2,
        max_attempts=25,
        started_at=T5,
        ended_at=at("03:04:06.5"),
        created_at=T5,
        updated_at=at("03:04:06.5"),
        function_version=1,
        parent_run_id="run_00",
        parent_step_id="run_00:process-order:0",
        timeout_at=at("03:14:05"),
        environment_id="env_default",
        version=9,
    ),
    "run_values": Run(id="run_01", input_value="A-1", output_value=[1, {"two": None}], status=COMPLETED),
    "run_null_output": Run(id="run_01", input_value=0, output_value=None, status=COMPLETED),
    "run_failed": Run(
        id="run_01",
        error=Error(
            message="declined",
            code="STEP_FAILED",
            stack="Traceback",
            retryable=True,
            details={"step": "charge"},
            retry_after_ms=Int64(1500),
        ),
        status=FAILED,
        attempt=3,
        max_attempts=3,
        ended_at=T6,
    ),
    "run_error_value": Run(id="run_01", error_value="declined", status=FAILED),
    "run_paused": Run(
        id="run_01",
        status=RunStatus("paused"),
        attempt=25,
        max_attempts=25,
        pause_requested=True,
        pause_reason="injection",
        resume_from_step="charge",
    ),
    "run_cancelled": Run(
        id="run_01",
        status=RunStatus("cancelled"),
        ended_at=T6,
        cancellation_cause="ordered twice",
    ),
    "run_claimed": Run(id="run_01", status=RunStatus("running"), claimed_by="w1", claimed_at=T5),
    "list_runs_request": ListRunsRequest(
        function_id="process-order",
        status=RunStatus("waiting"),
        since=T5,
        until=at("00:00:00", day="2026-01-03"),
        limit=50,
        cursor="c1",
        offset=5,
        search="A-1",
        event_id="evt_01",
        statuses=(COMPLETED, FAILED),
    ),
    "list_runs_request_all": ListRunsRequest(),
    "list_runs_response": ListRunsResponse(
        runs=(
            Run(
                id="run_02",
                function_id="process-order",
                event_id="evt_02",
                event_name="order.placed",
                worker_id="w1",
                input={"orderId": "A-2"},
                output_value=[1, 2],
                status=COMPLETED,
                attempt=1,
                max_attempts=25,
                started_at=at("03:04:07"),
                ended_at=at("03:04:08"),
                created_at=T6,
                updated_at=at("03:04:08"),
                function_version=1,
            ),
            Run(
                id="run_01",
                input_value=7,
                output={"ok": True},
                error=Error(message="declined"),
                status=FAILED,
                pause_reason="sleep",
                parent_run_id="run_00",
                cancellation_cause="ordered twice",
            ),
        ),
        next_cursor="c2",
        total_count=52,
    ),
    "list_runs_response_none": ListRunsResponse(),
    "get_run_steps_request": GetRunStepsRequest(run_id="run_01"),
    "get_run_steps_response": GetRunStepsResponse(
        steps=(
            Step(
                id="step_01",
                run_id="run_01",
                step_id="run_01:validate:0",
                step_type=StepType("invoke"),
                status=StepStatus("completed"),
                output={"ok": True},
                attempt=1,
                duration_ms=3,
                duration_ms_full=Int64(3),
                started_at=T5,
                ended_at=at("03:04:05.003"),
                created_at=at("03:04:05.010"),
                updated_at=at("03:04:05.010"),
                stored_status="completed",
            ),
            Step(
                id="step_02",
                run_id="run_01",
                step_id="run_01:nap:0",
                step_type=StepType("sleep"),
                sequence=1,
                status=StepStatus("sleeping"),
                sleep_until=at("03:04:10"),
                stored_status="sleeping",
            ),
            Step(
                id="step_03",
                run_id="run_01",
                step_id="run_01:charge:0",
                step_type=StepType("invoke"),
                sequence=2,
                status=StepStatus("failed"),
                error=Error(message="declined", retryable=True),
                attempt=2,
                duration_ms_full=Int64(0),
            ),
            Step(
                id="step_04",
                run_id="run_01",
                step_id="run_01:count:0",
                step_type=StepType("invoke"),
                sequence=3,
                status=StepStatus("completed"),
                output_value=42,
            ),
        )
    ),
    "get_run_steps_response_rare": GetRunStepsResponse(
        steps=(
            Step(
                id="step_04",
                step_id="run_01:count:0",
                step_type=StepType("invoke_function"),
                sequence=3,
                status=StepStatus("completed"),
                input_value=[1],
                input_hash="h",
                output_value=42,
                original_output_value=41,
                patched_at=T6,
                patched_by="user:7",
                child_run_id="run_02",
            ),
            Step(
                id="step_05",
                step_type=StepType("compensate"),
                status=StepStatus("completed"),
                input={"a": 1},
                original_output={"b": 2},
                compensation_for="charge",
            ),
            Step(
                id="step_06",
                step_type=StepType("wait_for_event"),
                status=StepStatus("timed_out"),
                error_value="late",
                wait_event_name="order.approved",
                wait_timeout=at("03:04:05", day="2026-01-09"),
            ),
        )
    ),
    "get_run_steps_response_none": GetRunStepsResponse(),
    "cancel_run_request": CancelRunRequest(id="run_01", reason="ordered twice"),
}

CONNECT: dict[str, Any] = {**FUNCTIONS, **EVENTS, **RUNS}
