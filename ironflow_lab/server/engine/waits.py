"""What runs wait for: how a wait begins, and what its end does (engine.md section 9, worker.md section 4)."""

from __future__ import annotations

from typing import Any

import msgspec

from ironflow_lab.clock import MILLISECOND, Ids
from ironflow_lab.errors import DefinitionError
from ironflow_lab.models.instant import format_instant
from ironflow_lab.models.runs import Error
from ironflow_lab.models.workers import JobUpdate, Yield
from ironflow_lab.server.engine.outcome import Ended, Runnable, Write
from ironflow_lab.server.engine.records import Case, EventState, FunctionState, ReportedRun, Timer
from ironflow_lab.server.engine.steps import NULL, step_row
from ironflow_lab.server.engine.writes import Changes, create
from ironflow_lab.wire import codec, duration, eventpath, patterns
from ironflow_lab.wire.stepid import step_name

WAIT_TIMEOUT = "7d"
INVOKE_TIMEOUT_MS = 30_000
# The event that is recorded as a child's input; it matches no trigger.
INVOKED = "ironflow.function.invoked"
_LONGEST_NS = 2**62
# A report that is refused would come back at every lapse of the lease; a run that fails tells why.
_BAD = "INVALID_YIELD"


class Refused(Exception):
    """A wait that can never end well: its run fails instead; `code` is the error's."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def begin(changes: Changes, state: ReportedRun, update: JobUpdate, wanted: Yield, now: int, ids: Ids) -> None:
    """Let the run wait for what its segment yielded; raises `Refused` for what can never end well."""
    known = state.steps.get(wanted.step_id)
    if known is not None and known.status == "completed":
        # It was corrected while the segment ran: the next one is told.
        _go_on(changes)
        return
    if any(step.id == wanted.step_id for step in update.steps):
        raise Refused(f"step {wanted.step_id!r} is reported as finished and waited for at once", _BAD)
    name = wanted.step_name or step_name(wanted.step_id)
    sequence = max(update.step_offset, state.next_sequence) + len(update.steps)
    row = step_row(changes.run, wanted.step_id, name, sequence)
    row["started_at"] = changes.at
    match wanted.type:
        case "sleep":
            _sleep(changes, wanted, row)
        case "wait_for_event":
            _await_event(changes, state, wanted, row)
        case "invoke_function" | "invoke_function_async":
            _invoke(changes, state, wanted, row, now, ids)
        case other:
            raise Refused(f"step {wanted.step_id!r} asks for {other!r}, which this server does not have", "UNSUPPORTED")


def matched(case: Case, event: EventState, now: int, ids: Ids) -> Changes:
    """Return what an event does to a run that waited for it."""
    return _done(case, now, ids, output=envelope(event))


def due(case: Case, now: int, ids: Ids) -> Changes:
    """Return what it does to a run that the time of its wait has come."""
    assert case.timer is not None
    match case.timer.kind:
        case "sleep":
            return _done(case, now, ids, output=NULL)
        case "child":
            fault = _child_fault("invoke timed out", "invoke timed out", case.timer.child_function, case.timer.child)
            return _done(case, now, ids, error=fault)
        case "event":
            return _missed(case, case.timer, now, ids)
    changes = Changes(case.run, now, ids)
    changes.move("waiting_for_capacity", "woken")
    return changes


def end(
    changes: Changes,
    parent: Case | None,
    status: str,
    reason: str,
    now: int,
    ids: Ids,
    *,
    output: bytes | None = None,
    error: bytes | None = None,
    cause: str = "",
) -> None:
    """End the run; a parent that waits for it goes on with its output, or with its failure."""
    executed = changes.executed()
    changes.move(status, reason, executed_ns=executed, output=output, error=error, cause=cause)
    changes.wake(Ended(changes.run.id))
    if parent is None:
        return
    if status == "completed":
        changes.also(_done(parent, now, ids, output=output))
        return
    run = changes.run
    cause = cause or codec.decode(error or b"{}", Error).message
    words = f"run {run.id} was cancelled: {cause}" if status == "cancelled" else cause
    changes.also(_done(parent, now, ids, error=_child_fault(words, cause, run.function_id, run.id)))


def envelope(event: EventState) -> bytes:
    """Return the event as a wait hands it to the handler, as JSON text."""
    given: dict[str, Any] = {
        "id": event.id,
        "name": event.name,
        "data": msgspec.Raw(event.data),
        "timestamp": format_instant(event.at),
        "version": event.version,
        "source": event.source,
        "idempotency_key": event.idempotency_key,
        "emittedBy": event.emitted_by,
    }
    shown = {name: value for name, value in given.items() if value != ""}
    if event.metadata is not None:
        shown["metadata"] = msgspec.Raw(event.metadata)
    return msgspec.json.encode(shown)


def text_at(event: dict[str, Any], path: str) -> str | None:
    """Return the text at a path rooted at an event (`data.orderId`), None where there is nothing."""
    found = eventpath.in_event(event, path)
    return None if found is eventpath.MISSING or found is None else eventpath.text(found)


def fields_of(event: EventState) -> dict[str, Any]:
    """Return the event as paths look into it."""
    fields = {"name": event.name, "version": event.version, "source": event.source, "id": event.id}
    metadata = None if event.metadata is None else msgspec.json.decode(event.metadata)
    return {**fields, "data": msgspec.json.decode(event.data), "metadata": metadata}


def _sleep(changes: Changes, wanted: Yield, row: dict[str, Any]) -> None:
    if not isinstance(wanted.until, int):
        raise Refused(f"step {wanted.step_id!r} sleeps, and `until`, an RFC 3339 time, is missing", _BAD)
    until = int(wanted.until)
    row.update(type="sleep", sleep_until=until)
    if until <= changes.at:
        changes.save({**row, "status": "completed", "output": NULL, "ended_at": changes.at})
        _go_on(changes)
        return
    changes.save({**row, "status": "sleeping"})
    _wait(changes, "sleep", _timer(changes, wanted, "sleep", until))


def _await_event(changes: Changes, state: ReportedRun, wanted: Yield, row: dict[str, Any]) -> None:
    given = wanted.event_filter if isinstance(wanted.event_filter, dict) else {}
    name = str(given.get("event") or "").strip()
    wrong = patterns.name_fault(name)
    if wrong is not None:
        raise Refused(f"step {wanted.step_id!r} cannot wait for an event: {wrong}", _BAD)
    path = str(given.get("match") or "")
    value = _expected(state, given, path, wanted.step_id) if path else ""
    until = min(changes.at + _timeout(given, changes.at), _LONGEST_NS)
    payload = given.get("payload")
    row.update(type="wait_for_event", status="waiting", wait_event=name, wait_until=until)
    row.update(wait_match=path, wait_value=value, input=None if payload is None else codec.encode(payload))
    changes.save(row)
    timer = _timer(changes, wanted, "event", until)
    _wait(changes, "event", msgspec.structs.replace(timer, event=name, path=path, value=value))


def _timeout(given: dict[str, Any], now: int) -> int:
    asked = given.get("timeout") or WAIT_TIMEOUT
    try:
        length = duration.milliseconds(asked) * MILLISECOND
    except DefinitionError as error:
        raise Refused(f"the timeout of a wait cannot be read: {error}", _BAD) from None
    return max(length, 0)


def _expected(state: ReportedRun, given: dict[str, Any], path: str, step_id: str) -> str:
    """Return the text that an event must have at the path, fixed now (rulings.md, engine.md 9)."""
    value = given.get("match_value")
    if value is not None:
        return value if isinstance(value, str) else eventpath.text(value)
    assert state.event is not None
    found = text_at(fields_of(state.event), path)
    if found is None:
        # Elsewhere this would wait for events that lack the field too, which nobody means.
        raise Refused(
            f"step {step_id!r} waits for an event whose {path!r} is that of the event that started the run, and"
            f" that event, {state.event.name!r}, has nothing there; give match_value, or another path",
            "MATCH_UNRESOLVED",
        )
    return found


def _invoke(changes: Changes, state: ReportedRun, wanted: Yield, row: dict[str, Any], now: int, ids: Ids) -> None:
    function_id = wanted.function_id or ""
    given = NULL if wanted.input is msgspec.UNSET else codec.encode(wanted.input)
    row.update(type="invoke_function", child_function=function_id, input=given)
    wrong = _not_invocable(state.child, function_id)
    if wrong is not None:
        error = _child_fault(wrong, wrong, function_id, "")
        changes.save({**row, "status": "failed", "error": error, "ended_at": changes.at})
        _go_on(changes)
        return
    assert state.child is not None
    child = ids.new("run_")
    row["child_run_id"] = child
    _start_child(changes, state.child, child, wanted.step_id, given, now, ids)
    if wanted.type == "invoke_function_async":
        output = msgspec.json.encode({"run_id": child})
        changes.save({**row, "status": "completed", "output": output, "ended_at": changes.at})
        _go_on(changes)
        return
    length = wanted.invoke_timeout_ms if isinstance(wanted.invoke_timeout_ms, int) else 0
    until = min(changes.at + (length if length > 0 else INVOKE_TIMEOUT_MS) * MILLISECOND, _LONGEST_NS)
    changes.save({**row, "status": "waiting", "wait_until": until})
    timer = _timer(changes, wanted, "child", until)
    _wait(changes, "child", msgspec.structs.replace(timer, child=child, child_function=function_id))


def _not_invocable(function: FunctionState | None, function_id: str) -> str | None:
    if function is None:
        return f"no function {function_id!r} is registered in this environment"
    if function.status == "archived":
        return f"function {function_id!r} is archived; make it active again to invoke it"
    if function.definition.triggers:
        return f"function {function_id!r} is started by events; step.invoke needs a function without triggers"
    return None


def _start_child(
    changes: Changes, function: FunctionState, child: str, step_id: str, given: bytes, now: int, ids: Ids
) -> None:
    run = changes.run
    event = EventState(
        id=ids.new("evt_"),
        name=INVOKED,
        data=given,
        metadata=None,
        version=1,
        source="invoke",
        idempotency_key="",
        at=now,
        run_id=run.id,
    )
    changes.add(Write("insert_event", {"env": run.env, **msgspec.structs.asdict(event)}))
    changes.add(*create(child, event, function, run.env, ids, run.id, step_id))
    changes.wake(Runnable())


def _timer(changes: Changes, wanted: Yield, kind: str, due_at: int) -> Timer:
    return Timer(run_id=changes.run.id, env=changes.run.env, kind=kind, due_at=due_at, step_id=wanted.step_id)


def _wait(changes: Changes, reason: str, timer: Timer) -> None:
    changes.wait_for(timer, held=changes.run.pause_requested)
    if changes.run.pause_requested:
        changes.hold()
    else:
        changes.move("waiting", reason, executed_ns=changes.executed(), due_at=timer.due_at)


def _go_on(changes: Changes) -> None:
    if changes.run.pause_requested:
        changes.hold()
    else:
        changes.move("waiting_for_capacity", "woken", executed_ns=changes.executed())


def _done(case: Case, now: int, ids: Ids, *, output: bytes | None = None, error: bytes | None = None) -> Changes:
    """End the step that waits; the run is queued again, or stays held."""
    changes = Changes(case.run, now, ids)
    assert case.timer is not None
    assert case.step is not None
    changes.end_wait(
        case.timer.step_id, case.step, "completed" if error is None else "failed", output=output, error=error
    )
    if case.run.status == "paused":
        changes.wait_over()
        changes.touch()
    else:
        changes.move("waiting_for_capacity", "woken")
    return changes


def _missed(case: Case, timer: Timer, now: int, ids: Ids) -> Changes:
    """Fail a run whose event did not come in time: without a retry, without compensations (rulings.md 28)."""
    changes = Changes(case.run, now, ids)
    assert case.step is not None
    where = f" with {timer.value!r} at {timer.path!r}" if timer.path else ""
    error = codec.encode(Error(message=f"no event {timer.event!r}{where} came in time", code="WAIT_TIMEOUT"))
    changes.end_wait(timer.step_id, case.step, "timed_out", error=error)
    end(changes, case.parent, "failed", "wait_timeout", now, ids, error=error)
    return changes


def _child_fault(message: str, cause: str, function_id: str, child: str) -> bytes:
    return msgspec.json.encode({"message": message, "function_id": function_id, "child_run_id": child, "cause": cause})
