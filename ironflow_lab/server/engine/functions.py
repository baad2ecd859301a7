"""Registering functions (engine.md section 2, worker.md section 2)."""

from __future__ import annotations

import re

import msgspec

from ironflow_lab.clock import Ids
from ironflow_lab.errors import InvalidArgumentError, UnimplementedError
from ironflow_lab.models.functions import (
    Function,
    FunctionStatus,
    RegisterFunctionRequest,
    RegisterFunctionResponse,
    RetryConfig,
)
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import ExecutionMode
from ironflow_lab.server.engine.commands import RegisterFunction
from ironflow_lab.server.engine.outcome import Outcome, Write
from ironflow_lab.server.engine.records import FunctionState, RetryPolicy
from ironflow_lab.server.engine.trail import PROFILES
from ironflow_lab.wire import codec, patterns

DEFAULT_TIMEOUT_MS = 600_000
_ID = re.compile(r"[^\s*>\x00-\x1f\x7f-\x9f]{1,255}")
_ABSENT = {
    "concurrency": "concurrency limits",
    "debounce": "debounce",
    "throttle": "throttling",
    "circuit_breaker": "circuit breakers",
    "cancel_on": "cancel-on events",
    "secrets": "secrets",
    "actor_key": "actor routing",
    "endpoint_url": "push endpoints",
}


def register(stored: FunctionState | None, command: RegisterFunction, now: int, ids: Ids) -> Outcome:
    """Insert or update by id; an unchanged definition keeps its version and writes nothing."""
    request = normalise(command.request)
    if stored is not None and stored.definition == request:
        return Outcome(RegisterFunctionResponse(function=describe(stored)))
    created = stored is None
    state = FunctionState(
        id=request.id,
        version=1 if stored is None else stored.version + 1,
        status="active" if stored is None else stored.status,
        definition=request,
        created_at=now if stored is None else stored.created_at,
        updated_at=now,
    )
    write = Write(
        "save_function",
        {
            "env": command.env,
            "id": state.id,
            "version": state.version,
            "status": state.status,
            "definition": codec.encode(request),
            "created_at": state.created_at,
            "updated_at": now,
        },
    )
    return Outcome(RegisterFunctionResponse(function=describe(state), created=created), (write,))


def normalise(request: RegisterFunctionRequest) -> RegisterFunctionRequest:
    """Return the definition as it is stored; raises for what is wrong or not offered here."""
    if _ID.fullmatch(request.id) is None or "" in request.id.split("."):
        raise InvalidArgumentError(
            f"function id {request.id!r} is not usable: 1 to 255 characters, no blanks, '*', '>' or empty dot-parts"
        )
    for field, words in _ABSENT.items():
        if getattr(request, field):
            raise UnimplementedError(
                f"function {request.id!r} asks for {words} ({field}), which this embedded server does not have;"
                " leave it out here, or connect to a server that has it"
            )
    if request.preferred_mode == "push":
        raise UnimplementedError(
            f"function {request.id!r} asks for push mode, which this embedded server does not have; register it as"
            " pull (EXECUTION_MODE_PULL) and run a worker"
        )
    _check_triggers(request)
    _check_retry(request)
    _check_recording(request)
    if request.timeout_ms < 0:
        raise InvalidArgumentError(f"function {request.id!r}: timeout_ms must not be negative")
    return msgspec.structs.replace(
        request, name=request.name or request.id, preferred_mode=ExecutionMode("pull"), change_reason=""
    )


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
        preferred_mode=given.preferred_mode,
        status=FunctionStatus(state.status),
        version=state.version,
        created_at=Instant(state.created_at),
        updated_at=Instant(state.updated_at),
        recording=given.recording,
        recording_profile=given.recording_profile,
        metadata=given.metadata,
    )


def _check_triggers(request: RegisterFunctionRequest) -> None:
    for trigger in request.triggers:
        if bool(trigger.event) == bool(trigger.cron):
            raise InvalidArgumentError(f"function {request.id!r}: a trigger needs exactly one of event and cron")
        if trigger.cron or trigger.expression:
            words = "cron triggers" if trigger.cron else "trigger expressions"
            raise UnimplementedError(
                f"function {request.id!r} asks for {words}, which this embedded server does not have"
            )
        wrong = patterns.fault(trigger.event)
        if wrong is not None:
            raise InvalidArgumentError(f"function {request.id!r}: {wrong}")


def _check_retry(request: RegisterFunctionRequest) -> None:
    retry = request.retry
    if retry is None:
        return
    if min(retry.max_attempts, retry.initial_delay_ms, retry.max_delay_ms, retry.backoff_factor) < 0:
        raise InvalidArgumentError(f"function {request.id!r}: retry numbers must not be negative")
    if 0 < retry.backoff_factor < 1:
        raise InvalidArgumentError(f"function {request.id!r}: retry.backoffFactor must be at least 1")
    if retry.on_exhausted not in ("", "pause", "fail"):
        raise InvalidArgumentError(
            f"function {request.id!r}: retry.onExhausted is 'pause' or 'fail', not {retry.on_exhausted!r}"
        )


def _check_recording(request: RegisterFunctionRequest) -> None:
    profile = request.recording_profile
    if profile not in PROFILES:
        raise InvalidArgumentError(
            f"function {request.id!r}: recordingProfile is 'all', 'run_lifecycle' or 'steps', not {profile!r}"
        )
    if profile and not request.recording:
        raise InvalidArgumentError(
            f"function {request.id!r}: recordingProfile {profile!r} needs recording; set recording to true,"
            " or leave the profile out"
        )
