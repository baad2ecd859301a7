"""The records of what is done to runs: `<name>.json` is exactly our bytes for `INTERVENTION[name]`.

The files were written from the protocol's documents, not by our encoder.
"""

from __future__ import annotations

from typing import Any

from ironflow_lab.models.instant import Int64, parse_instant
from ironflow_lab.models.runs import (
    DeleteRunRequest,
    DeleteRunsRequest,
    DeleteRunsResponse,
    GetPausedStateRequest,
    InjectStepOutputRequest,
    InjectStepOutputResponse,
    Invoked,
    PatchStepRequest,
    PausedState,
    PausedStep,
    PauseRunRequest,
    PauseRunResponse,
    RedactRunRequest,
    RedactStepRequest,
    ResumeRunRequest,
    RunStatus,
)

# Messages of the Connect dialect; JSON text in a field of bytes travels as base64.
INTERVENTION: dict[str, Any] = {
    "pause_run_request": PauseRunRequest(run_id="run_01"),
    "pause_run_response": PauseRunResponse(status="pause_requested"),
    "get_paused_state_request": GetPausedStateRequest(run_id="run_01"),
    "get_paused_state_response": PausedState(
        steps=(
            PausedStep(
                id="run_01:validate:0",
                name="validate",
                output=b'{"ok":true}',
                injected=True,
                completed_at=parse_instant("2026-01-02T03:04:05Z"),
                step_type="invoke",
                status="completed",
            ),
            PausedStep(
                id="run_01:charge:0",
                name="charge",
                step_type="invoke",
                status="failed",
                error=b'{"message":"declined"}',
            ),
        ),
        next_step_hint="charge",
        pause_reason="injection",
    ),
    "get_paused_state_response_none": PausedState(),
    "inject_step_output_request": InjectStepOutputRequest(
        run_id="run_01", step_id="run_01:validate:0", new_output=b'{"ok":false}', reason="it was wrong"
    ),
    "inject_step_output_response": InjectStepOutputResponse(step_id="run_01:validate:0", previous_output=b"null"),
    "patch_step_request": PatchStepRequest(step_id="step_01", output={"ok": False}, reason="it was wrong"),
    "patch_step_request_value": PatchStepRequest(step_id="step_01", output_value=None),
    "resume_run_request": ResumeRunRequest(run_id="run_01", from_step="charge"),
    "delete_run_request": DeleteRunRequest(id="run_01"),
    "delete_runs_request": DeleteRunsRequest(
        function_id="process-order", status=RunStatus("failed"), until=parse_instant("2026-01-02T03:04:05Z")
    ),
    "delete_runs_response": DeleteRunsResponse(deleted=Int64(10_000)),
    "redact_step_request": RedactStepRequest(step_id="step_01"),
    "redact_run_request": RedactRunRequest(run_id="run_01"),
}

# What a step that invoked without waiting has as its output.
OUTPUTS: dict[str, Any] = {"invoked": Invoked(run_id="run_02")}
