"""Recording events and starting runs (engine.md section 3)."""

from __future__ import annotations

import msgspec

from ironflow_lab.clock import Ids
from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.models.events import TriggerResponse
from ironflow_lab.server.engine.commands import EmitEvent
from ironflow_lab.server.engine.outcome import Outcome, Runnable, Write
from ironflow_lab.server.engine.records import EventState, FunctionState
from ironflow_lab.server.engine.writes import create
from ironflow_lab.wire import patterns


class EmitState(msgspec.Struct, frozen=True, kw_only=True):
    """The functions of the environment, and what an earlier event with the same key started."""

    functions: tuple[FunctionState, ...] = ()
    earlier: TriggerResponse | None = None


def emit(state: EmitState, command: EmitEvent, now: int, ids: Ids) -> Outcome:
    """Store the event and one queued run per matching function; a repeated key gives the first answer."""
    if state.earlier is not None:
        return Outcome(state.earlier)
    _check(command)
    event = EventState(
        id=ids.new("evt_"),
        name=command.name,
        data=command.data,
        metadata=command.metadata,
        version=command.version,
        source=command.source,
        idempotency_key=command.idempotency_key,
        at=now,
    )
    writes = [Write("insert_event", {"env": command.env, **msgspec.structs.asdict(event)})]
    run_ids = []
    for function in state.functions:
        if function.status != "archived" and _starts(function, command.name):
            run_ids.append(ids.new("run_"))
            writes += create(run_ids[-1], event, function, command.env, ids)
    answer = TriggerResponse(event_id=event.id, run_ids=tuple(run_ids))
    return Outcome(answer, tuple(writes), (Runnable(),) if run_ids else ())


def _check(command: EmitEvent) -> None:
    wrong = patterns.fault(command.name)
    if wrong is None and any(token in ("*", ">") for token in command.name.split(".")):
        wrong = f"{command.name!r} is a pattern; an event needs a plain name"
    if wrong is not None:
        raise InvalidArgumentError(f"the event cannot be recorded: {wrong}")
    if command.version < 1:
        raise InvalidArgumentError(f"event version {command.version} is not 1 or more")
    if len(command.idempotency_key) > 255:
        raise InvalidArgumentError("an idempotency key has at most 255 characters")


def _starts(function: FunctionState, name: str) -> bool:
    return any(patterns.matches(trigger.event, name) for trigger in function.definition.triggers)
