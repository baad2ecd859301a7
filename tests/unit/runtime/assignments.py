"""Assignments of one run, with what it has recorded."""

from __future__ import annotations

from typing import Any

from ironflow_lab.models.instant import Instant
from ironflow_lab.models.workers import Assignment, CompletedStep, JobEvent
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.segment import Segment
from tests.unit.runtime.faketime import START


def assignment(*completed: CompletedStep, function_id: str = "f", data: Any = None, **changes: Any) -> Assignment:
    """Return an assignment of run_01."""
    fields: dict[str, Any] = {
        "job_id": "run_01.1",
        "run_id": "run_01",
        "function_id": function_id,
        "attempt": 1,
        "event": JobEvent(id="evt_1", name="order.placed", data=data, timestamp=Instant(START)),
        "completed_steps": completed,
        "execution_seq": 1,
        "lease_token": "lt_1",
        "step_sequence_base": len(completed),
    }
    return Assignment(**{**fields, **changes})


def done(name: str, output: Any = None, index: int = 0) -> CompletedStep:
    """Return a step of run_01 that is recorded."""
    return CompletedStep(step_id=f"run_01:{name}:{index}", name=name, output=output)


def segment_of(function: DurableFunction, *completed: CompletedStep, data: Any = None, **changes: Any) -> Segment:
    """Return a segment nobody listens to."""
    given = assignment(*completed, function_id=function.id, data=data, **changes)
    return Segment(given, function, announce=lambda segment: None)
