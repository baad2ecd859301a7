"""Starting a run of one named function, whatever triggers it has (engine.md section 4.5)."""

from __future__ import annotations

import msgspec

from ironflow_lab.clock import Ids
from ironflow_lab.errors import AlreadyExistsError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from ironflow_lab.server.engine.commands import InvokeFunction
from ironflow_lab.server.engine.events import check_key, store
from ironflow_lab.server.engine.outcome import Outcome, Runnable
from ironflow_lab.server.engine.records import EventState, FunctionState
from ironflow_lab.server.engine.waits import INVOKED
from ironflow_lab.server.engine.writes import create


class EarlierInvocation(msgspec.Struct, frozen=True, kw_only=True):
    """What an event with the same key is: `source` tells an invocation; the run is empty when it was deleted."""

    event_id: str
    source: str
    run_id: str = ""
    function_id: str = ""


class InvokeState(msgspec.Struct, frozen=True, kw_only=True):
    """The function, and what an earlier call with the same key left."""

    function: FunctionState | None = None
    earlier: EarlierInvocation | None = None


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """The run of an invocation, and whether this call started it."""

    run_id: str
    event_id: str
    started: bool = True


def invoke(state: InvokeState, command: InvokeFunction, now: int, ids: Ids) -> Outcome:
    """Record the input as an event and queue one run for it; a repeated key gives the first run.

    The event starts no other function and wakes no run that waits. A paused function's run is queued.
    """
    if not command.function_id:
        raise InvalidArgumentError("functionId is missing; name the function to invoke")
    if state.earlier is not None:
        return Outcome(_repeated(state.earlier, command))
    check_key(command.idempotency_key)
    function = _invocable(state.function, command.function_id)
    event = EventState(
        id=ids.new("evt_"),
        name=INVOKED,
        data=command.data,
        metadata=command.metadata,
        version=1,
        source="invoke",
        idempotency_key=command.idempotency_key,
        at=now,
    )
    run_id = ids.new("run_")
    writes = (store(event, command.env), *create(run_id, event, function, command.env, ids))
    return Outcome(Invocation(run_id=run_id, event_id=event.id), writes, (Runnable(),))


def _repeated(earlier: EarlierInvocation, command: InvokeFunction) -> Invocation:
    key = f"the idempotency key {command.idempotency_key!r}"
    if earlier.source != "invoke":
        raise AlreadyExistsError(f"{key} belongs to event {earlier.event_id}, which was emitted; use another key")
    if not earlier.run_id:
        raise FailedPreconditionError(f"the run that {key} started was deleted; use another key")
    if earlier.function_id != command.function_id:
        raise AlreadyExistsError(
            f"{key} started run {earlier.run_id} of function {earlier.function_id!r}, not of"
            f" {command.function_id!r}; use another key"
        )
    return Invocation(run_id=earlier.run_id, event_id=earlier.event_id, started=False)


def _invocable(function: FunctionState | None, function_id: str) -> FunctionState:
    if function is None:
        raise NotFoundError(f"no function {function_id!r} is registered in this environment")
    if function.status == "archived":
        raise FailedPreconditionError(f"function {function_id!r} is archived; make it active to run it")
    return function
