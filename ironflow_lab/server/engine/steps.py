"""The rows of steps: what a report or a yield makes of them."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.server.engine.records import RunState

NULL = b"null"
_RUN = "run_"
_ROW = "step_"


def step_row(run: RunState, step_id: str, name: str, sequence: int) -> dict[str, Any]:
    """Return the row of a step of the run, nothing of it done; raises for the id of another run's step."""
    if not step_id.startswith(run.id + ":"):
        raise InvalidArgumentError(f"step id {step_id!r} does not belong to run {run.id!r}")
    return {
        "run_id": run.id,
        "step_id": step_id,
        "id": row_id(run.id, step_id),
        "name": name,
        "type": "invoke",
        "sequence": sequence,
        "status": "running",
        "attempt": run.attempt,
        "input": None,
        "output": None,
        "error": None,
        "original_output": None,
        "patched_at": 0,
        "injected": False,
        "started_at": 0,
        "ended_at": 0,
        "duration_ms": 0,
        "sleep_until": 0,
        "wait_event": "",
        "wait_until": 0,
        "child_run_id": "",
        "compensation_for": "",
    }


def row_id(run_id: str, step_id: str) -> str:
    """Return the id of a step's row: it leads back to the run, so that no index is needed to find it."""
    return f"{_ROW}{run_id.removeprefix(_RUN)}_{blake2b(step_id.encode(), digest_size=6).hexdigest()}"


def run_of_step(given: str) -> str:
    """Return the run that a row id or a deterministic step id belongs to; any other text leads nowhere."""
    if given.startswith(_ROW):
        return _RUN + given.removeprefix(_ROW).rpartition("_")[0]
    return given.partition(":")[0]
