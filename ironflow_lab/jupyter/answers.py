"""What the handlers say, as JSON: runs cut to a line, and errors with the status they travel with."""

from __future__ import annotations

from typing import Any

from ironflow_lab.errors import ApiError, IronflowError, ServerStartError
from ironflow_lab.history.redaction import clip
from ironflow_lab.jupyter.views import Answer
from ironflow_lab.models.instant import decode_hook
from ironflow_lab.models.runs import Run, RunRow, RunStatus

_TEXT = 200
# A refusal of the engine is not one of the Jupyter server: 401 and 403 would read as the end of its session.
_STATUS = {
    "not_found": 404,
    "invalid_argument": 400,
    "out_of_range": 400,
    "failed_precondition": 409,
    "unimplemented": 501,
    "deadline_exceeded": 504,
}
_BAD_GATEWAY = 502


def run_line(run: RunRow) -> dict[str, Any]:
    """Return the line of a run in the list: no payloads, its error cut to 200 characters."""
    return {
        "id": clip(run.id, limit=_TEXT),
        "function_id": clip(run.function_id, limit=_TEXT),
        "event_name": clip(run.event_name, limit=_TEXT),
        "status": str(decode_hook(RunStatus, run.status)),
        "attempt": run.attempt,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "error": clip(run.error.message, limit=_TEXT) if run.error is not None else "",
    }


def status_line(run: Run | RunRow) -> dict[str, Any]:
    """Return how a run stands: no payloads, its error cut to 200 characters."""
    return {
        "id": clip(run.id, limit=_TEXT),
        "function_id": clip(run.function_id, limit=_TEXT),
        "status": str(decode_hook(RunStatus, run.status)),
        "attempt": run.attempt,
        "error": clip(run.error.message.strip().partition("\n")[0], limit=_TEXT) if run.error is not None else "",
    }


def chunk_answer(answer: Answer) -> dict[str, Any]:
    """Return what a tab is told, the chunk as JSON."""
    chunk = None if answer.chunk is None else answer.chunk.jsonable()
    return {"cursor": answer.cursor, "ended": answer.ended, "chunk": chunk}


def refusal(error: IronflowError) -> tuple[int, dict[str, str]]:
    """Return the HTTP status and the JSON body of an error."""
    if isinstance(error, ApiError):
        return _STATUS.get(error.code, _BAD_GATEWAY), {"code": error.code, "message": error.message}
    code = "failed_precondition" if isinstance(error, ServerStartError) else "invalid_argument"
    return _STATUS[code], {"code": code, "message": str(error)}
