"""A run's audit events in words, for GetRunTimeline (engine.md section 14)."""

from __future__ import annotations

import msgspec

from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import TERMINAL
from ironflow_lab.models.timetravel import TimelineEvent
from ironflow_lab.wire.stepid import step_name

_SIGNIFICANT = frozenset(
    {"run.created", "run.paused", "run.resumed", "step.completed", "step.failed", "step.patched", "step.injected"}
)


_BARE = str.maketrans("{}", "()")
_ROWS = {"timed_out": "timed out", "pending": "pending"}
_WAITS = frozenset({"sleep", "event", "wait_event", "child"})
_SHOWN = 60


class Narrator:
    """Tells a run's events, oldest first: only a step's beginning says its name."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def tell(self, event_id: str, event_type: str, step_id: str, at: int, payload: bytes) -> TimelineEvent:
        """Return the next event as a moment of the timeline."""
        facts, name = _facts.decode(payload), ""
        if step_id:
            name = self._names.get(step_id) or facts.step_name or step_name(step_id)
            self._names[step_id] = name
        return TimelineEvent(
            id=event_id,
            event_type=event_type,
            step_id=step_id,
            step_name=name,
            summary=_summary(event_type, name, facts),
            significant=event_type in _SIGNIFICANT
            or event_type.startswith("saga.")
            or (event_type == "run.status_changed" and facts.new_status in TERMINAL),
            timestamp=Instant(at),
        )


class _Facts(msgspec.Struct, frozen=True, rename="camel", gc=False):
    step_name: str = ""
    step_type: str = ""
    new_status: str = ""
    reason: str = ""
    row_status: str = ""
    from_step: str = ""
    event: str = ""
    function_id: str = ""
    until: str = ""
    compensation_target_step: str = ""
    error: msgspec.Raw = msgspec.Raw()


_facts = msgspec.json.Decoder(_Facts)


def _summary(event_type: str, name: str, facts: _Facts) -> str:
    kind, _, verb = event_type.partition(".")
    verb = _plain(verb)
    if kind == "run":
        return f"Run {_run(event_type, verb, facts)}".strip()
    if kind == "step":
        told = _step(event_type, verb, facts)
        until = f"until {facts.until[:_SHOWN]}" if facts.until and told.startswith("waiting for ") else ""
        return " ".join(part for part in ("Step", name, told, until) if part)
    if kind == "saga" and verb.startswith("compensation "):
        target = _named(facts.compensation_target_step)
        subject = f"Compensation of {target}" if target else f"Compensation {name}"
        return f"{subject} {verb.removeprefix('compensation ')}"
    return " ".join(part for part in (_plain(kind).capitalize(), name, verb) if part)


def _run(event_type: str, verb: str, facts: _Facts) -> str:
    if event_type == "run.status_changed" and facts.new_status:
        if facts.reason == "pause_requested":
            return "asked to pause"
        retries = facts.reason == "retry" or (bytes(facts.error) != b"" and facts.reason not in _WAITS)
        return "waiting for a retry" if facts.new_status == "waiting" and retries else _plain(facts.new_status)
    if event_type == "run.paused" and facts.reason == "injection":
        return "held"
    if event_type == "run.resumed" and facts.from_step:
        return f"resumed from {_named(step_name(facts.from_step))}"
    return verb


def _step(event_type: str, verb: str, facts: _Facts) -> str:
    if facts.row_status in _ROWS and event_type != "step.completed":
        return _ROWS[facts.row_status]
    if event_type == "step.started":
        if facts.event:
            return f"waiting for {_named(facts.event)}"
        if facts.step_type == "invoke_function" and facts.function_id:
            return f"waiting for function {_named(facts.function_id)}"
    return verb


def _named(name: str) -> str:
    shown = name.translate(_BARE)
    return shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + "…"


def _plain(words: str) -> str:
    return words.replace("_", " ").replace(".", " ")
