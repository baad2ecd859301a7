"""The REST records of the golden files: `<name>.json` is exactly our bytes for `REST[name]`."""

from __future__ import annotations

from typing import Any

from ironflow_lab.models.instant import Instant, Later, parse_instant
from ironflow_lab.models.secrets import CreateSecretRequest, PatchSecretRequest, SecretInfo, UpdateSecretRequest
from ironflow_lab.models.server import Capabilities, Health, Ready
from ironflow_lab.models.workers import (
    Assignment,
    CompletedStep,
    Fence,
    HeartbeatJob,
    HeartbeatRequest,
    JobBatch,
    JobContext,
    JobEvent,
    JobFault,
    JobUpdate,
    LeaseLine,
    RegisterRequest,
    StepFault,
    StepResult,
    WorkerStatus,
    WorkerVersion,
    Yield,
)
from ironflow_lab.wire.discovery import Discovery
from ironflow_lab.wire.rest import RunsWaitRequest, RunsWaitResponse

DECLINED = {
    "message": "declined",
    "function_id": "charge-card",
    "child_run_id": "run_02",
    "cause": "declined",
}


def at(time: str) -> Instant:
    """Return the instant of a time of day, in UTC."""
    return parse_instant(f"2026-01-02T{time}Z")


T5 = at("03:04:05")

SERVER: dict[str, Any] = {
    "health": Health(
        status="ok",
        timestamp="2026-01-02T03:04:05Z",
        version="0.53.0",
        warnings=("low disk",),
        instance="st_01",
    ),
    "ready": Ready(status="not ready", issues={"store": "migrating"}, warnings={"disk": "low"}),
    "capabilities": Capabilities(
        transports=("websocket", "connectrpc"),
        features=("polling",),
        version="0.53.0",
        auth_required=True,
        lab=("runs/wait", "workers/lease"),
    ),
    "discovery": Discovery(
        version=1,
        url="http://127.0.0.1:9123",
        api_key="ifkey_01",
        environment="default",
        instance="st_01",
    ),
    "runs_wait_request": RunsWaitRequest(run_ids=("run_01", "run_02"), timeout_ms=1000),
    "runs_wait_response": RunsWaitResponse(ended=("run_01",), unknown=("run_02",)),
}


def segment_end(status: str, **fields: Any) -> JobUpdate:
    """Return the end of segment 3 of run_01."""
    return JobUpdate(status=status, execution_seq=3, lease_token="lt_01", **fields)


WORKERS: dict[str, Any] = {
    "worker_register_request": RegisterRequest(
        worker_id="7f0c",
        hostname="box-1",
        function_ids=("process-order",),
        max_concurrent_jobs=10,
        labels={"region": "us-east-1"},
        version=WorkerVersion(sdk="0.53.0", runtime="python-3.12.4"),
        instance_id="inst_01",
    ),
    "worker_heartbeat_request": HeartbeatRequest(
        worker_id="7f0c",
        active_jobs=1,
        jobs=(HeartbeatJob(job_id="run_01.3", started_at="2026-01-02T03:04:05.006Z"),),
    ),
    "worker_heartbeat_request_idle": HeartbeatRequest(worker_id="7f0c"),
    "worker_status": WorkerStatus(status="registered"),
    "job_batch": JobBatch(
        jobs=(
            Assignment(
                job_id="run_01.3",
                run_id="run_01",
                function_id="process-order",
                attempt=1,
                event=JobEvent(
                    id="evt_01",
                    name="order.placed",
                    data={"orderId": "A-1"},
                    timestamp=T5,
                    version=2,
                    source="api",
                    idempotency_key="k-1",
                    metadata={"traceId": "t"},
                ),
                completed_steps=(
                    CompletedStep(step_id="run_01:validate:0", name="validate", output={"ok": True}),
                    CompletedStep(
                        step_id="run_01:charge-card:0",
                        name="charge-card",
                        status="failed",
                        error=DECLINED,
                    ),
                ),
                execution_seq=3,
                lease_token="lt_01",
                max_attempts=25,
                on_exhausted="pause",
                lease_expires_at=at("03:05:35"),
                actor_id="",
                step_sequence_base=2,
                context=JobContext(secrets={"STRIPE_KEY": "sk_01"}),
            ),
        )
    ),
    "job_batch_least": JobBatch(
        jobs=(
            Assignment(
                job_id="run_01.1",
                run_id="run_01",
                function_id="process-order",
                attempt=1,
                event=JobEvent(id="evt_01", name="order.placed", data=None, timestamp=T5),
                completed_steps=(),
                execution_seq=1,
                lease_token="lt_01",
            ),
        )
    ),
    "job_ack": Fence(run_id="run_01", execution_seq=3, lease_token="lt_01"),
    "job_progress": segment_end(
        "progress",
        step_offset=2,
        steps=(
            StepResult(
                id="run_01:validate:0",
                name="validate",
                started_at="2026-01-02T03:04:05.000Z",
                ended_at="2026-01-02T03:04:05.003Z",
                duration_ms=3,
                output={"ok": True},
            ),
            StepResult(
                id="run_01:charge:0",
                name="charge",
                status="failed",
                error={"message": "declined", "retryable": True},
            ),
        ),
    ),
    "job_boundary": segment_end("progress", step_offset=2, boundary=True),
    "step_fault": StepFault(message="declined", retryable=False, stack="Traceback"),
    "lease_held": LeaseLine(type="held"),
    "lease_cancel": LeaseLine(type="cancel", run_id="run_01", job_id="run_01.3"),
    "job_completed": segment_end("completed", step_offset=4, output={"any": "json"}),
    "job_completed_null": segment_end("completed", output=None),
    "job_completed_list": segment_end("completed", output=[1, 2]),
    "job_failed": segment_end(
        "failed",
        step_offset=4,
        steps=(
            StepResult(
                id="run_01:compensate:validate:0",
                name="compensate:validate",
                type="compensate",
                duration_ms=1,
                compensation_for="validate",
            ),
        ),
        error=JobFault(message="boom", retry_after_ms=1500),
    ),
    "job_failed_for_good": segment_end("failed", error=JobFault(message="no", code="NON_RETRYABLE", retryable=False)),
    "job_yielded_sleep": segment_end(
        "yielded",
        step_offset=4,
        yield_=Yield(step_id="run_01:wait:0", type="sleep", until=Later(at("03:04:10"))),
    ),
    "job_yielded_event": segment_end(
        "yielded",
        yield_=Yield(
            step_id="run_01:appr:0",
            type="wait_for_event",
            step_name="appr",
            event_filter={"event": "order.approved", "timeout": "24h", "match": "data.orderId"},
        ),
    ),
    "job_yielded_invoke": segment_end(
        "yielded",
        yield_=Yield(
            step_id="run_01:charge-card:0",
            type="invoke_function",
            function_id="charge-card",
            input=None,
            invoke_timeout_ms=30000,
        ),
    ),
}

SECRETS: dict[str, Any] = {
    "create_secret_request": CreateSecretRequest(name="STRIPE_KEY", value="sk_01", description="Charges cards."),
    "update_secret_request": UpdateSecretRequest(value="sk_02", description=""),
    "update_secret_request_least": UpdateSecretRequest(value="sk_02"),
    "patch_secret_request": PatchSecretRequest(name="PAY_KEY", description="Charges cards."),
    "patch_secret_request_least": PatchSecretRequest(name="PAY_KEY"),
    "secret_info": SecretInfo(
        name="STRIPE_KEY", revision=2, description="Charges cards.", created_at=T5, updated_at=at("03:05:35")
    ),
}

REST: dict[str, Any] = {**SERVER, **WORKERS, **SECRETS}
