"""The first moment of a run at which something holds, found with few looks at it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from html import escape
from typing import Any

from ironflow_lab.client.arguments import When
from ironflow_lab.errors import DefinitionError, NotFoundError
from ironflow_lab.history import redaction
from ironflow_lab.history.actors import actor_of
from ironflow_lab.history.payloads import payload_of, text
from ironflow_lab.history.words import sentence
from ironflow_lab.lab import card, summary, timetravel
from ironflow_lab.lab.past import Past
from ironflow_lab.lab.snapshot import Snapshot
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.runs import TERMINAL

Predicate = Callable[[Snapshot], Any]

_SHOWN = 120
# What is said of a value that is not there yet, or is null.
_NOTHING = ("'NoneType'", "UnsetType")
ASSUMED = "assumed: once it holds it holds on; where it changes back and forth, this is one moment at which it began"
NEVER = "it does not hold at the end (position {}); whether it held in between was not looked at"
AT_ONCE = "it holds at the beginning of the search (position {}) already: nothing in it made it so"


class Found:
    """The first position at which a predicate holds, on the assumption that once it holds it holds on.

    `position` is None when it does not hold at the end. `event`, `event_type`, `at`, `actor`, `reason` and
    `words` tell of the event that made it so: None or empty where it holds at the beginning, or not at all.
    `snapshot` is the run at that position, `before` the one just before it. `calls` counts the calls of the
    predicate, and `absent` those that looked up something that was not there, which counts as "does not hold".
    """

    def __init__(self, search: _Search, position: int | None) -> None:
        self._search, self.position = search, position
        self.calls, self.absent = search.calls, search.absent
        self.snapshot: Snapshot | None = None if position is None else search.looked[position]
        self.before: Snapshot | None = None if position is None else search.looked.get(position - 1)
        made = position is not None and position > search.first
        self.event: AuditEvent | None = self.snapshot.event if made and self.snapshot is not None else None
        self.notes = tuple(_notes(self))

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._search.past.run_id

    @property
    def first(self) -> int:
        """The position at which the search began."""
        return self._search.first

    @property
    def last(self) -> int:
        """The position at which it ended: the run's last one."""
        return self._search.last

    @property
    def event_type(self) -> str:
        """What happened, such as `step.completed`."""
        return self.event.event_type if self.event is not None else ""

    @property
    def at(self) -> Instant | None:
        """When it happened."""
        return None if self.event is None or self.snapshot is None else self.snapshot.at

    @property
    def actor(self) -> str:
        """Who made it happen: who patched or injected, the worker's id, `operator`; "" for the server itself."""
        if self.event is None or self.position is None:
            return ""
        return actor_of(self.event, self._search.past.history.run_at(self.position - 1))

    @property
    def reason(self) -> str:
        """The reason that was given for it, or why the run moved."""
        return "" if self.event is None else text(payload_of(self.event), "reason")

    @property
    def words(self) -> str:
        """The event in words, such as `Step charge completed`."""
        if self.event is None or self.position is None:
            return ""
        history = self._search.past.history
        lane = history.deltas[self.position - 1].lane
        name = redaction.clip(history.labels[lane - 1], limit=_SHOWN) if lane else ""
        return redaction.clip(sentence(self.event.event_type, payload_of(self.event), name), limit=2 * _SHOWN)

    def __bool__(self) -> bool:
        """Return whether it holds at some position."""
        return self.position is not None

    def __repr__(self) -> str:
        """Return one line."""
        return f"<Found in {self.run_id}: {self._headline()}>"

    def __str__(self) -> str:
        """Return what was found, and what was assumed."""
        return "\n".join([f"{self.run_id}: {self._headline()}", *(f"  {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        head = f"<div><code>{escape(self.run_id)}</code> {escape(self._headline())}</div>"
        notes = "".join(f'<div style="{card.FAINT}">{escape(note)}</div>' for note in self.notes)
        return f'<div class="ironflow-found" style="{card.TEXT};font-size:13px;max-width:60em">{head}{notes}</div>'

    def _headline(self) -> str:
        if self.position is None:
            return f"it does not hold at the end, position {self.last}"
        if self.event is None:
            return f"it holds at the beginning already, position {self.position}"
        who = f", by {redaction.clip(self.actor, limit=_SHOWN)}" if self.actor else ""
        at = f" at {summary.moment(self.at)}" if self.at else ""
        return f"first holds at position {self.position} of {self.last}: {self.words}{at}{who}"


class _Search:
    """The positions looked at, each once, and what the predicate said of them."""

    def __init__(self, past: Past, predicate: Predicate, first: int) -> None:
        self.past, self.first, self.last = past, first, past.history.length
        self.calls = self.absent = 0
        self.looked: dict[int, Snapshot] = {}
        self.missed: dict[int, str] = {}
        self._predicate = predicate

    def holds(self, position: int) -> bool:
        """Return whether the predicate holds there; what it looks up and is not there means that it does not."""
        snapshot = self.looked[position] = timetravel.at_position(self.past, position)
        self.calls += 1
        try:
            found = self._predicate(snapshot)
            if inspect.isawaitable(found):
                if inspect.iscoroutine(found):
                    found.close()
                raise DefinitionError("the predicate of lab.bisect is a plain function: it must not be awaited")
            return bool(found)
        except Exception as error:
            if not _is_absence(error):
                error.add_note(f"raised by the predicate of lab.bisect at position {position} of {self.past.run_id}")
                raise
            self.absent += 1
            self.missed[position] = f"{type(error).__name__}: {redaction.clip(str(error), limit=_SHOWN)}"
            return False


def bisect(past: Past, predicate: Predicate, *, first: int | When | Snapshot = 0) -> Found:
    """Return the first position at which the predicate holds: two looks at the ends, then a binary search.

    Raises as `Lab.bisect` says.
    """
    if not callable(predicate):
        raise DefinitionError(
            f"{predicate!r:.60} is no predicate; give a function of a snapshot, as lambda s: s.output"
        )
    history = past.recording().history
    begin, end = timetravel.place(past, first)[0], history.length
    search = _Search(past, predicate, begin)
    if not search.holds(end):
        return Found(search, None)
    if begin == end or search.holds(begin):
        return Found(search, begin)
    low, high = begin, end
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if search.holds(middle) else (middle, high)
    return Found(search, high)


def _is_absence(error: Exception) -> bool:
    """Return whether an error tells of something that is not there yet, and not of a mistake in the predicate."""
    if isinstance(error, NotFoundError | KeyError | IndexError):
        return True
    return isinstance(error, TypeError | AttributeError) and any(word in str(error) for word in _NOTHING)


def _notes(found: Found) -> list[str]:
    search, position = found._search, found.position
    notes = []
    if position is None:
        notes.append(NEVER.format(search.last))
        if search.last in search.missed:
            notes.append(f"at the end the predicate looked up what is not there ({search.missed[search.last]})")
        if search.past.history.run_at(search.last).status not in TERMINAL:
            notes.append("the run has not ended: it may come to hold yet")
    elif position == search.first:
        notes.append(AT_ONCE.format(position))
    else:
        notes.append(ASSUMED)
    if search.absent:
        times = "once" if search.absent == 1 else f"{search.absent} times"
        notes.append(f"the predicate looked up something that was not there {times}, which counts as: does not hold")
    if search.past.note:
        notes.append(f"{search.past.source}: {search.past.note}")
    return [*notes, f"looked at {found.calls} of {search.last - search.first + 1:,} positions"]
