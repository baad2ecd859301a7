"""What a registration may say: what is wrong with it, and what this server does not offer (worker.md section 2)."""

from __future__ import annotations

import re

import msgspec

from ironflow_lab.errors import InvalidArgumentError, UnimplementedError
from ironflow_lab.models.functions import RegisterFunctionRequest
from ironflow_lab.models.runs import ExecutionMode
from ironflow_lab.server.engine import conditions
from ironflow_lab.server.engine.secrets import check_name
from ironflow_lab.server.engine.trail import PROFILES
from ironflow_lab.wire import eventpath, patterns

PAUSE_BEHAVIOR = "__ironflow_pause_behavior"
_PAUSE_BEHAVIORS = ("hold", "release")
_ID = re.compile(r"[^\s*>\x00-\x1f\x7f-\x9f]{1,255}")
_MOST_TRIGGERS = 100
_MOST_SECRETS = 100
_ABSENT = {
    "debounce": "debounce",
    "throttle": "throttling",
    "circuit_breaker": "circuit breakers",
    "cancel_on": "cancel-on events",
    "actor_key": "actor routing",
    "endpoint_url": "push endpoints",
}


def normalise(request: RegisterFunctionRequest) -> RegisterFunctionRequest:
    """Return the definition as it is stored; raises for what is wrong or not offered here."""
    if _ID.fullmatch(request.id) is None or "" in request.id.split("."):
        raise InvalidArgumentError(
            f"function id {request.id!r:.300} is not usable: 1 to 255 characters, no blanks, '*', '>' or empty"
            " dot-parts"
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
    _check_concurrency(request)
    _check_secrets(request)
    if request.timeout_ms < 0:
        raise InvalidArgumentError(f"function {request.id!r}: timeout_ms must not be negative")
    return msgspec.structs.replace(
        request,
        name=request.name or request.id,
        preferred_mode=ExecutionMode("pull"),
        change_reason="",
        secrets=tuple(dict.fromkeys(request.secrets)),
        pause_behavior=_pause_behavior(request),
    )


def _check_triggers(request: RegisterFunctionRequest) -> None:
    if len(request.triggers) > _MOST_TRIGGERS:
        raise InvalidArgumentError(
            f"function {request.id!r}: at most {_MOST_TRIGGERS} triggers, and this one has {len(request.triggers)};"
            " say it with wildcards"
        )
    for trigger in request.triggers:
        if bool(trigger.event) == bool(trigger.cron):
            raise InvalidArgumentError(f"function {request.id!r}: a trigger needs exactly one of event and cron")
        if trigger.cron:
            raise UnimplementedError(
                f"function {request.id!r} asks for cron triggers, which this embedded server does not have"
            )
        wrong = patterns.fault(trigger.event)
        if wrong is not None:
            raise InvalidArgumentError(f"function {request.id!r}: {wrong}")
        if trigger.expression:
            _check_expression(request.id, trigger.expression)


def _check_expression(function_id: str, expression: str) -> None:
    try:
        conditions.check(expression)
    except (InvalidArgumentError, UnimplementedError) as error:
        raise type(error)(f"function {function_id!r}: {error.message}") from None


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


def _check_concurrency(request: RegisterFunctionRequest) -> None:
    lane = request.concurrency
    if lane is None:
        return
    if lane.limit < 1:
        raise InvalidArgumentError(
            f"function {request.id!r}: concurrency.limit must be at least 1, not {lane.limit}; to run none, pause the"
            " function"
        )
    wrong = eventpath.fault(lane.key) if lane.key else None
    if wrong is not None:
        raise InvalidArgumentError(f"function {request.id!r}: concurrency.key: {wrong}")


def _check_secrets(request: RegisterFunctionRequest) -> None:
    if len(request.secrets) > _MOST_SECRETS:
        raise InvalidArgumentError(
            f"function {request.id!r}: at most {_MOST_SECRETS} secrets, and this one has {len(request.secrets)}"
        )
    for name in request.secrets:
        try:
            check_name(name)
        except InvalidArgumentError as error:
            raise InvalidArgumentError(f"function {request.id!r}: {error.message}") from None


def _pause_behavior(request: RegisterFunctionRequest) -> str:
    """Return hold, release or "" for the default; the field, else the metadata that mirror it (ruling 29)."""
    given = request.pause_behavior or (request.metadata or {}).get(PAUSE_BEHAVIOR) or ""
    if given and given not in _PAUSE_BEHAVIORS:
        raise InvalidArgumentError(
            f"function {request.id!r}: pauseBehavior (or {PAUSE_BEHAVIOR} in its metadata) is 'hold' or 'release',"
            f" not {given!r:.40}"
        )
    return str(given)
