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
        kind, _, verb = event_type.partition(".")
        words = verb.replace("_", " ").replace(".", " ")
        if event_type == "run.status_changed":
            words = "waiting for a retry" if facts.reason == "retry" else facts.new_status.replace("_", " ")
        return TimelineEvent(
            id=event_id,
            event_type=event_type,
            step_id=step_id,
            step_name=name,
            summary=" ".join(part for part in (kind.capitalize(), name, words) if part),
            significant=event_type in _SIGNIFICANT or kind == "saga" or facts.new_status in TERMINAL,
            timestamp=Instant(at),
        )


class _Facts(msgspec.Struct, frozen=True, rename="camel", gc=False):
    step_name: str = ""
    new_status: str = ""
    reason: str = ""


_facts = msgspec.json.Decoder(_Facts)
