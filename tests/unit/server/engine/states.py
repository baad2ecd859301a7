"""States to decide on: one run, function, worker and event, changed where a test says so."""

from __future__ import annotations

from typing import Any

import msgspec

from ironflow_lab.clock import SECOND
from ironflow_lab.models.functions import RegisterFunctionRequest
from ironflow_lab.models.workers import Fence
from ironflow_lab.server.engine.definitions import normalise
from ironflow_lab.server.engine.outcome import Outcome, Write
from ironflow_lab.server.engine.records import (
    Case,
    EventState,
    FunctionState,
    QueuedRun,
    RetryPolicy,
    RunState,
    StepState,
    Timer,
    WorkerState,
)
from ironflow_lab.wire import codec

ENV = "env_default"
NOW = 1_767_323_045 * SECOND
FENCE = Fence(run_id="run_1", execution_seq=3, lease_token="token_3")


def running(**changes: Any) -> RunState:
    """Return `run_1` in the hands of worker `w` since one second, under `FENCE`."""
    given: dict[str, Any] = {
        "id": "run_1",
        "env": ENV,
        "function_id": "f",
        "event_id": "evt_1",
        "status": "running",
        "attempt": 1,
        "policy": RetryPolicy(),
        "timeout_ms": 600_000,
        "executed_ns": 0,
        "execution_seq": 3,
        "lease_token": "token_3",
        "worker_id": "w",
        "created_at": NOW - 5 * SECOND,
        "updated_at": NOW - SECOND,
        "started_at": NOW - 4 * SECOND,
        "claimed_at": NOW - SECOND,
    }
    return RunState(**given | changes)


def resting(status: str, **changes: Any) -> RunState:
    """Return `run_1` in nobody's hands."""
    return running(status=status, lease_token="", claimed_at=0, **changes)


def waiting(kind: str = "sleep", *, status: str = "waiting", parent: Case | None = None, **timer: Any) -> Case:
    """Return `run_1` waiting since a second for what `kind` says, with its step."""
    step_id = "" if kind == "retry" else "run_1:nap:0"
    given = {"run_id": "run_1", "env": ENV, "kind": kind, "due_at": NOW, "step_id": step_id, **timer}
    types = {"sleep": "sleep", "event": "wait_for_event", "child": "invoke_function"}
    step = None if kind == "retry" else step_of("sleeping" if kind == "sleep" else "waiting", type=types[kind])
    reason = "injection" if status == "paused" else ""
    return Case(run=resting(status, pause_reason=reason), timer=Timer(**given), step=step, parent=parent)


def step_of(status: str = "completed", **changes: Any) -> StepState:
    """Return a step that began a second ago."""
    given: dict[str, Any] = {
        "name": "nap",
        "type": "invoke",
        "status": status,
        "attempt": 1,
        "output": b"1" if status == "completed" else None,
        "error": b'{"message":"no"}' if status in ("failed", "timed_out") else None,
        "started_at": NOW - SECOND,
        "ended_at": 0 if status in ("sleeping", "waiting") else NOW,
        "duration_ms": 0,
        "sleep_until": 0,
        "compensation_for": "",
    }
    return StepState(**given | changes)


def function(*events: str, **changes: Any) -> FunctionState:
    """Return a function that the named events start; `changes` are fields of its definition."""
    given: dict[str, Any] = {"id": "f", "triggers": [{"event": event} for event in events], **changes}
    definition = normalise(request(**given))
    return FunctionState(
        id=definition.id, version=1, status="active", definition=definition, created_at=NOW, updated_at=NOW
    )


def request(**fields: Any) -> RegisterFunctionRequest:
    """Return a registration written as a message is: camelCase where it has two words."""
    return codec.decode(msgspec.json.encode(fields), RegisterFunctionRequest)


def event(**changes: Any) -> EventState:
    """Return `evt_1`."""
    given: dict[str, Any] = {
        "id": "evt_1",
        "name": "order.placed",
        "data": b'{"total":5}',
        "metadata": None,
        "version": 1,
        "source": "api",
        "idempotency_key": "",
        "at": NOW - 5 * SECOND,
    }
    return EventState(**given | changes)


def queued(run_id: str = "run_1", **changes: Any) -> QueuedRun:
    """Return a run that may be handed out."""
    run = resting("waiting_for_capacity", id=run_id, **changes)
    return QueuedRun(run=run, event=event(), completed=(), next_sequence=0)


def worker(**changes: Any) -> WorkerState:
    """Return worker `w`, which serves `f`."""
    return WorkerState(**{"id": "w", "function_ids": ("f",), "instance_id": "one"} | changes)


def only(outcome: Outcome, query: str) -> dict[str, Any]:
    """Return the parameters of the one write of that name."""
    (found,) = named(outcome, query)
    return found.parameters


def named(outcome: Outcome, query: str) -> list[Write]:
    """Return the writes of that name, in order."""
    return [write for write in outcome.writes if write.query == query]
