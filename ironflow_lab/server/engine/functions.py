"""Functions: registering and changing them, with a history of every change (engine.md section 2)."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from ironflow_lab.clock import Ids
from ironflow_lab.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from ironflow_lab.models.functions import (
    Function,
    FunctionStatus,
    RegisterFunctionRequest,
    RegisterFunctionResponse,
    RetryConfig,
    RollbackFunctionResponse,
)
from ironflow_lab.models.instant import Instant
from ironflow_lab.server.engine.commands import DeleteFunction, RegisterFunction, RollbackFunction, SetFunctionStatus
from ironflow_lab.server.engine.definitions import normalise
from ironflow_lab.server.engine.outcome import Outcome, Runnable, Write
from ironflow_lab.server.engine.records import FunctionState, RetryPolicy
from ironflow_lab.wire import codec, eventpath

DEFAULT_TIMEOUT_MS = 600_000
STATUSES = ("active", "paused", "archived")
LONGEST_REASON = 2_000
_LONGEST_LANE = 255


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """A function as it is, and the change of it that is to be made current again."""

    function: FunctionState | None
    change_type: str = ""
    snapshot: FunctionState | None = None


def register(stored: FunctionState | None, command: RegisterFunction, now: int, ids: Ids) -> Outcome:
    """Insert or update by id; an unchanged definition keeps its version and writes nothing."""
    definition, reason = normalise(command.request), command.request.change_reason
    _check_reason(reason)
    if stored is not None and stored.definition == definition:
        return Outcome(RegisterFunctionResponse(function=describe(stored)))
    if stored is None:
        state = FunctionState(
            id=definition.id, version=1, status="active", definition=definition, created_at=now, updated_at=now
        )
        # Runs of a deleted function may be in the queue still.
        answer = RegisterFunctionResponse(function=describe(state), created=True)
        return Outcome(answer, _changed(state, command.env, "create", ids, reason=reason), (Runnable(),))
    state = _next(stored, now, definition=definition, version=stored.version + 1)
    answer = RegisterFunctionResponse(function=describe(state))
    return Outcome(answer, _changed(state, command.env, "update", ids, reason=reason))


def set_status(stored: FunctionState | None, command: SetFunctionStatus, now: int, ids: Ids) -> Outcome:
    """Make a function active, paused or archived; the status it has already writes nothing."""
    if command.status not in STATUSES:
        raise InvalidArgumentError(f"a function's status is {', '.join(STATUSES[:-1])} or {STATUSES[-1]}")
    function = _registered(stored, command.function_id)
    if function.status == command.status:
        return Outcome(describe(function))
    state = _next(function, now, status=command.status)
    return Outcome(describe(state), _changed(state, command.env, "status_change", ids), (Runnable(),))


def delete(stored: FunctionState | None, command: DeleteFunction, now: int, ids: Ids) -> Outcome:
    """Remove a function; its history, its runs and what of them is queued stay."""
    state = _next(_registered(stored, command.function_id), now)
    last = _record(state, command.env, "delete", ids)
    return Outcome({}, (last, Write("delete_function", {"env": command.env, "id": state.id})))


def rollback(stored: Restored, command: RollbackFunction, now: int, ids: Ids) -> Outcome:
    """Make a former state current again, its status too, as a new version; what is current writes nothing."""
    _check_reason(command.reason)
    check_entity_version(command.entity_version)
    function, wanted, snapshot = stored.function, command.entity_version, stored.snapshot
    if function is None:
        raise NotFoundError(
            f"no function {command.function_id!r} is registered in this environment, so there is nothing to roll"
            " back; register it again"
        )
    if snapshot is None:
        raise NotFoundError(no_change(command.function_id, wanted))
    if stored.change_type == "delete":
        raise FailedPreconditionError(
            f"version {wanted} of function {command.function_id!r} is its deletion; roll back to the version before it"
        )
    if (snapshot.definition, snapshot.status) == (function.definition, function.status):
        return Outcome(RollbackFunctionResponse(function=describe(function)))
    state = _next(function, now, definition=snapshot.definition, status=snapshot.status, version=function.version + 1)
    writes = _changed(state, command.env, "rollback", ids, reason=command.reason)
    return Outcome(RollbackFunctionResponse(function=describe(state)), writes, (Runnable(),))


def policy_of(definition: RegisterFunctionRequest) -> RetryPolicy:
    """Return the retry policy a new run gets; zero and empty fields mean the server's defaults."""
    given, base = definition.retry or RetryConfig(), RetryPolicy()
    return RetryPolicy(
        max_attempts=given.max_attempts or base.max_attempts,
        initial_delay_ms=given.initial_delay_ms or base.initial_delay_ms,
        backoff_factor=given.backoff_factor or base.backoff_factor,
        max_delay_ms=given.max_delay_ms or base.max_delay_ms,
        on_exhausted=given.on_exhausted or base.on_exhausted,
    )


def lane_of(definition: RegisterFunctionRequest, data: bytes) -> tuple[str, int, bool]:
    """Return a new run's lane, the lane's limit (0 for none) and whether a paused run keeps its place in it.

    Without a key, and where the event's data have nothing at it, all runs of the function share the lane "".
    """
    given = definition.concurrency
    if given is None:
        return "", 0, True
    holds = definition.pause_behavior != "release"
    if not given.key:
        return "", given.limit, holds
    value = eventpath.in_data(msgspec.json.decode(data), given.key)
    lane = "" if value is eventpath.MISSING else eventpath.text(value)
    if len(lane) > _LONGEST_LANE:
        # The lane stands in the row and in an index; only whether two are the same matters.
        lane = "sha256:" + hashlib.sha256(lane.encode()).hexdigest()
    return lane, given.limit, holds


def describe(state: FunctionState) -> Function:
    """Return the function as clients see it."""
    given = state.definition
    return Function(
        id=state.id,
        name=given.name,
        description=given.description,
        triggers=given.triggers,
        retry=given.retry,
        timeout_ms=given.timeout_ms or DEFAULT_TIMEOUT_MS,
        concurrency=given.concurrency,
        preferred_mode=given.preferred_mode,
        status=FunctionStatus(state.status),
        version=state.version,
        created_at=Instant(state.created_at),
        updated_at=Instant(state.updated_at),
        recording=given.recording,
        recording_profile=given.recording_profile,
        metadata=given.metadata,
        pause_behavior=given.pause_behavior,
    )


def _registered(stored: FunctionState | None, function_id: str) -> FunctionState:
    if stored is None:
        raise NotFoundError(f"no function {function_id!r} is registered in this environment")
    return stored


def _next(state: FunctionState, now: int, **changes: Any) -> FunctionState:
    """Return the state after a change, which is later than the last one whatever the clock says."""
    return msgspec.structs.replace(state, updated_at=max(now, state.updated_at + 1), **changes)


def _changed(state: FunctionState, env: str, change_type: str, ids: Ids, *, reason: str = "") -> tuple[Write, ...]:
    return Write("save_function", _row(state, env)), _record(state, env, change_type, ids, reason=reason)


def _record(state: FunctionState, env: str, change_type: str, ids: Ids, *, reason: str = "") -> Write:
    return Write(
        "record_function",
        {
            **_row(state, env),
            "event_id": ids.new("evt_"),
            "change_type": change_type,
            "change_reason": reason,
            "actor_id": "",
        },
    )


def _row(state: FunctionState, env: str) -> dict[str, Any]:
    return {
        "env": env,
        "id": state.id,
        "version": state.version,
        "status": state.status,
        "definition": codec.encode(state.definition),
        "created_at": state.created_at,
        "updated_at": state.updated_at,
    }


def _check_reason(reason: str) -> None:
    if len(reason) > LONGEST_REASON:
        raise InvalidArgumentError(
            f"a change reason has at most {LONGEST_REASON:,} characters, and this one has {len(reason):,}"
        )


def check_entity_version(version: int) -> None:
    """Raise `InvalidArgumentError` for a number that no version of a history has."""
    if version < 1:
        raise InvalidArgumentError(f"versions of a function's history count from 1, and {version} is not one")


def no_change(function_id: str, entity_version: int) -> str:
    """Return the words for a version that a function's history has not."""
    return f"function {function_id!r} has no version {entity_version} in its history; list the history to see which"
