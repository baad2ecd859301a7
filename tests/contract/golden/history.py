"""The audit and time-travel records of the golden files: `<name>.json` is exactly our bytes for `HISTORY[name]`."""

from __future__ import annotations

from typing import Any

from ironflow_lab.models.audit import (
    AuditEvent,
    AuditFollow,
    AuditRow,
    AuditSettingsResponse,
    AuditTrail,
    GetAuditTrailRequest,
    RunAuditResponse,
)
from ironflow_lab.models.timetravel import (
    GetRunStateAtRequest,
    GetRunStateAtResponse,
    GetRunTimelineRequest,
    GetRunTimelineResponse,
    GetStepOutputAtRequest,
    RunSnapshot,
    StepOutput,
    StepSnapshot,
    TimelineEvent,
)
from tests.contract.golden.connect import T5, T6, at

CREATED = AuditEvent(
    id="aud_01",
    run_id="run_01",
    function_id="process-order",
    event_type="run.created",
    payload={"runId": "run_01", "functionId": "process-order", "input": {"n": 1}, "eventId": "evt_01"},
    created_at=T5,
    environment_id="env_default",
)
RARE = AuditEvent(
    id="aud_02",
    run_id="run_01",
    step_id="run_01:charge:0",
    event_type="step.failed",
    payload_value=["any", "json"],
    metadata={"trace": "t"},
    created_at=at("03:04:05.000000001"),
    metadata_value=[1],
    scope="tenant",
    platform_key_id="pkey_1",
    platform_user_id="puser_1",
    impersonated_org_id="org_1",
)

HISTORY: dict[str, Any] = {
    "get_audit_trail_request": GetAuditTrailRequest(
        run_id="run_01",
        event_type="step.failed",
        from_timestamp="2026-01-02T03:04:05Z",
        to_timestamp="2026-01-02T03:04:06Z",
        limit=2,
        cursor="bmV4dA==",
    ),
    "get_audit_trail_response": AuditTrail(events=(CREATED, RARE), total_count=9, next_cursor="bmV4dA=="),
    "get_audit_trail_response_none": AuditTrail(),
    "audit_follow": AuditFollow(events=(CREATED,), total_count=1, next_cursor="bmV4dA==", ended=True),
    "run_audit_response": RunAuditResponse(
        events=(
            AuditRow(
                id="aud_02",
                run_id="run_01",
                function_id="process-order",
                step_id="run_01:charge:0",
                event_type="step.failed",
                payload={"stepId": "run_01:charge:0", "error": {"message": "declined"}, "attempt": 1},
                metadata={"trace": "t"},
                created_at=at("03:04:05.000000001"),
                environment_id="env_default",
                scope="tenant",
                platform_key_id="pkey_1",
                platform_user_id="puser_1",
                impersonated_org_id="org_1",
            ),
        ),
        next_cursor="Mg==",
        retention_days=30,
        total_count=9,
    ),
    "audit_settings_response": AuditSettingsResponse(
        capture_scope="runs",
        function_recording="opt_in",
        kv_capture=True,
        authz_successful_reads=True,
        authz_excluded_actions=("runs:read",),
        payload_redaction_enabled=True,
        payload_redaction_fields=("password",),
        retention_days=30,
        delivery_guarantee="transactional",
        delivery_healthy=True,
        delivery_failure_count=2,
        changes_require_restart=True,
    ),
    "get_run_state_at_request": GetRunStateAtRequest(run_id="run_01", timestamp=at("03:04:05.5")),
    "get_run_state_at_response": GetRunStateAtResponse(
        snapshot=RunSnapshot(
            run_id="run_01",
            function_id="process-order",
            status="running",
            input=b'{"n":1}',
            steps=(
                StepSnapshot(
                    step_id="run_01:validate:0",
                    name="validate",
                    type="invoke",
                    status="completed",
                    output=b'{"ok":true}',
                    original_output=b"1",
                    started_at=T5,
                    completed_at=T6,
                    duration_ms=1000,
                    injected=True,
                    patched=True,
                ),
                StepSnapshot(
                    step_id="run_01:charge:0",
                    name="charge",
                    type="invoke",
                    sequence=1,
                    status="failed",
                    error=b'{"message":"declined"}',
                    started_at=T5,
                ),
            ),
            timestamp=at("03:04:05.5"),
            created_at=T5,
        )
    ),
    "get_run_timeline_request": GetRunTimelineRequest(run_id="run_01"),
    "get_run_timeline_response": GetRunTimelineResponse(
        events=(
            TimelineEvent(
                id="aud_03",
                event_type="step.completed",
                step_id="run_01:validate:0",
                step_name="validate",
                summary="Step validate completed",
                significant=True,
                timestamp=T6,
            ),
        )
    ),
    "get_step_output_at_request": GetStepOutputAtRequest(run_id="run_01", step_id="run_01:validate:0", timestamp=T6),
    "step_output": StepOutput(
        step_id="run_01:validate:0",
        status="completed",
        output=b'{"ok":true}',
        original_output=b"1",
        patched=True,
        injected=True,
    ),
}
