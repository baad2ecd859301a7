"""The table of what kinds of events a chunk holds, and the flags of each."""

from __future__ import annotations

from typing import Any

from ironflow_lab.history.rules import RUN_TYPES
from ironflow_lab.history.values import plain_text
from ironflow_lab.history.words import Facts, facts, is_failure, is_significant, phrase

SIGNIFICANT, STATUS_CHANGED, CORRECTION, FAILURE = 1, 2, 4, 8
_CORRECTIONS = frozenset({"step.patched", "step.injected"})
# The index has 16 bits; a full table has its last entry stand for all others.
_MOST = 0xFFFF


class Kinds:
    """Numbers the kinds of events in the order in which they first come; a text has `{}` for the lane's name."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], int] = {}
        self._known: dict[tuple[str, Facts], tuple[int, int]] = {}

    def of(self, event_type: str, payload: dict[str, Any]) -> tuple[int, int]:
        """Return an event's index in the table and its flags."""
        # A run's events come in thousands, of a dozen kinds.
        key = (event_type, facts(event_type, payload))
        known = self._known.get(key)
        if known is None:
            known = (self._index(event_type, payload), _flags(event_type, payload))
            if len(self._known) < _MOST:
                self._known[key] = known
        return known

    def table(self) -> list[dict[str, str]]:
        """Return the whole table: `{"type", "text"}` for each kind."""
        return [{"type": plain_text(kind), "text": plain_text(words)} for kind, words in self._entries]

    def _index(self, event_type: str, payload: dict[str, Any]) -> int:
        entry = (event_type, phrase(event_type, payload))
        if entry not in self._entries and len(self._entries) >= _MOST:
            entry = ("", "Something else")
        return self._entries.setdefault(entry, len(self._entries))


def _flags(event_type: str, payload: dict[str, Any]) -> int:
    flags = SIGNIFICANT if is_significant(event_type, payload) else 0
    if event_type in RUN_TYPES:
        flags |= STATUS_CHANGED
    if event_type in _CORRECTIONS:
        flags |= CORRECTION
    return flags | FAILURE if is_failure(event_type, payload) else flags
