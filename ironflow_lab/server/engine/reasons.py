"""Why a run is not executing, decided on the state that decides whether it does (`models.reasons`)."""

from __future__ import annotations

from typing import Any

import msgspec

from ironflow_lab.clock import SECOND, Ids
from ironflow_lab.errors import NotFoundError
from ironflow_lab.models.instant import Instant, format_instant
from ironflow_lab.models.reasons import BlockingReason
from ironflow_lab.models.runs import TERMINAL
from ironflow_lab.server.engine.commands import Explain
from ironflow_lab.server.engine.outcome import Outcome
from ironflow_lab.server.engine.records import RunState, Timer
from ironflow_lab.server.engine.writes import HELD

_MOST_NAMED = 5


class Lease(msgspec.Struct, frozen=True):
    """The lease of a segment: held by its worker's connection, or until an instant (ns)."""

    held: bool
    until: int


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """What only the running server knows.

    Workers that gave a sign of life lately, those whose poll waits for work, and the lease of the run's segment.
    """

    alive: frozenset[str] = frozenset()
    polling: frozenset[str] = frozenset()
    lease: Lease | None = None


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """A run and all that may hold it up.

    `function_status` is empty for a function that is gone, `workers` are those registered for it,
    `position` is the place in its queue from 1, `ahead` who occupies its lane, `error` and `child_status`
    are what the rows say of its last failure and of the run it waits for.
    """

    run: RunState | None = None
    timer: Timer | None = None
    function_status: str = ""
    workers: tuple[str, ...] = ()
    position: int = 0
    ahead: tuple[str, ...] = ()
    error: str = ""
    child_status: str = ""
    presence: Presence = Presence()


def explain(state: Situation, command: Explain, now: int, ids: Ids) -> Outcome:
    """Answer with the run's `BlockingReason`; raises `NotFoundError`."""
    run = state.run
    if run is None or run.env != command.env:
        raise NotFoundError(f"no run {command.run_id!r} in this environment")
    found: dict[str, Any] = {
        "run_id": run.id,
        "status": run.status,
        "function_id": run.function_id,
        "since": Instant(run.updated_at),
        "attempt": run.attempt,
        "max_attempts": run.policy.max_attempts,
        "error": state.error,
    }
    if run.status in TERMINAL:
        found.update(reason="ended", message=f"the run is {run.status}")
    elif run.status == "running":
        found.update(_executing(run, state.presence))
    elif run.status == "paused":
        found.update(_paused(run, state.timer))
    elif run.status == "waiting" and state.timer is not None:
        found.update(_waiting(state, state.timer))
    else:
        found.update(_queued(state))
    return Outcome(BlockingReason(**found))


def _executing(run: RunState, presence: Presence) -> dict[str, Any]:
    lease, worker = presence.lease, run.worker_id
    found: dict[str, Any] = {"worker_ids": (worker,), "reason": "executing"}
    words = f"worker {worker} executes it"
    if lease is not None and lease.held:
        found["lease_held"] = True
    elif lease is not None:
        found["lease_expires_at"] = Instant(lease.until)
        words += f"; unless it is heard of, its lease ends {_second(lease.until)}"
    if run.pause_requested:
        found["reason"] = "pausing"
        words += "; it will be held at the next step boundary"
    return {**found, "message": words}


def _paused(run: RunState, timer: Timer | None) -> dict[str, Any]:
    after = "" if timer is None else f"; once resumed {_what(timer)}"
    if run.pause_reason == HELD:
        return {"reason": "paused", "message": "an operator holds it; resume it to let it go on" + after}
    words = f"attempt {run.attempt} of {run.policy.max_attempts} failed and its policy holds it; resume it to try again"
    return {"reason": "retries_exhausted", "message": words}


def _waiting(state: Situation, timer: Timer) -> dict[str, Any]:
    run, due = state.run, Instant(timer.due_at)
    found: dict[str, Any] = {"reason": timer.kind, "due_at": due, "step_id": timer.step_id, "message": _what(timer)}
    if timer.kind == "event":
        found.update(event=timer.event, match=timer.path, value=timer.value)
    elif timer.kind == "child":
        found.update(child_run_id=timer.child, child_status=state.child_status)
        found["message"] += f"; that run is {(state.child_status or 'gone').replace('_', ' ')}"
    elif timer.kind == "retry" and run is not None:
        found["message"] = f"attempt {run.attempt} of {run.policy.max_attempts} begins {_at(timer)}"
    return found


def _what(timer: Timer) -> str:
    match timer.kind:
        case "sleep":
            return f"it sleeps until {_at(timer)}"
        case "event":
            where = f" with {timer.value!r} at {timer.path}" if timer.path else ""
            return f"it waits for an event {timer.event!r}{where}, at the latest until {_at(timer)}"
        case "child":
            return f"it waits for run {timer.child} of {timer.child_function!r}, at the latest until {_at(timer)}"
    return f"it is tried again {_at(timer)}"


def _at(timer: Timer) -> str:
    """Return when the wait ends, to the second: `due_at` has the rest."""
    return _second(timer.due_at)


def _second(instant: int) -> str:
    return format_instant(instant // SECOND * SECOND)


def _queued(state: Situation) -> dict[str, Any]:
    run, presence = state.run, state.presence
    assert run is not None
    found: dict[str, Any] = {"position": state.position, "worker_ids": state.workers}
    name = run.function_id
    if not state.function_status:
        return {**found, "reason": "function_missing", "message": f"function {name!r} has been deleted; register it"}
    if state.function_status == "paused":
        words = f"function {name!r} is paused; make it active to hand its runs out"
        return {**found, "reason": "function_paused", "message": words}
    alive = tuple(one for one in state.workers if one in presence.alive)
    if not alive:
        known = ", ".join(state.workers[:_MOST_NAMED])
        seen = f"its workers ({known}) have not been heard of" if known else _unregistered(len(presence.alive))
        return {**found, "reason": "no_worker", "message": f"nobody executes function {name!r}: {seen}; start one"}
    if state.ahead:
        holders = ", ".join(state.ahead[:_MOST_NAMED])
        where = f"lane {run.lane!r}" if run.lane else "function"
        words = f"at most {run.lane_limit} at a time in its {where}: {holders} first"
        return {**found, "reason": "lane_full", "ahead": state.ahead, "message": words}
    if any(one in presence.polling for one in alive):
        return {**found, "reason": "handing_out", "message": "a worker is about to get it"}
    words = f"all workers of function {name!r} are busy; it is number {state.position} in the queue"
    return {**found, "reason": "workers_busy", "message": words}


def _unregistered(others: int) -> str:
    seen = "no worker has registered for it"
    if not others:
        return seen
    return (
        f"{seen}, and {'the one that is there serves' if others == 1 else f'the {others} that are there serve'} others"
    )
