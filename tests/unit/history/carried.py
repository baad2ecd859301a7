"""Capsules for tests: a run that charges a card, with a secret in every place where one can be."""

from __future__ import annotations

from typing import Any

from ironflow_lab.history.capsule import Capsule, Line, Origin
from ironflow_lab.history.recording import Code, Recording
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.events import Event
from ironflow_lab.models.functions import Function
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.reasons import BlockingReason
from ironflow_lab.models.runs import Error, Run, RunStatus, Step, StepStatus, StepType
from ironflow_lab.wire.stepid import step_id
from tests.unit.history.stories import RUN, T0, Story

SECRET = "hunter2-s3cret"
SAVED = Instant(T0 + 60_000_000_000)


def step(name: str, output: Any = None, **more: Any) -> Step:
    """Return the row of a step that has completed."""
    given: dict[str, Any] = {
        "step_type": StepType("invoke"),
        "status": StepStatus("completed"),
        "attempt": 1,
        "started_at": Instant(T0 + 2_000_000),
        "ended_at": Instant(T0 + 5_000_000),
        "created_at": Instant(T0 + 2_000_000),
        **more,
    }
    return Step(id=f"stp_{name}", run_id=RUN, step_id=step_id(RUN, name, 0), output=output, **given)


def run(**more: Any) -> Run:
    """Return the row of a run that has failed."""
    given: dict[str, Any] = {
        "function_id": "pay",
        "event_id": "evt_1",
        "event_name": "order.placed",
        "input": {"n": 1},
        "status": RunStatus("failed"),
        "attempt": 2,
        "max_attempts": 2,
        "created_at": Instant(T0),
        "started_at": Instant(T0 + 1_000_000),
        "ended_at": Instant(T0 + 9_000_000),
        "updated_at": Instant(T0 + 9_000_000),
        **more,
    }
    return Run(id=RUN, **given)


def events() -> tuple[AuditEvent, ...]:
    """Return what was recorded of it: charged, patched, failed, tried again, failed."""
    story = Story().created(0, input={"n": 1, "password": SECRET}).moved(1, "running", workerId="w-1")
    story.started(2, "charge").completed(5, "charge", {"id": 7, "token": SECRET})
    story.patched(5.5, "charge", {"id": 7}, {"id": 8}, patchedBy="ann", reason=f"wrong: {SECRET}")
    story.started(6, "pack", attempt=1).failed(6.5, "pack", {"message": f"no {SECRET}", "stack": "line 3"})
    story.moved(7, "waiting", "retry", attempt=2).moved(8, "running", attempt=2)
    story.started(8.1, "pack", attempt=2).failed(8.5, "pack", {"message": "no"}, attempt=2)
    return tuple(story.moved(9, "failed", "retries_exhausted", error={"message": "no"}).events)


def capsule(**more: Any) -> Capsule:
    """Return all of it, with exact values."""
    steps = (
        step("charge", {"id": 8, "token": SECRET}, original_output={"id": 7}, patched_by="ann", sequence=0),
        step("started", {"run": 1}, child_run_id="run_child", step_type=StepType("invoke_function"), sequence=1),
        step("pack", status=StepStatus("failed"), error=Error(message=f"no {SECRET}", stack=f"x = '{SECRET}'")),
    )
    given: dict[str, Any] = {
        "recording": Recording(
            run=run(input={"n": 1, "password": SECRET}, error=Error(message="no", code="ERROR")),
            steps=steps,
            events=events(),
            code=Code(code_hash="abc123", place="cell 3"),
            note="a note",
        ),
        "children": (Run(id="run_child", function_id="kid", input={"api_key": SECRET}, status=RunStatus("completed")),),
        "function": Function(id="pay", version=3, metadata={"owner": "nb", "api_key": SECRET}),
        "event": Event(id="evt_1", name="order.placed", data={"n": 1, "password": SECRET}),
        "why": BlockingReason(run_id=RUN, status="failed", reason="ended", message=f"it ended: {SECRET}"),
        "lines": (
            Line(at=T0 + 1, text=f"paying with {SECRET}", stream="stdout", function_id="pay", attempt=1),
            Line(at=T0 + 2, text="Authorization: Bearer abc.def", stream="log", level="INFO"),
        ),
        "dropped": 3,
        "logged": True,
        "origin": Origin(server="http://127.0.0.1:9123", version="1.2", scope="", missing=("runs/wait",)),
        "saved_at": SAVED,
        **more,
    }
    return Capsule(**given)
