"""The short English of a run's moments, and which of them are worth a tick on a scrubber."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeAlias

from ironflow_lab.history.payloads import text
from ironflow_lab.history.redaction import clip
from ironflow_lab.history.rules import HELD, PAUSE_REQUESTED, RUN_TYPES, SAGA_TYPES
from ironflow_lab.models.runs import TERMINAL
from ironflow_lab.wire.stepid import step_name

Facts: TypeAlias = tuple[tuple[str, ...], bool, bool]

_ENDS = frozenset({"step.completed", "step.failed", "step.patched", "step.injected"})
_SPACED = str.maketrans({"_": " ", ".": " ", "{": "(", "}": ")"})
_BARE = str.maketrans("{}", "()")
_TURNS = frozenset({"run.created", "run.paused", "run.resumed"})
_WAITS = frozenset({"sleep", "event", "wait_event", "child"})
_ROWS = {"timed_out": "timed out", "pending": "pending"}
_SHOWN = 60
# All of a payload that words and flags depend on, by the kind of event; of other kinds it is nothing.
_RUN = ("newStatus", "reason", "fromStep")
_SAGA = ("compensationTargetStep",)
_TOLD = {
    **dict.fromkeys(RUN_TYPES, _RUN),
    **dict.fromkeys(SAGA_TYPES, _SAGA),
    "step.started": ("stepType", "rowStatus", "event", "functionId"),
    "step.failed": ("rowStatus",),
    "step.discarded": ("rowStatus",),
}


def phrase(event_type: str, payload: dict[str, Any]) -> str:
    """Return what happened, with `{}` for the step's name: `Step {} completed`, `Run held`."""
    return _phrase(event_type, *facts(event_type, payload))


def facts(event_type: str, payload: dict[str, Any]) -> Facts:
    """Return all of a payload that the event's words and flags depend on."""
    told = tuple([text(payload, name)[: _SHOWN + 1] for name in _TOLD.get(event_type, ())])
    return told, "error" in payload, "stepId" in payload


def sentence(event_type: str, payload: dict[str, Any], name: str) -> str:
    """Return what happened to the step of this name, or to the run; a wait tells its end too."""
    told = phrase(event_type, payload)
    until = text(payload, "until") if " waiting for " in told else ""
    told = told.replace("{}", name)
    return f"{told} until {until[:_SHOWN]}" if until else told


def is_significant(event_type: str, payload: dict[str, Any]) -> bool:
    """Return whether a scrubber marks the event: ends and corrections, not starts and what lies on the way."""
    if event_type == "run.status_changed":
        return text(payload, "newStatus") in TERMINAL
    return event_type in _ENDS or event_type in _TURNS or event_type.startswith("saga.")


def is_retry(payload: dict[str, Any]) -> bool:
    """Return whether a run that went waiting waits for its next attempt."""
    return _is_retry(text(payload, "reason"), failed="error" in payload)


def is_failure(event_type: str, payload: dict[str, Any]) -> bool:
    """Return whether an attempt, of the run or of a step, failed with the event."""
    if event_type in RUN_TYPES:
        return has_failed(payload)
    return event_type in ("step.failed", "saga.compensation.failed")


def has_failed(payload: dict[str, Any]) -> bool:
    """Return whether a run's change of status ends an attempt that failed."""
    status = text(payload, "newStatus")
    if status == "waiting":
        return is_retry(payload)
    return status == "failed" or (status == "paused" and "error" in payload)


def _is_retry(reason: str, *, failed: bool) -> bool:
    return reason == "retry" or (failed and reason not in _WAITS)


@lru_cache(maxsize=1024)
def _phrase(event_type: str, given: tuple[str, ...], failed: bool, named: bool) -> str:
    told = dict(zip(_TOLD.get(event_type, ()), given, strict=True))
    if event_type.startswith("run."):
        return _run(event_type, told, failed=failed)
    if event_type.startswith("step."):
        return f"Step {{}} {_step(event_type, told)}".strip()
    kind, _, verb = (_plain(part) for part in event_type.partition("."))
    if verb.startswith("compensation ") and kind == "saga":
        target = _named(told.get("compensationTargetStep", ""))
        verb = verb.removeprefix("compensation ")
        return f"Compensation of {target} {verb}" if target else f"Compensation {{}} {verb}"
    return f"{kind.capitalize()}{' {}' if named else ''} {verb}".strip()


def _run(event_type: str, told: dict[str, str], *, failed: bool) -> str:
    status, reason = told.get("newStatus", ""), told.get("reason", "")
    if event_type == "run.status_changed" and status:
        if reason == PAUSE_REQUESTED:
            return "Run asked to pause"
        retries = status == "waiting" and _is_retry(reason, failed=failed)
        return "Run waiting for a retry" if retries else f"Run {_plain(status)}"
    if event_type == "run.paused" and reason == HELD:
        return "Run held"
    if event_type == "run.resumed" and told["fromStep"]:
        return f"Run resumed from {_named(step_name(told['fromStep']))}"
    return f"Run {_plain(event_type.removeprefix('run.'))}".strip()


def _step(event_type: str, told: dict[str, str]) -> str:
    if told.get("rowStatus", "") in _ROWS:
        return _ROWS[told["rowStatus"]]
    if event_type == "step.started" and told["event"]:
        return f"waiting for {_named(told['event'])}"
    if event_type == "step.started" and told["stepType"] == "invoke_function" and told["functionId"]:
        return f"waiting for function {_named(told['functionId'])}"
    return _plain(event_type.removeprefix("step."))


def _named(name: str) -> str:
    return clip(name.translate(_BARE), limit=_SHOWN)


def _plain(word: str) -> str:
    # Braces stand for the step's name.
    return word.translate(_SPACED)
