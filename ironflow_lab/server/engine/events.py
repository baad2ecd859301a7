"""Recording events and starting runs (engine.md section 3)."""

from __future__ import annotations

import msgspec

from ironflow_lab.clock import Ids
from ironflow_lab.errors import InvalidArgumentError
from ironflow_lab.models.events import TriggerResponse
from ironflow_lab.server.engine import conditions
from ironflow_lab.server.engine.commands import EmitEvent
from ironflow_lab.server.engine.outcome import Outcome, Runnable, Wake, Write
from ironflow_lab.server.engine.records import Case, EventState, FunctionState
from ironflow_lab.server.engine.waits import matched
from ironflow_lab.server.engine.writes import create
from ironflow_lab.wire import patterns

LONGEST_KEY = 255


class EmitState(msgspec.Struct, frozen=True, kw_only=True):
    """The functions of the environment, the runs that wait for the event, and what its key started earlier."""

    functions: tuple[FunctionState, ...] = ()
    waiting: tuple[Case, ...] = ()
    earlier: TriggerResponse | None = None


def emit(state: EmitState, command: EmitEvent, now: int, ids: Ids) -> Outcome:
    """Store the event, one queued run per matching function, and the end of every wait for it.

    A repeated key gives the first answer.
    """
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
        emitted_by=command.emitted_by,
        run_id=command.run_id,
    )
    writes = [store(event, command.env)]
    run_ids = []
    seen = conditions.Seen(event)
    for function in state.functions:
        if function.status != "archived" and _starts(function, command.name, seen):
            run_ids.append(ids.new("run_"))
            writes += create(run_ids[-1], event, function, command.env, ids)
    wakes: list[Wake] = [Runnable()] if run_ids else []
    for case in state.waiting:
        changes = matched(case, event, now, ids)
        writes += changes.writes
        wakes += changes.wakes
    return Outcome(TriggerResponse(event_id=event.id, run_ids=tuple(run_ids)), tuple(writes), tuple(wakes))


def store(event: EventState, env: str) -> Write:
    """Return the write that records an event."""
    return Write("insert_event", {"env": env, **msgspec.structs.asdict(event)})


def check_key(key: str) -> None:
    """Raise `InvalidArgumentError` for an idempotency key that is too long."""
    if len(key) > LONGEST_KEY:
        raise InvalidArgumentError(f"an idempotency key has at most {LONGEST_KEY} characters, and this has {len(key)}")


def _check(command: EmitEvent) -> None:
    wrong = patterns.name_fault(command.name)
    if wrong is not None:
        raise InvalidArgumentError(f"the event cannot be recorded: {wrong}")
    if command.version < 1:
        raise InvalidArgumentError(f"event version {command.version} is not 1 or more")
    check_key(command.idempotency_key)


def _starts(function: FunctionState, name: str, seen: conditions.Seen) -> bool:
    return any(
        patterns.matches(trigger.event, name) and (not trigger.expression or seen.holds(trigger.expression))
        for trigger in function.definition.triggers
    )
