"""The short English of a run's moments, and which of them are worth a tick on a scrubber."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ironflow_lab.history.payloads import text
from ironflow_lab.models.runs import TERMINAL

_ENDS = frozenset({"step.completed", "step.failed", "step.patched", "step.injected"})
_SPACED = str.maketrans({"_": " ", ".": " ", "{": "(", "}": ")"})
_TURNS = frozenset({"run.created", "run.paused", "run.resumed"})


def phrase(event_type: str, payload: dict[str, Any]) -> str:
    """Return what happened, with `{}` for the step's name: `Step {} completed`, `Run paused`."""
    status = text(payload, "newStatus")
    retry = status == "waiting" and is_retry(payload)
    return _phrase(event_type, status, retry=retry, named="stepId" in payload)


def is_significant(event_type: str, payload: dict[str, Any]) -> bool:
    """Return whether a scrubber marks the event: ends and corrections, not starts and what lies on the way."""
    if event_type == "run.status_changed":
        return text(payload, "newStatus") in TERMINAL
    return event_type in _ENDS or event_type in _TURNS or event_type.startswith("saga.")


def is_retry(payload: dict[str, Any]) -> bool:
    """Return whether a run that went waiting waits for its next attempt."""
    return text(payload, "reason") == "retry" or ("error" in payload and text(payload, "reason") != "sleep")


def is_failure(event_type: str, payload: dict[str, Any]) -> bool:
    """Return whether an attempt, of the run or of a step, failed with the event."""
    return event_type == "step.failed" or (event_type.startswith("run.") and has_failed(payload))


def has_failed(payload: dict[str, Any]) -> bool:
    """Return whether a run's change of status ends an attempt that failed."""
    status = text(payload, "newStatus")
    if status == "waiting":
        return is_retry(payload)
    return status == "failed" or (status == "paused" and "error" in payload)


@lru_cache(maxsize=256)
def _phrase(event_type: str, status: str, *, retry: bool, named: bool) -> str:
    kind, _, verb = (_plain(part) for part in event_type.partition("."))
    if event_type == "run.status_changed" and status:
        return "Run waiting for a retry" if retry else f"Run {_plain(status)}"
    subject = f"{kind.capitalize()} {{}}" if kind == "step" or (named and kind != "run") else kind.capitalize()
    return f"{subject} {verb}".strip()


def _plain(word: str) -> str:
    # Braces stand for the step's name.
    return word.translate(_SPACED)
